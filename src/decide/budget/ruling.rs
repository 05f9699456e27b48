//! The policy itself: from what is left of a budget to what may begin.
//!
//! Numbers and words in, one answer out; knows no Rollout and no step. After the SRE workbook's "Example Error Budget
//! Policy": with the budget used up, changes halt except for what repairs the service or closes a vulnerability.

use crate::api::{BudgetWord, Duration, ErrorBudget, OnMissing, Percent};

use super::super::words::as_f64;

/// Why a step begins although a planned release would wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Despite {
    /// It is rework, a hotfix or a security fix, with a reference and a person who answers for it.
    Lane,
    /// A person approved it.
    Person,
}

/// What the budget says to the next step of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Ruling {
    /// It may begin.
    Free,
    /// It may begin, and goes slowly.
    Slowly,
    /// It may begin, and that is counted.
    Despite(Despite),
    /// It waits.
    Wait(&'static str),
}

/// How a budget stands with so much of it left (1 is all), burning this many times as fast as it may in two windows.
pub(super) fn stand(policy: &ErrorBudget, remaining: f64, burn: Option<[f64; 2]>) -> (BudgetWord, bool) {
    let at_most = |limit: Percent| remaining <= limit.ratio();
    let word = if at_most(policy.block_below) {
        BudgetWord::Blocked
    } else if at_most(policy.restrict_below) {
        BudgetWord::Restricted
    } else if at_most(policy.slow_below) {
        BudgetWord::Slow
    } else {
        BudgetWord::Normal
    };
    let limit = policy.fast_burn.value();
    (word, burn.is_some_and(|windows| windows.iter().all(|factor| *factor > limit)))
}

/// Whether a step may begin. `lane`: it is of the rework lane; `approved`: a person approved it in spite of the budget.
pub(super) fn ruling(policy: &ErrorBudget, word: BudgetWord, burning: bool, lane: bool, approved: bool) -> Ruling {
    if burning && !(lane && approved) {
        // Whatever begins now has its part of the harm. What repairs it may begin all the same, once a person says so.
        return Ruling::Wait("BudgetBurning");
    }
    if burning {
        return Ruling::Despite(Despite::Person);
    }
    match word {
        BudgetWord::Awaited => Ruling::Wait("BudgetUnknown"),
        BudgetWord::Normal => Ruling::Free,
        BudgetWord::Slow => slowly(lane),
        BudgetWord::Restricted => restricted(lane, approved, "BudgetLow"),
        BudgetWord::Blocked if lane => Ruling::Despite(Despite::Lane),
        BudgetWord::Blocked => Ruling::Wait("BudgetExhausted"),
        BudgetWord::Missing => match policy.on_missing {
            OnMissing::Normal => Ruling::Free,
            OnMissing::Slow => slowly(lane),
            OnMissing::Block => restricted(lane, approved, "BudgetUnknown"),
        },
    }
}

const fn slowly(lane: bool) -> Ruling {
    if lane { Ruling::Free } else { Ruling::Slowly }
}

const fn restricted(lane: bool, approved: bool, reason: &'static str) -> Ruling {
    match (lane, approved) {
        (true, _) => Ruling::Despite(Despite::Lane),
        (false, true) => Ruling::Despite(Despite::Person),
        (false, false) => Ruling::Wait(reason),
    }
}

/// Whether an `Approve` would change the answer.
pub(super) fn approvable(policy: &ErrorBudget, word: BudgetWord, burning: bool, lane: bool) -> bool {
    matches!(ruling(policy, word, burning, lane, false), Ruling::Wait(_))
        && matches!(ruling(policy, word, burning, lane, true), Ruling::Despite(Despite::Person))
}

/// Whether a wave of a release goes slowly: a budget that forbids the next wave is no reason to hurry this one.
pub(super) fn slow(policy: &ErrorBudget, word: BudgetWord, lane: bool) -> bool {
    match word {
        BudgetWord::Awaited | BudgetWord::Normal => false,
        BudgetWord::Slow | BudgetWord::Restricted | BudgetWord::Blocked => !lane,
        BudgetWord::Missing => !lane && policy.on_missing != OnMissing::Normal,
    }
}

/// A day, in which there is every hour: from its requests those of a period are taken.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// How many bad requests an objective allows in a period: `budget` is the share of requests that may fail, such as
/// 0.001. `None` if that is no number of requests.
pub(super) fn allowed(budget: f64, requests_per_day: f64, period: Duration) -> Option<u64> {
    let days = period.as_secs_f64() / DAY.as_secs_f64();
    let allowed = (budget * requests_per_day * days).round();
    // The cast saturates, and its result is what a status has room for.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = allowed.clamp(0.0, 9e18) as u64;
    (allowed.is_finite() && whole > 0).then_some(whole)
}

/// What part of the bad requests that a period allows these are, in percent, to four places.
pub(super) fn cost_percent(excess_errors: u64, allowed: u64) -> Option<f64> {
    (allowed > 0).then(|| (as_f64(excess_errors) / as_f64(allowed) * 1e6).round() / 1e4)
}
