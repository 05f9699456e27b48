//! The canary: its names, its labels, its size, and the whole objects that are made of the workload's template.
//!
//! The canary's pods must be seen by nothing that selects stable's: one label value that both the workload's selector
//! and the stable Service's selector ask for is changed, and a role label is added.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::snapshot::{Snapshot, Workload};
use crate::api::names;

/// The canary Deployment's name.
pub(super) fn name(snapshot: &Snapshot) -> String {
    names::canary(&snapshot.rollout.spec.target_ref.name)
}

/// How many pods carry a share of `percent` of what `replicas` pods serve: the same load per pod, and at least one.
pub(super) fn size(replicas: u32, percent: u8) -> u32 {
    replicas.saturating_mul(u32::from(percent)).div_ceil(100).max(1)
}

/// The labels whose values are changed for the canary: one that both selectors name, or else one of each.
fn varied<'a>(workload: &'a Workload, service: &'a BTreeMap<String, String>) -> Vec<&'a str> {
    let common = workload.selector.keys().find(|key| service.contains_key(*key));
    match common {
        Some(key) => vec![key],
        None => workload.selector.keys().take(1).chain(service.keys().take(1)).map(String::as_str).collect(),
    }
}

/// The labels of the canary's pods.
pub(super) fn labels(workload: &Workload, service: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = workload.pod_labels.clone();
    for key in varied(workload, service) {
        if let Some(value) = labels.get_mut(key) {
            *value = names::with_suffix(value, "-canary");
        }
    }
    labels.insert(names::ROLE_LABEL.into(), names::CANARY_ROLE.into());
    labels.insert(names::REVISION_LABEL.into(), workload.digest.clone());
    labels
}

/// Whether a selector picks pods with these labels. An empty selector picks none: Services without one have
/// endpoints made by hand.
pub(super) fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Which Rollout a pod of the canary belongs to; lets its events find their way.
pub(super) fn belonging(snapshot: &Snapshot) -> (&'static str, String) {
    (names::ROLLOUT_NAME_LABEL, names::with_suffix(&snapshot.rollout.name, ""))
}

/// The canary Deployment.
pub(super) fn deployment(snapshot: &Snapshot, workload: &Workload, template: &Value, replicas: u32) -> Value {
    let service = snapshot.stable_service.as_ref().map(|service| service.selector.clone()).unwrap_or_default();
    let labels = labels(workload, &service);
    let mut selector: BTreeMap<&str, &String> = BTreeMap::new();
    for key in workload.selector.keys().map(String::as_str).chain([names::ROLE_LABEL, names::REVISION_LABEL]) {
        if let Some(value) = labels.get(key) {
            selector.insert(key, value);
        }
    }
    let mut template = template.clone();
    if let Some(template) = template.as_object_mut() {
        let metadata = template.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            let (key, value) = belonging(snapshot);
            let mut labels = json!(labels);
            if let Some(labels) = labels.as_object_mut() {
                labels.insert(key.into(), json!(value));
            }
            metadata.insert("labels".into(), labels);
        }
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(snapshot, &name(snapshot), Some(&workload.digest)),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": selector},
            // Only its size ever changes; a changed template is a new canary.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": template,
        },
    })
}

/// The canary Service: the stable Service's ports, the canary's pods.
pub(super) fn service(snapshot: &Snapshot, workload: &Workload) -> Option<Value> {
    let stable = snapshot.stable_service.as_ref()?;
    let labels = labels(workload, &stable.selector);
    let mut selector: BTreeMap<&str, &String> = BTreeMap::new();
    for key in stable.selector.keys().map(String::as_str).chain([names::ROLE_LABEL, names::REVISION_LABEL]) {
        if let Some(value) = labels.get(key) {
            selector.insert(key, value);
        }
    }
    let ports: Vec<Value> = stable
        .ports
        .iter()
        .map(|port| {
            let mut port = port.clone();
            if let Some(fields) = port.as_object_mut() {
                fields.remove("nodePort");
            }
            port
        })
        .collect();
    Some(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(snapshot, &snapshot.rollout.spec.traffic.canary_service_name(), None),
        "spec": {"selector": selector, "ports": ports},
    }))
}

/// Labels say what it is for, the owner reference lets it go with the Rollout.
pub(super) fn metadata(snapshot: &Snapshot, name: &str, revision: Option<&str>) -> Value {
    let rollout = &snapshot.rollout;
    let mut metadata = json!({
        "name": name,
        "namespace": rollout.namespace,
        "labels": {
            "app.kubernetes.io/managed-by": "sluice",
            (names::ROLE_LABEL): names::CANARY_ROLE,
            (names::ROLLOUT_NAME_LABEL): belonging(snapshot).1,
        },
        "ownerReferences": [{
            "apiVersion": "sluice.dev/v1alpha1",
            "kind": "Rollout",
            "name": rollout.name,
            "uid": rollout.uid,
            "controller": true,
            "blockOwnerDeletion": false,
        }],
    });
    if let (Some(revision), Some(fields)) = (revision, metadata.as_object_mut()) {
        fields.insert("annotations".into(), json!({(names::REVISION_ANNOTATION): revision}));
    }
    metadata
}
