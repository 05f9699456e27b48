//! What the simulator found, each as the smallest world in which it shows; and its list of faults, kept true.

use serde_json::{Value, json};
use sluice::api::{GateMode, Outcome, Phase, Step, names};
use sluice::decide::snapshot::{CanaryFacts, ReplicaSetFacts, Snapshot};
use sluice::decide::{self, Decision, Write};

use crate::world::{World, template};

/// A snapshot of a governed workload with template v2 behind the closed gate, and only this of ReplicaSets.
fn held(sets: &[(&str, u32, u32)]) -> Snapshot {
    let mut world = World::new();
    world.settle(3);
    assert_eq!(world.status.phase, Phase::Stable);
    world.apply("v2");
    let mut snapshot = world.snapshot();
    let set = |(version, replicas, available): &(&str, u32, u32)| {
        let digest = names::template_digest(&template(version));
        ReplicaSetFacts {
            name: format!("shop-{}", names::short(&digest)),
            uid: format!("uid-of-{version}"),
            resource_version: "7".into(),
            created_at: 1,
            present: *replicas,
            ready: *available,
            digest,
            images: vec![format!("shop=local/shop:{version}")],
            replicas: *replicas,
            available: *available,
        }
    };
    snapshot.replica_sets = sets.iter().map(set).collect();
    let workload = snapshot.workload.as_mut().unwrap();
    workload.status_replicas = sets.iter().map(|(_, replicas, _)| replicas).sum();
    workload.available = sets.iter().map(|(_, _, available)| available).sum();
    workload.updated = 0;
    snapshot
}

/// A world in which v2 was promoted.
fn promoted() -> World {
    let mut world = World::new();
    world.settle(3);
    world.apply("v2");
    world.settle(120);
    assert_eq!(world.status.phase, Phase::Promoted, "{}", world.status.message);
    world
}

/// The attempt with v2 has ended, its canary was created once more by a write that came late, and v2 is wanted again.
fn left_behind() -> Snapshot {
    let mut world = World::new();
    world.settle(3);
    world.apply("v2");
    world.settle(40);
    let mut snapshot = world.snapshot();
    assert!(snapshot.canary.is_some() && snapshot.canary_service.is_some(), "{}", world.status.message);
    let long_ago = world.now - jiff::SignedDuration::from_secs(60);
    let ended = snapshot.rollout.status.run.as_mut().unwrap();
    (ended.step, ended.outcome, ended.weight) = (Step::Done, Some(Outcome::Aborted), 0);
    (ended.times.ended_at, ended.times.route_restored_at) = (Some(long_ago), Some(long_ago));
    ended.routes.clear();
    snapshot
}

fn stable(decision: &Decision) -> Option<String> {
    decision.status.stable.as_ref().map(|stable| stable.digest.clone())
}

fn opens(decision: &Decision) -> bool {
    decision.plan.iter().any(|write| matches!(write, Write::OpenGate { .. }))
}

#[test]
fn what_serves_is_stable_when_nothing_of_the_stable_version_is_left() {
    // The Deployment was deleted and made anew with v3, and then v2 came.
    let decision = decide::decide(&held(&[("v3", 4, 4)]));
    assert_eq!(stable(&decision), Some(World::digest("v3")));
    assert!(decision.events.iter().any(|event| event.reason == "Adopted"), "{:?}", decision.events);
    assert!(!opens(&decision));
}

#[test]
fn what_rolls_before_the_label_is_on_is_what_is_adopted() {
    // v1 was complete when it was committed; the label came too late, and v2 rolled, as anybody may until then.
    let mut snapshot = held(&[("v2", 4, 4)]);
    let status = &mut snapshot.rollout.status;
    (status.gate_proven_at, status.gate_proven_with) = (None, String::new());
    let workload = snapshot.workload.as_mut().unwrap();
    (workload.governed_by, workload.paused, workload.updated) = (None, false, 4);
    workload.observed_generation = workload.generation;
    let decision = decide::decide(&snapshot);
    assert_eq!(decide::check(&snapshot, &decision), Ok(()));
    assert_eq!(stable(&decision), Some(World::digest("v2")), "{}", decision.status.message);
    assert!(decision.plan.iter().any(|write| matches!(write, Write::Label { .. })), "{:?}", decision.plan);
    // As long as the watch of ReplicaSets does not show what the Deployment counts, nothing is adopted.
    snapshot.replica_sets[0].present = 1;
    let decision = decide::decide(&snapshot);
    assert!(decision.plan.is_empty(), "{:?}", decision.plan);
    assert_eq!(decision.status.phase, Phase::Adopting, "{}", decision.status.message);
}

