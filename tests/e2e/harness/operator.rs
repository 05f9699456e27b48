//! The operator's Pod: its log, and two ways to kill it.

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, LogParams};
use kube::{Api, Client, ResourceExt};

const NAMESPACE: &str = "sluice-system";
const LABELS: &str = "app.kubernetes.io/name=sluice";

async fn pods(client: &Client) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let list = api.list(&ListParams::default().labels(LABELS)).await;
    list.map(|list| list.items).unwrap_or_default()
}

/// The last lines of the operator's log.
pub async fn log(client: &Client, lines: i64) -> String {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let mut text = String::new();
    for pod in pods(client).await {
        let parameters = LogParams { tail_lines: Some(lines), ..LogParams::default() };
        text.push_str(&api.logs(&pod.name_any(), &parameters).await.unwrap_or_else(|error| error.to_string()));
    }
    text
}

/// Deletes the operator's Pod without grace: its successor may start while it still ends.
pub async fn delete_pod(client: &Client) {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    for pod in pods(client).await {
        let now = DeleteParams::default().grace_period(0);
        let _ = api.delete(&pod.name_any(), &now).await;
    }
}

/// `kill -9` to the operator's process: its container is started again in the same Pod.
pub async fn kill_process(client: &Client) {
    let mut killed = 0;
    for pod in pods(client).await {
        let uid = pod.uid().unwrap_or_default();
        // The kubelet writes the Pod's UID into the name of its cgroup, with one or another separator.
        let spellings = [uid.clone(), uid.replace('-', "_")];
        for process in processes() {
            let cgroup = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
            let command = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
            if spellings.iter().any(|uid| cgroup.contains(uid.as_str())) && command.contains("sluice") {
                let id = process.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                let status = std::process::Command::new("kill").args(["-9", &id]).status();
                killed += usize::from(status.is_ok_and(|status| status.success()));
            }
        }
    }
    assert!(killed > 0, "no process of the operator was found");
}

fn processes() -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(Path::new("/proc")).expect("/proc");
    let numbered = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    all.flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(numbered))
        .collect()
}
