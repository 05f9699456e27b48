//! Asking for a budget, and what the answers are worth.
//!
//! Owns when which question is due, how long an answer stands, and the difference between no answer yet and none to be
//! had. Must not decide what follows.

use jiff::Timestamp;

use super::super::measure::{Ask, Measurement, Provider};
use super::super::snapshot::Snapshot;
use super::super::time::{earlier, elapsed, human, times};
use super::super::verdict::reading;
use super::ruling;
use super::sources::{self, Questions};
use crate::api::{BudgetState, Duration, ErrorBudget, Run, Step};

/// A budget of weeks changes slowly: it is asked no more often than this.
const LEAST: Duration = Duration::from_secs(30);
/// What a period allows hardly changes.
const SELDOM: Duration = Duration::from_secs(600);
/// A number beyond this is one of a query that answers something else.
pub(super) const BEYOND: f64 = 1e6;

/// The questions that are due while a run is at its present step: what no step waits for is not asked.
pub(in super::super) fn due(s: &Snapshot, provider: &Provider, run: &Run, measurements: &mut Vec<Measurement>) {
    let asked = match run.step {
        Step::Preflight | Step::Starting | Step::Shifting | Step::Baking => s.rollout.spec.error_budget.as_ref(),
        Step::Promoting | Step::Reverting | Step::Closing | Step::Done => None,
    };
    let Some(questions) = asked.and_then(|policy| sources::questions(s, policy)) else { return };
    let every = every(s, provider);
    let read = run.budget.as_ref().and_then(|budget| budget.at).unwrap_or(run.step_at);
    let mut add = |ask: &Ask, every: Duration| {
        let known = measurements.iter().any(|known| known.ask == *ask);
        if !known {
            let since = earlier(read, times(every, 2));
            measurements.push(Measurement { provider: provider.clone(), ask: ask.clone(), every, since });
        }
    };
    questions.needed().for_each(|ask| add(ask, every));
    if run.step == Step::Preflight {
        questions.allowed.iter().flatten().for_each(|ask| add(ask, every.max(SELDOM)));
    }
}

fn every(s: &Snapshot, provider: &Provider) -> Duration {
    LEAST.max(s.rollout.spec.analysis.interval).max(provider.scrape_interval)
}

/// How long an answer stands.
pub(super) fn patience(s: &Snapshot) -> Duration {
    let every = s.provider.as_ref().map_or(LEAST, |provider| every(s, provider));
    times(every, 3).max(s.rollout.spec.analysis.no_data_timeout)
}

/// What was read.
pub(super) enum Read {
    Known {
        remaining: f64,
        burn: Option<[f64; 2]>,
        at: Timestamp,
    },
    /// No answer and no failure yet.
    Awaited,
    Missing {
        why: String,
        since: Timestamp,
    },
}

/// The newest answer to one question.
fn newest(s: &Snapshot, ask: &Ask) -> Result<(f64, Timestamp), Read> {
    let provider = s.provider.as_ref().ok_or_else(|| Read::Missing {
        why: format!("MetricsProvider {} does not exist", s.rollout.spec.analysis.provider_ref.name),
        since: s.now,
    })?;
    let Some(reading) = reading(s, provider, ask) else { return Err(Read::Awaited) };
    let fresh = |at: Timestamp| elapsed(s.now, at) <= patience(s);
    if let Some(last) = reading.values.last().filter(|last| fresh(last.at)) {
        return Ok((last.value.clamp(-BEYOND, BEYOND), last.at));
    }
    let since = reading.failure.as_ref().map(|failure| failure.since).or(reading.answered_at).unwrap_or(s.now);
    let why = match &reading.failure {
        Some(failure) => failure.text.clone(),
        None => format!("it was last read {} ago", human(elapsed(s.now, since))),
    };
    Err(Read::Missing { why: format!("{why}; asked: {}", ask.promql()), since })
}

/// What is known of the budget now.
pub(super) fn read(s: &Snapshot, policy: &ErrorBudget, before: Option<&BudgetState>) -> Read {
    let Some(Questions { remaining, burn, .. }) = sources::questions(s, policy) else {
        return Read::Missing { why: "spec.errorBudget names no source".to_owned(), since: s.now };
    };
    let answers = || -> Result<Read, Read> {
        let (remaining, mut at) = newest(s, &remaining)?;
        let mut factors = None;
        if let Some([long, short]) = &burn {
            let ((long, long_at), (short, short_at)) = (newest(s, long)?, newest(s, short)?);
            at = at.min(long_at).min(short_at);
            factors = Some([long, short]);
        }
        Ok(Read::Known { remaining, burn: factors, at })
    };
    let found = answers().unwrap_or_else(|gap| gap);
    // After a restart nothing was read yet: what was committed stands as long as it would have.
    if let (Read::Awaited, Some(BudgetState { at: Some(at), remaining: Some(percent), burn: factors, .. })) =
        (&found, before)
        && *at <= s.now
        && elapsed(s.now, *at) <= patience(s)
    {
        let factors = <[f64; 2]>::try_from(factors.as_slice()).ok();
        return Read::Known { remaining: percent / 100.0, burn: factors, at: *at };
    }
    found
}

/// How many bad requests the period allows, once all that is needed for it was answered.
pub(super) fn allowed(s: &Snapshot, policy: &ErrorBudget) -> Option<u64> {
    let [budget, requests] = sources::questions(s, policy)?.allowed?;
    let provider = s.provider.as_ref()?;
    let last = |ask: &Ask| reading(s, provider, ask)?.values.last().map(|last| last.value);
    ruling::allowed(last(&budget)?, last(&requests)?, policy.period)
}
