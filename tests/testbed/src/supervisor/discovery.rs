//! Tells Prometheus which Pods to scrape. Debian's build cannot ask Kubernetes itself.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::probe::Prober;
use crate::cluster::Layout;

const EVERY: Duration = Duration::from_secs(1);
/// Version 0 is served from the API server's memory. Pods of simulated nodes serve nothing.
const PODS: &str = "/api/v1/pods?fieldSelector=status.phase%3DRunning%2Cspec.nodeName%3Dnode1&resourceVersion=0";

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Target {
    targets: Vec<String>,
    labels: BTreeMap<String, String>,
}

/// Keeps the file that Prometheus watches up to date, for ever.
pub(super) async fn run(layout: Layout, prober: Prober) {
    let file = layout.path("prometheus/targets/pods.json");
    let partial = layout.path("prometheus/pods.partial");
    let mut written = String::new();
    loop {
        // While the API server is away, the last known Pods stay.
        if let Ok(list) = prober.get(PODS).await
            && let Ok(text) = serde_json::to_string_pretty(&targets(&list))
            && text != written
        {
            match fs::write(&partial, &text).and_then(|()| fs::rename(&partial, &file)) {
                Ok(()) => written = text,
                Err(error) => eprintln!("cannot write {}: {error}", file.display()),
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn targets(list: &Value) -> Vec<Target> {
    let pods = list.get("items").and_then(Value::as_array);
    let mut targets: Vec<_> = pods.into_iter().flatten().filter_map(target).collect();
    targets.sort();
    targets
}

/// The target of a Pod that asks to be scraped and has an address.
fn target(pod: &Value) -> Option<Target> {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str);
    let annotation = |name: &str| pod.pointer("/metadata/annotations")?.get(name)?.as_str();
    if annotation("prometheus.io/scrape") != Some("true") {
        return None;
    }
    let address = text("/status/podIP")?;
    let port = annotation("prometheus.io/port").unwrap_or("8080");
    let mut labels = BTreeMap::from([
        ("namespace".to_owned(), text("/metadata/namespace")?.to_owned()),
        ("pod".to_owned(), text("/metadata/name")?.to_owned()),
    ]);
    let app = pod.pointer("/metadata/labels").and_then(|labels| labels.get("app.kubernetes.io/name"));
    if let Some(app) = app.and_then(Value::as_str) {
        labels.insert("app".to_owned(), app.to_owned());
    }
    if let Some(path) = annotation("prometheus.io/path") {
        labels.insert("metrics_path".to_owned(), path.to_owned());
    }
    Some(Target { targets: vec![format!("{address}:{port}")], labels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(annotations: Value, ip: Value) -> Value {
        json!({"metadata": {"name": "shop-1", "namespace": "shop", "annotations": annotations,
            "labels": {"app.kubernetes.io/name": "shop"}}, "status": {"podIP": ip}})
    }

    #[test]
    fn only_pods_that_ask_and_have_an_address_are_targets() {
        let asks = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9000", "prometheus.io/path": "/m"});
        let list = json!({"items": [
            pod(asks.clone(), json!("10.245.0.7")),
            pod(asks, Value::Null),
            pod(json!({"prometheus.io/scrape": "false"}), json!("10.245.0.8")),
            pod(Value::Null, json!("10.245.0.9")),
        ]});
        let labels = [("app", "shop"), ("metrics_path", "/m"), ("namespace", "shop"), ("pod", "shop-1")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            targets(&list),
            [Target { targets: vec!["10.245.0.7:9000".to_owned()], labels: BTreeMap::from(labels) }]
        );
    }
}
