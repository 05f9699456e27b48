//! `Rollout.spec.analysis.signals`: what a canary can be judged on.
//!
//! Owns the kinds of signal, their defaults and the rules that the API server checks. How they are judged is in
//! `decide::verdict`, and in words in docs/verdicts.md.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::source::{OwnCounters, Source};
use super::units::{Duration, Number, Percent};

/// One thing that the canary is judged on: exactly one of `errorRatio`, `latency`, `query`, `burnRate` and `restarts`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.errorRatio), has(self.latency), has(self.query), has(self.burnRate), has(self.restarts)].filter(given, given).size() == 1").message("analysis.signals: give exactly one of errorRatio, latency, query, burnRate and restarts"))]
#[x_kube(validation = Rule::new("!has(self.consecutive) || !has(self.of) || self.consecutive <= self.of").message("analysis.signals: consecutive must not be larger than of"))]
pub struct Signal {
    /// Name of the signal, used in messages and records.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Share of failed requests of the canary: compared with stable at the same time, or held against a threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_ratio: Option<ErrorRatio>,
    /// Share of slow requests of the canary, compared with stable at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// A PromQL query with bounds on its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// How fast the service as a whole, both versions together, uses up its error budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burn_rate: Option<BurnRate>,
    /// Restarts of the canary's containers, compared with stable's pods. Needs no metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<Restarts>,
    /// Judge and show the signal, but never act on it: it neither takes a version back nor holds a wave up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// For thresholds, queries and burn rates: how many samples must breach before the version is taken back.
    #[serde(default = "default_consecutive")]
    #[schemars(range(min = 1, max = 20))]
    pub consecutive: u8,
    /// Out of how many samples: `consecutive: 3, of: 5` means 3 of the last 5. Default: the same as `consecutive`, that is, in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub of: Option<u8>,
}

const fn default_consecutive() -> u8 {
    2
}

/// Share of failed requests. Without `threshold` it is compared with stable; for both give two signals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.threshold) || !(has(self.tolerance) || has(self.floor))").message("analysis.signals.errorRatio: give threshold, or tolerance and floor; for both use two signals"))]
#[x_kube(validation = Rule::new("!has(self.tolerance) || (double(self.tolerance) >= 1.0 && double(self.tolerance) <= 100.0)").message("analysis.signals.errorRatio: tolerance must be between 1 and 100"))]
#[x_kube(validation = Rule::new("(has(self.source) && self.source == 'Query') == has(self.counters)").message("analysis.signals.errorRatio: counters go with source: Query, and that with counters"))]
pub struct ErrorRatio {
    /// Where the counters come from.
    #[serde(default)]
    pub source: Source,
    /// With `source: Query`: your own counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<OwnCounters>,
    /// The canary may fail this many times as often as stable in the same time. Default: 1.25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Number>,
    /// A share of failed requests up to this is never harm, whatever stable's is: 100% minus the objective is a good choice. Default: 0.1%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Percent>,
    /// Instead of comparing: a sample breaches when more than this share of the canary's requests failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Percent>,
    /// With `threshold`: a sample closes when it holds this many canary requests, so that one failure of three requests is not a verdict.
    #[serde(default = "default_min_requests")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_requests: u32,
}

const fn default_min_requests() -> u32 {
    50
}

/// Share of requests that took longer than `over`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.tolerance) || (double(self.tolerance) >= 1.0 && double(self.tolerance) <= 100.0)").message("analysis.signals.latency: tolerance must be between 1 and 100"))]
#[x_kube(validation = Rule::new("(has(self.source) && self.source == 'Query') == has(self.counters)").message("analysis.signals.latency: counters go with source: Query, and that with counters"))]
pub struct Latency {
    /// Where the histogram comes from.
    #[serde(default)]
    pub source: Source,
    /// With `source: Query`: your own counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<OwnCounters>,
    /// A request that took longer is slow. Must be an edge of the histogram's buckets; if it is not, the message names those that exist.
    pub over: Duration,
    /// The canary's share of slow requests may be this many times stable's in the same time. Default: 1.25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Number>,
    /// A share of slow requests up to this is never harm. Default: 1%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Percent>,
}

/// A PromQL query with bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.max) || has(self.min)").message("analysis.signals.query: give max, min or both"))]
pub struct Query {
    /// The query; must answer with exactly one finite number. Known variables: `{{namespace}}`, `{{workload}}`, `{{canaryPods}}`, `{{stablePods}}`, `{{canaryService}}`, `{{stableService}}`, `{{interval}}`. Before the first wave it is tried with stable's values in place of the canary's.
    #[schemars(length(min = 1, max = 2048))]
    pub promql: String,
    /// A sample breaches above this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    /// A sample breaches below this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Number>,
}

/// Multi-window burn rate of the whole service. A sample breaches when in one pair both windows burn faster than the factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.source) && self.source == 'Query') == has(self.counters)").message("analysis.signals.burnRate: counters go with source: Query, and that with counters"))]
pub struct BurnRate {
    /// Where the counters come from.
    #[serde(default)]
    pub source: Source,
    /// With `source: Query`: your own counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<OwnCounters>,
    /// The objective: the share of requests that must succeed, such as `99.9%`.
    #[x_kube(validation = Rule::new("self != '100%'").message("analysis.signals.burnRate: an objective of 100% leaves no budget to burn"))]
    pub objective: Percent,
    /// Pairs of windows. Default: 14.4 times over 1h and 5m, 6 times over 6h and 30m (the pages of the SRE workbook).
    #[serde(default = "default_windows")]
    #[schemars(length(min = 1, max = 4))]
    pub windows: Vec<BurnWindow>,
}

/// Two windows that must both burn faster than a factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("duration(self.short) < duration(self.long)").message("analysis.signals.burnRate.windows: short must be shorter than long"))]
pub struct BurnWindow {
    /// The long window: it shows that the matter is grave.
    pub long: Duration,
    /// The short window: it shows that it still goes on.
    pub short: Duration,
    /// How many times as fast as the objective allows.
    #[x_kube(validation = Rule::new("double(self) >= 1.0").message("analysis.signals.burnRate.windows: factor must be 1 or more"))]
    pub factor: Number,
}

fn default_windows() -> Vec<BurnWindow> {
    let hours = |hours: u64| Duration::from_secs(hours.saturating_mul(3600));
    vec![
        BurnWindow { long: hours(1), short: Duration::from_secs(300), factor: Number::from_value(14.4) },
        BurnWindow { long: hours(6), short: Duration::from_secs(1800), factor: Number::from_value(6.0) },
    ]
}

/// Restarts of containers as events per time in which pods ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.tolerance) || (double(self.tolerance) >= 1.0 && double(self.tolerance) <= 100.0)").message("analysis.signals.restarts: tolerance must be between 1 and 100"))]
#[x_kube(validation = Rule::new("!has(self.perHour) || (double(self.perHour) > 0.0 && double(self.perHour) <= 60.0)").message("analysis.signals.restarts: perHour must be above 0 and at most 60"))]
pub struct Restarts {
    /// The canary's pods may restart this many times as often as stable's. Default: 1.25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Number>,
    /// So many restarts per pod and hour are never harm. Default: 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<Number>,
}

impl Signal {
    /// Of how many of the last samples `consecutive` are counted.
    pub fn window(&self) -> u8 {
        self.of.unwrap_or(self.consecutive).max(self.consecutive)
    }
}
