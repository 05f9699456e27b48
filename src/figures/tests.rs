//! Rules that the scripted history of tests/it/figures does not reach, one by one.
#![allow(clippy::arithmetic_side_effects)] // seconds of small numbers of days

use serde_json::{Value, json};

use super::*;
use crate::api::{Reclassification, Release, ReworkEvent};

const DAY: i64 = 86_400;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Release shop-`number`, exposed at a second and promoted an hour later, from the revision before.
fn promoted(number: u32, second: i64) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Release",
        "metadata": {"name": format!("shop-{number}"), "namespace": "demo"},
        "spec": {"rollout": "shop", "rolloutUid": "u", "workload": "Deployment/shop", "number": number,
            "revision": format!("r{number}"), "fromRevision": format!("r{}", number.saturating_sub(1))},
        "status": {"outcome": "Promoted", "exposure": {"maxWeight": 100, "requests": 9, "errors": 0},
            "times": {"requestedAt": at(second), "exposedAt": at(second), "promotedAt": at(second + 3600)}},
    })
}

fn with(mut release: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    release.pointer_mut(parent).unwrap()[key] = value;
    release
}

fn history(releases: Vec<Value>) -> History {
    judged(releases, &[], &[])
}

fn judged(releases: Vec<Value>, events: &[ReworkEvent], said: &[Reclassification]) -> History {
    let releases: Vec<Release> = releases.into_iter().map(|one| serde_json::from_value(one).unwrap()).collect();
    History::new(&facts(&releases, events, said), Settings::default())
}

fn said(name: &str, second: i64, spec: Value) -> Reclassification {
    let mut value = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Reclassification",
        "metadata": {"name": name, "namespace": "demo", "creationTimestamp": at(second)}, "spec": spec,
    });
    value["spec"]["reason"] = json!("because");
    serde_json::from_value(value).unwrap()
}

fn rules(history: &History) -> Vec<Option<FailedBy>> {
    history.deployments().iter().map(|one| one.failure.map(|failure| failure.by)).collect()
}

#[test]
fn the_failure_window_is_closed_at_its_end() {
    for (after, fails) in [(1, true), (72 * 3600, true), (72 * 3600 + 1, false), (0, false)] {
        // Promoted at second 3600; the repair is exposed so many seconds later.
        let repair = with(promoted(2, 3600 + after), "/spec/remediates", json!("shop-1"));
        let history = history(vec![promoted(1, 0), repair]);
        assert_eq!(rules(&history)[0], fails.then_some(FailedBy::Remediated), "{after}");
        assert_eq!(history.deployments()[1].rework, Some(ReworkBy::Remediates), "it repairs all the same");
    }
}

#[test]
fn a_name_counts_for_more_than_a_return_and_that_for_more_than_a_hotfix() {
    let back = |release: Value| with(release, "/spec/revision", json!("r1"));
    let hotfix = |release: Value| {
        with(release, "/spec/classification", json!({"kind": "Hotfix", "confidence": "Medium", "by": "test"}))
    };
    let three = |last: Value| {
        let history = history(vec![promoted(1, 0), promoted(2, 10_000), promoted(3, 20_000), last]);
        let link = history.deployments()[3].links.first().copied().unwrap();
        (link.target, link.by)
    };
    // Back to r1: r2 replaced it. A hotfix: r3 was there before it.
    assert_eq!(three(hotfix(promoted(4, 30_000))), (2, LinkedBy::Hotfix));
    assert_eq!(three(hotfix(back(promoted(4, 30_000)))), (1, LinkedBy::Return));
    let named = with(hotfix(back(promoted(4, 30_000))), "/spec/remediates", json!("shop-1"));
    assert_eq!(three(named), (0, LinkedBy::Named));
}

#[test]
fn what_a_person_called_planned_is_no_return() {
    let planned = json!({"kind": "Planned", "confidence": "High", "by": "annotation"});
    let back = with(promoted(3, 20_000), "/spec/revision", json!("r1"));
    let history = history(vec![promoted(1, 0), promoted(2, 10_000), with(back, "/spec/classification", planned)]);
    assert_eq!(rules(&history), [None, None, None]);
    assert_eq!(history.deployments()[2].rework, None);
}

