//! When a failure was over, and which deployments were made because of one.
//!
//! Owns the clock of recovery and the rules of rework. Both ask the other: what is started while a failure is open is
//! rework, and rework that serves everybody ends a failure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::deployments::Deployment;
use super::failures::{LinkedBy, cleared, failing};
use super::numbers::{between, days};
use super::records::Attempt;
use crate::api::{ChangeKind, Defect, REMEMBERED_DAYS};

/// How a failure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RecoveredBy {
    /// It had no more traffic, and what remained was within tolerance again.
    Verified,
    /// It had no more traffic; whether that was enough was not seen.
    WeightZero,
    /// What repairs it served everybody.
    Remediation,
    /// What was started while it was open served everybody.
    Inferred,
}

/// That a failure is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Since when.
    pub at: Timestamp,
    /// How that is known.
    pub by: RecoveredBy,
}

/// Why a deployment is rework. The first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ReworkBy {
    /// A person said that it is rework or a hotfix, or it follows.
    Said,
    /// Sluice took it for rework or a hotfix when it recorded it.
    Recorded,
    /// It goes back to an earlier revision.
    Return,
    /// It repairs a deployment.
    Remediates,
    /// What it replaced was under suspicion.
    Suspicion,
    /// It was started while a failure of its service was open.
    OpenFailure,
}

/// Finds the ends of failures, and what is rework.
pub(super) fn judge(deployments: &mut [Deployment], before_exposure: &[Attempt]) {
    let repaired = repaired(deployments);
    for (one, repaired) in deployments.iter_mut().zip(repaired) {
        one.recovered = one.failure.and_then(|failure| recovered(one, failure.known_at, repaired));
    }
    let rework: Vec<Option<ReworkBy>> = deployments.iter().map(|one| rework(one, deployments)).collect();
    for (one, rework) in deployments.iter_mut().zip(rework) {
        one.rework = rework;
    }
    while_open(deployments);
    recurring(deployments, before_exposure);
}

/// When what repairs a deployment first served everybody. Where the repair was itself taken back, what repairs that.
fn repaired(deployments: &[Deployment]) -> Vec<Option<Timestamp>> {
    let mut repaired: Vec<Option<Timestamp>> = vec![None; deployments.len()];
    // A repair is always later than what it repairs, so all that repair it are known before it is looked at.
    for (index, one) in deployments.iter().enumerate().rev() {
        let Some(at) = one.promoted_at.or(repaired.get(index).copied().flatten()) else { continue };
        for link in &one.links {
            if let Some(target) = repaired.get_mut(link.target) {
                *target = Some(target.map_or(at, |known| known.min(at)));
            }
        }
    }
    repaired
}

fn recovered(one: &Deployment, known_at: Timestamp, repaired: Option<Timestamp>) -> Option<Recovered> {
    let failed = failing(one);
    let verified = |member: &Attempt| member.recovered_at.filter(|at| *at >= known_at && *at >= one.exposed_at);
    let taken_back = |member: &Attempt| member.weight_zero_at.filter(|at| *at >= one.exposed_at);
    // All of it must have recovered.
    let all: Option<Vec<Timestamp>> = failed.iter().map(|member| verified(member)).collect();
    if let Some(at) = all.and_then(|all| all.into_iter().max()) {
        return Some(Recovered { at, by: RecoveredBy::Verified });
    }
    let all: Option<Vec<Timestamp>> = failed.iter().map(|one| verified(one).or_else(|| taken_back(one))).collect();
    if let Some(at) = all.and_then(|all| all.into_iter().max()) {
        return Some(Recovered { at, by: RecoveredBy::WeightZero });
    }
    repaired.map(|at| Recovered { at: at.max(one.exposed_at), by: RecoveredBy::Remediation })
}

