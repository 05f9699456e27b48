//! `Rollout.status`: what people see, and the state from which the operator goes on after a crash.
//!
//! Everything that a later pass needs is here: no timer and no count lives in memory only.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::BudgetState;
use super::change::{Change, Classification};
use super::conditions::Condition;
use super::decision_log::LogState;
use super::defect::Symptom;
use super::delivery::DeliveryFigures;
use super::evidence::{KeptEvidence, SignalState, Tally, TrafficState, WaveForecast};
use super::governance::{Answered, Conflicts, Hold, Intervened, LetThrough, ScalerBackup, Watching};
use super::release::{Outcome, Stage, Times, Trigger};
use super::rollout::RouteKind;

/// The observed state of a Rollout.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default)]
    pub observed_generation: i64,
    /// What Sluice is doing, in one word for people. Programs read the conditions.
    #[serde(default)]
    pub phase: Phase,
    /// The wave of the run, such as `2/4`.
    #[serde(default)]
    pub wave: String,
    /// The share of live traffic that the canary is meant to have, such as `5%`.
    #[serde(default)]
    pub weight: String,
    /// What the evidence says so far.
    #[serde(default)]
    pub verdict: VerdictWord,
    /// One sentence with numbers: what is going on and what is awaited.
    #[serde(default)]
    pub message: String,
    /// Standard conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map"), extend("x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The version that is proven and serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Revision>,
    /// Digest of a version that passed all waves and whose promotion was broken off by a newer template: its pods serve beside stable's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alongside: Option<String>,
    /// The attempt in progress, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// How many attempts there have been.
    #[serde(default)]
    pub attempts: u32,
    /// Versions that were stable before, newest last: whoever goes back to one says that what replaced it had failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub former: Vec<Former>,
    /// Digests of templates that were taken back, newest last. They are not tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub rejected: Vec<String>,
    /// What is known of versions that were tried before and are not decided: an attempt with the same template goes on from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub kept: Vec<KeptEvidence>,
    /// When the gate was last proven to hold, by a dry run against the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub gate_proven_at: Option<Timestamp>,
    /// The admission policies with which it was proven; under others the proof is made anew.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub gate_proven_with: String,
    /// Nothing advances until a person resumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Interventions that were acted upon lately: none is acted upon twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub answered: Vec<Answered>,
    /// A template that a person let through unproven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_through: Option<LetThrough>,
    /// The promoted version that is being watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watching: Option<Watching>,
    /// The last attempt that was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rollback: Option<LastRollback>,
    /// How many attempts were promoted.
    #[serde(default)]
    pub promotions: u32,
    /// How many attempts were taken back after exposure.
    #[serde(default)]
    pub rollbacks: u32,
    /// What the records add up to; absent before the first one. At most an hour old while nothing is being released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryFigures>,
}

/// What Sluice is doing, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Getting to know the workload; nothing is held back yet.
    #[default]
    Adopting,
    /// At rest: the proven version serves and the gate is closed to new ones.
    Stable,
    /// A new template is held back while the surroundings are checked.
    Preflight,
    /// The canary's pods are coming up.
    Starting,
    /// The canary's share is being changed.
    Shifting,
    /// The canary serves its share and is judged.
    Baking,
    /// Waiting: for a person, a time, another Rollout, or evidence that is missing or took longer than `maxBake`.
    Held,
    /// The gate is open for the proven template and the workload rolls.
    Promoting,
    /// The new version serves everybody; the canary is being removed.
    Settling,
    /// The last attempt serves everybody.
    Promoted,
    /// Traffic is back on stable; the canary is being removed.
    RollingBack,
    /// The last attempt was taken back; its template waits behind the gate.
    RolledBack,
    /// The attempt is being ended because its template is no longer wanted.
    Withdrawing,
    /// The Rollout is being deleted.
    Leaving,
    /// A person must act; the message says on what.
    Stalled,
    /// `spec.disabled` is true: nothing is governed.
    Disabled,
}

/// What the evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum VerdictWord {
    /// Nothing to judge.
    #[default]
    None,
    /// Not enough evidence yet.
    Undecided,
    /// Every signal has enough evidence and none breaches.
    Safe,
    /// A signal breached.
    Harm,
    /// The evidence cannot be read.
    NoData,
}

/// A revision of the workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Digest of its pod template.
    pub digest: String,
    /// The ReplicaSet that runs it.
    pub replica_set: String,
    /// Images of its template, as `name=image`. Admission lets Sluice put back a template with these and no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub images: Vec<String>,
}

/// Where an attempt stands. Exactly one step at a time; within a step the cluster itself says what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Step {
    /// Checking the surroundings; nothing was made yet.
    Preflight,
    /// Canary Deployment and Service are coming up at weight 0.
    Starting,
    /// The weight of the wave is being set; waiting for the gateway and for the observed share.
    Shifting,
    /// The bake clock of the wave is running.
    Baking,
    /// The gate was opened for the analysed template; the workload rolls natively.
    Promoting,
    /// The promotion failed: the stable template is put back and the workload rolls back natively.
    Reverting,
    /// The outcome is known: weight 0, route restored, drained, canary deleted, recorded.
    Closing,
    /// Nothing is left to do.
    Done,
}

