//! The status of a Rollout: the intent, committed before anything moves, with the resourceVersion that was read.

use kube::api::{Patch, PatchParams, PostParams};
use kube::core::error_boundary::InvalidObject;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{Error, client, send};
use crate::api::{Rollout, RolloutStatus};
use crate::leadership::Writer;

/// Writes the status; fails with a conflict if anything was written since the Rollout was read. Returns the Rollout
/// as it is now.
pub async fn commit(writer: &Writer, rollout: &Rollout, status: RolloutStatus) -> Result<Rollout, Error> {
    let namespace = rollout.namespace().unwrap_or_default();
    let api: Api<Rollout> = Api::namespaced(client(writer, "status")?.clone(), &namespace);
    let mut next = rollout.clone();
    next.status = Some(status);
    send("status", api.replace_status(&rollout.name_any(), &PostParams::default(), &next)).await
}

/// Says on an object that this program cannot read what is wrong with it. Written again, it changes nothing.
pub async fn malformed(writer: &Writer, object: &InvalidObject) -> Result<(), Error> {
    let meta = &object.metadata;
    let (Some(name), Some(namespace)) = (&meta.name, &meta.namespace) else {
        return Ok(());
    };
    let resource = kube::discovery::ApiResource::erase::<Rollout>(&());
    let client = client(writer, "status")?.clone();
    let api: Api<kube::api::DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    let message: String = format!("this Rollout cannot be read: {}", object.error).chars().take(1000).collect();
    let condition = |type_: &str, status: &str| {
        json!({
            "type": type_,
            "status": status,
            "observedGeneration": meta.generation.unwrap_or_default(),
            "lastTransitionTime": meta.creation_timestamp,
            "reason": "InvalidSpec",
            "message": message,
        })
    };
    let patch = json!({"status": {
        "observedGeneration": meta.generation.unwrap_or_default(),
        "phase": "Stalled",
        "message": message,
        "conditions": [condition("Ready", "False"), condition("Stalled", "True")],
    }});
    send("status", api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))).await?;
    Ok(())
}
