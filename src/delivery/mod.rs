//! The delivery figures of every service, counted beside the passes and kept ready for status and metrics.
//!
//! Owns when they are counted: of a namespace when its records have changed, of all once a minute, because windows move
//! on; never within a pass or a scrape. What they are is in [`crate::figures`]. Reads caches only, keeps nothing that a
//! restart could lose, and decides nothing.

mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::Store;
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc;

pub use service::{Counts, Service};

use crate::api::{DeliveryFigures, Reclassification, Release, ReworkEvent, Step};
use crate::clock::Clock;
use crate::figures::{Facts, History, Settings, facts_of};
use crate::leadership::Leadership;
use crate::watch::{RolloutRef, Stores};

/// How often the caches are looked at for records that have changed.
const LOOK: Duration = Duration::from_secs(5);
/// How often everything is counted again.
const ALL: SignedDuration = SignedDuration::from_secs(60);

/// Namespace and name of a service: those of its Rollout.
pub type Key = (String, String);

/// The figures as they were counted last; cheap to clone.
#[derive(Clone)]
pub struct Live {
    releases: Store<Release>,
    reworks: Store<ReworkEvent>,
    reclassifications: Store<Reclassification>,
    counted: Arc<Mutex<Counted>>,
}

/// What was counted, and of which records.
#[derive(Default)]
struct Counted {
    namespaces: BTreeMap<String, Namespace>,
    /// When everything was counted; never before that.
    all_at: Option<Timestamp>,
}

/// The services of a namespace. Deployments, repairs and reclassifications never reach beyond one.
struct Namespace {
    /// Equal for equal records, in whatever order.
    records: u64,
    services: BTreeMap<String, Arc<Service>>,
}

/// The records of a namespace.
#[derive(Default)]
struct Records {
    releases: Vec<Arc<Release>>,
    reworks: Vec<Arc<ReworkEvent>>,
    reclassifications: Vec<Arc<Reclassification>>,
    hash: u64,
}

