//! The gateway: goes by a route a moment after it was written, and says so in its status.

use serde_json::{Value, json};

use super::set_status;
use crate::api::{Key, Look as _, number, text};
use crate::traffic::weights;
use crate::world::{State, World};

const WHO: &str = "gateway";

pub(super) fn step(world: &World, state: &mut State) {
    let now = world.elapsed();
    if state.plan.deaf.iter().any(|(from, to)| (*from..*to).contains(&now)) {
        return;
    }
    let key = Key::demo("HTTPRoute", "shop");
    let Some(route) = state.store.get(&key).cloned() else {
        return;
    };
    let backends = route.at("/spec/rules/0/backendRefs").and_then(Value::as_array).cloned().unwrap_or_default();
    let missing = backends.iter().map(|backend| text(backend, "/name")).find(|name| {
        let service = Key::demo("Service", name);
        state.store.get(&service).is_none()
    });
    let generation = number(&route, "/metadata/generation");
    let condition = |type_: &str, fine: bool, reason: &str, message: &str| {
        json!({
            "type": type_, "status": if fine { "True" } else { "False" }, "reason": reason, "message": message,
            "observedGeneration": generation, "lastTransitionTime": "2027-01-15T08:00:00Z",
        })
    };
    let resolved = match missing {
        None => condition("ResolvedRefs", true, "ResolvedRefs", ""),
        Some(name) => condition("ResolvedRefs", false, "BackendNotFound", &format!("no Service {name}")),
    };
    let status = json!({"parents": [{
        "controllerName": "traefik.io/gateway-controller",
        "parentRef": {"name": "gateway", "namespace": "gateway-system"},
        "conditions": [condition("Accepted", true, "Accepted", ""), resolved],
    }]});
    state.traffic.follow(weights(&route), now);
    set_status(world, state, WHO, &key, status);
}
