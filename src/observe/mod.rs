//! 2 observe: everything that `decide` may know, read once.
//!
//! Caches first; the API server itself only where a cache that lags behind our own writes could mislead, or where a
//! whole pod template is needed. Reads only; the answers of Prometheus are those the poller has.

mod facts;
mod group;
#[cfg(test)]
mod hostile;
mod neighbours;
mod patience;
mod reworks;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use kube::core::DeserializeGuard;
use kube::core::gvk::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{
    DeliveryFigures, Intervention, OnRollback, Outcome, Revision, Rollout, RolloutSpec, RouteKind, Run, Step, names,
};
use crate::decide::measure::Reading;
use crate::decide::snapshot::{
    GateProof, InterventionFacts, LogFacts, PodFacts, ReleaseFacts, ReplicaSetFacts, RolloutFacts, RouteFacts,
    Snapshot, Sought,
};
use crate::watch::Stores;
use crate::watch::guard::Guarded;
use crate::watch::policies::Shipped;
use crate::watch::triggers::Concerns as _;
use crate::watch::views::{DeploymentView, PodView, ReplicaSetView, ScalerView, ServiceView};
use patience::within;

/// Pods of stable that are compared with the canary's.
const MOST_PODS: u32 = 500;

pub use secrets::OwnSecrets;

/// What this process itself remembers of a Rollout; all of it may be lost without harm.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// The last proof of the gate.
    pub gate: Option<GateProof>,
    /// The last write that failed, if no later one succeeded.
    pub last_error: Option<String>,
    /// The caches have proven to be old: ask the API server.
    pub live: bool,
    /// What the records of the Rollout add up to.
    pub delivery: Option<DeliveryFigures>,
}

/// A read that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not answer a read.
    #[error("cannot read {what}: {source}")]
    Read {
        /// What was read.
        what: String,
        /// Why it failed.
        source: Box<kube::Error>,
    },
    /// The object does not fit what this program knows of its kind.
    #[error("{what} cannot be read: {error}")]
    Unreadable {
        /// What was read.
        what: String,
        /// Which field, and why.
        error: String,
    },
    /// The API server took too long.
    #[error("reading {what} took longer than {} s", crate::act::CALL_TIMEOUT.as_secs())]
    Timeout {
        /// What was read.
        what: String,
    },
}

impl Error {
    /// One word for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Unreadable { .. } => "unreadable",
            Self::Timeout { .. } => "read_timeout",
        }
    }
}

/// The Rollout as the API server has it; none if it is not the same any more, or cannot be read.
pub async fn rollout(client: &Client, cached: &Rollout) -> Result<Option<Rollout>, Error> {
    let name = cached.name_any();
    let api: Api<Guarded<Rollout>> = Api::namespaced(client.clone(), &cached.namespace().unwrap_or_default());
    let found = within(format!("Rollout {name}"), || api.get_opt(&name)).await?;
    Ok(found.and_then(|guard| guard.0.ok()).filter(|rollout| rollout.uid() == cached.uid()))
}

/// What was read of the world of one Rollout.
#[derive(Debug)]
pub struct Observed {
    /// What `decide` may know.
    pub snapshot: Snapshot,
    /// A cache showed something else than the API server, where both were looked at.
    pub behind: bool,
}

