//! The Deployment controller: one pod per step, new ones first, none while it is paused.

use std::sync::Arc;

use serde_json::{Value, json};
use sluice::api::names;

use super::{merge, set_status};
use crate::api::{Key, Look as _, number, paused, text};
use crate::plan::Behaviour;
use crate::traffic::version;
use crate::world::{Actor, State, World, digest, name};

const WHO: &str = "deployment-controller";

pub(super) fn step(world: &World, state: &mut State) {
    let all: Vec<Arc<Value>> = state.store.list("Deployment", "demo").cloned().collect();
    for deployment in all {
        one(world, state, &deployment);
    }
}

/// The ReplicaSets of a Deployment, oldest first.
fn sets(state: &State, deployment: &Value) -> Vec<Arc<Value>> {
    let uid = text(deployment, "/metadata/uid");
    let mut sets: Vec<Arc<Value>> = state
        .store
        .list("ReplicaSet", "demo")
        .filter(|set| text(set, "/metadata/ownerReferences/0/uid") == uid)
        .cloned()
        .collect();
    sets.sort_by_key(|set| text(set, "/metadata/uid").to_owned());
    sets
}

fn one(world: &World, state: &mut State, deployment: &Arc<Value>) {
    let wanted = deployment.at("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let paused = paused(deployment);
    let current = digest(deployment);
    let mut all = sets(state, deployment);
    if !paused && !all.iter().any(|set| digest(set) == current) {
        make_set(world, state, deployment, &current);
        all = sets(state, deployment);
    }
    for set in &all {
        pods_come(world, state, set);
    }
    all = sets(state, deployment);
    let total: i64 = all.iter().map(|set| number(set, "/spec/replicas")).sum();
    if paused || total > wanted.saturating_add(1) || wanted == 0 {
        scale(world, state, &all, &current, wanted, total);
    } else {
        roll(world, state, &all, &current, wanted);
    }
    let all = sets(state, deployment);
    let sum = |field: &str| all.iter().map(|set| number(set, field)).sum::<i64>();
    let updated = all.iter().find(|set| digest(set) == current).map_or(0, |set| number(set, "/status/replicas"));
    let key = Key::demo("Deployment", name(deployment));
    let status = json!({
        "observedGeneration": number(deployment, "/metadata/generation"),
        "replicas": sum("/status/replicas"),
        "updatedReplicas": updated,
        "readyReplicas": sum("/status/availableReplicas"),
        "availableReplicas": sum("/status/availableReplicas"),
    });
    set_status(world, state, WHO, &key, status);
}

fn make_set(world: &World, state: &mut State, deployment: &Value, current: &str) {
    let mut template = deployment.at("/spec/template").cloned().unwrap_or_default();
    let hash = names::short(current).to_owned();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.insert("pod-template-hash".to_owned(), json!(hash));
    }
    let key = Key::demo("ReplicaSet", &format!("{}-{hash}", name(deployment)));
    let owner = json!([{
        "apiVersion": "apps/v1", "kind": "Deployment", "controller": true,
        "name": name(deployment), "uid": text(deployment, "/metadata/uid"),
    }]);
    let labels = template.at("/metadata/labels").cloned().unwrap_or_default();
    let body = json!({
        "metadata": {"ownerReferences": owner, "labels": labels},
        "spec": {"replicas": 0, "template": template},
    });
    let _ = world.create(state, Actor::Cluster(WHO), &key, body);
}

/// One pod more gets ready, or those too many go at once.
fn pods_come(world: &World, state: &mut State, set: &Value) {
    let wanted = number(set, "/spec/replicas");
    let broken = state.plan.behaviour(version(set)) == Behaviour::NeverReady;
    let available = number(set, "/status/availableReplicas");
    let slow = state.random.permille(300);
    let next = if available >= wanted || broken || slow { available.min(wanted) } else { available.saturating_add(1) };
    let key = Key::demo("ReplicaSet", name(set));
    set_status(world, state, WHO, &key, json!({"replicas": wanted, "readyReplicas": next, "availableReplicas": next}));
    canary_pods(world, state, set, wanted, next);
}

