//! Whole rollouts in the toy world, judged by comparison with stable: what people read, and what the evidence does.

use serde_json::json;
use sluice::api::{Outcome, Phase, Step};
use sluice::judge::{Judge, Policy};

use crate::scenarios::{adopted_with, play};
use crate::world::{Behaviour, World, comparing};

fn errors() -> sluice::api::RolloutSpec {
    comparing(json!([{"name": "errors", "errorRatio": {}}]))
}

fn run(world: &World) -> &sluice::api::Run {
    world.status.run.as_ref().unwrap()
}

#[test]
fn a_good_version_gathers_its_evidence() {
    let (mut world, mut transcript) = adopted_with(errors());
    world.apply("v2");
    play(&mut world, 90, &mut transcript);
    assert_eq!(world.status.phase, Phase::Promoted, "{transcript}");
    insta::assert_snapshot!(transcript);
}

#[test]
fn a_regression_below_any_threshold_is_found() {
    let (mut world, mut transcript) = adopted_with(errors());
    world.behave("v1", Behaviour { errors: 0.001, ..Behaviour::default() });
    world.behave("v2", Behaviour { errors: 0.01, ..Behaviour::default() });
    world.rate = 1000.0;
    play(&mut world, 30, &mut transcript);
    world.apply("v2");
    play(&mut world, 90, &mut transcript);
    assert_eq!(run(&world).outcome, Some(Outcome::RolledBack), "{transcript}");
    assert_eq!(run(&world).max_weight, 10, "{transcript}");
    insta::assert_snapshot!(transcript);
}

#[test]
fn an_outage_of_both_versions_is_nobodys_fault() {
    let (mut world, mut transcript) = adopted_with(errors());
    world.apply("v2");
    play(&mut world, 8, &mut transcript);
    assert!(world.share() > 0.0);
    for version in ["v1", "v2"] {
        world.behave(version, Behaviour { errors: 0.4, ..Behaviour::default() });
    }
    play(&mut world, 20, &mut transcript);
    assert_eq!(run(&world).outcome, None, "{transcript}");
    for version in ["v1", "v2"] {
        world.behave(version, Behaviour::default());
    }
    play(&mut world, 300, &mut transcript);
    assert_eq!(world.status.phase, Phase::Promoted, "{transcript}");
}

#[test]
fn slow_requests_are_compared_too() {
    let spec = comparing(json!([
        {"name": "errors", "errorRatio": {}},
        {"name": "slow", "latency": {"over": "300ms"}},
    ]));
    let (mut world, mut transcript) = adopted_with(spec);
    world.behave("v2", Behaviour { slow: 0.2, ..Behaviour::default() });
    world.apply("v2");
    play(&mut world, 60, &mut transcript);
    assert_eq!(run(&world).outcome, Some(Outcome::RolledBack), "{transcript}");
    assert_eq!(run(&world).signal.as_deref(), Some("slow"), "{transcript}");
}

#[test]
fn a_threshold_that_is_no_bucket_names_the_edges() {
    let spec = comparing(json!([{"name": "slow", "latency": {"over": "250ms"}}]));
    let (mut world, mut transcript) = adopted_with(spec);
    world.apply("v2");
    play(&mut world, 20, &mut transcript);
    assert_eq!(world.status.phase, Phase::Stalled, "{transcript}");
    assert!(world.status.message.contains("known edges: 300ms"), "{}", world.status.message);
    assert_eq!(world.share(), 0.0);
}

#[test]
fn a_dry_run_is_shown_and_never_acts() {
    let spec = comparing(json!([
        {"name": "queue", "query": {"promql": "max(queue)", "max": "10"}},
        {"name": "errors", "errorRatio": {}, "dryRun": true},
    ]));
    let (mut world, mut transcript) = adopted_with(spec);
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    world.apply("v2");
    play(&mut world, 120, &mut transcript);
    assert_eq!(run(&world).outcome, Some(Outcome::Promoted), "{transcript}");
    assert!(transcript.contains("(dry run: would take it back)"), "{transcript}");
}

#[test]
fn without_traffic_nothing_starts_and_the_question_is_shown() {
    let (mut world, mut transcript) = adopted_with(errors());
    world.rate = 0.0;
    play(&mut world, 400, &mut transcript);
    world.apply("v2");
    play(&mut world, 30, &mut transcript);
    assert_eq!(world.status.phase, Phase::Preflight, "{transcript}");
    assert!(world.status.message.contains("traefik_service_requests_total{"), "{}", world.status.message);
    assert!(!world.has_canary());
    world.rate = 200.0;
    play(&mut world, 20, &mut transcript);
    assert!(world.share() > 0.0, "{transcript}");
}

