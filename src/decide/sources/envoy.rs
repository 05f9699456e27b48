//! The Envoys of Contour, kgateway and Cilium: one cluster for each Service and port, whose name says both.
//!
//! Counted are `envoy_cluster_upstream_rq` by status and `envoy_cluster_upstream_rq_time`, in milliseconds ("Cluster
//! manager statistics", envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats). An Envoy
//! that finds no healthy endpoint counts its own 503 there too. Envoy writes `:` in the name of a cluster as `_`
//! (`Utility::sanitizeStatsName`). Names of namespaces and Services have neither `_` nor `:`, so no name can be taken
//! for two.

use super::super::queries::regex;
use super::edges::Unit;
use super::meter::{Form, Is, Meter, Versions};
use super::place::Place;
use super::{Role, What};

/// Whose Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plane {
    /// `NS_SERVICE_PORT` (`AltStatName` in Contour's `internal/envoy`).
    Contour,
    /// `kube_NS_SERVICE_PORT` ("Gateway proxy metrics", kgateway.dev/docs).
    Kgateway,
    /// `NS/cilium-gateway-GATEWAY/NS:SERVICE:PORT` (`getClusterName` in Cilium's `operator/pkg/model/translation`).
    Cilium,
}

pub(super) fn meters(plane: Plane, place: &Place<'_>, what: What) -> Vec<Meter> {
    let versions = versions(plane, place);
    vec![match what {
        What::Errors => Meter::outcomes(
            "envoy_cluster_upstream_rq",
            Vec::new(),
            versions,
            Vec::new(),
            vec![vec![("envoy_response_code", Is::Failed)]],
        ),
        What::Slow(threshold) => {
            Meter::durations("envoy_cluster_upstream_rq_time", Unit::Milliseconds, threshold, Vec::new(), versions)
        }
    }]
}

fn versions(plane: Plane, place: &Place<'_>) -> Versions {
    let services = format!("({}|{})", regex(place.stable_service), regex(&place.canary_service));
    let port = place.port.map_or("[0-9]+".to_owned(), |port| port.to_string());
    let namespace = regex(place.namespace);
    let cluster = |role| {
        let service = place.service(role).to_owned();
        Form::Cluster(Cluster { plane, namespace: place.namespace.to_owned(), service, port: place.port })
    };
    Versions {
        label: "envoy_cluster_name",
        regex: match plane {
            Plane::Contour => format!("{namespace}_{services}_{port}"),
            Plane::Kgateway => format!("kube_{namespace}_{services}_{port}"),
            Plane::Cilium => format!("(.*/)?{namespace}[_:]{services}[_:]{port}"),
        },
        canary: cluster(Role::Canary),
        stable: cluster(Role::Stable),
    }
}

/// The cluster of one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cluster {
    plane: Plane,
    namespace: String,
    service: String,
    port: Option<u16>,
}

impl Cluster {
    pub(super) fn holds(&self, name: &str) -> bool {
        let name = match self.plane {
            Plane::Contour => Some(name),
            Plane::Kgateway => name.strip_prefix("kube_"),
            Plane::Cilium => Some(name.rsplit('/').next().unwrap_or(name)),
        };
        let separators: &[char] = if self.plane == Plane::Cilium { &['_', ':'] } else { &['_'] };
        let mut parts = name.into_iter().flat_map(|name| name.split(separators));
        let (namespace, service, port, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
        namespace == Some(&self.namespace)
            && service == Some(&self.service)
            && port.is_some_and(|port| match self.port {
                Some(wanted) => port == wanted.to_string(),
                None => !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()),
            })
            && rest.is_none()
    }
}
