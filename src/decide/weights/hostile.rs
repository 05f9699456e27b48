//! Routes of any shape that the Gateway API lets in, and some that it does not: a weight changes weights, nothing else.

use proptest::prelude::*;

use super::super::snapshot::BackendFacts;
use super::*;
use crate::api::RouteKind;
use crate::nasty;

const STABLE: &str = "s";
const CANARY: &str = "c";

/// What `observe` makes of a route; its own reading of JSON is tested beside it.
fn facts(object: &Value) -> RouteFacts {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let backend = |raw: &Value| BackendFacts {
        name: raw["name"].as_str().unwrap_or_default().to_owned(),
        local_service: raw["kind"].as_str().unwrap_or("Service") == "Service"
            && raw["group"].as_str().unwrap_or_default().is_empty()
            && raw["namespace"].as_str().is_none_or(|namespace| namespace == "demo"),
        weight: u32::try_from(raw["weight"].as_u64().unwrap_or(1)).unwrap_or(u32::MAX),
        raw: raw.clone(),
    };
    let rule = |rule: &Value| RuleFacts {
        name: rule["name"].as_str().map(str::to_owned),
        backends: list(rule.get("backendRefs")).iter().map(backend).collect(),
    };
    RouteFacts {
        kind: RouteKind::HTTPRoute,
        name: "r".into(),
        resource_version: "7".into(),
        generation: 3,
        rules: list(object.pointer("/spec/rules")).iter().map(rule).collect(),
        parents: Vec::new(),
    }
}

fn backend() -> impl Strategy<Value = Value> {
    let or_nothing = |weight: u32, values: Vec<Value>| prop_oneof![4 => Just(None), weight => proptest::sample::select(values).prop_map(Some)];
    let weights = [0, 1, 2, 7, 99, 100, 101, 10_000, 10_001, 65_536, 1_000_000].map(|weight| json!(weight)).to_vec();
    (
        prop_oneof![5 => Just(STABLE), 2 => Just(CANARY), 3 => proptest::sample::select(vec!["n", "m", "S", "s-", ""])],
        prop_oneof![2 => Just(None), 6 => proptest::sample::select(weights).prop_map(Some)],
        or_nothing(1, vec![json!("demo"), json!("other"), json!(""), Value::Null]),
        or_nothing(1, vec![json!("Service"), json!("ServiceImport"), Value::Null]),
        or_nothing(1, vec![json!(""), json!("multicluster.x-k8s.io")]),
        or_nothing(
            1,
            vec![json!([]), json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}])],
        ),
    )
        .prop_map(|(name, weight, namespace, kind, group, filters)| {
            let mut backend = json!({"name": name, "port": 80});
            let fields =
                [("weight", weight), ("namespace", namespace), ("kind", kind), ("group", group), ("filters", filters)];
            for (key, value) in fields.into_iter().filter_map(|(key, value)| Some((key, value?))) {
                backend[key] = value;
            }
            backend
        })
}

fn route() -> impl Strategy<Value = Value> {
    let name = prop_oneof![3 => Just(None), 2 => proptest::sample::select(vec!["a", "b", ""]).prop_map(Some)];
    let backends = prop_oneof![9 => proptest::collection::vec(backend(), 0..5).prop_map(Some), 1 => Just(None)];
    let rule = (name, backends, any::<bool>()).prop_map(|(name, backends, matches)| {
        let mut rule = json!({"filters": [{"type": "URLRewrite"}]});
        if matches {
            rule["matches"] = json!([{"path": {"value": "/c/s"}}]);
        }
        for (key, value) in [("name", name.map(|name| json!(name))), ("backendRefs", backends.map(Value::from))] {
            if let Some(value) = value {
                rule[key] = value;
            }
        }
        rule
    });
    proptest::collection::vec(rule, 0..4).prop_map(|rules| {
        json!({"metadata": {"name": "r", "namespace": "demo", "resourceVersion": "7"}, "spec": {"hostnames": ["s", "c"], "rules": rules}})
    })
}

/// The route after the patch, which must fit.
fn applied(object: &Value, patch: &Value) -> Value {
    let mut after = object.clone();
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
    json_patch::patch(&mut after, &patch).unwrap();
    after
}

/// The route without what Sluice may change: weights of one rule, and the canary's backend in it.
fn untouchable(object: &Value, rule: usize) -> Value {
    let mut rest = object.clone();
    if let Some(Value::Array(backends)) = rest.pointer_mut(&format!("/spec/rules/{rule}/backendRefs")) {
        backends.retain(|backend| backend["name"] != CANARY);
        for backend in backends.iter_mut() {
            backend.as_object_mut().unwrap().remove("weight");
        }
    }
    rest
}

/// What the canary gets of what it and stable get together in a rule, in percent.
fn share(rule: &RuleFacts) -> f64 {
    let weight = |name: &str| -> f64 {
        let ours = rule.backends.iter().filter(|backend| backend.local_service && backend.name == name);
        ours.map(|backend| f64::from(backend.weight)).sum()
    };
    let (canary, stable) = (weight(CANARY), weight(STABLE));
    if canary == 0.0 { 0.0 } else { canary / (canary + stable) * 100.0 }
}

