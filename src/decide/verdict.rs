//! What the evidence says: harm, safe, undecided, or no data.
//!
//! Owns the rules of plain thresholds: a sample breaches or passes, `consecutive` breaches among the last
//! `of` samples are harm. No answer never counts either way. Counts are per wave; all state is in the run.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::measure::{Ask, Provider, Reading};
use super::queries;
use super::snapshot::Snapshot;
use super::tally::{self, Increment};
use super::time::{elapsed, human, later, times};
use super::words::{as_f64, grouped, share_text};
use crate::api::{Duration, ErrorRatio, Query, Run, Signal, SignalState, Tally, VerdictWord};

/// How far the scrape interval reaches until a weight change is seen in the counters.
const SETTLE_SCRAPES: u32 = 2;
/// Gateways apply a change within this time of accepting it (Traefik gathers changes for up to two seconds).
const SETTLE_LEAST: Duration = Duration::from_secs(2);
/// A sample older than this many scrapes is stale.
const STALE_SCRAPES: u32 = 3;

/// Why the canary must be taken back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Harm {
    pub(super) signal: String,
    pub(super) sentence: String,
    pub(super) sample_at: Timestamp,
}

/// Why the evidence cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blind {
    pub(super) reason: &'static str,
    pub(super) sentence: String,
    pub(super) since: Timestamp,
}

/// What all signals together say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assessment {
    pub(super) word: VerdictWord,
    pub(super) sentence: String,
    pub(super) harm: Option<Harm>,
    pub(super) blind: Option<Blind>,
    /// The observed share follows the weight; if not, what is awaited.
    pub(super) share: Result<String, String>,
}

/// What one signal says.
enum Opinion {
    Harm(Harm),
    Safe(String),
    Undecided(String),
    Blind(Blind),
}

/// Counts what is new and judges every signal of the present wave.
pub(super) fn assess(snapshot: &Snapshot, provider: &Provider, run: &mut Run) -> Assessment {
    let spec = &snapshot.rollout.spec;
    let (increments, traffic) = count(snapshot, provider, run);
    let mut word = VerdictWord::Safe;
    let mut sentences = Vec::new();
    let (mut harm, mut blind): (Option<Harm>, Option<Blind>) = (None, None);
    let wave_began = run.wave.as_ref().map_or(run.step_at, |wave| wave.started_at);
    for signal in &spec.analysis.signals {
        let mut state = run.signals.iter().find(|state| state.name == signal.name).cloned().unwrap_or_default();
        state.name.clone_from(&signal.name);
        let opinion = match (&signal.error_ratio, &signal.query) {
            (Some(ratio), _) => {
                for (at, increment) in increments.iter().filter(|(at, _)| **at > wave_began) {
                    take_increment(&mut state, signal, ratio, *at, increment);
                }
                match (ratio_opinion(&state, signal, ratio, &run.traffic.wave), &traffic) {
                    // What was counted before the data went away still stands.
                    (Opinion::Harm(harm), _) => Opinion::Harm(harm),
                    (_, Err(blind)) => Opinion::Blind(blind.clone()),
                    (opinion, Ok(())) => opinion,
                }
            }
            (None, Some(query)) => query_opinion(snapshot, provider, &mut state, signal, query, wave_began),
            (None, None) => Opinion::Undecided(format!("signal {} has neither errorRatio nor query", signal.name)),
        };
        match run.signals.iter_mut().find(|known| known.name == signal.name) {
            Some(known) => *known = state,
            None => run.signals.push(state),
        }
        match opinion {
            Opinion::Harm(found) => harm = harm.or(Some(found)),
            Opinion::Safe(sentence) => sentences.push(sentence),
            Opinion::Undecided(sentence) => {
                word = if word == VerdictWord::NoData { word } else { VerdictWord::Undecided };
                sentences.push(sentence);
            }
            Opinion::Blind(found) => {
                word = VerdictWord::NoData;
                blind = blind.or(Some(found));
            }
        }
    }
    if let Some(harm) = &harm {
        word = VerdictWord::Harm;
        sentences = vec![harm.sentence.clone()];
    } else if let Some(blind) = &blind {
        sentences = vec![blind.sentence.clone()];
    }
    let share = share(snapshot, run, traffic.is_ok());
    Assessment { word, sentence: sentences.join("; "), harm, blind, share }
}

