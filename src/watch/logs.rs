//! DecisionLogs as they are cached: how far each has come. The entries are dropped while they are decoded.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::triggers::Concerns;
use crate::api::{DecisionLog, LogHead, Rollout};

/// A DecisionLog.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = DecisionLog)]
pub struct LogView {
    /// Name, labels, owner, versions.
    pub metadata: ObjectMeta,
    /// What it says of itself.
    #[serde(default)]
    pub spec: LogSpecView,
}

/// What a DecisionLog says of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LogSpecView {
    /// Name of the Rollout.
    pub rollout: String,
    /// Its last entry.
    pub head: LogHead,
}

impl Concerns for LogView {
    fn concerns(&self, rollout: &Rollout) -> bool {
        rollout.metadata.name.as_ref() == Some(&self.spec.rollout)
    }
}