/// Reads the world of one Rollout.
pub async fn observe(
    now: Timestamp,
    client: &Client,
    stores: &Stores,
    rollout: &Rollout,
    readings: Vec<Reading>,
    remembered: Remembered,
    policies: &Shipped,
) -> Result<Observed, Error> {
    let namespace = rollout.namespace().unwrap_or_default();
    let name = rollout.name_any();
    let spec = &rollout.spec;
    let status = rollout.status.clone().unwrap_or_default();
    let run = status.run.clone().filter(|run| run.step != Step::Done);
    let canary_name = names::canary(&spec.target_ref.name);
    let canary_service_name = spec.traffic.canary_service_name();
    let uid = rollout.uid().unwrap_or_default();
    let workload = stores.deployments.get(&local(&spec.target_ref.name, &namespace));
    let cached_sets = owned_sets(workload.as_deref(), stores.replica_sets.state().iter().map(|set| set.as_ref()));
    let odd = oddly_served(workload.as_deref(), &cached_sets, status.stable.as_ref());
    // How often a failure came back is asked only where one is about to be recorded.
    let ending = run.as_ref().is_some_and(|run| run.outcome.is_some());
    let escaped = status.watching.as_ref().and_then(|watching| watching.escaped.as_ref());
    let records = ending || escaped.is_some_and(|escaped| !escaped.recorded);
    // Leaving traffic and canary behind because a cache had not seen them yet would be harm; these passes are few.
    let live = odd
        || remembered.live
        || rollout.meta().deletion_timestamp.is_some()
        || run.as_ref().is_some_and(|run| matches!(run.step, Step::Reverting | Step::Closing));
    let reader = Reader { client, namespace: &namespace, live, behind: AtomicBool::new(false) };

    let workload = reader.get(&spec.target_ref.name, workload).await?;
    let mut replica_sets = if odd { reader.replica_sets(workload.as_ref()).await? } else { cached_sets };
    // A cache has no order; equal worlds are to look equal.
    replica_sets.sort_by(|one, other| one.name.cmp(&other.name));
    let mut routes = Vec::new();
    // A route that was taken out of the spec in mid-run must be put back all the same.
    let governed = run.iter().flat_map(|run| &run.routes).map(|backup| (backup.kind, &backup.route));
    let named = spec.traffic.routes.iter().map(|named| (named.kind, &named.name));
    for (kind, name) in named.chain(governed).collect::<BTreeSet<_>>() {
        routes.extend(reader.route(stores, kind, name).await?);
    }
    let canary = reader.get(&canary_name, stores.deployments.get(&local(&canary_name, &namespace))).await?;
    let canary_service =
        reader.get(&canary_service_name, stores.services.get(&local(&canary_service_name, &namespace))).await?;
    let stable_service = stores.services.get(&local::<ServiceView>(&spec.traffic.stable_service, &namespace));
    let pods = stores.pods.state();
    let revision = run.as_ref().map(|run| run.revision.as_str()).unwrap_or_default();
    let pods = pods.iter().filter(|pod| {
        // Pods of an earlier canary may still be going away.
        let current = pod.labels().get(names::REVISION_LABEL).is_some_and(|label| label == revision);
        current && pod.meta().deletion_timestamp.is_none() && facts::belongs(pod.as_ref(), &name, &namespace)
    });
    let endpoints = stores.endpoints.state();
    let endpoints = endpoints.iter().filter(|slice| facts::belongs(slice.as_ref(), &name, &namespace));
    let release = run.as_ref().and_then(|run| stores.releases.get(&local(&run.release, &namespace)));
    let template = match &run {
        Some(run) if run.step == Step::Starting && canary.is_none() => {
            reader.template("Deployment", &spec.target_ref.name).await?
        }
        Some(_) | None => None,
    };
    let stable_template = match &status.stable {
        Some(stable)
            if run.as_ref().is_some_and(needs_stable_template)
                || run.is_none()
                    && workload.as_ref().is_some_and(|one| puts_back(one, stable, &replica_sets, rollout)) =>
        {
            reader.template("ReplicaSet", &stable.replica_set).await?.map_or(Sought::Gone, Sought::Found)
        }
        Some(_) | None => Sought::NotYet,
    };
    let stable_pods = match (&run, &workload) {
        (Some(run), Some(workload)) if run.weight > 0 && compares_restarts(spec) => {
            let labels = &workload.spec.selector.match_labels;
            Some(reader.pods(labels).await?)
        }
        (_, _) => None,
    };
    let mut canary_pods: Vec<PodFacts> = pods.map(|pod| facts::pod(pod)).collect();
    canary_pods.sort_by(|one, other| one.name.cmp(&other.name));
    let neighbours = neighbours::around(&reader, stores, &name, &uid).await?;
    let scaler = scaler(&reader, stores, rollout, &namespace).await?;
    let behind = reader.behind.into_inner();
    let snapshot = Snapshot {
        now,
        workload: workload.as_ref().map(facts::workload),
        replica_sets,
        stable_service: stable_service.as_ref().map(|service| facts::service(service, &uid)),
        canary_service: canary_service.as_ref().map(|service| facts::service(service, &uid)),
        routes,
        unserved: [RouteKind::HTTPRoute, RouteKind::GRPCRoute]
            .into_iter()
            .filter(|kind| !stores.freshness.serves(kind.word()))
            .collect(),
        live,
        canary: canary.as_ref().map(|canary| facts::canary(canary, &uid)),
        canary_pods,
        stable_pods,
        canary_endpoints: endpoints.map(|slice| facts::ready(slice)).fold(0, u32::saturating_add),
        provider: stores
            .providers
            .get(&ObjectRef::new(&spec.analysis.provider_ref.name))
            .map(|provider| facts::provider(&provider)),
        readings,
        template,
        stable_template,
        release: release.map(|release| ReleaseFacts {
            ended: release.status.as_ref().is_some_and(|status| status.outcome.is_some()),
        }),
        log: status.run.as_ref().map(|run| LogFacts {
            release: run.release.clone(),
            served: stores.freshness.serves("DecisionLog"),
            head: stores
                .logs
                .get(&local(&run.release, &namespace))
                .map(|log| log.spec.head.clone())
                .unwrap_or_default(),
        }),
        rework_recorded: run.as_ref().is_some_and(|run| stores.reworks.get(&local(&run.release, &namespace)).is_some()),
        escape_recorded: status.watching.as_ref().is_some_and(|watching| {
            stores.reworks.get(&local(&names::escaped(&watching.release), &namespace)).is_some()
        }),
        policies: stores.gate.looked_over(policies, stores.freshness.serves("MutatingAdmissionPolicy")),
        reworks: if records { reworks::of(&stores.reworks.state(), rollout, now) } else { Vec::new() },
        interventions: asked(&stores.interventions.state(), &name, &namespace),
        scaler: scaler.as_ref().map(facts::scaler),
        group_busy: group::busy(&stores.rollouts.state(), rollout),
        neighbours,
        gate: remembered.gate,
        last_error: remembered.last_error,
        delivery: remembered.delivery,
        rollout: RolloutFacts {
            rival: rival(&stores.rollouts.state(), rollout),
            name,
            namespace,
            uid,
            generation: rollout.meta().generation.unwrap_or_default(),
            deleting: rollout.meta().deletion_timestamp.is_some(),
            finalizer: rollout.finalizers().iter().any(|one| one == names::FINALIZER),
            // Whoever writes `false` does not want it.
            abandon: rollout.annotations().get(names::ABANDON_ANNOTATION).is_some_and(|value| value != "false"),
            spec: spec.clone(),
            status,
        },
    };
    Ok(Observed { snapshot, behind })
}

