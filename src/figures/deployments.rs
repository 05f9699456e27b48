//! What counts as one deployment, and what it brought.
//!
//! Owns the denominator: an attempt that users met is a deployment, and workloads with the same release id are one.
//! Whether it failed is asked in `failures`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Settings;
use super::failures::{Failure, Link, failing};
use super::numbers::{between, number};
use super::records::{Attempt, Key};
use super::rework::{Recovered, ReworkBy};
use crate::api::{ChangeKind, Commit, Outcome};

/// One deployment: an attempt that users met, or several with the same release id.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// Its attempts, by the time of their exposure; never empty.
    pub members: Vec<Attempt>,
    /// The Rollouts that it belongs to, as namespace/name.
    pub services: BTreeSet<String>,
    /// The teams that answered for it.
    pub owners: BTreeSet<String>,
    /// Users first met it.
    pub exposed_at: Timestamp,
    /// All of it served everybody.
    pub promoted_at: Option<Timestamp>,
    /// How it ended: the worst of its attempts; absent while it is going on.
    pub outcome: Option<Outcome>,
    /// How many commits it brought; absent where nobody said.
    pub size: Option<u64>,
    /// How long its commits took.
    pub lead: Lead,
    /// The deployments that it repairs.
    pub links: Vec<Link>,
    /// It is said to repair a Release that is not among the records.
    pub repairs_unknown: bool,
    /// How it failed, if it did.
    pub failure: Option<Failure>,
    /// When that was over, if it is.
    pub recovered: Option<Recovered>,
    /// The same defect was seen in the 90 days before.
    pub recurring: bool,
    /// Why it is rework, if it is.
    pub rework: Option<ReworkBy>,
}

impl Deployment {
    /// When work on it began: its template was first seen.
    pub fn started_at(&self) -> Timestamp {
        self.members.iter().map(|one| one.started_at).min().unwrap_or(self.exposed_at)
    }

    /// The Releases, as namespace/name.
    pub fn releases(&self) -> Vec<String> {
        self.members.iter().map(|one| format!("{}/{}", one.key.0, one.key.1)).collect()
    }

    /// What failed of it served everybody, or took much of the error budget. Of what did not fail nothing did.
    pub fn escaped(&self, settings: &Settings) -> bool {
        self.failure.is_some()
            && failing(self).into_iter().any(|one| one.reached_all() || settings.costly(one.budget_percent))
    }

    /// The kind of change: rework of one of its attempts is rework of all.
    pub fn kind(&self) -> ChangeKind {
        let rank = |kind: ChangeKind| match kind {
            ChangeKind::Planned => 0,
            ChangeKind::Security => 1,
            ChangeKind::Rework => 2,
            ChangeKind::Hotfix => 3,
        };
        self.members.iter().map(|one| one.kind).max_by_key(|kind| rank(*kind)).unwrap_or_default()
    }
}

/// How long commits took, in milliseconds. A commit counts once per service: when it first gets there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lead {
    /// From commit until it served everybody.
    pub promoted: Vec<i64>,
    /// From commit until users first met it.
    pub exposed: Vec<i64>,
    /// Commits that are younger than the deployment that brought them: a clock was wrong. Not counted above.
    pub negative: u64,
    /// Commits without a time.
    pub undated: u64,
}

/// The deployments, and what did not become one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sorted {
    /// By the time of their exposure.
    pub deployments: Vec<Deployment>,
    /// Attempts that were taken back before users met them.
    pub before_exposure: Vec<Attempt>,
    /// Attempts that a person ended, or a newer template, before users met them.
    pub cancelled: Vec<Attempt>,
    /// Attempts that changed nothing.
    pub unchanged: Vec<Attempt>,
}

/// Sorts the attempts, which come in order of time, and puts together what is one deployment.
pub(super) fn sort(attempts: &[Attempt]) -> Sorted {
    let mut sorted = Sorted::default();
    let batches = batches(attempts);
    let mut exposed: Vec<(Timestamp, &Attempt)> = Vec::new();
    for attempt in attempts {
        match (attempt.exposed_at, attempt.outcome) {
            _ if attempt.no_change() => sorted.unchanged.push(attempt.clone()),
            (Some(at), _) => exposed.push((at, attempt)),
            (None, _) if attempt.failed_before_exposure() => sorted.before_exposure.push(attempt.clone()),
            (None, Some(_)) => sorted.cancelled.push(attempt.clone()),
            // Going on, and its exposure is not recorded before it ends.
            (None, None) => {}
        }
    }
    exposed.sort_by(|(at, one), (then, other)| (at, one.number, &one.key).cmp(&(then, other.number, &other.key)));
    // The last deployment of a release id. Another attempt of the same workload begins a new one.
    let mut open: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<&Attempt>> = Vec::new();
    for (_, attempt) in exposed {
        let id = attempt.release_id.as_deref().map(|id| (attempt.key.0.as_str(), id));
        let group = id.and_then(|id| open.get(&id)).and_then(|index| groups.get_mut(*index));
        match group {
            Some(group) if group.iter().all(|other| other.service != attempt.service) => group.push(attempt),
            Some(_) | None => {
                if let Some(id) = id {
                    open.insert(id, groups.len());
                }
                groups.push(vec![attempt]);
            }
        }
    }
    sorted.deployments = groups.into_iter().filter_map(|group| deployment(&group, &batches)).collect();
    lead_times(&mut sorted.deployments, &batches);
    sorted
}

