//! Records from the cluster. Lists, in pages; writes nothing.

use anyhow::{Context as _, bail};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};

use super::{Records, source};
use crate::api::{Reclassification, Release, ReworkEvent};

/// How many objects a page has.
const PAGE: u32 = 500;

/// Reads every record of a namespace, or of all; returns the namespace that is meant if none is named. Each object is read
/// by itself: one that is not as the schema says does not hide the others.
pub(crate) async fn read(records: &mut Records, namespace: Option<&str>, all: bool) -> anyhow::Result<String> {
    let (client, usual) = source::cluster().await?;
    let namespace = namespace.map_or(usual, str::to_owned);
    let resources = [
        ("Release", ApiResource::erase::<Release>(&())),
        ("ReworkEvent", ApiResource::erase::<ReworkEvent>(&())),
        ("Reclassification", ApiResource::erase::<Reclassification>(&())),
    ];
    for (kind, resource) in resources {
        let api: Api<DynamicObject> = if all {
            Api::all_with(client.clone(), &resource)
        } else {
            Api::namespaced_with(client.clone(), &namespace, &resource)
        };
        list(records, &api, kind, &resource).await?;
    }
    Ok(namespace)
}

async fn list(
    records: &mut Records,
    api: &Api<DynamicObject>,
    kind: &str,
    resource: &ApiResource,
) -> anyhow::Result<()> {
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let found = match api.list(&page).await {
            Ok(found) => found,
            Err(kube::Error::Api(answer)) if answer.code == 404 && kind == "Reclassification" => {
                records.notes.push("this cluster has no reclassifications.sluice.dev: apply crds/".to_owned());
                return Ok(());
            }
            Err(kube::Error::Api(answer)) if answer.code == 403 => bail!(
                "{}.sluice.dev cannot be listed: {}; ClusterRole sluice-viewer holds that right",
                resource.plural,
                answer.message
            ),
            Err(error) => {
                return Err(error).with_context(|| format!("{}.sluice.dev cannot be listed", resource.plural));
            }
        };
        for object in &found.items {
            match serde_json::to_value(object) {
                Ok(value) => records.take("the cluster", kind, &value),
                Err(error) => records.unreadable.push(format!("the cluster: a {kind} cannot be read: {error}")),
            }
        }
        match found.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = ListParams::default().limit(PAGE).continue_token(&token),
            None => return Ok(()),
        }
    }
}
