//! The rights of the operator and of people: one table, from which the manifests and docs/rights.md are rendered, and
//! with which an audit log is compared.
//!
//! Owns what is granted and why. Must not talk to a cluster; `rights_command` reads and writes the files.

mod document;
mod manifests;
pub mod people;
mod table;
pub mod usage;

pub use document::markdown;
pub use manifests::{in_namespace, manifests};
pub use table::RIGHTS;

/// The ServiceAccount of the operator.
pub const ACCOUNT: &str = "sluice";
/// The namespace of the operator.
pub const NAMESPACE: &str = "sluice-system";

/// Where a right holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Of a kind that is in no namespace.
    Cluster,
    /// In every namespace; with `--watch-namespace` in those that are watched.
    Watched,
    /// In the operator's own namespace.
    Own,
}

/// What a right is for, and with what it can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Always needed.
    Core,
    /// Rollouts whose traffic goes through HTTPRoutes.
    HttpRoutes,
    /// Rollouts whose traffic goes through GRPCRoutes.
    GrpcRoutes,
    /// MetricsProviders and NotificationSinks that name a Secret.
    Secrets,
    /// Several replicas of which one decides.
    Lease,
}

impl Feature {
    /// The role that grants its rights in a scope.
    const fn role_in(self, scope: Scope) -> &'static str {
        match (self, scope) {
            (Self::Core, Scope::Cluster) => "sluice-cluster",
            (Self::Core, Scope::Watched | Scope::Own) => "sluice",
            (Self::HttpRoutes, Scope::Cluster | Scope::Watched | Scope::Own) => "sluice-httproutes",
            (Self::GrpcRoutes, Scope::Cluster | Scope::Watched | Scope::Own) => "sluice-grpcroutes",
            (Self::Secrets, Scope::Cluster | Scope::Watched | Scope::Own) => "sluice-metrics-secrets",
            (Self::Lease, Scope::Cluster | Scope::Watched | Scope::Own) => "sluice-lease",
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Core => "always needed",
            Self::HttpRoutes => "Rollouts that name HTTPRoutes: leave `components/httproutes` out where there are none",
            Self::GrpcRoutes => "Rollouts that name GRPCRoutes: leave `components/grpcroutes` out where there are none",
            Self::Secrets => "MetricsProviders and NotificationSinks that name a Secret",
            Self::Lease => "more than one replica; not with `--leader-elect=false`",
        }
    }
}

/// One row: these verbs on these resources.
#[derive(Debug, Clone, Copy)]
pub struct Right {
    /// The API group; the core group is empty.
    pub group: &'static str,
    /// Resources, with `/subresource`.
    pub resources: &'static [&'static str],
    /// What may be done.
    pub verbs: &'static [&'static str],
    /// Only objects of these names; empty for all.
    pub names: &'static [&'static str],
    /// Where.
    pub scope: Scope,
    /// What for.
    pub feature: Feature,
    /// Why it is needed, for people.
    pub why: &'static str,
    /// A page of docs/ that says more; may be empty.
    pub page: &'static str,
}

/// The rows of a feature in a scope.
fn rows(feature: Feature, scope: Scope) -> impl Iterator<Item = &'static Right> {
    RIGHTS.iter().filter(move |right| right.feature == feature && right.scope == scope)
}

#[cfg(test)]
mod tests;
