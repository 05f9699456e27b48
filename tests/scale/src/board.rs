//! How every app stands, as watches of Rollouts and routes tell it; and the gateway, which the benchmark plays itself.
//!
//! A real gateway rebuilds its configuration for each change of each of a thousand routes: what would be measured is the
//! gateway. This one accepts a route as soon as it hears of it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::TryStreamExt;
use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cluster::{Cluster, Kind};
use crate::manifests::{GATEWAY, LABEL};
use crate::traffic::Traffic;

const SAY_EVERY: Duration = Duration::from_secs(8);

/// One app.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stand {
    pub(crate) phase: String,
    /// Its gate was proven.
    pub(crate) gated: bool,
    /// Its wave has begun to bake.
    pub(crate) baking: bool,
    /// Why its last attempt is complete.
    pub(crate) complete: Option<String>,
    /// The time of the sample that its last attempt was taken back for.
    pub(crate) sample_at: Option<Timestamp>,
    /// Its canary's share of traffic.
    pub(crate) share: f64,
    /// When the share was seen to leave 0 the last time.
    pub(crate) exposed_at: Option<Timestamp>,
    /// When it was seen to be 0 again.
    pub(crate) zero_at: Option<Timestamp>,
}

/// All apps by name.
#[derive(Clone)]
pub(crate) struct Board {
    stands: Arc<Mutex<BTreeMap<String, Stand>>>,
    changes: watch::Sender<u64>,
    traffic: Traffic,
    cluster: Cluster,
}

impl Board {
    /// Begins to watch.
    pub(crate) fn start(cluster: &Cluster, traffic: &Traffic) -> Self {
        let board = Self {
            stands: Arc::default(),
            changes: watch::channel(0).0,
            traffic: traffic.clone(),
            cluster: cluster.clone(),
        };
        for kind in [Kind::Rollout, Kind::HttpRoute] {
            let own = board.clone();
            tokio::spawn(async move { own.follow(kind).await });
        }
        board
    }

    async fn follow(self, kind: Kind) {
        let config = watcher::Config::default().labels(&format!("{LABEL}=true"));
        let mut objects = pin!(watcher(self.cluster.all(kind), config).default_backoff().applied_objects());
        loop {
            match objects.try_next().await {
                Ok(Some(object)) => self.note(kind, &object),
                Ok(None) => return,
                // It is tried again.
                Err(error) => eprintln!("watching {kind:?}: {error}"),
            }
        }
    }

