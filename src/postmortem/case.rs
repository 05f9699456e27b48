//! What the records say about one Release: itself, how it is judged, what it has in common with others, and what else was
//! going on.
//!
//! Owns which other records belong to the case. What counts as failed, rework or repaired is asked of
//! [`crate::figures`]: a postmortem and a report must not disagree.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::text::between;
use crate::api::{
    ChangeKind, Outcome, REMEMBERED_DAYS, Reclassification, Release, ReleaseStatus, ReworkEvent, ReworkKind, Stage,
};
use crate::figures::{
    self, Attempt, Deployment, Failure, History, Key, Recovered, ReworkBy, Settings, fullness, named,
};

/// What was changed so near in time may have to do with it: half an hour, in seconds.
pub const NEARBY: f64 = 1800.0;
/// How many past failures are named.
const SIMILAR: usize = 10;
/// How many other Releases are named.
const NEIGHBOURS: usize = 20;

/// The records of a namespace, or of several.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Releases.
    pub releases: &'a [Release],
    /// ReworkEvents.
    pub events: &'a [ReworkEvent],
    /// Reclassifications.
    pub reclassifications: &'a [Reclassification],
}

/// One Release, and what there is to say about it.
#[derive(Debug, Clone)]
pub struct Case {
    pub(super) key: Key,
    pub(super) release: Release,
    pub(super) status: ReleaseStatus,
    /// Its ReworkEvents, by time.
    pub(super) events: Vec<ReworkEvent>,
    /// What is said about it afterwards, in order.
    pub(super) said: Vec<Reclassification>,
    pub(super) attempt: Attempt,
    pub(super) judged: Judged,
    /// What failed as the same defect before it, the newest first.
    pub(super) before: Vec<Similar>,
    /// How many there are in all, and how many of them lie in the days for which a failure is remembered.
    pub(super) before_count: (usize, usize),
    /// What failed as the same defect since.
    pub(super) since: Vec<Key>,
    pub(super) nearby: Vec<Neighbour>,
    /// People who are named in what is shown.
    pub(super) people: BTreeSet<String>,
    /// What could not be counted as it was written, and why.
    notes: Vec<String>,
}

/// How it counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Judged {
    /// Users met it.
    pub(super) deployment: bool,
    pub(super) failure: Option<Failure>,
    /// What failed of its deployment served everybody, or cost so much that it counts like that.
    pub(super) escaped: bool,
    pub(super) recovered: Option<Recovered>,
    pub(super) rework: Option<ReworkBy>,
    pub(super) recurring: bool,
    /// Other Releases of the same deployment.
    pub(super) together: Vec<Key>,
    pub(super) commits: Option<u64>,
    /// What repairs it.
    pub(super) repaired_by: Vec<Key>,
    /// What it repairs.
    pub(super) repairs: Vec<Key>,
}

/// A failure that is the same defect.
#[derive(Debug, Clone)]
pub(super) struct Similar {
    pub(super) key: Key,
    pub(super) at: Timestamp,
    pub(super) outcome: Option<Outcome>,
    pub(super) stage: Option<Stage>,
    pub(super) wave: Option<u8>,
    pub(super) message: String,
    /// Reason, signal and symptoms that both have.
    pub(super) common: Vec<String>,
    pub(super) repaired_by: Vec<Key>,
}

/// Another Release whose traffic changed at nearly the same time.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    pub(super) key: Key,
    pub(super) rollout: String,
    pub(super) outcome: Option<Outcome>,
    /// What happened to it, and how many seconds after what of this one; negative is before.
    pub(super) what: &'static str,
    pub(super) seconds: f64,
    pub(super) of: &'static str,
}

