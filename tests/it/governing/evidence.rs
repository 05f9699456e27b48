//! What the records say of an attempt: what it carried, how far it came, what it cost, when users were well again.

use sluice::api::InterventionResult::Honoured;
use sluice::api::{Action, Approval, ChangeKind, Confidence, Outcome, ReworkKind, Stage};

use super::{adopted, ask, baking_at, done, reason, until};
use crate::world::{Behaviour, World};

/// A version is tried until its end.
fn tried(world: &mut World, version: &str, outcome: Outcome) {
    let before = world.status.attempts;
    world.apply(version);
    until(world, "another attempt", |world| world.status.attempts > before);
    done(world, outcome);
}

fn fails(world: &mut World, version: &str) {
    world.behave(version, Behaviour { errors: 0.3, ..Behaviour::default() });
    tried(world, version, Outcome::RolledBack);
}

fn last(world: &World) -> (&sluice::api::ReleaseSpec, &sluice::api::ReleaseStatus) {
    let release = &world.status.run.as_ref().unwrap().release;
    let (spec, status) = &world.recorded[release];
    (spec, status.as_ref().expect("it has ended"))
}

#[test]
fn a_rollback_says_how_far_it_came_what_it_cost_and_when_users_were_well() {
    let mut world = adopted();
    fails(&mut world, "v2");
    let (spec, status) = last(&world);
    assert_eq!((status.stage, status.wave), (Some(Stage::Wave), Some(1)));
    assert_eq!(status.exposure.excess_errors, status.exposure.errors, "stable has no errors");
    assert!(status.exposure.errors > 0);
    let times = &status.times;
    let (zero, well) = (times.weight_zero_at.unwrap(), times.recovered_at.unwrap());
    assert!(well > zero, "three polls after the weight was 0: {zero} {well}");
    let rework = &world.reworks[&world.status.run.as_ref().unwrap().release];
    assert_eq!(rework.kind, ReworkKind::Rollback);
    assert!(rework.verify_seconds.is_some_and(|seconds| seconds > 0.0 && seconds < 60.0), "{rework:?}");
    assert_eq!((rework.recurrence, rework.signature.clone()), (Some(1), status.signature.clone()));
    let known = spec.classification.as_ref().unwrap();
    assert_eq!((known.kind, known.confidence), (ChangeKind::Planned, Confidence::Medium));
}

#[test]
fn the_same_failure_again_is_counted_and_what_follows_a_failure_is_rework() {
    let mut world = adopted();
    fails(&mut world, "v2");
    let first = world.status.run.as_ref().unwrap().release.clone();
    fails(&mut world, "v3");
    let (spec, _) = last(&world);
    assert_eq!(spec.remediates.as_ref(), Some(&first));
    let known = spec.classification.as_ref().unwrap();
    assert_eq!((known.kind, known.confidence), (ChangeKind::Rework, Confidence::Medium), "{}", known.by);
    let rework = &world.reworks[&world.status.run.as_ref().unwrap().release];
    assert_eq!(rework.recurrence, Some(2));
    assert!(
        world.events.iter().any(|event| event.starts_with("RecurringDefect Release shop-2-")),
        "{:?}",
        world.events
    );
}

#[test]
fn annotations_are_in_the_record_and_what_cannot_be_read_is_said() {
    let mut world = adopted();
    world.said = [
        ("sluice.dev/kind".to_owned(), "hotfix".to_owned()),
        ("sluice.dev/reference".to_owned(), "INC-7".to_owned()),
        ("sluice.dev/commits".to_owned(), "3f2a9c1@2026-01-31T09:00:00Z, bad@never".to_owned()),
    ]
    .into();
    world.apply("v2");
    done(&mut world, Outcome::Promoted);
    let release = world.status.run.as_ref().unwrap().release.clone();
    let (spec, _) = last(&world);
    assert_eq!(spec.classification.as_ref().unwrap().kind, ChangeKind::Hotfix);
    assert_eq!((spec.change.commit_count, spec.change.reference.as_deref()), (1, Some("INC-7")));
    let rework = &world.reworks[&release];
    assert_eq!((rework.kind, rework.remedied_by.as_ref()), (ReworkKind::Hotfix, Some(&release)));
    assert_eq!((rework.weight_zero_at, rework.act_seconds), (None, None), "nothing was taken back");
    assert!(world.events.iter().any(|event| event.starts_with("AnnotationUnreadable") && event.contains("bad@never")));
}

#[test]
fn whoever_goes_back_to_a_former_version_says_that_what_replaced_it_had_failed() {
    let mut world = adopted();
    tried(&mut world, "v2", Outcome::Promoted);
    let second = world.status.run.as_ref().unwrap().release.clone();
    tried(&mut world, "v3", Outcome::Promoted);
    tried(&mut world, "v1", Outcome::Promoted);
    let (spec, _) = last(&world);
    assert_eq!(spec.remediates.as_ref(), Some(&second), "the first deployment after it was last stable");
    let known = spec.classification.as_ref().unwrap();
    assert_eq!((known.kind, known.confidence), (ChangeKind::Rework, Confidence::High));
}

#[test]
fn a_newer_template_waits_for_no_recovery() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 25);
    ask(&mut world, Action::Abort, Honoured);
    // Nobody asks the shop for anything any more, so it is not to be seen how the rest fares.
    world.rate = 0.0;
    until(&mut world, "Recovering", |world| world.status.message.contains("looking whether what remains is well"));
    let first = world.status.run.as_ref().unwrap().release.clone();
    world.apply("v3");
    world.settle(3);
    assert_eq!(world.status.attempts, 2, "{}", world.status.message);
    assert_eq!(world.recorded[&first].1.as_ref().unwrap().outcome, Some(Outcome::Aborted));
}

#[test]
fn without_metrics_the_record_does_not_wait_for_what_nobody_can_see() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 25);
    ask(&mut world, Action::Abort, Honoured);
    world.prometheus = false;
    world.settle(75);
    let (_, status) = last(&world);
    assert_eq!((status.outcome, status.times.recovered_at), (Some(Outcome::Aborted), None));
}

#[test]
fn annotations_that_are_added_while_the_template_waits_are_in_the_record() {
    let mut world = adopted();
    world.spec.waves[0].approval = Approval::Required;
    world.apply("v2");
    until(&mut world, "AwaitingApproval", |world| reason(world) == "AwaitingApproval");
    let release = world.status.run.as_ref().unwrap().release.clone();
    assert!(!world.recorded.contains_key(&release), "nothing was made, and nothing is recorded yet");
    world.said = [("sluice.dev/kind".to_owned(), "security".to_owned())].into();
    world.settle(3);
    ask(&mut world, Action::Approve, Honoured);
    done(&mut world, Outcome::Promoted);
    assert_eq!(last(&world).0.classification.as_ref().unwrap().kind, ChangeKind::Security);
}
