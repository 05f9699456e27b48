//! What people ask for by Interventions.

use serde_json::json;
use sluice::api::InterventionResult::{Honoured, Refused};
use sluice::api::{Action, Approval, Outcome, Phase, Step};

use super::{adopted, ask, assert_not_missed, baking_at, done, reason, recorded, restored, until};
use crate::world::{Behaviour, World, comparing};

/// A world in which the second wave of v2 waits for approval.
fn awaiting() -> World {
    let mut world = adopted();
    world.spec.waves[1].approval = Approval::Required;
    world.apply("v2");
    until(&mut world, "AwaitingApproval", |world| reason(world) == "AwaitingApproval");
    world
}

#[test]
fn a_wave_waits_for_approval_and_goes_on_with_it() {
    let mut world = adopted();
    world.spec.waves[1].approval = Approval::Required;
    world.spec.promotion.approval = Approval::Required;
    world.apply("v2");
    until(&mut world, "AwaitingApproval", |world| reason(world) == "AwaitingApproval");
    world.settle(60);
    assert_eq!((world.share(), world.status.phase), (10.0, Phase::Held), "{}", world.status.message);
    ask(&mut world, Action::Approve, Honoured);
    until(&mut world, "25%", |world| world.share() == 25.0);
    baking_at(&mut world, 50);
    until(&mut world, "AwaitingApproval", |world| reason(world) == "AwaitingApproval");
    assert_eq!(world.pods_of("v2"), 0);
    ask(&mut world, Action::Approve, Honoured);
    done(&mut world, Outcome::Promoted);
    let people = &world.status.run.as_ref().unwrap().interventions;
    assert_eq!(
        people.iter().map(|one| (one.action, one.by.as_str())).collect::<Vec<_>>(),
        [(Action::Approve, "alice"), (Action::Approve, "alice")]
    );
    ask(&mut world, Action::Approve, Refused);
}

#[test]
fn what_was_asked_for_before_the_attempt_began_lets_nothing_advance() {
    let mut world = awaiting();
    let began = world.status.run.as_ref().unwrap().times.requested_at.unwrap();
    for action in [Action::Approve, Action::Promote] {
        world.ask(action);
        world.asked.last_mut().unwrap().0.at = Some(began - jiff::SignedDuration::from_secs(1));
        world.settle(10);
        assert_eq!((world.answer(), world.share()), (Some(Refused), 10.0), "{action:?}: {}", world.status.message);
    }
    // The API server writes whole seconds: what seems a little older may be as young.
    world.ask(Action::Approve);
    world.asked.last_mut().unwrap().0.at = Some(began - jiff::SignedDuration::from_millis(900));
    until(&mut world, "25%", |world| world.share() == 25.0);
    // Whoever names the Release means it.
    baking_at(&mut world, 25);
    let release = world.status.run.as_ref().unwrap().release.clone();
    world.ask(Action::Promote);
    let asked = &mut world.asked.last_mut().unwrap().0;
    (asked.release, asked.at) = (Some(release), Some(began - jiff::SignedDuration::from_secs(60)));
    done(&mut world, Outcome::Promoted);
}

#[test]
fn harm_while_approval_is_awaited_takes_the_version_back() {
    let mut world = awaiting();
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    done(&mut world, Outcome::RolledBack);
    assert_eq!(world.share(), 0.0);
}

#[test]
fn a_first_wave_that_waits_makes_nothing() {
    let mut world = adopted();
    world.spec.waves[0].approval = Approval::Required;
    world.apply("v2");
    world.settle(30);
    assert_eq!((reason(&world).as_str(), world.has_canary()), ("AwaitingApproval", false));
    ask(&mut world, Action::Approve, Honoured);
    baking_at(&mut world, 10);
}