impl Case {
    /// The case of a Release, by namespace and name; none if it is not among the records, or has no time at all.
    pub fn of(key: &Key, sources: Sources<'_>) -> Option<Self> {
        let is_it = |release: &&Release| named(&release.metadata) == *key;
        let release = sources.releases.iter().filter(is_it).max_by_key(|release| fullness(release))?.clone();
        let facts = figures::facts(sources.releases, sources.events, sources.reclassifications);
        let history = History::new(&facts, Settings::default());
        let attempt = facts.attempts.iter().find(|one| one.key == *key)?.clone();
        let mut events: Vec<ReworkEvent> = sources
            .events
            .iter()
            .filter(|event| named(&event.metadata).0 == key.0 && event.spec.failed_release == key.1)
            // A hotfix speaks of what it remedies, and that is told among the repairs.
            .filter(|event| event.spec.kind != ReworkKind::Hotfix)
            .cloned()
            .collect();
        events.sort_by_cached_key(|event| (event.spec.verdict_at, named(&event.metadata)));
        // What is in two files is one object.
        events.dedup_by_key(|event| named(&event.metadata));
        let mut said: Vec<Reclassification> = sources
            .reclassifications
            .iter()
            .filter(|one| named(&one.metadata).0 == key.0 && one.spec.release == key.1)
            .cloned()
            .collect();
        said.sort_by_cached_key(|one| (one.metadata.creation_timestamp.as_ref().map(|at| at.0), named(&one.metadata)));
        said.dedup_by_key(|one| named(&one.metadata));
        let judged = Judged::of(key, &history);
        let status = release.status.clone().unwrap_or_default();
        let mut case = Self {
            key: key.clone(),
            release,
            status,
            events,
            said,
            attempt,
            judged,
            before: Vec::new(),
            before_count: (0, 0),
            since: Vec::new(),
            nearby: Vec::new(),
            people: BTreeSet::new(),
            notes: history.notes().to_vec(),
        };
        case.compare(&facts.attempts, sources.releases, &history);
        case.look_around(&facts.attempts);
        case.name_people(sources.releases);
        Some(case)
    }

    /// Namespace and name of the Release.
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// The Rollout.
    pub fn rollout(&self) -> &str {
        &self.release.spec.rollout
    }

    /// Something happened that a postmortem is for. A promotion, and a version that a newer one replaced, need none.
    pub fn needs_one(&self) -> bool {
        let ended = match self.status.outcome {
            Some(
                Outcome::RolledBack
                | Outcome::Aborted
                | Outcome::SupersededUnderSuspicion
                | Outcome::FailedBeforeExposure
                | Outcome::Bypassed
                | Outcome::Escaped,
            ) => true,
            Some(Outcome::Promoted | Outcome::Superseded) | None => false,
        };
        ended || self.attempt.escaped || self.judged.failure.is_some()
    }

    /// What could not be counted as it was written, and why.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// When it was seen to fail, or rolled unproven.
    pub(super) fn seen_at(&self) -> Option<Timestamp> {
        self.events
            .last()
            .map(|event| event.spec.verdict_at)
            .or(self.attempt.verdict_at)
            .or(self.status.times.verdict_at)
    }

    fn compare(&mut self, attempts: &[Attempt], releases: &[Release], history: &History) {
        let attempt = self.attempt.clone();
        let Some(defect) = attempt.defect() else { return };
        let at = seen(&attempt);
        let same = |other: &&Attempt| {
            other.key != attempt.key
                && other.service == attempt.service
                && other.defect().is_some_and(|other| defect.same(&other))
        };
        let (mut before, since): (Vec<&Attempt>, Vec<&Attempt>) =
            attempts.iter().filter(same).partition(|other| (seen(other), other.number) < (at, attempt.number));
        before.sort_by_key(|other| (seen(other), other.number));
        before.reverse();
        let remembered = f64::from(REMEMBERED_DAYS) * 86_400.0;
        let lately = before.iter().filter(|other| between(seen(other), at) <= remembered).count();
        self.before_count = (before.len(), lately);
        self.before = before
            .into_iter()
            .take(SIMILAR)
            .map(|other| Similar {
                key: other.key.clone(),
                at: seen(other),
                outcome: other.outcome,
                stage: other.stage,
                wave: other.wave,
                message: message(releases, &other.key),
                common: other.defect().map(|other| defect.common(&[other])).unwrap_or_default(),
                repaired_by: Judged::of(&other.key, history).repaired_by,
            })
            .collect();
        self.since = since.into_iter().take(SIMILAR).map(|other| other.key.clone()).collect();
    }

