//! What must hold for every order of events: random worlds, stale passes, crashes after any write.

use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

use sluice::api::{Action, Outcome, Step};
use sluice::decide;

use crate::logbook;
use crate::neighbours::{allow, database};
use crate::world::{Behaviour, World, comparing};

/// What may happen next.
#[derive(Debug, Clone)]
enum Happening {
    /// A second passes.
    Tick,
    /// A whole pass.
    Pass,
    /// A pass that decided on what it read some steps ago.
    StalePass,
    /// A pass that dies after so many writes.
    Crash(usize),
    /// Someone applies a version.
    Apply(u8),
    /// A version starts or stops failing.
    Break(u8, bool),
    /// Prometheus goes or comes back.
    Prometheus(bool),
    /// The gateway stops or starts accepting.
    Gateway(bool),
    /// Someone puts the route back as git has it.
    ResetRoute,
    /// A person makes an Intervention.
    Ask(usize),
    /// Someone scales the workload.
    Scale(u32),
    /// Someone opens the gate by hand.
    Open,
    /// Someone edits the waves.
    Waves(usize),
    /// Someone disables the Rollout, or enables it.
    Disable(bool),
    /// Someone deletes a policy of the gate, or puts it back.
    Policies(bool),
}

const WAVES: [&[u8]; 4] = [&[10, 25, 50], &[12, 80], &[15], &[20, 40, 60, 90]];

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        30 => Just(Happening::Tick),
        40 => Just(Happening::Pass),
        5 => Just(Happening::StalePass),
        5 => (0_usize..3).prop_map(Happening::Crash),
        2 => (1_u8..5).prop_map(Happening::Apply),
        2 => (1_u8..5, any::<bool>()).prop_map(|(version, bad)| Happening::Break(version, bad)),
        1 => any::<bool>().prop_map(Happening::Prometheus),
        1 => any::<bool>().prop_map(Happening::Gateway),
        1 => Just(Happening::ResetRoute),
        2 => (0_usize..Action::ALL.len()).prop_map(Happening::Ask),
        1 => (0_u32..7).prop_map(Happening::Scale),
        1 => Just(Happening::Open),
        1 => (0_usize..WAVES.len()).prop_map(Happening::Waves),
        1 => prop_oneof![1 => Just(true), 3 => Just(false)].prop_map(Happening::Disable),
        1 => prop_oneof![1 => Just(true), 3 => Just(false)].prop_map(Happening::Policies),
    ]
}

fn version(number: u8) -> String {
    format!("v{number}")
}

