//! The only place that reads the clock. Everything else is told the time.

use std::time::Instant;

use jiff::{Timestamp, Unit};

/// The wall clock, to the millisecond, as it is written to the cluster.
#[allow(clippy::disallowed_methods)] // this is the place that clippy.toml points to
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}

/// The monotonic clock, for how long something took.
#[allow(clippy::disallowed_methods)] // this is the place that clippy.toml points to
pub fn instant() -> Instant {
    Instant::now()
}
