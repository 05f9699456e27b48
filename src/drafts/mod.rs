//! Makes drafts of postmortems by itself, for the failures that the policy names.
//!
//! Owns which failures these are, and the task that looks for them. What a draft says is [`crate::postmortem`]'s; writing it
//! is `record`'s. Nothing waits for it: it reads caches, has one request under way at a time, and begins again where it
//! failed. Keeps nothing: what is to be drafted follows from the ReworkEvents of the last hour, and a draft that is there
//! already, whoever made it, is left as it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};

use crate::act::CALL_TIMEOUT;
use crate::api::{PostmortemCause, PostmortemSpec, Reclassification, Release, ReworkEvent, ReworkKind, Rollout};
use crate::clock::Clock;
use crate::decide::drafted;
use crate::figures::{Settings, named};
use crate::leadership::{Leadership, Writer};
use crate::postmortem::{Case, LONGEST, Sources, draft};
use crate::record;
use crate::watch::{Freshness, Stores};

/// How often it looks.
const LOOK: Duration = Duration::from_secs(5);
/// How long after what was tried in vain it is tried again.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// Only for failures that were recorded so lately. A draft that somebody deleted comes back within this time if another
/// process takes over, and never after it; an operator that is installed anew drafts nothing about the past.
const LATELY: SignedDuration = SignedDuration::from_hours(1);
/// So many are made at a look: after a bad day the API server has other things to do.
const AT_ONCE: usize = 5;
/// Records of the Rollout that are looked through, the newest, and as many of others: as many as are kept by default.
const RECORDS: usize = 1_000;
/// Records of other Rollouts are looked through if they are so near in time.
const AROUND: SignedDuration = SignedDuration::from_hours(96);

/// For which causes drafts are made by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy(Vec<PostmortemCause>);

impl Policy {
    /// Drafts for these causes; for none of them, none.
    pub fn new(causes: impl IntoIterator<Item = PostmortemCause>) -> Self {
        Self(causes.into_iter().collect())
    }

    /// Why a draft is made of a failure, if one is. The first cause that holds, of those that are wanted.
    fn cause(&self, event: &ReworkEvent, release: &Release) -> Option<PostmortemCause> {
        let kind = event.spec.kind;
        let spent = release.status.as_ref().and_then(|status| status.budget_percent);
        let costly = Settings::default().costly(spent);
        let again = event.spec.recurrence.is_some_and(|times| times > 1);
        let failed = matches!(kind, ReworkKind::Rollback | ReworkKind::Escaped);
        let holds = [
            (PostmortemCause::BreakGlass, kind == ReworkKind::Bypass),
            (PostmortemCause::Escaped, kind == ReworkKind::Escaped || failed && costly),
            (PostmortemCause::Recurrence, failed && again),
        ];
        holds.into_iter().find(|(cause, holds)| *holds && self.0.contains(cause)).map(|(cause, _)| cause)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new([PostmortemCause::Escaped, PostmortemCause::Recurrence, PostmortemCause::BreakGlass])
    }
}

/// What the task needs.
pub struct Drafter {
    clock: Clock,
    releases: Store<Release>,
    reworks: Store<ReworkEvent>,
    reclassifications: Store<Reclassification>,
    rollouts: Store<DeserializeGuard<Rollout>>,
    freshness: Freshness,
    /// Caches hold no timelines: the Release itself is read once more for its draft.
    client: Client,
    writer: Writer,
    leadership: Leadership,
    policy: Policy,
    reporter: String,
    /// What became of each ReworkEvent, by UID, as long as it is young.
    known: HashMap<String, Known>,
}

/// What became of a ReworkEvent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing is left to do.
    Settled,
    /// It could not be drafted; tried again from then on.
    Again(Timestamp),
}

impl Drafter {
    /// One that does nothing until it is `run`.
    pub fn new(
        clock: Clock,
        stores: &Stores,
        client: Client,
        writer: Writer,
        leadership: Leadership,
        policy: Policy,
        reporter: String,
    ) -> Self {
        Self {
            clock,
            releases: stores.releases.clone(),
            reworks: stores.reworks.clone(),
            reclassifications: stores.reclassifications.clone(),
            rollouts: stores.rollouts.clone(),
            freshness: stores.freshness.clone(),
            client,
            writer,
            leadership,
            policy,
            reporter,
            known: HashMap::new(),
        }
    }

