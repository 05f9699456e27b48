//! `MetricsProvider`: where evidence is read from. Written by the platform admin; users name one and never type a URL.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::units::Duration;

/// A Prometheus-compatible server.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "MetricsProvider",
    plural = "metricsproviders",
    category = "sluice",
    derive = "PartialEq",
    doc = "A Prometheus-compatible server that Rollouts may name. Users name one and never type a URL.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "Scrape", type_ = "string", json_path = ".spec.scrapeInterval"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct MetricsProviderSpec {
    /// Base address of the HTTP API, for example `http://prometheus.monitoring:9090`. No redirect is followed.
    #[schemars(length(min = 8, max = 512))]
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("address must start with http:// or https://"))]
    pub address: String,
    /// How often the server scrapes the data plane. Sets the pace of reading and how old a sample may be.
    #[serde(default = "default_scrape_interval")]
    pub scrape_interval: Duration,
    /// How long one query may take.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
}

const fn default_scrape_interval() -> Duration {
    Duration::from_secs(15)
}

const fn default_timeout() -> Duration {
    Duration::from_secs(5)
}
