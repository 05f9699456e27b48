//! Decision logs from objects: DecisionLogs, and Rollouts whose status has entries that are not written yet.
//!
//! Owns which log is meant, and how the entries of both are put together. What cannot be read is named.

use anyhow::{Context as _, bail};
use kube::ResourceExt as _;
use serde_json::Value;

use crate::api::{DecisionLog, GROUP, LogEntry, LogHead, Rollout, VERSION};
use crate::report_command::documents;
use crate::report_command::source::objects;

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
    unreadable: Vec<Unreadable>,
}

/// What could not be read.
#[derive(Debug, Clone)]
struct Unreadable {
    /// Namespace and Release that it is about; absent where that cannot be told.
    about: Option<(String, String)>,
    why: String,
}

impl Logs {
    /// Reads what a text holds; `name` is what the text is called in messages. Objects of other kinds are left out, and
    /// what cannot be read is kept for whoever asks for it.
    pub fn add(&mut self, name: &str, text: &str) {
        for (place, document) in documents(text.trim_start_matches('\u{feff}')) {
            let place = format!("{name}, {place}");
            match document {
                Ok(value) => objects(&place, value).iter().for_each(|(place, value)| self.one(place, value)),
                Err(why) => {
                    self.unreadable.push(Unreadable { about: None, why: format!("{place} cannot be read: {why}") });
                }
            }
        }
    }

    fn one(&mut self, place: &str, value: &Value) {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        let (kind, version) = (text("kind"), text("apiVersion"));
        if version.split('/').next() == Some(GROUP) && ["DecisionLog", "Rollout"].contains(&kind) {
            self.take_object(place, kind, value);
        }
    }

    /// Takes an object of a kind that is known.
    pub(super) fn take_object(&mut self, place: &str, kind: &str, value: &Value) {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (version, known) = (text("/apiVersion"), format!("{GROUP}/{VERSION}"));
        let read = if !version.is_empty() && version != known {
            Err(format!("apiVersion is {version}, and only {known} can be read"))
        } else if kind == "DecisionLog" {
            serde_json::from_value(value.clone()).map(|log| self.logs.push(log)).map_err(|error| error.to_string())
        } else {
            let read = serde_json::from_value(value.clone()).map(|rollout| self.rollouts.push(rollout));
            read.map_err(|error| error.to_string())
        };
        let Err(why) = read else { return };
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let release = if kind == "DecisionLog" { name } else { text("/status/run/release") };
        self.unreadable.push(Unreadable {
            about: Some((namespace.to_owned(), release.to_owned())),
            why: format!("{place}: {kind} {namespace}/{name} cannot be read: {why}"),
        });
    }

    /// Takes a log.
    pub fn log(&mut self, log: DecisionLog) {
        self.logs.push(log);
    }

    /// What could not be read: where, and why.
    pub fn unreadable(&self) -> impl Iterator<Item = &String> {
        self.unreadable.iter().map(|one| &one.why)
    }

    /// The log of this Release; of the only one if none is named.
    pub fn take(self, release: Option<&str>, namespace: Option<&str>) -> anyhow::Result<Found> {
        let here = |one: &str| namespace.is_none_or(|namespace| one.is_empty() || one == namespace);
        // Half a log says less than none.
        let about =
            |one: &&Unreadable| one.about.as_ref().is_some_and(|(at, of)| Some(of.as_str()) == release && here(at));
        if let Some(one) = self.unreadable.iter().find(about) {
            bail!("{}", one.why);
        }
        let mut all: Vec<Found> = Vec::new();
        self.logs.iter().map(written).for_each(|found| add_written(&mut all, found));
        for rollout in &self.rollouts {
            add_pending(&mut all, rollout);
        }
        all.retain(|one| release.is_none_or(|release| one.release == release) && here(&one.namespace));
        let mut names: Vec<String> = all.iter().map(|one| format!("{}/{}", one.namespace, one.release)).collect();
        names.sort();
        names.dedup();
        let seen = match self.unreadable.len() {
            0 => String::new(),
            count => format!("; {count} of what was read cannot be read and may be it"),
        };
        match (all.len(), release) {
            (1, _) => all.pop().context("there is one"),
            (0, Some(release)) => bail!("there is no decision log of Release {release}{seen}"),
            (0, None) => bail!("there is no decision log in what was read{seen}"),
            (count, Some(release)) if names.len() == 1 => bail!(
                "there are {count} decision logs of Release {release} that say different things: give the files one by one"
            ),
            (_, Some(_)) => bail!("there are several decision logs, name a namespace with -n: {}", names.join(", ")),
            (_, None) => bail!("there are several decision logs, name one of: {}", names.join(", ")),
        }
    }
}

/// A log that is there twice, saved at two times, counts once, and the longer one. Two that differ in what both have are
/// two logs.
fn add_written(all: &mut Vec<Found>, found: Found) {
    let of = |one: &Found| (one.namespace.clone(), one.release.clone(), one.rollout_uid.clone());
    let goes_on = |one: &Found, from: &Found| {
        one.entries.starts_with(&from.entries)
            && (one.entries.len() > from.entries.len() || one.written == from.written)
    };
    let alike = |one: &&mut Found| of(one) == of(&found) && (goes_on(one, &found) || goes_on(&found, one));
    match all.iter_mut().find(alike) {
        Some(one) if goes_on(one, &found) => {}
        Some(one) => *one = found,
        None => all.push(found),
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
        let pending: Vec<LogEntry> = run.log.pending.iter().filter(|entry| entry.seq > last).cloned().collect();
        // Of two states of the Rollout the later one, whichever was read first.
        if pending.last().map(|entry| entry.seq) >= found.pending.last().map(|entry| entry.seq) {
            found.pending = pending;
        }
    }
}
