//! What people ask for by Interventions, and what is made of it.
//!
//! Owns which action may be done when. Each Intervention is acted upon once: what was done is committed to status in the
//! same write as its effect, and the object itself is answered afterwards.

use super::draft::{Draft, End};
use super::plan::{Record, Severity};
use super::snapshot::{InterventionFacts, Workload};
use super::time::elapsed;
use super::{budget, kept, logbook};
use crate::api::{
    Action, Answered, Approval, Duration, Hold, Intervened, InterventionResult, InterventionStatus, LetThrough,
    OnRollback, Outcome, RolloutSpec, Run, Step, names,
};

/// The promotion in `run.approved`.
pub(crate) const PROMOTION: u8 = 0;
/// How many answers are remembered.
const REMEMBERED: usize = 32;
/// How long an answer is remembered at least: no watch lags so much behind.
const LAG: Duration = Duration::from_secs(900);
/// What the time of an Intervention may be too early by: the API server writes whole seconds.
const WHOLE: Duration = Duration::from_secs(1);
/// How many Interventions of one attempt are recorded.
const RECORDED: usize = 20;

/// Does what is asked, in the order in which it was asked, and answers.
pub(super) fn honour(d: &mut Draft<'_>) {
    let s = d.s;
    let open = |uid: &str| s.interventions.iter().any(|asked| asked.uid == uid);
    for asked in &s.interventions {
        if let Some(known) = d.status.answered.iter().find(|known| known.uid == asked.uid).cloned() {
            answer(d, &known);
            continue;
        }
        if d.status.answered.len() >= REMEMBERED {
            // Room is made by those that are known to be answered; until there is one, the others wait.
            let Some(oldest) = d.status.answered.iter().position(|known| !open(&known.uid)) else { break };
            d.status.answered.remove(oldest);
        }
        let by = asked.by.clone().filter(|by| !by.is_empty());
        let done = match &by {
            None => {
                Err("who asks is not stamped: the admission policies of deploy/base/interventions.yaml are missing"
                    .into())
            }
            Some(_) if !s.policies.unstamped.is_empty() => Err(format!(
                "{}, so anyone could have written who asks: apply deploy/base/interventions.yaml",
                s.policies.unstamped.join("; ")
            )),
            Some(_) if s.rollout.spec.disabled => {
                Err(format!("spec.disabled of Rollout {} is true: nothing is governed", s.rollout.name))
            }
            Some(by) => named(d, asked).and_then(|()| act(d, asked, by)),
        };
        let (result, message) = match done {
            Ok(message) => (InterventionResult::Honoured, message),
            Err(message) => (InterventionResult::Refused, message),
        };
        if result == InterventionResult::Honoured {
            note(d, asked, by.unwrap_or_default(), &message);
        }
        let (name, uid, at) = (asked.name.clone(), asked.uid.clone(), s.now);
        let answered = Answered { name, uid, result, message, at };
        answer(d, &answered);
        d.status.answered.push(answered);
    }
    d.status.answered.retain(|known| open(&known.uid) || elapsed(s.now, known.at) < LAG);
}

fn answer(d: &mut Draft<'_>, known: &Answered) {
    let status = InterventionStatus { result: Some(known.result), message: known.message.clone(), at: Some(known.at) };
    d.records.push(Record::Answer { name: known.name.clone(), uid: known.uid.clone(), status });
}

/// Puts what was done into the record of the attempt it was done to, and tells.
fn note(d: &mut Draft<'_>, asked: &InterventionFacts, by: String, message: &str) {
    let at = d.s.now;
    let (action, reason) = (asked.action, asked.reason.clone());
    d.notify(
        Severity::Normal,
        format!("intervention.{}", asked.uid),
        "Intervention",
        "Intervene",
        format!("{} by {by} ({reason}): {message}", action.name()),
    );
    if let Some(run) = d.status.run.as_mut().filter(|run| run.step != Step::Done) {
        logbook::decided(d.s, run, action.name(), Some(&by));
    }
    // A Hold may begin and end while nothing is released.
    let belongs = d.active().is_some() || !matches!(action, Action::Hold | Action::Resume);
    if let Some(run) = d.status.run.as_mut().filter(|_| belongs)
        && run.interventions.len() < RECORDED
    {
        run.interventions.push(Intervened {
            name: asked.name.clone(),
            action,
            by,
            reason,
            at,
            message: message.to_owned(),
        });
    }
}

