//! The decision log of a Release from the cluster, and the Rollout that may have more of it. Writes nothing.

use anyhow::{Context as _, bail};
use kube::api::ListParams;
use kube::{Api, Client, Config};

use super::Logs;
use crate::api::{DecisionLog, Rollout};

/// Reads the log of a Release and, as it may be in progress, the Rollouts beside it.
pub(super) async fn read(logs: &mut Logs, namespace: Option<&str>, release: &str) -> anyhow::Result<()> {
    let config = Config::infer().await.context(
        "no cluster: neither a kubeconfig nor in-cluster configuration was found; --from reads a log from a file",
    )?;
    let namespace = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
    let client = Client::try_from(config).context("the cluster's address or credentials cannot be used")?;
    // The Rollouts first: an entry that is written in between is then in both, and not in none.
    let rollouts: Api<Rollout> = Api::namespaced(client.clone(), &namespace);
    match rollouts.list(&ListParams::default()).await {
        Ok(found) => {
            let of = |rollout: &Rollout| {
                let run = rollout.status.as_ref().and_then(|status| status.run.as_ref());
                run.is_some_and(|run| run.release == release)
            };
            found.items.into_iter().filter(of).for_each(|rollout| logs.rollout(rollout));
        }
        Err(kube::Error::Api(answer)) if answer.code == 403 => bail!(
            "rollouts.sluice.dev cannot be listed: {}; ClusterRole sluice-viewer holds that right",
            answer.message
        ),
        Err(error) => return Err(error).context("rollouts.sluice.dev cannot be listed"),
    }
    let api: Api<DecisionLog> = Api::namespaced(client, &namespace);
    match api.get_opt(release).await {
        Ok(log) => log.into_iter().for_each(|log| logs.log(log)),
        Err(kube::Error::Api(answer)) if answer.code == 403 => bail!(
            "decisionlogs.sluice.dev cannot be read: {}; ClusterRole sluice-viewer holds that right",
            answer.message
        ),
        Err(error) => return Err(error).with_context(|| format!("DecisionLog {release} cannot be read")),
    }
    Ok(())
}
