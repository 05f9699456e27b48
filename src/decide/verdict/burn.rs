//! Multi-window burn rate of the whole service: canary and stable together use up the error budget too fast.
//!
//! Source: "Alerting on SLOs" of the SRE workbook (multiwindow, multi-burn-rate alerts). It sees users as they are, so
//! it complements the comparison: a small canary that fails totally burns little, an outage of both burns much. Asks
//! for numerator and denominator, never for a ratio: 0/0 is no traffic and not NaN.

use jiff::Timestamp;

use super::super::measure::{Ask, Provider};
use super::super::queries;
use super::super::snapshot::Snapshot;
use super::counters::{fresh, reading, unsupported, waiting_for_first};
use super::samples::{close, standing};
use super::{Blind, Harm, Opinion, wave_began};
use crate::api::{BurnRate, BurnWindow, Duration, Percent, Run, Signal, SignalState, VerdictWord};

/// How fast one window burns, and when that was read.
struct Burning {
    factor: f64,
    at: Timestamp,
}

/// The questions of a burn rate.
pub(in super::super) fn asks(snapshot: &Snapshot, signal: &Signal, burn: &BurnRate) -> Vec<Ask> {
    let Some(Ok(counts)) = queries::counts(snapshot, signal) else { return Vec::new() };
    let windows = burn.windows.iter().flat_map(|window| [window.long, window.short]);
    windows
        .flat_map(|window| {
            let (bad, all) = counts.whole(&promql(window));
            [Ask::Value(bad), Ask::Value(all)]
        })
        .collect()
}

/// The pair of windows that burns too fast, in words; or why it cannot be known.
pub(in super::super) fn firing(
    snapshot: &Snapshot,
    provider: &Provider,
    run: &Run,
    signal: &Signal,
    burn: &BurnRate,
) -> Result<(Option<String>, String, Timestamp), Blind> {
    let counts = match queries::counts(snapshot, signal) {
        Some(Ok(counts)) => counts,
        Some(Err(why)) => return Err(unsupported(why, run)),
        None => return Err(waiting_for_first(provider, run.step_at)),
    };
    let budget = 1.0 - Percent::ratio(burn.objective);
    let read = |window: Duration| -> Result<Burning, Blind> {
        let (bad, all) = counts.whole(&promql(window));
        let bad = latest(snapshot, provider, run, &signal.name, bad)?;
        let all = latest(snapshot, provider, run, &signal.name, all)?;
        let ratio = if all.factor > 0.0 { bad.factor / all.factor } else { 0.0 };
        Ok(Burning { factor: ratio / budget.max(1e-9), at: bad.at.min(all.at) })
    };
    let (mut found, mut texts, mut oldest) = (None, Vec::new(), Timestamp::MAX);
    for BurnWindow { long, short, factor } in &burn.windows {
        let (slow, fast) = (read(*long)?, read(*short)?);
        oldest = oldest.min(slow.at).min(fast.at);
        let text = format!("{:.1}x over {long} and {:.1}x over {short}", slow.factor, fast.factor);
        if slow.factor > factor.value() && fast.factor > factor.value() && found.is_none() {
            found = Some(format!("{} burns {text} (limit {factor}x of {})", signal.name, burn.objective));
        }
        texts.push(text);
    }
    Ok((found, format!("{} {}", signal.name, texts.join(", ")), oldest))
}

pub(super) fn opinion(
    snapshot: &Snapshot,
    provider: &Provider,
    run: &Run,
    state: &mut SignalState,
    signal: &Signal,
    burn: &BurnRate,
) -> Opinion {
    let (found, text, at) = match firing(snapshot, provider, run, signal, burn) {
        Ok(read) => read,
        Err(blind) => return Opinion::Blind(blind),
    };
    let since = state.until.unwrap_or(wave_began(run)).max(wave_began(run));
    if at > since {
        close(state, signal, found.is_some());
        state.until = Some(at);
    }
    match (standing(state, signal), state.until) {
        (VerdictWord::Harm, Some(sample_at)) => {
            Opinion::Harm(Harm { signal: signal.name.clone(), sentence: found.unwrap_or(text), sample_at })
        }
        (VerdictWord::Safe, _) => Opinion::Safe(text),
        (_, _) => Opinion::Undecided(format!("{text}, {} samples", state.closed)),
    }
}

/// The newest value of one question, if it is fresh.
fn latest(snapshot: &Snapshot, provider: &Provider, run: &Run, name: &str, promql: String) -> Result<Burning, Blind> {
    let Some(reading) = reading(snapshot, provider, &Ask::Value(promql)) else {
        return Err(waiting_for_first(provider, run.step_at));
    };
    let newest = reading.values.last();
    fresh(snapshot, provider, name, reading, newest.map_or(snapshot.now, |value| value.at))?;
    let Some(value) = newest else {
        return Err(waiting_for_first(provider, run.step_at));
    };
    Ok(Burning { factor: value.value, at: value.at })
}

/// A window as PromQL writes it.
fn promql(window: Duration) -> String {
    format!("{}ms", window.as_millis().max(1))
}
