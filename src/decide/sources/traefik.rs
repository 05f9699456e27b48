//! Traefik: one counter per service of its own, whose name says namespace and Service.
//!
//! Two schemes of names, one regular expression. From 3.7.6 on, by route and backend:
//! `httproute-NS-ROUTE-gw-GWNS-GW-ep-EP-RULE-HASH-svc-NS-SERVICE-INDEX@kubernetesgateway` (`-ls-` instead of `-gw-` for a
//! listener of a ListenerSet); up to 3.7.5, by Service and port: `NS-SERVICE-http-PORT@kubernetesgateway`. Sources:
//! "Metrics" in Traefik's reference (doc.traefik.io/traefik/reference/install-configuration/observability/metrics),
//! `pkg/provider/kubernetes/gateway` in its repository.

use super::super::queries::regex;
use super::edges::Unit;
use super::meter::{Form, Is, Meter, Versions};
use super::place::Place;
use super::{Role, What};

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
    let routes: Vec<String> = place.routes.iter().map(|route| regex(&normal(route))).collect();
    let services = format!("({}|{})", regex(&normal(place.stable_service)), regex(&normal(&place.canary_service)));
    let port = place.port.map_or("[0-9]+".to_owned(), |port| port.to_string());
    Versions {
        label: "service",
        regex: format!(
            "(httproute-{namespace}-({})-({})-.*-svc-{namespace}-{services}-[0-9]+|{namespace}-{services}-http-{port}){SUFFIX}",
            routes.join("|"),
            PARENTS.join("|"),
        ),
        canary: Form::Traefik(Service::of(place, Role::Canary)),
        stable: Form::Traefik(Service::of(place, Role::Stable)),
    }
}

/// What Traefik calls one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// How a name by route begins, for each route.
    heads: Vec<String>,
    /// `NS-SERVICE`.
    backend: String,
    port: Option<u16>,
}

impl Service {
    fn of(place: &Place<'_>, role: Role) -> Self {
        let namespace = normal(place.namespace);
        let heads = place.routes.iter().map(|route| normal(route)).flat_map(|route| {
            PARENTS.into_iter().map(|parent| format!("httproute-{namespace}-{route}-{parent}-")).collect::<Vec<_>>()
        });
        Self {
            heads: heads.collect(),
            backend: format!("{namespace}-{}", normal(place.service(role))),
            port: place.port,
        }
    }

    pub(super) fn holds(&self, label: &str) -> bool {
        let Some((name, number)) = label.strip_suffix(SUFFIX).and_then(|name| name.rsplit_once('-')) else {
            return false;
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        let by_route = self.heads.iter().any(|head| name.starts_with(head.as_str()))
            && name.strip_suffix(self.backend.as_str()).is_some_and(|head| head.ends_with("-svc-"));
        let by_port = name.strip_suffix("-http") == Some(self.backend.as_str())
            && self.port.is_none_or(|port| number == port.to_string());
        by_route || by_port
    }
}

/// Traefik writes everything but letters and digits as one `-` (`provider.Normalize`): a route `shop.v1` is `shop-v1`.
fn normal(name: &str) -> String {
    let parts: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    parts.join("-")
}
