//! `Rollout`: what a platform team asks for.
//!
//! Owns the spec, its defaults and the rules that the API server checks. Every field says what a user can do with it.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::ErrorBudget;
use super::schedule::Schedule;
use super::signals::Signal;
use super::status::RolloutStatus;
use super::units::{Duration, Number, Percent};

/// What every object may be called: a name that is none would be a path of its own in a request.
const NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// What a Service may be called.
const SERVICE_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// Governs the releases of one workload: every new pod template is held back, tried on a share of live traffic,
/// judged, and promoted or taken back.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "Rollout",
    plural = "rollouts",
    shortname = "sro",
    category = "sluice",
    namespaced,
    status = "RolloutStatus",
    derive = "PartialEq",
    doc = "Governs the releases of one workload: every new pod template is held back, tried on a share of live traffic, judged on evidence, and promoted or taken back.",
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "What Sluice is doing; for people. Programs read the conditions."
    ),
    printcolumn(
        name = "Wave",
        type_ = "string",
        json_path = ".status.wave",
        description = "Wave of the run in progress, or of the last one"
    ),
    printcolumn(
        name = "Weight",
        type_ = "string",
        json_path = ".status.weight",
        description = "Share of live traffic that the canary is given"
    ),
    printcolumn(
        name = "Verdict",
        type_ = "string",
        json_path = ".status.verdict",
        description = "What the evidence says so far"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.message",
        description = "One sentence with numbers"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targetRef.name", priority = 1),
    printcolumn(
        name = "Stable",
        type_ = "string",
        json_path = ".status.stable.replicaSet",
        description = "ReplicaSet of the proven version",
        priority = 1
    ),
    printcolumn(
        name = "Release",
        type_ = "string",
        json_path = ".status.run.release",
        description = "Record of the attempt in progress, or of the last one",
        priority = 1
    ),
    printcolumn(
        name = "Delivery",
        type_ = "string",
        json_path = ".status.delivery.summary",
        description = "Deployments, failed ones and rework in one sentence",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// The workload to govern. Cannot be changed: delete the Rollout and make another one.
    #[x_kube(validation = Rule::new("self == oldSelf").message("targetRef cannot be changed; delete this Rollout and create another one"))]
    pub target_ref: TargetRef,
    /// Who answers for this workload. Copied to metrics, alerts and records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Where the workload's traffic comes from and how the canary's share is set.
    pub traffic: Traffic,
    /// The steps to full traffic, in percent of live traffic, strictly increasing. After the last wave the version is promoted.
    #[serde(default = "default_waves")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(
        validation = Rule::new("self.map(w, w.weight).isSorted() && self.all(w, self.exists_one(v, v.weight == w.weight))").message("waves: weights must increase from wave to wave, for example 1, 5, 25, 50"),
    )]
    pub waves: Vec<Wave>,
    /// What the canary is judged on.
    pub analysis: Analysis,
    /// When a wave, and the promotion, may begin. A wave that runs is finished, and taking a version back never waits. Default: at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// The error budget that says when waves, and the promotion, may begin. Taking a version back never asks. Default: none is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_budget: Option<ErrorBudget>,
    /// How long the canary's pods may take to become available, the gateway to accept a change, and the promotion to finish, each. After it the attempt is taken back.
    #[serde(default = "default_progress_deadline")]
    pub progress_deadline: Duration,
    /// The last step, in which the Deployment itself rolls to the analysed template.
    #[serde(default, skip_serializing_if = "Promotion::is_default")]
    pub promotion: Promotion,
    /// How long the promoted version is watched with the signals that need no comparison (`threshold`, `query`, `burnRate`). Harm found then is recorded as escaped; nothing is taken back. `0s` watches nothing.
    #[serde(default = "default_watch")]
    pub watch: Duration,
    /// What becomes of a rejected template: it stays in the Deployment behind the closed gate (`Hold`), or the stable template is written back (`RestoreTemplate`, for those without GitOps).
    #[serde(default, skip_serializing_if = "OnRollback::is_default")]
    pub on_rollback: OnRollback,
    /// Rollouts of one namespace that name the same group have at most one canary at a time; the others wait before their first wave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub group: Option<String>,
    /// How new templates are held back: by admission in the write that brings them, or, where the API server has no MutatingAdmissionPolicy (before Kubernetes 1.36), by keeping the Deployment paused at rest.
    #[serde(default, skip_serializing_if = "GateMode::is_default")]
    pub gate: GateMode,
    /// Governs nothing while it is true: an attempt is ended, traffic put back, the Deployment let go as at deletion. An unproven template stays paused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

