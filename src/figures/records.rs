//! Releases, ReworkEvents and Reclassifications as plain facts: one [`Attempt`] per Release.
//!
//! Owns what a record of an older version, or one that is not complete, is taken to say. Draws no conclusion from other
//! attempts: `deployments`, `failures` and `rework` do. What cannot be counted is named in the notes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    ChangeKind, Commit, Confidence, Defect, Outcome, Reclassification, Release, ReworkEvent, ReworkKind, Stage, Symptom,
};

/// The namespace and the name of an object.
pub type Key = (String, String);

/// What is known of an attempt by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Namespace and name of its Release.
    pub key: Key,
    /// Namespace and name of its Rollout: the service.
    pub service: String,
    /// The team that answered for it.
    pub owner: Option<String>,
    /// Its number, counted per Rollout.
    pub number: u32,
    /// What was tried.
    pub revision: String,
    /// What was stable before.
    pub from_revision: String,
    /// Workloads that carry the same one are one deployment.
    pub release_id: Option<String>,
    /// The new template was first seen.
    pub started_at: Timestamp,
    /// It was first given live traffic; absent if users never met it.
    pub exposed_at: Option<Timestamp>,
    /// It served everybody.
    pub promoted_at: Option<Timestamp>,
    /// It was seen to fail.
    pub verdict_at: Option<Timestamp>,
    /// It was given no more traffic. Absent of what was promoted.
    pub weight_zero_at: Option<Timestamp>,
    /// What remained was within tolerance again.
    pub recovered_at: Option<Timestamp>,
    /// How it ended; absent while it is going on.
    pub outcome: Option<Outcome>,
    /// What kind of change it is.
    pub kind: ChangeKind,
    /// How sure that is.
    pub confidence: Confidence,
    /// Name of the Release that it is said to repair.
    pub remediates: Option<String>,
    /// What it carries, without what was superseded before it.
    pub commits: Vec<Commit>,
    /// How many commits it was said to carry; 0 where nobody said.
    pub commit_count: u32,
    /// How far it had come when it was seen to fail.
    pub stage: Option<Stage>,
    /// The wave it had come to.
    pub wave: Option<u8>,
    /// What failures of the same kind have in common.
    pub signature: Option<String>,
    /// Why it was taken back; empty where nobody said.
    pub reason: String,
    /// By which signal.
    pub signal: Option<String>,
    /// How its bad requests stood out; absent where nobody could say.
    pub symptoms: Option<Vec<Symptom>>,
    /// Its ReworkEvent says that the signature was seen before.
    pub seen_before: bool,
    /// Harm was found after it served everybody.
    pub escaped: bool,
    /// Largest share of live traffic in percent.
    pub max_weight: u8,
    /// How much of the month's error budget it took, in percent.
    pub budget_percent: Option<f64>,
    /// What a person says: whether it failed, and when that was said.
    pub marked: Option<(bool, Timestamp)>,
}

impl Attempt {
    /// A person said, or it follows, what kind of change it is: nothing is inferred over that.
    pub fn settled(&self) -> bool {
        self.confidence == Confidence::High
    }

    /// It as a failure, if it has a signature.
    pub fn defect(&self) -> Option<Defect<'_>> {
        let signature = Some(self.signature.as_deref()?);
        let (signal, symptoms) = (self.signal.as_deref(), self.symptoms.as_deref());
        Some(Defect { signature, reason: &self.reason, signal, symptoms })
    }

    /// It was taken back before users met it.
    pub fn failed_before_exposure(&self) -> bool {
        matches!(self.outcome, Some(Outcome::FailedBeforeExposure | Outcome::RolledBack)) && self.exposed_at.is_none()
    }

    /// It is what a restart looks like: nothing was changed.
    pub fn no_change(&self) -> bool {
        !self.revision.is_empty() && self.revision == self.from_revision
    }

    /// It ended because a newer template came.
    pub fn superseded(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Superseded | Outcome::SupersededUnderSuspicion))
    }

    /// It ended as one that was put in front of everybody.
    pub fn reached_all(&self) -> bool {
        self.promoted_at.is_some() || self.max_weight >= 100
    }
}

/// Everything that the records say, in an order of its own: that of the input does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// One per Release, by time.
    pub attempts: Vec<Attempt>,
    /// What could not be counted, and why.
    pub notes: Vec<String>,
}

/// What the records say.
pub fn facts(releases: &[Release], events: &[ReworkEvent], reclassifications: &[Reclassification]) -> Facts {
    facts_of(releases, events, reclassifications)
}