#[test]
fn an_aborted_version_waits_until_it_is_retried_once() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 25);
    ask(&mut world, Action::Abort, Honoured);
    assert_eq!(world.status.run.as_ref().unwrap().weight, 0, "in the same pass");
    ask(&mut world, Action::Abort, Refused);
    ask(&mut world, Action::Retry, Refused);
    done(&mut world, Outcome::Aborted);
    world.settle(20);
    assert_eq!((world.status.phase, world.status.attempts), (Phase::RolledBack, 1), "{}", world.status.message);
    assert!(world.status.message.contains("aborted by alice: because"), "{}", world.status.message);
    ask(&mut world, Action::Retry, Honoured);
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    done(&mut world, Outcome::RolledBack);
    world.settle(20);
    assert_eq!((world.status.attempts, world.status.phase), (2, Phase::RolledBack), "it is tried once");
    assert_eq!(recorded(&world), [Action::Retry], "in the record of the attempt that it began");
    // A fix is a new attempt that names what it remediates.
    world.apply("v3");
    done(&mut world, Outcome::Promoted);
    assert!(world.status.run.as_ref().unwrap().remediates.is_some());
    assert_eq!(world.reworks.len(), 2);
}

#[test]
fn a_hold_stops_the_way_up_and_never_the_way_back() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 10);
    ask(&mut world, Action::Hold, Honoured);
    ask(&mut world, Action::Hold, Refused);
    world.settle(60);
    assert_eq!((world.share(), reason(&world).as_str()), (10.0, "HeldByPerson"), "{}", world.status.message);
    ask(&mut world, Action::Promote, Refused);
    ask(&mut world, Action::Resume, Honoured);
    baking_at(&mut world, 25);
    ask(&mut world, Action::Hold, Honoured);
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    done(&mut world, Outcome::RolledBack);
    ask(&mut world, Action::Resume, Honoured);
    ask(&mut world, Action::Resume, Refused);
}

#[test]
fn waves_can_be_skipped_and_harm_is_still_looked_for() {
    for errors in [0.0, 0.3] {
        let mut world = adopted();
        world.apply("v2");
        ask(&mut world, Action::Promote, Refused);
        baking_at(&mut world, 10);
        ask(&mut world, Action::Promote, Honoured);
        assert_eq!(world.status.run.as_ref().unwrap().step, Step::Promoting);
        world.behave("v2", Behaviour { errors, ..Behaviour::default() });
        done(&mut world, if errors > 0.0 { Outcome::RolledBack } else { Outcome::Promoted });
        let (new, old) = (world.pods_of("v2"), world.pods_of("v1"));
        assert_eq!((new, old), if errors > 0.0 { (0, 4) } else { (4, 0) }, "{}", world.log.join("\n"));
        assert_not_missed(&world);
    }
}

#[test]
fn break_glass_is_a_bypass_and_recorded_once() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 10);
    ask(&mut world, Action::BreakGlass, Honoured);
    assert!(!world.paused, "the gate is open in the same pass");
    done(&mut world, Outcome::Bypassed);
    until(&mut world, "Stable", |world| world.status.phase == Phase::Stable);
    assert_eq!((world.pods_of("v2"), world.share()), (4, 0.0));
    assert_eq!((world.releases.len(), world.reworks.len(), world.status.let_through.clone()), (1, 1, None));
    // The next template is governed again.
    world.apply("v3");
    done(&mut world, Outcome::Promoted);
}

#[test]
fn a_rejected_template_that_is_let_through_is_a_bypass_of_its_own() {
    let mut world = adopted();
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    world.apply("v2");
    done(&mut world, Outcome::RolledBack);
    ask(&mut world, Action::BreakGlass, Honoured);
    until(&mut world, "v2 serves", |world| world.pods_of("v2") == 4 && world.status.phase == Phase::Stable);
    let mut outcomes: Vec<_> = world.releases.values().map(|outcome| format!("{:?}", outcome.unwrap())).collect();
    outcomes.sort();
    assert_eq!(outcomes, ["Bypassed", "RolledBack"]);
    assert_eq!(recorded(&world), [Action::BreakGlass], "in the record of the bypass");
    assert!(world.status.rejected.is_empty(), "what serves is not rejected");
    ask(&mut world, Action::BreakGlass, Refused);
}

