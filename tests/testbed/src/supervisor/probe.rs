//! Looks whether something is ready, and reads from the API server. It never writes.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Certificate, Client};
use serde_json::Value;

use crate::cluster::pki::SD_USER;
use crate::cluster::{Gate, Layout, addresses};

const PAUSE: Duration = Duration::from_millis(50);

/// A client that trusts the testbed's own certificate authority.
#[derive(Debug, Clone)]
pub(super) struct Prober {
    client: Client,
    token: String,
}

impl Prober {
    pub(super) fn new(layout: &Layout) -> Result<Self> {
        let authority = Certificate::from_pem(&fs::read(layout.pki("ca.crt"))?)?;
        let client = Client::builder()
            .tls_certs_only([authority])
            .user_agent(SD_USER)
            .timeout(Duration::from_secs(2))
            .no_proxy()
            .build()?;
        Ok(Self { client, token: fs::read_to_string(layout.pki("sd.token"))? })
    }

    /// Whether the gate is open now.
    pub(super) async fn is_open(&self, gate: &Gate) -> bool {
        match gate {
            Gate::Open => true,
            Gate::Exists(path) => path.exists(),
            Gate::Answers(url) => {
                let answer = self.client.get(url).bearer_auth(&self.token).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
            }
        }
    }

    /// Returns once the gate is open.
    pub(super) async fn wait(&self, gate: &Gate) {
        while !self.is_open(gate).await {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads an object or a list from the API server.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}{path}", addresses::API_URL);
        let answer = self.client.get(url).bearer_auth(&self.token).send().await?.error_for_status()?;
        answer.json().await.context("the API server's answer is not JSON")
    }

    /// Whether the only node is ready.
    pub(super) async fn node_is_ready(&self) -> bool {
        let path = format!("/api/v1/nodes/{}?resourceVersion=0", addresses::NODE_NAME);
        self.get(&path).await.is_ok_and(|node| has_condition(&node, "Ready"))
    }

    /// Whether the gateway takes traffic.
    pub(super) async fn gateway_is_ready(&self) -> bool {
        let path = "/apis/gateway.networking.k8s.io/v1/namespaces/gateway-system/gateways/gateway";
        self.get(path).await.is_ok_and(|gateway| has_condition(&gateway, "Programmed"))
    }

    /// Makes Prometheus read its configuration and rules again.
    pub(super) async fn reload_prometheus(&self) -> Result<()> {
        let answer = self
            .client
            .post(format!("{}/-/reload", addresses::PROMETHEUS_URL))
            .send()
            .await
            .context("Prometheus does not answer: start it first")?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "Prometheus refused: {}", answer.text().await.unwrap_or_default().trim());
        Ok(())
    }
}

fn has_condition(object: &Value, kind: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        text("type") == Some(kind) && text("status") == Some("True")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_counts_only_when_true() {
        let node = |status: &str| {
            serde_json::json!({"status": {"conditions": [
                {"type": "MemoryPressure", "status": "True"}, {"type": "Ready", "status": status}]}})
        };
        assert!(has_condition(&node("True"), "Ready"));
        assert!(!has_condition(&node("Unknown"), "Ready"));
        assert!(!has_condition(&serde_json::json!({}), "Ready"));
    }
}
