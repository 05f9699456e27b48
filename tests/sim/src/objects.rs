//! The objects that are there when a simulation begins.

use serde_json::{Value, json};

use crate::api::Key;
use crate::plan::Plan;
use crate::world::{Actor, State, World};

/// The pod template of a version.
pub fn template(version: u64) -> Value {
    json!({
        "metadata": {"labels": {"app": "shop"}},
        "spec": {
            "containers": [{
                "name": "shop", "image": format!("local/shop:v{version}"),
                "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
            }],
            "terminationGracePeriodSeconds": 30,
        },
    })
}

/// The workload.
pub fn deployment(version: u64, replicas: u64) -> Value {
    json!({
        "metadata": {"labels": {"app": "shop"}, "annotations": {}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "shop"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": template(version),
        },
    })
}

/// The rules of the route as they are in git.
pub fn rules() -> Value {
    json!([
        {"backendRefs": [{"group": "", "kind": "Service", "name": "shop", "port": 80, "weight": 1}]},
        {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "new.test"}}],
         "matches": [{"path": {"type": "PathPrefix", "value": "/old"}}]},
    ])
}

/// The Rollout.
pub fn rollout(plan: &Plan) -> Value {
    // As the API server stores it: with every default.
    let spec = serde_json::from_value::<sluice::api::RolloutSpec>(plan.rollout.clone()).map(|spec| json!(spec));
    json!({"metadata": {}, "spec": spec.unwrap_or_else(|_| plan.rollout.clone())})
}

/// The admission policies of deploy/, by key.
pub fn policies() -> &'static [(Key, Value)] {
    static PARSED: std::sync::OnceLock<Vec<(Key, Value)>> = std::sync::OnceLock::new();
    PARSED.get_or_init(parsed)
}

fn parsed() -> Vec<(Key, Value)> {
    let files =
        [include_str!("../../../deploy/base/policies.yaml"), include_str!("../../../deploy/base/interventions.yaml")];
    let documents = files.iter().flat_map(|file| file.split("\n---"));
    let parsed = documents.filter_map(|text| serde_saphyr::from_str::<Value>(text).ok());
    parsed
        .filter_map(|object| {
            let kind = crate::api::named(crate::api::text(&object, "/kind"))?.kind;
            let name = crate::api::text(&object, "/metadata/name").to_owned();
            Some((Key { kind, namespace: String::new(), name }, object))
        })
        .collect()
}

/// Makes all of them.
pub fn make(world: &World, state: &mut State) {
    let admin = || Actor::Person("admin");
    for (key, body) in policies() {
        let _ = world.create(state, admin(), key, body.clone());
    }
    let (replicas, scaler) = (state.plan.replicas, state.plan.scaler);
    let provider = json!({
        "metadata": {},
        "spec": {"address": "http://prometheus:9090", "scrapeInterval": "2s", "timeout": "2s"},
    });
    let provider_key = Key { kind: "MetricsProvider", namespace: String::new(), name: "cluster".to_owned() };
    let _ = world.create(state, admin(), &provider_key, provider);
    let service = json!({
        "metadata": {"labels": {"app": "shop"}},
        "spec": {"selector": {"app": "shop"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    let _ = world.create(state, admin(), &Key::demo("Service", "shop"), service);
    let route = json!({
        "metadata": {"annotations": {"team": "payments"}},
        "spec": {"parentRefs": [{"name": "gateway", "namespace": "gateway-system"}], "rules": rules()},
    });
    let _ = world.create(state, admin(), &Key::demo("HTTPRoute", "shop"), route);
    let _ = world.create(state, admin(), &Key::demo("Deployment", "shop"), deployment(0, replicas));
    if scaler {
        let body = json!({
            "metadata": {},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
                "minReplicas": 1, "maxReplicas": 6,
            },
        });
        let _ = world.create(state, admin(), &Key::demo("HorizontalPodAutoscaler", "shop"), body);
    }
    let body = rollout(&state.plan);
    let _ = world.create(state, admin(), &Key::demo("Rollout", "shop"), body);
}
