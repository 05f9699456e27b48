//! The reconcile: watch -> observe -> decide -> commit intent -> act -> record, for one Rollout at a time.
//!
//! Does not look at why it was called, holds no state that a crash could lose, and asks Prometheus nothing: the
//! poller does, so that a hanging query delays nobody's rollback.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use tracing::{Instrument, info_span};

use crate::api::{Rollout, Step};
use crate::clock::{self, Clock};
use crate::decide::{self, Decision, Notice, Record, Snapshot};
use crate::delivery::Live;
use crate::leadership::Writer;
use crate::observe::Remembered;
use crate::prometheus::Poller;
use crate::record::metrics::Metrics;
use crate::watch::policies::Shipped;
use crate::watch::{RolloutRef, Stores};
use crate::{act, observe, record};

mod untold;
use untold::Untold;

/// What every pass needs.
pub struct Context {
    /// What time it is.
    pub clock: Clock,
    /// The API server, to read from.
    pub client: Client,
    /// The API server, to write to while this process leads.
    pub writer: Writer,
    /// The caches.
    pub stores: Stores,
    /// The delivery figures.
    pub delivery: Live,
    /// The answers of Prometheus.
    pub poller: Poller,
    /// The operator's own metrics.
    pub metrics: Metrics,
    /// The name of this process in events.
    pub reporter: String,
    /// The admission policies that there are to be.
    pub policies: Shipped,
    /// What is remembered between passes; nothing to begin with.
    pub memories: Memories,
}

/// What is remembered of every Rollout.
#[derive(Debug, Default)]
pub struct Memories(Mutex<HashMap<RolloutRef, Memory>>);

/// What is remembered of a Rollout between passes; losing it costs a request or two.
#[derive(Debug, Clone, Default)]
struct Memory {
    remembered: Remembered,
    status_written: Option<Instant>,
    published: BTreeSet<String>,
    /// The record that was begun or added to last, and when: the cache shows it a little later.
    recorded: Option<(String, Instant)>,
    untold: Untold,
    failures: u32,
    /// A write met an object that had changed: what the caches show is old.
    outdated: bool,
}

/// When to look for a Rollout again that the cache has and the API server has not.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Why a pass did not come to its end. The next pass starts over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed.
    #[error(transparent)]
    Observe(#[from] observe::Error),
    /// The status or a record could not be written.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// A write failed.
    #[error(transparent)]
    Act(#[from] act::Error),
    /// The decision contradicts itself; nothing was written.
    #[error("a decision was refused as contradictory, please report this: {0}")]
    Contradiction(String),
}

impl Error {
    /// One word for metrics; a closed set.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Observe(error) => error.reason(),
            Self::Record(error) => error.reason(),
            Self::Act(error) => error.reason(),
            Self::Contradiction(_) => "contradiction",
        }
    }

    /// This process does not lead: nothing is wrong, another one decides.
    const fn not_leader(&self) -> bool {
        matches!(self, Self::Record(record::Error::NotLeader { .. }) | Self::Act(act::Error::NotLeader { .. }))
    }

    /// Somebody wrote meanwhile: nothing is wrong, look again at once.
    const fn conflict(&self) -> bool {
        matches!(self, Self::Record(record::Error::Conflict { .. }) | Self::Act(act::Error::Conflict { .. }))
    }
}

impl Context {
    fn memory<T>(&self, of: &RolloutRef, act: impl FnOnce(&mut Memory) -> T) -> T {
        let mut all = self.memories.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(all.entry(of.clone()).or_default())
    }

    /// Forgets Rollouts that are gone.
    fn forget(&self, of: &RolloutRef) {
        self.memories.0.lock().unwrap_or_else(PoisonError::into_inner).remove(of);
        self.poller.want(&plain(of), Vec::new());
    }
}

/// The poller knows Rollouts by their plain type.
fn plain(of: &RolloutRef) -> ObjectRef<Rollout> {
    ObjectRef::new(&of.name).within(of.namespace.as_deref().unwrap_or_default())
}

