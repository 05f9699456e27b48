//! Gate, waves that are edited, scaling, routes, groups, leaving, and what shows after the promotion.

use serde_json::json;
use sluice::api::InterventionResult::Honoured;
use sluice::api::{Action, GateMode, Outcome, Phase, Step};

use super::{adopted, ask, assert_not_missed, baking_at, done, reason, restored, until};
use crate::world::{Behaviour, World};

#[test]
fn a_template_that_rolls_past_the_gate_leaves_its_records() {
    let mut world = adopted();
    world.label = None; // the policies are away: nothing pauses
    world.apply("v2");
    world.label = Some("shop".into());
    until(&mut world, "v2 is stable", |world| {
        world.status.stable.as_ref().is_some_and(|stable| stable.digest == World::digest("v2"))
    });
    world.settle(30);
    assert_eq!(world.releases.values().copied().collect::<Vec<_>>(), [Some(Outcome::Bypassed)]);
    assert_eq!(world.reworks.len(), 1);
}

#[test]
fn policies_that_are_missing_are_told_and_the_proof_is_made_anew() {
    let mut world = adopted();
    let gated = |world: &World| {
        let gated = world.status.conditions.iter().find(|condition| condition.type_.name() == "Gated").unwrap();
        (format!("{:?}", gated.status), gated.reason.clone())
    };
    assert_eq!(gated(&world), ("True".into(), "Proven".into()));
    world.policies = vec!["MutatingAdmissionPolicy sluice-gate is missing".into()];
    world.pass();
    assert_eq!(gated(&world), ("False".into(), "PolicyMissing".into()));
    // Another one is gone under the same reason: its name does not wait for the next time that words are refreshed.
    world.policies = vec!["ValidatingAdmissionPolicy sluice-guard is missing".into()];
    let decision = sluice::decide::decide(&world.snapshot());
    assert!(decision.material, "{:?}", decision.status.conditions);
    world.pass();
    assert!(!sluice::decide::decide(&world.snapshot()).material, "and it is said once");
    world.policies.clear();
    world.settle(3);
    assert_eq!(gated(&world), ("True".into(), "Proven".into()));
}

#[test]
fn waves_edited_in_mid_run_never_jump() {
    let waves = |weights: &[u8]| {
        let waves: Vec<_> = weights.iter().map(|weight| json!({"weight": weight, "bake": "10s"})).collect();
        serde_json::from_value(json!(waves)).unwrap()
    };
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 25);
    world.spec.waves = waves(&[1, 5, 80]);
    world.settle(2);
    assert_eq!(world.share(), 25.0, "an edit alone moves nothing");
    until(&mut world, "the next higher one", |world| world.share() != 25.0);
    assert_eq!(world.share(), 80.0);
    world.spec.waves = waves(&[10, 20]);
    world.settle(1);
    done(&mut world, Outcome::Promoted);
    let shares: Vec<&String> = world.log.iter().filter(|line| line.contains("patch_route shop canary")).collect();
    assert_eq!(shares.len(), 3, "10, 25, 80: {shares:?}");
}

#[test]
fn scaled_to_zero_and_back_while_gated_brings_stable() {
    // A promotion that was taken back leaves a bad ReplicaSet that is newer than stable's.
    let mut world = adopted();
    world.apply("v2");
    until(&mut world, "promoting", |world| {
        world.status.run.as_ref().is_some_and(|run| run.step == Step::Promoting) && world.pods_of("v2") > 0
    });
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    done(&mut world, Outcome::RolledBack);
    world.apply("v3");
    world.behave("v3", Behaviour { errors: 0.3, ..Behaviour::default() });
    done(&mut world, Outcome::RolledBack);
    world.scale(0);
    world.settle(5);
    assert_eq!(world.pods_of("v1"), 0);
    world.scale(3);
    world.settle(5);
    assert_eq!((world.pods_of("v1"), world.pods_of("v2"), world.pods_of("v3")), (3, 0, 0), "{}", world.log.join("\n"));
}

#[test]
fn a_run_ends_when_its_workload_is_scaled_to_zero_and_begins_anew_afterwards() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 10);
    world.scale(0);
    done(&mut world, Outcome::Aborted);
    world.settle(10);
    assert_eq!((world.status.attempts, reason(&world).as_str()), (1, "ScaledToZero"), "{}", world.status.message);
    world.scale(4);
    done(&mut world, Outcome::Promoted);
    assert_eq!(world.pods_of("v2"), 4);
}

