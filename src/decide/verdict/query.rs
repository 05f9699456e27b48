//! A user's own query, held against limits: each answer is a sample.

use super::super::measure::{Ask, Provider, Sample};
use super::super::queries::{self, Stand};
use super::super::snapshot::Snapshot;
use super::counters::{fresh, reading, waiting_for_first};
use super::samples::{close, log, standing, told, values};
use super::{Blind, Harm, Opinion, wave_began};
use crate::api::{JudgedBy, Number, Query, Run, Signal, SignalState, VerdictWord};

pub(super) fn opinion(
    snapshot: &Snapshot,
    provider: &Provider,
    run: &Run,
    state: &mut SignalState,
    signal: &Signal,
    query: &Query,
    stand: Stand,
) -> Opinion {
    let wave_began = wave_began(run);
    let promql = match queries::render(snapshot, &query.promql, stand) {
        Ok(promql) => promql,
        Err(why) => {
            let sentence = format!("signal {}: {why}", signal.name);
            return Opinion::Blind(Blind { reason: "InvalidQuery", sentence, since: wave_began });
        }
    };
    let Some(reading) = reading(snapshot, provider, &Ask::Value(promql)) else {
        return Opinion::Blind(waiting_for_first(provider, wave_began));
    };
    let since = state.until.unwrap_or(wave_began).max(wave_began);
    let before = values(state);
    let new: Vec<Sample> = reading.values.iter().filter(|sample| sample.at > since).copied().collect();
    for sample in &new {
        close(state, signal, breaches(query.min.as_ref(), query.max.as_ref(), sample.value));
        state.until = Some(sample.at);
    }
    let limits = [("min", &query.min), ("max", &query.max)];
    let limits = limits.iter().filter_map(|(name, limit)| Some((*name, limit.as_ref()?.to_string()))).collect();
    let news = told(new.iter().map(|sample| sample.value));
    log(state, signal, (JudgedBy::Query, limits), before, &news);
    let bounds = match (&query.min, &query.max) {
        (Some(min), Some(max)) => format!("limits {min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("limit {max}"),
        (None, None) => String::from("no limit"),
    };
    let value = reading.values.last().map_or_else(|| "not read yet".to_owned(), |last| format!("{:.4}", last.value));
    let numbers = format!("{} {value} ({bounds}), {} samples", signal.name, state.closed);
    let standing = standing(state, signal);
    if let (VerdictWord::Harm, Some(sample_at)) = (standing, state.until) {
        return Opinion::Harm(Harm { signal: signal.name.clone(), sentence: numbers, sample_at });
    }
    let newest = reading.answered_at.unwrap_or(wave_began);
    if let Err(blind) = fresh(snapshot, provider, &signal.name, reading, newest) {
        return Opinion::Blind(blind);
    }
    if standing == VerdictWord::Safe { Opinion::Safe(numbers) } else { Opinion::Undecided(numbers) }
}

/// Whether a value is outside of its limits.
pub(in super::super) fn breaches(min: Option<&Number>, max: Option<&Number>, value: f64) -> bool {
    max.is_some_and(|max| value > max.value()) || min.is_some_and(|min| value < min.value())
}