#[test]
fn what_was_promoted_is_watched_no_longer_when_it_is_scaled_to_zero() {
    let mut world = promoted();
    world.apply("v3");
    let mut snapshot = world.snapshot();
    assert!(snapshot.rollout.status.watching.is_some());
    snapshot.workload.as_mut().unwrap().replicas = 0;
    snapshot.now += jiff::SignedDuration::from_hours(48);
    let decision = decide::decide(&snapshot);
    assert_eq!(decision.status.phase, Phase::Held, "{}", decision.status.message);
    assert!(decision.status.watching.is_none(), "{:?}", decision.status.watching);
}

#[test]
fn a_gate_that_closed_in_mid_roll_is_no_dead_end() {
    // Made anew with the label on, so that nothing was complete when the next template came. Nobody could resume it.
    for (sets, most) in [(&[("v1", 2, 0), ("v3", 3, 3)], "v3"), (&[("v1", 3, 3), ("v3", 2, 2)], "v1")] {
        let mut snapshot = held(sets);
        snapshot.rollout.status.stable = None;
        let decision = decide::decide(&snapshot);
        assert_eq!(decide::check(&snapshot, &decision), Ok(()));
        assert_eq!(stable(&decision), Some(World::digest(most)), "{}", decision.status.message);
        // What the Deployment counts and the watch does not show yet may be the one that serves.
        snapshot.workload.as_mut().unwrap().status_replicas += 2;
        let decision = decide::decide(&snapshot);
        assert_eq!((stable(&decision), decision.status.phase), (None, Phase::Adopting), "{}", decision.status.message);
    }
}

#[test]
fn a_gate_that_rests_opens_for_the_way_back() {
    let mut snapshot = held(&[("v1", 0, 0), ("v4", 4, 4)]);
    snapshot.rollout.spec.gate = GateMode::Resting;
    snapshot.workload.as_mut().unwrap().digest = World::digest("v1");
    let decision = decide::decide(&snapshot);
    assert_eq!(decide::check(&snapshot, &decision), Ok(()));
    assert!(decision.plan.iter().any(|write| matches!(write, Write::OpenGate { .. })), "{}", decision.status.message);
    snapshot.workload.as_mut().unwrap().paused = false;
    let decision = decide::decide(&snapshot);
    assert!(!decision.plan.iter().any(|write| matches!(write, Write::CloseGate { .. })), "{:?}", decision.plan);
    assert!(decision.status.message.contains("rolls back to the stable version"), "{}", decision.status.message);
}

#[test]
fn what_an_attempt_left_is_gone_before_the_same_template_is_tried_again() {
    let mut snapshot = left_behind();
    let decision = decide::decide(&snapshot);
    assert_eq!(decide::check(&snapshot, &decision), Ok(()));
    assert!(decision.plan.iter().any(|write| matches!(write, Write::DeleteCanary { .. })), "{:?}", decision.plan);
    assert_eq!(decision.status.attempts, snapshot.rollout.status.attempts, "nothing begins beside it");
    // When it is gone the next attempt begins.
    (snapshot.canary, snapshot.canary_service, snapshot.canary_pods) = (None, None, Vec::new());
    let decision = decide::decide(&snapshot);
    assert_eq!(decide::check(&snapshot, &decision), Ok(()));
    assert_eq!(decision.status.attempts, snapshot.rollout.status.attempts + 1, "{}", decision.status.message);
}

#[test]
fn what_comes_late_is_taken_away_from_a_rollout_that_is_disabled() {
    let mut snapshot = left_behind();
    snapshot.rollout.spec.disabled = true;
    snapshot.workload.as_mut().unwrap().governed_by = None;
    let decision = decide::decide(&snapshot);
    assert_eq!(decide::check(&snapshot, &decision), Ok(()));
    assert_eq!(decision.status.phase, Phase::Disabled);
    assert!(decision.plan.iter().any(|write| matches!(write, Write::DeleteCanary { .. })), "{:?}", decision.plan);
}

#[test]
fn what_comes_up_behind_the_gate_is_put_back_whatever_is_left() {
    let mut snapshot = left_behind();
    let mut intruder = snapshot.replica_sets[0].clone();
    for set in &mut snapshot.replica_sets {
        (set.replicas, set.present, set.ready, set.available) = (0, 0, 0, 0);
    }
    (intruder.name, intruder.digest) = ("shop-intruder".into(), World::digest("v3"));
    snapshot.replica_sets.push(intruder);
    let decision = decide::decide(&snapshot);
    assert_eq!(decide::check(&snapshot, &decision), Ok(()));
    assert!(decision.status.message.contains("shop-intruder came up behind"), "{}", decision.status.message);
}

