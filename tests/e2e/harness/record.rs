//! Everything that happens in a namespace, as the API server's watches tell it: the latest object of each name, and
//! every version of it that was seen, with the time of seeing it.
//!
//! Owns watching. It interprets nothing; see [`super::look`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::TryStreamExt;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rollout,
    Release,
    ReworkEvent,
    HttpRoute,
    GrpcRoute,
    Deployment,
    Pod,
    Service,
    EndpointSlice,
    NetworkPolicy,
    PodDisruptionBudget,
    Hpa,
    Intervention,
    Event,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::Rollout,
        Self::Release,
        Self::ReworkEvent,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::Deployment,
        Self::Pod,
        Self::Service,
        Self::EndpointSlice,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::Hpa,
        Self::Intervention,
        Self::Event,
    ];

    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Rollout => ("sluice.dev", "v1alpha1", "Rollout", "rollouts"),
            Self::Release => ("sluice.dev", "v1alpha1", "Release", "releases"),
            Self::ReworkEvent => ("sluice.dev", "v1alpha1", "ReworkEvent", "reworkevents"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::GrpcRoute => ("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::Intervention => ("sluice.dev", "v1alpha1", "Intervention", "interventions"),
            Self::Hpa => ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
            Self::Event => ("events.k8s.io", "v1", "Event", "events"),
        };
        let kind = kube::api::GroupVersionKind::gvk(group, version, kind);
        ApiResource::from_gvk_with_plural(&kind, plural)
    }
}

/// One version of one object.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was seen.
    pub at: Timestamp,
    /// Its resourceVersion: one order for all kinds, whatever the order in which watches deliver.
    pub version: u64,
    pub kind: Kind,
    pub name: String,
    pub object: Value,
    /// It was deleted.
    pub gone: bool,
}

/// The objects as they are now.
#[derive(Debug, Default)]
pub struct Now {
    objects: BTreeMap<(Kind, String), Value>,
}

impl Now {
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, name.to_owned()))
    }

    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |((of, _), _)| *of == kind).map(|(_, object)| object)
    }
}

#[derive(Debug, Default)]
struct Inner {
    now: Now,
    history: Vec<Seen>,
}

/// The record of one namespace.
#[derive(Debug, Clone)]
pub struct Record {
    inner: Arc<Mutex<Inner>>,
    changes: watch::Sender<u64>,
    watches: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Record {
    /// Begins to watch a namespace.
    pub fn start(client: &Client, namespace: &str) -> Self {
        let record = Self { inner: Arc::default(), changes: watch::channel(0).0, watches: Arc::default() };
        for kind in Kind::ALL {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind.resource());
            let own = record.clone();
            let watch = tokio::spawn(async move { own.follow(kind, api).await });
            record.watches.lock().unwrap_or_else(PoisonError::into_inner).push(watch.abort_handle());
        }
        record
    }

    /// Ends the watches.
    pub fn stop(&self) {
        for watch in self.watches.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            watch.abort();
        }
    }

    async fn follow(self, kind: Kind, api: Api<DynamicObject>) {
        let mut listed = BTreeSet::new();
        let mut failures = 0;
        let mut events = Box::pin(watcher(api, watcher::Config::default()).default_backoff());
        loop {
            let event = events.try_next().await;
            failures = if event.is_ok() { 0 } else { failures + 1 };
            match event {
                Ok(Some(watcher::Event::Init)) => listed.clear(),
                Ok(Some(watcher::Event::InitApply(object))) => {
                    listed.insert(object.metadata.name.clone().unwrap_or_default());
                    self.note(kind, &object, false);
                }
                Ok(Some(watcher::Event::InitDone)) => self.forget_others(kind, &listed),
                Ok(Some(watcher::Event::Apply(object))) => self.note(kind, &object, false),
                Ok(Some(watcher::Event::Delete(object))) => self.note(kind, &object, true),
                Ok(None) => return,
                // The watcher tries again by itself, and a connection may end at any time.
                Err(error) if failures > 2 => eprintln!("watching {kind:?}: {error}"),
                Err(_) => {}
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, kind: Kind, object: &DynamicObject, gone: bool) {
        let at = Timestamp::now();
        let name = object.metadata.name.clone().unwrap_or_default();
        let version = object.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or_default();
        let object = serde_json::to_value(object).unwrap_or_default();
        let mut inner = self.inner();
        let key = (kind, name.clone());
        if gone {
            inner.now.objects.remove(&key);
        } else if inner.now.objects.insert(key, object.clone()).as_ref() == Some(&object) {
            return;
        }
        inner.history.push(Seen { at, version, kind, name, object, gone });
        drop(inner);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// After a watch began anew: what is not listed any more has gone meanwhile.
    fn forget_others(&self, kind: Kind, listed: &BTreeSet<String>) {
        self.inner().now.objects.retain(|(of, name), _| *of != kind || listed.contains(name));
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Looks at the objects as they are now.
    pub fn look<T>(&self, at: impl FnOnce(&Now) -> T) -> T {
        at(&self.inner().now)
    }

    /// What was seen of objects of one name (`*`: of any name), in the order of the API server's writes.
    pub fn history(&self, kind: Kind, name: &str) -> Vec<Seen> {
        let inner = self.inner();
        let wanted = |seen: &&Seen| seen.kind == kind && (name == "*" || seen.name == name);
        let mut seen: Vec<Seen> = inner.history.iter().filter(wanted).cloned().collect();
        seen.sort_by_key(|seen| seen.version);
        seen
    }

    /// Tells when something has changed after this call.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
