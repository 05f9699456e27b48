//! `Reclassification`: what a person says about a Release afterwards, for the delivery figures. Written once, never
//! changed; the record that it speaks of stays as it is. Who says it is stamped by admission.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::change::ChangeKind;

/// What a person says about a Release: what kind of change it was, whether it failed, what it repaired.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "Reclassification",
    plural = "reclassifications",
    shortname = "srec",
    category = "sluice",
    namespaced,
    derive = "PartialEq",
    doc = "What a person says about a Release afterwards: its kind, whether it failed, what it repaired. Changes the figures, not the Release; cannot be changed. Who says it is stamped by admission.",
    printcolumn(name = "Release", type_ = "string", json_path = ".spec.release"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.kind"),
    printcolumn(name = "Failed", type_ = "boolean", json_path = ".spec.failed"),
    printcolumn(name = "Remediates", type_ = "string", json_path = ".spec.remediates"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.requestedBy"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("a Reclassification cannot be changed; create another one: of several, the last one counts"))]
#[x_kube(validation = Rule::new("has(self.kind) || has(self.failed) || has(self.remediates)").message("at least one of kind, failed and remediates must be set"))]
pub struct ReclassificationSpec {
    /// Name of the Release that is meant, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub release: String,
    /// What kind of change it was. Counts for more than what was annotated or inferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ChangeKind>,
    /// Whether it failed: it degraded the service, and somebody had to act at once. `false` takes back what the rules say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<bool>,
    /// Name of the earlier Release, in the same namespace, whose failure it repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub remediates: Option<String>,
    /// Why, for the record. Everyone who may read Releases can read it.
    #[schemars(length(min = 3, max = 500))]
    pub reason: String,
    /// Who says so. Stamped by admission with the name of the user who creates the object; do not set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub requested_by: Option<String>,
}
