//! The decision log of a Release from the cluster, and the Rollout that may have more of it. Writes nothing.

use anyhow::{Context as _, bail};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};

use super::Logs;
use crate::api::{DecisionLog, Rollout};
use crate::report_command::source;

/// Reads the log of a Release and, as it may be in progress, the Rollouts beside it.
/// Each Rollout is read by itself: another one that is not as the schema says is no matter of this log.
pub(super) async fn read(logs: &mut Logs, namespace: Option<&str>, release: &str) -> anyhow::Result<()> {
    let (client, usual) = source::cluster().await?;
    let namespace = namespace.map_or(usual, str::to_owned);
    // The Rollouts first: an entry that is written in between is then in both, and not in none.
    let rollouts: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &namespace, &ApiResource::erase::<Rollout>(&()));
    match rollouts.list(&ListParams::default()).await {
        Ok(found) => {
            let of = |rollout: &&DynamicObject| {
                let run = rollout.data.pointer("/status/run/release");
                run.is_some_and(|run| run == release)
            };
            for rollout in found.items.iter().filter(of) {
                logs.take_object("the cluster", "Rollout", &serde_json::to_value(rollout)?);
            }
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
