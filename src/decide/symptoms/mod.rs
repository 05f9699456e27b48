//! How the bad requests of a version that was taken back stood out: which codes, routes, methods, zones.
//!
//! Owns when that is asked, how long the record waits for it, and what is noted. After the verdict the series of bad
//! requests are read once more, from the first exposure on. Nothing that moves waits for the answer: the weight is 0 by
//! then, and without it the failure has a signature of reason and signal alone.

mod excess;
mod labels;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::draft::Draft;
use super::measure::{Ask, Provider, Series};
use super::queries::{self, Stand};
use super::snapshot::Snapshot;
use super::sources::{BadAsk, Counts, Role};
use super::tally::delta;
use super::time::{elapsed, later, times};
use super::verdict::reading;
use super::words::as_f64;
use crate::api::{Duration, Query, Run, Signal, Symptom};
use excess::Bad;

/// How long the record waits for an answer, after the weight was seen to be 0.
const PATIENCE: Duration = Duration::from_secs(10);
/// So far back counters are read for certain. Of a longer run only the last part is read.
const REACH: Duration = Duration::from_secs(3600);
const REACH_SCRAPES: u32 = 2_000;

/// The signal that breached, if it is one that counts requests.
fn breached<'a>(s: &'a Snapshot, run: &Run) -> Option<(&'a Signal, Counts)> {
    run.times.exposed_at?;
    let name = run.signal.as_ref()?;
    let signal = s.rollout.spec.analysis.signals.iter().find(|signal| signal.name == *name)?;
    let counts = queries::counts(s, signal).filter(|_| signal.burn_rate.is_none())?.ok()?;
    Some((signal, counts))
}

/// What is to be asked, and from when on: nothing once it is known.
pub(super) fn due(s: &Snapshot, run: &Run) -> Vec<(Ask, Timestamp)> {
    let Some(exposed_at) = run.times.exposed_at.filter(|_| run.symptoms.is_none()) else { return Vec::new() };
    let asks = breached(s, run).map(|(_, counts)| counts.bad()).unwrap_or_default();
    asks.into_iter().map(|asked| (asked.ask, exposed_at)).collect()
}

/// Notes what the answers say, once all are there.
pub(super) fn note(d: &mut Draft<'_>) {
    let s = d.s;
    let (Some(provider), Some(run)) = (&s.provider, d.status.run.as_mut()) else { return };
    if run.symptoms.is_some() {
        return;
    }
    if let Some((signal, counts)) = breached(s, run) {
        run.symptoms = found(s, provider, run, signal, &counts);
    }
}

/// Whether the record need not wait any more. It never does for somebody who wants something new.
pub(super) fn known(d: &mut Draft<'_>) -> bool {
    let Some(run) = d.active().cloned() else { return true };
    let Some(zero_at) = run.times.weight_zero_at.filter(|_| run.symptoms.is_none()) else { return true };
    let waits = d.s.provider.is_some() && breached(d.s, &run).is_some() && !super::recovery::hurried(d, &run);
    !waits || d.passed(zero_at, PATIENCE)
}

/// Of a query with two limits: on which side it was when the verdict fell.
pub(super) fn direction(d: &mut Draft<'_>) {
    let s = d.s;
    let (Some(provider), Some(run)) = (&s.provider, d.status.run.as_mut()) else { return };
    let signal = s.rollout.spec.analysis.signals.iter().find(|signal| run.signal.as_ref() == Some(&signal.name));
    let Some(Query { promql, min: Some(min), max: Some(_) }) = signal.and_then(|signal| signal.query.as_ref()) else {
        return;
    };
    let Ok(promql) = queries::render(s, promql, Stand::Canary) else { return };
    let last = reading(s, provider, &Ask::Value(promql)).and_then(|reading| reading.values.last());
    run.symptoms = last.map(|last| {
        let value = if last.value < min.value() { "below" } else { "above" };
        vec![Symptom { label: "direction".to_owned(), value: value.to_owned(), share: 100 }]
    });
}

