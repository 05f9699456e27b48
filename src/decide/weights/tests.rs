//! The arithmetic of weights, and every patch applied to the object that it was made for.

use super::*;
use crate::api::RouteKind;

/// A rule of Services: name and weight.
fn rule(name: Option<&str>, backends: &[(&str, u32)]) -> RuleFacts {
    let backends = backends.iter().map(|(service, weight)| BackendFacts {
        name: (*service).to_owned(),
        local_service: true,
        weight: *weight,
        raw: json!({"group": "", "kind": "Service", "name": service, "port": 80, "weight": weight}),
    });
    RuleFacts { name: name.map(str::to_owned), backends: backends.collect() }
}

fn route(rules: Vec<RuleFacts>) -> RouteFacts {
    RouteFacts {
        kind: RouteKind::HTTPRoute,
        name: "r".into(),
        resource_version: "7".into(),
        generation: 3,
        rules,
        parents: Vec::new(),
    }
}

fn one(backends: &[(&str, u32)]) -> RouteFacts {
    route(vec![rule(None, backends)])
}

/// The weights of each rule after the patch of `state`, which must fit the route.
fn after(route: &RouteFacts, state: &RouteState) -> Vec<Vec<(String, u64)>> {
    let rules = route.rules.iter().map(|rule| {
        let backends: Vec<&Value> = rule.backends.iter().map(|backend| &backend.raw).collect();
        json!({"backendRefs": backends})
    });
    let mut object = json!({
        "metadata": {"resourceVersion": route.resource_version},
        "spec": {"rules": rules.collect::<Vec<_>>()},
    });
    match state {
        RouteState::Settled => {}
        RouteState::Needs(patch) => {
            assert_eq!(patch[0], json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"}));
            let patch: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
            json_patch::patch(&mut object, &patch).unwrap();
        }
        RouteState::Conflict(why) => panic!("{why}"),
    }
    let rules = object["spec"]["rules"].as_array().unwrap();
    let weights = |rule: &Value| {
        let backends = rule["backendRefs"].as_array().unwrap().iter();
        backends.map(|one| (one["name"].as_str().unwrap().to_owned(), one["weight"].as_u64().unwrap())).collect()
    };
    rules.iter().map(weights).collect()
}

fn weights(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    of.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
}

fn taken(route: &RouteFacts) -> RouteBackup {
    backup(route, None, "s", "c").unwrap()
}

#[test]
fn the_governed_rule_is_the_only_one_or_the_named_one() {
    let several = route(vec![
        rule(Some("health"), &[("s", 1)]),
        rule(Some("main"), &[("s", 1), ("n", 1)]),
        rule(Some("other"), &[("n", 1)]),
    ]);
    let index = |name| governed_rule(&several, name, "s").map(|found| found.0);
    assert_eq!(index(Some("main")), Ok(1));
    assert_eq!(index(Some("health")), Ok(0));
    assert!(index(None).unwrap_err().contains("several rules") && index(None).unwrap_err().contains("routes[].rule"));
    assert!(index(Some("other")).unwrap_err().contains("rule other of HTTPRoute r does not have Service s"));
    assert!(index(Some("gone")).unwrap_err().contains("HTTPRoute r has no rule with the name gone"));
    let single = route(vec![rule(None, &[("n", 1)]), rule(Some("main"), &[("s", 1)])]);
    assert_eq!(governed_rule(&single, None, "s").map(|found| found.0), Ok(1));
    assert!(governed_rule(&single, None, "x").unwrap_err().contains("has no rule with Service x"));
    let twice = route(vec![rule(Some("main"), &[("s", 1)]), rule(Some("main"), &[("s", 1)])]);
    assert!(governed_rule(&twice, Some("main"), "s").unwrap_err().contains("several rules with the name main"));
}

#[test]
fn messages_name_the_kind() {
    let mut grpc = one(&[("n", 1)]);
    grpc.kind = RouteKind::GRPCRoute;
    assert!(governed_rule(&grpc, None, "s").unwrap_err().starts_with("GRPCRoute r "));
    assert_eq!(accepted(&grpc).unwrap_err(), "no gateway has accepted GRPCRoute r yet");
}

#[test]
fn a_backup_says_what_is_to_be_put_back() {
    let mut listed = one(&[("s", 3), ("c", 0), ("n", 2)]);
    listed.kind = RouteKind::GRPCRoute;
    let backup = taken(&listed);
    assert_eq!((backup.kind, backup.route.as_str(), backup.rule.as_deref()), (RouteKind::GRPCRoute, "r", None));
    let kept: Vec<_> = backup.backends.iter().map(|one| (one.name.as_str(), one.weight)).collect();
    assert_eq!(kept, [("s", 3), ("c", 0), ("n", 2)]);
    assert!(lists(&backup, "c") && !lists(&taken(&one(&[("s", 1)])), "c"));
    let named = route(vec![rule(Some("main"), &[("s", 1)])]);
    assert_eq!(super::backup(&named, Some("main"), "s", "c").unwrap().rule.as_deref(), Some("main"));
}

#[test]
fn rules_that_cannot_be_governed_are_refused() {
    let why = |backends: &[(&str, u32)]| backup(&one(backends), None, "s", "c").unwrap_err();
    assert!(why(&[("s", 1), ("c", 5)]).contains("gives Service c the weight 5 before any attempt"));
    assert!(why(&[("s", 1), ("c", 0), ("c", 0)]).contains("lists Service c twice"));
    assert!(why(&[("s", 1), ("s", 1)]).contains("lists Service s twice"));
    assert!(why(&[("s", 0)]).contains("between 1 and 10000"));
    assert!(why(&[("s", 1), ("n", 10_001)]).contains("between 1 and 10000"));
    let mut elsewhere = one(&[("s", 1), ("c", 0)]);
    elsewhere.rules[0].backends[1].local_service = false;
    assert!(backup(&elsewhere, None, "s", "c").unwrap_err().contains("not a Service of its namespace"));
}

#[test]
fn stable_and_canary_divide_what_stable_had() {
    let added = taken(&one(&[("s", 3), ("n", 2)]));
    assert_eq!(at_share(&added, "s", "c", 10), (vec![270, 200], 30));
    let listed = taken(&one(&[("c", 0), ("s", 3), ("n", 2)]));
    assert_eq!(at_share(&listed, "s", "c", 10), (vec![30, 270, 200], 30));
    assert_eq!(at_share(&listed, "s", "c", 0), (vec![0, 300, 200], 0));
    assert_eq!(at_share(&listed, "s", "c", 200), (vec![300, 0, 200], 300));
}

#[test]
fn a_backend_that_was_added_goes_again() {
    let before = one(&[("s", 3), ("n", 2)]);
    let backup = taken(&before);
    let up = towards(&before, &backup, "s", "c", Some(10));
    assert_eq!(after(&before, &up), [weights(&[("s", 270), ("n", 200), ("c", 30)])]);
    let during = one(&[("s", 270), ("n", 200), ("c", 30)]);
    assert_eq!(towards(&during, &backup, "s", "c", Some(10)), RouteState::Settled);
    let zero = towards(&during, &backup, "s", "c", Some(0));
    assert_eq!(after(&during, &zero), [weights(&[("s", 300), ("n", 200), ("c", 0)])]);
    let down = towards(&during, &backup, "s", "c", None);
    assert_eq!(after(&during, &down), [weights(&[("s", 3), ("n", 2)])]);
    assert_eq!(towards(&before, &backup, "s", "c", None), RouteState::Settled);
}

#[test]
fn a_backend_that_was_listed_stays() {
    let before = one(&[("c", 0), ("s", 3), ("n", 2)]);
    let backup = taken(&before);
    let up = towards(&before, &backup, "s", "c", Some(10));
    assert_eq!(after(&before, &up), [weights(&[("c", 30), ("s", 270), ("n", 200)])]);
    let during = one(&[("c", 30), ("s", 270), ("n", 200)]);
    assert_eq!(towards(&during, &backup, "s", "c", Some(10)), RouteState::Settled);
    let zero = towards(&during, &backup, "s", "c", Some(0));
    assert_eq!(after(&during, &zero), [weights(&[("c", 0), ("s", 300), ("n", 200)])]);
    let down = towards(&during, &backup, "s", "c", None);
    assert_eq!(after(&during, &down), [weights(&[("c", 0), ("s", 3), ("n", 2)])]);
    assert_eq!(towards(&before, &backup, "s", "c", None), RouteState::Settled);
}

#[test]
fn a_named_rule_is_found_again_behind_others() {
    let before = route(vec![rule(Some("main"), &[("s", 1)])]);
    let backup = backup(&before, Some("main"), "s", "c").unwrap();
    let moved = route(vec![rule(Some("health"), &[("s", 1)]), rule(Some("main"), &[("s", 90), ("c", 10)])]);
    assert_eq!(towards(&moved, &backup, "s", "c", Some(10)), RouteState::Settled);
    let down = towards(&moved, &backup, "s", "c", None);
    assert_eq!(after(&moved, &down), [weights(&[("s", 1)]), weights(&[("s", 1)])]);
}

#[test]
fn changed_backends_hold_and_never_hold_up_the_way_back() {
    for (original, during, left) in [
        (vec![("s", 1)], vec![("s", 90), ("c", 10), ("x", 5)], vec![("s", 90), ("x", 5)]),
        (vec![("s", 1), ("c", 0)], vec![("s", 90), ("c", 10), ("x", 5)], vec![("s", 90), ("c", 0), ("x", 5)]),
        // A wave of 100%: without stable's weight the rule would serve nobody.
        (vec![("s", 2)], vec![("s", 0), ("c", 200), ("x", 0)], vec![("s", 200), ("x", 0)]),
        (vec![("s", 2), ("c", 0)], vec![("s", 0), ("c", 200), ("x", 0)], vec![("s", 200), ("c", 0), ("x", 0)]),
    ] {
        let backup = taken(&one(&original));
        let changed = one(&during);
        let held = towards(&changed, &backup, "s", "c", Some(10));
        assert!(matches!(&held, RouteState::Conflict(why) if why.contains("HTTPRoute r were changed")), "{held:?}");
        for percent in [Some(0), None] {
            let back = towards(&changed, &backup, "s", "c", percent);
            assert_eq!(after(&changed, &back), [weights(&left)]);
            let done: Vec<(&str, u32)> = left.iter().map(|(name, weight)| (*name, *weight as u32)).collect();
            assert_eq!(towards(&one(&done), &backup, "s", "c", percent), RouteState::Settled);
        }
    }
}

#[test]
fn a_route_that_lost_stable_gives_the_canary_nothing() {
    for (original, left) in [(vec![("s", 1)], vec![("x", 5)]), (vec![("s", 1), ("c", 0)], vec![("c", 0), ("x", 5)])] {
        let backup = taken(&one(&original));
        let lost = route(vec![rule(None, &[("x", 5)]), rule(None, &[("c", 10), ("x", 5)])]);
        assert!(matches!(towards(&lost, &backup, "s", "c", Some(1)), RouteState::Conflict(_)));
        for percent in [Some(0), None] {
            let back = towards(&lost, &backup, "s", "c", percent);
            assert_eq!(after(&lost, &back), [weights(&[("x", 5)]), weights(&left)]);
        }
        let gone = route(vec![rule(None, &[("x", 5)])]);
        assert_eq!(towards(&gone, &backup, "s", "c", None), RouteState::Settled);
    }
}

#[test]
fn a_named_rule_that_was_renamed_gives_the_canary_nothing() {
    let before = route(vec![rule(Some("main"), &[("s", 1)])]);
    let backup = backup(&before, Some("main"), "s", "c").unwrap();
    // In a wave of 100%: stable gets its weight back as well.
    let renamed = route(vec![rule(Some("other"), &[("s", 0), ("c", 100)])]);
    assert!(matches!(towards(&renamed, &backup, "s", "c", Some(100)), RouteState::Conflict(_)));
    let back = towards(&renamed, &backup, "s", "c", Some(0));
    assert_eq!(after(&renamed, &back), [weights(&[("s", 100)])]);
}

#[test]
fn a_canary_that_somebody_wrote_twice_gets_nothing_at_either_place() {
    let listed = taken(&one(&[("s", 1), ("c", 0)]));
    let twice = one(&[("c", 0), ("c", 1)]);
    let back = towards(&twice, &listed, "s", "c", None);
    assert_eq!(after(&twice, &back), [weights(&[("c", 0), ("c", 0)])]);
}

#[test]
fn the_present_share_is_the_governed_rules() {
    let backup = taken(&one(&[("s", 1), ("c", 0)]));
    let share = |rules| present_share(&route(rules), &backup, "s", "c");
    assert_eq!(share(vec![rule(None, &[("s", 1), ("c", 0)])]), 0);
    assert_eq!(share(vec![rule(None, &[("s", 999), ("c", 1)])]), 1);
    assert_eq!(share(vec![rule(None, &[("s", 0), ("c", 1)])]), 100);
    assert_eq!(share(vec![rule(None, &[("s", 0), ("c", 0)])]), 0);
    // A rule of its own for people who want to see the canary is nobody's business …
    assert_eq!(share(vec![rule(None, &[("s", 1), ("c", 0)]), rule(None, &[("c", 1)])]), 0);
    // … unless the governed rule is not to be found.
    assert_eq!(share(vec![rule(None, &[("x", 1)]), rule(None, &[("c", 1)])]), 100);
}

#[test]
fn a_missing_backend_is_told_from_a_route_that_is_not_accepted() {
    let parent = |accepted, backend_missing, observed_generation| ParentFacts {
        controller: "g".into(),
        accepted,
        backend_missing,
        message: String::new(),
        observed_generation,
    };
    let with = |parents| RouteFacts { parents, ..one(&[("s", 1)]) };
    assert!(accepted_but_for_a_backend(&with(vec![parent(true, false, 3), parent(false, true, 3)])));
    assert!(!accepted_but_for_a_backend(&with(vec![parent(false, false, 3)])));
    assert!(!accepted_but_for_a_backend(&with(vec![parent(false, true, 2)])));
    assert!(!accepted_but_for_a_backend(&with(Vec::new())));
}
