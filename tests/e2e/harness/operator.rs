//! The operator's Pods: their log, which of them decides, and the ways to take that one away.

use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};

const NAMESPACE: &str = "sluice-system";
const LABELS: &str = "app.kubernetes.io/name=sluice";
const LEASE: &str = "sluice";
/// How many replicas `deploy/base/operator.yaml` asks for.
const REPLICAS: usize = 2;

fn api(client: &Client) -> Api<Pod> {
    Api::namespaced(client.clone(), NAMESPACE)
}

async fn pods(client: &Client) -> Vec<Pod> {
    let list = api(client).list(&ListParams::default().labels(LABELS)).await;
    list.map(|list| list.items).unwrap_or_default()
}

/// The last lines of the operator's log, of all its Pods.
pub async fn log(client: &Client, lines: i64) -> String {
    let mut text = String::new();
    for pod in pods(client).await {
        let parameters = LogParams { tail_lines: Some(lines), ..LogParams::default() };
        text.push_str(&api(client).logs(&pod.name_any(), &parameters).await.unwrap_or_else(|error| error.to_string()));
    }
    text
}

/// The process that holds the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// The name under which it holds it: another one after each start.
    pub identity: String,
    pub pod: String,
    /// When this was seen.
    pub seen: Timestamp,
}

/// The leader. Waits for one that has taken the Lease over from one that ended.
pub async fn leader(client: &Client) -> Leader {
    holder(client, "somebody leads", 30, |_| true).await
}

/// Waits until another process leads.
pub async fn taken_over(client: &Client, from: &Leader, seconds: u64) -> Leader {
    let what = format!("another process than {} leads", from.identity);
    holder(client, &what, seconds, |identity| identity != from.identity).await
}

async fn holder(client: &Client, what: &str, seconds: u64, wanted: impl Fn(&str) -> bool) -> Leader {
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let mut changes = pin!(watcher::watch_object(leases, LEASE).default_backoff());
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(change) = tokio::time::timeout(left, changes.next()).await else {
            panic!("waited {seconds}s until {what}");
        };
        let spec = change.and_then(Result::ok).flatten().and_then(|lease| lease.spec);
        let identity = spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        if let Some((pod, _)) = identity.rsplit_once('_')
            && wanted(&identity)
        {
            return Leader { pod: pod.to_owned(), seen: Timestamp::now(), identity };
        }
    }
}

/// Waits until what is asked for is found in the Pods.
async fn until<T>(client: &Client, what: &str, seconds: u64, found: impl Fn(&[Pod]) -> Option<T>) -> T {
    let mut changes = pin!(watcher(api(client), watcher::Config::default().labels(LABELS)).default_backoff());
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = found(&pods(client).await) {
            return found;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if tokio::time::timeout(left, changes.next()).await.is_err() {
            panic!("waited {seconds}s until {what}");
        }
    }
}

/// Waits until every replica is ready.
pub async fn complete(client: &Client) {
    let ready = |pod: &&Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let ready = conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
        ready && pod.metadata.deletion_timestamp.is_none()
    };
    until(client, "all replicas of the operator are ready", 90, |pods| {
        (pods.iter().filter(ready).count() == REPLICAS && pods.len() == REPLICAS).then_some(())
    })
    .await;
}

/// Waits until the container of a Pod has ended since a time, and returns its exit code.
pub async fn ended(client: &Client, pod: &str, since: Timestamp, seconds: u64) -> i32 {
    until(client, &format!("the container of {pod} ends"), seconds, |pods| {
        let status = pods.iter().find(|one| one.name_any() == pod)?.status.as_ref()?;
        let container = status.container_statuses.as_ref()?.first()?;
        let states = [&container.state, &container.last_state];
        let mut ends = states.into_iter().flatten().filter_map(|state| state.terminated.as_ref());
        let last = ends.find(|end| end.finished_at.as_ref().is_some_and(|at| at.0 >= since))?;
        Some(last.exit_code)
    })
    .await
}

/// Deletes a Pod of the operator with the grace that it asks for: SIGTERM.
pub async fn terminate(client: &Client, pod: &str) {
    api(client).delete(pod, &DeleteParams::default()).await.expect("the operator's Pod");
}

/// Deletes a Pod of the operator without grace: its successor may start while it still ends.
pub async fn remove(client: &Client, pod: &str) {
    let _ = api(client).delete(pod, &DeleteParams::default().grace_period(0)).await;
}

