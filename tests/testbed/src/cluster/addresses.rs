//! The addresses inside every testbed. They are the same in each, because each has its own network.

/// The ClusterIP of the service `kubernetes`, which the testbed puts on its loopback device.
pub const API_SERVICE: [u8; 4] = [10, 96, 0, 1];
/// The address of the only node; Pods and tests reach everything there.
pub const NODE: [u8; 4] = [10, 250, 0, 1];
/// The only node's name.
pub const NODE_NAME: &str = "node1";
/// The API server.
pub const API_URL: &str = "https://10.250.0.1:443";
/// The gateway's HTTP listener.
pub const GATEWAY_URL: &str = "http://10.250.0.1:8000";
/// Prometheus.
pub const PROMETHEUS_URL: &str = "http://10.250.0.1:9090";
/// Alertmanager.
pub const ALERTMANAGER_URL: &str = "http://10.250.0.1:9093";