#[test]
fn counters_that_are_scraped_no_more_let_nothing_start() {
    let (mut world, mut transcript) = adopted_with(errors());
    world.scrapes = false;
    play(&mut world, 10, &mut transcript);
    world.apply("v2");
    play(&mut world, 20, &mut transcript);
    assert_eq!(world.status.phase, Phase::Preflight, "{transcript}");
    let message = &world.status.message;
    assert!(message.contains(" old; it scrapes every 1s. Asked: traefik_service_requests_total{"), "{message}");
    assert!(!world.has_canary());
    world.scrapes = true;
    play(&mut world, 20, &mut transcript);
    assert!(world.share() > 0.0, "{transcript}");
}

#[test]
fn a_quiet_service_holds_and_says_how_long_it_takes() {
    let mut spec = errors();
    spec.waves[0].max_bake = Some("60s".parse().unwrap());
    let (mut world, mut transcript) = adopted_with(spec);
    world.rate = 20.0;
    play(&mut world, 320, &mut transcript);
    world.apply("v2");
    play(&mut world, 100, &mut transcript);
    let planned = world.events.iter().find(|event| event.starts_with("Planned")).unwrap();
    assert!(planned.contains("evidence does not come within maxBake 1m; a weight of 20% would do"), "{planned}");
    assert_eq!((world.status.phase, run(&world).outcome), (Phase::Held, None), "{transcript}");
    assert!(world.status.message.contains("safe at about"), "{}", world.status.message);
}

#[test]
fn another_template_in_between_washes_nothing_off() {
    let (mut world, mut transcript) = adopted_with(errors());
    world.behave("v2", Behaviour { errors: 0.03, ..Behaviour::default() });
    world.apply("v2");
    for _ in 0..60 {
        if world.status.run.as_ref().is_some_and(|run| run.step == Step::Baking) {
            break;
        }
        play(&mut world, 1, &mut transcript);
    }
    let harm = |world: &World| {
        let state = run(world).signals.iter().find(|state| state.name == "errors").unwrap();
        Judge::new(Policy::default()).unwrap().capital(&state.evidence.unwrap()).harm
    };
    for _ in 0..30 {
        if harm(&world) >= 3.0 {
            break;
        }
        play(&mut world, 1, &mut transcript);
    }
    assert!(harm(&world) >= 3.0, "{transcript}");
    let before = harm(&world);
    assert_eq!(run(&world).outcome, None);
    world.apply("v3");
    play(&mut world, 25, &mut transcript);
    assert_eq!(run(&world).revision, World::digest("v3"), "{transcript}");
    assert!(harm(&world) < 1.1, "v3 has a record of its own");
    world.apply("v2");
    play(&mut world, 18, &mut transcript);
    assert_eq!(run(&world).revision, World::digest("v2"), "{transcript}");
    assert!(harm(&world) >= before * 0.99 || run(&world).outcome.is_some(), "{} after {before}", harm(&world));
    let size: usize = world.status.kept.iter().map(|kept| serde_json::to_string(kept).unwrap().len()).sum();
    assert!(size < 2_048, "{size}");
}

#[test]
fn a_budget_that_burns_takes_the_version_back_and_lets_none_start() {
    let spec = comparing(json!([
        {"name": "errors", "errorRatio": {"threshold": "50%"}},
        {"name": "budget", "burnRate": {"objective": "99.9%"}, "consecutive": 2},
    ]));
    let (mut world, mut transcript) = adopted_with(spec);
    // 2% of bad requests are 20 times what 99.9% allows, in every window.
    let burning = [("code=~", 20.0), ("increase", 1000.0)];
    world.values = vec![("code=~", 0.0), ("increase", 1000.0)];
    world.apply("v2");
    play(&mut world, 12, &mut transcript);
    assert!(world.share() > 0.0, "{transcript}");
    world.values = burning.to_vec();
    play(&mut world, 20, &mut transcript);
    assert_eq!(run(&world).outcome, Some(Outcome::RolledBack), "{transcript}");
    assert_eq!(run(&world).signal.as_deref(), Some("budget"));
    let summary = run(&world).summary.clone().unwrap();
    assert!(summary.contains("20.0x over 1h and 20.0x over 5m (limit 14.4x of 99.9%)"), "{summary}");
    // No time for another one either.
    world.apply("v3");
    play(&mut world, 20, &mut transcript);
    assert_eq!(world.status.phase, Phase::Preflight, "{transcript}");
    assert!(world.status.message.contains("before the version met anyone"), "{}", world.status.message);
    world.values = vec![("code=~", 0.0), ("increase", 1000.0)];
    play(&mut world, 20, &mut transcript);
    assert!(world.share() > 0.0, "{transcript}");
}