fn default_waves() -> Vec<Wave> {
    [1, 5, 25, 50]
        .into_iter()
        .map(|weight| Wave { weight, bake: default_bake(), max_bake: None, approval: Approval::None, evidence: None })
        .collect()
}

const fn default_progress_deadline() -> Duration {
    Duration::from_secs(600)
}

const fn default_watch() -> Duration {
    Duration::from_secs(3600)
}

/// Whether a person must agree before a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// It begins when the evidence allows it.
    #[default]
    None,
    /// It begins after an `Intervention` with the action `Approve` as well. The canary keeps the weight it has and is judged meanwhile.
    Required,
}

impl Approval {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The last step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// Whether a person must agree before the Deployment rolls.
    #[serde(default, skip_serializing_if = "Approval::is_none")]
    pub approval: Approval,
    /// How long the Deployment may take to roll; after it the stable template is put back. Default: `progressDeadline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
}

impl Promotion {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a rejected template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnRollback {
    /// It stays in the Deployment, behind the closed gate.
    #[default]
    Hold,
    /// The stable template is written back into the Deployment.
    RestoreTemplate,
}

impl OnRollback {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How new templates are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum GateMode {
    /// Admission pauses the Deployment in the write that changes its template.
    #[default]
    Admission,
    /// The Deployment is paused whenever nothing is being released.
    Resting,
}

impl GateMode {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The kinds of workload that can be governed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TargetKind {
    /// `apps/v1` Deployment.
    #[default]
    Deployment,
}

/// A workload in the Rollout's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// Kind of the workload: Deployment.
    #[serde(default)]
    pub kind: TargetKind,
    /// Name of the workload.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME))]
    pub name: String,
}

/// Who answers for the workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Team name; becomes the `team` label of metrics and alerts.
    #[schemars(length(min = 1, max = 63))]
    pub team: String,
    /// Where to reach the team, for example a channel or an on-call alias; named in messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub contact: Option<String>,
}

/// Where the workload's traffic comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.stableService == oldSelf.stableService && has(self.canaryService) == has(oldSelf.canaryService) && (!has(self.canaryService) || self.canaryService == oldSelf.canaryService)").message("traffic: stableService and canaryService cannot be changed, a route may carry their weights; delete this Rollout and create another one"))]
pub struct Traffic {
    /// The Service through which the routes reach the workload today. It stays the stable version's. Cannot be changed.
    #[schemars(length(min = 1, max = 63), regex(pattern = SERVICE_NAME))]
    pub stable_service: String,
    /// Name of the Service that Sluice makes for the canary. Default: the stable Service's name + `-canary`. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = SERVICE_NAME))]
    pub canary_service: Option<String>,
    /// The routes whose weights are set. Each must have one rule with the stable Service among its backends; where several rules have it, `rule` names the one that is governed.
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(validation = Rule::new("self.all(r, self.exists_one(s, s.kind == r.kind && s.name == r.name))").message("traffic.routes: each route may be named once"))]
    pub routes: Vec<RouteRef>,
    /// How long the canary's pods are kept after the gateway accepted a route without them. Use at least the data plane's own delay.
    #[serde(default = "default_drain")]
    pub drain: Duration,
}

const fn default_drain() -> Duration {
    Duration::from_secs(10)
}

/// The kinds of route whose weights can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
pub enum RouteKind {
    /// `gateway.networking.k8s.io/v1` HTTPRoute.
    #[default]
    HTTPRoute,
    /// `gateway.networking.k8s.io/v1` GRPCRoute.
    GRPCRoute,
}

impl RouteKind {
    /// The kind as the API server spells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::HTTPRoute => "HTTPRoute",
            Self::GRPCRoute => "GRPCRoute",
        }
    }
}

impl std::fmt::Display for RouteKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// A route in the Rollout's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteRef {
    /// Kind of the route: HTTPRoute or GRPCRoute.
    #[serde(default)]
    pub kind: RouteKind,
    /// Name of the route.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME))]
    pub name: String,
    /// Name of the rule that is governed (`spec.rules[].name` of the route); it must have the stable Service among its backends. Without it exactly one rule of the route may have it. Takes effect with the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME))]
    pub rule: Option<String>,
}

