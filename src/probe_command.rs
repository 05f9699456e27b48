//! `sluice probe`: asks every replica behind the operator's Service whether it is ready. Reads EndpointSlices and asks
//! `/readyz`; writes nothing, and needs no other right and no DNS. `helm test` runs it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client, Config};

/// How long one replica may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long after a look the next one comes.
const AGAIN: Duration = Duration::from_secs(1);

/// What is asked.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the operator runs. Default: the namespace of the cluster configuration.
    #[arg(long, short)]
    namespace: Option<String>,
    /// The Service that leads to the operator.
    #[arg(long, default_value = "sluice-metrics")]
    service: String,
    /// So many replicas must be ready, at least.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// How many seconds to wait for that.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

impl Args {
    /// Prints what each replica answered; fails unless enough are ready in time.
    pub fn run(self) -> anyhow::Result<()> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.ask())
    }

    async fn ask(self) -> anyhow::Result<()> {
        let config = Config::infer().await.context("no cluster: neither in-cluster configuration nor a kubeconfig")?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("the cluster's address or credentials cannot be used")?;
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER).build()?;
        let mut last = Vec::new();
        let enough = async {
            loop {
                last = look(&client, &http, &namespace, &self.service).await?;
                if last.iter().filter(|replica| replica.ready).count() >= self.replicas {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(self.timeout), enough).await;
        for replica in &last {
            println!("{}", replica.said);
        }
        match outcome {
            Ok(outcome) => outcome,
            Err(_) => {
                let ready = last.iter().filter(|replica| replica.ready).count();
                bail!(
                    "{ready} of {} replicas behind Service {namespace}/{} were ready within {} s; see kubectl get pods -n {namespace}",
                    self.replicas,
                    self.service,
                    self.timeout
                )
            }
        }
    }
}

/// What came of asking one replica.
struct Replica {
    ready: bool,
    said: String,
}

async fn look(client: &Client, http: &reqwest::Client, namespace: &str, service: &str) -> anyhow::Result<Vec<Replica>> {
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let of = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let slices = api.list(&of).await.with_context(|| format!("EndpointSlices in {namespace} cannot be listed"))?;
    let mut found = Vec::new();
    for slice in &slices.items {
        let ports = slice.ports.iter().flatten();
        for port in ports.filter_map(|port| port.port) {
            for endpoint in &slice.endpoints {
                for address in &endpoint.addresses {
                    let pod = endpoint.target_ref.as_ref().and_then(|pod| pod.name.as_deref()).unwrap_or("a pod");
                    found.push(ask(http, pod, address, port).await);
                }
            }
        }
    }
    Ok(found)
}

async fn ask(http: &reqwest::Client, pod: &str, address: &str, port: i32) -> Replica {
    // An IPv6 address stands in brackets.
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    match http.get(format!("http://{host}:{port}/readyz")).send().await {
        Ok(answer) => {
            let status = answer.status();
            let text = answer.text().await.unwrap_or_default();
            let said = format!("{pod} at {host}:{port}: {} {}", status.as_u16(), text.trim());
            Replica { ready: status.is_success(), said }
        }
        Err(error) => Replica { ready: false, said: format!("{pod} at {host}:{port}: {error}") },
    }
}
