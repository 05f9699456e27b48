//! The operator's own metrics.
//!
//! What describes a Rollout is derived from the objects at each scrape: it survives restarts, and goes when the object
//! goes. The process that leads tells it and no other, so that sums over processes are right. What counts work of this
//! process is counted here. No metric has a pod, a hash or an image as a label.

mod analysis;
mod counted;
mod delivery;
mod encode;
mod past;
mod queries;
mod records;
mod sinks;
mod states;
mod waves;

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use counted::{Counted, Key};
use encode::Families;
use queries::QueryErrors;

use crate::api::{MetricsProvider, NotificationSink, Release, ReworkEvent, Rollout, RolloutSpec, RolloutStatus};
use crate::decide::measure::FailureClass;
use crate::delivery::Live;
use crate::leadership::Leadership;
use crate::watch::{Freshness, RolloutRef, Stores};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    write: &'static str,
}

/// How a pass can end.
const ENDS: [&str; 12] = [
    "ok",
    "conflict",
    "read",
    "read_timeout",
    "unreadable",
    "write",
    "write_timeout",
    "record",
    "record_timeout",
    "malformed",
    "not_leader",
    "contradiction",
];

/// The event with which a weight is set again.
const REASSERTED: &str = "TrafficReasserted";

/// What is read at each scrape.
#[derive(Clone)]
pub struct Sources {
    /// Rollouts.
    pub rollouts: Store<DeserializeGuard<Rollout>>,
    /// Releases.
    pub releases: Store<Release>,
    /// ReworkEvents.
    pub reworks: Store<ReworkEvent>,
    /// MetricsProviders.
    pub providers: Store<MetricsProvider>,
    /// NotificationSinks.
    pub sinks: Store<NotificationSink>,
    /// The delivery figures.
    pub delivery: Live,
    /// How well each kind is being watched.
    pub freshness: Freshness,
    /// Whether this process leads.
    pub leadership: Leadership,
}

impl Sources {
    /// What of the caches is told, and who tells it.
    pub fn of(stores: &Stores, delivery: &Live, leadership: &Leadership) -> Self {
        Self {
            rollouts: stores.rollouts.clone(),
            releases: stores.releases.clone(),
            reworks: stores.reworks.clone(),
            providers: stores.providers.clone(),
            sinks: stores.sinks.clone(),
            delivery: delivery.clone(),
            freshness: stores.freshness.clone(),
            leadership: leadership.clone(),
        }
    }
}

/// Counters of this process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    reconciles: Family<Reason, Counter>,
    reconcile_seconds: Histogram,
    writes: Family<WriteLabels, Counter>,
    counted: Counted,
    query_errors: QueryErrors,
    query_seconds: Histogram,
}

/// The registry that `/metrics` answers from, and the counters in it.
pub fn registry(sources: Sources) -> (Registry, Metrics) {
    let mut registry = Registry::with_prefix("sluice");
    let seconds = || Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
    let metrics = Metrics {
        reconciles: Family::default(),
        reconcile_seconds: seconds(),
        writes: Family::default(),
        counted: Counted::default(),
        query_errors: QueryErrors::default(),
        query_seconds: seconds(),
    };
    for reason in ENDS {
        // Created at 0: what is born with its first increment shows none.
        drop(metrics.reconciles.get_or_create(&Reason { reason }));
    }
    registry.register("build", "Version of this program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    let reconciles = metrics.reconciles.clone();
    registry.register("reconciles", "Passes over a Rollout, by how they ended", reconciles);
    let histogram = metrics.reconcile_seconds.clone();
    registry.register_with_unit("reconcile_duration", "Time of one pass", Unit::Seconds, histogram);
    registry.register("writes", "Writes to workloads, canaries and routes", metrics.writes.clone());
    let histogram = metrics.query_seconds.clone();
    registry.register_with_unit("prometheus_query_duration", "Time of one question", Unit::Seconds, histogram);
    let (counted, query_errors) = (metrics.counted.clone(), metrics.query_errors.clone());
    registry.register_collector(Box::new(Told { sources, counted, query_errors }));
    (registry, metrics)
}

impl Metrics {
    /// A pass over a Rollout ended; `failed` if it has to be repeated for a fault.
    pub fn reconciled(&self, of: &RolloutRef, reason: &'static str, failed: bool, took: Duration) {
        self.reconciles.get_or_create(&Reason { reason }).inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
        if failed {
            self.counted.failed(key(of));
        }
    }

    /// A write was carried out.
    pub fn wrote(&self, write: &'static str) {
        self.writes.get_or_create(&WriteLabels { write }).inc();
    }

    /// A pass decided this about a Rollout.
    pub fn decided(&self, of: &RolloutRef, spec: &RolloutSpec, status: &RolloutStatus, now: Instant) {
        if let Some(run) = status.run.as_ref().filter(|run| run.weight > 0) {
            self.counted.judged(key(of), run, status.verdict, spec.analysis.interval.std(), now);
        }
    }

    /// An event about a Rollout is told for the first time.
    pub fn told(&self, of: &RolloutRef, reason: &str) {
        if reason == REASSERTED {
            self.counted.reasserted(key(of));
        }
    }
}

fn key(of: &RolloutRef) -> Key {
    (of.namespace.clone().unwrap_or_default(), of.name.clone())
}

impl crate::prometheus::QueryObserver for Metrics {
    fn answered(&self, _: &str, took: Duration) {
        self.query_seconds.observe(took.as_secs_f64());
    }

    fn failed(&self, provider: &str, class: FailureClass, took: Duration) {
        self.query_seconds.observe(took.as_secs_f64());
        self.query_errors.failed(provider, class);
    }
}

/// A Rollout as it is told of.
struct Seen<'a> {
    namespace: String,
    name: String,
    spec: &'a RolloutSpec,
    status: RolloutStatus,
}

