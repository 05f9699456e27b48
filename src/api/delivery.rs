//! The delivery figures of one Rollout as `Rollout.status` shows them: few enough to be read at a glance.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the records of a Rollout add up to. `sluice report` has the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryFigures {
    /// The figures in one sentence. A share is given from 10 deployments on.
    #[schemars(length(max = 300))]
    pub summary: String,
    /// When they were counted.
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Timestamp,
    /// Time of the newest record that is counted: the end of an attempt, a verdict, or the word of a person.
    #[schemars(schema_with = "super::units::time_schema")]
    pub recorded_until: Timestamp,
    /// The window in days of everything but rework.
    pub days: u32,
    /// Deployments: attempts that users met.
    pub deployments: u64,
    /// Of these, what failed.
    pub failed: u64,
    /// Of what failed, what served everybody, or took much of the error budget.
    pub escaped: u64,
    /// The window in days of rework.
    pub rework_days: u32,
    /// Deployments in that window that were made because of a failure.
    pub rework: u64,
    /// Of so many deployments in that window.
    pub rework_of: u64,
    /// Median time from the first exposure of what failed until that was over; absent, not 0, without failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_recovery_seconds: Option<f64>,
    /// Median time from a commit until it served everybody; absent where no commits are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_lead_time_seconds: Option<f64>,
}
