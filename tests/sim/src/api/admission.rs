//! What the shipped admission policies do to a write, as long as they are there.
//!
//! A retelling of deploy/base/policies.yaml and deploy/base/interventions.yaml in Rust: what the real ones do is proven on a real
//! API server by the end-to-end tests.

use serde_json::{Value, json};

use super::store::{Key, Look as _, Refusal, Store, paused, text};
use crate::world::Actor;

const LABEL: &str = "/metadata/labels/sluice.dev~1rollout";
const GLASS: &str = "/metadata/annotations/sluice.dev~1break-glass";

/// The object as it is stored, or why it is not.
pub fn admit(store: &Store, actor: &Actor, key: &Key, old: Option<&Value>, mut new: Value) -> Result<Value, Refusal> {
    let there = |kind: &'static str, name: &str| {
        let key = |kind| Key { kind, namespace: String::new(), name: name.to_owned() };
        store.get(&key(kind)).is_some()
    };
    let mutates = |name: &str| there("MutatingAdmissionPolicy", name) && there("MutatingAdmissionPolicyBinding", name);
    let validates =
        |name: &str| there("ValidatingAdmissionPolicy", name) && there("ValidatingAdmissionPolicyBinding", name);
    if key.kind == "Intervention" && old.is_none() && mutates("sluice-intervention-stamp") {
        insert(&mut new, "/spec", "requestedBy", json!(actor.to_string()));
    }
    let Some(old) = old.filter(|_| key.kind == "Deployment") else {
        return Ok(new);
    };
    let label = text(old, LABEL).to_owned();
    if label.is_empty() && text(&new, LABEL).is_empty() {
        return Ok(new);
    }
    let operator = matches!(actor, Actor::Operator(_) | Actor::Late(_));
    if mutates("sluice-keep-label") && !label.is_empty() && text(&new, LABEL).is_empty() && !operator {
        insert(&mut new, "/metadata/labels", "sluice.dev/rollout", json!(label));
    }
    if mutates("sluice-gate") && old.at("/spec/template") != new.at("/spec/template") {
        insert(&mut new, "/spec", "paused", json!(true));
    }
    let broken = !text(&new, GLASS).is_empty() && text(&new, GLASS) != text(old, GLASS);
    if validates("sluice-guard") && paused(old) && !paused(&new) && !operator && !broken {
        return Err(Refusal::new(403, "Forbidden", "the template is not proven yet"));
    }
    Ok(new)
}

fn insert(object: &mut Value, at: &str, field: &str, value: Value) {
    if let Some(fields) = object.pointer_mut(at).and_then(Value::as_object_mut) {
        fields.insert(field.to_owned(), value);
    } else if let Some(parent) = at.rsplit_once('/')
        && let Some(fields) = object.pointer_mut(parent.0).and_then(Value::as_object_mut)
    {
        fields.insert(parent.1.to_owned(), json!({field: value}));
    }
}
