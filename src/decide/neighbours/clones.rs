//! NetworkPolicies that are made for the canary, so that it has what stable has and nothing more.
//!
//! Two kinds, of every policy that names stable's pods and not the canary's. A policy that governs stable's pods is
//! copied for the canary's. Where a policy lets stable's pods through as peers, a further policy for the same pods lets
//! the canary's through: policies add up. Owns which are wanted, and what brings the cluster there.

use serde_json::{Value, json};

use super::super::canary;
use super::super::plan::Write;
use super::super::preflight::{Refusal, refuse};
use super::super::snapshot::{Snapshot, Workload};
use super::rules::{Reader, directions, list};
use super::{Around, PolicyFacts};
use crate::api::names;

/// Annotation on what is made: the policy that it was made of.
const COPIED_FROM: &str = "sluice.dev/copied-from";

/// A policy that should exist while the canary does.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Wanted {
    /// Its name.
    pub(in super::super) name: String,
    /// The policy that it is made of.
    pub(in super::super) origin: String,
    /// Its spec.
    pub(in super::super) spec: Value,
}

/// What should exist while the canary does, in a fixed order.
pub(super) fn wanted(around: &Around<'_>) -> Vec<Wanted> {
    let rollout = names::with_suffix(around.rollout, "");
    let canary =
        json!({"matchLabels": {(names::ROLE_LABEL): names::CANARY_ROLE, (names::ROLLOUT_NAME_LABEL): rollout}});
    let maker = Maker { reader: around.reader(), canary };
    let mut wanted = Vec::new();
    for policy in around.neighbours.policies.iter().filter(|policy| !policy.ours) {
        // Two Rollouts may need something of one policy.
        let name = |suffix: &str| names::with_suffix(&format!("{}-{rollout}", policy.name), suffix);
        if around.sides.stable_only(&policy.selector()) {
            let spec = maker.copy(policy);
            wanted.push(Wanted { name: name("-canary"), origin: policy.name.clone(), spec });
        }
        if let Some(spec) = maker.grant(policy) {
            wanted.push(Wanted { name: name("-canary-peer"), origin: policy.name.clone(), spec });
        }
    }
    wanted
}

struct Maker<'a> {
    reader: Reader<'a>,
    /// The selector of exactly the canary's pods, whatever version they run.
    canary: Value,
}

impl Maker<'_> {
    /// The same rules for the canary's pods. Where stable's pods name each other, they name the canary's too.
    fn copy(&self, policy: &PolicyFacts) -> Value {
        let mut spec = policy.spec.clone();
        let Some(fields) = spec.as_object_mut() else { return spec };
        fields.insert("podSelector".into(), self.canary.clone());
        let governed: Vec<_> = directions(&policy.spec).collect();
        fields.insert("policyTypes".into(), governed.iter().map(|direction| direction.kind).collect());
        for direction in governed {
            for rule in fields.get_mut(direction.section).and_then(Value::as_array_mut).into_iter().flatten() {
                let added = self.rewritten(&self.reader.lacking(rule, direction, &policy.namespace));
                if let Some(peers) = rule.get_mut(direction.peers).and_then(Value::as_array_mut) {
                    peers.extend(added);
                }
            }
        }
        spec
    }

    /// For the pods of a policy, those of its rules that let stable's pods through, for the canary's instead. Only
    /// directions that the policy governs already are named, so that nothing is closed that was open.
    fn grant(&self, policy: &PolicyFacts) -> Option<Value> {
        let mut kinds = Vec::new();
        let mut spec = json!({"podSelector": policy.spec.get("podSelector").cloned().unwrap_or_else(|| json!({}))});
        for direction in directions(&policy.spec) {
            let rules: Vec<Value> = list(&policy.spec, direction.section)
                .filter_map(|rule| {
                    let peers = self.rewritten(&self.reader.lacking(rule, direction, &policy.namespace));
                    let mut rule = rule.clone();
                    rule.as_object_mut()?.insert(direction.peers.into(), Value::Array(peers.clone()));
                    (!peers.is_empty()).then_some(rule)
                })
                .collect();
            if let (false, Some(fields)) = (rules.is_empty(), spec.as_object_mut()) {
                kinds.push(direction.kind);
                fields.insert(direction.section.into(), Value::Array(rules));
            }
        }
        spec.as_object_mut()?.insert("policyTypes".into(), json!(kinds));
        (!kinds.is_empty()).then_some(spec)
    }

    /// Peers for the canary's pods in place of these. Policy and canary are in one namespace: where a peer is certain
    /// to mean it, the namespace need not be said, and then no other is let through.
    fn rewritten(&self, peers: &[&Value]) -> Vec<Value> {
        let mut rewritten: Vec<Value> = Vec::new();
        for peer in peers {
            let mut new = json!({"podSelector": self.canary});
            if let (Some(selector), Some(fields)) = (peer.get("namespaceSelector"), new.as_object_mut())
                && self.reader.reaches(peer, self.reader.namespace).is_none()
            {
                fields.insert("namespaceSelector".into(), selector.clone());
            }
            if !rewritten.contains(&new) {
                rewritten.push(new);
            }
        }
        rewritten
    }
}