/// The same of records that are kept somewhere else.
pub fn facts_of<'a>(
    releases: impl IntoIterator<Item = &'a Release>,
    events: impl IntoIterator<Item = &'a ReworkEvent>,
    reclassifications: impl IntoIterator<Item = &'a Reclassification>,
) -> Facts {
    let mut notes = Vec::new();
    let mut found: BTreeMap<Key, &Release> = BTreeMap::new();
    for release in releases {
        let key = named(&release.metadata);
        match found.get(&key) {
            Some(other) if **other == *release => {}
            Some(other) => {
                // Two states of one record, from two files: the later state is the one that knows more.
                notes.push(format!("Release {}/{} is there twice; the fuller one counts", key.0, key.1));
                if fullness(release) > fullness(other) {
                    found.insert(key, release);
                }
            }
            None => {
                found.insert(key, release);
            }
        }
    }
    let mut attempts: BTreeMap<Key, Attempt> = BTreeMap::new();
    for (key, release) in &found {
        match attempt(key, release) {
            Some(attempt) => {
                attempts.insert(key.clone(), attempt);
            }
            None => notes.push(format!(
                "Release {}/{} has neither a time nor a metadata.creationTimestamp; it is not counted",
                key.0, key.1
            )),
        }
    }
    let mut events: Vec<(Key, &ReworkEvent)> =
        events.into_iter().map(|event| (named(&event.metadata), event)).collect();
    events.sort_by_cached_key(|(key, event)| (key.clone(), text(event)));
    for (key, event) in events {
        learn(&mut attempts, &mut notes, &key, event);
    }
    let mut said: Vec<(Timestamp, Key, &Reclassification)> = reclassifications
        .into_iter()
        .map(|one| (created(&one.metadata).unwrap_or(Timestamp::MIN), named(&one.metadata), one))
        .collect();
    said.sort_by_cached_key(|(at, key, one)| (*at, key.clone(), text(one)));
    for (at, key, one) in said {
        reclassify(&mut attempts, &mut notes, at, &key, one);
    }
    let mut attempts: Vec<Attempt> = attempts.into_values().collect();
    attempts.sort_by(|one, other| order(one).cmp(&order(other)));
    notes.sort();
    notes.dedup();
    Facts { attempts, notes }
}

/// By time; what has the same time by number and name.
fn order(attempt: &Attempt) -> (Timestamp, u32, &Key) {
    (attempt.started_at, attempt.number, &attempt.key)
}

