//! Which deployments failed, and which deployment repairs which.
//!
//! Owns the rules F1 to F4 and the order of the rules by which a deployment is taken to repair another. When a failure
//! was over, and what is rework because of it, is asked in `rework`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Settings;
use super::deployments::Deployment;
use super::numbers::between;
use super::records::{Attempt, Key};
use crate::api::{ChangeKind, Confidence, Outcome};

/// How a deployment failed. The first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum FailedBy {
    /// F1: Sluice took it back after users had met it.
    RolledBack,
    /// F1: Sluice found harm after it served everybody.
    Escaped,
    /// F2: a person took it back after users had met it.
    Aborted,
    /// F2: a newer template came while the evidence spoke against it.
    UnderSuspicion,
    /// F3: soon after its promotion another deployment repaired it.
    Remediated,
    /// F4: a person says so.
    Marked,
}

/// That a deployment failed, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// By which rule.
    pub by: FailedBy,
    /// How sure it is.
    pub confidence: Confidence,
    /// When it was known: the verdict, the begin of the repair, or the word of the person.
    pub known_at: Timestamp,
}

/// Why a deployment is taken to repair another. The first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LinkedBy {
    /// Its Release, a ReworkEvent or a person names the failed Release.
    Named,
    /// It goes back to an earlier revision: what followed on that revision is repaired.
    Return,
    /// It is a hotfix: what was there before it is repaired.
    Hotfix,
    /// What it replaced was under suspicion.
    Suspicion,
}

/// That a deployment repairs another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Index of the deployment that is repaired; always smaller than that of the one that repairs.
    pub target: usize,
    /// Why it is taken to.
    pub by: LinkedBy,
    /// How sure it is.
    pub confidence: Confidence,
}

/// Finds what repairs what, and what failed.
pub(super) fn judge(deployments: &mut [Deployment], all: &[Attempt], settings: &Settings, notes: &mut Vec<String>) {
    link(deployments, all, notes);
    for one in deployments.iter_mut() {
        one.failure = own(one);
    }
    let repairs: Vec<(Link, Timestamp, Timestamp)> = deployments
        .iter()
        .flat_map(|one| one.links.iter().map(|link| (*link, one.exposed_at, one.started_at())))
        .collect();
    for (link, exposed_at, started_at) in repairs {
        if let Some(target) = deployments.get_mut(link.target) {
            remediated(target, link, exposed_at, started_at, settings);
        }
    }
    for one in deployments.iter_mut() {
        one.failure = one.failure.or_else(|| marked(one));
    }
}

/// F1 and F2: what its own end says.
fn own(one: &Deployment) -> Option<Failure> {
    let failed = one.members.iter().filter_map(|member| own_of(member).map(|by| (by, member)));
    // The worst counts; of equals the one that was known first.
    let rank = |by: FailedBy| match by {
        FailedBy::Escaped => 0,
        FailedBy::RolledBack => 1,
        FailedBy::Aborted => 2,
        FailedBy::UnderSuspicion => 3,
        FailedBy::Remediated => 4,
        FailedBy::Marked => 5,
    };
    let known = |member: &Attempt| member.verdict_at.or(member.weight_zero_at).unwrap_or(one.exposed_at);
    let (by, member) = failed.min_by_key(|(by, member)| (rank(*by), known(member)))?;
    Some(Failure { by, confidence: Confidence::High, known_at: known(member) })
}

/// How an attempt failed by itself, unless a person says that it did not.
fn own_of(member: &Attempt) -> Option<FailedBy> {
    if member.marked.is_some_and(|(failed, _)| !failed) || member.exposed_at.is_none() {
        return None;
    }
    if member.escaped {
        return Some(FailedBy::Escaped);
    }
    match member.outcome? {
        Outcome::Escaped => Some(FailedBy::Escaped),
        Outcome::RolledBack => Some(FailedBy::RolledBack),
        Outcome::Aborted => Some(FailedBy::Aborted),
        Outcome::SupersededUnderSuspicion => Some(FailedBy::UnderSuspicion),
        // Superseded without suspicion is no failure.
        Outcome::Superseded | Outcome::Promoted | Outcome::Bypassed | Outcome::FailedBeforeExposure => None,
    }
}

/// The attempts that failed by themselves; all of them where it failed as a whole.
pub(super) fn failing(one: &Deployment) -> Vec<&Attempt> {
    let failed: Vec<&Attempt> = one.members.iter().filter(|member| own_of(member).is_some()).collect();
    if failed.is_empty() { one.members.iter().collect() } else { failed }
}

/// A person says that it did not fail, and nobody that a part of it did.
pub(super) fn cleared(one: &Deployment) -> bool {
    let says = |what: bool| one.members.iter().any(|member| member.marked.is_some_and(|(failed, _)| failed == what));
    says(false) && !says(true)
}

