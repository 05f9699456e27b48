//! The application's own counters, told apart by the names of the pods that were scraped.
//!
//! First the histogram of OpenTelemetry's HTTP semantic conventions, `http.server.request.duration` in seconds
//! ("Semantic conventions for HTTP metrics", opentelemetry.io/docs/specs/semconv/http/http-metrics), else what the
//! Prometheus client libraries and their middlewares call `http_requests_total` and `http_request_duration_seconds`.
//! An application with both is counted by the first. `namespace` and `pod` are labels of the scrape.

use super::edges::Unit;
use super::meter::{Any, Form, Is, Meter, Versions};
use super::place::Place;
use super::{Role, Unsupported, What};

/// Labels in which middlewares put the status.
const STATUS: [&str; 3] = ["code", "status", "status_code"];

pub(super) fn meters(place: &Place<'_>, what: What) -> Result<Vec<Meter>, Unsupported> {
    if place.stable_replica_set.is_empty() {
        return Err(no_stable_yet(place));
    }
    let fixed = || vec![("namespace", Is::Exactly(place.namespace.to_owned()))];
    let (otel, plain) = match what {
        What::Errors => (
            Meter::outcomes(
                "http_server_request_duration_seconds_count",
                fixed(),
                versions(place),
                Vec::new(),
                // No status was sent, but the conventions ask for `error.type` then.
                vec![
                    vec![("http_response_status_code", Is::Failed)],
                    vec![("http_response_status_code", Is::Empty), ("error_type", Is::Present)],
                ],
            ),
            Meter::outcomes(
                "http_requests_total",
                fixed(),
                versions(place),
                by_status(&Is::Status),
                by_status(&Is::Failed),
            ),
        ),
        What::Slow(threshold) => {
            let histogram = |metric| Meter::durations(metric, Unit::Seconds, threshold, fixed(), versions(place));
            (histogram("http_server_request_duration_seconds"), histogram("http_request_duration_seconds"))
        }
    };
    Ok(vec![otel.by_pod("pod"), plain.by_pod("pod")])
}

/// Without a ReplicaSet there is no saying which pods are stable's.
pub(super) fn no_stable_yet(place: &Place<'_>) -> Unsupported {
    Unsupported {
        reason: "NoStableYet",
        sentence: format!("the stable ReplicaSet of Deployment {} is not known yet", place.stable_workload),
    }
}

/// A counter that does not say how requests ended is no evidence that they ended well.
fn by_status(is: &Is) -> Any {
    STATUS.into_iter().map(|label| vec![(label, is.clone())]).collect()
}

fn versions(place: &Place<'_>) -> Versions {
    let (canary, stable) = (place.pods(Role::Canary), place.pods(Role::Stable));
    Versions {
        label: "pod",
        regex: format!("{}|{}", stable.regex(), canary.regex()),
        canary: Form::Pod(canary),
        stable: Form::Pod(stable),
    }
}