    fn stands(&self) -> MutexGuard<'_, BTreeMap<String, Stand>> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, kind: Kind, object: &DynamicObject) {
        let now = Timestamp::now();
        let name = object.metadata.name.clone().unwrap_or_default();
        {
            let mut stands = self.stands();
            let stand = stands.entry(name.clone()).or_default();
            if let Kind::Rollout = kind {
                stand.read(object);
            } else {
                let share = share(object, &name);
                if share > 0.0 && stand.share == 0.0 {
                    (stand.exposed_at, stand.zero_at) = (Some(now), None);
                } else if share == 0.0 && stand.share > 0.0 {
                    stand.zero_at = Some(now);
                }
                stand.share = share;
                self.traffic.divide(&name, share);
            }
        }
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        if let (Kind::HttpRoute, Some(accepted)) = (kind, accept(object)) {
            let (cluster, namespace) = (self.cluster.clone(), object.metadata.namespace.clone().unwrap_or_default());
            tokio::spawn(async move {
                // A route that has gone meanwhile needs nothing.
                let _ = cluster.merge_status(Kind::HttpRoute, &namespace, &name, &accepted).await;
            });
        }
    }

    /// One app.
    pub(crate) fn stand(&self, name: &str) -> Stand {
        self.stands().get(name).cloned().unwrap_or_default()
    }

    /// Waits until this holds of all these apps.
    pub(crate) async fn all(
        &self,
        what: &str,
        names: &[String],
        patience: Duration,
        holds: impl Fn(&Stand) -> bool,
    ) -> Result<()> {
        let mut changes = self.changes.subscribe();
        let (began, mut said) = (Instant::now(), Instant::now());
        loop {
            changes.mark_unchanged();
            let missing: Vec<(String, String)> = {
                let stands = self.stands();
                let of =
                    |name: &String| stands.get(name).filter(|stand| !holds(stand)).map(|stand| stand.phase.clone());
                let unknown = |name: &String| if stands.contains_key(name) { of(name) } else { Some(String::new()) };
                names.iter().filter_map(|name| unknown(name).map(|phase| (name.clone(), phase))).collect()
            };
            if missing.is_empty() {
                return Ok(());
            }
            let done = names.len() - missing.len();
            if began.elapsed() > patience {
                let few: Vec<_> = missing.iter().take(3).collect();
                bail!("waited {} s until {what}: {done} of {}, not {few:?}", patience.as_secs(), names.len());
            }
            if said.elapsed() > SAY_EVERY {
                self.cluster.progress.say(&format!("waiting until {what}: {done} of {}", names.len()));
                said = Instant::now();
            }
            // Not for each of a thousand changes, and not for ever without one.
            let _ = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Stand {
    fn read(&mut self, rollout: &DynamicObject) {
        let text = |pointer: &str| rollout.data.pointer(pointer).and_then(Value::as_str);
        let time = |pointer: &str| text(pointer).and_then(|text| text.parse().ok());
        let conditions = rollout.data.pointer("/status/conditions").and_then(Value::as_array);
        let condition = |type_: &str| {
            let is = |one: &&Value| one.get("type").and_then(Value::as_str) == Some(type_);
            let found = conditions.into_iter().flatten().find(is)?;
            let status = found.get("status").and_then(Value::as_str)?;
            (status == "True").then(|| found.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned())
        };
        self.phase = text("/status/phase").unwrap_or_default().to_owned();
        self.gated = condition("Gated").is_some();
        self.baking = text("/status/run/wave/bakeAt").is_some();
        self.complete = condition("Complete");
        self.sample_at = time("/status/run/times/sampleAt");
    }
}

/// The canary's share, as the weights of the first rule say.
fn share(route: &DynamicObject, name: &str) -> f64 {
    let backends = route.data.pointer("/spec/rules/0/backendRefs").and_then(Value::as_array);
    let weight = |wanted: &str| {
        let is = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(wanted);
        let found = backends.into_iter().flatten().find(is);
        found.map_or(0.0, |one| one.get("weight").and_then(Value::as_f64).unwrap_or(1.0))
    };
    let (stable, canary) = (weight(name), weight(&format!("{name}-canary")));
    if canary > 0.0 { canary / (canary + stable) } else { 0.0 }
}

/// What the gateway says of a route of which it has not said it yet.
fn accept(route: &DynamicObject) -> Option<Value> {
    let generation = route.metadata.generation?;
    let said = route.data.pointer("/status/parents/0/conditions/0/observedGeneration").and_then(Value::as_i64);
    if said == Some(generation) {
        return None;
    }
    let condition = |type_: &str| {
        json!({
            "type": type_,
            "status": "True",
            "reason": type_,
            "message": "",
            "observedGeneration": generation,
            "lastTransitionTime": route.metadata.creation_timestamp,
        })
    };
    Some(json!({"status": {"parents": [{
        "parentRef": {"name": GATEWAY},
        "controllerName": "sluice.test/simulated-gateway",
        "conditions": [condition("Accepted"), condition("ResolvedRefs")],
    }]}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(backends: Value, observed: i64) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "a", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"rules": [{"backendRefs": backends}]},
            "status": {"parents": [{"conditions": [{"observedGeneration": observed}]}]},
        }))
        .unwrap()
    }

    #[test]
    fn the_share_is_what_the_weights_say_and_a_route_is_accepted_once() {
        let plain = route(json!([{"name": "a", "weight": 1}]), 3);
        assert_eq!((share(&plain, "a"), accept(&plain)), (0.0, None));
        let divided = route(json!([{"name": "a", "weight": 90}, {"name": "a-canary", "weight": 10}]), 2);
        assert_eq!(share(&divided, "a"), 0.1);
        let accepted = accept(&divided).unwrap();
        assert_eq!(accepted["status"]["parents"][0]["conditions"][1]["observedGeneration"], 3);
    }
}
