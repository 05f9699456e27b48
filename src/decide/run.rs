//! An attempt on its way: its steps, what interrupts them, and the check before the first.
//!
//! Each step looks at the world, plans what is missing, and goes on when nothing is. Interrupts (another template,
//! pods that fail, harm) are looked at before the step, in every step. The steps themselves: `waves` up to the last
//! weight, `promotion` after it, `closing` on the way out.

use super::draft::{Draft, End};
use super::neighbours::clones;
use super::plan::Severity;
use super::verdict::{self, Assessment};
use super::{attempt, permission, pods, preflight, promotion, proof, symptoms, warnings, waves};
use crate::api::{Duration, Outcome, Phase, SignalState, Step, names};
use crate::judge::Stakes;

/// Goes as far as the world allows in one pass.
pub(super) fn advance(d: &mut Draft<'_>) {
    find_wave(d);
    super::budget::look(d);
    // Each pass of the loop is a step forward; there are fewer steps than this.
    for _ in 0..10 {
        interrupt(d);
        // What an interrupt changed is no step forward yet: the step it leads to is taken once in this pass.
        let Some(step) = d.active().map(|run| run.step) else {
            return;
        };
        follow(d, step);
        match d.active().map(|run| run.step) {
            Some(Step::Preflight) => check(d),
            Some(Step::Starting) => waves::start(d),
            Some(Step::Shifting) => waves::shift(d),
            Some(Step::Baking) => waves::bake(d),
            Some(Step::Promoting) => promotion::promote(d),
            Some(Step::Reverting) => super::closing::revert(d),
            Some(Step::Closing) => super::closing::close(d),
            Some(Step::Done) | None => return,
        }
        if d.active().map(|run| run.step) == Some(step) {
            return;
        }
    }
}

/// Where waves were edited in mid-run, the one with the present weight is the present one.
fn find_wave(d: &mut Draft<'_>) {
    let waves = &d.s.rollout.spec.waves;
    let Some(run) = d.status.run.as_mut() else { return };
    let position = waves.iter().position(|wave| wave.weight == run.weight).and_then(|index| u8::try_from(index).ok());
    if let (Some(wave), Some(position)) = (run.wave.as_mut(), position) {
        wave.index = position;
    }
}

/// What ends an attempt whatever step it is in.
fn interrupt(d: &mut Draft<'_>) {
    let Some(run) = d.active() else { return };
    if run.outcome.is_some() {
        return;
    }
    let (step, weight, restarts_before) = (run.step, run.weight, run.restarts_before);
    let revision = run.revision.clone();
    let Some(workload) = d.workload() else {
        let message = format!("Deployment {} was deleted during the run", d.s.rollout.spec.target_ref.name);
        return d.end(End::by_person(Outcome::Aborted, "TargetDeleted", message));
    };
    let stable = d.status.stable.as_ref().map(|stable| stable.digest.clone()).unwrap_or_default();
    if workload.digest != revision {
        let short = names::short(&workload.digest);
        if step == Step::Promoting && promotion::replaced(d, workload, &revision) {
            return;
        }
        if workload.digest == stable {
            let message = format!("the stable template {short} was applied again");
            return d.end(End::by_person(Outcome::Aborted, "ReturnedToStable", message));
        }
        let message = format!("template {short} came before {} was done", names::short(&revision));
        let outcome = if suspected(d) { Outcome::SupersededUnderSuspicion } else { Outcome::Superseded };
        return d.end(End::by_person(outcome, "NewTemplate", message));
    }
    if !workload.paused && step != Step::Promoting {
        let message = format!("Deployment {} was let go by hand before the analysis was done", workload.name);
        d.bypassed = Some(message.clone());
        return d.end(End::by_person(Outcome::Bypassed, "GateBypassed", message));
    }
    if workload.replicas == 0 && step != Step::Promoting {
        let message = format!("Deployment {} was scaled to 0; it is tried again when it is scaled up", workload.name);
        return d.end(End::by_person(Outcome::Aborted, "ScaledToZero", message));
    }
    if step != Step::Preflight
        && let Some((reason, sentence)) = pods::fault(&d.s.canary_pods, weight, restarts_before, d.s.canary_endpoints)
    {
        return d.end(End::taken_back(reason, sentence));
    }
    if weight > 0
        && let Some(harm) = assess(d).and_then(|assessment| assessment.harm)
    {
        let mut end = End::taken_back("SignalBreached", harm.sentence);
        end.signal = Some(harm.signal);
        end.sample_at = Some(harm.sample_at);
        d.end(end);
        symptoms::direction(d);
    }
}

