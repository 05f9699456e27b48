//! What failed requests have in common, and whether a failure is one that was seen before.

use sluice::api::{Defect, Outcome, Owner, ReworkEventSpec, Symptom};
use sluice::decide::snapshot::ReworkFacts;

use super::{adopted, done, until};
use crate::world::{Behaviour, World, comparing};

/// A version that fails so is tried and taken back; what is recorded of it.
fn fails(world: &mut World, version: &str, code: &'static str) -> ReworkEventSpec {
    world.behave(version, Behaviour { errors: 0.3, code: Some(code), ..Behaviour::default() });
    taken_back(world, version)
}

fn taken_back(world: &mut World, version: &str) -> ReworkEventSpec {
    let before = world.status.attempts;
    world.apply(version);
    until(world, "another attempt", |world| world.status.attempts > before);
    done(world, Outcome::RolledBack);
    let release = &world.status.run.as_ref().unwrap().release;
    let status = world.recorded[release].1.as_ref().expect("it has ended");
    let rework = world.reworks[release].clone();
    assert_eq!(
        (&status.symptoms, &status.signature),
        (&rework.symptoms, &rework.signature),
        "both records say the same"
    );
    assert_eq!(status.signal, rework.signal);
    rework
}

fn symptom(label: &str, value: &str) -> Symptom {
    Symptom { label: label.into(), value: value.into(), share: 100 }
}

fn told(world: &World) -> Vec<&String> {
    world.events.iter().filter(|event| event.starts_with("RecurringDefect")).collect()
}

#[test]
fn the_same_code_is_the_same_defect_and_another_is_not() {
    let mut world = adopted();
    let first = fails(&mut world, "v2", "503");
    assert_eq!(first.symptoms, Some(vec![symptom("code", "503")]));
    assert_eq!(first.recurrence, Some(1));
    let second = fails(&mut world, "v3", "503");
    assert_eq!((second.recurrence, &second.signature), (Some(2), &first.signature));
    let said = told(&world);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains(&format!(
            "{} failed as one before it within 90 days: {};",
            second.failed_release, first.failed_release
        )) && said[0].contains("in common: SignalBreached, signal errors, code=503 (signature "),
        "{said:?}"
    );
    let other = fails(&mut world, "v4", "500");
    assert_eq!((other.symptoms, other.recurrence), (Some(vec![symptom("code", "500")]), Some(1)));
    assert_ne!(other.signature, first.signature);
    assert_eq!(told(&world).len(), 1);
}

#[test]
fn without_an_answer_reason_and_signal_are_the_signature_and_nothing_waits_for_long() {
    let mut blind = adopted();
    blind.silent = vec!["code=~\"5..\""];
    let unknown = fails(&mut blind, "v2", "503");
    assert_eq!(unknown.symptoms, None);
    let old = Defect { signature: None, reason: "SignalBreached", signal: Some("errors"), symptoms: None };
    assert_eq!(unknown.signature, Some(old.sign("demo", "shop")), "that of versions that knew no symptoms");
    let mut world = adopted();
    let known = fails(&mut world, "v2", "503");
    assert_eq!(unknown.act_seconds, known.act_seconds, "weight 0 waits for no answer");
    let times = |world: &World| world.status.run.as_ref().unwrap().times.clone();
    let waited = times(&blind).ended_at.unwrap().duration_since(times(&blind).weight_zero_at.unwrap());
    assert!(waited.as_secs() <= 20, "{waited:?}");
    assert!(times(&blind).recovered_at.is_some());
    // What is known of both decides: here that it was by the same signal.
    blind.silent.clear();
    let again = fails(&mut blind, "v3", "503");
    assert_eq!((again.recurrence, again.symptoms), (Some(2), Some(vec![symptom("code", "503")])));
}

#[test]
fn an_answer_that_does_not_come_delays_the_record_by_seconds_and_a_new_template_not_at_all() {
    let mut world = adopted();
    world.silent = vec!["code=~\"5..\""];
    world.behave("v2", Behaviour { errors: 0.3, code: Some("503"), ..Behaviour::default() });
    world.apply("v2");
    until(&mut world, "weight 0", |world| {
        world.status.run.as_ref().is_some_and(|run| run.times.weight_zero_at.is_some())
    });
    world.apply("v3");
    world.behave("v3", Behaviour::default());
    until(&mut world, "the next attempt", |world| world.status.attempts == 2);
    let run = world.status.run.as_ref().unwrap();
    let requested = run.times.requested_at.unwrap();
    let rework = world.reworks.values().next().unwrap();
    // Drain and removal only.
    assert!(requested.duration_since(rework.weight_zero_at.unwrap()).as_secs() < 10, "{rework:?} {requested}");
}

