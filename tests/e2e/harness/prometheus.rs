//! Prometheus of the testbed: an outage that ends whatever happens, and what it answers.

use std::sync::OnceLock;
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

/// What Prometheus answers below `/api/v1/`; what went wrong, if there is no answer.
pub async fn ask(path: &str, params: &[(&str, &str)]) -> Value {
    let base = format!("{}/api/v1/{path}", std::env::var("SLUICE_PROMETHEUS_URL").unwrap());
    let url = reqwest::Url::parse_with_params(&base, params).unwrap();
    match client().get(url).send().await {
        Ok(answer) => answer.json::<Value>().await.unwrap_or_default(),
        Err(error) => Value::String(error.to_string()),
    }
}

/// How many series an answer has, if it is one.
pub fn found(answer: &Value) -> Option<usize> {
    answer.pointer("/data/result").and_then(Value::as_array).map(Vec::len)
}

fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Each scenario has a runtime of its own; a connection belongs to the one in which it was made.
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).pool_max_idle_per_host(0);
        client.build().unwrap()
    })
}

/// Asks Prometheus, which offers no way to be told, until a query answers with so many series.
pub async fn series(promql: &str, wanted: usize, seconds: u64) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let answer = ask("query", &[("query", promql)]).await;
        let found = found(&answer);
        if found == Some(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{promql} has {found:?} series and not {wanted} after {seconds}s: {answer}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
