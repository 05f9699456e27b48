//! Whose counters a signal is read from, as users name it.
//!
//! Owns the list of data planes and the shape of counters that users bring along. Knows no metric names: what a data
//! plane calls its counters is in `decide::sources`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which counters a signal is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Source {
    /// Chosen by the controller name that the route's status carries.
    #[default]
    Auto,
    /// Traefik's per-service counters.
    Traefik,
    /// Istio's standard metrics, as the gateway, the client's sidecar or the waypoint reports them.
    Istio,
    /// Linkerd's route metrics of meshed clients, or else the inbound counters of the workload's own proxies.
    Linkerd,
    /// The Envoy of Contour: one cluster per Service and port.
    Contour,
    /// The Envoy of kgateway: one cluster per Service and port.
    Kgateway,
    /// The Envoy of Cilium's Gateway API: one cluster per Service and port.
    Cilium,
    /// The application's own counters, told apart by the names of the pods; for data planes that cannot separate two backends. OpenTelemetry's `http_server_request_duration_seconds`, or else `http_requests_total`.
    Pods,
    /// The counters that `counters` names.
    Query,
}

/// Raw counters of your own, for `source: Query`. Each is one plain selector such as `http_requests_total{pod=~"{{pods}}"}`: no function, no range. It is asked once for the canary and once for stable, with `{{pods}}`, `{{service}}` and `{{workload}}` standing for that version's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.errors) != has(self.fast)").message("counters: give exactly one of errors (for errorRatio) and fast (for latency)"))]
pub struct OwnCounters {
    /// Counts every request of the version.
    #[schemars(length(min = 1, max = 1024))]
    pub requests: String,
    /// Counts the failed ones among `requests`. No series is taken as no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub errors: Option<String>,
    /// Counts those among `requests` that were fast enough, for example the bucket of a histogram: `request_seconds_bucket{le="0.3",pod=~"{{pods}}"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub fast: Option<String>,
}