/// One pass over one Rollout: a span of this name, with one for each of its stages inside.
pub async fn reconcile(object: Arc<DeserializeGuard<Rollout>>, ctx: Arc<Context>) -> Result<Action, Error> {
    let key = RolloutRef::from_obj(object.as_ref());
    let span = info_span!("reconcile", rollout = %key);
    reconciled(key, object, ctx).instrument(span).await
}

async fn reconciled(
    key: RolloutRef,
    object: Arc<DeserializeGuard<Rollout>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    let began = clock::instant();
    let outcome = match &object.0 {
        Ok(rollout) => fresh_pass(&key, rollout, &ctx).await,
        Err(invalid) => {
            tracing::warn!(error = %invalid.error, "a Rollout cannot be read");
            record::malformed(&ctx.writer, invalid).await.map(|()| Action::await_change()).map_err(Error::from)
        }
    };
    let reason = outcome.as_ref().map_or_else(Error::reason, |_| "ok");
    let failed = outcome.as_ref().is_err_and(|error| !error.not_leader() && !error.conflict());
    ctx.metrics.reconciled(&key, reason, failed, clock::instant().saturating_duration_since(began));
    if outcome.is_ok() {
        ctx.memory(&key, |memory| memory.failures = 0);
    }
    outcome
}

/// A pass over the Rollout of the cache, or over what the API server has where the caches have proven to be old: a watch
/// that lags or died must not hold a rollback up. That lasts until they have caught up.
async fn fresh_pass(key: &RolloutRef, cached: &Rollout, ctx: &Context) -> Result<Action, Error> {
    // On the heap: a pass holds a whole snapshot and a whole decision.
    if !ctx.memory(key, |memory| memory.outdated) {
        let outcome = Box::pin(pass(key, cached, false, ctx)).await;
        if outcome.as_ref().is_err_and(Error::conflict) {
            ctx.memory(key, |memory| memory.outdated = true);
        }
        return outcome.map(|done| done.next);
    }
    let Some(rollout) = observe::rollout(&ctx.client, cached).await? else {
        // Gone, or another one, or one that cannot be read: the watch will tell.
        return Ok(Action::requeue(LOOK_AGAIN));
    };
    let done = Box::pin(pass(key, &rollout, true, ctx)).await?;
    if !done.behind && rollout.resource_version() == cached.resource_version() {
        ctx.memory(key, |memory| memory.outdated = false);
    }
    Ok(done.next)
}

/// A record that was written and is still not seen is written again after so long: somebody may have deleted it.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

/// What a pass brought.
struct Done {
    next: Action,
    /// The caches are older than what was read.
    behind: bool,
}

