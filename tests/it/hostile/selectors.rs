//! Label selectors against an own, slow reading of what Kubernetes documents ("Labels and Selectors").

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice::decide::selectors::Selector;

use super::nasty;

type Labels = BTreeMap<String, String>;

/// Every requirement by itself, as the documentation has it.
fn documented(selector: &Value, labels: &Labels) -> bool {
    let equal = selector["matchLabels"].as_object().cloned().unwrap_or_default();
    let expressions = selector["matchExpressions"].as_array().cloned().unwrap_or_default();
    equal.iter().all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        && expressions.iter().all(|one| {
            let has = labels.get(one["key"].as_str().unwrap());
            let among =
                |has: &String| one["values"].as_array().is_some_and(|values| values.iter().any(|value| value == has));
            match one["operator"].as_str().unwrap() {
                "In" => has.is_some_and(among),
                "NotIn" => !has.is_some_and(among),
                "Exists" => has.is_some(),
                "DoesNotExist" => has.is_none(),
                _ => false,
            }
        })
}

fn word() -> impl Strategy<Value = String> + Clone {
    prop_oneof![8 => proptest::sample::select(vec!["a", "b", "app", "tier", ""]).prop_map(str::to_owned), 1 => nasty::text()]
}

fn labels() -> impl Strategy<Value = Labels> {
    proptest::collection::btree_map(word(), word(), 0..4)
}

fn selector() -> impl Strategy<Value = Value> {
    let operator = prop_oneof![9 => proptest::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]), 1 => proptest::sample::select(vec!["", "in", "Gt", "Equals"])];
    let values = prop_oneof![4 => proptest::collection::vec(word(), 0..4).prop_map(|values| json!(values)), 1 => Just(Value::Null)];
    let expression = (word(), operator, values)
        .prop_map(|(key, operator, values)| json!({"key": key, "operator": operator, "values": values}));
    let equal = prop_oneof![4 => proptest::collection::btree_map(word(), word(), 0..3).prop_map(|equal| json!(equal)), 1 => Just(Value::Null)];
    (equal, proptest::collection::vec(expression, 0..4))
        .prop_map(|(equal, expressions)| json!({"matchLabels": equal, "matchExpressions": expressions}))
}

proptest! {
    #![proptest_config(nasty::cases(2_000))]

    #[test]
    fn a_selector_picks_what_kubernetes_says(selector in selector(), labels in labels(), more in labels()) {
        let read = Selector::read(&selector);
        prop_assert_eq!(read.selects(&labels), documented(&selector, &labels), "{} {:?}", selector, labels);
        // What is said of known labels is true whatever the others are.
        let mut all = more;
        all.extend(labels.clone());
        if let Some(picked) = read.selects_known(&labels) {
            prop_assert_eq!(picked, documented(&selector, &all), "{} {:?}", selector, all);
        }
    }

    /// What the API server lets nobody write is read all the same: towards picking nothing, or what is left of it.
    #[test]
    fn selectors_of_any_shape(selector in selector(), changes in nasty::changes(3), labels in labels()) {
        let read = Selector::read(&nasty::changed(selector, changes));
        let _ = (read.selects(&labels), read.selects_known(&labels));
    }
}

#[test]
fn the_corpus() {
    let labels: Labels = [("app".to_owned(), "shop".to_owned())].into();
    for value in nasty::values() {
        for selector in [
            value.clone(),
            json!({"matchLabels": value}),
            json!({"matchExpressions": value}),
            json!({"matchLabels": {"app": value}}),
            json!({"matchExpressions": [{"key": value, "operator": "In", "values": [value]}]}),
            json!({"matchExpressions": [{"key": "app", "operator": value}]}),
        ] {
            let _ = Selector::read(&selector).selects(&labels);
        }
    }
    // A label whose value is no text is equal to no label's.
    assert!(!Selector::read(&json!({"matchLabels": {"app": null}})).selects(&labels));
    assert!(!Selector::read(&json!({"matchExpressions": [null]})).selects(&labels));
}
