//! decide: from a [`Snapshot`] to a [`Decision`], pure and synchronous.
//!
//! No clock, no network, no client, no logging: the same snapshot gives the same decision. Everything that moves is
//! in the decision as data; `act` and `record` have no choices left.
//!
//! The way through: [`decide`] hears what `people` ask, then looks whether the Rollout is leaving (`leave`), at rest
//! (`rest`, with `gate` and `after`) or has an attempt in progress (`run`: `waves`, `promotion`, then `closing`).
//! `symptoms` and `recurrence` say what a failure was like and whether it came back;
//! `preflight`, `neighbours`, `permission`, `budget`, `pods` and `verdict` judge; `routing`, `weights`, `canary`, `scaler`,
//! `leftovers` and `queries` know how things are written; `steps` and `reasons` are the closed lists of moves and words;
//! `logbook` keeps the decision log; `report` says it to people; `check` looks the result over.

mod after;
mod attempt;
mod budget;
mod calendar;
mod canary;
mod change;
mod check;
mod closing;
mod delivery;
mod draft;
pub mod drafted;
mod evidence;
mod gate;
mod kept;
mod leave;
mod leftovers;
pub mod logbook;
pub mod measure;
pub mod neighbours;
pub(crate) mod people;
mod permission;
pub mod plan;
mod pods;
mod polls;
mod preflight;
mod promotion;
mod proof;
mod queries;
pub mod reasons;
mod recovery;
mod recurrence;
mod report;
mod rest;
mod routing;
mod run;
mod scaler;
pub mod selectors;
pub mod snapshot;
mod sound;
mod sources;
pub mod steps;
mod symptoms;
mod tally;
mod template;
mod time;
mod verdict;
mod warnings;
mod waves;
mod weights;
pub(crate) mod words;

pub use check::check;
pub use plan::{Decision, Notice, Record, Severity, Write};
pub use snapshot::Snapshot;

use crate::api::{Condition, ConditionType, Duration, LogState, RolloutStatus, Step};
use draft::Draft;

/// How often something that should wake us by itself is looked at all the same.
const RESYNC: Duration = Duration::from_secs(600);
const RESYNC_ACTIVE: Duration = Duration::from_secs(30);

/// How long another reason for standing at the same place may stay untold after the last write.
const REASONS_WAIT: Duration = Duration::from_secs(5);

/// Decides what is to be done for one Rollout.
pub fn decide(snapshot: &Snapshot) -> Decision {
    let mut draft = Draft::new(snapshot);
    logbook::seen(&mut draft);
    if snapshot.rollout.deleting {
        leave::leave(&mut draft);
    } else if !snapshot.rollout.finalizer {
        // Before anything is moved there must be a way back.
        draft.plan.push(Write::AddFinalizer);
    } else {
        rest::publish_images(&mut draft);
        people::honour(&mut draft);
        if snapshot.rollout.spec.disabled {
            leave::disable(&mut draft);
        } else {
            // An attempt that ends may make room for the next one in the same pass, and a held-back template begins one.
            if draft.active().is_some() {
                run::advance(&mut draft);
            }
            if draft.active().is_none() && rest::at_rest(&mut draft) {
                run::advance(&mut draft);
            }
            gate::let_through(&mut draft);
        }
        delivery::take_over(&mut draft);
    }
    if let Some(run) = draft.active().cloned()
        && snapshot.release.is_none()
        && run.times.ended_at.is_none()
        // As long as nothing was made, what the Deployment's annotations say may still change.
        && run.step != Step::Preflight
    {
        evidence::record(&mut draft, &run);
    }
    report::tell_of_waiting(&mut draft);
    report::conclude(&mut draft);
    logbook::look_over(&mut draft);
    logbook::flush(&mut draft);
    finish(draft)
}