#[test]
fn a_repair_that_fails_leaves_it_open_until_its_own_repair() {
    let harm = json!({"at": at(4000), "signal": "errors", "message": "m"});
    let first = with(promoted(1, 0), "/status/escaped", harm);
    let mut second = with(promoted(2, 5000), "/spec/remediates", json!("shop-1"));
    second["status"]["outcome"] = json!("RolledBack");
    second["status"]["times"] = json!({"exposedAt": at(5000), "verdictAt": at(5060), "weightZeroAt": at(5061)});
    let third = with(promoted(3, 9000), "/spec/remediates", json!("shop-2"));
    let history = history(vec![first, second, third]);
    let recovered = history.deployments()[0].recovered.unwrap();
    assert_eq!((recovered.at, recovered.by), (at(9000 + 3600), RecoveredBy::Remediation));
    assert_eq!(history.deployments()[1].recovered.unwrap().by, RecoveredBy::WeightZero);
}

#[test]
fn the_last_word_of_a_person_counts_per_field() {
    let words = [
        said("b", 100, json!({"release": "shop-1", "failed": true, "kind": "Hotfix"})),
        said("c", 100, json!({"release": "shop-1", "failed": false})),
        said("a", 50, json!({"release": "shop-1", "kind": "Security"})),
        said("d", 60, json!({"release": "nothing", "failed": true})),
    ];
    let history = judged(vec![promoted(1, 0)], &[], &words);
    assert_eq!(rules(&history), [None], "c comes after b by name");
    assert_eq!(history.deployments()[0].kind(), crate::api::ChangeKind::Hotfix);
    assert_eq!(history.notes(), ["Reclassification demo/d speaks of Release nothing, which is not among the records"]);
    let repaired = said("e", 70_000, json!({"release": "shop-2", "remediates": "shop-1"}));
    assert_eq!(
        rules(&judged(vec![promoted(1, 0), promoted(2, 60_000)], &[], &[repaired])),
        [Some(FailedBy::Remediated), None]
    );
}

#[test]
fn a_signature_is_remembered_for_ninety_days() {
    for (days, seen) in [(90, true), (91, false)] {
        let failing = |number: u32, second: i64| {
            let mut release = promoted(number, second);
            release["status"]["outcome"] = json!("RolledBack");
            release["status"]["signature"] = json!("S");
            release["status"]["times"] =
                json!({"exposedAt": at(second), "verdictAt": at(second), "weightZeroAt": at(second)});
            release
        };
        let history = history(vec![failing(1, 0), failing(2, days * DAY)]);
        assert_eq!(history.deployments().iter().map(|one| one.recurring).collect::<Vec<_>>(), [false, seen], "{days}");
    }
}

#[test]
fn attempts_of_one_workload_are_never_one_deployment() {
    let id = |release: Value, rollout: &str| {
        let release = with(release, "/spec/change", json!({"releaseId": "x"}));
        with(release, "/spec/rollout", json!(rollout))
    };
    let all =
        vec![id(promoted(1, 0), "a"), id(promoted(2, 10), "b"), id(promoted(3, 20), "a"), id(promoted(4, 30), "b")];
    let releases: Vec<Vec<String>> = history(all).deployments().iter().map(Deployment::releases).collect();
    assert_eq!(releases, [["demo/shop-1", "demo/shop-2"], ["demo/shop-3", "demo/shop-4"]]);
}