#[test]
fn a_view_of_replica_sets_that_lags_replaces_nothing() {
    // The watch shows only v3 with four pods; the Deployment counts six.
    let mut snapshot = held(&[("v3", 4, 4)]);
    snapshot.workload.as_mut().unwrap().status_replicas = 6;
    assert_eq!(stable(&decide::decide(&snapshot)), Some(World::digest("v1")));
    // Nor does one that shows nothing yet open the gate.
    let mut snapshot = held(&[]);
    snapshot.rollout.status.stable = None;
    snapshot.workload.as_mut().unwrap().available = 4;
    assert!(!opens(&decide::decide(&snapshot)));
}

#[test]
fn where_nothing_is_left_and_nothing_serves_the_newest_template_goes() {
    let decision = decide::decide(&held(&[("v3", 4, 0)]));
    assert_eq!(stable(&decision), None);
    assert!(opens(&decision), "{:?} {}", decision.plan, decision.status.message);
}

#[test]
fn a_version_that_rolled_past_the_gate_and_was_overtaken_is_recorded() {
    let snapshot = held(&[("v1", 3, 3), ("v3", 2, 2)]);
    let decision = decide::decide(&snapshot);
    let run = decision.status.run.as_ref().unwrap();
    assert_eq!((run.revision.clone(), run.outcome), (World::digest("v3"), Some(Outcome::Bypassed)));
    assert_eq!(decision.status.alongside, Some(World::digest("v3")));
    // Once: when its record is written, the template that waits is tried.
    let mut next = snapshot;
    next.rollout.status = decision.status;
    next.rollout.status.run.as_mut().unwrap().step = Step::Done;
    let decision = decide::decide(&next);
    assert_eq!(decision.status.run.unwrap().revision, World::digest("v2"));
}

#[test]
fn what_was_promoted_goes_on_being_watched_behind_a_rejected_template() {
    let mut world = promoted();
    world.status.rejected.push(World::digest("v3"));
    world.apply("v3");
    world.settle(3);
    assert_eq!(world.status.phase, Phase::RolledBack, "{}", world.status.message);
    let decision = decide::decide(&world.snapshot());
    assert!(!decision.measure.is_empty(), "stable is asked about");
    assert!(world.status.watching.is_some());
}

#[test]
fn an_attempt_that_was_never_exposed_does_not_touch_the_route() {
    let mut world = World::new();
    world.settle(3);
    world.apply("v2");
    world.pass();
    world.pass();
    let before = world.route.clone();
    assert_eq!(world.status.run.as_ref().unwrap().step, Step::Starting);
    world.apply("v3");
    let writes = world.log.len();
    world.pass();
    world.pass();
    assert!(!world.log[writes..].iter().any(|line| line.contains("patch_route")), "{:?}", &world.log[writes..]);
    assert_eq!(world.route, before);
}

#[test]
fn what_arrives_after_the_end_is_taken_away() {
    let mut world = promoted();
    assert!(decide::decide(&world.snapshot()).plan.is_empty());
    // A weight that was set by a request that had been given up; and its canary was made once more.
    world.edit_route(|route| {
        route["spec"]["rules"][0]["backendRefs"] = json!([
            {"group": "", "kind": "Service", "name": "shop", "port": 80, "weight": 90},
            {"group": "", "kind": "Service", "name": "shop-canary", "port": 80, "weight": 10},
        ]);
    });
    let mut snapshot = world.snapshot();
    snapshot.canary = Some(CanaryFacts {
        name: "shop-canary".into(),
        uid: "uid-late".into(),
        resource_version: "9".into(),
        ours: true,
        revision: World::digest("v2"),
        replicas: 1,
        available: 1,
        observed: true,
        failure: None,
    });
    let decision = decide::decide(&snapshot);
    assert!(matches!(&decision.plan[..], [Write::PatchRoute { weight: None, .. }]), "{:?}", decision.plan);
    world.reset_route();
    let decision = decide::decide(&Snapshot { canary: snapshot.canary, ..world.snapshot() });
    decide::check(&world.snapshot(), &decision).unwrap();
    assert!(matches!(&decision.plan[..], [Write::DeleteCanary { .. }]), "{:?}", decision.plan);
}

#[test]
fn every_fault_of_the_list_can_be_made() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("tests/sim/mutants.json")).unwrap();
    let faults: Vec<Value> = serde_json::from_str(&list).unwrap();
    assert!(faults.len() >= 12);
    for fault in faults {
        let field = |name: &str| fault[name].as_str().unwrap().to_owned();
        let text = std::fs::read_to_string(root.join(field("file"))).unwrap();
        let (name, from) = (field("name"), field("from"));
        assert_eq!(text.matches(&from).count(), 1, "{name}: {from:?} is to be in {} once", field("file"));
        assert_ne!(from, field("to"), "{name}");
    }
}
