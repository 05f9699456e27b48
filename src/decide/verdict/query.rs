//! A user's own query, held against limits: each answer is a sample.

use super::super::measure::{Ask, Provider};
use super::super::queries::{self, Stand};
use super::super::snapshot::Snapshot;
use super::counters::{fresh, reading, waiting_for_first};
use super::samples::{close, standing};
use super::{Blind, Harm, Opinion, wave_began};
use crate::api::{Query, Run, Signal, SignalState, VerdictWord};

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
    for sample in reading.values.iter().filter(|sample| sample.at > since) {
        let above = query.max.as_ref().is_some_and(|max| sample.value > max.value());
        let below = query.min.as_ref().is_some_and(|min| sample.value < min.value());
        close(state, signal, above || below);
        state.until = Some(sample.at);
    }
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
