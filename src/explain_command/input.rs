//! Decision logs from objects: DecisionLogs, and Rollouts whose status has entries that are not written yet.
//!
//! Owns which log is meant, and how the entries of both are put together. What cannot be read is named.

use anyhow::{Context as _, bail};
use kube::ResourceExt as _;
use serde_json::Value;

use crate::api::{DecisionLog, LogEntry, LogHead, Rollout};
use crate::report_command::documents;

/// What there is of one log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Its namespace.
    pub namespace: String,
    /// The Release that it belongs to.
    pub release: String,
    /// Its Rollout.
    pub rollout: String,
    /// UID of that.
    pub rollout_uid: String,
    /// Digest of the template that was tried.
    pub revision: String,
    /// What the log says its last entry is.
    pub written: Option<LogHead>,
    /// The entries that are written.
    pub entries: Vec<LogEntry>,
    /// Those that are in the status of the Rollout only.
    pub pending: Vec<LogEntry>,
}

impl Found {
    /// What the last entry must be.
    pub fn head(&self) -> Option<LogHead> {
        let pending = self.pending.last().map(|entry| LogHead { seq: entry.seq, hash: entry.hash.clone() });
        pending.or_else(|| self.written.clone())
    }
}

/// The objects that were read.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    logs: Vec<DecisionLog>,
    rollouts: Vec<Rollout>,
}

impl Logs {
    /// Reads what a text holds; `name` is what the text is called in messages. Objects of other kinds are left out.
    pub fn add(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        for (place, document) in documents(text.trim_start_matches('\u{feff}')) {
            let value = document.map_err(|why| anyhow::anyhow!("{name}, {place} cannot be read: {why}"))?;
            let list = value.get("items").and_then(Value::as_array).cloned();
            let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            match list.filter(|_| kind.ends_with("List")) {
                Some(items) => {
                    let kind = kind.trim_end_matches("List");
                    for item in items {
                        let own = item.get("kind").and_then(Value::as_str).unwrap_or(kind).to_owned();
                        self.one(&format!("{name}, {place}"), &own, item)?;
                    }
                }
                None => self.one(&format!("{name}, {place}"), &kind, value)?,
            }
        }
        Ok(())
    }

    fn one(&mut self, place: &str, kind: &str, value: Value) -> anyhow::Result<()> {
        match kind {
            "DecisionLog" => {
                let read = serde_json::from_value(value);
                self.log(read.with_context(|| format!("{place}: a DecisionLog cannot be read"))?);
            }
            "Rollout" => {
                let read = serde_json::from_value(value);
                self.rollout(read.with_context(|| format!("{place}: a Rollout cannot be read"))?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a log.
    pub fn log(&mut self, log: DecisionLog) {
        self.logs.push(log);
    }

    /// Takes a Rollout.
    pub fn rollout(&mut self, rollout: Rollout) {
        self.rollouts.push(rollout);
    }

    /// The log of this Release; of the only one if none is named.
    pub fn take(self, release: Option<&str>, namespace: Option<&str>) -> anyhow::Result<Found> {
        let mut all: Vec<Found> = self.logs.iter().map(written).collect();
        for rollout in &self.rollouts {
            add_pending(&mut all, rollout);
        }
        all.retain(|one| {
            release.is_none_or(|release| one.release == release)
                && namespace.is_none_or(|namespace| one.namespace.is_empty() || one.namespace == namespace)
        });
        let names: Vec<&str> = all.iter().map(|one| one.release.as_str()).collect();
        match (all.len(), release) {
            (1, _) => all.pop().context("there is one"),
            (0, Some(release)) => bail!("there is no decision log of Release {release}"),
            (0, None) => bail!("there is no decision log in what was read"),
            (_, Some(release)) => bail!("there are several decision logs of Release {release}: name a namespace"),
            (_, None) => bail!("there are several decision logs, name one of: {}", names.join(", ")),
        }
    }
}

fn written(log: &DecisionLog) -> Found {
    Found {
        namespace: log.namespace().unwrap_or_default(),
        release: log.name_any(),
        rollout: log.spec.rollout.clone(),
        rollout_uid: log.spec.rollout_uid.clone(),
        revision: log.spec.revision.clone(),
        written: Some(log.spec.head.clone()),
        entries: log.spec.entries.clone(),
        pending: Vec::new(),
    }
}

/// Entries that wait in the status of a Rollout go behind those that are written.
fn add_pending(all: &mut Vec<Found>, rollout: &Rollout) {
    let Some(run) = rollout.status.as_ref().and_then(|status| status.run.as_ref()) else { return };
    let namespace = rollout.namespace().unwrap_or_default();
    let same = |one: &Found| one.release == run.release && one.namespace == namespace;
    let place = all.iter().position(same).unwrap_or_else(|| {
        all.push(Found {
            namespace: namespace.clone(),
            release: run.release.clone(),
            rollout: rollout.name_any(),
            rollout_uid: rollout.uid().unwrap_or_default(),
            revision: run.revision.clone(),
            ..Found::default()
        });
        all.len().saturating_sub(1)
    });
    if let Some(found) = all.get_mut(place) {
        let last = found.written.as_ref().map_or(0, |head| head.seq);
        found.pending = run.log.pending.iter().filter(|entry| entry.seq > last).cloned().collect();
    }
}
