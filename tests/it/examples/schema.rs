//! What the API server says of an object of this project with `--validate=strict`: by the structural schema of its CRD,
//! and by its rules (CEL), which kube checks.

use kube::CustomResourceExt;
use kube::core::cel::validate_cel;
use regex::Regex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice::api::{
    DecisionLog, Intervention, MetricsProvider, NotificationSink, Postmortem, Reclassification, Release, ReworkEvent,
    Rollout,
};

/// Everything that is wrong with an object, of whose metadata and version nothing is asked.
pub fn complaints(object: &Value) -> Vec<String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let definition =
        sluice::crds::all().unwrap().into_iter().find(|(_, definition)| definition.spec.names.kind == kind);
    let Some((_, definition)) = definition else { return vec![format!("there is no kind {kind:?}")] };
    let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
    let properties = &schema["openAPIV3Schema"]["properties"];
    let parts = ["spec", "status"].into_iter().filter(|part| !object[part].is_null());
    let found: Vec<String> = parts.flat_map(|part| problems(&properties[part], &object[part], part)).collect();
    if !found.is_empty() {
        return found;
    }
    let taken = match kind {
        "Rollout" => taken::<Rollout>(object),
        "Release" => taken::<Release>(object),
        "ReworkEvent" => taken::<ReworkEvent>(object),
        "DecisionLog" => taken::<DecisionLog>(object),
        "Intervention" => taken::<Intervention>(object),
        "Reclassification" => taken::<Reclassification>(object),
        "Postmortem" => taken::<Postmortem>(object),
        "MetricsProvider" => taken::<MetricsProvider>(object),
        "NotificationSink" => taken::<NotificationSink>(object),
        other => Err(format!("{other} is not looked at")),
    };
    taken.err().into_iter().collect()
}

/// Decodes an object and asks the rules of its schema.
fn taken<K: DeserializeOwned + Serialize + CustomResourceExt>(object: &Value) -> Result<(), String> {
    let decoded: K = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    validate_cel(&decoded).map_err(|error| format!("{error:?}"))
}

/// Everything that is wrong with a value, each with its path.
fn problems(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    look(schema, value, path, &mut found);
    found
}

fn look(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if value.is_null() {
        if schema["nullable"] != true {
            found.push(format!("{path}: null"));
        }
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{path}: {value} is none of {words:?}"));
    }
    match schema["type"].as_str() {
        Some("object") => object(schema, value, path, found),
        Some("array") => {
            let Some(items) = value.as_array() else {
                return found.push(format!("{path}: no list"));
            };
            bounds(schema, "Items", items.len(), path, found);
            for (at, item) in items.iter().enumerate() {
                look(&schema["items"], item, &format!("{path}[{at}]"), found);
            }
        }
        Some("string") => text(schema, value, path, found),
        Some("integer" | "number") => {
            let Some(number) = value.as_f64() else {
                return found.push(format!("{path}: {value} is no number"));
            };
            if schema["type"] == "integer" && number.fract() != 0.0 {
                found.push(format!("{path}: {value} is no integer"));
            }
            if schema["minimum"].as_f64().is_some_and(|least| number < least)
                || schema["maximum"].as_f64().is_some_and(|most| number > most)
            {
                found.push(format!("{path}: {value} is out of range"));
            }
        }
        Some("boolean") if !value.is_boolean() => found.push(format!("{path}: {value} is no boolean")),
        Some("boolean") => {}
        other => found.push(format!("{path}: the schema has the type {other:?}")),
    }
}

fn object(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let Some(fields) = value.as_object() else {
        return found.push(format!("{path}: no object"));
    };
    for required in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(required.as_str().unwrap_or_default()) {
            found.push(format!("{path}: {required} is missing"));
        }
    }
    for (name, field) in fields {
        let path = format!("{path}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(known), _) => look(known, field, &path, found),
            (None, Some(any)) => look(any, field, &path, found),
            (None, None) => found.push(format!("{path}: unknown field")),
        }
    }
}

fn text(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let Some(text) = value.as_str() else {
        return found.push(format!("{path}: {value} is no text"));
    };
    bounds(schema, "Length", text.chars().count(), path, found);
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).unwrap().is_match(text)
    {
        found.push(format!("{path}: {text:?} does not match {pattern}"));
    }
}

fn bounds(schema: &Value, of: &str, size: usize, path: &str, found: &mut Vec<String>) {
    let bound = |name: &str| schema[format!("{name}{of}")].as_u64();
    if bound("min").is_some_and(|least| (size as u64) < least) || bound("max").is_some_and(|most| size as u64 > most) {
        found.push(format!("{path}: {size} long"));
    }
}

#[test]
fn what_is_wrong_is_found() {
    let schema = serde_json::json!({"type": "object", "required": ["a"], "properties": {
        "a": {"type": "string", "pattern": "^x", "maxLength": 3},
        "b": {"type": "array", "minItems": 1, "items": {"type": "integer", "maximum": 4.0}},
        "c": {"type": "string", "enum": ["One"]},
    }});
    for (value, expected) in [
        (serde_json::json!({"a": "xy", "b": [1], "c": "One"}), None),
        (serde_json::json!({}), Some(": \"a\" is missing")),
        (serde_json::json!({"a": "y"}), Some("a: \"y\" does not match")),
        (serde_json::json!({"a": "xxxx"}), Some("a: 4 long")),
        (serde_json::json!({"a": 5}), Some("a: 5 is no text")),
        (serde_json::json!({"a": "x", "b": []}), Some("b: 0 long")),
        (serde_json::json!({"a": "x", "b": [5]}), Some("b[0]: 5 is out of range")),
        (serde_json::json!({"a": "x", "b": [1.5]}), Some("b[0]: 1.5 is no integer")),
        (serde_json::json!({"a": "x", "c": "Two"}), Some("c: \"Two\" is none of")),
        (serde_json::json!({"a": "x", "d": 1}), Some("d: unknown field")),
        (serde_json::json!({"a": null}), Some("a: null")),
    ] {
        let found = problems(&schema, &value, "");
        match expected {
            None => assert_eq!(found, [""; 0], "{value}"),
            Some(words) => assert!(found.len() == 1 && found[0].contains(words), "{value}: {found:?}"),
        }
    }
}
