//! `Intervention`: what a person asks of a Rollout. Written once, never changed; who asked is stamped by admission.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a person may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Action {
    /// Lets the wave (or the promotion) that asks for approval begin.
    Approve,
    /// Ends the attempt: weight 0, canary removed, template rejected.
    Abort,
    /// Skips the waves that remain and promotes. Harm still takes the version back.
    Promote,
    /// Tries a rejected template once more.
    Retry,
    /// Lets nothing advance until `Resume`. Harm still takes the version back.
    Hold,
    /// Ends a `Hold`, and lets a route that others fight over be set again.
    Resume,
    /// Lets the held-back template roll at once, unproven. Recorded as a bypass.
    BreakGlass,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 7] =
        [Self::Approve, Self::Abort, Self::Promote, Self::Retry, Self::Hold, Self::Resume, Self::BreakGlass];

    /// The name as it stands in the object. Its lower-case form is the verb on `rollouts.sluice.dev` that a person
    /// needs to ask for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "Approve",
            Self::Abort => "Abort",
            Self::Promote => "Promote",
            Self::Retry => "Retry",
            Self::Hold => "Hold",
            Self::Resume => "Resume",
            Self::BreakGlass => "BreakGlass",
        }
    }
}

/// What a person asks of a Rollout, why, and who.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "Intervention",
    plural = "interventions",
    shortname = "siv",
    category = "sluice",
    namespaced,
    status = "InterventionStatus",
    derive = "PartialEq",
    doc = "What a person asks of a Rollout: approve, abort, promote, retry, hold, resume, break-glass. Cannot be changed; who asked is stamped by admission.",
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.requestedBy"),
    printcolumn(name = "Result", type_ = "string", json_path = ".status.result"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("an Intervention cannot be changed; create another one"))]
pub struct InterventionSpec {
    /// Name of the Rollout, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub rollout: String,
    /// What is asked for.
    pub action: Action,
    /// Why, for the record. Everyone who may read Releases can read it.
    #[schemars(length(min = 3, max = 500))]
    pub reason: String,
    /// Name of the Release that is meant. With it the Intervention has no effect on any other attempt, so that an
    /// approval that comes late approves nothing else. `status.run.release` of the Rollout names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub release: Option<String>,
    /// Who asks. Stamped by admission with the name of the user who creates the object; do not set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub requested_by: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InterventionResult {
    /// It was done.
    Honoured,
    /// It had nothing to act on, or may not be done; the message says why.
    Refused,
}

/// What Sluice made of an Intervention. Written once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterventionStatus {
    /// Absent until Sluice has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<InterventionResult>,
    /// What was done, or why not.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Option<Timestamp>,
}
