//! What selects pods by label beside Services: the fields that are read, and which Rollouts a change concerns.
//!
//! The spec of a NetworkPolicy stays raw: it may have to be copied with every field. Reads only.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde_json::Value;

use super::triggers::Concerns;
use crate::api::Rollout;
use crate::decide::neighbours;

/// A PodDisruptionBudget.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = PodDisruptionBudget)]
pub struct BudgetView {
    /// Name, labels, owner, versions.
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: BudgetSpecView,
}

/// What is wanted of a PodDisruptionBudget.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct BudgetSpecView {
    /// Its selector, as it stands in the object.
    pub selector: Option<Value>,
}

/// A NetworkPolicy.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = NetworkPolicy)]
pub struct NetworkPolicyView {
    /// Name, labels, owner, versions.
    pub metadata: ObjectMeta,
    /// Its spec, as it stands in the object.
    #[serde(default)]
    pub spec: Value,
}

// Whether one of these selects a canary is seen only with the labels of both, which are not at hand here.

impl Concerns for BudgetView {
    fn concerns(&self, _: &Rollout) -> bool {
        true
    }
}

impl Concerns for NetworkPolicyView {
    fn concerns(&self, _: &Rollout) -> bool {
        true
    }

    fn reaches(&self, namespace: &str) -> bool {
        neighbours::may_reach(&self.spec, namespace)
    }
}
