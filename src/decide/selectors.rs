//! Label selectors: reading one as it stands in an object, and what it picks.
//!
//! Owns the meaning of `matchLabels` and `matchExpressions`. Must not know whose selector it is: a selector that is
//! missing altogether means something else in every kind.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

/// The labels of a pod or a namespace.
pub(super) type Labels = BTreeMap<String, String>;

/// A label selector (`metav1.LabelSelector`). One without conditions picks everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Selector(Vec<Requirement>);

/// One condition of a selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    /// None that this program knows: the API server lets no other in, and it picks nothing.
    Unknown,
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            // A label that is not there is not among the values either.
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Unknown => false,
        }
    }
}

impl Selector {
    /// The selector as it stands in an object; fields that are missing or null are empty.
    pub fn read(selector: &Value) -> Self {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let equal = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
        let equal = equal.map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: value.as_str().map(str::to_owned).into_iter().collect(),
        });
        let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
        let expressions = expressions.map(|one| {
            let values = one.get("values").and_then(Value::as_array).into_iter().flatten();
            Requirement {
                key: text(one, "key"),
                operator: match text(one, "operator").as_str() {
                    "In" => Operator::In,
                    "NotIn" => Operator::NotIn,
                    "Exists" => Operator::Exists,
                    "DoesNotExist" => Operator::DoesNotExist,
                    _ => Operator::Unknown,
                },
                values: values.filter_map(Value::as_str).map(str::to_owned).collect(),
            }
        });
        Self(equal.chain(expressions).collect())
    }

    /// Whether it picks something with these labels.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }

    /// Whether it can pick something of which only these labels are known: `None` if that hangs on other labels.
    pub fn selects_known(&self, known: &Labels) -> Option<bool> {
        let (on_known, on_others): (Vec<_>, Vec<_>) = self.0.iter().partition(|one| known.contains_key(&one.key));
        if !on_known.iter().all(|one| one.holds(known)) {
            return Some(false);
        }
        on_others.is_empty().then_some(true)
    }

    /// The conditions that hold for one of the two and not for the other, by their keys, for people.
    pub(super) fn tells_apart(&self, one: &Labels, other: &Labels) -> String {
        let keys: BTreeSet<&str> =
            self.0.iter().filter(|it| it.holds(one) != it.holds(other)).map(|it| it.key.as_str()).collect();
        let keys: Vec<&str> = keys.into_iter().collect();
        format!("{} {}", if keys.len() == 1 { "label" } else { "labels" }, keys.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_operator_means_what_kubernetes_says() {
        let pod = labels(&[("app", "shop"), ("tier", "web")]);
        let expression = |operator: &str, key: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, picked) in [
            (json!({}), true),
            (json!({"matchLabels": null, "matchExpressions": null}), true),
            (json!({"matchLabels": {"app": "shop"}}), true),
            (json!({"matchLabels": {"app": "shop", "tier": "db"}}), false),
            (json!({"matchLabels": {"zone": "a"}}), false),
            (expression("In", "app", json!(["cart", "shop"])), true),
            (expression("In", "app", json!(["cart"])), false),
            (expression("In", "zone", json!(["a"])), false),
            (expression("NotIn", "app", json!(["cart"])), true),
            (expression("NotIn", "app", json!(["shop"])), false),
            (expression("NotIn", "zone", json!(["a"])), true),
            (expression("Exists", "tier", Value::Null), true),
            (expression("Exists", "zone", Value::Null), false),
            (expression("DoesNotExist", "zone", Value::Null), true),
            (expression("DoesNotExist", "tier", Value::Null), false),
            (expression("Like", "app", json!(["shop"])), false),
            (
                json!({"matchLabels": {"tier": "web"},
                    "matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["shop"]}]}),
                false,
            ),
        ] {
            assert_eq!(Selector::read(&selector).selects(&pod), picked, "{selector}");
        }
    }

    #[test]
    fn labels_that_are_not_known_leave_it_open() {
        let known = labels(&[("kubernetes.io/metadata.name", "demo")]);
        for (selector, expected) in [
            (json!({}), Some(true)),
            (json!({"matchLabels": {"kubernetes.io/metadata.name": "demo"}}), Some(true)),
            (json!({"matchLabels": {"kubernetes.io/metadata.name": "other"}}), Some(false)),
            (json!({"matchLabels": {"kubernetes.io/metadata.name": "other", "team": "a"}}), Some(false)),
            (json!({"matchLabels": {"team": "a"}}), None),
            (json!({"matchLabels": {"kubernetes.io/metadata.name": "demo", "team": "a"}}), None),
        ] {
            assert_eq!(Selector::read(&selector).selects_known(&known), expected, "{selector}");
        }
    }

    #[test]
    fn what_tells_two_apart_is_named() {
        let selector = json!({"matchLabels": {"app": "shop", "tier": "web"}});
        let (stable, canary) =
            (labels(&[("app", "shop"), ("tier", "web")]), labels(&[("app", "shop-canary"), ("tier", "web")]));
        assert_eq!(Selector::read(&selector).tells_apart(&stable, &canary), "label app");
    }
}
