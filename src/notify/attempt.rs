//! What is common to all that can be told of an attempt, by its Release or while it goes on. Pure.

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use super::artifact;
use super::event::{Event, Link, SENTENCE, Subject, WORD, cut};
use crate::api::{Owner, Release, ReleaseStatus, ReworkEvent, Rollout, Run, SinkEvent};

/// An attempt, by its Release or while it goes on.
#[derive(Debug, Default)]
pub(super) struct Attempt<'a> {
    pub(super) namespace: &'a str,
    pub(super) rollout: &'a str,
    pub(super) release: String,
    pub(super) workload: String,
    pub(super) revision: &'a str,
    pub(super) images: &'a [String],
    pub(super) digests: &'a [String],
    pub(super) owner: Option<&'a Owner>,
    pub(super) remediates: Option<&'a str>,
    told: Told<'a>,
}

/// What its numbers are taken from, once something is told of it.
#[derive(Debug, Default, Clone, Copy)]
enum Told<'a> {
    /// Its Release is gone.
    #[default]
    Nothing,
    Release(&'a Release, &'a ReleaseStatus),
    Run(&'a Run),
}

impl Told<'_> {
    fn data(self) -> Map<String, Value> {
        match self {
            Self::Nothing => Map::new(),
            Self::Release(release, status) => of_release(release, status),
            Self::Run(run) => of_run(run),
        }
    }
}

fn of_release(release: &Release, status: &ReleaseStatus) -> Map<String, Value> {
    let (spec, exposure) = (&release.spec, &status.exposure);
    let mut data = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            data.insert(key.to_owned(), value);
        }
    };
    let word = |text: &Option<String>| text.as_ref().map(|text| cut(text, WORD));
    put("number", json!(spec.number));
    put("fromRevision", json!(cut(&spec.from_revision, WORD)));
    put("outcome", json!(status.outcome));
    put("reason", json!(word(&status.reason)));
    put("stage", json!(status.stage));
    put("wave", json!(status.wave));
    put("weight", json!(exposure.max_weight));
    put("requests", json!(exposure.requests));
    put("errors", json!(exposure.errors));
    put("excessErrors", json!(exposure.excess_errors));
    put("signature", json!(word(&status.signature)));
    put("budgetPercent", json!(status.budget_percent));
    put("kind", json!(spec.classification.as_ref().map(|found| found.kind)));
    put("releaseId", json!(word(&spec.change.release_id)));
    put("reference", json!(word(&spec.change.reference)));
    data
}

fn of_run(run: &Run) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("number".to_owned(), json!(run.number));
    data.insert("fromRevision".to_owned(), json!(cut(&run.from_revision, WORD)));
    data.insert("weight".to_owned(), json!(run.max_weight));
    if let Some(wave) = &run.wave {
        data.insert("wave".to_owned(), json!(wave.index.saturating_add(1)));
    }
    if let Some(reason) = &run.reason {
        data.insert("reason".to_owned(), json!(cut(reason, WORD)));
    }
    data
}

impl<'a> Attempt<'a> {
    pub(super) fn of_release(release: &'a Release, status: &'a ReleaseStatus, namespace: &'a str) -> Self {
        let spec = &release.spec;
        Self {
            namespace,
            rollout: &spec.rollout,
            release: release.name_any(),
            workload: spec.workload.clone(),
            revision: &spec.revision,
            images: &spec.images,
            digests: &status.digests,
            owner: spec.owner.as_ref(),
            remediates: spec.remediates.as_deref(),
            told: Told::Release(release, status),
        }
    }

    pub(super) fn of_run(rollout: &'a Rollout, run: &'a Run, name: &'a str, namespace: &'a str) -> Self {
        Self {
            namespace,
            rollout: name,
            release: run.release.clone(),
            workload: format!("Deployment/{}", rollout.spec.target_ref.name),
            revision: &run.revision,
            images: &run.images,
            digests: &[],
            owner: rollout.spec.owner.as_ref(),
            remediates: run.remediates.as_deref(),
            told: Told::Run(run),
        }
    }

    /// One of which only the ReworkEvent is left.
    pub(super) fn of_rework(rework: &'a ReworkEvent, namespace: &'a str) -> Self {
        let spec = &rework.spec;
        Self {
            namespace,
            rollout: &spec.rollout,
            release: spec.failed_release.clone(),
            revision: &spec.revision,
            owner: spec.owner.as_ref(),
            ..Self::default()
        }
    }

    pub(super) fn id(&self, word: SinkEvent, key: &str) -> String {
        Event::id(self.namespace, &self.release, word, key)
    }

    /// What the workload is called outside its namespace.
    pub(super) fn service(&self) -> String {
        let workload = if self.workload.is_empty() { self.rollout } else { &self.workload };
        format!("{}/{workload}", self.namespace)
    }

    /// Something that happened in it; of an incident, unless the caller knows better.
    pub(super) fn event(
        &self,
        word: SinkEvent,
        key: &str,
        order: Option<Timestamp>,
        at: Timestamp,
        message: &str,
    ) -> Event {
        let message = cut(message, SENTENCE);
        let mut data = self.told.data();
        data.insert("event".to_owned(), json!(word));
        data.insert("rollout".to_owned(), json!(cut(self.rollout, WORD)));
        data.insert("release".to_owned(), json!(cut(&self.release, WORD)));
        data.insert("revision".to_owned(), json!(cut(self.revision, WORD)));
        data.insert("message".to_owned(), json!(message));
        if let Some(Owner { team, contact }) = self.owner {
            let contact = contact.as_ref().map(|contact| cut(contact, WORD));
            data.insert("owner".to_owned(), json!({"team": cut(team, WORD), "contact": contact}));
        }
        if let Some(failed) = self.remediates {
            data.insert("remediates".to_owned(), json!(cut(failed, WORD)));
        }
        let resolved = word == SinkEvent::IncidentResolved;
        Event {
            word,
            id: self.id(word, key),
            order,
            at,
            subject: Subject::Incident {
                predicate: if resolved { "resolved" } else { "detected" },
                release: self.release.clone(),
            },
            namespace: self.namespace.to_owned(),
            rollout: self.rollout.to_owned(),
            release: self.release.clone(),
            workload: if self.workload.is_empty() { self.rollout.to_owned() } else { self.workload.clone() },
            artifact: artifact::purl(self.images, self.digests, &self.service(), self.revision),
            message,
            link: resolved.then(|| Link::Path(self.id(SinkEvent::IncidentDetected, ""))),
            data,
        }
    }
}