    /// Drafts from when this process leads until `stop` is ready.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        if self.policy.0.is_empty() {
            return stop.await;
        }
        let work = async {
            self.freshness.complete().await;
            self.leadership.acquired().await;
            let mut every = tokio::time::interval(LOOK);
            every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                self.look().await;
            }
        };
        tokio::select! {
            biased;
            () = &mut stop => {}
            () = work => {}
        }
    }

    /// Makes the drafts that are due, some at a time.
    async fn look(&mut self) {
        if !self.leadership.may_write() {
            return;
        }
        let now = self.clock.now();
        let young =
            |event: &ReworkEvent| event.creation_timestamp().is_some_and(|made| now.duration_since(made.0) <= LATELY);
        let mut events = self.reworks.state();
        events.retain(|event| young(event));
        events.sort_by_cached_key(|event| (event.creation_timestamp().map(|made| made.0), event.uid()));
        let uids: HashSet<String> = events.iter().filter_map(|event| event.uid()).collect();
        self.known.retain(|uid, _| uids.contains(uid));
        let due = |uid: &String| match self.known.get(uid) {
            Some(Known::Settled) => false,
            Some(Known::Again(at)) => *at <= now,
            None => true,
        };
        let due: Vec<_> = events.into_iter().filter(|event| event.uid().as_ref().is_some_and(due)).collect();
        let mut made = 0_usize;
        for event in due {
            let uid = event.uid().unwrap_or_default();
            // The ReworkEvent may be seen before what it speaks of.
            let Some((release, cause)) = self.wanted(&event) else { continue };
            let Some(cause) = cause else {
                self.known.insert(uid, Known::Settled);
                continue;
            };
            match self.make(&release, cause).await {
                Ok(()) => {
                    self.known.insert(uid, Known::Settled);
                }
                Err(why) => {
                    let (namespace, name) = named(&release.metadata);
                    tracing::warn!(namespace, release = name, ?cause, error = %why, "no postmortem could be drafted");
                    self.known.insert(uid, Known::Again(now.checked_add(AGAIN).unwrap_or(Timestamp::MAX)));
                    if !why.answered() {
                        // No answer to one is no answer to the next.
                        return;
                    }
                }
            }
            made = made.saturating_add(1);
            if made >= AT_ONCE {
                return;
            }
        }
    }

    /// The Release of a ReworkEvent as it is cached, once it says how it ended, and why a draft is wanted.
    fn wanted(&self, event: &ReworkEvent) -> Option<(Arc<Release>, Option<PostmortemCause>)> {
        let reference =
            ObjectRef::<Release>::new(&event.spec.failed_release).within(&event.namespace().unwrap_or_default());
        let release = self.releases.get(&reference).filter(|release| told(release, event))?;
        let cause = self.policy.cause(event, &release);
        Some((release, cause))
    }

    /// Makes one draft and tells of it. The event comes second: a process that ends in between tells it when it begins
    /// again, for an event has one name, too.
    async fn make(&self, cached: &Release, cause: PostmortemCause) -> Result<(), Failed> {
        let (namespace, name) = named(&cached.metadata);
        let api: Api<Release> = Api::namespaced(self.client.clone(), &namespace);
        let release = match tokio::time::timeout(CALL_TIMEOUT, api.get_opt(&name)).await {
            Err(_) => return Err(Failed::NoAnswer),
            Ok(Err(error)) => return Err(Failed::Unread(Box::new(error))),
            // Somebody deleted it, or made another one of its name: there is nothing to write about.
            Ok(Ok(found)) => match found.filter(|found| found.uid() == cached.uid()) {
                Some(release) => release,
                None => return Ok(()),
            },
        };
        let drafted_at = self.clock.now();
        let Some(case) = self.case(&release) else { return Ok(()) };
        let spec = PostmortemSpec {
            release: name.clone(),
            rollout: release.spec.rollout.clone(),
            cause,
            drafted_at,
            markdown: draft(&case, cause, drafted_at, Some(LONGEST)),
        };
        record::postmortem(&self.writer, &release, spec).await?;
        let reference = ObjectRef::<DeserializeGuard<Rollout>>::new(&release.spec.rollout).within(&namespace);
        if let Some(guard) = self.rollouts.get(&reference)
            && let Ok(rollout) = &guard.0
            && rollout.uid().as_ref() == Some(&release.spec.rollout_uid)
        {
            let notice = drafted::notice(&namespace, &name, cause);
            record::publish(&self.writer, &self.clock, rollout, &notice, &self.reporter).await?;
        }
        Ok(())
    }

    /// The case, from what is cached of its own namespace: whoever may read a Postmortem need not be allowed to read of
    /// other namespaces.
    fn case(&self, release: &Release) -> Option<Case> {
        let key = named(&release.metadata);
        let began = moment(release);
        let mut own: Vec<Arc<Release>> = Vec::new();
        let mut others: Vec<(SignedDuration, Arc<Release>)> = Vec::new();
        for other in self.releases.state() {
            if other.namespace().as_deref() != Some(key.0.as_str()) || other.name_any() == key.1 {
                continue;
            }
            let (id, far) = (&other.spec.change.release_id, moment(&other).zip(began));
            let far = far.map_or(SignedDuration::MAX, |(at, began)| at.duration_since(began).abs());
            if other.spec.rollout == release.spec.rollout {
                own.push(other);
            } else if far <= AROUND || id.is_some() && *id == release.spec.change.release_id {
                others.push((far, other));
            }
        }
        own.sort_by_cached_key(|other| (std::cmp::Reverse(other.spec.number), other.name_any()));
        others.sort_by_cached_key(|(far, other)| (*far, other.name_any()));
        let chosen = own.iter().take(RECORDS).chain(others.iter().map(|(_, other)| other).take(RECORDS));
        let mut releases: Vec<Release> = vec![release.clone()];
        releases.extend(chosen.map(|other| other.as_ref().clone()));
        let kept: HashSet<String> = releases.iter().map(ResourceExt::name_any).collect();
        let events = self.reworks.state();
        let events = events.iter().filter(|event| event.namespace().as_deref() == Some(key.0.as_str()));
        let events: Vec<ReworkEvent> = events
            .filter(|event| kept.contains(&event.spec.failed_release))
            .map(|event| event.as_ref().clone())
            .collect();
        let said = self.reclassifications.state();
        let said = said.iter().filter(|one| one.namespace().as_deref() == Some(key.0.as_str()));
        let said: Vec<Reclassification> =
            said.filter(|one| kept.contains(&one.spec.release)).map(|one| one.as_ref().clone()).collect();
        Case::of(&key, Sources { releases: &releases, events: &events, reclassifications: &said })
    }
}

