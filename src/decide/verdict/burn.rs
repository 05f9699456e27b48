//! Multi-window burn rate of the whole service: canary and stable together use up the error budget too fast.
//!
//! Source: "Alerting on SLOs" of the SRE workbook (multiwindow, multi-burn-rate alerts). It sees users as they are, so
//! it complements the comparison: a small canary that fails totally burns little, an outage of both burns much. Asks
//! for numerator and denominator, never for a ratio: 0/0 is no traffic and not NaN.

use jiff::Timestamp;

use super::super::logbook::number;
use super::super::measure::{Ask, Provider};
use super::super::queries;
use super::super::snapshot::Snapshot;
use super::counters::{fresh, reading, unsupported, waiting_for_first};
use super::samples::{close, log, standing, values};
use super::{Blind, Harm, Opinion, wave_began};
use crate::api::{BurnRate, BurnWindow, Duration, JudgedBy, Percent, Run, Signal, SignalState, VerdictWord};

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

/// How fast each pair of windows burns, and when the oldest of them was read; or why it cannot be known.
fn burning(
    snapshot: &Snapshot,
    provider: &Provider,
    run: &Run,
    signal: &Signal,
    burn: &BurnRate,
) -> Result<(Vec<(f64, f64)>, Timestamp), Blind> {
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
    let (mut rates, mut oldest) = (Vec::new(), Timestamp::MAX);
    for BurnWindow { long, short, factor: _ } in &burn.windows {
        let (slow, fast) = (read(*long)?, read(*short)?);
        oldest = oldest.min(slow.at).min(fast.at);
        rates.push((slow.factor, fast.factor));
    }
    Ok((rates, oldest))
}

/// The first pair of windows that both burn faster than their factor.
pub(in super::super) fn fires(factors: impl Iterator<Item = f64>, rates: &[(f64, f64)]) -> Option<usize> {
    factors.zip(rates).position(|(factor, (slow, fast))| *slow > factor && *fast > factor)
}

/// The pair of windows that burns too fast, in words; or why it cannot be known.
pub(in super::super) fn firing(
    snapshot: &Snapshot,
    provider: &Provider,
    run: &Run,
    signal: &Signal,
    burn: &BurnRate,
) -> Result<(Option<String>, String, Timestamp), Blind> {
    let (rates, oldest) = burning(snapshot, provider, run, signal, burn)?;
    let (found, text) = worded(signal, burn, &rates);
    Ok((found, text, oldest))
}

/// The pair of windows that burns too fast, and all of them, in words.
fn worded(signal: &Signal, burn: &BurnRate, rates: &[(f64, f64)]) -> (Option<String>, String) {
    let fires = fires(burn.windows.iter().map(|window| window.factor.value()), rates);
    let (mut found, mut texts) = (None, Vec::new());
    for (place, (BurnWindow { long, short, factor }, (slow, fast))) in burn.windows.iter().zip(rates).enumerate() {
        let text = format!("{slow:.1}x over {long} and {fast:.1}x over {short}");
        if fires == Some(place) {
            found = Some(format!("{} burns {text} (limit {factor}x of {})", signal.name, burn.objective));
        }
        texts.push(text);
    }
    (found, format!("{} {}", signal.name, texts.join(", ")))
}

pub(super) fn opinion(
    snapshot: &Snapshot,
    provider: &Provider,
    run: &Run,
    state: &mut SignalState,
    signal: &Signal,
    burn: &BurnRate,
) -> Opinion {
    let (rates, at) = match burning(snapshot, provider, run, signal, burn) {
        Ok(read) => read,
        Err(blind) => return Opinion::Blind(blind),
    };
    let (found, text) = worded(signal, burn, &rates);
    let since = state.until.unwrap_or(wave_began(run)).max(wave_began(run));
    let (before, mut news) = (values(state), Vec::new());
    if at > since {
        let pair = |(slow, fast): &(f64, f64)| format!("{}:{}", number(*slow), number(*fast));
        news.push(rates.iter().map(pair).collect::<Vec<_>>().join(","));
        close(state, signal, found.is_some());
        state.until = Some(at);
    }
    let each = |text: fn(&BurnWindow) -> String| burn.windows.iter().map(text).collect::<Vec<_>>().join(",");
    let limits = vec![
        ("objective", burn.objective.to_string()),
        ("windows", each(|window| format!("{}:{}", window.long, window.short))),
        ("factors", each(|window| window.factor.to_string())),
    ];
    log(state, signal, (JudgedBy::BurnRate, limits), before, &news);
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
