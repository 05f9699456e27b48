//! From the Releases, ReworkEvents and Rollouts to what happened. Pure.
//!
//! The same thing seen in two objects, or again after a restart, has one id. What is in the past of a sink is left out
//! before anything is made of it: most Releases are.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use super::artifact;
use super::attempt::Attempt;
use super::event::{Event, Link, SENTENCE, Subject, WORD, cut};
use crate::api::{
    Action, Condition, ConditionStatus, ConditionType, Intervened, Outcome, Release, ReleaseStatus, ReworkEvent,
    ReworkKind, Rollout, RolloutSpec, RolloutStatus, Run, SinkEvent, Step, Trigger,
};
use crate::decide::people::{PROMOTION, awaits_approval};

/// The reason of a condition while an attempt waits for a person.
const AWAITING: &str = "AwaitingApproval";

/// What there is in the cluster.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Releases.
    pub releases: Vec<Arc<Release>>,
    /// ReworkEvents.
    pub reworks: Vec<Arc<ReworkEvent>>,
    /// Rollouts.
    pub rollouts: Vec<Arc<DeserializeGuard<Rollout>>>,
}

/// What happened, as far as a sink wants to know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Happened {
    /// In the order of time, each once; what lasts comes last.
    pub events: Vec<Event>,
    /// The ids of all that lasts or may begin to: an id that is not among them is over.
    pub standing: BTreeSet<String>,
}

/// What a sink wants to know.
pub(super) struct Wanted<'a> {
    /// Nothing up to this time.
    pub(super) after: Timestamp,
    /// What of which namespace.
    pub(super) select: &'a dyn Fn(SinkEvent, &str) -> bool,
    /// The time, for what has none of its own.
    pub(super) now: Timestamp,
}

impl Wanted<'_> {
    fn wants(&self, word: SinkEvent, namespace: &str, order: Option<Timestamp>) -> bool {
        order.is_none_or(|order| order > self.after) && (self.select)(word, namespace)
    }
}

impl World {
    /// What happened, as far as it is wanted.
    pub(super) fn happened(&self, wanted: &Wanted<'_>) -> Happened {
        let mut found = Happened::default();
        for release in &self.releases {
            self.of_release(release, wanted, &mut found.events);
        }
        for rework in &self.reworks {
            self.of_rework(rework, wanted, &mut found.events);
        }
        for rollout in self.rollouts.iter().filter_map(|guard| guard.0.as_ref().ok()) {
            self.of_rollout(rollout, wanted, &mut found);
        }
        // Of two with one id the first stays: what a Release says before what a ReworkEvent or a Rollout says.
        let mut seen = BTreeSet::new();
        found.events.retain(|event| seen.insert(event.id.clone()));
        found.events.sort_by(|a, b| place(a).cmp(&place(b)));
        found
    }

    fn of_release(&self, release: &Release, wanted: &Wanted<'_>, found: &mut Vec<Event>) {
        let Some(status) = &release.status else { return };
        if last(status).is_none_or(|last| last <= wanted.after) {
            return;
        }
        let namespace = release.namespace().unwrap_or_default();
        let attempt = Attempt::of_release(release, status, &namespace);
        if let (Some(outcome), Some(ended)) = (status.outcome, status.times.ended_at) {
            let times = &status.times;
            let (word, at) = ended_as(outcome, status);
            let at = at.unwrap_or(ended);
            if wanted.wants(word, &namespace, Some(ended)) {
                let mut event = attempt.event(word, "", Some(ended), at, &status.message);
                event.subject = subject(outcome, status, release.spec.from_revision.is_empty());
                if let Subject::Service { predicate: "rolledback" } = event.subject {
                    // The service runs the version before again.
                    event.data.insert("takenBack".to_owned(), Value::from(event.artifact));
                    event.artifact = self.stable(release, &attempt);
                }
                if outcome == Outcome::RolledBack {
                    event.link = Some(Link::Trigger(attempt.id(SinkEvent::IncidentDetected, "")));
                }
                found.push(event);
            }
            // Detected in the verdict; over when what was left was well again, or at the least when nobody met it.
            let over = times.recovered_at.or(times.weight_zero_at);
            if outcome == Outcome::RolledBack
                && let Some(at) = over
                && wanted.wants(SinkEvent::IncidentResolved, &namespace, Some(ended))
            {
                let seen = times.recovered_at.is_some();
                let how = if seen { "requests are within tolerance again" } else { "no traffic meets it any more" };
                let message = format!("{how}; {}", status.message);
                let mut event = attempt.event(SinkEvent::IncidentResolved, "", Some(ended), at, &message);
                event.data.insert("recoverySeen".to_owned(), Value::from(seen));
                found.push(event);
            }
            if outcome == Outcome::Promoted {
                found.extend(self.remedied(&attempt, ended, at, wanted));
            }
        }
        if let Some(escaped) = &status.escaped
            && wanted.wants(SinkEvent::Escaped, &namespace, Some(escaped.at))
        {
            let mut event = attempt.event(SinkEvent::Escaped, "", Some(escaped.at), escaped.at, &escaped.message);
            event.data.insert("signal".to_owned(), Value::from(cut(&escaped.signal, WORD)));
            found.push(event);
        }
        approved(&attempt, &status.interventions, wanted, found);
    }