/// A spec without what means nothing: the API server leaves out empty lists where it can.
fn plain(spec: &Value) -> Value {
    match spec {
        Value::Object(fields) => {
            let kept = fields.iter().map(|(key, value)| (key.clone(), plain(value)));
            kept.filter(|(_, value)| !value.is_null() && *value != json!([])).collect()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => spec.clone(),
    }
}

/// Whether nothing foreign has a name that is needed.
pub(super) fn free(around: &Around<'_>) -> Result<(), Refusal> {
    let policies = &around.neighbours.policies;
    let taken = |one: &Wanted| policies.iter().any(|policy| policy.name == one.name && !policy.ours);
    match wanted(around).iter().find(|one| taken(one)) {
        Some(one) => Err(refuse("NameTaken", name_taken(one))),
        None => Ok(()),
    }
}

fn name_taken(one: &Wanted) -> String {
    let Wanted { name, origin, .. } = one;
    format!(
        "NetworkPolicy {name} exists and was not made by this Rollout; the canary needs one of that name, made of NetworkPolicy {origin}: rename or delete it"
    )
}

/// The writes that bring the policies of the canary to what is wanted; none when they are.
pub(in super::super) fn keep(s: &Snapshot, workload: &Workload) -> Result<Vec<Write>, String> {
    let wanted = wanted(&Around::of(s, workload));
    let mut writes = Vec::new();
    for one in &wanted {
        match s.neighbours.policies.iter().find(|policy| policy.name == one.name) {
            None => writes.push(Write::CreatePolicy { body: body(s, one) }),
            Some(taken) if !taken.ours => return Err(name_taken(one)),
            Some(there) if plain(&there.spec) != plain(&one.spec) => writes.push(Write::ReplacePolicy {
                name: one.name.clone(),
                resource_version: there.resource_version.clone(),
                spec: one.spec.clone(),
            }),
            Some(_) => {}
        }
    }
    // What a policy was made for may be gone, or not need it any more.
    let unwanted = ours(s).filter(|policy| !wanted.iter().any(|one| one.name == policy.name));
    writes.extend(unwanted.map(delete));
    Ok(writes)
}

/// What was made and is still there.
pub(in super::super) fn ours(s: &Snapshot) -> impl Iterator<Item = &PolicyFacts> {
    s.neighbours.policies.iter().filter(|policy| policy.ours)
}

/// Deletes what was made.
pub(in super::super) fn delete(policy: &PolicyFacts) -> Write {
    Write::DeletePolicy { name: policy.name.clone(), uid: policy.uid.clone() }
}

/// Whether one of ours is not needed any more although the canary may be there.
pub(in super::super) fn unneeded(s: &Snapshot, name: &str) -> bool {
    s.workload.as_ref().is_some_and(|workload| !wanted(&Around::of(s, workload)).iter().any(|one| one.name == name))
}

fn body(s: &Snapshot, one: &Wanted) -> Value {
    let mut metadata = canary::metadata(s, &one.name, None);
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert("annotations".into(), json!({(COPIED_FROM): one.origin}));
    }
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": one.spec})
}
