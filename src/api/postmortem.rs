//! `Postmortem`: a draft about one failed Release, which people complete. Sluice makes it once and never writes it again.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why there is a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PostmortemCause {
    /// Harm was found after the Release served everybody, or it took more than a fifth of the month's error budget.
    Escaped,
    /// The same defect was recorded in the 90 days before.
    Recurrence,
    /// A template rolled without having been proven.
    BreakGlass,
    /// A person asked for it.
    Manual,
}

impl PostmortemCause {
    /// Its name, as it is written in objects and given to flags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Escaped => "Escaped",
            Self::Recurrence => "Recurrence",
            Self::BreakGlass => "BreakGlass",
            Self::Manual => "Manual",
        }
    }
}

/// A draft about one Release. It has the Release's name.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "Postmortem",
    plural = "postmortems",
    shortname = "spm",
    category = "sluice",
    namespaced,
    derive = "PartialEq",
    doc = "A draft of a postmortem about one Release: facts from the records, and questions for people. Made once by Sluice for failures that escaped, came back or went past the gate; edited by people. Goes with its Release.",
    printcolumn(name = "Release", type_ = "string", json_path = ".spec.release"),
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Cause", type_ = "string", json_path = ".spec.cause"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.release == oldSelf.release && self.rollout == oldSelf.rollout && self.cause == oldSelf.cause && self.draftedAt == oldSelf.draftedAt").message("of a Postmortem only spec.markdown can be changed"))]
pub struct PostmortemSpec {
    /// Name of the Release, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub release: String,
    /// Name of its Rollout.
    #[schemars(length(min = 1, max = 253))]
    pub rollout: String,
    /// Why there is a draft.
    pub cause: PostmortemCause,
    /// When the facts were filled in.
    #[schemars(schema_with = "super::units::time_schema")]
    pub drafted_at: Timestamp,
    /// The text, as Markdown. Yours to edit: Sluice does not read or write it again.
    #[schemars(length(max = 65536))]
    pub markdown: String,
}
