//! What the signals of each attempt have counted, and what they are held against.

use std::fmt;

use super::encode::Families;
use super::{Seen, share};
use crate::api::{Signal, SignalState, Tally};
use crate::judge::Stakes;

/// Every signal that counts requests of a canary with traffic, and its counts of the wave.
fn counted(all: &[Seen<'_>], mut each: impl FnMut(&Seen<'_>, &SignalState, Tally) -> fmt::Result) -> fmt::Result {
    for seen in all {
        let Some(run) = seen.status.run.as_ref().filter(|run| run.weight > 0) else { continue };
        for signal in &seen.spec.analysis.signals {
            let counts = signal.error_ratio.is_some() || signal.latency.is_some();
            let state = run.signals.iter().find(|state| counts && state.name == signal.name);
            if let Some(state) = state {
                each(seen, state, state.counts.as_deref().unwrap_or(&run.traffic).wave)?;
            }
        }
    }
    Ok(())
}

/// The limits of a signal that has fixed ones, as which bound and value.
fn fixed(signal: &Signal) -> [Option<(&'static str, f64)>; 2] {
    let limit = signal.error_ratio.as_ref().and_then(|ratio| ratio.threshold);
    let query = signal.query.as_ref();
    let max = query.and_then(|query| query.max.as_ref()).map(|max| max.value());
    let min = query.and_then(|query| query.min.as_ref()).map(|min| min.value());
    [limit.map(|limit| limit.ratio()).or(max).map(|max| ("max", max)), min.map(|min| ("min", min))]
}

/// What a canary that is compared may have: tolerance times stable's share, or the floor where that is more. The policy
/// is kept with the evidence that was won against it, as `TOLERANCE FLOOR …`.
fn tolerated(state: &SignalState, tally: Tally) -> Option<f64> {
    let mut words = state.policy.split(' ').map(str::parse::<f64>);
    let (Some(Ok(tolerance)), Some(Ok(floor))) = (words.next(), words.next()) else { return None };
    let stable = if tally.stable_requests > 0 { share(tally.stable_errors, tally.stable_requests) } else { 0.0 };
    Some((tolerance * stable).max(floor))
}

pub(super) fn encode(all: &[Seen<'_>], families: &mut Families<'_, '_>) -> fmt::Result {
    families.gauges("analysis_value", "Share of bad requests that a signal has counted in this wave", |put| {
        counted(all, |seen, state, tally| {
            let roles = [
                ("canary", tally.canary_errors, tally.canary_requests),
                ("stable", tally.stable_errors, tally.stable_requests),
            ];
            roles.into_iter().filter(|(_, _, requests)| *requests > 0).try_for_each(|(role, bad, requests)| {
                put(&of_signal(seen, &state.name, ("role", role)), share(bad, requests))
            })
        })
    })?;
    families.gauges(
        "analysis_threshold",
        "What a signal is held against: its limit, or what is tolerated of the canary at stable's share of bad requests",
        |put| {
            for seen in all {
                for signal in &seen.spec.analysis.signals {
                    for (bound, value) in fixed(signal).into_iter().flatten() {
                        put(&of_signal(seen, &signal.name, ("bound", bound)), value)?;
                    }
                }
            }
            counted(all, |seen, state, tally| match tolerated(state, tally).filter(|_| state.evidence.is_some()) {
                Some(value) => put(&of_signal(seen, &state.name, ("bound", "max")), value),
                None => Ok(()),
            })
        },
    )?;
    families.gauges(
        "analysis_harm_capital",
        "Odds that a signal which compares has gathered against the canary, from 1; see docs/verdicts.md",
        |put| {
            counted(all, |seen, state, _| {
                let labels = of_signal(seen, &state.name, ("role", "canary"));
                state.evidence.map_or(Ok(()), |evidence| put(&labels, evidence.harm(Stakes::Lasting)))
            })
        },
    )
}

fn of_signal<'a>(seen: &'a Seen<'_>, signal: &'a str, more: (&'a str, &'a str)) -> [(&'a str, &'a str); 4] {
    [("namespace", &seen.namespace), ("name", &seen.name), ("signal", signal), more]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_those_of_the_signal() {
        let signal = |value| serde_json::from_value::<Signal>(value).unwrap();
        let errors = signal(json!({"name": "errors", "errorRatio": {"threshold": "2%"}}));
        assert_eq!(fixed(&errors), [Some(("max", 0.02)), None]);
        let queue = signal(json!({"name": "queue", "query": {"promql": "up", "min": "1", "max": "5"}}));
        assert_eq!(fixed(&queue), [Some(("max", 5.0)), Some(("min", 1.0))]);
        assert_eq!(fixed(&signal(json!({"name": "errors", "errorRatio": {}}))), [None, None]);
    }

    #[test]
    fn what_is_tolerated_follows_stable_and_never_falls_below_the_floor() {
        let state = SignalState { policy: "1.25 0.001 0.01 1 2 0.005".into(), ..SignalState::default() };
        let tally = |stable_errors, stable_requests| Tally { stable_errors, stable_requests, ..Tally::default() };
        assert_eq!(tolerated(&state, tally(40, 1000)), Some(0.05));
        assert_eq!(tolerated(&state, tally(0, 1000)), Some(0.001));
        assert_eq!(tolerated(&state, tally(0, 0)), Some(0.001));
        assert_eq!(tolerated(&SignalState::default(), tally(1, 1)), None);
    }
}
