//! The EndpointSlice controller: which pods a Service of a canary leads to.

use std::sync::Arc;

use serde_json::{Value, json};

use super::merge;
use crate::api::{Key, Look as _, text};
use crate::world::{Actor, State, World, name};

const WHO: &str = "endpointslice-controller";

pub(super) fn step(world: &World, state: &mut State) {
    let services: Vec<Arc<Value>> = state.store.list("Service", "demo").cloned().collect();
    for service in services {
        let mut labels = service.at("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
        if text(&labels, "/sluice.dev~1role") != "canary" {
            continue; // nobody looks at those of others
        }
        let selector = service.at("/spec/selector").and_then(Value::as_object).cloned().unwrap_or_default();
        let selected = |pod: &&Arc<Value>| {
            selector.iter().all(|(key, value)| pod.at("/metadata/labels").and_then(|all| all.get(key)) == Some(value))
        };
        let ready = |pod: &Value| text(pod, "/status/conditions/0/status") == "True";
        let endpoints: Vec<Value> = state
            .store
            .list("Pod", "demo")
            .filter(selected)
            .map(|pod| json!({"conditions": {"ready": ready(pod)}, "targetRef": {"kind": "Pod", "name": name(pod)}}))
            .collect();
        if let Some(labels) = labels.as_object_mut() {
            labels.insert("kubernetes.io/service-name".to_owned(), json!(name(&service)));
        }
        let key = Key::demo("EndpointSlice", &format!("{}-slice", name(&service)));
        let uid = text(&service, "/metadata/uid");
        // Where there are none, the real one writes null.
        let endpoints = if endpoints.is_empty() { Value::Null } else { json!(endpoints) };
        match state.store.get(&key) {
            None => {
                let owner = json!([{"apiVersion": "v1", "kind": "Service", "name": name(&service), "uid": uid}]);
                let body = json!({
                    "metadata": {"labels": labels, "ownerReferences": owner},
                    "addressType": "IPv4", "endpoints": endpoints, "ports": null,
                });
                let _ = world.create(state, Actor::Cluster(WHO), &key, body);
            }
            Some(there) if there.get("endpoints").unwrap_or(&Value::Null) != &endpoints => {
                merge(world, state, WHO, &key, json!({"endpoints": endpoints}));
            }
            Some(_) => {}
        }
    }
}
