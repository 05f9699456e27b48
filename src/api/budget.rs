//! `Rollout.spec.errorBudget`, and what is remembered of the budget during an attempt.
//!
//! Owns the sources, the thresholds and what the API server checks of them. What follows from a budget is decided in
//! `decide::budget`, and in words in docs/budgets.md.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{Duration, Number, Percent};

/// What remains of an objective's error budget says when waves, and the promotion, may begin. Exactly one of `sloth`, `pyrra` and `query` says where it is read. Taking a version back never asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.sloth), has(self.pyrra), has(self.query)].filter(given, given).size() == 1").message("errorBudget: give exactly one of sloth, pyrra and query"))]
#[x_kube(validation = Rule::new("double(self.blockBelow.replace('%', '')) <= double(self.restrictBelow.replace('%', '')) && double(self.restrictBelow.replace('%', '')) <= double(self.slowBelow.replace('%', ''))").message("errorBudget: blockBelow must not be above restrictBelow, nor that above slowBelow"))]
#[x_kube(validation = Rule::new("double(self.fastBurn) >= 1.0 && double(self.fastBurn) <= 1000.0").message("errorBudget: fastBurn must be between 1 and 1000"))]
#[x_kube(validation = Rule::new("duration(self.period) >= duration('24h') && duration(self.period) <= duration('8784h')").message("errorBudget: period must be between 24h and 8784h; 30 days are 720h"))]
pub struct ErrorBudget {
    /// The recording rules that Sloth makes for an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sloth: Option<SlothSlo>,
    /// The generic recording rules that Pyrra makes for an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pyrra: Option<PyrraSlo>,
    /// Your own queries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<BudgetQuery>,
    /// With this much of the budget left, or less, a planned release goes slowly: each wave bakes twice as long and must show what the next wave would have to.
    #[serde(default = "default_slow_below")]
    pub slow_below: Percent,
    /// With this much left, or less, only rework, a hotfix or a security fix begins a wave, or what a person approves.
    #[serde(default = "default_restrict_below")]
    pub restrict_below: Percent,
    /// With this much left, or less, planned releases wait, approved or not; rework, hotfixes and security fixes go on.
    #[serde(default = "default_block_below")]
    pub block_below: Percent,
    /// What happens while the budget cannot be read. It is recorded in any case.
    #[serde(default)]
    pub on_missing: OnMissing,
    /// While the budget burns this many times as fast as it may, in the long and in the short window, nothing begins and no wave ends.
    #[serde(default = "default_fast_burn")]
    pub fast_burn: Number,
    /// The time that the budget is for, such as `720h` for 30 days: a Release says what part of the budget of such a time it took.
    #[serde(default = "default_period")]
    pub period: Duration,
}

const fn default_slow_below() -> Percent {
    Percent::from_millionths(250_000)
}

const fn default_restrict_below() -> Percent {
    Percent::from_millionths(100_000)
}

const fn default_block_below() -> Percent {
    Percent::from_millionths(0)
}

fn default_fast_burn() -> Number {
    Number::from_value(14.4)
}

const fn default_period() -> Duration {
    Duration::from_secs(30 * 24 * 3600)
}

/// An objective of Sloth, by the labels of its recording rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlothSlo {
    /// Value of the label `sloth_service`.
    #[schemars(length(min = 1, max = 128))]
    pub service: String,
    /// Value of the label `sloth_slo`.
    #[schemars(length(min = 1, max = 128))]
    pub slo: String,
    /// Value of the label `sloth_id`, where service and SLO are not unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub id: Option<String>,
}

/// An objective of Pyrra, by the label of its generic recording rules (`--generic-rules`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PyrraSlo {
    /// Value of the label `slo`.
    #[schemars(length(min = 1, max = 128))]
    pub slo: String,
}

/// Queries that answer with exactly one finite number each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetQuery {
    /// PromQL for what remains of the budget: 1 is all of it, 0 nothing, less than 0 more than all is used up.
    #[schemars(length(min = 1, max = 2048))]
    pub remaining: String,
    /// How fast it burns. Without it there is no fast burn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burn: Option<BurnQueries>,
}

/// How fast a budget burns: 1 uses exactly all of it up in its period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BurnQueries {
    /// PromQL for the short window, such as 5m: it shows that it still goes on.
    #[schemars(length(min = 1, max = 2048))]
    pub short: String,
    /// PromQL for the long window, such as 1h: it shows that the matter is grave.
    #[schemars(length(min = 1, max = 2048))]
    pub long: String,
}

/// What happens while the budget cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnMissing {
    /// A planned release goes slowly.
    #[default]
    Slow,
    /// As if the budget were full.
    Normal,
    /// Only rework, a hotfix or a security fix begins a wave, or what a person approves.
    Block,
}

/// How a budget stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum BudgetWord {
    /// It was not answered yet.
    #[default]
    Awaited,
    /// Enough is left.
    Normal,
    /// At `slowBelow` or less.
    Slow,
    /// At `restrictBelow` or less.
    Restricted,
    /// At `blockBelow` or less.
    Blocked,
    /// It cannot be read.
    Missing,
}

/// What an attempt remembers of the error budget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetState {
    /// How it stands.
    #[serde(default)]
    pub state: BudgetWord,
    /// Since when it stands so.
    #[schemars(schema_with = "super::units::time_schema")]
    pub since: Timestamp,
    /// It burns faster than `fastBurn`, in both windows.
    #[serde(default)]
    pub burning: bool,
    /// What was last read to be left of it, in percent; below 0 when more than all is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<f64>,
    /// How many times as fast as it may it burnt in the long and in the short window, when that was last read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub burn: Vec<f64>,
    /// When that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Option<Timestamp>,
    /// The present wave goes slowly: once slow it stays so to its end.
    #[serde(default)]
    pub slowed: bool,
    /// How many bad requests the objective allows in a period, where that can be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<u64>,
    /// Who approved that it goes on in spite of the budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub approved_by: Option<String>,
    /// How many steps began in spite of the budget as rework, hotfix or security fix.
    #[serde(default)]
    pub by_lane: u8,
    /// How many steps began in spite of the budget because a person wanted it.
    #[serde(default)]
    pub by_person: u8,
}
