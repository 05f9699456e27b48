//! What the demo needs of a cluster: checks it and names what is missing, then installs Sluice and the shop.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::Options;
use crate::kubectl::{Kubectl, text};
use crate::show;

/// A cluster that has what is needed.
pub(crate) struct Cluster {
    pub(crate) kubectl: Kubectl,
    pub(crate) gateway_url: String,
    pub(crate) alertmanager_url: Option<String>,
    prometheus_url: String,
    gateway: (String, String),
}

/// Looks the cluster over; the error lists everything that is missing, not only the first.
pub(crate) fn check(options: &Options) -> Result<Cluster> {
    let kubectl = Kubectl::new(options.context.as_deref());
    ensure!(
        options.context.is_some() || std::env::var_os("SLUICE_TESTBED").is_some(),
        "no cluster: run `make demo`, which brings one up, or name an existing one: `make demo KUBECONTEXT=…`"
    );
    let mut missing = Vec::new();
    let version = kubectl.json(&["version"]).context("the cluster does not answer")?;
    let minor: u32 = text(&version, "/serverVersion/minor").trim_end_matches('+').parse().unwrap_or(0);
    if minor < 36 {
        missing.push(format!("Kubernetes 1.36 or later (for MutatingAdmissionPolicy); this is 1.{minor}"));
    }
    if !kubectl.succeeds(&["get", "crd", "httproutes.gateway.networking.k8s.io"]) {
        missing.push("the Gateway API: CRD httproutes.gateway.networking.k8s.io".to_owned());
    }
    let (namespace, name) = options.gateway.split_once('/').context("--gateway is written namespace/name")?;
    let gateway = kubectl.json(&["get", "gateways.gateway.networking.k8s.io", "-n", namespace, name]);
    match &gateway {
        Ok(gateway) if condition(gateway, "Programmed") => {}
        Ok(_) => missing.push(format!("a programmed Gateway: {namespace}/{name} is not (kubectl describe it)")),
        Err(_) => missing.push(format!(
            "a Gateway: {namespace}/{name} does not exist; name yours with SLUICE_GATEWAY=namespace/name"
        )),
    }
    if options.gateway_url.is_none() {
        missing.push("the gateway's address as seen from here: SLUICE_GATEWAY_URL=http://…".to_owned());
    }
    if options.prometheus_url.is_none() {
        missing.push(
            "a Prometheus that scrapes the gateway, as seen from Pods: SLUICE_PROMETHEUS_URL=http://…".to_owned(),
        );
    }
    if !missing.is_empty() {
        bail!("the cluster lacks:\n  - {}", missing.join("\n  - "));
    }
    Ok(Cluster {
        kubectl,
        gateway_url: options.gateway_url.clone().unwrap_or_default(),
        alertmanager_url: options.alertmanager_url.clone(),
        prometheus_url: options.prometheus_url.clone().unwrap_or_default(),
        gateway: (namespace.to_owned(), name.to_owned()),
    })
}

/// Whether a condition is True.
pub(crate) fn condition(object: &Value, type_: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|one| text(one, "/type") == type_ && text(one, "/status") == "True")
}

