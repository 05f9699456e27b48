//! The kinds that the simulated API server knows.

/// One kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its API group; empty for the core.
    pub group: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its resource in paths.
    pub plural: &'static str,
    /// Its name.
    pub kind: &'static str,
    /// It has a status that is written by itself.
    pub status: bool,
}

const fn kind(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    status: bool,
) -> Kind {
    Kind { group, version, plural, kind, status }
}

const ADMISSION: &str = "admissionregistration.k8s.io";

/// All of them.
pub static KINDS: [Kind; 23] = [
    kind("sluice.dev", "v1alpha1", "rollouts", "Rollout", true),
    kind("sluice.dev", "v1alpha1", "releases", "Release", true),
    kind("sluice.dev", "v1alpha1", "reworkevents", "ReworkEvent", false),
    kind("sluice.dev", "v1alpha1", "decisionlogs", "DecisionLog", false),
    kind("sluice.dev", "v1alpha1", "postmortems", "Postmortem", false),
    kind("sluice.dev", "v1alpha1", "interventions", "Intervention", true),
    kind("sluice.dev", "v1alpha1", "metricsproviders", "MetricsProvider", false),
    kind("sluice.dev", "v1alpha1", "notificationsinks", "NotificationSink", true),
    kind("apps", "v1", "deployments", "Deployment", true),
    kind("apps", "v1", "replicasets", "ReplicaSet", true),
    kind("", "v1", "services", "Service", true),
    kind("", "v1", "pods", "Pod", true),
    kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", false),
    kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true),
    kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", false),
    kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", true),
    kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true),
    kind("coordination.k8s.io", "v1", "leases", "Lease", false),
    kind("events.k8s.io", "v1", "events", "Event", false),
    kind(ADMISSION, "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", false),
    kind(ADMISSION, "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", false),
    kind(ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", true),
    kind(ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", false),
];

/// The kind that a path names.
pub fn by_resource(group: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.group == group && kind.plural == plural)
}

/// The kind of this name.
pub fn named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.kind == name)
}
