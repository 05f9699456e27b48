//! The part of `Rollout.status` that holds what people asked for, and what was borrowed from others for the time of an
//! attempt and must be given back.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::SignalState;
use super::intervention::{Action, InterventionResult};

/// Nothing advances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Who asked for it.
    pub by: String,
    /// Why it was asked for.
    pub reason: String,
    /// Since when.
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Timestamp,
}

/// An Intervention that was acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// What became of it.
    pub result: InterventionResult,
    /// What was done, or why not.
    pub message: String,
    /// When that was.
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Timestamp,
}

/// What a person asked for during an attempt; recorded in the Release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intervened {
    /// Name of the Intervention.
    pub name: String,
    /// What was asked for.
    pub action: Action,
    /// Who asked.
    pub by: String,
    /// Why it was asked for.
    pub reason: String,
    /// When it was honoured.
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Timestamp,
    /// What was done.
    pub message: String,
}

/// A template that a person let through unproven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LetThrough {
    /// Its digest.
    pub revision: String,
    /// Who let it through.
    pub by: String,
    /// Why it was asked for.
    pub reason: String,
}

/// Changes of the governed rules by others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conflicts {
    /// How often the weights were set again since `since`.
    pub count: u8,
    /// When the first of these was seen.
    #[schemars(schema_with = "super::units::time_schema")]
    pub since: Timestamp,
    /// The route and the generation that was answered last, so that none counts twice.
    pub last: String,
}

/// A HorizontalPodAutoscaler as it was before the attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalerBackup {
    /// Its name.
    pub name: String,
    /// Its `spec.behavior` as JSON, to be put back byte for byte; absent if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub behavior: Option<String>,
    /// How often it was set again because others changed it.
    #[serde(default)]
    pub again: u8,
}

/// A promoted version that is watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Watching {
    /// The Release that promoted it.
    pub release: String,
    /// Digest of its template.
    pub revision: String,
    /// Since when.
    #[schemars(schema_with = "super::units::time_schema")]
    pub since: Timestamp,
    /// What each signal has seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub signals: Vec<SignalState>,
    /// Harm that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escaped: Option<Escaped>,
}

/// Harm that was found in a version that serves everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Escaped {
    /// When it was found.
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Timestamp,
    /// The signal that breached.
    pub signal: String,
    /// One sentence with numbers.
    pub message: String,
    /// It is in the records.
    #[serde(default)]
    pub recorded: bool,
}
