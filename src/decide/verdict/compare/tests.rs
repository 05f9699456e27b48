//! Policies, the split of alpha, and what a spec that changes does to the evidence.

use serde_json::json;

use super::*;
use crate::api::{Step, WaveState};

fn spec(signals: serde_json::Value) -> RolloutSpec {
    serde_json::from_value(json!({
        "targetRef": {"name": "shop"},
        "traffic": {"stableService": "shop", "routes": [{"name": "shop"}]},
        "waves": [{"weight": 1}, {"weight": 5}, {"weight": 10}, {"weight": 25}, {"weight": 50}],
        "analysis": {"providerRef": {"name": "cluster"}, "signals": signals},
    }))
    .unwrap()
}

fn run() -> Run {
    let mut run: Run = serde_json::from_value(json!({
        "release": "r", "number": 1, "revision": "a", "fromRevision": "b", "step": "Baking", "stepAt": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    assert_eq!(run.step, Step::Baking);
    run.wave = Some(WaveState { index: 0, started_at: run.step_at, accepted_at: None, bake_at: None });
    run
}

fn look(judge: &Judge, state: &mut SignalState, polls: &[(Tally, Tally)], absolute: bool) {
    let mut seen = Seen::of(state);
    fold(judge, &mut seen, polls, absolute);
    seen.keep(state);
}

#[test]
fn signals_that_act_share_alpha_and_one_on_trial_takes_from_nobody() {
    let spec = spec(json!([
        {"name": "errors", "errorRatio": {}},
        {"name": "slow", "latency": {"over": "300ms"}},
        {"name": "restarts", "restarts": {}},
        {"name": "ceiling", "errorRatio": {"threshold": "5%"}},
        {"name": "trial", "errorRatio": {"tolerance": "2"}, "dryRun": true},
    ]));
    let alpha = |index: usize| policy(&spec, &spec.analysis.signals[index], 0, 1.0).alpha;
    assert!((alpha(0) + alpha(1) + alpha(2) - 0.01).abs() < 1e-12);
    assert!((alpha(0) - 0.005).abs() < 1e-12);
    assert!((alpha(4) - 0.01 * 5.0 / 15.0).abs() < 1e-12);
    assert!(!compares(&spec.analysis.signals[3]));
}

#[test]
fn the_last_wave_is_the_strictest() {
    let spec = spec(json!([{"name": "errors", "errorRatio": {"floor": "0.5%", "tolerance": "1.5"}}]));
    let policy = |wave: usize| policy(&spec, &spec.analysis.signals[0], wave, 1.0);
    let excluded: Vec<_> = (0..5).map(|wave| (policy(wave).exclude_ratio, policy(wave).exclude_floor)).collect();
    assert_eq!(excluded, [(10.0, 0.05), (10.0, 0.05), (5.0, 0.02), (3.0, 0.01), (2.0, 0.005)]);
    assert_eq!((policy(0).tolerance, policy(0).floor, policy(0).alpha), (1.5, 0.005, 0.01));
    // Waves that are taken out of the spec in mid-run: the last one stands for what is missing.
    assert_eq!(policy(9).exclude_ratio, 2.0);
}

#[test]
fn another_policy_begins_anew_and_another_exclusion_only_its_own_part() {
    let spec_of = |ratio: serde_json::Value| spec(json!([{"name": "errors", "errorRatio": ratio}]));
    let (one, mut run, mut state) = (spec_of(json!({})), run(), SignalState::default());
    let judged = judge(&one, &one.analysis.signals[0], &mut state, &run).unwrap();
    let poll = |canary_errors| {
        let settled = Tally { canary_requests: 100, canary_errors, stable_requests: 900, stable_errors: 1 };
        (Tally::default(), settled)
    };
    look(&judged, &mut state, &[poll(5), poll(5)], false);
    let before = judged.capital(&state.evidence.unwrap());
    assert!(before.harm > 1.0 && before.safe != 1.0);
    // The next wave excludes more: capital against harm stays, that for safety begins anew.
    run.wave.as_mut().unwrap().index = 4;
    let judged = judge(&one, &one.analysis.signals[0], &mut state, &run).unwrap();
    let after = judged.capital(&state.evidence.unwrap());
    assert_eq!((after.harm, after.fuse, after.safe), (before.harm, before.fuse, 1.0));
    // Another tolerance is another question.
    let other = spec_of(json!({"tolerance": "3"}));
    let judged = judge(&other, &other.analysis.signals[0], &mut state, &run).unwrap();
    assert_eq!(judged.capital(&state.evidence.unwrap()).harm, 1.0);
}

#[test]
fn harm_is_final_whatever_is_read_after_it() {
    let (spec, run, mut state) = (spec(json!([{"name": "errors", "errorRatio": {}}])), run(), SignalState::default());
    let judged = judge(&spec, &spec.analysis.signals[0], &mut state, &run).unwrap();
    let poll = |canary_errors| {
        let settled = Tally { canary_requests: 100, canary_errors, stable_requests: 900, stable_errors: 1 };
        (Tally::default(), settled)
    };
    // An outage of Prometheus ends: a bad time and a good time are read at once.
    let polls: Vec<(Tally, Tally)> = [poll(5); 4].into_iter().chain([poll(0); 50]).collect();
    look(&judged, &mut state, &polls, false);
    assert_eq!(judged.verdict(&state.evidence.unwrap()), Verdict::Harm);
}

#[test]
fn what_is_never_harm_needs_not_be_excluded() {
    let spec = spec(json!([{"name": "slow", "latency": {"over": "250ms"}}]));
    let last = policy(&spec, &spec.analysis.signals[0], 4, 1.0);
    assert_eq!((last.floor, last.exclude_floor), (0.01, 0.01));
}