    /// Releases of other Rollouts whose traffic changed within half an hour of a change or of the verdict here.
    fn look_around(&mut self, attempts: &[Attempt]) {
        let mine = moments(&self.attempt);
        let near = |other: &Attempt| {
            let pairs = moments(other)
                .into_iter()
                .flat_map(|(what, at)| mine.iter().map(move |(of, then)| (what, between(*then, at), *of)));
            let near = pairs.filter(|(_, seconds, _)| seconds.abs() <= NEARBY);
            near.min_by(|one, other| one.1.abs().total_cmp(&other.1.abs()))
        };
        let others = attempts.iter().filter(|other| other.service != self.attempt.service);
        let mut found: Vec<Neighbour> = others
            .filter_map(|other| {
                let (what, seconds, of) = near(other)?;
                let rollout = other.service.split_once('/').map_or("", |(_, name)| name).to_owned();
                Some(Neighbour { key: other.key.clone(), rollout, outcome: other.outcome, what, seconds, of })
            })
            .collect();
        found.sort_by(|one, other| {
            one.seconds.abs().total_cmp(&other.seconds.abs()).then_with(|| one.key.cmp(&other.key))
        });
        found.truncate(NEIGHBOURS);
        self.nearby = found;
    }

    fn name_people(&mut self, releases: &[Release]) {
        let shown: BTreeSet<&Key> = self.before.iter().map(|one| &one.key).chain([&self.key]).collect();
        let shown = releases.iter().filter(|release| shown.contains(&named(&release.metadata)));
        let mut people: BTreeSet<String> = BTreeSet::new();
        for release in shown {
            people.extend(release.spec.change.requested_by.clone());
            let status = release.status.iter();
            people.extend(status.flat_map(|status| &status.interventions).map(|one| one.by.clone()));
        }
        people.extend(self.said.iter().filter_map(|one| one.spec.requested_by.clone()));
        self.people = people;
    }
}

impl Judged {
    fn of(key: &Key, history: &History) -> Self {
        let all = history.deployments();
        let holds = |one: &Deployment| one.members.iter().any(|member| member.key == *key);
        let Some((index, one)) = all.iter().enumerate().find(|(_, one)| holds(one)) else {
            return Self::default();
        };
        let keys = |one: &Deployment| one.members.iter().map(|member| member.key.clone()).collect::<Vec<Key>>();
        let repairs = one.links.iter().filter_map(|link| all.get(link.target)).flat_map(keys).collect();
        let repaired = all.iter().filter(|other| other.links.iter().any(|link| link.target == index));
        Self {
            deployment: true,
            failure: one.failure,
            escaped: one.escaped(history.settings()),
            recovered: one.recovered,
            rework: one.rework,
            recurring: one.recurring,
            together: keys(one).into_iter().filter(|other| other != key).collect(),
            commits: one.size,
            repaired_by: repaired.flat_map(keys).collect(),
            repairs,
        }
    }
}

/// When it was seen to fail, as near as that is known.
fn seen(attempt: &Attempt) -> Timestamp {
    attempt.verdict_at.or(attempt.weight_zero_at).or(attempt.promoted_at).unwrap_or(attempt.started_at)
}

/// When users began or ceased to meet it, and when it was seen to fail.
fn moments(attempt: &Attempt) -> Vec<(&'static str, Timestamp)> {
    let all = [
        ("first exposure", attempt.exposed_at),
        ("the verdict", attempt.verdict_at),
        ("weight 0", attempt.weight_zero_at),
        ("the promotion", attempt.promoted_at),
    ];
    all.into_iter().filter_map(|(what, at)| Some((what, at?))).collect()
}

fn message(releases: &[Release], key: &Key) -> String {
    let found = releases.iter().find(|release| named(&release.metadata) == *key).and_then(|one| one.status.as_ref());
    found.map_or_else(String::new, |status| match &status.escaped {
        Some(escaped) => escaped.message.clone(),
        None => status.message.clone(),
    })
}

/// What a kind of change is called in a sentence.
pub(super) const fn kind_word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Planned => "planned",
        ChangeKind::Rework => "rework",
        ChangeKind::Hotfix => "hotfix",
        ChangeKind::Security => "security",
    }
}