#[test]
fn the_canary_grows_with_its_workload() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 25);
    world.scale(12);
    world.settle(3);
    assert!(world.log.iter().any(|line| line == "write scale_canary 3"), "{}", world.log.join("\n"));
}

#[test]
fn an_autoscaler_only_goes_up_during_an_attempt_and_is_as_it_was_afterwards() {
    let given =
        json!({"scaleDown": {"stabilizationWindowSeconds": 60, "policies": []}, "scaleUp": {"tolerance": null}});
    for before in [None, Some(given), Some(json!({"scaleDown": {"selectPolicy": "Disabled"}}))] {
        for errors in [0.0, 0.3] {
            let mut world = adopted();
            world.scaler = Some(before.clone());
            world.behave("v2", Behaviour { errors, ..Behaviour::default() });
            world.apply("v2");
            done(&mut world, if errors > 0.0 { Outcome::RolledBack } else { Outcome::Promoted });
            assert_eq!(world.scaler, Some(before.clone()));
            assert!(!world.scaler_under_traffic.is_empty());
            for behavior in &world.scaler_under_traffic {
                assert!(behavior.contains(r#""selectPolicy":"Disabled""#), "{behavior}");
            }
        }
    }
}

#[test]
fn a_route_that_others_fight_over_is_left_alone_until_someone_resumes() {
    let mut world = adopted();
    world.spec.waves[0].bake = "20m".parse().unwrap();
    world.apply("v2");
    baking_at(&mut world, 10);
    for _ in 0..5 {
        world.reset_route();
        // The gateway's word comes between what was decided and its write, which the API server then refuses.
        let decision = sluice::decide::decide(&world.snapshot());
        world.status = decision.status;
        world.events.extend(decision.events.iter().map(|event| format!("{}: {}", event.reason, event.note)));
        world.gateway_writes();
        world.settle(2);
        assert_eq!(world.share(), 10.0, "set again");
    }
    assert_eq!(world.status.run.as_ref().unwrap().conflicts.as_ref().unwrap().count, 5, "each counts once");
    world.reset_route();
    world.settle(20);
    assert_eq!((world.share(), reason(&world).as_str()), (0.0, "TrafficConflict"), "{}", world.status.message);
    assert_eq!(world.events.iter().filter(|event| event.starts_with("TrafficReasserted")).count(), 5);
    ask(&mut world, Action::Resume, Honoured);
    world.settle(2);
    assert_eq!(world.share(), 10.0);
    // Or by itself, when the others have been quiet for long enough.
    for _ in 0..6 {
        world.reset_route();
        world.settle(2);
    }
    assert_eq!(world.share(), 0.0);
    world.settle(620);
    assert_eq!(world.share(), 10.0);
}

#[test]
fn a_disabled_rollout_lets_go_and_takes_up_again() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 25);
    world.spec.disabled = true;
    until(&mut world, "Disabled", |world| world.status.phase == Phase::Disabled);
    assert_eq!((world.share(), world.has_canary(), world.label.clone()), (0.0, false, None));
    assert!(world.paused, "an unproven template is never completed");
    assert!(world.events.iter().any(|event| event.starts_with("LeftPaused")));
    world.apply("v1");
    world.break_glass();
    world.spec.disabled = false;
    until(&mut world, "Stable", |world| world.status.phase == Phase::Stable);
    world.apply("v3");
    done(&mut world, Outcome::Promoted);
}

#[test]
fn a_gate_that_rests_keeps_the_workload_paused() {
    let mut world = World::new();
    world.spec.gate = GateMode::Resting;
    world.policies = vec!["MutatingAdmissionPolicy sluice-gate is missing".into()];
    until(&mut world, "Stable", |world| world.status.phase == Phase::Stable);
    assert!(world.paused);
    world.apply("v2");
    done(&mut world, Outcome::Promoted);
    world.settle(3);
    assert!(world.paused && world.pods_of("v2") == 4, "closed again after the promotion");
    assert_eq!(world.status.phase, Phase::Promoted, "{}", world.status.message);
}

#[test]
fn a_rejected_template_can_be_replaced_by_the_stable_one() {
    let world = restored();
    assert_eq!((world.paused, world.pods_of("v1"), world.pods_of("v2")), (false, 4, 0));
    assert_not_missed(&world);
}

