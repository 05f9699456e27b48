//! The DecisionLog of an attempt: made with its first entries, then only added to.
//!
//! Entries are written onto the one that they follow: what a leader that was deposed sends late changes nothing, and
//! neither does what is sent twice. The entries are in the status of the Rollout until they are seen here.

use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::records::labels;
use super::{Error, client, send, there_already};
use crate::api::{DecisionLog, DecisionLogSpec, LogHead, Rollout};
use crate::leadership::Writer;

/// Makes the log with these entries, or adds them to it behind the entry `onto`.
pub(super) async fn write(
    writer: &Writer,
    rollout: &Rollout,
    name: &str,
    log: &DecisionLogSpec,
    onto: Option<&LogHead>,
) -> Result<(), Error> {
    let namespace = kube::ResourceExt::namespace(rollout).unwrap_or_default();
    let api: Api<DecisionLog> = Api::namespaced(client(writer, "decision log")?.clone(), &namespace);
    let Some(onto) = onto else {
        let mut whole = DecisionLog::new(name, log.clone());
        whole.metadata.labels = Some(labels(&rollout.name_any(), rollout.spec.owner.as_ref()));
        return there_already(send("decision log", api.create(&PostParams::default(), &whole)).await);
    };
    let patch: json_patch::Patch = match serde_json::from_value(added(log, onto)) {
        Ok(patch) => patch,
        Err(source) => {
            return Err(Error::Refused { what: "decision log", source: Box::new(kube::Error::SerdeError(source)) });
        }
    };
    let sent = send("decision log", api.patch(name, &PatchParams::default(), &Patch::Json::<()>(patch))).await;
    match sent {
        // Its last entry is another one than the cache has shown: what it is will be seen.
        Err(Error::Refused { source, .. }) if matches!(source.as_ref(), kube::Error::Api(s) if s.code == 422) => {
            tracing::debug!(name, %source, "the decision log has another last entry");
            Ok(())
        }
        sent => there_already(sent),
    }
}

/// The JSON patch (RFC 6902) that adds the entries.
fn added(log: &DecisionLogSpec, onto: &LogHead) -> Value {
    let mut patch = vec![json!({"op": "test", "path": "/spec/head", "value": onto})];
    let new = log.entries.iter().filter(|entry| entry.seq > onto.seq);
    patch.extend(new.map(|entry| json!({"op": "add", "path": "/spec/entries/-", "value": entry})));
    patch.push(json!({"op": "replace", "path": "/spec/head", "value": log.head}));
    Value::Array(patch)
}
