//! The HorizontalPodAutoscaler: sizes the workload by the requests that it gets itself.

use serde_json::json;

use super::merge;
use crate::api::{Key, number, text};
use crate::world::{State, World};

/// Requests per second that one pod is to get.
const PER_POD: f64 = 50.0;

pub(super) fn step(world: &World, state: &mut State) {
    let Some(scaler) = state.store.get(&Key::demo("HorizontalPodAutoscaler", "shop")).cloned() else {
        return;
    };
    let key = Key::demo("Deployment", "shop");
    let Some(workload) = state.store.get(&key).cloned() else {
        return;
    };
    let size = number(&workload, "/spec/replicas");
    if size == 0 {
        return; // scaled to nothing by a person: the autoscaler is off
    }
    let load = state.plan.rate * (1.0 - state.traffic.share());
    #[allow(clippy::cast_possible_truncation)] // a few pods
    let wanted = (load / PER_POD).ceil() as i64;
    let wanted = wanted.clamp(number(&scaler, "/spec/minReplicas").max(1), number(&scaler, "/spec/maxReplicas").max(1));
    let frozen = text(&scaler, "/spec/behavior/scaleDown/selectPolicy") == "Disabled";
    if wanted > size || wanted < size && !frozen && state.random.permille(200) {
        let next = if wanted > size { size.saturating_add(1) } else { size.saturating_sub(1) };
        merge(world, state, "autoscaler", &key, json!({"spec": {"replicas": next}}));
    }
}
