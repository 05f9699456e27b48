//! From objects of any shape to facts: nothing is a panic, and a route is read as it stands.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::facts;
use crate::nasty;
use crate::watch::routes::{Http, RouteView};
use crate::watch::views::{DeploymentView, EndpointSliceView, PodView, ReplicaSetView, ScalerView, ServiceView};

fn read<T: serde::de::DeserializeOwned>(object: &Value) -> Option<T> {
    serde_json::from_value(object.clone()).ok()
}

/// One object with the fields of every kind.
fn object() -> Value {
    let labels = json!({"sluice.dev/rollout": "shop", "sluice.dev/rollout-name": "shop", "sluice.dev/role": "canary", "sluice.dev/revision": "r"});
    let containers = json!([{"restartCount": 3, "state": {"waiting": {"reason": "r", "message": "m"}}}]);
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "i"}], "terminationGracePeriodSeconds": 30}});
    json!({
        "metadata": {"name": "a", "namespace": "demo", "generation": 2, "labels": labels, "annotations": labels,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Rollout", "name": "shop", "uid": "u"}]},
        "spec": {"replicas": 2, "paused": true, "selector": {"matchLabels": {"a": "b"}}, "template": template, "ports": [{"port": 80}],
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}},
            "scaleTargetRef": {"kind": "Deployment", "name": "a"}, "behavior": {"scaleDown": {}},
            "rules": [{"name": "a", "backendRefs": [{"name": "s", "weight": 3, "namespace": "demo"}, {"name": "c", "kind": "Service"}]}]},
        "status": {"observedGeneration": 2, "replicas": 2, "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": containers,
            "parents": [{"controllerName": "c", "conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 2}, {"type": "ResolvedRefs", "status": "False"}]}]},
        "endpoints": [{"conditions": {"ready": null}}, {"conditions": {}}],
    })
}

proptest! {
    #![proptest_config(nasty::cases(500))]

    #[test]
    fn objects_of_any_shape(changes in nasty::changes(5)) {
        let mut object = nasty::changed(object(), changes);
        prop_assume!(object.is_object()); // the API server has nothing else
        if let Some(view) = read::<DeploymentView>(&object) {
            let workload = facts::workload(&view);
            // Without a template there is none; the API server lets no such Deployment in.
            prop_assert!(matches!(workload.digest.len(), 0 | 16));
            let _ = facts::canary(&view, "u");
        }
        if let Some(view) = read::<ReplicaSetView>(&object) {
            let _ = facts::replica_set(&view);
        }
        if let Some(view) = read::<ScalerView>(&object) {
            let _ = facts::scaler(&view);
        }
        if let Some(view) = read::<PodView>(&object) {
            let _ = (facts::pod(&view), facts::belongs(&view, "shop", "demo"), facts::ours(&view, "u"));
        }
        if let Some(view) = read::<EndpointSliceView>(&object) {
            let _ = facts::ready(&view);
        }
        // Serde reads an array as a struct, field after field. No schema lets one in, and a pointer finds nothing there.
        let plain = !object["spec"].is_array();
        if let Some(view) = read::<RouteView<Http>>(&object).filter(|_| plain) {
            let route = facts::route(&view);
            let rules = object.pointer("/spec/rules").and_then(Value::as_array).cloned().unwrap_or_default();
            prop_assert_eq!(route.rules.len(), rules.len());
            for (rule, raw) in route.rules.iter().zip(&rules) {
                let backends = raw["backendRefs"].as_array().cloned().unwrap_or_default();
                // A patch counts positions: none may be left out.
                prop_assert_eq!(rule.backends.iter().map(|one| &one.raw).collect::<Vec<_>>(), backends.iter().collect::<Vec<_>>());
                for backend in &rule.backends {
                    let other = backend.raw["namespace"].as_str().is_some_and(|namespace| namespace != view.metadata.namespace.clone().unwrap_or_default());
                    prop_assert!(!(other && backend.local_service), "{}", backend.raw);
                    prop_assert_eq!(backend.name.as_str(), backend.raw["name"].as_str().unwrap_or_default());
                }
            }
        }
        // The selector of a Service is a map of texts.
        object["spec"] = json!({"selector": object.pointer("/spec/selector/matchLabels")});
        if let Some(view) = read::<ServiceView>(&object) {
            let _ = facts::service(&view, "u");
        }
    }
}