/// What an attempt brings, with what was superseded before it.
struct Batch {
    commits: Vec<Commit>,
    size: u64,
}

/// A newer template in the middle of a rollout ends it, and its commits move to the successor.
fn batches(attempts: &[Attempt]) -> BTreeMap<&Key, Batch> {
    let mut left: BTreeMap<&str, &Key> = BTreeMap::new();
    let mut batches: BTreeMap<&Key, Batch> = BTreeMap::new();
    for attempt in attempts {
        let mut commits = attempt.commits.clone();
        let mut size = u64::from(attempt.commit_count);
        if let Some(before) = left.remove(attempt.service.as_str()).and_then(|key| batches.get(key)) {
            let mine: BTreeSet<&str> = attempt.commits.iter().map(|commit| commit.sha.as_str()).collect();
            commits.extend(before.commits.iter().filter(|commit| !mine.contains(commit.sha.as_str())).cloned());
            size = size.max(before.size);
        }
        let mut seen = BTreeSet::new();
        commits.retain(|commit| seen.insert(commit.sha.clone()));
        let size = size.max(number(commits.len()));
        if attempt.superseded() {
            left.insert(&attempt.service, &attempt.key);
        }
        batches.insert(&attempt.key, Batch { commits, size });
    }
    batches
}

fn deployment(group: &[&Attempt], batches: &BTreeMap<&Key, Batch>) -> Option<Deployment> {
    let exposed_at = group.iter().filter_map(|one| one.exposed_at).min()?;
    let all: Option<Vec<Timestamp>> = group.iter().map(|one| one.promoted_at).collect();
    let shas: BTreeSet<&str> = group
        .iter()
        .filter_map(|one| batches.get(&one.key))
        .flat_map(|batch| &batch.commits)
        .map(|commit| commit.sha.as_str())
        .collect();
    let said = group.iter().filter_map(|one| batches.get(&one.key)).map(|batch| batch.size).max().unwrap_or_default();
    let size = said.max(number(shas.len()));
    Some(Deployment {
        members: group.iter().map(|one| (*one).clone()).collect(),
        services: group.iter().map(|one| one.service.clone()).collect(),
        owners: group.iter().filter_map(|one| one.owner.clone()).collect(),
        exposed_at,
        promoted_at: all.and_then(|all| all.into_iter().max()),
        outcome: worst(group),
        size: (size > 0).then_some(size),
        lead: Lead::default(),
        links: Vec::new(),
        repairs_unknown: false,
        failure: None,
        recovered: None,
        recurring: false,
        rework: None,
    })
}

/// The worst end of several; of what is partly going on, nothing, unless a part has already failed.
fn worst(group: &[&Attempt]) -> Option<Outcome> {
    let rank = |outcome: Option<Outcome>| match outcome {
        Some(Outcome::Escaped) => 8,
        Some(Outcome::RolledBack) => 7,
        Some(Outcome::Aborted) => 6,
        Some(Outcome::SupersededUnderSuspicion) => 5,
        Some(Outcome::FailedBeforeExposure) => 4,
        None => 3,
        Some(Outcome::Superseded) => 2,
        Some(Outcome::Bypassed) => 1,
        Some(Outcome::Promoted) => 0,
    };
    let outcome = |one: &Attempt| if one.escaped { Some(Outcome::Escaped) } else { one.outcome };
    group.iter().map(|one| outcome(one)).max_by_key(|outcome| rank(*outcome)).flatten()
}

/// A commit counts where it first gets to. One that is listed again, by a deployment that goes back or comes after one
/// that was taken back, would make the figure longer the more was repaired.
fn lead_times(deployments: &mut [Deployment], batches: &BTreeMap<&Key, Batch>) {
    let mut order: Vec<usize> = (0..deployments.len()).collect();
    let mut met = BTreeSet::new();
    for index in &order {
        let Some(one) = deployments.get_mut(*index) else { continue };
        let at = one.exposed_at;
        for commit in new(one, batches, &mut met) {
            match commit.at.map(|made| between(made, at)) {
                Some(lead) if lead >= 0 => one.lead.exposed.push(lead),
                Some(_) | None => {}
            }
        }
    }
    order.sort_by_key(|index| (deployments.get(*index).and_then(|one| one.promoted_at), *index));
    let mut served = BTreeSet::new();
    for index in order {
        let Some(one) = deployments.get_mut(index) else { continue };
        let Some(at) = one.promoted_at else { continue };
        for commit in new(one, batches, &mut served) {
            match commit.at.map(|made| between(made, at)) {
                Some(lead) if lead >= 0 => one.lead.promoted.push(lead),
                Some(_) => one.lead.negative = one.lead.negative.saturating_add(1),
                None => one.lead.undated = one.lead.undated.saturating_add(1),
            }
        }
    }
}

/// The commits of a deployment that one of its services has not had before.
fn new(one: &Deployment, batches: &BTreeMap<&Key, Batch>, had: &mut BTreeSet<(String, String)>) -> Vec<Commit> {
    let mut found: BTreeMap<String, Commit> = BTreeMap::new();
    for member in &one.members {
        for commit in batches.get(&member.key).map(|batch| batch.commits.as_slice()).unwrap_or_default() {
            if had.insert((member.service.clone(), commit.sha.clone())) {
                let known = found.entry(commit.sha.clone()).or_insert_with(|| commit.clone());
                // Of two times of one commit the earlier one: it was made then.
                known.at = match (known.at, commit.at) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
        }
    }
    found.into_values().collect()
}
