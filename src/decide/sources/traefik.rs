//! Traefik: one counter per service of its own, whose name says namespace and Service.
//!
//! Two schemes of names, one regular expression. From 3.7.6 on, by route and backend:
//! `httproute-NS-ROUTE-gw-GWNS-GW-ep-EP-RULE-HASH-svc-NS-SERVICE-INDEX@kubernetesgateway` (`-ls-` instead of `-gw-` for a
//! listener of a ListenerSet); up to 3.7.5, by Service and port: `NS-SERVICE-http-PORT@kubernetesgateway`. For a GRPCRoute
//! they begin with `grpcroute-`, and are `NS-SERVICE-PORT-grpc`. Sources:
//! "Metrics" in Traefik's reference (doc.traefik.io/traefik/reference/install-configuration/observability/metrics),
//! `pkg/provider/kubernetes/gateway` in its repository.

use super::super::queries::regex;
use super::edges::Unit;
use super::meter::{Form, Is, Meter, Versions};
use super::place::Place;
use super::{Role, What};
use crate::api::RouteKind;

const SUFFIX: &str = "@kubernetesgateway";
/// How a route hangs on its gateway.
const PARENTS: [&str; 2] = ["gw", "ls"];

pub(super) fn meters(place: &Place<'_>, what: What) -> Vec<Meter> {
    vec![match what {
        What::Errors => Meter::outcomes(
            "traefik_service_requests_total",
            Vec::new(),
            versions(place),
            Vec::new(),
            vec![vec![("code", Is::Failed)]],
        ),
        What::Slow(threshold) => Meter::durations(
            "traefik_service_request_duration_seconds",
            Unit::Seconds,
            threshold,
            Vec::new(),
            versions(place),
        ),
    }]
}

fn versions(place: &Place<'_>) -> Versions {
    let namespace = regex(&normal(place.namespace));
    let services = format!("({}|{})", regex(&normal(place.stable_service)), regex(&normal(&place.canary_service)));
    let port = place.port.map_or("[0-9]+".to_owned(), |port| port.to_string());
    let parents = PARENTS.join("|");
    let mut names = Vec::new();
    for kind in [RouteKind::HTTPRoute, RouteKind::GRPCRoute] {
        let routes = place.routes.iter().filter(|route| route.0 == kind).map(|route| regex(&normal(route.1)));
        let routes: Vec<String> = routes.collect();
        if !routes.is_empty() {
            let (head, routes, port) = (head(kind), routes.join("|"), by_port(kind, &port));
            names.push(format!("{head}-{namespace}-({routes})-({parents})-.*-svc-{namespace}-{services}-[0-9]+"));
            names.push(format!("{namespace}-{services}-{port}"));
        }
    }
    Versions {
        label: "service",
        regex: format!("({}){SUFFIX}", names.join("|")),
        canary: Form::Traefik(Service::of(place, Role::Canary)),
        stable: Form::Traefik(Service::of(place, Role::Stable)),
    }
}

/// How names by route begin.
const fn head(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::HTTPRoute => "httproute",
        RouteKind::GRPCRoute => "grpcroute",
    }
}

/// How names by Service and port end.
fn by_port(kind: RouteKind, port: &str) -> String {
    match kind {
        RouteKind::HTTPRoute => format!("http-{port}"),
        RouteKind::GRPCRoute => format!("{port}-grpc"),
    }
}

/// What Traefik calls one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// How a name by route begins, for each route.
    heads: Vec<String>,
    /// The kinds of these routes.
    kinds: Vec<RouteKind>,
    /// `NS-SERVICE`.
    backend: String,
    port: Option<u16>,
}

impl Service {
    fn of(place: &Place<'_>, role: Role) -> Self {
        let namespace = normal(place.namespace);
        let heads = place.routes.iter().map(|route| (head(route.0), normal(route.1))).flat_map(|(head, route)| {
            PARENTS.into_iter().map(|parent| format!("{head}-{namespace}-{route}-{parent}-")).collect::<Vec<_>>()
        });
        Self {
            kinds: place.routes.iter().map(|route| route.0).collect(),
            heads: heads.collect(),
            backend: format!("{namespace}-{}", normal(place.service(role))),
            port: place.port,
        }
    }

    pub(super) fn holds(&self, label: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let Some(label) = label.strip_suffix(SUFFIX) else {
            return false;
        };
        let by_route = label.rsplit_once('-').is_some_and(|(name, number)| {
            digits(number)
                && self.heads.iter().any(|head| name.starts_with(head.as_str()))
                && name.strip_suffix(self.backend.as_str()).is_some_and(|head| head.ends_with("-svc-"))
        });
        let rest = label.strip_prefix(self.backend.as_str()).and_then(|rest| rest.strip_prefix('-'));
        let by_port = self.kinds.iter().any(|kind| {
            let number = match kind {
                RouteKind::HTTPRoute => rest.and_then(|rest| rest.strip_prefix("http-")),
                RouteKind::GRPCRoute => rest.and_then(|rest| rest.strip_suffix("-grpc")),
            };
            number.is_some_and(|number| digits(number) && self.port.is_none_or(|port| number == port.to_string()))
        });
        by_route || by_port
    }
}

/// Traefik writes everything but letters and digits as one `-` (`provider.Normalize`): a route `shop.v1` is `shop-v1`.
fn normal(name: &str) -> String {
    let parts: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    parts.join("-")
}