    /// What escaped is over when the release that remedies it serves everybody.
    fn remedied(&self, fix: &Attempt<'_>, ended: Timestamp, at: Timestamp, wanted: &Wanted<'_>) -> Option<Event> {
        if !wanted.wants(SinkEvent::IncidentResolved, fix.namespace, Some(ended)) {
            return None;
        }
        let failed = self.release(fix.namespace, fix.remediates?)?;
        let status = failed.status.as_ref().filter(|status| status.escaped.is_some())?;
        let escaped = Attempt::of_release(failed, status, fix.namespace);
        let message = format!("release {} serves everybody and remedies it", fix.release);
        let mut event = fix.event(SinkEvent::IncidentResolved, &escaped.release, Some(ended), at, &message);
        event.subject = Subject::Incident { predicate: "resolved", release: escaped.release.clone() };
        event.link = Some(Link::Path(escaped.id(SinkEvent::Escaped, "")));
        Some(event)
    }

    fn of_rework(&self, rework: &ReworkEvent, wanted: &Wanted<'_>, found: &mut Vec<Event>) {
        let spec = &rework.spec;
        let word = match spec.kind {
            ReworkKind::Rollback if spec.trigger == Trigger::Automatic => SinkEvent::IncidentDetected,
            ReworkKind::Escaped => SinkEvent::Escaped,
            // People did it, or the Release says it.
            ReworkKind::Rollback | ReworkKind::Bypass | ReworkKind::Hotfix => return,
        };
        let namespace = rework.namespace().unwrap_or_default();
        let at = spec.verdict_at;
        if !wanted.wants(word, &namespace, Some(at)) {
            return;
        }
        let release = self.release(&namespace, &spec.failed_release);
        let attempt = match release.and_then(|release| Some((release, release.status.as_ref()?))) {
            Some((release, status)) => Attempt::of_release(release, status, &namespace),
            None => Attempt::of_rework(rework, &namespace),
        };
        let mut event = attempt.event(word, "", Some(at), at, &spec.message);
        event.data.insert("reason".to_owned(), Value::from(cut(&spec.reason, WORD)));
        event.data.insert("detectSeconds".to_owned(), json!(spec.detect_seconds));
        if let Some(signal) = &spec.signal {
            event.data.insert("signal".to_owned(), Value::from(cut(signal, WORD)));
        }
        if let Some(signature) = &spec.signature {
            event.data.insert("signature".to_owned(), Value::from(cut(signature, WORD)));
        }
        if let Some(recurrence) = spec.recurrence {
            event.data.insert("recurrence".to_owned(), Value::from(recurrence));
        }
        found.push(event);
    }

    /// What the records do not say yet: the verdict that is being carried out, and whom it waits for.
    fn of_rollout(&self, rollout: &Rollout, wanted: &Wanted<'_>, found: &mut Happened) {
        let Some(status) = &rollout.status else { return };
        let Some(run) = &status.run else { return };
        let namespace = rollout.namespace().unwrap_or_default();
        let name = rollout.name_any();
        let attempt = Attempt::of_run(rollout, run, &name, &namespace);
        approved(&attempt, &run.interventions, wanted, &mut found.events);
        if run.outcome == Some(Outcome::RolledBack)
            && run.trigger != Some(Trigger::Manual)
            && let Some(at) = run.times.verdict_at
            && wanted.wants(SinkEvent::IncidentDetected, &namespace, Some(at))
        {
            let message = run.summary.as_deref().unwrap_or_default();
            let mut event = attempt.event(SinkEvent::IncidentDetected, "", Some(at), at, message);
            if let Some(signal) = &run.signal {
                event.data.insert("signal".to_owned(), Value::from(cut(signal, WORD)));
            }
            found.events.push(event);
        }
        if run.step == Step::Done || run.outcome.is_some() {
            return;
        }
        let number = given(run);
        let id = attempt.id(SinkEvent::AwaitingApproval, &number.to_string());
        found.standing.insert(id);
        if let Some(message) = awaiting(status)
            && wanted.wants(SinkEvent::AwaitingApproval, &namespace, None)
        {
            let key = number.to_string();
            let mut event = attempt.event(SinkEvent::AwaitingApproval, &key, None, wanted.now, message);
            event.subject = Subject::Asked { number };
            if let Some(weight) = asked_weight(&rollout.spec, run) {
                event.data.insert("waitsAt".to_owned(), Value::from(weight));
            }
            found.events.push(event);
        }
    }

    fn release(&self, namespace: &str, name: &str) -> Option<&Release> {
        let named = |release: &&Arc<Release>| {
            release.metadata.name.as_deref() == Some(name) && release.metadata.namespace.as_deref() == Some(namespace)
        };
        self.releases.iter().find(named).map(AsRef::as_ref)
    }