/// One step on the way to full traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.maxBake) || !has(self.bake) || duration(self.bake) <= duration(self.maxBake)").message("waves: bake must not be longer than maxBake"))]
pub struct Wave {
    /// Share of live traffic for the canary, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub weight: u8,
    /// The least time at this weight, counted from when the observed share of requests follows the weight. Evidence is needed as well.
    #[serde(default = "default_bake")]
    pub bake: Duration,
    /// The most time to wait at this weight for the share to follow, and then for evidence; after it the Rollout is Held, with an event that names the owner's contact. It goes on when evidence comes. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bake: Option<Duration>,
    /// Whether a person must agree before this wave begins.
    #[serde(default, skip_serializing_if = "Approval::is_none")]
    pub approval: Approval,
    /// What the evidence of this wave must exclude before the next one. Default: 2 times and 0.5% in the last wave, 3 times and 1% in the one before, 5 times and 2% before that, 10 times and 5% in all earlier ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<WaveEvidence>,
}

/// The smallest regression that a wave refuses to let pass. The last wave's is the smallest that is refused at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("double(self.ratio) > 1.0 && double(self.ratio) <= 100.0").message("waves.evidence: ratio must be more than 1 and at most 100"))]
pub struct WaveEvidence {
    /// This many times stable's share of bad requests …
    pub ratio: Number,
    /// … and at least this share of bad requests.
    pub floor: Percent,
}

const fn default_bake() -> Duration {
    Duration::from_secs(600)
}

/// What the canary is judged on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// The MetricsProvider to ask.
    pub provider_ref: ProviderRef,
    /// How often the signals are read. Never more often than the provider's scrape interval.
    #[serde(default = "default_interval")]
    pub interval: Duration,
    /// How long the signals may be unreadable before the Rollout shows `AnalysisBlind`. It holds from the first moment on.
    #[serde(default = "default_no_data_timeout")]
    pub no_data_timeout: Duration,
    /// The most that the chance of taking a good version back may be, over the whole attempt and all signals that compare, however often they are read. Default: 1%.
    #[serde(default = "default_alpha")]
    pub alpha: Percent,
    /// The most that the chance may be that a wave passes although the version has a regression which the wave's `evidence` is to exclude. Default: 5%.
    #[serde(default = "default_beta")]
    pub beta: Percent,
    /// Judge by the floor alone in a time in which stable has no request to compare with, such as a wave of 100%. Without it such a time is no evidence of harm. Both tests then have half of alpha.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_absolute_only: bool,
    /// The signals. All must pass for a wave to end; one breach takes the version back.
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(validation = Rule::new("self.all(s, self.exists_one(t, t.name == s.name))").message("analysis.signals: each name may be used once"))]
    #[x_kube(validation = Rule::new("self.exists(s, (!has(s.dryRun) || !s.dryRun) && (has(s.errorRatio) || has(s.latency) || has(s.query)))").message("analysis.signals: at least one errorRatio, latency or query must act; restarts, burnRate and dryRun are no evidence that a version is good"))]
    #[x_kube(validation = Rule::new("self.filter(s, has(s.latency) || has(s.restarts) || (has(s.errorRatio) && !has(s.errorRatio.threshold))).size() <= 3").message("analysis.signals: at most 3 signals may compare with stable (errorRatio without threshold, latency, restarts); they share alpha"))]
    pub signals: Vec<Signal>,
}

const fn default_alpha() -> Percent {
    Percent::from_millionths(10_000)
}

const fn default_beta() -> Percent {
    Percent::from_millionths(50_000)
}

const fn default_interval() -> Duration {
    Duration::from_secs(15)
}

const fn default_no_data_timeout() -> Duration {
    Duration::from_secs(120)
}

/// The name of a MetricsProvider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderRef {
    /// Name of the cluster-scoped MetricsProvider, made by the platform team.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME))]
    pub name: String,
}

impl RolloutSpec {
    /// How long the promotion may take.
    pub fn promotion_deadline(&self) -> Duration {
        self.promotion.deadline.unwrap_or(self.progress_deadline)
    }
}

impl Traffic {
    /// The name of the canary's Service.
    pub fn canary_service_name(&self) -> String {
        self.canary_service.clone().unwrap_or_else(|| super::names::canary(&self.stable_service))
    }
}