/// The Release says what its ReworkEvent says: how it ended, and what escaped.
fn told(release: &Release, event: &ReworkEvent) -> bool {
    let status = release.status.as_ref();
    match event.spec.kind {
        ReworkKind::Escaped => status.is_some_and(|status| status.escaped.is_some()),
        ReworkKind::Rollback | ReworkKind::Bypass | ReworkKind::Hotfix => {
            status.is_some_and(|status| status.outcome.is_some())
        }
    }
}

/// A time that an attempt is known by.
fn moment(release: &Release) -> Option<Timestamp> {
    let times = release.status.as_ref().map(|status| &status.times);
    let first = times.and_then(|times| times.exposed_at.or(times.verdict_at).or(times.requested_at));
    first.or(release.creation_timestamp().map(|made| made.0))
}

/// Why there is no draft yet.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the Release could not be read: no answer within {} s", CALL_TIMEOUT.as_secs())]
    NoAnswer,
    #[error("the Release could not be read: {0}")]
    Unread(Box<kube::Error>),
    #[error(transparent)]
    Unwritten(#[from] record::Error),
}

impl Failed {
    /// The API server said something, if only about this one.
    fn answered(&self) -> bool {
        match self {
            Self::NoAnswer => false,
            Self::Unread(error) => matches!(error.as_ref(), kube::Error::Api(_)),
            Self::Unwritten(record::Error::Refused { source, .. }) => matches!(source.as_ref(), kube::Error::Api(_)),
            Self::Unwritten(record::Error::Conflict { .. }) => true,
            Self::Unwritten(record::Error::Timeout { .. } | record::Error::NotLeader { .. }) => false,
        }
    }
}

#[cfg(test)]
mod tests;
