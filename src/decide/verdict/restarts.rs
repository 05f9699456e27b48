//! Restarts of containers as events per time in which pods ran, canary against stable. Needs no metrics.
//!
//! One poll is what happened since the poll before, at least an interval long. Restarts are rare, so this signal can
//! find harm but never holds a wave up: what shows that a version is safe is its traffic.

use super::super::snapshot::{PodFacts, Snapshot};
use super::super::time::elapsed;
use super::super::words::odds;
use super::compare::{self, Seen, fold, log, verdict};
use super::{Harm, Opinion};
use crate::api::{Cursors, JudgedBy, Run, Signal, SignalState, Tally};
use crate::judge::Verdict;

pub(super) fn opinion(snapshot: &Snapshot, run: &Run, state: &mut SignalState, signal: &Signal) -> Opinion {
    let judge = match compare::judge(&snapshot.rollout.spec, signal, state, run) {
        Ok(judge) => judge,
        Err(why) => return Opinion::Undecided(why),
    };
    let before = Seen::of(state);
    let mut seen = before;
    let news: Vec<(Tally, Tally)> =
        take(snapshot, run, state).map(|poll| (Tally::default(), poll)).into_iter().collect();
    fold(&judge, &mut seen, &news, false);
    seen.keep(state);
    log(state, JudgedBy::Restarts, (&judge, false), (&before, &seen), &news);
    let counts = state.counts.as_ref().map(|counts| counts.run).unwrap_or_default();
    let (capital, _, verdict) = verdict(&judge, &seen);
    let text = format!(
        "{} {} in {:.1} pod hours vs {} in {:.1} stable",
        signal.name,
        counts.canary_errors,
        hours(counts.canary_requests),
        counts.stable_errors,
        hours(counts.stable_requests),
    );
    match (verdict, state.until) {
        (Verdict::Harm, Some(sample_at)) => {
            let sentence =
                format!("{text}: odds {} ({} needed)", odds(capital.harm.max(capital.fuse)), odds(judge.harm_at()));
            Opinion::Harm(Harm { signal: signal.name.clone(), sentence, sample_at })
        }
        (_, _) => Opinion::Safe(text),
    }
}

/// What happened since the last poll: restarts, and seconds in which pods were there, of both versions.
fn take(snapshot: &Snapshot, run: &Run, state: &mut SignalState) -> Option<Tally> {
    let began = run.times.exposed_at?;
    let stable = snapshot.stable_pods.as_ref()?;
    let counted = state.counts.get_or_insert_default();
    // What happened before the canary met users is where counting begins.
    let first = state.until.is_none();
    let since = state.until.unwrap_or(began);
    let span = elapsed(snapshot.now, since);
    if !first && span < snapshot.rollout.spec.analysis.interval {
        return None;
    }
    let fresh = |pods: &[PodFacts], cursors: &mut Cursors| {
        pods.iter().fold(0_u64, |sum, pod| {
            let before = cursors.get(&pod.name);
            // Only pods that have restarted are remembered: the others stand at 0.
            if pod.restarts > 0 {
                cursors.set(&pod.name, f64::from(pod.restarts));
            }
            let before = before.unwrap_or(if first { f64::from(pod.restarts) } else { 0.0 });
            sum.saturating_add(super::super::tally::delta(before, f64::from(pod.restarts)).unsigned_abs())
        })
    };
    let seconds = |pods: &[PodFacts]| {
        let pods = u64::try_from(pods.len()).unwrap_or(u64::MAX);
        pods.saturating_mul(u64::try_from(span.as_millis()).unwrap_or(0)).checked_div(1000).unwrap_or(0)
    };
    let tally = Tally {
        canary_errors: fresh(&snapshot.canary_pods, &mut counted.cursors),
        stable_errors: fresh(stable, &mut counted.cursors),
        canary_requests: seconds(&snapshot.canary_pods),
        stable_requests: seconds(stable),
    };
    counted.run.add(&tally);
    state.until = Some(snapshot.now);
    (tally.canary_requests > 0).then_some(tally)
}

#[allow(clippy::cast_precision_loss)] // for people
fn hours(seconds: u64) -> f64 {
    seconds as f64 / 3600.0
}
