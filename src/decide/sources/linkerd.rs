//! Linkerd: what meshed clients saw of each backend of a route, or else what the workload's own proxies saw.
//!
//! The outbound route metrics name the backend's Service; they exist where the client, also a gateway, is meshed. What
//! counts as failed is what `linkerd viz stat-outbound` counts: a status of 500 and above, or an error of the proxy
//! without a status. The inbound ones name the Deployment by labels that Prometheus adds from the pod ("Exporting
//! Metrics", linkerd.io/2/tasks/exporting-metrics); probes and the proxy's own port are left out. Source: "Proxy
//! Metrics" (linkerd.io/2/reference/proxy-metrics).
//!
//! The twins for GRPCRoute are not read: requests of a GRPCRoute are counted by the inbound metrics.

use super::super::queries::regex;
use super::edges::Unit;
use super::istio::GRPC_FAILED;
use super::meter::{Form, Is, Meter, Versions};
use super::place::Place;
use super::{Role, What};

pub(super) fn meters(place: &Place<'_>, what: What) -> Vec<Meter> {
    let outbound = vec![("backend_namespace", Is::Exactly(place.namespace.to_owned()))];
    let inbound = vec![
        ("direction", Is::Exactly("inbound".to_owned())),
        ("namespace", Is::Exactly(place.namespace.to_owned())),
        ("route_name", Is::Not("probe")),
        ("target_port", Is::Not("4191")),
    ];
    let (backends, deployments) =
        (versions("backend_name", |role| place.service(role)), versions("deployment", |role| place.workload(role)));
    let (outbound, inbound) = match what {
        What::Errors => (
            Meter::outcomes(
                "outbound_http_route_backend_response_statuses_total",
                outbound,
                backends,
                Vec::new(),
                vec![vec![("http_status", Is::Failed)], vec![("error", Is::Present)]],
            ),
            Meter::outcomes(
                "response_total",
                inbound,
                deployments,
                Vec::new(),
                vec![vec![("status_code", Is::Failed)], vec![("grpc_status", Is::OneOf(GRPC_FAILED))]],
            ),
        ),
        What::Slow(threshold) => (
            Meter::durations(
                "outbound_http_route_backend_response_duration_seconds",
                Unit::Seconds,
                threshold,
                outbound,
                backends,
            ),
            Meter::durations("response_latency_ms", Unit::Milliseconds, threshold, inbound, deployments),
        ),
    };
    vec![outbound, inbound.by_pod("pod")]
}

fn versions<'p>(label: &'static str, name: impl Fn(Role) -> &'p str) -> Versions {
    let (canary, stable) = (name(Role::Canary), name(Role::Stable));
    Versions {
        label,
        regex: format!("{}|{}", regex(stable), regex(canary)),
        canary: Form::Exactly(canary.to_owned()),
        stable: Form::Exactly(stable.to_owned()),
    }
}
