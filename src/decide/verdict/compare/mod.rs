//! Canary against stable at the same time: the sequential test of `crate::judge` on the polls of one counter.
//!
//! Owns which policy a signal is judged by (defaults, the split of alpha, what a wave must exclude) and the sentence
//! with figures. Capital against harm is kept over the whole run; under another policy it begins anew. Must not count.

mod seen;

use jiff::Timestamp;

pub(super) use seen::log;
pub(in super::super) use seen::{Seen, after, fold, policy_of, verdict};

use super::super::budget;
use super::super::snapshot::Snapshot;
use super::super::time::{elapsed, human};
use super::super::words::{as_f64, grouped, odds, percent, share_text};
use super::{Harm, Opinion, Stream};
use crate::api::{Duration, JudgedBy, RolloutSpec, Run, Signal, SignalState, Tally, WaveEvidence};
use crate::judge::{self, Forecast, Judge, Policy, Stakes, Verdict};

/// What earlier waves must exclude, counted from the last one. Early waves meet few users and have little traffic.
const EXCLUSIONS: [(f64, f64); 4] = [(2.0, 0.005), (3.0, 0.01), (5.0, 0.02), (10.0, 0.05)];
/// Capital from which on the odds are worth showing.
const WORTH_TELLING: f64 = 4.0;
/// Of so many pods at least, one with at least this part of the bad requests is worth naming.
const SUSPECT_PODS: usize = 3;
const SUSPECT_PART: f64 = 0.8;
const TOLERANCE: f64 = 1.25;
pub(in super::super) const ERROR_FLOOR: f64 = 0.001;
const SLOW_FLOOR: f64 = 0.01;
const RESTARTS_PER_HOUR: f64 = 0.1;

/// How much of alpha a signal asks for: errors are what users feel first.
fn claim(signal: &Signal) -> f64 {
    match signal {
        Signal { error_ratio: Some(ratio), .. } if ratio.threshold.is_none() => 5.0,
        Signal { latency: Some(_), .. } => 3.0,
        Signal { restarts: Some(_), .. } => 2.0,
        _ => 0.0,
    }
}

/// Whether the signal is compared with stable.
pub(in super::super) fn compares(signal: &Signal) -> bool {
    claim(signal) > 0.0
}

/// The policy by which a signal is judged in a wave. Signals that act share alpha; one on trial takes from nobody.
pub(in super::super) fn policy(spec: &RolloutSpec, signal: &Signal, wave: usize, dispersion: f64) -> Policy {
    let acting = spec.analysis.signals.iter().filter(|other| !other.dry_run || other.name == signal.name);
    let part = claim(signal) / acting.map(claim).sum::<f64>().max(1.0);
    let (tolerance, floor) = match signal {
        Signal { error_ratio: Some(ratio), .. } => {
            (ratio.tolerance.as_ref(), ratio.floor.map_or(ERROR_FLOOR, |floor| floor.ratio()))
        }
        Signal { latency: Some(latency), .. } => {
            (latency.tolerance.as_ref(), latency.floor.map_or(SLOW_FLOOR, |floor| floor.ratio()))
        }
        Signal { restarts: Some(restarts), .. } => {
            let hourly = restarts.per_hour.as_ref().map_or(RESTARTS_PER_HOUR, |number| number.value());
            (restarts.tolerance.as_ref(), hourly / 3600.0)
        }
        _ => (None, ERROR_FLOOR),
    };
    let exclude = exclusion(spec, wave);
    // Two tests share what one would have.
    let both = if spec.analysis.allow_absolute_only { 0.5 } else { 1.0 };
    Policy {
        tolerance: tolerance.map_or(TOLERANCE, |number| number.value()),
        floor,
        alpha: spec.analysis.alpha.ratio() * part * both,
        exclude_ratio: exclude.0,
        // What is never harm needs not be excluded: else there would be rates that are neither.
        exclude_floor: exclude.1.max(floor),
        beta: spec.analysis.beta.ratio(),
        dispersion: dispersion.max(1.0),
        // A wave may be held for days, and a defect may come then.
        stakes: Stakes::Lasting,
    }
}

/// The regression that a wave must exclude.
pub(in super::super) fn exclusion(spec: &RolloutSpec, wave: usize) -> (f64, f64) {
    let own = spec.waves.get(wave).or(spec.waves.last()).and_then(|wave| wave.evidence.as_ref());
    if let Some(WaveEvidence { ratio, floor }) = own {
        return (ratio.value(), floor.ratio());
    }
    let after = spec.waves.len().saturating_sub(wave).saturating_sub(1);
    EXCLUSIONS.get(after).or(EXCLUSIONS.last()).copied().unwrap_or((2.0, 0.005))
}

/// The judge of a signal in the present wave, and the evidence as far as it was gathered under the same policy.
pub(super) fn judge(spec: &RolloutSpec, signal: &Signal, state: &mut SignalState, run: &Run) -> Result<Judge, String> {
    let wave = run.wave.as_ref().map_or(0, |wave| usize::from(wave.index));
    let dispersion = state.dispersion.as_ref().map_or(1.0, |number| number.value());
    let mut policy = policy(spec, signal, wave, dispersion);
    if budget::slowed(spec, run) {
        let next = self::policy(spec, signal, wave.saturating_add(1), dispersion);
        policy.exclude_ratio = policy.exclude_ratio.min(next.exclude_ratio);
        policy.exclude_floor = policy.exclude_floor.min(next.exclude_floor);
    }
    let judge = Judge::new(policy).map_err(|why| format!("spec.analysis.signals[{}]: {why}", signal.name))?;
    let Policy { tolerance, floor, alpha, exclude_ratio, exclude_floor, .. } = policy;
    let (harm, safe) =
        (format!("{tolerance} {floor} {alpha} {dispersion}"), format!("{exclude_ratio} {exclude_floor}"));
    let (harm_before, safe_before) = state.policy.split_once(';').unwrap_or_default();
    if harm_before != harm {
        state.evidence = None;
    } else if safe_before != safe
        && let Some(evidence) = &mut state.evidence
    {
        evidence.next_wave();
    }
    state.policy = format!("{harm};{safe}");
    state.evidence.get_or_insert_default();
    Ok(judge)
}

