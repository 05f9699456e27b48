//! How a Rollout stands, as status fields and conditions (kstatus and `kubectl wait` read these).

use super::draft::{Draft, Standing, Word};
use super::plan::Severity;
use crate::api::{
    Condition, ConditionStatus, ConditionType, GateMode, Outcome, Phase, Step, VerdictWord, merge_conditions,
};

/// The longest message; the API server takes no longer one in a condition.
const LONGEST: usize = 1000;

/// An event when something begins to need a person, or a wave begins to be held: conditions are seen only by those
/// who look.
pub(super) fn tell_of_waiting(d: &mut Draft<'_>) {
    let Word { standing, phase, reason, message } = d.word.clone();
    let before = d.s.rollout.status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready);
    let news = before.is_none_or(|before| before.reason != reason);
    if news && (standing == Standing::Stuck || phase == Phase::Held) {
        let key = format!("{reason}.{}", d.s.now.as_millisecond());
        d.notify(Severity::Warning, key, &reason, "Wait", message);
    }
}

/// Writes the last word of the pass into the status.
pub(super) fn conclude(d: &mut Draft<'_>) {
    let Word { standing, phase, reason, mut message } = d.word.clone();
    if let Some(error) = &d.s.last_error {
        message = format!("{message}; the last write failed and is tried again: {error}");
    }
    let message: String = message.chars().take(LONGEST).collect();
    let active = d.active().is_some();
    let waves = d.s.rollout.spec.waves.len();
    let status = &mut d.status;
    status.phase = phase;
    status.message.clone_from(&message);
    (status.wave, status.weight) = match &status.run {
        // At rest on another version than the one last tried there is no wave to speak of.
        Some(_) if phase == Phase::Stable => (String::new(), String::new()),
        Some(run) => {
            let wave = run.wave.as_ref().map_or(0, |wave| usize::from(wave.index).saturating_add(1));
            (format!("{wave}/{waves}"), format!("{}%", run.weight))
        }
        None => (String::new(), String::new()),
    };
    if status.run.is_none() {
        status.verdict = VerdictWord::None;
    }
    let (now, generation) = (d.s.now, d.s.rollout.generation);
    let condition = |type_, status, reason: &str, message: &str| Condition {
        type_,
        status,
        observed_generation: generation,
        last_transition_time: now,
        reason: reason.to_owned(),
        // The API server refuses the whole status for one that is too long.
        message: message.chars().take(LONGEST).collect(),
    };
    use ConditionStatus::{False, True, Unknown};
    let ready = if standing == Standing::Resting { True } else { False };
    let going = if standing == Standing::Progressing { True } else { False };
    let stalled = if matches!(standing, Standing::Stuck | Standing::TakenBack) { True } else { False };
    let mut conditions = vec![
        condition(ConditionType::Ready, ready, &reason, &message),
        condition(ConditionType::Reconciling, going, &reason, &message),
        condition(ConditionType::Stalled, stalled, &reason, &message),
    ];
    let ended = status.run.as_ref().filter(|run| run.step == Step::Done).and_then(|run| Some((run, run.outcome?)));
    conditions.push(match ended {
        Some((run, outcome)) if !active => condition(
            ConditionType::Complete,
            True,
            super::draft::outcome_word(outcome),
            &run.summary.clone().unwrap_or_default(),
        ),
        _ if status.run.is_some() => {
            condition(ConditionType::Complete, False, "InProgress", "a release is in progress")
        }
        _ => condition(ConditionType::Complete, False, "NoReleaseYet", "no release has been attempted yet"),
    });
    conditions.push(match (&d.bypassed, status.gate_proven_at, &d.s.gate) {
        (Some(message), _, _) => condition(ConditionType::Gated, False, "Bypassed", message),
        (None, _, _) if !d.s.policies.problems.is_empty() && d.s.rollout.spec.gate == GateMode::Admission => condition(
            ConditionType::Gated,
            False,
            "PolicyMissing",
            &format!("{}; apply deploy/base/policies.yaml", d.s.policies.problems.join("; ")),
        ),
        (None, Some(_), _) if d.s.rollout.spec.gate == GateMode::Resting => condition(
            ConditionType::Gated,
            True,
            "Resting",
            "the Deployment is kept paused while nothing is being released (spec.gate: Resting)",
        ),
        (None, Some(_), _) => condition(
            ConditionType::Gated,
            True,
            "Proven",
            "a dry run showed that the API server holds a new template back",
        ),
        (None, None, Some(proof)) if !proof.held => condition(
            ConditionType::Gated,
            False,
            "GateNotHolding",
            "a dry run showed that a new template would roll at once; install the policies of deploy/base/policies.yaml",
        ),
        (None, None, _) => condition(ConditionType::Gated, Unknown, "NotProvenYet", "the gate has not been tried yet"),
    });
    let before = status.conditions.iter().find(|c| c.type_ == ConditionType::AnalysisReady).cloned();
    conditions.push(match (&d.analysis, before) {
        (Some(word), _) => {
            let ready = if word.ready { True } else { False };
            condition(ConditionType::AnalysisReady, ready, &word.reason, &word.message)
        }
        (None, Some(before)) => before,
        (None, None) => condition(
            ConditionType::AnalysisReady,
            Unknown,
            "NotAskedYet",
            "the signals are read when a new template is held back",
        ),
    });
    status.conditions = merge_conditions(&status.conditions, conditions);
    if phase == Phase::Promoted && status.run.as_ref().is_some_and(|run| run.outcome == Some(Outcome::Promoted)) {
        status.verdict = VerdictWord::Safe;
    }
}
