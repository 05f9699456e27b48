//! Releases and ReworkEvents: facts that outlive the Rollout and the operator.
//!
//! Their names are functions of the attempt, so a record that is written again after a crash is the same record.

use std::collections::BTreeMap;

use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{Error, client, found, gone_already, send, there_already};
use crate::api::{Intervention, Outcome, Owner, Release, ReworkEvent, Rollout, Stage, names};
use crate::decide::Record;
use crate::leadership::Writer;

/// Writes one record.
pub async fn write(writer: &Writer, rollout: &Rollout, record: &Record) -> Result<(), Error> {
    let namespace = rollout.namespace().unwrap_or_default();
    match record {
        Record::Release { name, spec, status } => {
            let api: Api<Release> = Api::namespaced(client(writer, "release")?.clone(), &namespace);
            // Mostly it has been made long ago; then its end is one write.
            if let Some(status) = status {
                let patch = Patch::Merge(json!({"status": status}));
                if found(send("release", api.patch_status(name, &PatchParams::default(), &patch)).await)? {
                    return Ok(());
                }
            }
            let mut release = Release::new(name, spec.as_ref().clone());
            release.metadata.labels = Some(labels(&rollout.name_any(), spec.owner.as_ref()));
            there_already(send("release", api.create(&PostParams::default(), &release)).await)?;
            if let Some(status) = status {
                let api: Api<Release> = Api::namespaced(client(writer, "release")?.clone(), &namespace);
                let patch = Patch::Merge(json!({"status": status}));
                send("release", api.patch_status(name, &PatchParams::default(), &patch)).await?;
            }
            Ok(())
        }
        Record::Rework { name, spec } => {
            let api: Api<ReworkEvent> = Api::namespaced(client(writer, "rework event")?.clone(), &namespace);
            let mut event = ReworkEvent::new(name, spec.as_ref().clone());
            event.metadata.labels = Some(labels(&rollout.name_any(), spec.owner.as_ref()));
            there_already(send("rework event", api.create(&PostParams::default(), &event)).await)
        }
        Record::Log { name, log, onto } => super::decision_log::write(writer, rollout, name, log, onto.as_ref()).await,
        Record::Answer { name, uid, status } => {
            let api: Api<Intervention> = Api::namespaced(client(writer, "answer")?.clone(), &namespace);
            // With another object's UID the API server refuses: an answer belongs to this very Intervention.
            let patch = json!({"metadata": {"uid": uid}, "status": status});
            gone_already(send("answer", api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))).await)
        }
        Record::Escaped { name, signature, escaped } => {
            let api: Api<Release> = Api::namespaced(client(writer, "release")?.clone(), &namespace);
            let (outcome, stage) = (Outcome::Escaped, Stage::Watch);
            let patch = json!({"status": {
                "outcome": outcome, "stage": stage, "signature": signature, "escaped": escaped,
            }});
            gone_already(send("release", api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))).await)
        }
    }
}

/// The labels of a record of the Rollout of this name.
pub(super) fn labels(rollout: &str, owner: Option<&Owner>) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = [
        ("app.kubernetes.io/managed-by".to_owned(), "sluice".to_owned()),
        (names::ROLLOUT_NAME_LABEL.to_owned(), names::with_suffix(rollout, "")),
    ]
    .into();
    // What is no label value would make the API server refuse the whole record.
    let ends = |team: &str| !team.starts_with(['-', '_', '.']) && !team.ends_with(['-', '_', '.']);
    let valid = |team: &str| {
        team.len() <= 63 && ends(team) && team.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if let Some(owner) = owner.filter(|owner| valid(&owner.team)) {
        labels.insert("sluice.dev/team".to_owned(), owner.team.clone());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_that_is_no_label_is_left_out() {
        let long = "a".repeat(64);
        for (team, kept) in [
            ("checkout", true),
            ("Team_1.a", true),
            ("-", false),
            ("-team", false),
            ("team.", false),
            ("a b", false),
            ("é", false),
            (long.as_str(), false),
        ] {
            let owner = Owner { team: team.to_owned(), contact: None };
            assert_eq!(labels("shop", Some(&owner)).contains_key("sluice.dev/team"), kept, "{team}");
        }
    }
}
