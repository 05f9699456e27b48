//! The objects of the toy cluster.

use serde_json::{Value, json};
use sluice::act::Target;
use sluice::api::{Rollout, RolloutSpec, RouteKind};
use sluice::decide::snapshot::{BackendFacts, ParentFacts, RouteFacts, RuleFacts, ServiceFacts};
use sluice::decide::{Notice, Severity};

/// The pod template of a version.
pub fn template(version: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "shop"}},
        "spec": {"containers": [{"name": "shop", "image": format!("local/shop:{version}")}]},
    })
}

/// Three waves of ten seconds, one error signal.
pub fn rollout_spec() -> RolloutSpec {
    serde_json::from_value(json!({
        "targetRef": {"name": "shop"},
        "traffic": {"stableService": "shop", "routes": [{"name": "shop"}], "drain": "5s"},
        "waves": [{"weight": 10, "bake": "10s"}, {"weight": 25, "bake": "10s"}, {"weight": 50, "bake": "10s"}],
        "analysis": {
            "providerRef": {"name": "cluster"},
            "interval": "1s",
            "noDataTimeout": "10s",
            "signals": [{"name": "errors", "errorRatio": {"threshold": "2%", "minRequests": 50}, "consecutive": 2}],
        },
        "progressDeadline": "60s",
    }))
    .unwrap()
}

/// The same, judged by comparison with stable.
pub fn comparing(signals: Value) -> RolloutSpec {
    let mut spec = rollout_spec();
    spec.analysis.signals = serde_json::from_value(signals).unwrap();
    spec
}

/// A route with a rule before the governed one's neighbours: a redirect that must stay as it is.
pub fn route() -> Value {
    json!({
        "metadata": {"name": "shop", "namespace": "demo"},
        "spec": {"rules": [
            {"backendRefs": [{"group": "", "kind": "Service", "name": "shop", "port": 80, "weight": 1}]},
            {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "new.test"}}]},
        ]},
    })
}

/// What is read of a route. Its gateway resolves the canary's backend only while the canary has a Service.
pub fn route_facts(
    route: &Value,
    kind: RouteKind,
    version: u64,
    generation: i64,
    accepted: i64,
    controller: &str,
    canary_service: bool,
) -> RouteFacts {
    let rules = route["spec"]["rules"].as_array().unwrap();
    let lists_canary = rules.iter().any(|rule| rule["backendRefs"].to_string().contains("\"shop-canary\""));
    let unresolved = lists_canary && !canary_service;
    RouteFacts {
        kind,
        name: "shop".into(),
        resource_version: version.to_string(),
        generation,
        rules: rules
            .iter()
            .map(|rule| RuleFacts {
                name: rule["name"].as_str().map(str::to_owned),
                backends: rule["backendRefs"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|raw| BackendFacts {
                        name: raw["name"].as_str().unwrap().into(),
                        local_service: true,
                        weight: raw["weight"].as_u64().unwrap() as u32,
                        raw: raw.clone(),
                    })
                    .collect(),
            })
            .collect(),
        parents: vec![ParentFacts {
            controller: controller.into(),
            accepted: !unresolved,
            backend_missing: unresolved,
            message: if unresolved { "BackendNotFound: no shop-canary".into() } else { String::new() },
            observed_generation: accepted,
        }],
    }
}

pub fn service(name: &str, app: &str, ours: bool) -> ServiceFacts {
    ServiceFacts {
        name: name.into(),
        uid: format!("uid-{name}"),
        ours,
        selector: [("app".into(), app.into())].into(),
        ports: vec![json!({"name": "http", "port": 80, "targetPort": 8080})],
    }
}

/// The Rollout as a pass has read it.
pub fn rollout() -> Rollout {
    let mut rollout = Rollout::new("shop", rollout_spec());
    rollout.metadata.namespace = Some("demo".into());
    rollout.metadata.uid = Some("uid-1".into());
    rollout.metadata.resource_version = Some("11".into());
    rollout
}

/// Whose plan is carried out.
pub fn target() -> Target {
    Target {
        name: "shop".into(),
        namespace: "demo".into(),
        resource_version: "7".into(),
        finalizers: vec!["other.dev/keep".into()],
    }
}

/// An event.
pub fn notice() -> Notice {
    Notice {
        key: "shop-1.3".into(),
        severity: Severity::Warning,
        reason: "RolledBack".into(),
        action: "End",
        note: "errors 5.2%".into(),
    }
}
