//! The attempts, as the committed status of the Rollout tells them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Moment;
use crate::api::{Look as _, text};
use crate::world::{Written, digest};

const LABEL: &str = "/metadata/labels/sluice.dev~1rollout";

/// One attempt.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// The digest of the template that is tried.
    pub revision: String,
    /// When it was first committed, in milliseconds.
    pub began: u64,
    /// The step that was committed last.
    pub step: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// When that was committed.
    pub ended: Option<u64>,
    /// It had traffic.
    pub exposed: bool,
    /// Every wave that the spec had while it ran: weight, bake in milliseconds, approval.
    pub waves: Vec<(u64, u64, bool)>,
    /// The waves were written by more than one generation.
    pub edited: bool,
    /// The generation of the spec when it began.
    generation: i64,
    /// It was forgotten: the Rollout was deleted and made anew, or had its status taken.
    pub lost: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Attempts {
    by_release: BTreeMap<String, Attempt>,
    current: Option<String>,
    /// Digests that were stable.
    pub stable: BTreeSet<String>,
}

/// A duration as the API writes it, in milliseconds. Plans use seconds only.
pub fn millis(text: &str) -> u64 {
    text.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok()).unwrap_or(0).saturating_mul(1000)
}

/// The waves of a Rollout.
pub fn waves(rollout: &Value) -> Vec<(u64, u64, bool)> {
    let waves = rollout.at("/spec/waves").and_then(Value::as_array);
    waves
        .into_iter()
        .flatten()
        .map(|wave| {
            let weight = wave.get("weight").and_then(Value::as_u64).unwrap_or(0);
            (weight, millis(text(wave, "/bake")), text(wave, "/approval") == "Required")
        })
        .collect()
}

impl Attempts {
    /// The Rollout was written.
    pub fn committed(&mut self, written: &Written, moment: &Moment<'_>, found: &mut Vec<String>) {
        let Some(rollout) = &written.change.new else {
            self.gone(moment.now);
            return;
        };
        let old_stable = written.change.old.as_ref().map_or("", |old| text(old, "/status/stable/digest"));
        let stable = text(rollout, "/status/stable/digest");
        let generation = crate::api::number(rollout, "/metadata/generation");
        let release = text(rollout, "/status/run/release").to_owned();
        if !release.is_empty() {
            let known = self.by_release.entry(release.clone()).or_insert_with(|| Attempt {
                revision: text(rollout, "/status/run/revision").to_owned(),
                began: moment.now,
                generation,
                ..Attempt::default()
            });
            known.edited |= known.generation != generation;
            for wave in waves(rollout) {
                if !known.waves.contains(&wave) {
                    known.waves.push(wave);
                }
            }
            text(rollout, "/status/run/step").clone_into(&mut known.step);
            known.exposed |= !text(rollout, "/status/run/times/exposedAt").is_empty();
            let outcome = text(rollout, "/status/run/outcome");
            if let Some(before) = known.outcome.as_deref().filter(|before| *before != outcome) {
                let passes = before == "Promoted" && known.step != "Done";
                if !passes {
                    found.push(format!("I3: the outcome of {release} changes from {before} to {outcome}"));
                }
            }
            if !outcome.is_empty() {
                known.outcome = Some(outcome.to_owned());
                known.ended.get_or_insert(moment.now);
            }
            if self.current.as_ref().is_some_and(|current| *current != release) {
                self.supersede();
            }
            self.current = Some(release);
        }
        if stable != old_stable && !stable.is_empty() {
            let run = self.current.as_ref().and_then(|release| self.by_release.get(release));
            let of_run = run.filter(|run| run.revision == stable).and_then(|run| run.outcome.as_deref());
            let recorded = matches!(of_run, Some("Promoted" | "Bypassed"));
            // Where nothing is left of the one before, what serves is adopted anew.
            let adopted =
                old_stable.is_empty() || !moment.store.list("ReplicaSet", "demo").any(|set| digest(set) == old_stable);
            // Until the label is on it nothing is governed, and anybody may roll what they like. One of two who decide at
            // once may not have seen the label yet.
            let labelled = moment.workload().is_some_and(|one| !text(one, LABEL).is_empty());
            let tried = rollout.pointer("/status/attempts").and_then(Value::as_u64) != Some(0);
            let begun = tried || labelled && !moment.crowded();
            if !recorded && !adopted && begun {
                found.push(format!("I9: {} becomes stable and no record says why", short(stable)));
            }
            self.stable.insert(stable.to_owned());
        }
    }

    /// The Rollout is gone, and with it the attempt in progress.
    fn gone(&mut self, now: u64) {
        let Some(attempt) = self.current.take().and_then(|release| self.by_release.get_mut(&release)) else { return };
        // A Rollout that is being deleted waits for its records for half a minute and no longer.
        let given_up = attempt.ended.is_some_and(|ended| now.saturating_sub(ended) > 30_000);
        attempt.lost |= attempt.step != "Done" || given_up;
    }

    fn supersede(&mut self) {
        if let Some(attempt) = self.current.as_ref().and_then(|release| self.by_release.get_mut(release))
            && attempt.step != "Done"
        {
            attempt.lost = true;
        }
    }

    /// The attempt that the Rollout tells of.
    pub fn current(&self) -> Option<(&str, &Attempt)> {
        let release = self.current.as_ref()?;
        Some((release, self.by_release.get(release)?))
    }

    /// Every attempt by its release.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Attempt)> {
        self.by_release.iter()
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.by_release.len() as u64
    }

    /// How many ended in which way.
    pub fn outcomes(&self) -> BTreeMap<String, u64> {
        let mut outcomes = BTreeMap::new();
        for attempt in self.by_release.values() {
            let outcome = attempt.outcome.clone().unwrap_or_else(|| "none".to_owned());
            let count: &mut u64 = outcomes.entry(outcome).or_default();
            *count = count.saturating_add(1);
        }
        outcomes
    }
}

/// The beginning of a digest.
pub fn short(digest: &str) -> &str {
    sluice::api::names::short(digest)
}
