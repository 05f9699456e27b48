//! What is to be done, as data: `act` and `record` carry it out and have no choices left.

use serde::Serialize;
use serde_json::Value;

use super::measure::Measurement;
use crate::api::{
    DecisionLogSpec, Duration, Escaped, InterventionStatus, LogHead, ReleaseSpec, ReleaseStatus, ReworkEventSpec,
    RolloutStatus, RouteKind,
};

/// Everything that one pass decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The status to commit before anything moves.
    pub status: RolloutStatus,
    /// Whether the new status differs in something that a later pass depends on or a program waits for. If not, only
    /// words and counts differ, and writing them may wait.
    pub material: bool,
    /// How long words and counts may wait before they are written.
    pub refresh: Duration,
    /// Writes to the workload, the canary, the routes and the Rollout's metadata, in order.
    pub plan: Vec<Write>,
    /// Records to write.
    pub records: Vec<Record>,
    /// Events to publish.
    pub events: Vec<Notice>,
    /// What to ask Prometheus from now on.
    pub measure: Vec<Measurement>,
    /// When to look again if nothing changes before.
    pub next_check: Option<Duration>,
}

/// One write to the cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Write {
    /// Put our finalizer on the Rollout.
    AddFinalizer,
    /// Take our finalizer off the Rollout; the object goes.
    RemoveFinalizer,
    /// Put the governing label on the workload.
    Label {
        /// Name of the workload.
        workload: String,
        /// The resourceVersion that was judged.
        resource_version: String,
    },
    /// Take the governing label off the workload.
    Unlabel {
        /// Name of the workload.
        workload: String,
        /// The resourceVersion that was judged.
        resource_version: String,
    },
    /// Ask the API server, by a dry run, whether it would hold a new template of the workload back.
    ProveGate {
        /// Name of the workload.
        workload: String,
        /// The policies that there are: what is proven is proven of these.
        policies: String,
    },
    /// Let the workload roll to the template it has.
    OpenGate {
        /// Name of the workload.
        workload: String,
        /// The resourceVersion whose template was judged.
        resource_version: String,
    },
    /// Pause the workload, so that it rolls to no other template.
    CloseGate {
        /// Name of the workload.
        workload: String,
        /// The resourceVersion that was judged.
        resource_version: String,
    },
    /// Delete a ReplicaSet without pods, so that a gated workload that is scaled up again cannot take it.
    DeleteReplicaSet {
        /// Its name.
        name: String,
        /// Only this very object.
        uid: String,
        /// Only as it was judged: it may be given pods meanwhile.
        resource_version: String,
    },
    /// Change `spec.behavior` of a HorizontalPodAutoscaler.
    PatchScaler {
        /// Its name.
        name: String,
        /// It may scale down after this write.
        free: bool,
        /// The JSON patch (RFC 6902), with its guards.
        patch: Value,
    },
    /// Put the stable template back into the workload.
    RestoreTemplate {
        /// Name of the workload.
        workload: String,
        /// The resourceVersion that was judged.
        resource_version: String,
        /// The whole pod template.
        template: Value,
    },
    /// Make the canary Deployment.
    CreateCanary {
        /// The whole object.
        body: Value,
    },
    /// Change the canary's size.
    ScaleCanary {
        /// Its name.
        name: String,
        /// The resourceVersion that was judged.
        resource_version: String,
        /// Wanted replicas.
        replicas: u32,
    },
    /// Delete the canary Deployment.
    DeleteCanary {
        /// Its name.
        name: String,
        /// Only this very object.
        uid: String,
    },
    /// Make the canary Service.
    CreateService {
        /// The whole object.
        body: Value,
    },
    /// Delete the canary Service.
    DeleteService {
        /// Its name.
        name: String,
        /// Only this very object.
        uid: String,
    },
    /// Make a NetworkPolicy for the canary.
    CreatePolicy {
        /// The whole object.
        body: Value,
    },
    /// Change a NetworkPolicy of the canary after the one that it was made of.
    ReplacePolicy {
        /// Its name.
        name: String,
        /// The resourceVersion that was judged.
        resource_version: String,
        /// The whole spec.
        spec: Value,
    },
    /// Delete a NetworkPolicy of the canary.
    DeletePolicy {
        /// Its name.
        name: String,
        /// Only this very object.
        uid: String,
    },
    /// Change the weights of one rule of a route.
    PatchRoute {
        /// Its kind.
        kind: RouteKind,
        /// Its name.
        name: String,
        /// Weight of the canary after the write, in percent; `None` when the rule is put back as it was.
        weight: Option<u8>,
        /// The JSON patch (RFC 6902), with its guards.
        patch: Value,
    },
}

impl Write {
    /// One word for metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AddFinalizer => "add_finalizer",
            Self::RemoveFinalizer => "remove_finalizer",
            Self::Label { .. } => "label",
            Self::Unlabel { .. } => "unlabel",
            Self::ProveGate { .. } => "prove_gate",
            Self::OpenGate { .. } => "open_gate",
            Self::CloseGate { .. } => "close_gate",
            Self::DeleteReplicaSet { .. } => "delete_replica_set",
            Self::PatchScaler { .. } => "patch_scaler",
            Self::RestoreTemplate { .. } => "restore_template",
            Self::CreateCanary { .. } => "create_canary",
            Self::ScaleCanary { .. } => "scale_canary",
            Self::DeleteCanary { .. } => "delete_canary",
            Self::CreateService { .. } => "create_service",
            Self::DeleteService { .. } => "delete_service",
            Self::CreatePolicy { .. } => "create_policy",
            Self::ReplacePolicy { .. } => "replace_policy",
            Self::DeletePolicy { .. } => "delete_policy",
            Self::PatchRoute { .. } => "patch_route",
        }
    }
}

/// One record that outlives the Rollout.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Record {
    /// The Release of the run, as far as it is known. Written again, it changes nothing.
    Release {
        /// Its name.
        name: String,
        /// What was tried.
        spec: Box<ReleaseSpec>,
        /// What happened, once it has ended.
        status: Option<Box<ReleaseStatus>>,
    },
    /// The ReworkEvent of the run. Written again, it changes nothing.
    Rework {
        /// Its name.
        name: String,
        /// The record.
        spec: Box<ReworkEventSpec>,
    },
    /// Entries of the decision log of the run. Written again, they change nothing.
    Log {
        /// Its name, that of the Release.
        name: String,
        /// The log with these entries only.
        log: Box<DecisionLogSpec>,
        /// The entry that the first of these is written onto; the log is made if there is none.
        onto: Option<LogHead>,
    },
    /// What became of an Intervention. Written again, it changes nothing.
    Answer {
        /// Its name.
        name: String,
        /// Only this very object.
        uid: String,
        /// The answer.
        status: InterventionStatus,
    },
    /// Harm that was found after the promotion, in the Release that promoted.
    Escaped {
        /// Name of the Release.
        name: String,
        /// What failures of the same kind have in common.
        signature: String,
        /// What was found.
        escaped: Escaped,
    },
}

/// How grave an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Severity {
    /// As planned.
    Normal,
    /// A person should look.
    Warning,
}

/// One event for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Unique within the Rollout, so that a repeated pass publishes it once.
    pub key: String,
    /// How grave.
    pub severity: Severity,
    /// One word in CamelCase.
    pub reason: String,
    /// What was being done.
    pub action: &'static str,
    /// One sentence with numbers.
    pub note: String,
}