/// The autoscaler of the workload. What was frozen must not be left so because a cache had not seen it yet.
async fn scaler(
    reader: &Reader<'_>,
    stores: &Stores,
    rollout: &Rollout,
    namespace: &str,
) -> Result<Option<ScalerView>, Error> {
    let all = stores.scalers.state();
    let here = all.iter().filter(|scaler| scaler.namespace().as_deref() == Some(namespace));
    let cached = here.filter(|scaler| scaler.concerns(rollout)).min_by_key(|scaler| scaler.name_any());
    let run = rollout.status.as_ref().and_then(|status| status.run.as_ref());
    let frozen = run.and_then(|run| run.scaler.as_ref()).map(|backup| backup.name.clone());
    let Some(name) = cached.map(|scaler| scaler.name_any()).or(frozen) else { return Ok(None) };
    let cached = stores.scalers.get(&local(&name, namespace));
    Ok(reader.get(&name, cached).await?.filter(|scaler: &ScalerView| scaler.concerns(rollout)))
}

/// The ReplicaSets of a workload.
fn owned_sets<'a>(
    workload: Option<&DeploymentView>,
    all: impl Iterator<Item = &'a ReplicaSetView>,
) -> Vec<ReplicaSetFacts> {
    let Some(uid) = workload.and_then(ResourceExt::uid) else { return Vec::new() };
    all.filter(|set| set.owner_references().iter().any(|owner| owner.uid == uid)).map(facts::replica_set).collect()
}

/// Behind the closed gate something else than stable seems to serve. What follows from that changes what is stable, or
/// puts a template back: it must not follow from a cache that lags.
fn oddly_served(workload: Option<&DeploymentView>, sets: &[ReplicaSetFacts], stable: Option<&Revision>) -> bool {
    let (Some(workload), Some(stable)) = (workload, stable) else { return false };
    let other = |set: &ReplicaSetFacts| set.digest != stable.digest && set.replicas > 0;
    workload.spec.paused && (sets.iter().any(other) || !sets.iter().any(|set| set.digest == stable.digest))
}

/// A promotion that ends badly goes from `Promoting` to `Reverting` within one pass; the template must be at hand.
fn needs_stable_template(run: &Run) -> bool {
    run.step == Step::Reverting && run.outcome != Some(Outcome::Promoted)
}

/// A rejected template that is to be replaced, or a version that came up behind the closed gate.
fn puts_back(workload: &DeploymentView, stable: &Revision, sets: &[ReplicaSetFacts], rollout: &Rollout) -> bool {
    let held = workload.spec.paused && workload.spec.template.digest != stable.digest;
    let rejected =
        rollout.status.as_ref().is_some_and(|status| status.rejected.contains(&workload.spec.template.digest));
    let restores = rejected && rollout.spec.on_rollback == OnRollback::RestoreTemplate;
    held && (restores || sets.iter().any(|set| set.digest != stable.digest && set.replicas > 0))
}

/// Interventions without an answer, in the order in which they were made.
fn asked(all: &[Arc<Intervention>], rollout: &str, namespace: &str) -> Vec<InterventionFacts> {
    let mut open: Vec<_> = all
        .iter()
        .filter(|one| one.namespace().as_deref() == Some(namespace) && one.spec.rollout == rollout)
        .filter(|one| one.status.as_ref().is_none_or(|status| status.result.is_none()))
        .collect();
    open.sort_by_key(|one| (one.creation_timestamp().map(|time| time.0), one.name_any()));
    open.into_iter().map(|one| facts::intervention(one)).collect()
}