/// What was asked for after the last attempt had ended, such as a Retry: it belongs to the record of the next one.
pub(super) fn asked_since(last: Option<&Run>) -> Vec<Intervened> {
    let Some((run, ended_at)) = last.and_then(|run| Some((run, run.times.ended_at?))) else { return Vec::new() };
    run.interventions.iter().filter(|one| one.at > ended_at).cloned().collect()
}

/// The Release that is named is the present one.
fn named(d: &Draft<'_>, asked: &InterventionFacts) -> Result<(), String> {
    let Some(wanted) = &asked.release else { return Ok(()) };
    match d.status.run.as_ref().map(|run| &run.release) {
        Some(release) if release == wanted => Ok(()),
        Some(release) => Err(format!("it names Release {wanted}, but the present one is {release}")),
        None => Err(format!("it names Release {wanted}, but there is none")),
    }
}

fn act(d: &mut Draft<'_>, asked: &InterventionFacts, by: &str) -> Result<String, String> {
    match asked.action {
        Action::Approve => approve(d, asked, by),
        Action::Abort => abort(d, asked, by),
        Action::Promote => promote(d, asked, by),
        Action::Retry => retry(d),
        Action::Hold => hold(d, asked, by),
        Action::Resume => resume(d),
        Action::BreakGlass => break_glass(d, asked, by),
    }
}

/// The attempt that nothing has ended yet.
fn open_run(d: &Draft<'_>) -> Result<Run, String> {
    match d.active() {
        Some(run) if run.outcome.is_none() => Ok(run.clone()),
        Some(run) => Err(format!("Release {} has ended already and is being cleaned up", run.release)),
        None => Err(format!("Rollout {} has no attempt in progress", d.s.rollout.name)),
    }
}

/// Whoever asked before the attempt began, and named no Release, cannot have meant it: an Intervention that is seen late,
/// such as after an outage of the operator, must let nothing advance that nobody has looked at.
fn meant(asked: &InterventionFacts, run: &Run) -> Result<(), String> {
    let (None, Some(at), Some(began)) = (&asked.release, asked.at, run.times.requested_at) else { return Ok(()) };
    if elapsed(began, at) < WHOLE {
        return Ok(());
    }
    Err(format!(
        "it was asked for at {at}, before Release {release} began at {}, and names no Release: ask again, with release: {release}",
        began.round(jiff::Unit::Second).unwrap_or(began),
        release = run.release,
    ))
}

/// The first step ahead that asks for approval and has none: its weight, and in words.
pub(crate) fn awaits_approval(spec: &RolloutSpec, run: &Run) -> Option<(u8, String)> {
    let asks = |approval: Approval, key: u8| approval == Approval::Required && !run.approved.contains(&key);
    let total = spec.waves.len();
    let wave = spec
        .waves
        .iter()
        .enumerate()
        .find(|(_, wave)| wave.weight > run.weight && asks(wave.approval, wave.weight))
        .map(|(index, wave)| (wave.weight, format!("wave {}/{total} at {}%", index.saturating_add(1), wave.weight)));
    let ahead = run.step != Step::Promoting && asks(spec.promotion.approval, PROMOTION);
    wave.or_else(|| ahead.then(|| (PROMOTION, "the promotion".to_owned())))
}

fn approve(d: &mut Draft<'_>, asked: &InterventionFacts, by: &str) -> Result<String, String> {
    let run = open_run(d)?;
    meant(asked, &run)?;
    if let Some(approved) = budget::approve(d, &run, by) {
        return Ok(approved);
    }
    let Some((key, what)) = awaits_approval(&d.s.rollout.spec, &run) else {
        return Err(format!("no step of Release {} asks for approval any more", run.release));
    };
    if let Some(run) = d.status.run.as_mut() {
        run.approved.push(key);
    }
    Ok(format!("{what} of Release {} is approved", run.release))
}

fn abort(d: &mut Draft<'_>, asked: &InterventionFacts, by: &str) -> Result<String, String> {
    let run = open_run(d)?;
    let summary = format!("aborted by {by}: {}", asked.reason);
    let mut end = End::by_person(Outcome::Aborted, "AbortedByPerson", summary);
    end.reject = true;
    d.end(end);
    Ok(format!("Release {} is taken back from {}%", run.release, run.weight))
}

