//! Everything that `decide` may know, read once per pass.
//!
//! Plain data: no client, no clock (`now` is a field), nothing that changes while a decision is made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::measure::{Provider, Reading};
use super::neighbours::Neighbours;
use crate::api::{Action, DeliveryFigures, LogHead, RolloutSpec, RolloutStatus, RouteKind, Symptom};

/// The world of one Rollout at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// The time of the pass.
    pub now: Timestamp,
    /// The Rollout itself.
    pub rollout: RolloutFacts,
    /// The governed workload, if it exists.
    pub workload: Option<Workload>,
    /// ReplicaSets that the workload owns.
    pub replica_sets: Vec<ReplicaSetFacts>,
    /// The stable Service, if it exists.
    pub stable_service: Option<ServiceFacts>,
    /// An object with the canary Service's name, if one exists.
    pub canary_service: Option<ServiceFacts>,
    /// Those of the named routes that exist.
    pub routes: Vec<RouteFacts>,
    /// Kinds of route that this cluster does not serve.
    pub unserved: Vec<RouteKind>,
    /// Routes, canary and canary Service were read from the API server in this pass, not from a cache that may lag
    /// behind our own writes. Only then may their absence count as done.
    pub live: bool,
    /// An object with the canary Deployment's name, if one exists.
    pub canary: Option<CanaryFacts>,
    /// Pods of the canary.
    pub canary_pods: Vec<PodFacts>,
    /// Pods of the workload itself, read when a signal compares restarts.
    pub stable_pods: Option<Vec<PodFacts>>,
    /// Ready endpoints of the canary Service.
    pub canary_endpoints: u32,
    /// The named MetricsProvider, if it exists.
    pub provider: Option<Provider>,
    /// What is known of each question that was asked for this Rollout.
    pub readings: Vec<Reading>,
    /// The workload's pod template, read when a canary must be made of it.
    pub template: Option<Value>,
    /// The stable ReplicaSet's pod template, read when it must be put back.
    pub stable_template: Sought,
    /// The record of the run, if it was written.
    pub release: Option<ReleaseFacts>,
    /// The run's DecisionLog, as far as it was written.
    pub log: Option<LogFacts>,
    /// Whether the run's ReworkEvent was written.
    pub rework_recorded: bool,
    /// Whether what was found after the promotion is in a ReworkEvent.
    pub escape_recorded: bool,
    /// What else selects pods by label around the canary.
    pub neighbours: Neighbours,
    /// The last proof of the gate in this process.
    pub gate: Option<GateProof>,
    /// The admission policies of the gate, as they are in the cluster.
    pub policies: GatePolicies,
    /// Failures of the last 90 days that are on record with a signature: those of this Rollout, and of its owner's others.
    pub reworks: Vec<ReworkFacts>,
    /// What people ask of this Rollout and has no answer yet, oldest first.
    pub interventions: Vec<InterventionFacts>,
    /// The HorizontalPodAutoscaler of the workload, if there is one.
    pub scaler: Option<ScalerFacts>,
    /// Another Rollout of the same group that has a canary, or is to have one first.
    pub group_busy: Option<String>,
    /// The last write that failed in this process, if no later one succeeded.
    pub last_error: Option<String>,
    /// What the records of this Rollout add up to, if that was counted yet and there are any.
    pub delivery: Option<DeliveryFigures>,
}

/// The Rollout as read.
#[derive(Debug, Clone, Serialize)]
pub struct RolloutFacts {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
    /// It is being deleted.
    pub deleting: bool,
    /// Our finalizer is on it.
    pub finalizer: bool,
    /// A person asked to let it go without restoring anything.
    pub abandon: bool,
    /// Another, older Rollout that names the same workload.
    pub rival: Option<String>,
    /// What is asked.
    pub spec: RolloutSpec,
    /// What was written last.
    pub status: RolloutStatus,
}

/// The governed Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion; every write to it is tied to this.
    pub resource_version: String,
    /// Generation of its spec.
    pub generation: i64,
    /// Generation that its controller has seen.
    pub observed_generation: i64,
    /// Wanted replicas.
    pub replicas: u32,
    /// Whether it is paused.
    pub paused: bool,
    /// Value of the governing label.
    pub governed_by: Option<String>,
    /// What its annotations say of its template: those of [`crate::api::names::SAID`].
    pub said: BTreeMap<String, String>,
    /// Digest of its pod template.
    pub digest: String,
    /// Images of its pod template, as `name=image`.
    pub images: Vec<String>,
    /// `matchLabels` of its selector.
    pub selector: BTreeMap<String, String>,
    /// Whether its selector has `matchExpressions`.
    pub selector_expressions: bool,
    /// Labels of its pod template.
    pub pod_labels: BTreeMap<String, String>,
    /// Reasons why it cannot run twice at once (host ports, volumes that only one node may use, strategy Recreate).
    pub hazards: Vec<String>,
    /// Its first container has a `preStop` hook.
    pub pre_stop: bool,
    /// `maxUnavailable` of its rolling update, as it stands in the object.
    pub max_unavailable: Option<String>,
    /// How long its pods may take to end, in seconds.
    pub termination_grace: u32,
    /// Replicas of all versions.
    pub status_replicas: u32,
    /// Replicas of the newest template.
    pub updated: u32,
    /// Available replicas of all versions.
    pub available: u32,
}