impl Cluster {
    /// Installs the operator and the shop, afresh.
    pub(crate) fn install(&self) -> Result<()> {
        let kubectl = &self.kubectl;
        if kubectl.succeeds(&["get", "namespace", "demo"]) {
            show::line("Removing what an earlier demo left.");
            if kubectl.succeeds(&["get", "crd", "rollouts.sluice.dev"]) {
                kubectl.text(&["delete", "rollouts.sluice.dev", "-n", "demo", "--all", "--timeout=90s"])?;
            }
            kubectl.text(&["delete", "namespace", "demo", "--timeout=90s"])?;
        }
        show::typed("kubectl apply -k deploy");
        kubectl.text(&["apply", "-k", "deploy"])?;
        kubectl.text(&["rollout", "status", "-n", "sluice-system", "deployment/sluice", "--timeout=90s"])?;
        let pods = kubectl.json(&["get", "pods", "-n", "sluice-system", "-l", "app.kubernetes.io/name=sluice"])?;
        let pods = pods.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
        let names: Vec<&str> = pods.iter().map(|pod| text(pod, "/metadata/name")).collect();
        show::line(&format!("The operator runs: {}. One of them decides.", names.join(", ")));

        show::typed("kubectl apply -f examples/shop/app.yaml        # Deployment of 4, Service, HTTPRoute");
        let app = read("examples/shop/app.yaml")?;
        let (namespace, name) = &self.gateway;
        let parent = format!("{{name: {name}, namespace: {namespace}}}");
        ensure!(
            app.contains("{name: gateway, namespace: gateway-system}"),
            "examples/shop/app.yaml has another parentRef"
        );
        kubectl.apply(&app.replace("{name: gateway, namespace: gateway-system}", &parent))?;
        let provider = read("examples/shop/provider.yaml")?;
        let address = format!("address: {}", self.prometheus_url);
        ensure!(
            provider.contains("address: http://10.250.0.1:9090"),
            "examples/shop/provider.yaml has another address"
        );
        kubectl.apply(&provider.replace("address: http://10.250.0.1:9090", &address))?;
        kubectl.text(&["rollout", "status", "-n", "demo", "deployment/shop", "--timeout=90s"])?;
        show::typed("kubectl apply -f examples/shop/rollout.yaml    # waves of 10%, 25%, 50%");
        kubectl.text(&["apply", "-f", "examples/shop/rollout.yaml"])?;
        let gated = ["wait", "-n", "demo", "rollouts.sluice.dev/shop", "--for=condition=Gated", "--timeout=60s"];
        kubectl.text(&gated).context("the gate was not proven")?;
        let ready = ["wait", "-n", "demo", "rollouts.sluice.dev/shop", "--for=condition=Ready", "--timeout=60s"];
        kubectl.text(&ready)?;
        Ok(())
    }

    /// The Rollout.
    pub(crate) fn rollout(&self) -> Result<Value> {
        self.kubectl.json(&["get", "rollouts.sluice.dev", "-n", "demo", "shop"])
    }

    /// The pods of the stable version: UID and restarts.
    pub(crate) fn stable_pods(&self) -> Result<Vec<(String, u64)>> {
        let pods = self.kubectl.json(&["get", "pods", "-n", "demo", "-l", "app=shop"])?;
        let pods = pods.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut found: Vec<(String, u64)> = pods
            .iter()
            .filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
            .map(|pod| {
                let restarts = pod.pointer("/status/containerStatuses/0/restartCount").and_then(Value::as_u64);
                (text(pod, "/metadata/uid").to_owned(), restarts.unwrap_or(0))
            })
            .collect();
        found.sort();
        Ok(found)
    }

    /// Waits until the gateway answers for the shop.
    pub(crate) async fn answers(&self) -> Result<()> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = client.get(&self.gateway_url).header("host", "shop.test").send().await;
            if answer.as_ref().is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the gateway at {} does not answer for shop.test", self.gateway_url);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until Alertmanager has the alert of the rollback.
    pub(crate) async fn alert(&self, patience: Duration) -> Result<Option<Value>> {
        let Some(url) = &self.alertmanager_url else {
            return Ok(None);
        };
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let deadline = Instant::now() + patience;
        loop {
            let answer = client.get(format!("{url}/api/v2/alerts")).send().await;
            if let Ok(answer) = answer {
                let alerts: Value = answer.json().await.unwrap_or_default();
                let found = alerts.as_array().into_iter().flatten().find(|alert| {
                    text(alert, "/labels/alertname") == "RolloutAutomaticallyRolledBack"
                        && text(alert, "/labels/namespace") == "demo"
                        && text(alert, "/status/state") == "active"
                });
                if let Some(alert) = found {
                    return Ok(Some(alert.clone()));
                }
            }
            ensure!(
                Instant::now() < deadline,
                "no alert RolloutAutomaticallyRolledBack in Alertmanager within {patience:?}"
            );
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read; run from the project's folder"))
}