fn promote(d: &mut Draft<'_>, asked: &InterventionFacts, by: &str) -> Result<String, String> {
    let run = open_run(d)?;
    meant(asked, &run)?;
    if let Some(hold) = &d.status.hold {
        return Err(format!("held by {} ({}): ask for Resume first", hold.by, hold.reason));
    }
    match run.step {
        Step::Starting | Step::Shifting | Step::Baking if run.weight > 0 => {}
        Step::Promoting => return Err(format!("Release {} is being promoted already", run.release)),
        Step::Preflight
        | Step::Starting
        | Step::Shifting
        | Step::Baking
        | Step::Reverting
        | Step::Closing
        | Step::Done => {
            return Err(format!(
                "Release {} has served no request yet: ask for BreakGlass to let it roll unproven",
                run.release
            ));
        }
    }
    budget::skips(d, &run, by)?;
    budget::begins(d, "the promotion");
    let message = format!("the waves after {}% are skipped, asked for by {by}; the gate opens", run.weight);
    d.log(Severity::Warning, "WavesSkipped", "Promote", message.clone());
    d.go(Step::Promoting);
    Ok(message)
}

fn retry(d: &mut Draft<'_>) -> Result<String, String> {
    if let Some(run) = d.active() {
        return Err(format!("Release {} is not done yet", run.release));
    }
    let waiting = d.s.workload.as_ref().map(|workload| workload.digest.clone());
    // With RestoreTemplate the rejected one waits nowhere: the last one may be applied again.
    let last = d.status.last_rollback.as_ref().map(|last| last.revision.clone());
    let last = last.filter(|_| d.s.rollout.spec.on_rollback == OnRollback::RestoreTemplate);
    let rejected = |digest: &String| d.status.rejected.contains(digest);
    let Some(digest) = waiting.filter(rejected).or_else(|| last.filter(rejected)) else {
        return Err("no rejected template waits behind the gate: apply it first".to_owned());
    };
    d.status.rejected.retain(|rejected| *rejected != digest);
    // A person answers for trying again: what was found before, for example in an outage of something else, does not
    // count against it.
    kept::forget(&mut d.status, &digest);
    Ok(format!("template {} is tried once more, on new evidence", names::short(&digest)))
}

fn hold(d: &mut Draft<'_>, asked: &InterventionFacts, by: &str) -> Result<String, String> {
    if let Some(hold) = &d.status.hold {
        return Err(format!("held already by {} ({})", hold.by, hold.reason));
    }
    if d.active().is_some_and(|run| run.step == Step::Promoting) {
        return Err("the Deployment is rolling already: ask for Abort to take the version back".to_owned());
    }
    d.status.hold = Some(Hold { by: by.to_owned(), reason: asked.reason.clone(), at: d.s.now });
    Ok("nothing advances until Resume; harm still takes the version back".to_owned())
}

fn resume(d: &mut Draft<'_>) -> Result<String, String> {
    let held = d.status.hold.take().map(|hold| format!("the hold by {} is over", hold.by));
    let fought = d.status.run.as_mut().and_then(|run| run.conflicts.take());
    match (held, fought) {
        (Some(held), _) => Ok(held),
        (None, Some(_)) => Ok("the weights are set again".to_owned()),
        (None, None) => Err(format!("Rollout {} is not held by a person", d.s.rollout.name)),
    }
}

fn break_glass(d: &mut Draft<'_>, asked: &InterventionFacts, by: &str) -> Result<String, String> {
    let stable = d.status.stable.as_ref().map(|stable| stable.digest.clone()).unwrap_or_default();
    let governed = |workload: &&Workload| workload.governed_by.as_ref() == Some(&d.s.rollout.name);
    let waiting = d.s.workload.as_ref().filter(governed);
    let waiting = waiting.filter(|workload| workload.paused && workload.digest != stable);
    let Some(workload) = waiting else {
        return Err("no unproven template waits behind the gate".to_owned());
    };
    let (by, reason) = (by.to_owned(), asked.reason.clone());
    let revision = workload.digest.clone();
    if d.active().is_some_and(|run| run.outcome.is_none() && run.revision == revision) {
        let summary = format!("let through unproven by {by}: {reason}");
        d.end(End::by_person(Outcome::Bypassed, "BreakGlass", summary));
    }
    let message = format!("template {} rolls unproven on Deployment {}", names::short(&revision), workload.name);
    d.status.let_through = Some(LetThrough { revision, by, reason });
    Ok(message)
}
