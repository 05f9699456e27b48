//! Reading counters: what is new is counted, and what cannot be read is named.
//!
//! Owns the difference between "no request" and "no metric", and how old a sample may be. Must not judge counts.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::measure::{Ask, Provider, Reading};
use super::super::queries;
use super::super::snapshot::Snapshot;
use super::super::sources::{Counts, Role, Unsupported};
use super::super::tally::{self, Bounds};
use super::super::time::{elapsed, human, later, times};
use super::{Blind, Stream};
use crate::api::{Cursors, Duration, Run, TrafficState};
use crate::judge::Arm;

/// How far the scrape interval reaches until a weight change is seen in the counters.
const SETTLE_SCRAPES: u32 = 2;
/// Gateways apply a change within this time of accepting it (Traefik gathers changes for up to two seconds).
const SETTLE_LEAST: Duration = Duration::from_secs(2);
/// A sample older than this many scrapes is stale.
const STALE_SCRAPES: u32 = 3;

/// The counter of the traffic, from which the observed share is taken as well.
pub(super) fn traffic(snapshot: &Snapshot, provider: &Provider, run: &mut Run) -> Result<Stream, Blind> {
    let counts = queries::traffic(snapshot).map_err(|why| unsupported(why, run))?;
    let mut counted = std::mem::take(&mut run.traffic);
    let stream = stream(snapshot, provider, run, counts, &mut counted);
    run.traffic = counted;
    Ok(stream)
}

/// The data plane cannot answer this.
pub(super) fn unsupported(why: Unsupported, run: &Run) -> Blind {
    Blind { reason: why.reason, sentence: why.sentence, since: run.step_at }
}

/// Counts what is new of one counter, and says whether it can be read now.
pub(super) fn stream(
    snapshot: &Snapshot,
    provider: &Provider,
    run: &Run,
    counts: Counts,
    counted: &mut TrafficState,
) -> Stream {
    let began = run.times.exposed_at.unwrap_or(run.step_at);
    let accepted = run.wave.as_ref().and_then(|wave| wave.accepted_at);
    let bounds = Bounds {
        began,
        wave: run.wave.as_ref().map_or(began, |wave| wave.started_at),
        settled: accepted.map(|at| later(at, settle(provider))),
        interval: snapshot.rollout.spec.analysis.interval,
        scrape: provider.scrape_interval,
    };
    let asks = counts.asks();
    let read = |ask: &Ask| reading(snapshot, provider, ask).map_or(&[][..], |reading| reading.series.as_slice());
    let trusted = counts.chosen(read);
    let readings: Vec<&Reading> = asks.iter().filter_map(|ask| reading(snapshot, provider, ask)).collect();
    let answers: Vec<_> = readings.iter().map(|reading| tally::Answered::of(reading)).collect();
    // Errors without their requests would count wrong: as long as one question was never answered, none is counted.
    let all = asks.len() == readings.len() && readings.iter().all(|reading| reading.answered_at.is_some());
    // Without the bucket at the threshold every request of the canary would look slow.
    let lost = readings.iter().any(|one| counts.edge_lost(Role::Canary, &one.ask, &one.series));
    let news = if all && !lost { tally::fold(counted, &trusted, &answers, &bounds) } else { tally::News::default() };
    let readable = if readings.len() < asks.len() {
        Err(waiting_for_first(provider, run.step_at))
    } else {
        readable(snapshot, provider, run, &trusted, &readings, counted)
    };
    let pods = pods(&trusted, &readings);
    Stream { counts, news, run: counted.run, wave: counted.wave, until: counted.until, pods, readable }
}

/// What each pod of the canary counted since it started.
fn pods(counts: &Counts, readings: &[&Reading]) -> BTreeMap<String, Arm> {
    let mut pods: BTreeMap<String, Arm> = BTreeMap::new();
    for (ask, series) in readings.iter().flat_map(|one| one.series.iter().map(move |series| (&one.ask, series))) {
        let part = counts.part(ask, series).filter(|part| part.role == Role::Canary);
        let (Some(part), Some(pod), Some(last)) = (part, counts.pod(ask, series), series.samples.last()) else {
            continue;
        };
        let counted = tally::delta(0.0, last.value);
        let arm = pods.entry(pod.to_owned()).or_default();
        let add = |to: u64, by: i8| to.saturating_add_signed(counted.saturating_mul(i64::from(by)));
        *arm = Arm { requests: add(arm.requests, part.n), bad: add(arm.bad, part.x) };
    }
    pods
}