#[test]
fn hostile_values_are_short_and_visible_in_every_record() {
    let mut world = adopted();
    let rework = fails(&mut world, "v2", "5\n\u{202e}");
    assert_eq!(rework.symptoms, Some(vec![symptom("code", "5??")]));
    fails(&mut world, "v3", "5\n\u{202e}");
    let said = told(&world);
    assert!(said.len() == 1 && said[0].contains("code=5??") && !said[0].contains('\n'), "{said:?}");
}

#[test]
fn where_no_label_stands_out_that_is_said() {
    let mut world = adopted();
    world.spec = comparing(serde_json::json!([{"name": "slow", "latency": {"over": "300ms"}}]));
    world.behave("v2", Behaviour { slow: 0.5, ..Behaviour::default() });
    let rework = taken_back(&mut world, "v2");
    assert_eq!((rework.signal.as_deref(), rework.symptoms), (Some("slow"), Some(Vec::new())));
}

#[test]
fn the_side_of_a_query_with_two_limits() {
    let mut world = adopted();
    world.spec = comparing(serde_json::json!([
        {"name": "errors", "errorRatio": {"threshold": "2%", "minRequests": 50}},
        {"name": "depth", "query": {"promql": "queue_depth", "min": "1", "max": "9"}, "consecutive": 2},
    ]));
    world.values = vec![("queue_depth", 5.0)];
    world.apply("v2");
    super::baking_at(&mut world, 10);
    world.values = vec![("queue_depth", 0.5)];
    done(&mut world, Outcome::RolledBack);
    let rework = world.reworks.values().next().unwrap();
    assert_eq!(
        (rework.signal.as_deref(), &rework.symptoms),
        (Some("depth"), &Some(vec![symptom("direction", "below")]))
    );
}

#[test]
fn records_of_older_versions_match_by_what_they_have() {
    let mut world = adopted();
    fails(&mut world, "v2", "503");
    for rework in world.reworks.values_mut() {
        rework.symptoms = None;
        rework.signature = Some("0123456789abcdef".into());
    }
    assert_eq!(fails(&mut world, "v3", "503").recurrence, Some(2), "the same reason and the same signal");
}

/// A failure of another Rollout, at the time of the toy world.
fn elsewhere(world: &World, rollout: &str, code: &str) -> ReworkFacts {
    ReworkFacts {
        name: format!("{rollout}-1"),
        namespace: "other".into(),
        rollout: rollout.into(),
        release: format!("{rollout}-1"),
        reason: "SignalBreached".into(),
        signal: Some("errors".into()),
        symptoms: Some(vec![symptom("code", code)]),
        signature: rollout.into(),
        at: world.now,
    }
}

#[test]
fn three_of_one_owner_are_told_and_two_are_not() {
    for (codes, expected) in [(["503", "503"], 1), (["503", "500"], 0)] {
        let mut world = adopted();
        world.spec.owner = Some(Owner { team: "payments".into(), contact: None });
        world.others = vec![elsewhere(&world, "cart", codes[0]), elsewhere(&world, "mail", codes[1])];
        let rework = fails(&mut world, "v2", "503");
        assert_eq!(rework.recurrence, Some(1), "it is the first of this Rollout");
        let said = told(&world);
        assert_eq!(said.len(), expected, "{codes:?}: {said:?}");
        if let Some(said) = said.first() {
            assert!(said.contains("failed as 2 others of team payments before it"), "{said}");
            assert!(
                said.contains("other/cart-1, other/mail-1; in common: SignalBreached, signal errors, code=503"),
                "{said}"
            );
        }
    }
    // Without symptoms every service fails alike: by its signal "errors".
    let mut world = adopted();
    world.spec.owner = Some(Owner { team: "payments".into(), contact: None });
    world.others =
        ["cart", "mail"].map(|rollout| ReworkFacts { symptoms: None, ..elsewhere(&world, rollout, "") }).into();
    fails(&mut world, "v2", "503");
    assert!(told(&world).is_empty());
}