#[test]
fn what_shows_only_after_the_promotion_is_recorded_as_escaped() {
    let mut world = adopted();
    world.apply("v2");
    done(&mut world, Outcome::Promoted);
    let release = world.status.run.as_ref().unwrap().release.clone();
    world.settle(60);
    assert!(world.reworks.is_empty(), "{:?}", world.reworks);
    world.behave("v2", Behaviour { errors: 0.1, ..Behaviour::default() });
    until(&mut world, "escaped", |world| !world.escaped.is_empty());
    world.settle(60);
    assert_eq!(world.reworks.keys().cloned().collect::<Vec<_>>(), [format!("{release}-escaped")]);
    assert_eq!(world.events.iter().filter(|event| event.starts_with("Escaped")).count(), 1);
    assert_eq!((world.status.phase, world.pods_of("v2")), (Phase::Promoted, 4), "nothing is taken back");
    assert!(world.status.message.contains("harm was found afterwards"), "{}", world.status.message);
    world.apply("v3");
    world.pass();
    done(&mut world, Outcome::Promoted);
    assert_eq!(world.status.run.as_ref().unwrap().remediates, Some(release));
}

#[test]
fn what_escapes_again_is_counted_as_coming_back() {
    let mut world = adopted();
    for (version, times) in [("v2", 1), ("v3", 2)] {
        world.apply(version);
        world.pass();
        done(&mut world, Outcome::Promoted);
        world.behave(version, Behaviour { errors: 0.1, ..Behaviour::default() });
        let name = format!("{}-escaped", world.status.run.as_ref().unwrap().release);
        until(&mut world, "escaped", |world| world.reworks.contains_key(&name));
        assert_eq!(world.reworks[&name].recurrence, Some(times), "{version}");
        world.behave(version, Behaviour::default());
    }
    assert_eq!(world.events.iter().filter(|event| event.starts_with("RecurringDefect")).count(), 1);
}

#[test]
fn the_watch_ends_and_asks_nothing_any_more() {
    let mut world = adopted();
    world.spec.watch = "30s".parse().unwrap();
    world.apply("v2");
    done(&mut world, Outcome::Promoted);
    world.settle(1);
    assert!(!world.pass().measure.is_empty());
    world.settle(40);
    assert!(world.pass().measure.is_empty() && world.status.watching.is_none());
    world.behave("v2", Behaviour { errors: 0.1, ..Behaviour::default() });
    world.settle(60);
    assert!(world.reworks.is_empty());
}

#[test]
fn a_wave_waits_for_pods_that_were_lost_and_a_broken_stable_keeps_no_fix_out() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 10);
    world.missing = 1;
    world.settle(40);
    assert_eq!((world.share(), reason(&world).as_str()), (10.0, "FallbackTooSmall"), "{}", world.status.message);
    world.missing = 0;
    baking_at(&mut world, 25);

    let mut world = adopted();
    world.missing = 3;
    world.apply("v2");
    baking_at(&mut world, 25);
}

#[test]
fn a_group_has_one_canary_at_a_time() {
    let mut world = adopted();
    world.spec.group = Some("checkout".into());
    world.group_busy = Some("cart".into());
    world.apply("v2");
    world.settle(20);
    assert_eq!((reason(&world).as_str(), world.has_canary()), ("GroupBusy", false));
    world.group_busy = None;
    baking_at(&mut world, 10);
    world.group_busy = Some("cart".into());
    done(&mut world, Outcome::Promoted);
}

#[test]
fn a_template_that_comes_while_the_workload_rolls_is_tried_on_its_own() {
    let mut world = adopted();
    world.apply("v2");
    until(&mut world, "half rolled", |world| world.pods_of("v2") == 2);
    world.apply("v3");
    world.pass();
    assert_eq!((world.pods_of("v1"), world.pods_of("v2"), world.paused), (2, 2, true));
    done(&mut world, Outcome::Promoted);
    assert_eq!((world.pods_of("v1"), world.pods_of("v2"), world.pods_of("v3")), (0, 0, 4), "{}", world.log.join("\n"));
    assert_eq!(world.status.alongside, None);

    // Or the stable template comes back, and the pods of the other version go.
    let mut world = adopted();
    world.apply("v2");
    until(&mut world, "half rolled", |world| world.pods_of("v2") == 2);
    world.apply("v3");
    world.pass();
    assert!(world.status.alongside.is_some());
    world.apply("v1");
    until(&mut world, "Stable", |world| world.status.phase == Phase::Stable && world.pods_of("v1") == 4);
    world.settle(2);
    assert_eq!(world.status.alongside, None);
}
