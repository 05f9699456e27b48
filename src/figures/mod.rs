//! Delivery figures (DORA) as a pure function of records: Releases, ReworkEvents and Reclassifications.
//!
//! The way through the files: `records` turns objects into facts, `deployments` says what counts as one deployment,
//! `failures` which of them failed, `rework` when that was over and what was done because of it, `summary` counts within
//! a window. `numbers` is the arithmetic.
//!
//! Pure: no clock, no client, no logging. The same records, time and settings give the same figures, in whatever order
//! the records come. What a figure means is in docs/figures.md.

mod deployments;
mod failures;
mod numbers;
mod records;
mod rework;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

pub use deployments::{Deployment, Lead};
pub use failures::{FailedBy, Failure, Link, LinkedBy};
pub use numbers::{FEWEST, Rate, Spread};
pub use records::{Attempt, Facts, Key, facts, facts_of};
pub(crate) use records::{fullness, named};
pub use rework::{Recovered, RecoveredBy, ReworkBy};
pub use summary::{
    Batch, Batches, ChangeFail, Figures, Frequency, LeadTime, OpenFailure, Recovery, Rework, Segments, StageCount,
};

use crate::api::Duration;

/// The windows in days that figures are usually given for.
pub const WINDOWS: [u32; 4] = [7, 28, 90, 180];
/// The window of DORA's question after rework.
pub const REWORK_WINDOW: u32 = 180;

/// What the rules leave open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How long after a promotion a repair makes it a failed one (F3).
    pub failure_window: Duration,
    /// A failure that took more of the month's error budget than this, in percent, counts as escaped though it was
    /// contained.
    pub escaped_budget_percent: f64,
}

impl Default for Settings {
    fn default() -> Self {
        // 20 % of the budget in one incident is what the SRE Workbook's example policy asks a postmortem for.
        Self { failure_window: Duration::from_secs(72 * 3600), escaped_budget_percent: 20.0 }
    }
}

impl Settings {
    /// A failure that took so much of the month's error budget, in percent, counts as escaped.
    pub fn costly(&self, percent: Option<f64>) -> bool {
        percent.is_some_and(|percent| percent > self.escaped_budget_percent)
    }

    fn failure_window_millis(&self) -> i64 {
        self.failure_window.as_millis()
    }
}

/// Everything that happened, judged; figures of any window and scope are counted from it.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    deployments: Vec<Deployment>,
    before_exposure: Vec<Attempt>,
    cancelled: Vec<Attempt>,
    unchanged: Vec<Attempt>,
    settings: Settings,
    notes: Vec<String>,
}

/// Whose figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Of one Rollout, as namespace/name.
    Service(&'a str),
    /// Of every Rollout of one team: numerators and denominators are summed, and a deployment of several of them is one.
    /// `None` is what nobody answers for.
    Owner(Option<&'a str>),
    /// Of everything.
    All,
}

impl History {
    /// Judges what the records say.
    pub fn new(facts: &Facts, settings: Settings) -> Self {
        let mut notes = facts.notes.clone();
        let deployments::Sorted { mut deployments, before_exposure, cancelled, unchanged } =
            deployments::sort(&facts.attempts);
        failures::judge(&mut deployments, &facts.attempts, &settings, &mut notes);
        rework::judge(&mut deployments, &before_exposure);
        notes.sort();
        notes.dedup();
        Self { deployments, before_exposure, cancelled, unchanged, settings, notes }
    }

    /// Every deployment, by the time of its exposure.
    pub fn deployments(&self) -> &[Deployment] {
        &self.deployments
    }

    /// By which it was judged.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What could not be counted as it was written, and why.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Every service, with the team that answered for it last.
    pub fn services(&self) -> BTreeMap<String, Option<String>> {
        let mut last: BTreeMap<String, (Timestamp, Option<String>)> = BTreeMap::new();
        for attempt in self.attempts() {
            let known = last.get(&attempt.service).map(|(at, _)| *at);
            if known.is_none_or(|at| attempt.started_at >= at) {
                last.insert(attempt.service.clone(), (attempt.started_at, attempt.owner.clone()));
            }
        }
        last.into_iter().map(|(service, (_, owner))| (service, owner)).collect()
    }

    /// Every team that answered for something; `None` if nobody answered for some of it.
    pub fn owners(&self) -> BTreeSet<Option<String>> {
        self.attempts().map(|attempt| attempt.owner.clone()).collect()
    }

    /// The figures of the `days` days up to `now`.
    pub fn figures(&self, scope: Scope<'_>, days: u32, now: Timestamp) -> Figures {
        summary::figures(self, scope, days, now)
    }

    fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        let exposed = self.deployments.iter().flat_map(|one| &one.members);
        exposed.chain(&self.before_exposure).chain(&self.cancelled).chain(&self.unchanged)
    }
}

impl Scope<'_> {
    fn holds(self, attempt: &Attempt) -> bool {
        match self {
            Self::Service(service) => attempt.service == service,
            Self::Owner(owner) => attempt.owner.as_deref() == owner,
            Self::All => true,
        }
    }
}

/// The `days` days up to a time: open at its begin and closed at its end, so that windows that follow on each other
/// count everything once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// How many days of 24 hours.
    pub days: u32,
    /// What happened at this very moment is before it.
    pub after: Timestamp,
    /// What happened at this very moment is in it.
    pub until: Timestamp,
}

impl Window {
    /// The `days` days up to `now`.
    pub fn new(days: u32, now: Timestamp) -> Self {
        let after = now.as_millisecond().saturating_sub(numbers::days(days));
        // Of more days than there are it is everything.
        Self { days, after: Timestamp::from_millisecond(after).unwrap_or(Timestamp::MIN), until: now }
    }

    /// Whether it was then.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.after < at && at <= self.until
    }
}