    /// The version that serves again, by the Release that brought it, else by its template.
    fn stable(&self, back: &Release, attempt: &Attempt<'_>) -> String {
        let brought = |release: &&Arc<Release>| {
            let outcome = release.status.as_ref().and_then(|status| status.outcome);
            release.spec.rollout_uid == back.spec.rollout_uid
                && release.spec.revision == back.spec.from_revision
                && release.namespace() == back.namespace()
                && matches!(outcome, Some(Outcome::Promoted | Outcome::Bypassed | Outcome::Escaped))
        };
        match self.releases.iter().filter(brought).max_by_key(|release| release.spec.number) {
            Some(release) => {
                let digests = release.status.as_ref().map(|status| status.digests.as_slice()).unwrap_or_default();
                artifact::purl(&release.spec.images, digests, &attempt.service(), &release.spec.revision)
            }
            None => artifact::template(&attempt.service(), &back.spec.from_revision),
        }
    }
}

/// The place of an event; what has no time comes last.
fn place(event: &Event) -> (bool, Option<Timestamp>, &str) {
    (event.order.is_none(), event.order, &event.id)
}

/// The word for the end of an attempt, and when it came to that.
fn ended_as(outcome: Outcome, status: &ReleaseStatus) -> (SinkEvent, Option<Timestamp>) {
    let times = &status.times;
    match outcome {
        Outcome::Promoted | Outcome::Escaped => (SinkEvent::Promoted, times.promoted_at),
        Outcome::RolledBack => (SinkEvent::RolledBack, times.weight_zero_at),
        Outcome::Aborted => (SinkEvent::Aborted, times.weight_zero_at.or(times.verdict_at)),
        Outcome::Superseded | Outcome::SupersededUnderSuspicion => (SinkEvent::Superseded, times.verdict_at),
        Outcome::FailedBeforeExposure => (SinkEvent::FailedBeforeExposure, times.verdict_at),
        Outcome::Bypassed => (SinkEvent::Bypassed, times.verdict_at),
    }
}

fn subject(outcome: Outcome, status: &ReleaseStatus, first: bool) -> Subject {
    match outcome {
        Outcome::Promoted | Outcome::Escaped | Outcome::Bypassed => {
            Subject::Service { predicate: if first { "deployed" } else { "upgraded" } }
        }
        Outcome::RolledBack => Subject::Service { predicate: "rolledback" },
        Outcome::Aborted if status.times.exposed_at.is_some() => Subject::Service { predicate: "rolledback" },
        Outcome::Aborted => Subject::Attempt { predicate: "aborted" },
        Outcome::Superseded | Outcome::SupersededUnderSuspicion => Subject::Attempt { predicate: "superseded" },
        Outcome::FailedBeforeExposure => Subject::Attempt { predicate: "failed" },
    }
}

/// The last thing that a Release says happened.
fn last(status: &ReleaseStatus) -> Option<Timestamp> {
    let ended = status.outcome.and(status.times.ended_at);
    let escaped = status.escaped.as_ref().map(|escaped| escaped.at);
    let asked = status.interventions.iter().map(|one| one.at);
    ended.into_iter().chain(escaped).chain(asked).max()
}

/// How many approvals an attempt was given: of steps, and one in spite of the error budget. Counted here, as people may
/// ask for more than is recorded of an attempt, and each question needs an id of its own.
fn given(run: &Run) -> usize {
    let budget = run.budget.as_ref().is_some_and(|budget| budget.approved_by.is_some());
    run.approved.len().saturating_add(usize::from(budget))
}

/// Each approval of an attempt, in order.
fn approved(attempt: &Attempt<'_>, interventions: &[Intervened], wanted: &Wanted<'_>, found: &mut Vec<Event>) {
    let approvals = interventions.iter().filter(|one| one.action == Action::Approve);
    for (number, one) in approvals.enumerate() {
        if !wanted.wants(SinkEvent::Approved, attempt.namespace, Some(one.at)) {
            continue;
        }
        let key = number.to_string();
        let mut event = attempt.event(SinkEvent::Approved, &key, Some(one.at), one.at, &one.message);
        event.subject = Subject::Approved { number, by: one.by.clone() };
        event.link = Some(Link::Path(attempt.id(SinkEvent::AwaitingApproval, &key)));
        event.data.insert("by".to_owned(), Value::from(cut(&one.by, WORD)));
        event.data.insert("reason".to_owned(), Value::from(cut(&one.reason, SENTENCE)));
        found.push(event);
    }
}

/// The sentence of an attempt that waits for a person, while it does.
fn awaiting(status: &RolloutStatus) -> Option<&str> {
    let going = |condition: &&Condition| {
        condition.type_ == ConditionType::Reconciling
            && condition.status == ConditionStatus::True
            && condition.reason == AWAITING
    };
    status.conditions.iter().find(going).map(|condition| condition.message.as_str())
}

/// The weight that waits; 100 is the promotion.
fn asked_weight(spec: &RolloutSpec, run: &Run) -> Option<u8> {
    let (key, _) = awaits_approval(spec, run)?;
    Some(if key == PROMOTION { 100 } else { key })
}

#[cfg(test)]
mod tests;