/// Every weight written out: the API server's default.
fn defaulted(object: &Value) -> Value {
    let mut object = object.clone();
    for place in nasty::places(&object.clone()) {
        if place.rsplit('/').nth(1) == Some("backendRefs")
            && let Some(Value::Object(backend)) = object.pointer_mut(&place)
        {
            backend.entry("weight").or_insert(json!(1));
        }
    }
    object
}

proptest! {
    #![proptest_config(nasty::cases(1_500))]

    #[test]
    fn a_weight_changes_nothing_else(
        object in route(),
        name in proptest::option::weighted(0.3, proptest::sample::select(vec!["a", "b", ""])),
        percents in proptest::collection::vec(0_u8..=100, 1..5),
    ) {
        let before = facts(&object);
        let backup = match backup(&before, name, STABLE, CANARY) {
            Ok(backup) => backup,
            Err(why) => {
                prop_assert!(why.contains("HTTPRoute r") && why.len() < 300, "{why}");
                return Ok(());
            }
        };
        let (rule, _) = governed_rule(&before, name, STABLE).unwrap();
        let mut now = object.clone();
        for percent in percents {
            let route = facts(&now);
            match towards(&route, &backup, STABLE, CANARY, Some(percent)) {
                RouteState::Settled => {}
                RouteState::Needs(patch) => now = applied(&now, &patch),
                RouteState::Conflict(why) => prop_assert!(false, "{why}"),
            }
            prop_assert_eq!(untouchable(&now, rule), untouchable(&object, rule));
            let route = facts(&now);
            prop_assert!((share(&route.rules[rule]) - f64::from(percent)).abs() < 1e-9, "{percent}: {now}");
            for (index, other) in route.rules.iter().enumerate().filter(|(index, _)| *index != rule) {
                prop_assert_eq!(share(other), share(&before.rules[index]));
            }
            // Neighbours keep their proportion to stable and canary together.
            for (was, is) in before.rules[rule].backends.iter().zip(&route.rules[rule].backends) {
                if was.name != STABLE && was.name != CANARY {
                    prop_assert_eq!(u64::from(was.weight).saturating_mul(100), u64::from(is.weight));
                }
            }
            prop_assert_eq!(towards(&route, &backup, STABLE, CANARY, Some(percent)), RouteState::Settled);
            prop_assert!(present_share(&route, &backup, STABLE, CANARY) == percent);
        }
        if let RouteState::Needs(patch) = towards(&facts(&now), &backup, STABLE, CANARY, None) {
            now = applied(&now, &patch);
        }
        prop_assert_eq!(defaulted(&now).to_string(), defaulted(&object).to_string());
    }

    /// Whatever others make of the route in the middle of it: the canary never has more than was wanted, and in the end
    /// nothing.
    #[test]
    fn others_change_it(object in route(), other in route(), changes in nasty::changes(2), percent in 0_u8..=100, replaced in any::<bool>()) {
        let before = facts(&object);
        let Ok(backup) = backup(&before, None, STABLE, CANARY) else { return Ok(()) };
        let mut now = object.clone();
        if let RouteState::Needs(patch) = towards(&before, &backup, STABLE, CANARY, Some(percent)) {
            now = applied(&now, &patch);
        }
        now = nasty::changed(if replaced { other } else { now }, changes);
        if !now.is_object() {
            return Ok(()); // the API server has only objects
        }
        now["metadata"] = json!({"name": "r", "namespace": "demo", "resourceVersion": "7"});
        let route = facts(&now);
        let mut backends = route.rules.iter().flat_map(|rule| &rule.backends);
        if !backends.all(|backend| backend.raw["name"].is_string()) {
            // The API server has no such route; it must not be a panic either.
            let _ = towards(&route, &backup, STABLE, CANARY, Some(percent));
            return Ok(());
        }
        match towards(&route, &backup, STABLE, CANARY, Some(percent)) {
            RouteState::Needs(patch) if percent > 0 => {
                let after = facts(&applied(&now, &patch));
                let (rule, _) = governed_rule(&after, None, STABLE).unwrap();
                prop_assert!(share(&after.rules[rule]) <= f64::from(percent) + 1e-9);
            }
            RouteState::Needs(_) | RouteState::Settled => {}
            RouteState::Conflict(why) => prop_assert!(percent > 0 && !why.is_empty()),
        }
        let had: Vec<f64> = route.rules.iter().map(share).collect();
        let rule = governed_rule(&route, None, STABLE).map(|(index, _)| index);
        for _ in 0..20 {
            match towards(&facts(&now), &backup, STABLE, CANARY, None) {
                RouteState::Settled => break,
                RouteState::Needs(patch) => now = applied(&now, &patch),
                RouteState::Conflict(why) => prop_assert!(false, "{why}"),
            }
        }
        prop_assert_eq!(towards(&facts(&now), &backup, STABLE, CANARY, None), RouteState::Settled);
        for (index, rest) in facts(&now).rules.iter().enumerate() {
            let expected = if rule.as_ref().is_ok_and(|rule| *rule != index) { had[index] } else { 0.0 };
            prop_assert_eq!(share(rest), expected, "{}", now);
        }
    }
}