impl Records {
    fn note(&mut self, one: &impl Resource<DynamicType = ()>) {
        let mut hasher = DefaultHasher::new();
        (one.meta().uid.as_deref(), one.meta().name.as_deref(), one.meta().resource_version.as_deref())
            .hash(&mut hasher);
        self.hash = self.hash.wrapping_add(hasher.finish());
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

impl Live {
    /// Figures of these records; nothing is counted yet.
    pub fn new(
        releases: Store<Release>,
        reworks: Store<ReworkEvent>,
        reclassifications: Store<Reclassification>,
    ) -> Self {
        Self { releases, reworks, reclassifications, counted: Arc::default() }
    }

    /// Figures of the records in these caches.
    pub fn of(stores: &Stores) -> Self {
        Self::new(stores.releases.clone(), stores.reworks.clone(), stores.reclassifications.clone())
    }

    /// Every service that has records, with its figures; `None` before the first count.
    pub fn services(&self) -> Option<BTreeMap<Key, Arc<Service>>> {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.all_at?;
        let all = counted.namespaces.iter().flat_map(|(namespace, of)| {
            of.services.iter().map(|(name, service)| ((namespace.clone(), name.clone()), Arc::clone(service)))
        });
        Some(all.collect())
    }

    /// What the status of a Rollout shows. `None` before the first count; and while there are no records, unless some
    /// were `shown` before.
    pub fn shown(&self, namespace: &str, name: &str, shown: bool) -> Option<DeliveryFigures> {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let at = counted.all_at?;
        match counted.namespaces.get(namespace).and_then(|of| of.services.get(name)) {
            Some(service) => Some(service.shown.clone()),
            None => shown.then(|| Service::none(at).shown),
        }
    }

    /// Counts what has changed, or everything when that is due. Which services show something else than before.
    pub async fn count(&self, now: Timestamp) -> BTreeSet<Key> {
        let records = self.records();
        let (due, known) = {
            let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            // A time to come is that of a clock that was wrong.
            let fresh = |at: Timestamp| at <= now && now.duration_since(at) < ALL;
            let known: BTreeMap<String, u64> =
                counted.namespaces.iter().map(|(name, of)| (name.clone(), of.records)).collect();
            (!counted.all_at.is_some_and(fresh), known)
        };
        let mut changed = BTreeSet::new();
        for (namespace, records) in &records {
            if !due && known.get(namespace) == Some(&records.hash) {
                continue;
            }
            let services = count(records, now);
            self.replace(namespace, Some(Namespace { records: records.hash, services }), &mut changed);
            // Leases and passes go first.
            tokio::task::yield_now().await;
        }
        for gone in known.keys().filter(|namespace| !records.contains_key(*namespace)) {
            self.replace(gone, None, &mut changed);
        }
        if due {
            self.counted.lock().unwrap_or_else(PoisonError::into_inner).all_at = Some(now);
        }
        changed
    }

    fn records(&self) -> BTreeMap<String, Records> {
        let mut all: BTreeMap<String, Records> = BTreeMap::new();
        for one in self.releases.state() {
            let of = all.entry(one.namespace().unwrap_or_default()).or_default();
            of.note(one.as_ref());
            of.releases.push(one);
        }
        for one in self.reworks.state() {
            let of = all.entry(one.namespace().unwrap_or_default()).or_default();
            of.note(one.as_ref());
            of.reworks.push(one);
        }
        for one in self.reclassifications.state() {
            let of = all.entry(one.namespace().unwrap_or_default()).or_default();
            of.note(one.as_ref());
            of.reclassifications.push(one);
        }
        all
    }

    fn replace(&self, namespace: &str, found: Option<Namespace>, changed: &mut BTreeSet<Key>) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match found {
            Some(found) => counted.namespaces.insert(namespace.to_owned(), found),
            None => counted.namespaces.remove(namespace),
        };
        let now = counted.namespaces.get(namespace);
        let summary = |of: Option<&Namespace>, name: &str| {
            of.and_then(|of| of.services.get(name)).map(|service| service.shown.summary.clone())
        };
        let names = before.iter().chain(now).flat_map(|of| of.services.keys());
        let differ = names.filter(|name| summary(before.as_ref(), name) != summary(now, name));
        changed.extend(differ.map(|name| (namespace.to_owned(), name.clone())));
    }

    /// Counts while this process leads, and wakes the Rollouts whose status would show something else.
    pub async fn keep(self, clock: Clock, stores: Stores, leadership: Leadership, wake: mpsc::Sender<RolloutRef>) {
        stores.freshness.complete().await;
        leadership.acquired().await;
        let mut every = tokio::time::interval(LOOK);
        loop {
            every.tick().await;
            if !leadership.may_write() {
                continue;
            }
            let changed = self.count(clock.now()).await;
            for (namespace, name) in changed {
                let key = RolloutRef::new(&name).within(&namespace);
                if self.to_show(&stores, &key) && wake.send(key).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Nothing is being released there, and its status shows something else.
    fn to_show(&self, stores: &Stores, key: &RolloutRef) -> bool {
        let Some(guard) = stores.rollouts.get(key) else { return false };
        let Some(status) = guard.0.as_ref().ok().and_then(|rollout| rollout.status.as_ref()) else { return false };
        let found = self.shown(key.namespace.as_deref().unwrap_or_default(), &key.name, status.delivery.is_some());
        let shown = status.delivery.as_ref().map(|shown| &shown.summary);
        status.run.as_ref().is_none_or(|run| run.step == Step::Done)
            && found.is_some_and(|found| Some(&found.summary) != shown)
    }
}

/// The figures of the services of one namespace.
fn count(records: &Records, now: Timestamp) -> BTreeMap<String, Arc<Service>> {
    let Records { releases, reworks, reclassifications, .. } = records;
    let facts: Facts = facts_of(
        releases.iter().map(AsRef::as_ref),
        reworks.iter().map(AsRef::as_ref),
        reclassifications.iter().map(AsRef::as_ref),
    );
    let history = History::new(&facts, Settings::default());
    let newest = newest(records);
    let of = |service: &str, owner: Option<String>| {
        let (_, name) = service.split_once('/').unwrap_or(("", service));
        let recorded = newest.get(name).copied().unwrap_or(Timestamp::MIN);
        (name.to_owned(), Arc::new(Service::of(&history, service, owner, recorded, now)))
    };
    history.services().into_iter().map(|(service, owner)| of(&service, owner)).collect()
}

/// When the newest record of each Rollout came about.
fn newest(records: &Records) -> BTreeMap<&str, Timestamp> {
    let mut newest: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut release_of: BTreeMap<String, &str> = BTreeMap::new();
    let mut note = |rollout, at: Option<Timestamp>| {
        if let Some(at) = at {
            newest.entry(rollout).and_modify(|known| *known = at.max(*known)).or_insert(at);
        }
    };
    for one in &records.releases {
        release_of.insert(one.name_any(), &one.spec.rollout);
        note(&one.spec.rollout, one.status.as_ref().and_then(|status| status.times.ended_at));
    }
    for one in &records.reworks {
        note(&one.spec.rollout, Some(one.spec.verdict_at));
    }
    for one in &records.reclassifications {
        if let Some(rollout) = release_of.get(&one.spec.release) {
            note(rollout, one.creation_timestamp().map(|time| time.0));
        }
    }
    newest
}
