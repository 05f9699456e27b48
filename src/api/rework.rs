//! `ReworkEvent`: the record that a release had to be taken back. Written by Sluice, once per failure or bypass; outlives the Rollout.

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defect::Symptom;
use super::release::Trigger;
use super::rollout::Owner;

/// Why there was rework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReworkKind {
    /// An exposed release was taken back.
    Rollback,
    /// Harm was found after the promotion.
    Escaped,
    /// A template rolled without having been proven.
    Bypass,
    /// A change that was made in a hurry because of an incident.
    Hotfix,
}

/// A release that had to be taken back.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "ReworkEvent",
    plural = "reworkevents",
    shortname = "srw",
    category = "sluice",
    namespaced,
    derive = "PartialEq",
    doc = "The record that an exposed release had to be taken back, that harm was found after its promotion, or that a template rolled unproven. Written by Sluice once; outlives the Rollout.",
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Release", type_ = "string", json_path = ".spec.failedRelease"),
    printcolumn(name = "Trigger", type_ = "string", json_path = ".spec.trigger"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "Message", type_ = "string", json_path = ".spec.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ReworkEventSpec {
    /// What kind of rework.
    pub kind: ReworkKind,
    /// Name of the Rollout.
    pub rollout: String,
    /// The Release that was taken back.
    pub failed_release: String,
    /// Digest of the rejected pod template.
    pub revision: String,
    /// Who or what caused it.
    pub trigger: Trigger,
    /// One word for programs that says why.
    pub reason: String,
    /// One sentence with numbers.
    pub message: String,
    /// The signal that breached, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Who answered for the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The release was first given live traffic.
    #[schemars(schema_with = "super::units::time_schema")]
    pub exposed_at: Timestamp,
    /// The verdict fell.
    #[schemars(schema_with = "super::units::time_schema")]
    pub verdict_at: Timestamp,
    /// The routes were seen with weight 0 for it; absent where nothing was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub weight_zero_at: Option<Timestamp>,
    /// Seconds from first exposure to the verdict.
    pub detect_seconds: f64,
    /// Seconds from the verdict to weight 0; absent where nothing was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act_seconds: Option<f64>,
    /// Seconds from weight 0 until what remained was within tolerance again; absent where that was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_seconds: Option<f64>,
    /// What failures of the same kind have in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub signature: Option<String>,
    /// What most of the excess had in common; empty if nothing stood out, absent if nobody could say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub symptoms: Option<Vec<Symptom>>,
    /// How often this defect was seen in the 90 days before, this time included: the same signature, or one much like it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<u32>,
    /// The Release that remedies it, of a hotfix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedied_by: Option<String>,
}