pub(super) fn opinion(
    snapshot: &Snapshot,
    run: &Run,
    state: &mut SignalState,
    signal: &Signal,
    stream: &Stream,
) -> Opinion {
    let spec = &snapshot.rollout.spec;
    let judge = match judge(spec, signal, state, run) {
        Ok(judge) => judge,
        Err(why) => return Opinion::Undecided(why),
    };
    let before = Seen::of(state);
    let (mut seen, absolute) = (before, spec.analysis.allow_absolute_only);
    let polls = &stream.news.polls;
    let news: Vec<(Tally, Tally)> = polls.iter().map(|poll| (poll.settling, poll.settled)).collect();
    let taken = fold(&judge, &mut seen, &news, absolute);
    seen.keep(state);
    for poll in polls.iter().take(taken) {
        state.until = Some(state.until.map_or(poll.end, |until| until.max(poll.end)));
    }
    log(state, JudgedBy::Comparison, (&judge, absolute), (&before, &seen), news.get(..taken).unwrap_or_default());
    let (capital, absolute, verdict) = verdict(&judge, &seen);
    let compared = |tally: &Tally| {
        format!(
            "{} {} vs {} stable on {} requests",
            signal.name,
            share_text(tally.canary_errors, tally.canary_requests),
            share_text(tally.stable_errors, tally.stable_requests),
            grouped(tally.canary_requests),
        )
    };
    match verdict {
        Verdict::Harm => {
            let Policy { tolerance, floor, .. } = *judge.policy();
            let (worse, won, needed) = match absolute {
                Some(won) => {
                    (format!("more than {} without a stable to compare with", percent(floor)), won, judge.harm_at())
                }
                None if capital.harm >= judge.harm_at() => {
                    (format!("worse than {tolerance}x stable"), capital.harm, judge.harm_at())
                }
                None => ("a disaster".to_owned(), capital.fuse, judge.fuse_at()),
            };
            let sentence = format!("{}: {worse}, odds {} ({} needed)", compared(&stream.run), odds(won), odds(needed));
            let sentence = sentence + &suspect(stream).unwrap_or_default();
            let sample_at = stream.until.or(state.until).unwrap_or(snapshot.now);
            Opinion::Harm(Harm { signal: signal.name.clone(), sentence, sample_at })
        }
        Verdict::Safe => Opinion::Safe(format!("{}: safe", compared(&stream.wave))),
        Verdict::Undecided => {
            // While the odds speak against it there is no saying when it will be safe.
            let outlook = if capital.harm >= WORTH_TELLING {
                format!("odds {} against it, {} are harm", odds(capital.harm), odds(judge.harm_at()))
            } else {
                estimate(&judge, &seen.evidence, run, stream, snapshot.now)
            };
            Opinion::Undecided(format!("{}; {outlook}", compared(&stream.wave)))
        }
    }
}

/// One pod of several that has nearly all of what went wrong: a bad node rather than a bad version, perhaps. It is told
/// and the version is taken back all the same; a person can try again.
fn suspect(stream: &Stream) -> Option<String> {
    let bad: u64 = stream.pods.values().map(|arm| arm.bad).fold(0, u64::saturating_add);
    let (pod, worst) = stream.pods.iter().max_by_key(|(_, arm)| arm.bad)?;
    let alone = stream.pods.len() >= SUSPECT_PODS && as_f64(worst.bad) >= SUSPECT_PART * as_f64(bad) && bad > 0;
    alone.then(|| {
        format!("; {} of {} were on pod {pod} alone, of {} pods", grouped(worst.bad), grouped(bad), stream.pods.len())
    })
}

/// How much longer it takes until Safe, in requests and in time.
fn estimate(judge: &Judge, evidence: &judge::Evidence, run: &Run, stream: &Stream, now: Timestamp) -> String {
    let (all, wave) = (&stream.run, &stream.wave);
    let rate = (as_f64(all.stable_errors)) / as_f64(all.stable_requests.max(1));
    let both = wave.canary_requests.saturating_add(wave.stable_requests);
    let share = if both == 0 { f64::from(run.weight) / 100.0 } else { as_f64(wave.canary_requests) / as_f64(both) };
    let Some(more) = Forecast::new(judge, rate, share).until_safe(evidence) else {
        return "no number of requests would show it safe; raise the wave's evidence.ratio or floor".to_owned();
    };
    let total = grouped(wave.canary_requests.saturating_add(more));
    let since = run.wave.as_ref().map(|wave| wave.started_at);
    let seconds = since.map_or(0.0, |since| elapsed(now, since).as_secs_f64());
    if wave.canary_requests == 0 || seconds < 1.0 {
        return format!("safe at about {total}");
    }
    let rest = as_f64(more) * seconds / as_f64(wave.canary_requests);
    format!("safe at about {total}, in {}", human(rough(rest)))
}

/// Seconds as a span; estimates need no fractions.
pub(in super::super) fn rough(seconds: f64) -> Duration {
    // The cast saturates; a week is as good as never.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = seconds.clamp(1.0, 604_800.0).ceil() as u64;
    Duration::from_secs(whole)
}

#[cfg(test)]
mod tests;