#[test]
fn what_was_asked_is_done_once_whatever_crashes() {
    use sluice::decide;

    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 10);
    world.ask(Action::Abort);
    // The intent is committed, and then nothing is written or answered.
    let decision = decide::decide(&world.snapshot());
    world.status = decision.status;
    assert_eq!(world.answer(), None);
    done(&mut world, Outcome::Aborted);
    assert_eq!(world.answer(), Some(Honoured));
    ask(&mut world, Action::Retry, Honoured);
    baking_at(&mut world, 10);
    assert_eq!(world.status.run.as_ref().unwrap().outcome, None, "the Abort does not end the next attempt");
}

#[test]
fn a_retry_begins_with_new_evidence() {
    let mut world = adopted();
    world.spec = comparing(json!([{"name": "errors", "errorRatio": {}}]));
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    world.apply("v2");
    done(&mut world, Outcome::RolledBack);
    // It was something else, and that is mended.
    world.behave("v2", Behaviour::default());
    ask(&mut world, Action::Retry, Honoured);
    world.settle(1);
    done(&mut world, Outcome::Promoted);
    let people = &world.status.run.as_ref().unwrap().interventions;
    assert_eq!(people.iter().map(|one| one.action).collect::<Vec<_>>(), [Action::Retry]);
}

#[test]
fn a_retry_lets_a_template_that_was_restored_be_applied_again() {
    let mut world = restored();
    world.apply("v2");
    world.settle(5);
    assert_eq!(world.status.attempts, 1, "put back at once");
    ask(&mut world, Action::Retry, Honoured);
    world.behave("v2", Behaviour::default());
    world.apply("v2");
    world.settle(1);
    done(&mut world, Outcome::Promoted);
}

#[test]
fn waves_taken_away_while_the_canary_starts_skip_no_approval() {
    let mut world = adopted();
    world.spec.promotion.approval = Approval::Required;
    world.apply("v2");
    baking_at(&mut world, 25);
    while world.status.run.as_ref().is_some_and(|run| run.step == Step::Baking) {
        world.tick();
        world.pass();
    }
    assert_eq!(world.status.run.as_ref().unwrap().step, Step::Starting);
    world.spec.waves.truncate(2);
    world.settle(30);
    assert_eq!((reason(&world).as_str(), world.pods_of("v2")), ("AwaitingApproval", 0), "{}", world.status.message);
}

#[test]
fn nothing_is_done_for_people_where_it_would_have_no_effect() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 10);
    world.unstamped = vec!["ValidatingAdmissionPolicy sluice-intervention-rights is missing".into()];
    let said = ask(&mut world, Action::Abort, Refused);
    assert!(said.contains("deploy/base/interventions.yaml"), "{said}");
    world.unstamped.clear();
    world.spec.disabled = true;
    until(&mut world, "Disabled", |world| world.status.phase == Phase::Disabled);
    for action in Action::ALL {
        ask(&mut world, action, Refused);
    }
}

#[test]
fn forty_interventions_at_once_are_each_answered_once() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 10);
    for _ in 0..20 {
        world.ask(Action::Hold);
        world.ask(Action::Resume);
    }
    for _ in 0..4 {
        world.pass();
    }
    assert!(world.asked.iter().all(|(_, answer)| *answer == Some(Honoured)), "{:?}", world.asked);
    assert_eq!(world.status.hold, None);
}

#[test]
fn who_asks_must_be_stamped_and_the_release_be_the_present_one() {
    let mut world = adopted();
    world.apply("v2");
    baking_at(&mut world, 10);
    world.ask(Action::Abort);
    world.asked.last_mut().unwrap().0.by = None;
    world.pass();
    assert_eq!(world.answer(), Some(Refused));
    world.ask(Action::Abort);
    world.asked.last_mut().unwrap().0.release = Some("shop-0-another".into());
    world.pass();
    assert_eq!(world.answer(), Some(Refused));
    assert_eq!(world.status.run.as_ref().unwrap().outcome, None);
}
