//! Istio: the standard metrics, by the Service that was called.
//!
//! A request is reported by up to three proxies. The one that chose the backend is believed: it sees also the requests
//! that reached no pod (503 with the response flags UH or UF). That is `reporter="source"` for gateways and sidecars,
//! or `waypoint` in ambient mode; never both for one version. `destination` would be the third. The label
//! `destination_service_name` is the backend's Service also when no pod answered, when `destination_workload` is
//! `unknown`. Sources: "Istio Standard Metrics" (istio.io/latest/docs/reference/config/metrics), "Visualizing Your
//! Mesh" and the ambient migration page on `reporter="waypoint"`. gRPC: status codes of grpc.io/docs/guides/status-codes.

use super::super::queries::regex;
use super::edges::Unit;
use super::meter::{Form, Is, Meter, Versions};
use super::place::Place;
use super::{Role, What};

/// gRPC codes that say the server failed: Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable, DataLoss.
pub(super) const GRPC_FAILED: &[&str] = &["2", "4", "12", "13", "14", "15"];

pub(super) fn meters(place: &Place<'_>, what: What) -> Vec<Meter> {
    ["source", "waypoint"]
        .into_iter()
        .map(|reporter| {
            let fixed = vec![
                ("reporter", Is::Exactly(reporter.to_owned())),
                ("destination_service_namespace", Is::Exactly(place.namespace.to_owned())),
            ];
            match what {
                What::Errors => Meter::outcomes(
                    "istio_requests_total",
                    fixed,
                    versions(place),
                    Vec::new(),
                    vec![vec![("response_code", Is::Failed)], vec![("grpc_response_status", Is::OneOf(GRPC_FAILED))]],
                ),
                What::Slow(threshold) => Meter::durations(
                    "istio_request_duration_milliseconds",
                    Unit::Milliseconds,
                    threshold,
                    fixed,
                    versions(place),
                ),
            }
        })
        .collect()
}

fn versions(place: &Place<'_>) -> Versions {
    Versions {
        label: "destination_service_name",
        regex: format!("{}|{}", regex(place.stable_service), regex(&place.canary_service)),
        canary: Form::Exactly(place.service(Role::Canary).to_owned()),
        stable: Form::Exactly(place.service(Role::Stable).to_owned()),
    }
}
