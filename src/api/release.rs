//! `Release`: the record of one attempt. Written by Sluice only; outlives the Rollout.

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{Change, Classification};
use super::defect::Symptom;
use super::governance::{Escaped, Intervened};
use super::rollout::Owner;
use super::status::TimelineEntry;

/// What was tried.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "Release",
    plural = "releases",
    shortname = "srel",
    category = "sluice",
    namespaced,
    status = "ReleaseStatus",
    derive = "PartialEq",
    doc = "The record of one attempt to release a revision: what was tried, what happened, how it ended. Written by Sluice; outlives the Rollout.",
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".spec.revision"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.classification.kind"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome"),
    printcolumn(
        name = "Exposure",
        type_ = "string",
        json_path = ".status.exposure.maxWeight",
        description = "Largest share of live traffic it was given, in percent"
    ),
    printcolumn(name = "Requests", type_ = "integer", json_path = ".status.exposure.requests"),
    printcolumn(name = "Errors", type_ = "integer", json_path = ".status.exposure.errors"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSpec {
    /// Name of the Rollout that governed the attempt.
    pub rollout: String,
    /// UID of that Rollout, so that one made anew under the same name is told apart.
    pub rollout_uid: String,
    /// Kind and name of the workload, for example `Deployment/shop`.
    pub workload: String,
    /// Number of the attempt, counted per Rollout from 1.
    pub number: u32,
    /// Digest of the pod template that was tried.
    pub revision: String,
    /// Digest of the pod template that was stable before.
    pub from_revision: String,
    /// Container images of the template that was tried, as `name=image`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Who answered for the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The failed Release that this one comes after: the one that was named, else the last one if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediates: Option<String>,
    /// What kind of change it is; absent in records of versions of Sluice that did not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    /// What it carries.
    #[serde(default)]
    pub change: Change,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// It serves everybody.
    Promoted,
    /// It was taken back after it had served live traffic.
    RolledBack,
    /// A person went back to the stable version.
    Aborted,
    /// A newer template came before it was done.
    Superseded,
    /// A newer template came while the evidence already spoke against this one, not yet enough for a verdict.
    SupersededUnderSuspicion,
    /// It was taken back before it had served a single request.
    FailedBeforeExposure,
    /// It rolled without having been proven, past the gate or by break-glass.
    Bypassed,
    /// It served everybody, and then harm was found, while it was watched.
    Escaped,
}

/// How far an attempt had come when it was seen to fail. The later, the more users had met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// The checks before anything is made.
    Preflight,
    /// The canary's pods, before the first request.
    BeforeExposure,
    /// A wave; `status.wave` says which.
    Wave,
    /// While the Deployment rolled.
    Promotion,
    /// In the watch after the promotion.
    Watch,
    /// After the watch.
    Later,
}

/// Who or what caused the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Trigger {
    /// Sluice, on evidence.
    Automatic,
    /// A person.
    Manual,
}

/// What users met of the attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// Largest share of live traffic it was given, in percent; 100 once it was promoted.
    pub max_weight: u8,
    /// Requests it served, as the data plane counted them.
    pub requests: u64,
    /// Requests of these that failed.
    pub errors: u64,
    /// Of these, how many more than stable would have failed at the same time.
    #[serde(default)]
    pub excess_errors: u64,
}

/// When things happened. A time that is absent did not happen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// The new template was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub requested_at: Option<Timestamp>,
    /// It was first given live traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub exposed_at: Option<Timestamp>,
    /// Time of the sample with which the verdict fell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub sample_at: Option<Timestamp>,
    /// The verdict that ended it fell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub verdict_at: Option<Timestamp>,
    /// The routes were seen with weight 0 for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub weight_zero_at: Option<Timestamp>,
    /// The requests that remained were within tolerance again, for three polls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub recovered_at: Option<Timestamp>,
    /// The routes were seen without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub route_restored_at: Option<Timestamp>,
    /// Every pod of the workload ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub promoted_at: Option<Timestamp>,
    /// Nothing of it was left to clean up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub ended_at: Option<Timestamp>,
}

/// What happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// How it ended; absent while it is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// One word for programs that says why it ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One sentence with numbers.
    #[serde(default)]
    pub message: String,
    /// How far it had come when it was seen to fail; absent if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// The wave it had come to, counted from 1; absent if it came to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u8>,
    /// The image digests that its pods ran, as `name=digest`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub digests: Vec<String>,
    /// What failures of the same kind have in common: equal for the same defect. Absent if it did not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub signature: Option<String>,
    /// The signal that breached, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// What most of the excess had in common; empty if nothing stood out, absent if nobody could say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub symptoms: Option<Vec<Symptom>>,
    /// How much of the month's error budget its excess errors took, in percent; absent without a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_percent: Option<f64>,
    /// What users met.
    #[serde(default)]
    pub exposure: Exposure,
    /// When things happened.
    #[serde(default)]
    pub times: Times,
    /// What people asked for during the attempt, and what was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub interventions: Vec<Intervened>,
    /// Harm that was found after the promotion, while the version was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escaped: Option<Escaped>,
    /// Every decision, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub timeline: Vec<TimelineEntry>,
}