pub(crate) fn named(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Key {
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn created(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// Something to order equals by, whatever else they have.
fn text(object: &impl serde::Serialize) -> String {
    serde_json::to_string(object).unwrap_or_default()
}

pub(crate) fn fullness(release: &Release) -> (bool, bool, String) {
    let status = release.status.as_ref();
    (
        status.is_some_and(|status| status.outcome.is_some()),
        status.is_some_and(|status| status.escaped.is_some()),
        text(release),
    )
}

fn attempt(key: &Key, release: &Release) -> Option<Attempt> {
    let spec = &release.spec;
    let status = release.status.clone().unwrap_or_default();
    let times = &status.times;
    let known = [times.requested_at, times.exposed_at, times.verdict_at, times.promoted_at, times.ended_at];
    let first = known.into_iter().flatten().min();
    let started_at = times.requested_at.or(first).or(created(&release.metadata))?;
    let escaped = status.escaped.is_some() || status.outcome == Some(Outcome::Escaped);
    let everybody = matches!(status.outcome, Some(Outcome::Promoted | Outcome::Bypassed | Outcome::Escaped));
    // A template that rolled past the gate has no time of promotion in older records, and yet it met everybody.
    let rolled_at = times.promoted_at.or(times.ended_at).or(times.verdict_at).or(times.exposed_at);
    let promoted_at = times.promoted_at.or(rolled_at.filter(|_| everybody)).or(everybody.then_some(started_at));
    let exposed_at = times.exposed_at.or(times.verdict_at.filter(|_| everybody)).or(promoted_at);
    // Of what users never met nothing else can be exposed.
    let exposed_at = exposed_at.filter(|_| status.outcome != Some(Outcome::FailedBeforeExposure));
    let classification = spec.classification.as_ref();
    Some(Attempt {
        key: key.clone(),
        service: format!("{}/{}", key.0, spec.rollout),
        owner: spec.owner.as_ref().map(|owner| owner.team.clone()),
        number: spec.number,
        revision: spec.revision.clone(),
        from_revision: spec.from_revision.clone(),
        release_id: spec.change.release_id.clone().filter(|id| !id.is_empty()),
        started_at,
        exposed_at,
        promoted_at,
        // The verdict of what was promoted is the one that let it through, unless it is said what was found later.
        verdict_at: match &status.escaped {
            Some(escaped) => Some(escaped.at),
            None => times.verdict_at.filter(|_| !everybody || status.outcome == Some(Outcome::Escaped)),
        },
        weight_zero_at: times.weight_zero_at.filter(|_| !everybody),
        recovered_at: times.recovered_at,
        outcome: status.outcome,
        kind: classification.map_or(ChangeKind::Planned, |one| one.kind),
        confidence: classification.map_or(Confidence::Low, |one| one.confidence),
        remediates: spec.remediates.clone().filter(|name| !name.is_empty()),
        commits: spec.change.commits.clone(),
        commit_count: spec.change.commit_count,
        stage: status.stage,
        wave: status.wave,
        signature: status.signature.clone().filter(|signature| !signature.is_empty()),
        // What is found later has a signature of its own.
        reason: match &status.escaped {
            Some(_) => "Escaped".to_owned(),
            None => status.reason.clone().unwrap_or_default(),
        },
        signal: status.escaped.as_ref().map(|escaped| escaped.signal.clone()).or(status.signal),
        symptoms: status.symptoms.filter(|_| status.escaped.is_none()),
        seen_before: false,
        escaped,
        max_weight: status.exposure.max_weight,
        budget_percent: status.budget_percent.filter(|percent| percent.is_finite()),
        marked: None,
    })
}

/// What a ReworkEvent knows that the Release does not.
fn learn(attempts: &mut BTreeMap<Key, Attempt>, notes: &mut Vec<String>, key: &Key, event: &ReworkEvent) {
    let spec = &event.spec;
    let release = |name: &str| (key.0.clone(), name.to_owned());
    let Some(attempt) = attempts.get_mut(&release(&spec.failed_release)) else {
        return notes.push(format!(
            "ReworkEvent {}/{} speaks of Release {}, which is not among the records; it is not counted",
            key.0, key.1, spec.failed_release
        ));
    };
    match spec.kind {
        ReworkKind::Rollback => {
            let met = attempt.outcome != Some(Outcome::FailedBeforeExposure);
            attempt.exposed_at = attempt.exposed_at.or(met.then_some(spec.exposed_at));
            attempt.verdict_at = attempt.verdict_at.or(Some(spec.verdict_at));
            attempt.weight_zero_at = attempt.weight_zero_at.or(spec.weight_zero_at);
            let verified = attempt.weight_zero_at.zip(spec.verify_seconds).and_then(|(at, seconds)| after(at, seconds));
            attempt.recovered_at = attempt.recovered_at.or(verified);
        }
        ReworkKind::Escaped => {
            attempt.escaped = true;
            attempt.verdict_at = attempt.verdict_at.or(Some(spec.verdict_at));
        }
        ReworkKind::Bypass => {
            attempt.exposed_at = attempt.exposed_at.map(|at| at.min(spec.exposed_at)).or(Some(spec.exposed_at));
            attempt.promoted_at = attempt.promoted_at.or(Some(spec.exposed_at));
        }
        ReworkKind::Hotfix => {
            let (Some(remedy), failed) = (&spec.remedied_by, spec.failed_release.clone()) else { return };
            if *remedy == failed {
                return; // nobody said what it remedies
            }
            match attempts.get_mut(&release(remedy)) {
                Some(remedy) => remedy.remediates = remedy.remediates.take().or(Some(failed)),
                None => notes.push(format!(
                    "ReworkEvent {}/{}: spec.remediedBy names Release {remedy}, which is not among the records",
                    key.0, key.1
                )),
            }
            return;
        }
    }
    // What belongs to a signature is taken from the same record.
    if attempt.signature.is_none() {
        attempt.signature = spec.signature.clone().filter(|signature| !signature.is_empty());
        attempt.reason = spec.reason.clone();
        attempt.signal = spec.signal.clone();
        attempt.symptoms = spec.symptoms.clone();
    }
    attempt.signal = attempt.signal.take().or(spec.signal.clone());
    attempt.seen_before |= spec.recurrence.is_some_and(|times| times > 1);
}

/// What a person says afterwards. Called in the order in which it was said: the last word per field counts.
fn reclassify(
    attempts: &mut BTreeMap<Key, Attempt>,
    notes: &mut Vec<String>,
    at: Timestamp,
    key: &Key,
    said: &Reclassification,
) {
    let spec = &said.spec;
    let Some(attempt) = attempts.get_mut(&(key.0.clone(), spec.release.clone())) else {
        return notes.push(format!(
            "Reclassification {}/{} speaks of Release {}, which is not among the records",
            key.0, key.1, spec.release
        ));
    };
    if let Some(kind) = spec.kind {
        (attempt.kind, attempt.confidence) = (kind, Confidence::High);
    }
    if let Some(failed) = spec.failed {
        if failed && attempt.exposed_at.is_none() {
            notes.push(format!(
                "Reclassification {}/{}: Release {} never met users, so it is no failed deployment",
                key.0, key.1, spec.release
            ));
        }
        attempt.marked = Some((failed, at));
    }
    if let Some(remediates) = spec.remediates.clone().filter(|name| !name.is_empty()) {
        attempt.remediates = Some(remediates);
    }
}

/// So many seconds later; absent if that is no time.
fn after(at: Timestamp, seconds: f64) -> Option<Timestamp> {
    let span = SignedDuration::try_from_secs_f64(seconds).ok().filter(|span| !span.is_negative())?;
    at.checked_add(span).ok()
}
