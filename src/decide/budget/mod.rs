//! What the error budget of an objective lets begin.
//!
//! `ruling` is the policy, `sources` the questions, `reading` what the answers are worth. Owns what an attempt remembers
//! of its budget, and the sentences. Nothing here is asked on the way back: harm, pod faults, aborts and closing know no
//! budget.

mod reading;
mod ruling;
mod sources;

use std::fmt::Write;

use super::draft::Draft;
use super::permission::Wait;
use super::plan::Severity;
use super::snapshot::Snapshot;
use super::time::{elapsed, human, times};
use crate::api::{BudgetState, BudgetWord, ChangeKind, Duration, ErrorBudget, RolloutSpec, Run, Step};
pub(super) use reading::due;
use reading::{BEYOND, Read, allowed, patience, read};
use ruling::{Despite, Ruling, ruling, slow, stand};

/// How many turns of a budget a timeline has room for.
const TURNS: usize = 16;
/// The reasons of such turns.
const TOLD: [&str; 5] = ["BudgetBurning", "BudgetRecovered", "BudgetLow", "BudgetExhausted", "BudgetUnknown"];
/// The longest name that is remembered.
const NAME: usize = 253;

/// Takes in what was read, and writes down each turn of it.
pub(super) fn look(d: &mut Draft<'_>) {
    let (s, Some(run)) = (d.s, d.active().filter(|run| run.outcome.is_none()).cloned()) else { return };
    let Some(policy) = &s.rollout.spec.error_budget else { return };
    if !matches!(run.step, Step::Preflight | Step::Starting | Step::Shifting | Step::Baking) {
        return;
    }
    let before = run.budget.clone();
    let mut state = before.clone().unwrap_or(BudgetState { since: s.now, ..BudgetState::default() });
    let (word, burning, mut since) = match read(s, policy, before.as_ref()) {
        Read::Known { remaining, burn, at } => {
            state.remaining = Some(rounded(remaining * 100.0));
            state.burn = burn.iter().flatten().copied().map(rounded).collect();
            state.at = Some(at);
            let (word, burning) = stand(policy, remaining, burn);
            (word, burning, s.now)
        }
        Read::Awaited if awaiting(d, &state) => (BudgetWord::Awaited, false, s.now),
        Read::Awaited => (BudgetWord::Missing, false, state.since),
        Read::Missing { since, .. } => (BudgetWord::Missing, false, since),
    };
    if word == state.state {
        since = state.since;
    }
    state.allowed = state.allowed.or_else(|| allowed(s, policy));
    let lane = lane(&run);
    let under_traffic = matches!(run.step, Step::Shifting | Step::Baking);
    state.slowed |= under_traffic && slow(policy, word, lane);
    let turned = (word, burning) != (state.state, state.burning);
    // What was never anything but good is no news.
    let news = turned && !(state.state == BudgetWord::Awaited && word == BudgetWord::Normal && !burning);
    (state.state, state.burning, state.since) = (word, burning, since);
    if let Some(run) = d.status.run.as_mut() {
        run.budget = Some(state.clone());
    }
    if news && word != BudgetWord::Awaited {
        tell(d, policy, &state, lane);
    }
}

/// Whether the first answer may still come.
fn awaiting(d: &mut Draft<'_>, state: &BudgetState) -> bool {
    let since = if state.state == BudgetWord::Awaited { state.since } else { d.s.now };
    let may_come = state.state != BudgetWord::Missing;
    may_come && !d.passed(since, patience(d.s))
}

/// Two places are enough, and the same answer is the same status.
fn rounded(number: f64) -> f64 {
    (number.clamp(-100.0 * BEYOND, 100.0 * BEYOND) * 100.0).round() / 100.0
}

/// A turn of the budget, as an entry of the timeline. Where a step waits for it, the event that it waits is told anyway.
fn tell(d: &mut Draft<'_>, policy: &ErrorBudget, state: &BudgetState, lane: bool) {
    let turns =
        d.active().map_or(0, |run| run.timeline.iter().filter(|one| TOLD.contains(&one.reason.as_str())).count());
    if turns >= TURNS {
        return;
    }
    let (reason, severity) = match state.state {
        _ if state.burning => ("BudgetBurning", Severity::Warning),
        BudgetWord::Awaited | BudgetWord::Normal => ("BudgetRecovered", Severity::Normal),
        BudgetWord::Slow | BudgetWord::Restricted => ("BudgetLow", Severity::Warning),
        BudgetWord::Blocked => ("BudgetExhausted", Severity::Warning),
        BudgetWord::Missing => ("BudgetUnknown", Severity::Warning),
    };
    let ruled = ruling(policy, state.state, state.burning, lane, state.approved_by.is_some());
    let follows = match ruled {
        Ruling::Free => "it goes on as usual",
        Ruling::Slowly => "waves bake twice as long, and each must show what the next one would have to",
        Ruling::Despite(Despite::Lane) => "it goes on as rework, and that is counted",
        Ruling::Despite(Despite::Person) => "it goes on because a person approved it, and that is counted",
        Ruling::Wait(_) => "no further step begins; a canary keeps its weight and is judged",
    };
    let message = format!("{}: {follows}", says(d.s, policy, state));
    match ruled {
        Ruling::Wait(_) => d.remember(reason, message),
        Ruling::Free | Ruling::Slowly | Ruling::Despite(_) => d.log(severity, reason, "Judge", message),
    }
}

