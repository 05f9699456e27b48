//! What the recorded objects mean to a user: phases, conditions, weights, pods.
//!
//! Pure functions over JSON; nothing here waits or asks.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::record::{Kind, Now, Record, Seen};

/// The text at a JSON pointer; empty when there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// A time at a JSON pointer.
pub fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    object.pointer(pointer).and_then(Value::as_str).and_then(|text| text.parse().ok())
}

pub fn phase(rollout: &Value) -> &str {
    text(rollout, "/status/phase")
}

/// Status and reason of a condition.
pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<(&'a str, &'a str)> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| text(condition, "/type") == type_)?;
    Some((text(found, "/status"), text(found, "/reason")))
}

/// The message of a condition.
pub fn says<'a>(object: &'a Value, type_: &str) -> &'a str {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let found = conditions.and_then(|all| all.iter().find(|condition| text(condition, "/type") == type_));
    found.map_or("", |condition| text(condition, "/message"))
}

/// The status speaks of the spec as it is, and nothing is going on.
pub fn at_rest(rollout: &Value) -> bool {
    rollout.pointer("/metadata/generation") == rollout.pointer("/status/observedGeneration")
        && condition(rollout, "Reconciling").is_none()
}

/// A Deployment whose pods all run its template and are available.
pub fn rolled_out(deployment: &Value) -> bool {
    let wanted = number(deployment, "/spec/replicas");
    deployment.pointer("/metadata/generation") == deployment.pointer("/status/observedGeneration")
        && ["/status/updatedReplicas", "/status/availableReplicas", "/status/replicas"]
            .iter()
            .all(|field| number(deployment, field) == wanted)
}

/// The canary's share in percent, as the weights of a route say.
pub fn share(route: &Value, app: &str) -> f64 {
    let canary = format!("{app}-canary");
    let rules = route.pointer("/spec/rules").and_then(Value::as_array);
    let shares = rules.into_iter().flatten().map(|rule| {
        let weight = |name: &str| {
            let backends = rule.pointer("/backendRefs").and_then(Value::as_array);
            let found = backends.and_then(|all| all.iter().find(|backend| text(backend, "/name") == name));
            found.map_or(0.0, |backend| backend.pointer("/weight").and_then(Value::as_f64).unwrap_or(1.0))
        };
        let (canary, stable) = (weight(&canary), weight(app));
        if canary > 0.0 { canary / (canary + stable) * 100.0 } else { 0.0 }
    });
    shares.fold(0.0, f64::max)
}

/// A share of live traffic from one time on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight {
    pub at: Timestamp,
    pub version: u64,
    pub percent: f64,
}

/// Every share that a route had, one after another; equal neighbours are one.
pub fn weights(record: &Record, app: &str) -> Vec<Weight> {
    let mut weights: Vec<Weight> = Vec::new();
    for seen in record.history(Kind::HttpRoute, app) {
        let percent = if seen.gone { 0.0 } else { share(&seen.object, app) };
        if weights.last().is_none_or(|last| last.percent != percent) {
            weights.push(Weight { at: seen.at, version: seen.version, percent });
        }
    }
    weights
}

/// Only the shares, for comparing.
pub fn percents(weights: &[Weight]) -> Vec<f64> {
    weights.iter().map(|weight| weight.percent).collect()
}

/// UID and restarts of every pod of an app, without its canary.
pub fn stable_pods(now: &Now, app: &str) -> BTreeMap<String, u64> {
    let pods = now.all(Kind::Pod).filter(|pod| text(pod, "/metadata/labels/app") == app && !is_canary(pod));
    pods.map(|pod| {
        let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
        let restarts = containers.into_iter().flatten().map(|status| number(status, "/restartCount")).sum();
        (text(pod, "/metadata/uid").to_owned(), restarts)
    })
    .collect()
}

/// Whether Sluice made this for a canary.
pub fn is_canary(object: &Value) -> bool {
    object.pointer("/metadata/labels/sluice.dev~1role").is_some_and(|role| role == "canary")
}

/// Names of the ready endpoints' pods of a Service in one of its slices.
pub fn ready_pods(slice: &Value) -> BTreeSet<&str> {
    let endpoints = slice.pointer("/endpoints").and_then(Value::as_array);
    let ready = endpoints
        .into_iter()
        .flatten()
        .filter(|endpoint| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false));
    ready.map(|endpoint| text(endpoint, "/targetRef/name")).collect()
}

/// Versions of the slices of one Service.
pub fn slices(record: &Record, service: &str) -> Vec<Seen> {
    let mut all = record.history(Kind::EndpointSlice, "*");
    all.retain(|seen| text(&seen.object, "/metadata/labels/kubernetes.io~1service-name") == service);
    all
}

/// The phases that were seen, one after another.
pub fn phases(record: &Record, app: &str) -> Vec<String> {
    let mut phases: Vec<String> = Vec::new();
    for seen in record.history(Kind::Rollout, app) {
        let phase = phase(&seen.object);
        if !phase.is_empty() && phases.last().is_none_or(|last| last != phase) {
            phases.push(phase.to_owned());
        }
    }
    phases
}

/// Reason and note of every event about a Rollout.
pub fn events(now: &Now, app: &str) -> Vec<(String, String)> {
    let about = |event: &&Value| text(event, "/regarding/kind") == "Rollout" && text(event, "/regarding/name") == app;
    let events = now.all(Kind::Event).filter(about);
    events.map(|event| (text(event, "/reason").to_owned(), text(event, "/note").to_owned())).collect()
}

/// What the events of this reason say.
pub fn told(now: &Now, app: &str, reason: &str) -> Vec<String> {
    events(now, app).into_iter().filter(|(of, _)| of == reason).map(|(_, note)| note).collect()
}

/// What a run remembers of one of its signals.
pub fn signal<'a>(rollout: &'a Value, name: &str) -> &'a Value {
    let signals = rollout.pointer("/status/run/signals").and_then(Value::as_array);
    signals.and_then(|all| all.iter().find(|signal| text(signal, "/name") == name)).unwrap_or(&Value::Null)
}

/// The Releases of a Rollout, oldest first.
pub fn releases(now: &Now, app: &str) -> Vec<Value> {
    let mut releases: Vec<Value> =
        now.all(Kind::Release).filter(|release| text(release, "/spec/rollout") == app).cloned().collect();
    releases.sort_by_key(|release| number(release, "/spec/number"));
    releases
}

/// The ReworkEvents of a Rollout.
pub fn reworks(now: &Now, app: &str) -> Vec<Value> {
    now.all(Kind::ReworkEvent).filter(|event| text(event, "/spec/rollout") == app).cloned().collect()
}