#[test]
fn one_part_that_is_taken_back_is_contained_though_the_other_serves_everybody() {
    let mut bad = with(promoted(1, 0), "/spec/change", json!({"releaseId": "x"}));
    bad["status"] = json!({"outcome": "RolledBack", "exposure": {"maxWeight": 5, "requests": 9, "errors": 9},
        "times": {"exposedAt": at(0), "verdictAt": at(60), "weightZeroAt": at(61), "recoveredAt": at(70)}});
    let mut good = with(promoted(2, 0), "/spec/change", json!({"releaseId": "x"}));
    good["spec"]["rollout"] = json!("cart");
    let figures = history(vec![bad, good]).figures(Scope::All, 28, at(DAY));
    assert_eq!((figures.change_fail.contained.count, figures.change_fail.escaped.count), (1, 0));
    assert_eq!((figures.frequency.deployments, figures.frequency.promoted), (1, 0));
    assert_eq!(figures.recovery.unwrap().time.unwrap().median_seconds, 70.0);
}

#[test]
fn what_changes_nothing_is_no_deployment() {
    let same = with(promoted(1, 0), "/spec/fromRevision", json!("r1"));
    assert!(history(vec![same]).deployments().is_empty());
}

#[test]
fn what_is_still_open_from_long_ago_makes_only_the_next_one_rework() {
    let harm = json!({"at": at(4000), "signal": "errors", "message": "m"});
    let first = with(promoted(1, 0), "/status/escaped", harm);
    let history = history(vec![first, promoted(2, 50 * DAY), promoted(3, 60 * DAY)]);
    let rework: Vec<Option<ReworkBy>> = history.deployments().iter().map(|one| one.rework).collect();
    assert_eq!(rework, [None, Some(ReworkBy::OpenFailure), None]);
    assert_eq!(history.deployments()[0].recovered.unwrap().by, RecoveredBy::Inferred);
}

/// Taken back with these labels; `None`: nobody could say.
fn taken_back(number: u32, second: i64, signature: &str, labels: Option<&[(&str, &str)]>) -> Value {
    let symptoms = labels.map(|labels| {
        let one = |(label, value): &(&str, &str)| json!({"label": label, "value": value, "share": 90});
        labels.iter().map(one).collect::<Vec<_>>()
    });
    let mut release = promoted(number, second);
    release["status"] = json!({"outcome": "RolledBack", "stage": "Wave", "reason": "SignalBreached", "signal": "errors",
        "signature": signature, "symptoms": symptoms, "exposure": {"maxWeight": 10, "requests": 9, "errors": 3},
        "times": {"requestedAt": at(second), "exposedAt": at(second), "verdictAt": at(second + 60),
            "weightZeroAt": at(second + 61)}});
    release
}

#[test]
fn what_comes_back_is_what_the_records_have_in_common() {
    let pay = [("code", "503"), ("method", "GET"), ("route", "/pay")];
    let recurring = |releases: Vec<Value>| -> Vec<bool> {
        history(releases).deployments().iter().map(|one| one.recurring).collect()
    };
    let history = recurring(vec![
        taken_back(1, 0, "a", Some(&pay)),
        // 4 of 5 in common. The one after it fails with another code.
        taken_back(2, DAY, "b", Some(&pay[..2])),
        taken_back(3, 2 * DAY, "c", Some(&[("code", "500"), ("method", "GET"), ("route", "/pay")])),
        // 91 days after the first, and 90 after the second.
        taken_back(4, 91 * DAY, "a", Some(&pay)),
        // Nobody could say, and the signal is the same.
        taken_back(5, 92 * DAY, "d", None),
    ]);
    assert_eq!(history, [false, true, false, true, true]);
    // Nobody could say of either: their signatures decide.
    let silent = |signature| taken_back(2, DAY, signature, None);
    assert_eq!(recurring(vec![taken_back(1, 0, "a", None), silent("b")]), [false, false]);
    assert_eq!(recurring(vec![taken_back(1, 0, "a", None), silent("a")]), [false, true]);
    assert_eq!(recurring(vec![taken_back(1, 0, "a", None), taken_back(2, 90 * DAY, "a", None)]), [false, true]);
    assert_eq!(recurring(vec![taken_back(1, 0, "a", None), taken_back(2, 90 * DAY + 1, "a", None)]), [false, false]);
}