/// How the budget stands, in words.
fn says(s: &Snapshot, policy: &ErrorBudget, state: &BudgetState) -> String {
    let slo = sources::name(policy);
    let left = state.remaining.map(|percent| format!("{percent:.2}%")).unwrap_or_default();
    if let (true, [long, short]) = (state.burning, state.burn.as_slice()) {
        return format!(
            "the error budget of {slo} burns {long:.1}x in the long and {short:.1}x in the short window (limit {}x), {left} is left",
            policy.fast_burn
        );
    }
    match state.state {
        BudgetWord::Normal => format!("{left} of the error budget of {slo} is left"),
        BudgetWord::Slow => {
            format!("{left} of the error budget of {slo} is left (slow at {} or less)", policy.slow_below)
        }
        BudgetWord::Restricted => {
            format!("{left} of the error budget of {slo} is left (restricted at {} or less)", policy.restrict_below)
        }
        BudgetWord::Blocked => {
            format!("the error budget of {slo} is used up: {left} is left (blocked at {} or less)", policy.block_below)
        }
        BudgetWord::Missing => {
            let since = human(elapsed(s.now, state.since));
            let why = match read(s, policy, Some(state)) {
                Read::Missing { why, .. } => why.chars().take(400).collect(),
                Read::Awaited | Read::Known { .. } => "no answer".to_owned(),
            };
            format!("the error budget of {slo} cannot be read (for {since}; onMissing: {:?}): {why}", policy.on_missing)
        }
        BudgetWord::Awaited => {
            let provider = &s.rollout.spec.analysis.provider_ref.name;
            format!("waiting for MetricsProvider {provider} to answer on the error budget of {slo}")
        }
    }
}

/// Whether the change is of the rework lane: what repairs the service or closes a vulnerability, for a reason that is
/// written down somewhere, and with somebody who answers for it.
fn lane(run: &Run) -> bool {
    repairs(run) && lacking(run).is_none()
}

fn repairs(run: &Run) -> bool {
    run.classification.as_ref().is_some_and(|class| match class.kind {
        ChangeKind::Rework | ChangeKind::Hotfix | ChangeKind::Security => true,
        ChangeKind::Planned => false,
    })
}

/// What a repair lacks for the lane.
fn lacking(run: &Run) -> Option<&'static str> {
    let given = |field: Option<&String>| field.is_some_and(|text| !text.trim().is_empty());
    let change = run.change.as_ref();
    if !given(run.remediates.as_ref()) && !given(change.and_then(|change| change.reference.as_ref())) {
        return Some("sluice.dev/reference or sluice.dev/remediates");
    }
    (!given(change.and_then(|change| change.requested_by.as_ref()))).then_some("sluice.dev/requested-by")
}

/// What the budget says to the next step of a run; `None` where none is asked.
fn rules<'a>(s: &'a Snapshot, run: &Run) -> Option<(&'a ErrorBudget, BudgetState, Ruling)> {
    let policy = s.rollout.spec.error_budget.as_ref()?;
    let state = run.budget.clone().unwrap_or_default();
    let ruling = ruling(policy, state.state, state.burning, lane(run), state.approved_by.is_some());
    Some((policy, state, ruling))
}

/// Whether the next step may begin.
pub(super) fn permits(s: &Snapshot, run: &Run) -> Result<(), Wait> {
    let Some((policy, state, Ruling::Wait(reason))) = rules(s, run) else { return Ok(()) };
    let mut sentence = says(s, policy, &state);
    let deployment = &s.rollout.spec.target_ref.name;
    if state.state == BudgetWord::Awaited && !state.burning {
        return Err(Wait { reason, sentence });
    }
    let lane = lane(run);
    let ends = if state.burning {
        "it goes on when that ends"
    } else if state.state == BudgetWord::Missing {
        "it goes on when it can be read"
    } else {
        "it goes on when more is left"
    };
    let _ = write!(sentence, "; {ends}");
    if ruling::approvable(policy, state.state, state.burning, lane) {
        let contact = s.rollout.spec.owner.as_ref().and_then(|owner| owner.contact.as_ref());
        let who = contact.map(|contact| format!(" of {contact}")).unwrap_or_default();
        let _ = write!(sentence, ", or after an Intervention Approve{who} for release {}", run.release);
    }
    match lacking(run).filter(|_| repairs(run)) {
        Some(lacks) => {
            let _ = write!(sentence, "; as a repair it could: annotate Deployment {deployment} with {lacks} too");
        }
        None if !lane => {
            let _ = write!(
                sentence,
                "; a repair could, annotated on Deployment {deployment}: sluice.dev/kind: rework, hotfix or security, sluice.dev/reference, sluice.dev/requested-by"
            );
        }
        None => {}
    }
    Err(Wait { reason, sentence })
}