fn readable(
    snapshot: &Snapshot,
    provider: &Provider,
    run: &Run,
    counts: &Counts,
    readings: &[&Reading],
    counted: &TrafficState,
) -> Result<(), Blind> {
    if let Some(failure) = readings.iter().find_map(|reading| reading.failure.as_ref()) {
        return Err(Blind {
            reason: failure.class.reason(),
            sentence: unreadable(provider, &failure.text),
            since: failure.since,
        });
    }
    let every = || readings.iter().flat_map(|reading| reading.series.iter().map(|series| (&reading.ask, series)));
    let newest = every().filter_map(|(_, one)| one.samples.last()).map(|sample| sample.at).max();
    let canary_seen = every().any(|(ask, one)| {
        counts.part(ask, one).is_some_and(|part| part.role == Role::Canary) && !one.samples.is_empty()
    });
    let accepted = run.wave.as_ref().and_then(|wave| wave.accepted_at);
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
            sentence: format!(
                "MetricsProvider {} has no series of the canary; asked: {}",
                provider.name,
                counts.asks().first().map(Ask::promql).unwrap_or_default()
            ),
            since: accepted,
        }),
        (_, _) if !canary_seen => Err(waiting_for_first(provider, run.step_at)),
        (_, _) if counted.cursors.is_full() => Err(Blind {
            reason: "TooManySeries",
            sentence: format!(
                "the counters have more series than can be followed in one attempt ({}); use a source with fewer labels",
                Cursors::MOST
            ),
            since: accepted.unwrap_or(run.step_at),
        }),
        (_, _) if readings.iter().any(|one| counts.edge_lost(Role::Canary, &one.ask, &one.series)) => Err(Blind {
            reason: "NoSuchBucket",
            sentence: "the canary's histogram has no bucket at the threshold; it has other buckets than stable"
                .to_owned(),
            since: accepted.unwrap_or(run.step_at),
        }),
        (_, _) => Ok(()),
    }
}

/// How old a sample may be.
pub(in super::super) fn patience(snapshot: &Snapshot, provider: &Provider) -> Duration {
    let scrapes = times(provider.scrape_interval, STALE_SCRAPES).as_millis();
    let every = snapshot.rollout.spec.analysis.interval.as_millis();
    Duration::from_millis(scrapes.saturating_add(every).unsigned_abs())
}

/// How long after acceptance the counters still show the weight before.
pub(in super::super) fn settle(provider: &Provider) -> Duration {
    times(provider.scrape_interval, SETTLE_SCRAPES).max(SETTLE_LEAST)
}

pub(super) fn waiting_for_first(provider: &Provider, since: Timestamp) -> Blind {
    Blind {
        reason: "AwaitingFirstSample",
        sentence: format!("waiting for the first sample from MetricsProvider {}", provider.name),
        since,
    }
}

/// What was last read of one number stands for now; or why not: the last try failed, or it is too long ago.
pub(super) fn fresh(
    snapshot: &Snapshot,
    provider: &Provider,
    name: &str,
    reading: &Reading,
    newest: Timestamp,
) -> Result<(), Blind> {
    if let Some(failure) = &reading.failure {
        return Err(Blind {
            reason: failure.class.reason(),
            sentence: format!("signal {name}: {}", unreadable(provider, &failure.text)),
            since: failure.since,
        });
    }
    let age = elapsed(snapshot.now, newest);
    if age > patience(snapshot, provider) {
        let sentence = format!("signal {name} was last read {} ago", human(age));
        return Err(Blind { reason: "SamplesStale", sentence, since: newest });
    }
    Ok(())
}

fn unreadable(provider: &Provider, text: &str) -> String {
    format!("MetricsProvider {} cannot be read: {text}; holding, nothing advances", provider.name)
}

/// The reading of one question, once there was an answer or a failure.
pub(in super::super) fn reading<'a>(snapshot: &'a Snapshot, provider: &Provider, ask: &Ask) -> Option<&'a Reading> {
    snapshot
        .readings
        .iter()
        .find(|reading| reading.provider == provider.name && reading.ask == *ask)
        .filter(|reading| reading.answered_at.is_some() || reading.failure.is_some())
}