impl Seen<'_> {
    /// Whose it is; empty if nobody said.
    fn team(&self) -> &str {
        self.spec.owner.as_ref().map(|owner| owner.team.as_str()).unwrap_or_default()
    }

    fn named(&self) -> [(&str, &str); 2] {
        [("namespace", &self.namespace), ("name", &self.name)]
    }

    fn owned(&self) -> [(&str, &str); 3] {
        [("namespace", &self.namespace), ("name", &self.name), ("team", self.team())]
    }
}

/// So many of so many.
#[allow(clippy::cast_precision_loss)] // counts of requests are far below 2^53
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// What is put together at each scrape.
struct Told {
    sources: Sources,
    counted: Counted,
    query_errors: QueryErrors,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Sources { rollouts, releases, reworks, providers, sinks, delivery, freshness, leadership } = &self.sources;
        let mut families = Families(&mut encoder);
        let leads = leadership.may_write();
        families.gauges("leader", "1 while this process holds the Lease and decides", |put| {
            put(&[], if leads { 1.0 } else { 0.0 })
        })?;
        let watches = freshness.all();
        families.gauges("watch_ready", "1 when a kind has been listed and is watched", |put| {
            watches.iter().try_for_each(|(kind, state)| put(&[("kind", kind)], if state.ready { 1.0 } else { 0.0 }))
        })?;
        families.gauges("watch_errors", "Errors of the watch of a kind since the start of this process", |put| {
            watches.iter().try_for_each(|(kind, state)| put(&[("kind", kind)], share(state.errors, 1)))
        })?;
        self.query_errors.encode(&providers.state().iter().map(|one| one.name_any()).collect(), &mut families)?;

        let state = rollouts.state();
        let readable = state.iter().filter_map(|guard| guard.0.as_ref().ok());
        let mut all: Vec<Seen<'_>> = readable
            .map(|rollout| Seen {
                namespace: rollout.namespace().unwrap_or_default(),
                name: rollout.name_any(),
                spec: &rollout.spec,
                status: rollout.status.clone().unwrap_or_default(),
            })
            .collect();
        all.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        // Those that cannot be read are counted too: passes over them fail.
        let known: BTreeSet<Key> = state.iter().map(|guard| key(&RolloutRef::from_obj(guard.as_ref()))).collect();
        self.counted.keep(&known);
        if !leads {
            return Ok(());
        }
        states::encode(&all, &mut families)?;
        waves::encode(&all, &mut families)?;
        analysis::encode(&all, &mut families)?;
        past::encode(&all, &mut families)?;
        self.counted.encode(&known, &mut families)?;
        records::rework(reworks, &known, &mut families)?;
        records::durations(releases, &known, &mut families)?;
        sinks::encode(sinks, &mut families)?;
        delivery::encode(delivery, &all, &known, &mut families)
    }
}