impl Workload {
    /// Its controller has seen the newest spec and every pod runs the newest template and is available.
    pub fn complete(&self) -> bool {
        self.observed_generation >= self.generation
            && self.updated == self.replicas
            && self.status_replicas == self.replicas
            && self.available == self.replicas
    }
}

/// A ReplicaSet of the workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReplicaSetFacts {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion; it is deleted only as it was judged, without pods.
    pub resource_version: String,
    /// When it was made, in seconds since 1970: the resolution that the API server has.
    pub created_at: i64,
    /// Pods that it has, whatever is wanted.
    pub present: u32,
    /// Pods that are ready: these are given traffic.
    pub ready: u32,
    /// Digest of its pod template.
    pub digest: String,
    /// Images of its pod template, as `name=image`.
    pub images: Vec<String>,
    /// Wanted replicas.
    pub replicas: u32,
    /// Available replicas.
    pub available: u32,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceFacts {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// It was made by this Rollout.
    pub ours: bool,
    /// Its selector.
    pub selector: BTreeMap<String, String>,
    /// Its ports, as they stand in the object.
    pub ports: Vec<Value>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteFacts {
    /// Its kind.
    pub kind: RouteKind,
    /// Its name.
    pub name: String,
    /// Its resourceVersion; every write to it is tied to this.
    pub resource_version: String,
    /// Generation of its spec.
    pub generation: i64,
    /// Its rules, in order.
    pub rules: Vec<RuleFacts>,
    /// What each gateway says of it.
    pub parents: Vec<ParentFacts>,
}

/// A rule of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleFacts {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its backends, in order.
    pub backends: Vec<BackendFacts>,
}

/// A backend of a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackendFacts {
    /// Name of the Service, or of whatever it is.
    pub name: String,
    /// It is a Service in the route's own namespace.
    pub local_service: bool,
    /// Its weight.
    pub weight: u32,
    /// The backend as it stands in the object, so that a copy keeps every field.
    pub raw: Value,
}

/// What one gateway says of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParentFacts {
    /// The controller that says it.
    pub controller: String,
    /// Accepted, with every reference resolved.
    pub accepted: bool,
    /// All that it objects to is a backend that does not exist.
    pub backend_missing: bool,
    /// Why not.
    pub message: String,
    /// The generation it speaks of.
    pub observed_generation: i64,
}

/// The canary Deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CanaryFacts {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// It was made by this Rollout.
    pub ours: bool,
    /// Digest of the template that it was made from.
    pub revision: String,
    /// Wanted replicas.
    pub replicas: u32,
    /// Available replicas.
    pub available: u32,
    /// Its controller has seen the newest spec.
    pub observed: bool,
    /// Why pods cannot be made, such as a quota.
    pub failure: Option<String>,
}

/// A pod of the canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// It is ready.
    pub ready: bool,
    /// Most restarts of one of its containers.
    pub restarts: u32,
    /// Why a container waits: reason and message.
    pub waiting: Option<(String, String)>,
    /// The image digest that each container runs, as `name=digest`; of those that were pulled.
    pub digests: Vec<String>,
}

/// The record of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseFacts {
    /// Its outcome is recorded.
    pub ended: bool,
}

/// The decision log of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogFacts {
    /// The Release that it belongs to.
    pub release: String,
    /// The cluster serves DecisionLogs.
    pub served: bool,
    /// Its last entry; number 0 if it was not written yet.
    pub head: LogHead,
}

/// A failure that is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReworkFacts {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The Rollout that failed.
    pub rollout: String,
    /// The Release that failed.
    pub release: String,
    /// Why.
    pub reason: String,
    /// By which signal.
    pub signal: Option<String>,
    /// How its bad requests stood out.
    pub symptoms: Option<Vec<Symptom>>,
    /// What failures of the same kind have in common.
    pub signature: String,
    /// When the verdict fell.
    pub at: Timestamp,
}

/// What a person asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InterventionFacts {
    /// Name of the object.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// What is asked for.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// The Release that is meant, if one is named.
    pub release: Option<String>,
    /// Who asks, as admission has stamped it.
    pub by: Option<String>,
    /// When, by the clock of the API server, in whole seconds.
    pub at: Option<Timestamp>,
}

/// A HorizontalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScalerFacts {
    /// Its name.
    pub name: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its `spec.behavior`, as it stands in the object.
    pub behavior: Option<Value>,
}

/// The policies of the gate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GatePolicies {
    /// What is wrong with them, naming the object; empty when all are there as they are shipped.
    pub problems: Vec<String>,
    /// Changes whenever one of them does.
    pub fingerprint: String,
    /// What is wrong with the policies that stamp and verify who asks by an Intervention.
    pub unstamped: Vec<String>,
}

/// What a dry run said of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateProof {
    /// When.
    pub at: Timestamp,
    /// The API server paused the changed template.
    pub held: bool,
    /// The policies that there were: see [`GatePolicies::fingerprint`].
    pub policies: String,
}

/// What is read only in the passes that need it: that nobody looked does not mean that it is not there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Sought {
    /// This pass did not look; the next one does.
    NotYet,
    /// It does not exist.
    Gone,
    /// It was found.
    Found(Value),
}