/// Counts the requests that are new, and says whether the counters can be read now.
fn count(
    snapshot: &Snapshot,
    provider: &Provider,
    run: &mut Run,
) -> (BTreeMap<Timestamp, Increment>, Result<(), Blind>) {
    let spec = &snapshot.rollout.spec;
    let began = run.times.exposed_at.unwrap_or(run.step_at);
    let canary_service = spec.traffic.canary_service_name();
    let accepted = run.wave.as_ref().and_then(|wave| wave.accepted_at);
    let bounds = tally::Bounds {
        began,
        wave: run.wave.as_ref().map_or(began, |wave| wave.started_at),
        settled: accepted.map(|at| later(at, settle(provider))),
        namespace: &snapshot.rollout.namespace,
        canary_service: &canary_service,
        stable_service: &spec.traffic.stable_service,
    };
    let ask = match queries::traffic(snapshot) {
        Ok(ask) => ask,
        Err(sentence) => {
            return (BTreeMap::new(), Err(Blind { reason: "DataPlaneUnsupported", sentence, since: run.step_at }));
        }
    };
    let Some(reading) = reading(snapshot, provider, &ask) else {
        return (BTreeMap::new(), Err(waiting_for_first(provider, run.step_at)));
    };
    let increments = tally::fold(&mut run.traffic, &reading.series, &bounds);
    let canary_seen = reading.series.iter().any(|one| {
        queries::classify(one, &bounds).is_some_and(|(role, _)| role == queries::Role::Canary)
            && !one.samples.is_empty()
    });
    let state = if let Some(failure) = &reading.failure {
        Err(Blind {
            reason: failure.class.reason(),
            sentence: unreadable(provider, &failure.text),
            since: failure.since,
        })
    } else {
        let newest = reading.series.iter().flat_map(|one| one.samples.last()).map(|sample| sample.at).max();
        let patience = patience(snapshot, provider);
        match (newest, accepted) {
            (Some(at), _) if elapsed(snapshot.now, at) > patience => Err(Blind {
                reason: "SamplesStale",
                sentence: format!(
                    "the newest sample of MetricsProvider {} is {} old; it scrapes every {}",
                    provider.name,
                    human(elapsed(snapshot.now, at)),
                    provider.scrape_interval
                ),
                since: at,
            }),
            (_, Some(accepted)) if !canary_seen && elapsed(snapshot.now, accepted) > patience => Err(Blind {
                reason: "NoSeries",
                sentence: format!("MetricsProvider {} has no series for Service {canary_service}", provider.name),
                since: accepted,
            }),
            (_, _) if !canary_seen => Err(waiting_for_first(provider, run.step_at)),
            (_, _) => Ok(()),
        }
    };
    (increments, state)
}

/// How old a sample may be.
fn patience(snapshot: &Snapshot, provider: &Provider) -> Duration {
    let scrapes = times(provider.scrape_interval, STALE_SCRAPES).as_millis();
    let every = snapshot.rollout.spec.analysis.interval.as_millis();
    Duration::from_millis(scrapes.saturating_add(every).unsigned_abs())
}

/// How long after acceptance the counters still show the weight before.
pub(super) fn settle(provider: &Provider) -> Duration {
    times(provider.scrape_interval, SETTLE_SCRAPES).max(SETTLE_LEAST)
}

fn waiting_for_first(provider: &Provider, since: Timestamp) -> Blind {
    Blind {
        reason: "AwaitingFirstSample",
        sentence: format!("waiting for the first sample from MetricsProvider {}", provider.name),
        since,
    }
}

fn unreadable(provider: &Provider, text: &str) -> String {
    format!("MetricsProvider {} cannot be read: {text}; holding, nothing advances", provider.name)
}

/// The reading of one question, once there was an answer or a failure.
pub(super) fn reading<'a>(snapshot: &'a Snapshot, provider: &Provider, ask: &Ask) -> Option<&'a Reading> {
    snapshot
        .readings
        .iter()
        .find(|reading| reading.provider == provider.name && reading.ask == *ask)
        .filter(|reading| reading.answered_at.is_some() || reading.failure.is_some())
}