/// Starts every replica anew, and waits until all are ready.
pub async fn renew(client: &Client) {
    let before: Vec<String> = pods(client).await.iter().filter_map(ResourceExt::uid).collect();
    for pod in pods(client).await {
        terminate(client, &pod.name_any()).await;
    }
    until(client, "every replica of the operator has ended", 60, |pods| {
        let old = pods.iter().filter_map(ResourceExt::uid).any(|uid| before.contains(&uid));
        (!old).then_some(())
    })
    .await;
    complete(client).await;
    leader(client).await;
}

/// Deletes the leader's Pod without grace.
pub async fn delete_pod(client: &Client) {
    remove(client, &leader(client).await.pod).await;
}

/// `kill -9` to the leader's process: its container is started again in the same Pod.
pub async fn kill_process(client: &Client) {
    signal("-9", &processes_of(client, &leader(client).await.pod).await);
}

/// The address of one of the operator's Pods.
pub async fn address(client: &Client, pod: &str) -> IpAddr {
    let found = pods(client).await.into_iter().find(|one| one.name_any() == pod);
    let ip = found.and_then(|pod| pod.status).and_then(|status| status.pod_ip).expect("a Pod with an address");
    ip.parse().expect("an address")
}

/// What a process of the operator uses of memory, and what it used at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    pub pod: String,
    pub restarts: i32,
    pub now_kib: u64,
    pub most_kib: u64,
}

/// The memory of every replica.
pub async fn memory(client: &Client) -> Vec<Memory> {
    let mut all = Vec::new();
    for pod in pods(client).await {
        let name = pod.name_any();
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        let restarts = statuses.iter().map(|status| status.restart_count).sum();
        for id in processes_of(client, &name).await {
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                line.trim().trim_end_matches("kB").trim().parse().unwrap_or_default()
            };
            all.push(Memory { pod: name.clone(), restarts, now_kib: field("VmRSS:"), most_kib: field("VmHWM:") });
        }
    }
    all
}

/// `kill -9` to the process of the Pod with this address, and a new Pod in its place: the kubelet starts a container that
/// was killed often later each time. Then the Lease is taken from the dead, as if its term were over: how long that takes
/// is the business of other scenarios. False if there is no such Pod any more.
pub async fn kill_at(client: &Client, address: IpAddr) -> bool {
    let pods = pods(client).await;
    let at = |pod: &&Pod| {
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        ip.and_then(|ip| ip.parse().ok()) == Some(address)
    };
    let Some(pod) = pods.iter().find(at).map(ResourceExt::name_any) else { return false };
    signal("-9", &processes_of(client, &pod).await);
    remove(client, &pod).await;
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let free = Patch::Merge(serde_json::json!({"spec": {"holderIdentity": ""}}));
    leases.patch(LEASE, &PatchParams::default(), &free).await.expect("the Lease");
    true
}

/// A process that was stopped; it goes on when this is dropped.
#[derive(Debug)]
pub struct Halted(Vec<String>);

impl Halted {
    /// Lets it go on.
    pub fn resume(self) {
        drop(self);
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        for id in &self.0 {
            let _ = std::process::Command::new("kill").args(["-CONT", id]).status();
        }
    }
}

/// Stops a process of the operator where it is, as a machine that hangs does.
pub async fn halt(client: &Client, pod: &str) -> Halted {
    let halted = Halted(processes_of(client, pod).await);
    signal("-STOP", &halted.0);
    halted
}

fn signal(signal: &str, ids: &[String]) {
    let status = std::process::Command::new("kill").arg(signal).args(ids).status();
    assert!(status.is_ok_and(|status| status.success()), "kill {signal} {ids:?}");
}

/// The process ids of the operator in one of its Pods.
async fn processes_of(client: &Client, pod: &str) -> Vec<String> {
    let pods = pods(client).await;
    let uid = pods.iter().find(|one| one.name_any() == pod).and_then(ResourceExt::uid).expect("the operator's Pod");
    // The kubelet writes the Pod's UID into the name of its cgroup, with one or another separator.
    let spellings = [uid.clone(), uid.replace('-', "_")];
    let of_pod = processes().into_iter().filter(|process| {
        let cgroup = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        let command = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        spellings.iter().any(|uid| cgroup.contains(uid.as_str())) && command.contains("sluice")
    });
    let ids: Vec<String> =
        of_pod.filter_map(|process| process.file_name().and_then(|name| name.to_str()).map(str::to_owned)).collect();
    assert!(!ids.is_empty(), "no process of the operator was found in {pod}");
    ids
}

fn processes() -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(Path::new("/proc")).expect("/proc");
    let numbered = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    all.flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(numbered))
        .collect()
}
