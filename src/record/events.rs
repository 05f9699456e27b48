//! Events (events.k8s.io/v1) that read like a log.
//!
//! Written by ourselves: kube's Recorder folds events of one reason together and keeps the first note, so that
//! "weight 25%" would be shown as "weight 5%". The name is a function of what is told, so a repeated pass, also one
//! after a crash, publishes an event once.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Resource, ResourceExt};

use super::{Error, client, send, there_already};
use crate::api::{Rollout, names};
use crate::clock::Clock;
use crate::decide::{Notice, Severity};
use crate::leadership::Writer;

/// What the API server takes as the longest note.
const LONGEST_NOTE: usize = 1000;

/// How long to wait before an event that was refused is sent again, each time. A decision is told once, so this is its
/// only chance; but an event must not hold a rollout up.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// Publishes one event about a Rollout. `reporter` is the name of this process.
pub async fn publish(
    writer: &Writer,
    clock: &Clock,
    rollout: &Rollout,
    notice: &Notice,
    reporter: &str,
) -> Result<(), Error> {
    let namespace = rollout.namespace().unwrap_or_default();
    let name = rollout.name_any();
    let Notice { key, severity, reason, action, note } = notice;
    let event = Event {
        metadata: ObjectMeta {
            name: Some(names::unique(&name, &format!("{}/{key}", rollout.uid().unwrap_or_default()))),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(clock.now())),
        action: Some((*action).to_owned()),
        reason: Some(reason.clone()),
        note: Some(note.chars().take(LONGEST_NOTE).collect()),
        type_: Some(match severity {
            Severity::Normal => "Normal".to_owned(),
            Severity::Warning => "Warning".to_owned(),
        }),
        regarding: Some(rollout.object_ref(&())),
        related: Some(ObjectReference {
            api_version: Some("apps/v1".to_owned()),
            kind: Some("Deployment".to_owned()),
            name: Some(rollout.spec.target_ref.name.clone()),
            namespace: Some(namespace.clone()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some("sluice.dev/controller".to_owned()),
        reporting_instance: Some(reporter.chars().take(128).collect()),
        ..Event::default()
    };
    for pause in PAUSES {
        match create(writer, &namespace, &event).await {
            // Nobody decides this again: an event that is given up here is lost.
            Err(Error::Refused { .. }) => tokio::time::sleep(pause).await,
            told => return told,
        }
    }
    create(writer, &namespace, &event).await
}

async fn create(writer: &Writer, namespace: &str, event: &Event) -> Result<(), Error> {
    let api: Api<Event> = Api::namespaced(client(writer, "event")?.clone(), namespace);
    there_already(send("event", api.create(&PostParams::default(), event)).await)
}