/// What must be true after every step.
fn invariants(world: &World) -> Result<(), TestCaseError> {
    let share = world.share();
    // Never above what was approved: the intent is committed before a route is touched.
    let approved = world.status.run.as_ref().map_or(0, |run| run.max_weight);
    prop_assert!(share <= f64::from(approved) + 1e-9, "share {share} above {approved}");
    let weights = world.weights();
    prop_assert!(weights.values().sum::<u64>() > 0, "nobody would be served: {weights:?}");
    prop_assert!(weights.contains_key("shop"));
    // The other rule is nobody's business.
    prop_assert_eq!(&world.route["spec"]["rules"][1], &World::new().route["spec"]["rules"][1]);
    // No pod of a canary without the policies that it needs.
    let made = world.neighbours.policies.iter().filter(|policy| policy.ours).count();
    prop_assert!(!world.has_canary() || made == world.neighbours.policies.len() - made, "{made} policies are there");
    if let Some(run) = &world.status.run {
        if run.outcome.is_some_and(|outcome| outcome != Outcome::Promoted) {
            prop_assert_eq!(run.weight, 0, "an attempt that was taken back keeps a weight");
        }
        // No promotion without the last wave having passed, unless a person skipped it.
        if run.outcome == Some(Outcome::Promoted) || run.step == Step::Promoting {
            let reasons: Vec<&str> = run.timeline.iter().map(|entry| entry.reason.as_str()).collect();
            let began = reasons.iter().filter(|reason| **reason == "WaveStarted").count();
            let passed = reasons.iter().filter(|reason| **reason == "WavePassed").count();
            prop_assert!(began > 0 && (passed == began || reasons.contains(&"WavesSkipped")), "{reasons:?}");
        }
        prop_assert!(run.timeline.len() <= 64);
        // Nobody's word is done twice.
        let names: BTreeSet<&str> = run.interventions.iter().map(|one| one.name.as_str()).collect();
        prop_assert_eq!(names.len(), run.interventions.len());
    }
    // What serves was adopted, promoted, or let through: nothing becomes stable by itself.
    if let Some(stable) = &world.status.stable {
        let known = world.known.contains(&stable.digest);
        prop_assert!(known, "{} is stable and nobody knows why", stable.digest);
    }
    // A ReworkEvent for every exposed attempt that was taken back, and for no other.
    for (name, outcome) in &world.releases {
        let rework = world.reworks.contains_key(name);
        match outcome {
            Some(Outcome::RolledBack | Outcome::Bypassed) => prop_assert!(rework, "{name} has no ReworkEvent"),
            Some(
                Outcome::Promoted
                | Outcome::Escaped
                | Outcome::Superseded
                | Outcome::SupersededUnderSuspicion
                | Outcome::FailedBeforeExposure,
            ) => prop_assert!(!rework),
            Some(Outcome::Aborted) | None => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(happenings in proptest::collection::vec(happening(), 50..400), compares in any::<bool>(), fenced in any::<bool>()) {
        let mut world = World::new();
        if fenced {
            world.neighbours.policies = vec![allow(), database()];
        }
        if compares {
            world.spec = comparing(json!([{"name": "errors", "errorRatio": {}}, {"name": "slow", "latency": {"over": "300ms"}}]));
        }
        world.settle(3);
        let mut old = (world.rollout_version(), world.snapshot());
        for (number, happening) in happenings.into_iter().enumerate() {
            match happening {
                Happening::Tick => world.tick(),
                Happening::Pass => { world.pass(); }
                Happening::StalePass => {
                    let decision = decide::decide(&old.1);
                    prop_assert_eq!(decide::check(&old.1, &decision), Ok(()));
                    world.carry_out(old.0, &decision, usize::MAX);
                }
                Happening::Crash(writes) => {
                    let decision = decide::decide(&world.snapshot());
                    world.carry_out(world.rollout_version(), &decision, writes);
                }
                Happening::Apply(number) => world.apply(&version(number)),
                Happening::Break(number, bad) => {
                    let errors = if bad { 0.3 } else { 0.0 };
                    world.behave(&version(number), Behaviour { errors, ..Behaviour::default() });
                }
                Happening::Prometheus(there) => world.prometheus = there,
                Happening::Gateway(there) => world.gateway = there,
                Happening::ResetRoute => world.reset_route(),
                Happening::Ask(action) => world.ask(Action::ALL[action]),
                Happening::Scale(replicas) => world.scale(replicas),
                Happening::Open => if world.paused { world.break_glass() },
                Happening::Waves(which) => world.edit_waves(WAVES[which]),
                Happening::Disable(disabled) => world.spec.disabled = disabled,
                Happening::Policies(away) => {
                    world.policies = if away { vec!["sluice-gate is missing".into()] } else { Vec::new() };
                }
            }
            invariants(&world)?;
            if number % 7 == 0 {
                old = (world.rollout_version(), world.snapshot());
            }
        }
        // Once faults stop it settles: no run is left open, and looking again plans nothing.
        world.prometheus = true;
        world.gateway = true;
        world.spec.disabled = false;
        world.policies.clear();
        world.scale(4);
        // A hold, and routes that were fought over.
        world.ask(Action::Resume);
        world.settle(300);
        invariants(&world)?;
        let run = world.status.run.as_ref().map(|run| (run.step, run.outcome));
        prop_assert!(run.is_none_or(|(step, _)| step == Step::Done), "still {run:?}: {}", world.status.message);
        let again = decide::decide(&world.snapshot());
        prop_assert_eq!(again.plan, vec![], "{}", world.status.message);
        prop_assert!(again.records.is_empty());
        prop_assert!(world.share() == 0.0 && !world.has_canary());
        prop_assert!(!world.neighbours.policies.iter().any(|policy| policy.ours));
        // Of every attempt there is a log without a break, whatever died or came late, and it says what was decided.
        for release in world.releases.keys() {
            let log = world.logs.get(release);
            prop_assert!(log.is_some(), "{release} has no log");
            prop_assert_eq!(log.and_then(|log| logbook::replayed(release, log).differs), None, "{}", release);
        }
        prop_assert!(world.status.run.as_ref().is_none_or(|run| run.log.pending.is_empty()));
    }

    #[test]
    fn harm_ends_at_weight_zero(errors in 0.06_f64..1.0, rate in 60.0_f64..2000.0) {
        let mut world = World::new();
        world.rate = rate;
        world.settle(3);
        world.behave("v2", Behaviour { errors, ..Behaviour::default() });
        world.apply("v2");
        let mut most: f64 = 0.0;
        for _ in 0..120 {
            for _ in 0..6 {
                world.pass();
            }
            world.tick();
            most = most.max(world.share());
        }
        prop_assert_eq!(world.status.run.as_ref().unwrap().outcome, Some(Outcome::RolledBack));
        prop_assert!(most <= 10.0, "it never left the first wave, but had {most}%");
        prop_assert_eq!(world.share(), 0.0);
        prop_assert_eq!(world.pods_of("v1"), 4);
    }

    #[test]
    fn nothing_is_decided_without_traffic(seconds in 50_u32..500) {
        let mut world = World::new();
        world.settle(3);
        world.apply("v2");
        world.settle(12);
        world.rate = 0.0;
        // What was seen before may end the wave it was seen in; the next one has seen nothing and stays.
        world.settle(seconds);
        let run = world.status.run.clone().unwrap();
        prop_assert_eq!(run.outcome, None);
        prop_assert!(world.share() <= 25.0, "{}", world.share());
    }

    #[test]
    fn the_same_snapshot_gives_the_same_decision(seconds in 0_u32..60) {
        let mut world = World::new();
        world.settle(3);
        world.apply("v2");
        world.settle(seconds);
        let snapshot = world.snapshot();
        prop_assert_eq!(decide::decide(&snapshot), decide::decide(&snapshot));
    }
}