/// Adds what one scrape brought to the open sample of an error ratio, and closes it when it is full.
fn take_increment(state: &mut SignalState, signal: &Signal, ratio: &ErrorRatio, at: Timestamp, increment: &Increment) {
    state.open_requests = state.open_requests.saturating_add(increment.counts.canary_requests);
    state.open_errors = state.open_errors.saturating_add(increment.counts.canary_errors);
    state.until = Some(at);
    let full = u64::from(ratio.min_requests);
    let limit = ratio.threshold.ratio();
    // The sample is lost as soon as it has more errors than a full one may have: no need to wait for the rest.
    let lost = as_f64(state.open_errors) > limit * as_f64(full);
    if lost || state.open_requests >= full {
        let breach =
            lost && state.open_requests < full || as_f64(state.open_errors) > limit * as_f64(state.open_requests);
        close(state, signal, breach);
        state.open_requests = 0;
        state.open_errors = 0;
    }
}

fn close(state: &mut SignalState, signal: &Signal, breach: bool) {
    state.samples.push(if breach { 'x' } else { 'o' });
    let extra = state.samples.len().saturating_sub(usize::from(signal.window()));
    state.samples.drain(..extra);
    state.closed = state.closed.saturating_add(1);
}

/// Three answers from the closed samples: enough breaches, enough samples with the last one good, or not yet.
fn standing(state: &SignalState, signal: &Signal) -> VerdictWord {
    let breaches = state.samples.bytes().filter(|sample| *sample == b'x').count();
    if breaches >= usize::from(signal.consecutive) {
        VerdictWord::Harm
    } else if state.closed >= u32::from(signal.consecutive) && state.samples.ends_with('o') {
        VerdictWord::Safe
    } else {
        VerdictWord::Undecided
    }
}

fn ratio_opinion(state: &SignalState, signal: &Signal, ratio: &ErrorRatio, wave: &Tally) -> Opinion {
    let numbers = format!(
        "{} {} (limit {}) on {} canary requests, stable {}",
        signal.name,
        share_text(wave.canary_errors, wave.canary_requests),
        ratio.threshold,
        grouped(wave.canary_requests),
        share_text(wave.stable_errors, wave.stable_requests),
    );
    match (standing(state, signal), state.until) {
        (VerdictWord::Harm, Some(sample_at)) => {
            Opinion::Harm(Harm { signal: signal.name.clone(), sentence: numbers, sample_at })
        }
        (VerdictWord::Safe, _) => Opinion::Safe(numbers),
        (VerdictWord::None | VerdictWord::Undecided | VerdictWord::NoData | VerdictWord::Harm, _) => {
            let wanted = u64::from(signal.consecutive).saturating_mul(u64::from(ratio.min_requests));
            Opinion::Undecided(format!("{numbers}; needs about {}", grouped(wanted)))
        }
    }
}

