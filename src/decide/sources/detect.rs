//! Which data plane serves the routes, by the controller names in their status.
//!
//! Owns the list of controllers: those whose counters separate two backends, and those of which it is known that they
//! do not. Must not guess: an unknown controller, or two, is a refusal that says what to set.

use super::place::Place;
use super::{Source, Unsupported};

/// Controllers whose counters are read.
const KNOWN: [(&str, Source); 6] = [
    ("traefik.io/gateway-controller", Source::Traefik),
    ("istio.io/gateway-controller", Source::Istio),
    ("linkerd.io/policy-controller", Source::Linkerd),
    ("projectcontour.io/gateway-controller", Source::Contour),
    ("kgateway.dev/kgateway", Source::Kgateway),
    ("io.cilium/gateway-controller", Source::Cilium),
];

/// Controllers whose counters cannot tell the versions apart: who it is, and what is missing.
const BLIND: [(&str, &str, &str); 6] = [
    (
        "gateway.envoyproxy.io/gatewayclass-controller",
        "Envoy Gateway",
        "it counts both backends of a rule in one Envoy cluster",
    ),
    (
        "gateway.nginx.org/nginx-gateway-controller",
        "NGINX Gateway Fabric",
        "its open source version counts requests for the whole process only",
    ),
    ("konghq.com/kic-gateway-controller", "Kong", "it counts both backends of a rule as one Kong service"),
    ("networking.gke.io/gateway", "GKE Gateway", "its counters are in Cloud Monitoring, not in Prometheus"),
    ("gateway.k8s.aws/alb", "the AWS Load Balancer Controller", "its counters are in CloudWatch, not in Prometheus"),
    (
        "application-networking.k8s.aws/gateway-api-controller",
        "the AWS Gateway API Controller",
        "its counters are in CloudWatch, not in Prometheus",
    ),
];

const WAY_OUT: &str = "set source: Pods (the application's own counters), source: Istio or Linkerd if the workload is meshed, or source: Query (counters of your own)";

/// The data plane of the routes.
pub(super) fn by_controller(place: &Place<'_>) -> Result<Source, Unsupported> {
    let Some((route, controller)) = place.controllers.first() else {
        let route = place.routes.first().map(ToString::to_string).unwrap_or_default();
        let sentence = format!("no gateway has accepted {route} yet, so its data plane is not known");
        return Err(Unsupported { reason: "RouteNotAccepted", sentence });
    };
    if let Some((other_route, other)) = place.controllers.iter().find(|(_, other)| other != controller) {
        return Err(unsupported(format!(
            "{route} is served by {controller} and {other_route} by {other}, and neither counts all requests: name one data plane in source, or {WAY_OUT}"
        )));
    }
    if let Some((_, source)) = KNOWN.iter().find(|(known, _)| known == controller) {
        return Ok(*source);
    }
    Err(match BLIND.iter().find(|(known, _, _)| known == controller) {
        Some((_, name, lack)) => unsupported(format!(
            "{route} is served by {name} ({controller}), which cannot tell the two versions apart: {lack}; {WAY_OUT}"
        )),
        None => {
            let known: Vec<&str> = KNOWN.iter().map(|(known, _)| *known).collect();
            unsupported(format!(
                "{route} is served by {controller}, whose counters are not known; known: {}; {WAY_OUT}",
                known.join(", ")
            ))
        }
    })
}

fn unsupported(sentence: String) -> Unsupported {
    Unsupported { reason: "DataPlaneUnsupported", sentence }
}
