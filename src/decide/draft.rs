//! The decision while it is being made: the status to be, the writes, the events.
//!
//! Owns the small vocabulary in which the steps are written (`say`, `log`, `go`, `end`), so that a step reads as
//! what it decides.

use super::plan::{Notice, Record, Severity, Write};
use super::snapshot::{RouteFacts, Snapshot, Workload};
use super::time::left;
use crate::api::{
    Duration, LastRollback, Outcome, Phase, RolloutStatus, RouteKind, Run, Stage, Step, TimelineEntry, Trigger,
    VerdictWord,
};

/// How a Rollout stands, for conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Work is going on or something is awaited that comes by itself.
    Progressing,
    /// The wanted version serves everybody.
    Resting,
    /// The last attempt was taken back; its template waits behind the gate.
    TakenBack,
    /// A person must act.
    Stuck,
}

/// What is said to people and programs about this pass.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) standing: Standing,
    pub(super) phase: Phase,
    pub(super) reason: String,
    pub(super) message: String,
}

/// Analysis as a condition: whether the signals can be read, why not, and in words.
#[derive(Debug, Clone)]
pub(super) struct AnalysisWord {
    pub(super) ready: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

pub(super) struct Draft<'a> {
    pub(super) s: &'a Snapshot,
    pub(super) status: RolloutStatus,
    pub(super) plan: Vec<Write>,
    pub(super) records: Vec<Record>,
    pub(super) events: Vec<Notice>,
    pub(super) word: Word,
    pub(super) analysis: Option<AnalysisWord>,
    /// Set when the workload rolled without the gate.
    pub(super) bypassed: Option<String>,
    wake: Option<Duration>,
}

/// Entries of the timeline after which only ends are recorded, so that there is always room for one.
const TIMELINE_ROOM: usize = 58;
/// How many a status may have.
const TIMELINE_MOST: usize = 64;
/// The longest message of one, in characters: it is kept for as long as the Release is.
const ENTRY_LONGEST: usize = 1000;

fn entry(at: jiff::Timestamp, reason: &str, message: &str) -> TimelineEntry {
    TimelineEntry { at, reason: reason.to_owned(), message: message.chars().take(ENTRY_LONGEST).collect() }
}

impl<'a> Draft<'a> {
    pub(super) fn new(s: &'a Snapshot) -> Self {
        let mut status = super::sound::sound(&s.rollout.status);
        status.observed_generation = s.rollout.generation;
        let word = Word {
            standing: Standing::Progressing,
            phase: Phase::Adopting,
            reason: "Observing".into(),
            message: String::new(),
        };
        Self {
            s,
            status,
            plan: Vec::new(),
            records: Vec::new(),
            events: Vec::new(),
            word,
            analysis: None,
            bypassed: None,
            wake: None,
        }
    }

    /// The run that is not done yet.
    pub(super) fn active(&self) -> Option<&Run> {
        self.status.run.as_ref().filter(|run| run.step != Step::Done)
    }

    /// Says how the Rollout stands. The last word of a pass counts.
    pub(super) fn say(&mut self, standing: Standing, phase: Phase, reason: &str, message: String) {
        self.word = Word { standing, phase, reason: reason.to_owned(), message };
    }

    /// Work goes on.
    pub(super) fn progress(&mut self, phase: Phase, reason: &str, message: String) {
        self.say(Standing::Progressing, phase, reason, message);
    }

    /// A person must act.
    pub(super) fn stuck(&mut self, reason: &str, message: String) {
        self.say(Standing::Stuck, Phase::Stalled, reason, message);
    }

    /// Looks again after a while, or sooner if something else asks for it.
    pub(super) fn wake_in(&mut self, after: Duration) {
        self.wake = Some(self.wake.map_or(after, |wake| wake.min(after)));
    }

    /// Whether `span` has passed since `then`; if not, looks again when it has.
    pub(super) fn passed(&mut self, then: jiff::Timestamp, span: Duration) -> bool {
        match left(self.s.now, then, span) {
            Some(rest) => {
                self.wake_in(rest);
                false
            }
            None => true,
        }
    }