/// Pods of a canary are objects; those of others are only counted.
fn canary_pods(world: &World, state: &mut State, set: &Value, wanted: i64, ready: i64) {
    let labels = set.at("/spec/template/metadata/labels").cloned().unwrap_or_default();
    if text(&labels, "/sluice.dev~1role") != "canary" {
        return;
    }
    let there: Vec<String> = state
        .store
        .list("Pod", "demo")
        .filter(|pod| text(pod, "/metadata/ownerReferences/0/uid") == text(set, "/metadata/uid"))
        .map(|pod| name(pod).to_owned())
        .collect();
    let named: Vec<String> = (0..wanted).map(|number| format!("{}-{number}", name(set))).collect();
    for gone in there.iter().filter(|pod| !named.contains(pod)) {
        let _ = world.delete(state, Actor::Cluster(WHO), &Key::demo("Pod", gone), None, None);
    }
    for (position, pod) in (0_i64..).zip(&named) {
        let key = Key::demo("Pod", pod);
        if state.store.get(&key).is_none() {
            let owner = json!([{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                "name": name(set), "uid": text(set, "/metadata/uid"),
            }]);
            let body = json!({"metadata": {"labels": labels, "ownerReferences": owner}, "spec": {}});
            let _ = world.create(state, Actor::Cluster(WHO), &key, body);
        }
        let is_ready = if position < ready { "True" } else { "False" };
        let status = json!({
            "conditions": [{"type": "Ready", "status": is_ready}],
            "containerStatuses": [{"name": "shop", "restartCount": 0, "state": {}}],
        });
        set_status(world, state, WHO, &key, status);
    }
}

/// One new pod, and one old one less where enough are available.
fn roll(world: &World, state: &mut State, all: &[Arc<Value>], current: &str, wanted: i64) {
    let Some(new) = all.iter().find(|set| digest(set) == current) else {
        return;
    };
    let total: i64 = all.iter().map(|set| number(set, "/spec/replicas")).sum();
    let size = number(new, "/spec/replicas");
    if size > wanted {
        return resize(world, state, new, size.saturating_sub(1));
    }
    if size < wanted && total <= wanted {
        resize(world, state, new, size.saturating_add(1));
    }
    let available: i64 = all.iter().map(|set| number(set, "/status/availableReplicas")).sum();
    let spare = |set: &Value| number(set, "/spec/replicas") > number(set, "/status/availableReplicas");
    let mut olds = all.iter().filter(|set| digest(set) != current && number(set, "/spec/replicas") > 0);
    // Pods that are not available go first and cost nothing.
    let Some(old) = olds.clone().find(|set| spare(set)).or_else(|| olds.next()) else { return };
    if spare(old) || available > wanted || (available == wanted && size >= wanted) {
        resize(world, state, old, number(old, "/spec/replicas").saturating_sub(1));
    }
}

/// While paused, and when scaled down: what serves is scaled, with room for the surge where more than one serves; where
/// nothing serves, the ReplicaSet of the present template if there is one, else the youngest
/// (kubernetes/pkg/controller/deployment/sync.go, `scale`).
fn scale(world: &World, state: &mut State, all: &[Arc<Value>], current: &str, wanted: i64, total: i64) {
    let size = |set: &Value| number(set, "/spec/replicas");
    let several = all.iter().filter(|set| size(set) > 0).count() > 1;
    let wanted = if several && wanted > 0 { wanted.saturating_add(1) } else { wanted };
    if total > wanted {
        if let Some(most) = all.iter().max_by_key(|set| size(set)) {
            resize(world, state, most, size(most).saturating_sub(1));
        }
    } else if total < wanted {
        let serving = all.iter().filter(|set| size(set) > 0).max_by_key(|set| size(set));
        let chosen = serving.or_else(|| all.iter().find(|set| digest(set) == current)).or_else(|| all.last());
        if let Some(chosen) = chosen {
            resize(world, state, chosen, size(chosen).saturating_add(1));
        }
    }
}

fn resize(world: &World, state: &mut State, set: &Value, replicas: i64) {
    merge(world, state, WHO, &Key::demo("ReplicaSet", name(set)), json!({"spec": {"replicas": replicas}}));
}