async fn pass(key: &RolloutRef, rollout: &Rollout, live: bool, ctx: &Context) -> Result<Done, Error> {
    let delivery = {
        let shown = rollout.status.as_ref().is_some_and(|status| status.delivery.is_some());
        ctx.delivery.shown(&rollout.namespace().unwrap_or_default(), &rollout.name_any(), shown)
    };
    let remembered = Remembered { live, delivery, ..ctx.memory(key, |memory| memory.remembered.clone()) };
    let readings = ctx.poller.readings(&plain(key));
    let now = ctx.clock.now();
    let observed = observe::observe(now, &ctx.client, &ctx.stores, rollout, readings, remembered, &ctx.policies);
    let observe::Observed { snapshot, behind } = observed.instrument(info_span!("observe")).await?;
    let decision = info_span!("decide").in_scope(|| {
        let decision = decide::decide(&snapshot);
        decide::check(&snapshot, &decision).map_err(Error::Contradiction)?;
        Ok::<_, Error>(decision)
    })?;
    ctx.metrics.decided(key, &snapshot.rollout.spec, &decision.status, clock::instant());

    // What an earlier pass committed without hearing of it is told now.
    let late = ctx.memory(key, |memory| memory.untold.committed(&snapshot.rollout.status));
    publish(key, rollout, &late, ctx).await?;
    let (committed, untold) =
        match intent(key, rollout, &snapshot, &decision, ctx).instrument(info_span!("commit")).await {
            Ok(committed) => committed,
            Err(error) => {
                ctx.memory(key, |memory| memory.untold.failed(&decision));
                return Err(error);
            }
        };
    let target = act::Target {
        name: snapshot.rollout.name.clone(),
        namespace: snapshot.rollout.namespace.clone(),
        resource_version: committed.resource_version().unwrap_or_default(),
        finalizers: committed.finalizers().to_vec(),
    };
    let acting = act::apply(&ctx.writer, &ctx.clock, &target, &decision.plan);
    let applied = acting.instrument(info_span!("act")).await;
    for write in &applied.done {
        tracing::info!(write, "wrote");
        ctx.metrics.wrote(write);
    }
    ctx.poller.want(&plain(key), decision.measure.clone());
    tell(key, &committed, &decision, ctx).instrument(info_span!("record")).await?;
    ctx.memory(key, |memory| {
        if applied.gate.is_some() {
            memory.remembered.gate.clone_from(&applied.gate);
        }
        memory.remembered.last_error = applied.error.as_ref().filter(|e| worth_telling(e)).map(ToString::to_string);
    });
    if let Some(error) = applied.error {
        return Err(error.into());
    }
    // What a dry run said and what a write changed is looked at without waiting for a watch to tell.
    let again = if applied.gate.is_some() { Some(Duration::from_millis(1)) } else { None };
    let next = decision.next_check.map(|after| after.std());
    let next = next.into_iter().chain(untold).min().map(|after| after.max(Duration::from_millis(1)));
    Ok(Done { next: again.or(next).map_or_else(Action::await_change, Action::requeue), behind })
}

/// Whether users should read of it in the status: others' writes and another leader are no faults.
const fn worth_telling(error: &act::Error) -> bool {
    !matches!(error, act::Error::Conflict { .. } | act::Error::NotLeader { .. })
}

/// Commits the new status with the resourceVersion that was read, and returns what there is then. Where only words,
/// counts and reasons changed it may wait: then also for how long.
async fn intent(
    key: &RolloutRef,
    rollout: &Rollout,
    snapshot: &Snapshot,
    decision: &Decision,
    ctx: &Context,
) -> Result<(Rollout, Option<Duration>), Error> {
    if decision.status == snapshot.rollout.status {
        return Ok((rollout.clone(), None));
    }
    let now = clock::instant();
    let written = ctx.memory(key, |memory| memory.status_written);
    let since = written.map(|at| now.saturating_duration_since(at)).filter(|_| !decision.material);
    if let Some(wait) = since.and_then(|since| decision.refresh.std().checked_sub(since)).filter(|wait| !wait.is_zero())
    {
        return Ok((rollout.clone(), Some(wait)));
    }
    let committed = record::commit(&ctx.writer, rollout, decision.status.clone()).await?;
    ctx.memory(key, |memory| memory.status_written = Some(now));
    Ok((committed, None))
}

/// Events and records of what was decided.
async fn tell(key: &RolloutRef, rollout: &Rollout, decision: &Decision, ctx: &Context) -> Result<(), Error> {
    publish(key, rollout, &decision.events, ctx).await?;
    let now = clock::instant();
    for one in &decision.records {
        let begun = match one {
            Record::Release { name, status: None, .. } => Some(name.clone()),
            // Onto another entry it is another write.
            Record::Log { name, log, onto } => {
                Some(format!("{name} {} {}", log.head.hash, onto.as_ref().map_or("", |onto| &onto.hash)))
            }
            Record::Release { .. } | Record::Rework { .. } | Record::Answer { .. } | Record::Escaped { .. } => None,
        };
        let lately = |(name, at): &(String, Instant)| {
            Some(name) == begun.as_ref() && now.saturating_duration_since(*at) < SHOWN_WITHIN
        };
        if ctx.memory(key, |memory| memory.recorded.as_ref().is_some_and(lately)) {
            continue;
        }
        match record::write_record(&ctx.writer, rollout, one).await {
            // Its entries are in the status and are written by a later pass; nothing else waits for them.
            Err(error) if matches!(one, Record::Log { .. }) && !matches!(error, record::Error::NotLeader { .. }) => {
                tracing::warn!(%error, "the decision log could not be written, it is tried again");
                continue;
            }
            written => written?,
        }
        if let Some(name) = begun {
            ctx.memory(key, |memory| memory.recorded = Some((name, now)));
        }
    }
    Ok(())
}