/// Stable's pods carry no label of ours and are not watched; they are listed only where a signal asks for it.
fn compares_restarts(spec: &RolloutSpec) -> bool {
    spec.analysis.signals.iter().any(|signal| signal.restarts.is_some())
}

fn local<K: Resource<DynamicType = ()>>(name: &str, namespace: &str) -> ObjectRef<K> {
    ObjectRef::new(name).within(namespace)
}

/// Whatever has these labels.
fn selected(labels: &BTreeMap<String, String>) -> ListParams {
    let selector: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    ListParams::default().labels(&selector.join(","))
}

/// An older Rollout of the same namespace that names the same workload.
fn rival(rollouts: &[Arc<DeserializeGuard<Rollout>>], of: &Rollout) -> Option<String> {
    let age = |rollout: &Rollout| (rollout.creation_timestamp().map(|time| time.0), rollout.uid());
    rollouts
        .iter()
        .filter_map(|guard| guard.0.as_ref().ok())
        .filter(|other| other.namespace() == of.namespace() && other.uid() != of.uid())
        .filter(|other| other.spec.target_ref == of.spec.target_ref && age(other) < age(of))
        .map(|other| other.name_any())
        .min()
}

/// Reads single objects, from the API server where that is called for.
struct Reader<'a> {
    client: &'a Client,
    namespace: &'a str,
    live: bool,
    /// A cache was older than what was read.
    behind: AtomicBool,
}

impl Reader<'_> {
    async fn get<K>(&self, name: &str, cached: Option<Arc<K>>) -> Result<Option<K>, Error>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        if !self.live {
            return Ok(cached.map(|object| object.as_ref().clone()));
        }
        if !names::is_name(name) {
            return Ok(None);
        }
        let what = format!("{} {name}", K::kind(&()));
        let api = Api::<Guarded<K>>::namespaced(self.client.clone(), self.namespace);
        let found = match within(what.clone(), || api.get_opt(name)).await? {
            Some(Guarded(read)) => {
                Some(read.map_err(|unreadable| Error::Unreadable { what, error: unreadable.error })?)
            }
            None => None,
        };
        let version = |object: Option<&K>| object.and_then(ResourceExt::resource_version);
        if version(found.as_ref()) != version(cached.as_deref()) {
            self.behind.store(true, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// A route of either kind.
    async fn route(&self, stores: &Stores, kind: RouteKind, name: &str) -> Result<Option<RouteFacts>, Error> {
        Ok(match kind {
            RouteKind::HTTPRoute => {
                let route = self.get(name, stores.routes.get(&local(name, self.namespace))).await?;
                route.as_ref().map(facts::route)
            }
            RouteKind::GRPCRoute => {
                let route = self.get(name, stores.grpc_routes.get(&local(name, self.namespace))).await?;
                route.as_ref().map(facts::route)
            }
        })
    }

    /// The ReplicaSets of a workload, from the API server.
    async fn replica_sets(&self, workload: Option<&DeploymentView>) -> Result<Vec<ReplicaSetFacts>, Error> {
        let Some(workload) = workload else { return Ok(Vec::new()) };
        let params = selected(&workload.spec.selector.match_labels);
        let api: Api<Guarded<ReplicaSetView>> = Api::namespaced(self.client.clone(), self.namespace);
        let found = within("ReplicaSets".to_owned(), || api.list(&params)).await?;
        Ok(owned_sets(Some(workload), found.items.iter().filter_map(|set| set.0.as_ref().ok())))
    }

    /// The pods that a workload selects, as many as one page holds.
    async fn pods(&self, labels: &BTreeMap<String, String>) -> Result<Vec<PodFacts>, Error> {
        let params = selected(labels).limit(MOST_PODS);
        let api: Api<Guarded<PodView>> = Api::namespaced(self.client.clone(), self.namespace);
        let pods = within("pods".to_owned(), || api.list(&params)).await?;
        let pods = pods.items.iter().filter_map(|pod| pod.0.as_ref().ok());
        let here = pods.filter(|pod| pod.meta().deletion_timestamp.is_none());
        Ok(here.map(facts::pod).collect())
    }

    /// The raw pod template of a Deployment or ReplicaSet, so that fields this program does not know survive.
    async fn template(&self, kind: &str, name: &str) -> Result<Option<Value>, Error> {
        if !names::is_name(name) {
            return Ok(None);
        }
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, &resource);
        let object = within(format!("{kind} {name}"), || api.get_opt(name)).await?;
        Ok(object.and_then(|object| object.data.pointer("/spec/template").cloned()))
    }
}