/// One attempt to release a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Name of the Release that records it.
    pub release: String,
    /// Number of the attempt.
    pub number: u32,
    /// Digest of the template that is tried.
    pub revision: String,
    /// Digest of the template that was stable when it began.
    pub from_revision: String,
    /// Images of the template, as `name=image`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub images: Vec<String>,
    /// The failed Release before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediates: Option<String>,
    /// What kind of change it is, and how that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    /// What it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// How the error budget stands; only with `spec.errorBudget`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetState>,
    /// Where it stands.
    pub step: Step,
    /// When the step began.
    #[schemars(schema_with = "super::units::time_schema")]
    pub step_at: Timestamp,
    /// The wave it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<WaveState>,
    /// The share that the canary is meant to have, in percent. Committed before any route is touched.
    #[serde(default)]
    pub weight: u8,
    /// The backends of each governed rule as they were, to be put back at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub routes: Vec<RouteBackup>,
    /// What each wave can be expected to take at the traffic before the attempt, and what it can see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub forecast: Vec<WaveForecast>,
    /// Requests counted so far.
    #[serde(default)]
    pub traffic: TrafficState,
    /// What each signal has seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub signals: Vec<SignalState>,
    /// Most restarts of a canary pod before it was given traffic; only what comes on top counts against it then.
    #[serde(default)]
    pub restarts_before: u32,
    /// How it ended or is about to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Who or what caused the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// One word for programs that says why it ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The signal that breached, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// What most of the excess of that signal had in common, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub symptoms: Option<Vec<Symptom>>,
    /// One sentence that says how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// How far it had come when it was seen to fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// The image digests that the canary's pods ran, as `name=digest`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub digests: Vec<String>,
    /// How what remained fares since the canary was given no more traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// When things happened.
    #[serde(default)]
    pub times: Times,
    /// Largest share of live traffic it was given, in percent.
    #[serde(default)]
    pub max_weight: u8,
    /// Most pods of the Deployment that were available when the attempt, or one of its waves, began. With as many it can take all traffic back.
    #[serde(default)]
    pub serving: u32,
    /// While the Deployment rolls: the share of live traffic that meets the new version, in percent: the canary's weight, and of the rest the new version's part of the ready pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_weight: Option<u8>,
    /// Waves that a person has approved, by their weight; 0 stands for the promotion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 21))]
    pub approved: Vec<u8>,
    /// What people asked for during the attempt, and what was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub interventions: Vec<Intervened>,
    /// How often others changed the governed rules lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<Conflicts>,
    /// The HorizontalPodAutoscaler that may not scale down during the attempt, as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaler: Option<ScalerBackup>,
    /// Every decision, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub timeline: Vec<TimelineEntry>,
    /// How far the decision log has come.
    #[serde(default, skip_serializing_if = "LogState::is_empty")]
    pub log: LogState,
}

/// How the requests that remained fared after the canary was given no more traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// Time of the newest sample that was looked at.
    #[schemars(schema_with = "super::units::time_schema")]
    pub until: Timestamp,
    /// What had been counted by then.
    pub seen: Tally,
    /// How many polls in a row were within tolerance.
    pub good: u8,
}

/// A version that was stable before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Former {
    /// Digest of its template.
    pub revision: String,
    /// The Release that took its place.
    pub replaced_by: String,
    /// When that was.
    #[schemars(schema_with = "super::units::time_schema")]
    pub until: Timestamp,
}

/// The wave in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaveState {
    /// Position in `spec.waves`, from 0.
    pub index: u8,
    /// When its weight was decided.
    #[schemars(schema_with = "super::units::time_schema")]
    pub started_at: Timestamp,
    /// When every gateway had accepted its weight. Evidence counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub accepted_at: Option<Timestamp>,
    /// When the observed share was seen to follow; the bake clock counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub bake_at: Option<Timestamp>,
}

/// What a governed rule looked like before the first weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteBackup {
    /// Kind of the route.
    #[serde(default)]
    pub kind: RouteKind,
    /// Name of the route.
    pub route: String,
    /// Name of the governed rule, if it was chosen by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Weight of each backend of the rule, in order. A canary that was listed already is among them, with weight 0.
    #[schemars(length(max = 16))]
    pub backends: Vec<BackendWeight>,
}

/// The weight of one backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendWeight {
    /// Name of the Service.
    pub name: String,
    /// Its weight as the route had it.
    pub weight: u32,
}

/// One decision of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// When it was decided.
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Timestamp,
    /// One word for programs.
    pub reason: String,
    /// One sentence with numbers.
    pub message: String,
}

/// The last attempt that was taken back. Metrics and alerts are derived from it, so they survive restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRollback {
    /// When the verdict fell.
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Timestamp,
    /// Who or what caused it.
    pub trigger: Trigger,
    /// One word for programs that says why.
    pub reason: String,
    /// The Release that was taken back.
    pub release: String,
    /// Digest of its template.
    pub revision: String,
}
