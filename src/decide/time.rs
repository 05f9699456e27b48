//! Arithmetic on points in time that cannot overflow.

use jiff::Timestamp;

use crate::api::Duration;

/// How long after `then` it is; zero if `then` lies ahead (clocks may jump back).
pub(super) fn elapsed(now: Timestamp, then: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(now.as_millisecond().saturating_sub(then.as_millisecond())).unwrap_or(0))
}

/// The time `after` a moment.
pub(super) fn later(then: Timestamp, after: Duration) -> Timestamp {
    Timestamp::from_millisecond(then.as_millisecond().saturating_add(after.as_millis())).unwrap_or(Timestamp::MAX)
}

/// The time `before` a moment.
pub(super) fn earlier(then: Timestamp, before: Duration) -> Timestamp {
    Timestamp::from_millisecond(then.as_millisecond().saturating_sub(before.as_millis())).unwrap_or(Timestamp::MIN)
}

/// What is left of `span` since `then`; `None` once it is over.
pub(super) fn left(now: Timestamp, then: Timestamp, span: Duration) -> Option<Duration> {
    let left = span.as_millis().saturating_sub(elapsed(now, then).as_millis());
    (left > 0).then(|| Duration::from_millis(left.unsigned_abs()))
}

/// A multiple of a span.
pub(super) fn times(span: Duration, factor: u32) -> Duration {
    Duration::from_millis(span.as_millis().unsigned_abs().saturating_mul(u64::from(factor)))
}

/// A span for people: whole seconds above ten seconds, tenths below.
pub(super) fn human(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.1}s") } else { Duration::from_secs(span.std().as_secs()).to_string() }
}