    pub(super) const fn wake(&self) -> Option<Duration> {
        self.wake
    }

    /// Publishes an event that does not belong to a run. `key` makes it unique among those of this Rollout.
    pub(super) fn notify(&mut self, severity: Severity, key: String, reason: &str, action: &'static str, note: String) {
        self.events.push(Notice { key, severity, reason: reason.to_owned(), action, note });
    }

    /// Writes an entry of the run's timeline, and the event that belongs to it.
    pub(super) fn log(&mut self, severity: Severity, reason: &str, action: &'static str, message: String) {
        let now = self.s.now;
        let Some(run) = self.status.run.as_mut() else { return };
        // The log has bounds of its own.
        super::logbook::decided(self.s, run, reason, None);
        if run.timeline.len() >= TIMELINE_ROOM && run.outcome.is_none() {
            return;
        }
        let mut key = format!("{}.{}", run.release, run.timeline.len());
        if run.timeline.len() < TIMELINE_MOST {
            run.timeline.push(entry(now, reason, &message));
        } else {
            // With one entry more the API server would refuse the whole status.
            key = format!("{key}.{reason}");
        }
        self.notify(severity, key, reason, action, message);
    }

    /// Writes an entry of the run's timeline for which there is no event.
    pub(super) fn remember(&mut self, reason: &str, message: String) {
        let now = self.s.now;
        let Some(run) = self.status.run.as_mut() else { return };
        super::logbook::decided(self.s, run, reason, None);
        if run.timeline.len() < TIMELINE_ROOM {
            run.timeline.push(entry(now, reason, &message));
        }
    }

    /// Goes to another step. What the step before planned no longer counts.
    pub(super) fn go(&mut self, step: Step) {
        let now = self.s.now;
        if let Some(from) = self.status.run.as_ref().map(|run| run.step) {
            debug_assert!(super::steps::may_follow(from, step), "{from:?} to {step:?} is not in the table of moves");
        }
        if let Some(run) = self.status.run.as_mut() {
            run.step = step;
            run.step_at = now;
        }
        self.plan.clear();
    }

    /// Ends the run: the weight goes to 0 and the outcome is fixed. Nothing can change it any more.
    pub(super) fn end(&mut self, end: End) {
        let now = self.s.now;
        let Some(run) = self.status.run.as_mut() else { return };
        if run.outcome.is_some() {
            return;
        }
        let End { outcome, trigger, reason, summary, signal, sample_at, reject } = end;
        let outcome = match outcome {
            Outcome::RolledBack if run.times.exposed_at.is_none() => Outcome::FailedBeforeExposure,
            Outcome::RolledBack
            | Outcome::FailedBeforeExposure
            | Outcome::Promoted
            | Outcome::Aborted
            | Outcome::Superseded
            | Outcome::SupersededUnderSuspicion
            | Outcome::Bypassed
            | Outcome::Escaped => outcome,
        };
        let rolled = matches!(run.step, Step::Promoting);
        run.stage = stage(outcome, run);
        run.outcome = Some(outcome);
        run.trigger = Some(trigger);
        run.reason = Some(reason.to_owned());
        run.signal = signal;
        run.summary = Some(summary.clone());
        run.times.verdict_at = Some(now);
        run.times.sample_at = sample_at;
        let (release, revision) = (run.release.clone(), run.revision.clone());
        let rejected = reject || matches!(outcome, Outcome::RolledBack | Outcome::FailedBeforeExposure);
        if rejected {
            self.status.rejected.retain(|digest| *digest != revision);
            self.status.rejected.push(revision.clone());
            let extra = self.status.rejected.len().saturating_sub(20);
            self.status.rejected.drain(..extra);
            self.status.last_rollback =
                Some(LastRollback { at: now, trigger, reason: reason.to_owned(), release, revision });
            // Without a single request there was nothing to judge, and a person's word is no verdict.
            self.status.verdict = if outcome == Outcome::RolledBack { VerdictWord::Harm } else { VerdictWord::None };
        }
        if outcome == Outcome::RolledBack {
            self.status.rollbacks = self.status.rollbacks.saturating_add(1);
        }
        if outcome == Outcome::Promoted {
            self.status.promotions = self.status.promotions.saturating_add(1);
        } else if let Some(run) = self.status.run.as_mut() {
            run.weight = 0;
        }
        let severity = if rejected || outcome == Outcome::Bypassed { Severity::Warning } else { Severity::Normal };
        let back = matches!(outcome, Outcome::RolledBack | Outcome::FailedBeforeExposure | Outcome::Aborted);
        self.log(severity, outcome_word(outcome), "End", summary);
        self.go(if rolled && back { Step::Reverting } else { Step::Closing });
    }