#[test]
fn restarts_are_compared_and_hold_nothing_up() {
    let spec = || {
        comparing(json!([
            {"name": "errors", "errorRatio": {"threshold": "50%"}},
            {"name": "restarts", "restarts": {}},
        ]))
    };
    let (mut world, mut transcript) = adopted_with(spec());
    world.apply("v2");
    play(&mut world, 80, &mut transcript);
    assert_eq!(run(&world).outcome, Some(Outcome::Promoted), "{transcript}");
    assert!(transcript.contains("1 more signal passes"), "{transcript}");
    let counted =
        run(&world).signals.iter().find(|state| state.name == "restarts").unwrap().counts.clone().unwrap().run;
    assert!(counted.canary_requests > 30 && counted.stable_requests >= 4 * 30, "pod seconds: {counted:?}");
    // Restarts of stable in the same time are no reason to blame the canary; one of the canary is not enough either.
    let (mut world, mut transcript) = adopted_with(spec());
    world.apply("v2");
    for _ in 0..10 {
        world.stable_restarts += 1;
        play(&mut world, 3, &mut transcript);
    }
    play(&mut world, 60, &mut transcript);
    assert_eq!(run(&world).outcome, Some(Outcome::Promoted), "{transcript}");
}

#[test]
fn at_full_weight_there_is_nothing_to_compare_with() {
    let mut spec = errors();
    spec.waves.truncate(1);
    spec.waves[0].weight = 100;
    let (mut world, mut transcript) = adopted_with(spec.clone());
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    world.apply("v2");
    play(&mut world, 60, &mut transcript);
    assert!(world.events.iter().any(|event| event.contains("at 100% there is no stable to compare with")));
    assert_eq!(run(&world).outcome, None, "no harm, and never safe: {transcript}");
    // After a wave with stable traffic, too: what was won there speaks for itself.
    spec.waves.insert(0, serde_json::from_value(json!({"weight": 10, "bake": "5s"})).unwrap());
    spec.analysis.allow_absolute_only = true;
    let (mut world, mut transcript) = adopted_with(spec);
    world.apply("v2");
    while world.share() < 100.0 && world.now.as_second() < 1_000_100 {
        play(&mut world, 1, &mut transcript);
    }
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    play(&mut world, 30, &mut transcript);
    assert_eq!(run(&world).outcome, Some(Outcome::RolledBack), "{transcript}");
    let summary = run(&world).summary.clone().unwrap();
    assert!(summary.contains("without a stable to compare with"), "{summary}");
}

#[test]
fn a_plan_is_shown_before_anyone_is_exposed() {
    let (mut world, mut transcript) = adopted_with(errors());
    world.apply("v2");
    play(&mut world, 1, &mut transcript);
    let forecast = &run(&world).forecast;
    assert_eq!(forecast.iter().map(|wave| wave.weight).collect::<Vec<_>>(), [10, 25, 50]);
    assert!(forecast.iter().all(|wave| wave.takes.is_some() && wave.detects.ends_with('%') && wave.warning.is_empty()));
    let ready = world.status.conditions.iter().find(|one| one.reason == "Readable").unwrap();
    assert!(ready.message.contains("requests of stable in"), "{}", ready.message);
}

#[test]
fn a_data_plane_that_cannot_tell_says_so_before_the_first_release() {
    let mut world = World::new();
    world.controller = "gateway.envoyproxy.io/gatewayclass-controller";
    world.spec = errors();
    play(&mut world, 5, &mut String::new());
    assert_eq!(world.status.phase, Phase::Stalled);
    let condition = world.status.conditions.iter().find(|one| one.type_.name() == "AnalysisReady").unwrap();
    assert_eq!(condition.reason, "DataPlaneUnsupported");
    assert!(condition.message.contains("Envoy Gateway") && condition.message.contains("source: Pods"), "{condition:?}");
    // Named explicitly, another source needs no gateway that can.
    world.spec = comparing(json!([{"name": "errors", "errorRatio": {"source": "Traefik"}}]));
    play(&mut world, 5, &mut String::new());
    assert_eq!(world.status.phase, Phase::Stable, "{}", world.status.message);
}

#[test]
fn a_canary_with_other_buckets_is_not_slow_but_unreadable() {
    let spec = comparing(json!([
        {"name": "errors", "errorRatio": {}},
        {"name": "slow", "latency": {"over": "300ms"}},
    ]));
    let (mut world, mut transcript) = adopted_with(spec);
    world.behave("v2", Behaviour { other_buckets: true, ..Behaviour::default() });
    world.apply("v2");
    play(&mut world, 60, &mut transcript);
    assert_eq!(run(&world).outcome, None, "{transcript}");
    assert!(world.status.message.contains("no bucket at the threshold"), "{}", world.status.message);
}
