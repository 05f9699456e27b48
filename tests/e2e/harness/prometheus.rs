//! Prometheus and Alertmanager of the testbed: an outage that ends whatever happens, and the alerts that fire.

use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::Testbed;

/// Prometheus is down until this is dropped or [`Outage::end`] is called.
#[derive(Debug)]
pub struct Outage {
    testbed: Testbed,
}

impl Outage {
    /// Stops Prometheus; returns when it is down.
    pub async fn begin() -> Self {
        tokio::task::spawn_blocking(|| {
            let testbed = Testbed::current().expect("a testbed");
            testbed.stop("prometheus").expect("prometheus stops");
            Self { testbed }
        })
        .await
        .unwrap()
    }

    /// Starts Prometheus again; returns when it answers.
    pub async fn end(self) {
        tokio::task::spawn_blocking(move || drop(self)).await.unwrap();
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        let started = self.testbed.start("prometheus");
        let ready = started.and_then(|()| self.testbed.wait_ready("prometheus", Duration::from_secs(30)));
        if let Err(error) = ready {
            eprintln!("prometheus does not come back: {error:#}");
        }
    }
}

/// Asks Prometheus, which offers no way to be told, until a query answers with so many series.
pub async fn series(promql: &str, wanted: usize, seconds: u64) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
    let base = format!("{}/api/v1/query", std::env::var("SLUICE_PROMETHEUS_URL").unwrap());
    let url = reqwest::Url::parse_with_params(&base, [("query", promql)]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let answer = match client.get(url.clone()).send().await {
            Ok(answer) => answer.json::<Value>().await.unwrap_or_default(),
            Err(error) => Value::String(error.to_string()),
        };
        let found = answer.pointer("/data/result").and_then(Value::as_array).map(Vec::len);
        if found == Some(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{promql} has {found:?} series and not {wanted} after {seconds}s: {answer}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Asks Alertmanager, which offers no way to be told, until this alert fires for a namespace.
pub async fn alert(name: &str, namespace: &str, seconds: u64) -> Value {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
    let url = format!("{}/api/v2/alerts?active=true", std::env::var("SLUICE_ALERTMANAGER_URL").unwrap());
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let answer = match client.get(&url).send().await {
            Ok(answer) => answer.json::<Value>().await.unwrap_or_default(),
            Err(error) => Value::String(error.to_string()),
        };
        let label = |alert: &Value, label: &str| alert["labels"][label].as_str().unwrap_or_default().to_owned();
        let found = answer.as_array().and_then(|alerts| {
            alerts.iter().find(|alert| label(alert, "alertname") == name && label(alert, "namespace") == namespace)
        });
        if let Some(alert) = found {
            return alert.clone();
        }
        assert!(Instant::now() < deadline, "alert {name} for {namespace} does not fire within {seconds}s: {answer:#}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