/// Whether a running wave stays where it is, whatever it has shown: nothing is to grow while the service burns.
pub(super) fn paused(s: &Snapshot, run: &Run) -> Result<(), Wait> {
    let burning = run.budget.as_ref().is_some_and(|budget| budget.burning);
    if burning { permits(s, run) } else { Ok(()) }
}

/// What is added to the message of a wave that goes slowly, or for which nothing could be read.
pub(super) fn aside(s: &Snapshot, run: &Run) -> String {
    let Some((policy, state, _)) = rules(s, run) else { return String::new() };
    let how = if slowed(&s.rollout.spec, run) { ", so the wave bakes twice as long" } else { "" };
    match state.state {
        BudgetWord::Awaited | BudgetWord::Normal if how.is_empty() => String::new(),
        BudgetWord::Awaited
        | BudgetWord::Normal
        | BudgetWord::Slow
        | BudgetWord::Restricted
        | BudgetWord::Blocked
        | BudgetWord::Missing => format!("; {}{how}", says(s, policy, &state)),
    }
}

/// Whether the present wave goes slowly.
pub(super) fn slowed(spec: &RolloutSpec, run: &Run) -> bool {
    spec.error_budget.is_some() && run.budget.as_ref().is_some_and(|budget| budget.slowed)
}

/// How long a wave of this run bakes at least.
pub(super) fn bake(spec: &RolloutSpec, run: &Run, bake: Duration) -> Duration {
    if slowed(spec, run) { times(bake, 2) } else { bake }
}

/// A step begins: whether it goes slowly is fixed, and that it begins in spite of the budget is counted and told.
pub(super) fn begins(d: &mut Draft<'_>, what: &str) {
    let s = d.s;
    let Some(run) = d.status.run.as_mut() else { return };
    let Some((policy, state, ruling)) = rules(s, run) else { return };
    let slow = slow(policy, state.state, lane(run));
    let change = run.change.clone().unwrap_or_default();
    let Some(budget) = run.budget.as_mut() else { return };
    budget.slowed = slow;
    let by = match ruling {
        Ruling::Free | Ruling::Slowly | Ruling::Wait(_) => return,
        Ruling::Despite(Despite::Lane) => {
            budget.by_lane = budget.by_lane.saturating_add(1);
            let reference = change.reference.or_else(|| run.remediates.clone()).unwrap_or_default();
            format!("as a repair for {reference}, by {}", change.requested_by.unwrap_or_default())
        }
        Ruling::Despite(Despite::Person) => {
            budget.by_person = budget.by_person.saturating_add(1);
            format!("approved by {}", state.approved_by.clone().unwrap_or_default())
        }
    };
    let message = format!("{what} begins {by}, although {}", says(s, policy, &state));
    d.log(Severity::Warning, "BudgetOverridden", "Judge", message);
}

/// A person approves: that is for the budget where it is what the next step waits for, and an approval would do.
/// `None` if there is nothing of the kind to approve.
pub(super) fn approve(d: &mut Draft<'_>, run: &Run, by: &str) -> Option<String> {
    let (policy, state, _) = rules(d.s, run)?;
    if state.approved_by.is_some() || !ruling::approvable(policy, state.state, state.burning, lane(run)) {
        return None;
    }
    let budget = d.status.run.as_mut()?.budget.as_mut()?;
    budget.approved_by = Some(by.chars().take(NAME).collect());
    let slo = sources::name(policy);
    Some(format!("Release {} is approved in spite of the error budget of {slo}", run.release))
}

/// A person wants to skip the waves that are left. Where only a person's word was awaited this is it; where no approval
/// would do it does not either.
pub(super) fn skips(d: &mut Draft<'_>, run: &Run, by: &str) -> Result<(), String> {
    let Some((policy, state, Ruling::Wait(reason))) = rules(d.s, run) else { return Ok(()) };
    if approve(d, run, by).is_some() {
        return Ok(());
    }
    Err(format!("{reason}: {}; ask for BreakGlass to let it roll unproven", says(d.s, policy, &state)))
}

/// What part of the budget of a period this many errors took, in percent.
pub(super) fn cost(run: &Run, excess_errors: u64) -> Option<f64> {
    ruling::cost_percent(excess_errors, run.budget.as_ref()?.allowed?)
}

/// The state without what is read anew on every pass.
pub(super) fn substance(state: &mut BudgetState) {
    (state.remaining, state.at, state.allowed) = (None, None, None);
    state.burn.clear();
}

#[cfg(test)]
mod tests;