/// Events, each once. One that cannot be published must not hold a rollout up.
async fn publish(key: &RolloutRef, rollout: &Rollout, events: &[Notice], ctx: &Context) -> Result<(), Error> {
    for notice in events {
        let fresh = ctx.memory(key, |memory| {
            if memory.published.len() >= 1000 {
                memory.published.clear(); // publishing again is harmless, remembering without end is not
            }
            memory.published.insert(notice.key.clone())
        });
        if !fresh {
            continue;
        }
        tracing::info!(reason = notice.reason, note = notice.note, "event");
        ctx.metrics.told(key, &notice.reason);
        if let Err(error) = record::publish(&ctx.writer, &ctx.clock, rollout, notice, &ctx.reporter).await {
            ctx.memory(key, |memory| memory.published.remove(&notice.key));
            if matches!(error, record::Error::NotLeader { .. }) {
                return Err(error.into());
            }
            tracing::warn!(%error, "an event could not be published");
        }
    }
    Ok(())
}

/// The longest pause after a pass that failed while an attempt is in progress: a bad version may have traffic, and what
/// makes passes fail may be over at any moment.
const IN_PROGRESS_MS: u64 = 2_000;
/// The same at rest.
const AT_REST_MS: u64 = 60_000;

/// When to try again after so many passes that failed: with a delay that doubles up to a limit.
const fn pause(first: u64, failures: u32, in_progress: bool) -> Duration {
    let shift = if failures > 8 { 7 } else { failures.saturating_sub(1) };
    let delay = first.saturating_mul(2_u64.saturating_pow(shift));
    let most = if in_progress { IN_PROGRESS_MS } else { AT_REST_MS };
    Duration::from_millis(if delay < most { delay } else { most })
}

/// When to try again after a pass that failed: after a conflict nearly at once, else after a pause.
pub fn retry(object: Arc<DeserializeGuard<Rollout>>, error: &Error, ctx: Arc<Context>) -> Action {
    let key = RolloutRef::from_obj(object.as_ref());
    if error.not_leader() {
        tracing::debug!(rollout = %key, %error, "another process decides");
        return Action::requeue(Duration::from_secs(5));
    }
    let failures = ctx.memory(&key, |memory| {
        memory.failures = memory.failures.saturating_add(1);
        memory.failures
    });
    let status = object.0.as_ref().ok().and_then(|rollout| rollout.status.as_ref());
    let in_progress = status.and_then(|status| status.run.as_ref()).is_some_and(|run| run.step != Step::Done);
    if error.conflict() {
        tracing::debug!(rollout = %key, %error, "looking again");
        return Action::requeue(pause(50, failures, true));
    }
    tracing::warn!(rollout = %key, %error, "a pass failed, trying again");
    Action::requeue(pause(500, failures, in_progress))
}

/// Forgets what is remembered of Rollouts that no longer exist.
pub fn sweep(ctx: &Context) {
    let known: HashSet<RolloutRef> =
        ctx.stores.rollouts.state().iter().map(|one| RolloutRef::from_obj(one.as_ref())).collect();
    let gone: Vec<RolloutRef> = {
        let all = ctx.memories.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.keys().filter(|key| !known.contains(*key)).cloned().collect()
    };
    for key in gone {
        ctx.forget(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_in_progress_never_waits_long_for_its_next_pass() {
        let pauses =
            |in_progress| (1..=9).map(|failures| pause(500, failures, in_progress).as_millis()).collect::<Vec<_>>();
        assert_eq!(pauses(true), [500, 1000, 2000, 2000, 2000, 2000, 2000, 2000, 2000]);
        assert_eq!(pauses(false), [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(pause(500, u32::MAX, false), Duration::from_secs(60));
    }
}
