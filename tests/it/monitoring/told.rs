//! A known set of objects, and what is told of it.

use kube::core::DeserializeGuard;
use kube::runtime::reflector::{Lookup, store::Writer};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use sluice::api::{MetricsProvider, NotificationSink, Reclassification, Release, ReworkEvent, Rollout};
use sluice::delivery::Live;
use sluice::leadership::{Leadership, Term};
use sluice::record::metrics::{self, Metrics, Sources};
use sluice::watch::Freshness;

use super::reader::{Exposition, read};

/// The objects, and who tells of them.
pub struct Told {
    pub rollouts: Writer<DeserializeGuard<Rollout>>,
    pub releases: Writer<Release>,
    pub reworks: Writer<ReworkEvent>,
    pub providers: Writer<MetricsProvider>,
    pub sinks: Writer<NotificationSink>,
    pub reclassifications: Writer<Reclassification>,
    pub delivery: Live,
    pub metrics: Metrics,
    registry: prometheus_client::registry::Registry,
    // What it was told of may not go.
    _terms: tokio::sync::watch::Sender<Term>,
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// Puts an object into a cache.
pub fn put<K>(writer: &mut Writer<K>, value: Value)
where
    K: Lookup + Clone + serde::de::DeserializeOwned + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    writer.apply_watcher_event(&Event::Apply(object(value)));
}

impl Told {
    /// Nothing, told by the leader or a standby.
    pub fn new(leads: bool) -> Self {
        let (rollouts, releases) = (Writer::default(), Writer::default());
        let (reworks, providers, sinks) = (Writer::default(), Writer::default(), Writer::<NotificationSink>::default());
        let reclassifications = Writer::default();
        let delivery = Live::new(releases.as_reader(), reworks.as_reader(), reclassifications.as_reader());
        let (terms, told) = tokio::sync::watch::channel(if leads { Term::Always } else { Term::Standby });
        let freshness = Freshness::default();
        freshness.ready("Rollout");
        let (registry, metrics) = metrics::registry(Sources {
            rollouts: rollouts.as_reader(),
            releases: releases.as_reader(),
            reworks: reworks.as_reader(),
            providers: providers.as_reader(),
            sinks: sinks.as_reader(),
            delivery: delivery.clone(),
            freshness,
            leadership: Leadership::told(told),
        });
        Self {
            rollouts,
            releases,
            reworks,
            providers,
            sinks,
            reclassifications,
            delivery,
            metrics,
            registry,
            _terms: terms,
        }
    }

    /// One Rollout in its second wave, one at rest that nothing is known of, what was recorded, a provider and a sink.
    pub fn known() -> Self {
        let mut told = Self::new(true);
        put(
            &mut told.providers,
            json!({
                "apiVersion": "sluice.dev/v1alpha1", "kind": "MetricsProvider", "metadata": {"name": "cluster"},
                "spec": {"address": "http://prometheus:9090"},
            }),
        );
        put(&mut told.sinks, sink("chat", json!({"delivered": 3})));
        put(&mut told.rollouts, shop());
        put(&mut told.rollouts, rollout("cart", json!([{"name": "errors", "errorRatio": {}}]), json!(null)));
        put(&mut told.releases, release("shop-1", "Promoted", "2026-01-01T10:00:00Z", "2026-01-01T10:45:00Z"));
        put(&mut told.releases, release("shop-2", "RolledBack", "2026-01-01T11:00:00Z", "2026-01-01T11:04:00Z"));
        put(&mut told.reworks, rework("shop-2", "Rollback"));
        // Of a Rollout that is gone.
        put(
            &mut told.reworks,
            json!({"kind": "ReworkEvent", "apiVersion": "sluice.dev/v1alpha1",
            "metadata": {"name": "gone-1", "namespace": "demo"}, "spec": rework_spec("gone", "gone-1", "Rollback")}),
        );
        told
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    pub fn read(&self) -> Exposition {
        read(&self.text())
    }
}

/// A sink and how its deliveries go.
pub fn sink(name: &str, status: Value) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "NotificationSink", "metadata": {"name": name},
        "spec": {"url": "https://example.com/hook"}, "status": status,
    })
}