/// F3: after its promotion, inside the window, a later deployment repairs it. The window is open at the promotion and
/// closed at its end.
fn remediated(one: &mut Deployment, link: Link, at: Timestamp, started_at: Timestamp, settings: &Settings) {
    let Some(promoted_at) = one.promoted_at else { return };
    let after = between(promoted_at, at);
    if cleared(one) || after <= 0 || after > settings.failure_window_millis() {
        return;
    }
    match &mut one.failure {
        None => {
            let (by, confidence) = (FailedBy::Remediated, link.confidence);
            one.failure = Some(Failure { by, confidence, known_at: started_at });
        }
        // Repaired twice: the surer of the two is what is known.
        Some(failure) if failure.by == FailedBy::Remediated => {
            failure.confidence = failure.confidence.max(link.confidence);
            failure.known_at = failure.known_at.min(started_at);
        }
        Some(_) => {}
    }
}

/// F4: a person says so.
fn marked(one: &Deployment) -> Option<Failure> {
    let said = one.members.iter().filter_map(|member| member.marked).filter(|(failed, _)| *failed);
    let known_at = said.map(|(_, at)| at).min()?.max(one.exposed_at);
    Some(Failure { by: FailedBy::Marked, confidence: Confidence::High, known_at })
}

/// A time at which a service began to run a revision everywhere.
struct Stable {
    at: Timestamp,
    revision: String,
    from_revision: String,
    deployment: usize,
}

fn link(deployments: &mut [Deployment], all: &[Attempt], notes: &mut Vec<String>) {
    let known: BTreeMap<&Key, &Attempt> = all.iter().map(|one| (&one.key, one)).collect();
    let mut names: BTreeMap<Key, usize> = BTreeMap::new();
    let mut stable: BTreeMap<String, Vec<Stable>> = BTreeMap::new();
    let mut of_service: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, one) in deployments.iter().enumerate() {
        for member in &one.members {
            names.insert(member.key.clone(), index);
            of_service.entry(member.service.clone()).or_default().push(index);
            if let Some(at) = member.promoted_at {
                let (revision, from_revision) = (member.revision.clone(), member.from_revision.clone());
                let stable = stable.entry(member.service.clone()).or_default();
                stable.push(Stable { at, revision, from_revision, deployment: index });
            }
        }
    }
    for history in stable.values_mut() {
        history.sort_by_key(|one| (one.at, one.deployment));
    }
    let mut found = Vec::new();
    for (index, one) in deployments.iter().enumerate() {
        let mut links: Vec<Link> = Vec::new();
        let mut repairs_unknown = false;
        for member in &one.members {
            let link = if let Some(name) = &member.remediates {
                let key = (member.key.0.clone(), name.clone());
                let target = names.get(&key).copied().filter(|target| *target < index);
                if !known.contains_key(&key) {
                    repairs_unknown = true;
                    notes.push(format!(
                        "Release {}/{} repairs Release {name}, which is not among the records",
                        member.key.0, member.key.1
                    ));
                }
                target.map(|target| (target, LinkedBy::Named, Confidence::High))
            } else if member.settled() && matches!(member.kind, ChangeKind::Planned | ChangeKind::Security) {
                None
            } else {
                let history = stable.get(&member.service).map(Vec::as_slice).unwrap_or_default();
                let before = of_service.get(&member.service).map(Vec::as_slice).unwrap_or_default();
                let before = before.iter().rev().copied().filter(|other| *other < index);
                gone_back(member, index, history)
                    .map(|target| (target, LinkedBy::Return, Confidence::High))
                    .or_else(|| predecessor(member, before, deployments))
            };
            let link = link.map(|(target, by, confidence)| Link { target, by, confidence });
            links.extend(link.filter(|link| links.iter().all(|other| other.target != link.target)));
        }
        found.push((links, repairs_unknown));
    }
    for (one, (links, repairs_unknown)) in deployments.iter_mut().zip(found) {
        (one.links, one.repairs_unknown) = (links, repairs_unknown);
    }
}

/// The first deployment after the revision that is returned to was last stable: the one that replaced it. To return to
/// the predecessor repairs the last deployment; to return further repairs the first of those that came between.
fn gone_back(member: &Attempt, index: usize, history: &[Stable]) -> Option<usize> {
    let exposed_at = member.exposed_at?;
    let before = history.iter().rev().filter(|one| one.deployment < index && one.at <= exposed_at);
    let mut next: Option<usize> = None;
    for one in before {
        if one.revision == member.revision {
            // Nothing came after it: it is still stable, and this is no return.
            return next;
        }
        if one.from_revision == member.revision {
            return Some(one.deployment);
        }
        next = Some(one.deployment);
    }
    None
}

/// What a hotfix repairs, and what comes after an attempt that was under suspicion.
fn predecessor(
    member: &Attempt,
    mut before: impl Iterator<Item = usize>,
    deployments: &[Deployment],
) -> Option<(usize, LinkedBy, Confidence)> {
    let last = before.next()?;
    let outcome = |index: usize| deployments.get(index).and_then(|one| one.outcome);
    let suspicion = Some(Outcome::SupersededUnderSuspicion);
    if member.kind == ChangeKind::Hotfix {
        // What was replaced without suspicion was not what hurt.
        let harmless = |index: &usize| matches!(outcome(*index), None | Some(Outcome::Superseded));
        let target = std::iter::once(last).chain(before).find(|index| !harmless(index))?;
        return Some((target, LinkedBy::Hotfix, Confidence::Low));
    }
    (outcome(last) == suspicion).then_some((last, LinkedBy::Suspicion, Confidence::Medium))
}
