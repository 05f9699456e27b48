//! The operator's processes, from outside: which of them decides, what they take, and how soon they are ready.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::cluster::{Cluster, Kind, until};

const NAMESPACE: &str = "sluice-system";
const LABELS: &str = "app.kubernetes.io/name=sluice";
const LEASE: &str = "sluice";
const REPLICAS: usize = 2;
/// The kernel counts times of processes in hundredths of a second.
const TICKS: f64 = 100.0;

/// What a process has of memory, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) now: u64,
    /// Of that, what is its own and no part of a file.
    pub(crate) own: u64,
    /// Resident at most since its start.
    pub(crate) most: u64,
}

/// One replica.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) pod: String,
    pub(crate) leads: bool,
    pub(crate) memory: Memory,
    /// Seconds of processor time since its start.
    pub(crate) cpu: f64,
}

fn pods_api(cluster: &Cluster) -> Api<Pod> {
    Api::namespaced(cluster.client.clone(), NAMESPACE)
}

async fn pods(cluster: &Cluster) -> Result<Vec<Pod>> {
    let list = pods_api(cluster).list(&ListParams::default().labels(LABELS)).await.context("the operator's Pods")?;
    Ok(list.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
}

/// The Pod that holds the Lease, if any does.
async fn leader(cluster: &Cluster) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let holder = leases.get(LEASE).await.ok()?.spec?.holder_identity?;
    holder.rsplit_once('_').map(|(pod, _)| pod.to_owned())
}

fn ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
}

/// Every replica, the leader first. Waits until all are ready and one of them leads.
pub(crate) async fn replicas(cluster: &Cluster) -> Result<Vec<Replica>> {
    let (pods, leader) = until(
        "both replicas are ready and one leads",
        Duration::from_secs(120),
        Duration::from_millis(200),
        || async {
            let pods = pods(cluster).await.ok()?;
            let leader = leader(cluster).await?;
            let complete = pods.len() == REPLICAS && pods.iter().all(ready);
            (complete && pods.iter().any(|pod| pod.name_any() == leader)).then_some((pods, leader))
        },
    )
    .await?;
    let mut replicas = Vec::new();
    for pod in pods {
        let name = pod.name_any();
        let process = process(&pod).with_context(|| format!("no process of {name} was found"))?;
        replicas.push(Replica { leads: name == leader, pod: name, memory: memory(&process), cpu: cpu(&process) });
    }
    replicas.sort_by_key(|replica| !replica.leads);
    Ok(replicas)
}

/// How soon a replica was there.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    /// Seconds from the start of the process until its probe said ready.
    pub(crate) seconds: f64,
    /// What it had then.
    pub(crate) memory: Memory,
}

/// Replaces one replica, and says how soon its successor is ready.
pub(crate) async fn replace(cluster: &Cluster, pod: &str) -> Result<Started> {
    let before: Vec<String> = pods(cluster).await?.iter().map(ResourceExt::name_any).collect();
    pods_api(cluster).delete(pod, &DeleteParams::default()).await.with_context(|| format!("cannot delete {pod}"))?;
    let often = Duration::from_millis(20);
    let (process, address) = until("the successor's process runs", Duration::from_secs(60), often, || async {
        let pods = pods(cluster).await.ok()?;
        let new = pods.into_iter().find(|pod| !before.contains(&pod.name_any()))?;
        Some((process(&new)?, new.status?.pod_ip?))
    })
    .await?;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let url = format!("http://{address}:8080/readyz");
    let ready_at = until("the successor says that it is ready", Duration::from_secs(120), often, || async {
        let answer = client.get(&url).send().await.ok()?;
        answer.status().is_success().then(Timestamp::now)
    })
    .await?;
    let began = began(&process).context("when the process began")?;
    let seconds = ready_at.duration_since(began).as_secs_f64();
    ensure!(seconds > 0.0, "the process began after it was ready: the clocks differ");
    Ok(Started { seconds, memory: memory(&process) })
}

/// Takes the annotation away by which the testbed's Prometheus scrapes the operator every second: nobody scrapes it so
/// often. What one answer costs is measured by itself.
pub(crate) async fn unscraped(cluster: &Cluster) -> Result<()> {
    let fields = json!({"spec": {"template": {"metadata": {"annotations": {"prometheus.io/scrape": "false"}}}}});
    cluster.merge(Kind::Deployment, NAMESPACE, "sluice", &fields).await?;
    // The old Pods go first: their names are not those of the new ones.
    let unscraped = |pod: &Pod| pod.annotations().get("prometheus.io/scrape").is_some_and(|value| value == "false");
    until("both replicas are unscraped", Duration::from_secs(120), Duration::from_millis(500), || async {
        let pods = pods(cluster).await.ok()?;
        (pods.len() == REPLICAS && pods.iter().all(|pod| unscraped(pod) && ready(pod))).then_some(())
    })
    .await
}

/// What a replica tells Prometheus: series, and bytes of text.
pub(crate) async fn told(cluster: &Cluster, pod: &str) -> Result<(usize, usize)> {
    let found = pods(cluster).await?.into_iter().find(|one| one.name_any() == pod);
    let address = found.and_then(|pod| pod.status?.pod_ip).with_context(|| format!("{pod} has no address"))?;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    let text = client.get(format!("http://{address}:8080/metrics")).send().await?.error_for_status()?.text().await?;
    Ok((text.lines().filter(|line| !line.starts_with('#')).count(), text.len()))
}

/// The process of the operator in one of its Pods.
fn process(pod: &Pod) -> Option<PathBuf> {
    let uid = pod.uid()?;
    // The kubelet writes the Pod's UID into the name of its cgroup, with one or another separator.
    let spellings = [uid.clone(), uid.replace('-', "_")];
    let numbered = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut processes = std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path()).filter(numbered);
    let ours = |process: &PathBuf| {
        let cgroup = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        let command = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        spellings.iter().any(|uid| cgroup.contains(uid.as_str())) && command.contains("sluice")
    };
    processes.find(ours)
}

fn memory(process: &Path) -> Memory {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    Memory { now: field(&status, "VmRSS:"), own: field(&status, "RssAnon:"), most: field(&status, "VmHWM:") }
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().unwrap_or_default()
}

/// The numbers of `/proc/PID/stat` behind the name, which may hold spaces; the first of them is number 3 of the manual.
fn stat(process: &Path) -> Vec<f64> {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    let numbers = stat.rsplit_once(')').map_or("", |(_, numbers)| numbers);
    numbers.split_whitespace().map(|number| number.parse().unwrap_or_default()).collect()
}

fn cpu(process: &Path) -> f64 {
    let stat = stat(process);
    [11, 12].iter().filter_map(|index| stat.get(*index)).sum::<f64>() / TICKS
}

/// When a process began.
fn began(process: &Path) -> Option<Timestamp> {
    let ticks = *stat(process).get(19)?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let age = Duration::try_from_secs_f64(uptime - ticks / TICKS).ok()?;
    Timestamp::now().checked_sub(age).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_an_age_memory_and_used_the_processor() {
        let own = PathBuf::from("/proc/self");
        let memory = memory(&own);
        assert!(memory.now > 0 && memory.most >= memory.own);
        let age = Timestamp::now().duration_since(began(&own).unwrap()).as_secs_f64();
        // Both clocks count in hundredths of a second.
        assert!((-0.05..600.0).contains(&age), "{age}");
        assert!((0.0..600.0).contains(&cpu(&own)));
        assert_eq!(field("VmRSS:\t    1234 kB\n", "VmRSS:"), 1234);
    }
}