    /// The workload, or says that it is missing.
    pub(super) fn workload(&mut self) -> Option<&'a Workload> {
        let workload = self.s.workload.as_ref();
        if workload.is_none() {
            let target = &self.s.rollout.spec.target_ref.name;
            self.stuck(
                "TargetMissing",
                format!("Deployment {target} does not exist in namespace {}; waiting for it", self.s.rollout.namespace),
            );
        }
        workload
    }

    /// A named route, if it exists.
    pub(super) fn route(&self, kind: RouteKind, name: &str) -> Option<&'a RouteFacts> {
        self.s.routes.iter().find(|route| route.kind == kind && route.name == name)
    }

    /// The step has lasted longer than the progress deadline.
    pub(super) fn overdue(&mut self) -> bool {
        let Some(began) = self.active().map(|run| run.step_at) else {
            return false;
        };
        let deadline = self.s.rollout.spec.progress_deadline;
        self.passed(began, deadline)
    }
}

/// How far an attempt has come that is seen to fail.
fn stage(outcome: Outcome, run: &Run) -> Option<Stage> {
    match outcome {
        Outcome::Promoted | Outcome::Superseded | Outcome::Bypassed | Outcome::Escaped => return None,
        Outcome::RolledBack | Outcome::Aborted | Outcome::SupersededUnderSuspicion | Outcome::FailedBeforeExposure => {}
    }
    Some(match run.step {
        Step::Preflight => Stage::Preflight,
        Step::Promoting | Step::Reverting => Stage::Promotion,
        Step::Starting | Step::Shifting | Step::Baking | Step::Closing | Step::Done => {
            if run.times.exposed_at.is_some() { Stage::Wave } else { Stage::BeforeExposure }
        }
    })
}

/// How a run ends.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) trigger: Trigger,
    pub(super) reason: &'static str,
    pub(super) summary: String,
    pub(super) signal: Option<String>,
    pub(super) sample_at: Option<jiff::Timestamp>,
    /// The template is not tried again, although no evidence speaks against it.
    pub(super) reject: bool,
}

impl End {
    /// Taken back by Sluice.
    pub(super) fn taken_back(reason: &'static str, summary: String) -> Self {
        Self {
            outcome: Outcome::RolledBack,
            trigger: Trigger::Automatic,
            reason,
            summary,
            signal: None,
            sample_at: None,
            reject: false,
        }
    }

    /// Ended because a person wants something else.
    pub(super) fn by_person(outcome: Outcome, reason: &'static str, summary: String) -> Self {
        Self { outcome, trigger: Trigger::Manual, reason, summary, signal: None, sample_at: None, reject: false }
    }
}

/// The reason of an outcome in events and conditions.
pub(super) const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Promoted => "Promoted",
        Outcome::RolledBack => "RolledBack",
        Outcome::Aborted => "Aborted",
        Outcome::Superseded => "Superseded",
        Outcome::SupersededUnderSuspicion => "SupersededUnderSuspicion",
        Outcome::FailedBeforeExposure => "FailedBeforeExposure",
        Outcome::Bypassed => "Bypassed",
        Outcome::Escaped => "Escaped",
    }
}
