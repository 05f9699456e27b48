//! What a Release carries into production, as the Deployment's annotations say it, and what kind of change it is.
//!
//! Data only; who reads the annotations and infers the kind is `decide::change`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why there is a change (DORA: a deployment is rework if it was unplanned and happened because of an incident).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum ChangeKind {
    /// Planned work.
    #[default]
    Planned,
    /// It repairs what an earlier release broke, or takes it back.
    Rework,
    /// It repairs an incident in production, whatever caused it.
    Hotfix,
    /// It closes a vulnerability.
    Security,
}

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Confidence {
    /// A guess.
    Low,
    /// A conclusion from what else was going on.
    Medium,
    /// A person said so, or it follows.
    High,
}

/// What kind of change a Release is, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Classification {
    /// The kind.
    pub kind: ChangeKind,
    /// How sure it is.
    pub confidence: Confidence,
    /// Where it comes from: the annotation, or the rule by which it was inferred.
    #[schemars(length(max = 256))]
    pub by: String,
}

/// A commit that a Release brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// Its hash, or whatever the version control calls it.
    #[schemars(length(min = 1, max = 64))]
    pub sha: String,
    /// When it was made. Without it the commit counts for the size of the batch, not for the lead time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Option<Timestamp>,
}

/// What a Release carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Several workloads that carry the same id are one deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub release_id: Option<String>,
    /// Its commits since the version before, merges left out; the first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub commits: Vec<Commit>,
    /// How many commits there are in all; 0 where nobody said.
    #[serde(default)]
    pub commit_count: u32,
    /// The incident or ticket that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub reference: Option<String>,
    /// The person who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub requested_by: Option<String>,
}