/// Every rule but the last, which needs to know which failures were open.
fn rework(one: &Deployment, all: &[Deployment]) -> Option<ReworkBy> {
    let repairs = |kind: ChangeKind| match kind {
        ChangeKind::Rework | ChangeKind::Hotfix => true,
        ChangeKind::Planned | ChangeKind::Security => false,
    };
    if one.members.iter().any(|member| repairs(member.kind) && member.settled()) {
        return Some(ReworkBy::Said);
    }
    if planned(one) {
        return None;
    }
    if one.members.iter().any(|member| repairs(member.kind)) {
        return Some(ReworkBy::Recorded);
    }
    let target = |index: usize| all.get(index).is_some_and(|target| !cleared(target));
    let by = one.links.iter().filter(|link| target(link.target)).map(|link| match link.by {
        LinkedBy::Return => ReworkBy::Return,
        LinkedBy::Named | LinkedBy::Hotfix => ReworkBy::Remediates,
        LinkedBy::Suspicion => ReworkBy::Suspicion,
    });
    let rank = |by: &ReworkBy| match by {
        ReworkBy::Said => 0,
        ReworkBy::Recorded => 1,
        ReworkBy::Return => 2,
        ReworkBy::Remediates => 3,
        ReworkBy::Suspicion => 4,
        ReworkBy::OpenFailure => 5,
    };
    by.min_by_key(rank).or(one.repairs_unknown.then_some(ReworkBy::Remediates))
}

/// A person said of all of it that it is no rework.
fn planned(one: &Deployment) -> bool {
    one.members
        .iter()
        .all(|member| member.settled() && matches!(member.kind, ChangeKind::Planned | ChangeKind::Security))
}

/// What was started while a failure was open is rework, in the order of time; and if it serves everybody and is not
/// known to repair something else, the failure is over.
fn while_open(deployments: &mut [Deployment]) {
    let mut failed: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for index in 0..deployments.len() {
        let Some(one) = deployments.get(index) else { continue };
        let (started_at, promoted_at) = (one.started_at(), one.promoted_at);
        let (rework, planned) = (one.rework, planned(one));
        let unlinked = one.links.is_empty() && !one.repairs_unknown;
        let services = one.services.clone();
        if !planned {
            let mut open: Vec<usize> =
                services.iter().filter_map(|service| failed.get(service)).flatten().copied().collect();
            open.retain(|failed| deployments.get(*failed).is_some_and(|failed| was_open(failed, started_at)));
            if !open.is_empty()
                && rework.is_none()
                && let Some(one) = deployments.get_mut(index)
            {
                one.rework = Some(ReworkBy::OpenFailure);
            }
            for failed in open.into_iter().filter(|_| unlinked) {
                if let (Some(failed), Some(at)) = (deployments.get_mut(failed), promoted_at) {
                    failed
                        .recovered
                        .get_or_insert(Recovered { at: at.max(failed.exposed_at), by: RecoveredBy::Inferred });
                }
            }
        }
        if deployments.get(index).is_some_and(|one| one.failure.is_some()) {
            for service in services {
                failed.entry(service).or_default().push(index);
            }
        }
    }
}

fn was_open(failed: &Deployment, at: Timestamp) -> bool {
    let known = failed.failure.is_some_and(|failure| failure.known_at <= at);
    known && failed.recovered.is_none_or(|recovered| at < recovered.at)
}

/// Marks failures of which the same defect was seen in the same service in the 90 days before, whether users met it or
/// not.
fn recurring(deployments: &mut [Deployment], before_exposure: &[Attempt]) {
    // By service, in order of time.
    let mut sightings: BTreeMap<&str, BTreeMap<Timestamp, Vec<Defect<'_>>>> = BTreeMap::new();
    let members = deployments.iter().filter_map(|one| Some((one, one.failure?.known_at)));
    let members = members.flat_map(|(one, at)| one.members.iter().map(move |member| (member, at)));
    let before = before_exposure.iter().map(|one| (one, one.verdict_at.unwrap_or(one.started_at)));
    for (member, at) in members.chain(before) {
        if let Some(defect) = member.defect() {
            sightings.entry(&member.service).or_default().entry(at).or_default().push(defect);
        }
    }
    let seen = |member: &Attempt, known_at: Timestamp| {
        let (Some(defect), Some(times)) = (member.defect(), sightings.get(member.service.as_str())) else {
            return false;
        };
        // Of the same moment are the other members of its own deployment.
        let earlier = times.range(..known_at).rev();
        let mut remembered = earlier.take_while(|(at, _)| between(**at, known_at) <= days(REMEMBERED_DAYS));
        remembered.any(|(_, defects)| defects.iter().any(|other| defect.same(other)))
    };
    let recurring: Vec<bool> = deployments
        .iter()
        .map(|one| {
            one.failure.is_some_and(|failure| {
                one.members.iter().any(|member| member.seen_before || seen(member, failure.known_at))
            })
        })
        .collect();
    for (one, recurring) in deployments.iter_mut().zip(recurring) {
        one.recurring = recurring;
    }
}
