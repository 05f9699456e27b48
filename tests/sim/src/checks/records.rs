//! I3, I9: one Release and, where traffic was taken back, one ReworkEvent for each outcome; neither changes afterwards.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Attempts, Moment};
use crate::api::{Key, text};
use crate::world::{Written, name};

/// The records as they were when they were complete.
#[derive(Debug, Default)]
pub struct Records {
    ended: BTreeMap<String, String>,
    events: BTreeMap<String, u64>,
}

impl Records {
    /// The operator wrote something.
    pub fn written(&mut self, written: &Written, attempts: &Attempts, found: &mut Vec<String>) {
        let Some(new) = &written.change.new else { return };
        if written.key.kind == "Event" {
            let told = format!("{} {}", text(new, "/reason"), text(new, "/note"));
            let count = self.events.entry(format!("{}/{told}", text(new, "/regarding/uid"))).or_default();
            *count = count.saturating_add(1);
        }
        if written.key.kind != "Release" {
            return;
        }
        let release = &written.key.name;
        let Some((_, attempt)) = attempts.all().find(|(name, _)| *name == release) else {
            return found.push(format!("I3: Release {release} is of no attempt"));
        };
        if text(new, "/spec/revision") != attempt.revision {
            found.push(format!("I3: Release {release} is of another revision than its attempt"));
        }
        let outcome = text(new, "/status/outcome");
        if outcome.is_empty() {
            return;
        }
        match self.ended.get(release) {
            // What was found in the watch after a promotion.
            Some(before) if before == "Promoted" && escaped(new) => {
                self.ended.insert(release.clone(), outcome.to_owned());
            }
            Some(before) if before != outcome => {
                found.push(format!("I3: Release {release} ended as {before} and now as {outcome}"));
            }
            Some(_) => {}
            None => {
                if attempt.outcome.as_deref() != Some(outcome) {
                    found.push(format!("I3: Release {release} says {outcome}, its attempt {:?}", attempt.outcome));
                }
                self.ended.insert(release.clone(), outcome.to_owned());
            }
        }
    }

    /// Everything has settled.
    pub fn finish(&self, moment: &Moment<'_>, attempts: &Attempts, found: &mut Vec<String>) {
        for (release, attempt) in attempts.all() {
            let record = moment.store.get(&Key::demo("Release", release));
            let Some(outcome) = attempt.outcome.as_deref() else {
                if !attempt.lost {
                    found.push(format!("I3: {release} has not ended"));
                }
                continue;
            };
            let recorded = record.map_or("", |record| text(record, "/status/outcome"));
            let later = outcome == "Promoted" && record.is_some_and(|record| escaped(record));
            if recorded != outcome && !later && !(attempt.lost && recorded.is_empty()) {
                found.push(format!("I3: {release} ended as {outcome}, its Release says {recorded:?}"));
            }
            let events: Vec<&Value> = moment
                .store
                .list("ReworkEvent", "demo")
                .map(AsRef::as_ref)
                .filter(|event| text(event, "/spec/failedRelease") == release && text(event, "/spec/kind") != "Escaped")
                .collect();
            let wanted = match outcome {
                "RolledBack" | "Aborted" => usize::from(attempt.exposed),
                "Bypassed" => 1,
                _ => 0,
            };
            if events.len() != wanted && !attempt.lost {
                found.push(format!("I3: {release} ended as {outcome} with {} ReworkEvents", events.len()));
            }
        }
        for record in moment.store.list("Release", "demo") {
            if !attempts.all().any(|(release, _)| release == name(record)) {
                found.push(format!("I3: Release {} is of no attempt", name(record)));
            }
        }
    }
}

/// A Release that says what escaped, and that it did.
fn escaped(release: &Value) -> bool {
    text(release, "/status/outcome") == "Escaped" && !text(release, "/status/escaped/signal").is_empty()
}