/// A Rollout of the namespace `demo`.
pub fn rollout(name: &str, signals: Value, status: Value) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": name, "namespace": "demo", "uid": name},
        "spec": {
            "targetRef": {"name": name},
            "owner": {"team": "checkout"},
            "traffic": {"stableService": name, "routes": [{"name": name}]},
            "waves": [{"weight": 5, "bake": "10m"}, {"weight": 25, "bake": "10m"}],
            "analysis": {"providerRef": {"name": "cluster"}, "signals": signals},
        },
        "status": status,
    })
}

/// In its second wave, with a comparison, a limit and a query.
pub fn shop() -> Value {
    let signals = json!([
        {"name": "errors", "errorRatio": {}},
        {"name": "hard", "errorRatio": {"threshold": "2%"}},
        {"name": "queue", "query": {"promql": "up", "min": "1", "max": "5"}},
    ]);
    let evidence = sluice::judge::Evidence::default();
    let condition = |type_: &str, status: &str, reason: &str| {
        json!({"type": type_, "status": status, "observedGeneration": 1, "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T12:00:00Z"})
    };
    let mut shop = rollout(
        "shop",
        signals,
        json!({
            "phase": "Held",
            "promotions": 3, "rollbacks": 1, "attempts": 5,
            "conditions": [
                condition("Ready", "False", "AwaitingApproval"),
                condition("Reconciling", "True", "AwaitingApproval"),
                condition("Gated", "True", "Proven"),
            ],
            "lastRollback": {"at": "2026-01-01T11:03:00Z", "trigger": "Automatic", "reason": "SignalBreached",
                "release": "shop-2", "revision": "b"},
            "run": {
                "release": "shop-5", "number": 5, "revision": "c", "fromRevision": "a", "step": "Baking",
                "stepAt": "2026-01-01T12:00:30Z", "weight": 25, "maxWeight": 25,
                "wave": {"index": 1, "startedAt": "2026-01-01T12:00:00Z"},
                "forecast": [{"weight": 5, "takes": "30m"}, {"weight": 25, "takes": "15m"}],
                "traffic": {
                    "until": "2026-01-01T12:05:00Z",
                    "wave": {"canaryRequests": 250, "canaryErrors": 5, "stableRequests": 750, "stableErrors": 15},
                    "settled": {"canaryRequests": 200, "canaryErrors": 4, "stableRequests": 800, "stableErrors": 16},
                },
                "signals": [
                    {"name": "errors", "policy": "1.25 0.001 0.01 1 2 0.005", "evidence": evidence},
                    {"name": "hard"},
                    {"name": "queue"},
                ],
            },
        }),
    );
    shop["spec"]["waves"][1]["approval"] = json!("Required");
    shop
}

pub fn release(name: &str, outcome: &str, from: &str, to: &str) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Release", "metadata": {"name": name, "namespace": "demo"},
        "spec": {"rollout": "shop", "rolloutUid": "shop", "workload": "Deployment/shop", "number": 1, "revision": "b",
            "fromRevision": "a"},
        "status": {"outcome": outcome, "times": {"requestedAt": from, "endedAt": to}},
    })
}

pub fn rework(name: &str, kind: &str) -> Value {
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "ReworkEvent", "metadata": {"name": name, "namespace": "demo"},
        "spec": rework_spec("shop", name, kind)})
}

fn rework_spec(rollout: &str, release: &str, kind: &str) -> Value {
    json!({"kind": kind, "rollout": rollout, "failedRelease": release, "revision": "b", "trigger": "Automatic",
        "reason": "SignalBreached", "message": "", "exposedAt": "2026-01-01T11:02:00Z",
        "verdictAt": "2026-01-01T11:03:00Z", "detectSeconds": 60.0})
}