fn query_opinion(
    snapshot: &Snapshot,
    provider: &Provider,
    state: &mut SignalState,
    signal: &Signal,
    query: &Query,
    wave_began: Timestamp,
) -> Opinion {
    let promql = match queries::render(snapshot, &query.promql) {
        Ok(promql) => promql,
        Err(why) => {
            let sentence = format!("signal {}: {why}", signal.name);
            return Opinion::Blind(Blind { reason: "InvalidQuery", sentence, since: wave_began });
        }
    };
    let Some(reading) = reading(snapshot, provider, &Ask::Value(promql)) else {
        return Opinion::Blind(waiting_for_first(provider, wave_began));
    };
    let since = state.until.unwrap_or(wave_began);
    let mut last = None;
    for sample in reading.values.iter().filter(|sample| sample.at > since) {
        let above = query.max.as_ref().is_some_and(|max| sample.value > max.value());
        let below = query.min.as_ref().is_some_and(|min| sample.value < min.value());
        close(state, signal, above || below);
        state.until = Some(sample.at);
    }
    if let Some(sample) = reading.values.last() {
        last = Some(sample.value);
    }
    let bounds = match (&query.min, &query.max) {
        (Some(min), Some(max)) => format!("limits {min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("limit {max}"),
        (None, None) => String::from("no limit"),
    };
    let value = last.map_or_else(|| "not read yet".to_owned(), |value| format!("{value:.4}"));
    let numbers = format!("{} {value} ({bounds}), {} samples", signal.name, state.closed);
    let standing = standing(state, signal);
    if let (VerdictWord::Harm, Some(sample_at)) = (standing, state.until) {
        return Opinion::Harm(Harm { signal: signal.name.clone(), sentence: numbers, sample_at });
    }
    if let Some(failure) = &reading.failure {
        return Opinion::Blind(Blind {
            reason: failure.class.reason(),
            sentence: format!("signal {}: {}", signal.name, unreadable(provider, &failure.text)),
            since: failure.since,
        });
    }
    let newest = reading.answered_at.unwrap_or(wave_began);
    if elapsed(snapshot.now, newest) > patience(snapshot, provider) {
        let sentence = format!("signal {} was last read {} ago", signal.name, human(elapsed(snapshot.now, newest)));
        return Opinion::Blind(Blind { reason: "SamplesStale", sentence, since: newest });
    }
    if standing == VerdictWord::Safe { Opinion::Safe(numbers) } else { Opinion::Undecided(numbers) }
}

/// Whether the observed share of requests follows the weight, within what chance allows.
fn share(snapshot: &Snapshot, run: &Run, readable: bool) -> Result<String, String> {
    let tally = &run.traffic.settled;
    let ratio_signals = snapshot.rollout.spec.analysis.signals.iter().any(|signal| signal.error_ratio.is_some());
    if !readable && !ratio_signals {
        // Only user queries, and a data plane whose counters we cannot read: the weight itself must do.
        return Ok(format!("weight {}%", run.weight));
    }
    let total = tally.canary_requests.saturating_add(tally.stable_requests);
    if total == 0 {
        return Err("no requests seen since the weight was accepted".to_owned());
    }
    let wanted = f64::from(run.weight) / 100.0;
    let observed = as_f64(tally.canary_requests) / as_f64(total);
    let chance = 3.0 * (wanted * (1.0 - wanted) / as_f64(total)).sqrt();
    let text =
        format!("observed share {:.1}% of {} requests, weight {}%", observed * 100.0, grouped(total), run.weight);
    let enough = as_f64(total) * wanted >= 5.0;
    if enough && (observed - wanted).abs() <= chance.max(0.02) { Ok(text) } else { Err(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(consecutive: u8, of: Option<u8>) -> Signal {
        Signal { name: "errors".into(), error_ratio: None, query: None, consecutive, of }
    }

    fn ratio(threshold: &str, min_requests: u32) -> ErrorRatio {
        ErrorRatio { source: crate::api::Source::Auto, threshold: threshold.parse().unwrap(), min_requests }
    }

    fn after(samples: &[(u64, u64)], signal: &Signal, ratio: &ErrorRatio) -> SignalState {
        let mut state = SignalState::default();
        for (second, (requests, errors)) in samples.iter().enumerate() {
            let counts = Tally { canary_requests: *requests, canary_errors: *errors, ..Tally::default() };
            let at = Timestamp::from_second(second as i64).unwrap();
            take_increment(&mut state, signal, ratio, at, &Increment { counts, settled: true });
        }
        state
    }

    #[test]
    fn one_bad_sample_is_not_a_verdict() {
        let (signal, ratio) = (signal(2, None), ratio("2%", 50));
        let state = after(&[(50, 0), (50, 10), (50, 0), (50, 0)], &signal, &ratio);
        assert_eq!((standing(&state, &signal), state.samples.as_str()), (VerdictWord::Safe, "oo"));
        let state = after(&[(50, 0), (50, 10), (50, 5)], &signal, &ratio);
        assert_eq!(standing(&state, &signal), VerdictWord::Harm);
    }

    #[test]
    fn a_sample_waits_for_enough_requests_but_not_for_certain_breaches() {
        let (signal, ratio) = (signal(1, None), ratio("2%", 50));
        let state = after(&[(10, 0), (10, 1)], &signal, &ratio);
        assert_eq!((state.closed, state.open_requests, state.open_errors), (0, 20, 1));
        let state = after(&[(10, 0), (10, 2)], &signal, &ratio);
        assert_eq!((state.samples.as_str(), state.open_requests), ("x", 0));
        // Exactly the threshold is not above it.
        let state = after(&[(50, 1)], &signal, &ratio);
        assert_eq!(state.samples, "o");
    }

    #[test]
    fn n_of_m_looks_back_over_m() {
        let (signal, ratio) = (signal(3, Some(5)), ratio("2%", 10));
        let state = after(&[(10, 5), (10, 0), (10, 5), (10, 0), (10, 5)], &signal, &ratio);
        assert_eq!(standing(&state, &signal), VerdictWord::Harm);
        let state = after(&[(10, 5), (10, 0), (10, 0), (10, 5), (10, 0), (10, 5)], &signal, &ratio);
        assert_eq!(standing(&state, &signal), VerdictWord::Undecided);
    }
}