/// While the canary is there, its NetworkPolicies follow those that they are made of. `start` sees to the first ones.
fn follow(d: &mut Draft<'_>, step: Step) {
    if let (Step::Shifting | Step::Baking | Step::Promoting, Some(workload)) = (step, d.s.workload.as_ref()) {
        // A name that somebody took in mid-run is nothing to take the canary back for.
        d.plan.extend(clones::keep(d.s, workload).unwrap_or_default());
    }
}

/// Judges the signals; counts only what is new, so asking twice in one pass gives the same answer.
pub(super) fn assess(d: &mut Draft<'_>) -> Option<Assessment> {
    let provider = d.s.provider.as_ref()?;
    let run = d.status.run.as_mut()?;
    let assessment = verdict::assess(d.s, provider, run);
    d.status.verdict = assessment.word;
    d.analysis = Some(match &assessment.blind {
        Some(blind) => super::draft::AnalysisWord {
            ready: false,
            reason: blind.reason.to_owned(),
            message: blind.sentence.clone(),
        },
        None => super::draft::AnalysisWord {
            ready: true,
            reason: "Readable".to_owned(),
            message: format!("signals are read from MetricsProvider {}", provider.name),
        },
    });
    if let (Some(skewed), Some(run)) = (&assessment.skewed, d.active().cloned()) {
        let key = format!("{}.skewed.{}", run.release, run.wave.as_ref().map_or(0, |wave| wave.index));
        d.notify(Severity::Warning, key, "WeightMismatch", "Judge", skewed.clone());
    }
    Some(assessment)
}

fn check(d: &mut Draft<'_>) {
    let Some(workload) = d.workload() else { return };
    attempt::heed(d, workload);
    let Some(run) = d.active().cloned() else { return };
    let analysis = proof::analysis(d.s, &run);
    let (ready, reason, message) = match &analysis {
        Ok(proof) => (true, "Readable", proof.message.clone()),
        Err(refusal) => (false, refusal.reason, refusal.message.clone()),
    };
    d.analysis = Some(super::draft::AnalysisWord { ready, reason: reason.to_owned(), message });
    let checked = preflight::references(d.s)
        .and_then(|()| preflight::workload(d.s, workload))
        .and_then(|()| preflight::routes(d.s))
        .and_then(|backups| analysis.map(|proof| (backups, proof)));
    let first = d.s.rollout.spec.waves.first().cloned();
    let permitted = permission::may_begin(d, &run, first.as_ref());
    match checked {
        Ok(_) if let Err(wait) = &permitted => {
            let short = names::short(&workload.digest);
            d.progress(Phase::Held, wait.reason, format!("template {short} is held back: {}", wait.sentence));
        }
        Ok((backups, proof)) => {
            if let Some(run) = d.status.run.as_mut() {
                run.routes = backups;
                proof::begin(run, &proof);
            }
            d.log(
                Severity::Normal,
                "PreflightPassed",
                "Check",
                format!("template {} can be tried, {}", names::short(&workload.digest), proof.message),
            );
            let advice = warnings::of(d.s, workload);
            if !advice.is_empty() {
                d.log(Severity::Warning, "PreflightWarning", "Check", advice.join("; "));
            }
            let scrape = d.s.provider.as_ref().map_or(Duration::default(), |provider| provider.scrape_interval);
            let interval = d.s.rollout.spec.analysis.interval.max(scrape);
            let warned = proof.forecast.iter().any(|wave| !wave.warning.is_empty());
            let severity = if warned { Severity::Warning } else { Severity::Normal };
            d.log(severity, "Planned", "Check", proof::plan(&proof.forecast, interval));
            d.go(Step::Starting);
        }
        Err(refusal) if refusal.needs_person => d.stuck(refusal.reason, refusal.message),
        Err(refusal) => d.progress(
            Phase::Preflight,
            refusal.reason,
            format!("template {} is held back: {}", names::short(&workload.digest), refusal.message),
        ),
    }
}

/// The odds against a version from which on it is under suspicion.
const SUSPICION: f64 = 10.0;

/// A signal that acts has gathered odds against the version, not yet enough for a verdict.
fn suspected(d: &Draft<'_>) -> bool {
    let acts = |name: &str| d.s.rollout.spec.analysis.signals.iter().any(|one| one.name == name && !one.dry_run);
    let Some(run) = d.active().filter(|run| run.times.exposed_at.is_some()) else { return false };
    let against =
        |state: &SignalState| state.evidence.is_some_and(|evidence| evidence.harm(Stakes::Lasting) >= SUSPICION);
    run.signals.iter().any(|state| acts(&state.name) && against(state))
}