fn finish(draft: Draft<'_>) -> Decision {
    let snapshot = draft.s;
    let active = draft.active().cloned();
    let mut measure = measured(snapshot, &draft.status);
    // What this pass counted may not be committed yet, and the next pass then counts it again, from the same samples.
    let committed = measured(snapshot, &snapshot.rollout.status);
    for wanted in &mut measure {
        let before = committed.iter().find(|one| (&one.provider, &one.ask) == (&wanted.provider, &wanted.ask));
        wanted.since = before.map_or(wanted.since, |one| one.since.min(wanted.since));
    }
    let resync = if active.is_some() { RESYNC_ACTIVE } else { RESYNC };
    let next_check = Some(draft.wake().map_or(resync, |wake| wake.min(resync)));
    // Words and counts may wait half of the bake time, and why an attempt stands where it stands a few seconds, within
    // which it mostly has changed again: so a release costs few writes.
    let bake = active
        .as_ref()
        .filter(|run| run.step == Step::Baking)
        .and_then(|run| snapshot.rollout.spec.waves.get(usize::from(run.wave.as_ref()?.index)))
        .map_or(Duration::from_secs(if active.is_some() { 20 } else { 1_200 }), |wave| wave.bake);
    let refresh = Duration::from_millis(bake.as_millis().unsigned_abs().wrapping_div(2).clamp(3_000, 600_000));
    let Draft { status, plan, records, events, .. } = draft;
    let (before, after) = (substance(&snapshot.rollout.status), substance(&status));
    let refresh = if before == after { refresh } else { refresh.min(REASONS_WAIT) };
    // Nothing moves on what a cache has shown: what is written is written after a commit that says so, however little of
    // the status is new.
    let acts = !plan.is_empty() && status != snapshot.rollout.status;
    let material = acts || outline(before) != outline(after);
    Decision { status, material, refresh, plan, records, events, measure, next_check }
}

/// What is asked of the provider while a Rollout stands like this, and from when on.
fn measured(snapshot: &Snapshot, status: &RolloutStatus) -> Vec<measure::Measurement> {
    let Some(provider) = &snapshot.provider else { return Vec::new() };
    if let Some(run) = status.run.as_ref().filter(|run| run.step != Step::Done) {
        return queries::due(snapshot, provider, run);
    }
    let watching = status.watching.as_ref().filter(|one| one.escaped.is_none());
    watching.map_or_else(Vec::new, |watching| queries::watching(snapshot, provider, watching))
}

/// The status without words and counts that are derived again on every pass. What a person must act on is told at once:
/// one problem may follow another under the same reason.
fn substance(status: &RolloutStatus) -> RolloutStatus {
    let mut status = status.clone();
    status.message.clear();
    for Condition { type_, message, .. } in &mut status.conditions {
        match type_ {
            ConditionType::Gated | ConditionType::Stalled => {}
            ConditionType::Ready
            | ConditionType::Reconciling
            | ConditionType::Complete
            | ConditionType::AnalysisReady => message.clear(),
        }
    }
    if let Some(run) = status.run.as_mut() {
        run.traffic = Default::default();
        run.signals.clear();
        run.effective_weight = None;
        run.recovery = None;
        // What is seen to be written need not be said at once; a new entry must.
        run.log = LogState { head: std::mem::take(&mut run.log.head), ..LogState::default() };
        run.budget.iter_mut().for_each(budget::substance);
    }
    if let Some(watching) = status.watching.as_mut() {
        watching.signals.clear();
    }
    status
}

/// What is told at once of the substance: where an attempt stands, and whether it goes on; not why it waits there.
fn outline(mut substance: RolloutStatus) -> RolloutStatus {
    substance.verdict = Default::default();
    for Condition { type_, reason, .. } in &mut substance.conditions {
        match type_ {
            ConditionType::Gated | ConditionType::Stalled | ConditionType::Complete => {}
            ConditionType::Ready | ConditionType::Reconciling | ConditionType::AnalysisReady => reason.clear(),
        }
    }
    substance
}