/// What most of the excess has in common; `None` while a question has no answer, or if no answer shows an excess.
fn found(s: &Snapshot, provider: &Provider, run: &Run, signal: &Signal, counts: &Counts) -> Option<Vec<Symptom>> {
    let began = run.times.exposed_at?;
    let mut answers: Vec<(BadAsk, &[Series])> = Vec::new();
    for asked in counts.bad() {
        let reading = reading(s, provider, &asked.ask).filter(|reading| reading.answered_at.is_some())?;
        answers.push((asked, &reading.series));
    }
    let canarys = |(asked, series): &&(BadAsk, &[Series])| {
        series.iter().any(|one| matches!(counts.bad_part(asked, one), Some((Role::Canary, _))))
    };
    // A request that is counted in two places is looked at in the more trusted one.
    let meter = answers.iter().filter(canarys).map(|(asked, _)| asked.meter).min()?;
    answers.retain(|(asked, _)| asked.meter == meter);
    let window = Window::of(&answers, s, began, provider);
    let mut seen = BTreeSet::new();
    let mut bad = Vec::new();
    for (asked, series) in answers.iter().flat_map(|(asked, series)| series.iter().map(move |one| (asked, one))) {
        // Two questions may bring one series: a status and an error of the proxy.
        let Some((role, sign)) = counts.bad_part(asked, series).filter(|_| seen.insert((&series.labels, &series.id)))
        else {
            continue;
        };
        let grown = window.grown(series).saturating_mul(i64::from(sign));
        let (canary, stable) = if role == Role::Canary { (grown, 0) } else { (0, grown) };
        bad.push(Bad { labels: &series.labels, pod: counts.bad_pod(asked, series), canary, stable });
    }
    let state = run.signals.iter().find(|state| state.name == signal.name);
    let own = state.and_then(|state| state.counts.as_deref());
    let tally = own.map_or(run.traffic.run, |own| own.run);
    let ratio = as_f64(tally.canary_requests) / as_f64(tally.stable_requests.max(1));
    excess::dominant(&bad, ratio, pods(s, provider, &bad))
}

/// How many pods of the canary have served: those of which a counter of the traffic is read, or of bad requests.
fn pods(s: &Snapshot, provider: &Provider, bad: &[Bad<'_>]) -> usize {
    let mut pods: BTreeSet<&str> = bad.iter().filter(|one| one.canary != 0).filter_map(|one| one.pod).collect();
    if let Ok(counts) = queries::traffic(s) {
        for reading in counts.asks().iter().filter_map(|ask| reading(s, provider, ask)) {
            let canarys = reading
                .series
                .iter()
                .filter(|one| counts.part(&reading.ask, one).is_some_and(|part| part.role == Role::Canary));
            pods.extend(canarys.filter_map(|one| counts.pod(&reading.ask, one)));
        }
    }
    pods.len()
}

/// The time that the readings cover.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// The first exposure.
    began: Timestamp,
    /// A series whose first sample is later than this was born in the window; `None`: one without an earlier sample was.
    born_after: Option<Timestamp>,
}

impl Window {
    fn of(answers: &[(BadAsk, &[Series])], s: &Snapshot, began: Timestamp, provider: &Provider) -> Self {
        let whole = elapsed(s.now, began) <= REACH.min(times(provider.scrape_interval, REACH_SCRAPES));
        let samples = answers.iter().flat_map(|(_, series)| series.iter()).filter_map(|one| one.samples.first());
        let first = samples.map(|sample| sample.at).min().unwrap_or(began);
        Self { began, born_after: (!whole).then(|| later(first, provider.scrape_interval)) }
    }

    /// What a series counted in the window: one that was there before it must not count its whole history.
    fn grown(&self, series: &Series) -> i64 {
        let before = series.samples.iter().rev().find(|sample| sample.at <= self.began);
        let born = |after| series.samples.first().is_some_and(|sample| sample.at > after);
        let mut last = before.map(|sample| sample.value).or(self.born_after.is_none_or(born).then_some(0.0));
        let mut sum = 0_i64;
        for sample in series.samples.iter().filter(|sample| sample.at > self.began) {
            sum = sum.saturating_add(last.map_or(0, |last| delta(last, sample.value)));
            last = Some(sample.value);
        }
        sum
    }
}

#[cfg(test)]
mod tests;
