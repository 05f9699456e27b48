//! When users are well again after a version was taken back: what remains is within tolerance for three polls.
//!
//! Owns only the time that goes into the record. Nothing waits for it but that record, and that not for long, and not
//! when somebody wants something new.

use super::draft::Draft;
use super::time::times;
use super::verdict::{self, ERROR_FLOOR};
use super::words::as_f64;
use crate::api::{Duration, ErrorRatio, Outcome, Recovery, Run, Tally};

/// Polls within tolerance that count as recovered.
const POLLS: u8 = 3;
/// How long it is waited for, after the weight was seen to be 0.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long requests may be away: then nothing is to be seen, and nothing waits for it.
const LATE: Duration = Duration::from_secs(10);
/// How much worse than during the attempt the rest may fare.
const TOLERANCE: f64 = 1.25;

/// Whether there is anything to recover from.
fn concerns(run: &Run) -> bool {
    matches!(run.outcome, Some(Outcome::RolledBack | Outcome::Aborted)) && run.times.exposed_at.is_some()
}

/// Looks at what was counted since the weight was 0.
pub(super) fn follow(d: &mut Draft<'_>) {
    let s = d.s;
    let floor = floor(d);
    let (Some(provider), Some(run)) = (&s.provider, d.status.run.as_mut()) else { return };
    let Some(zero_at) = run.times.weight_zero_at.filter(|_| concerns(run) && run.times.recovered_at.is_none()) else {
        return;
    };
    // Until the route is as it was, the last counts of the canary are read by others.
    if run.times.route_restored_at.is_some() {
        verdict::assess(s, provider, run);
    }
    let Some(until) = run.traffic.until.filter(|until| *until > zero_at) else { return };
    let now = run.traffic.run;
    let recovery = run.recovery.get_or_insert(Recovery { until: zero_at, seen: now, good: 0 });
    if until <= recovery.until {
        return;
    }
    let requests = now.stable_requests.saturating_sub(recovery.seen.stable_requests);
    let errors = now.stable_errors.saturating_sub(recovery.seen.stable_errors);
    if requests == 0 {
        return; // it says nothing
    }
    let seen = std::mem::replace(&mut recovery.seen, now);
    recovery.until = until;
    let fine = errors <= allowed(requests, &seen, floor);
    recovery.good = if fine { recovery.good.saturating_add(1) } else { 0 };
    if recovery.good >= POLLS {
        run.times.recovered_at = Some(until);
    }
}

/// How many of so many requests may fail: as many as during the attempt, and one at least, for a small poll is no evidence.
fn allowed(requests: u64, before: &Tally, floor: f64) -> u64 {
    let usual = as_f64(before.stable_errors) / as_f64(before.stable_requests.max(1));
    let most = (usual * TOLERANCE).max(floor) * as_f64(requests);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a count
    let most = most.floor() as u64;
    most.max(1)
}

/// The share of failed requests that is never harm: that of the first error ratio.
fn floor(d: &Draft<'_>) -> f64 {
    let ratio = d.s.rollout.spec.analysis.signals.iter().find_map(|signal| signal.error_ratio.as_ref());
    let of = |ratio: &ErrorRatio| ratio.threshold.or(ratio.floor).map(|share| share.ratio());
    ratio.and_then(of).unwrap_or(ERROR_FLOOR)
}

/// Whether the record need not wait any more.
pub(super) fn known(d: &mut Draft<'_>) -> bool {
    let Some(run) = d.active().cloned() else { return true };
    let Some(zero_at) = run.times.weight_zero_at.filter(|_| concerns(&run)) else { return true };
    let Some(provider) = &d.s.provider else { return true };
    // Where nothing can be read, or there are no requests, there is nothing to see.
    let last = run.recovery.as_ref().map_or(zero_at, |recovery| recovery.until);
    let blind = d.passed(last, times(provider.scrape_interval, 3).max(LATE));
    run.times.recovered_at.is_some() || hurried(d, &run) || blind || d.passed(zero_at, PATIENCE)
}

/// Another template waits, or the Rollout leaves.
pub(super) fn hurried(d: &Draft<'_>, run: &Run) -> bool {
    let stable = d.status.stable.as_ref().map(|stable| stable.digest.as_str());
    let waits = |digest: &str| digest != run.revision && Some(digest) != stable;
    let wanted = d.s.workload.as_ref().is_some_and(|workload| waits(&workload.digest));
    wanted || d.s.rollout.deleting || d.s.rollout.spec.disabled
}
