//! A Rollout without an attempt in progress: getting to know the workload, keeping the gate, noticing a new template.

use super::draft::{AnalysisWord, Draft, Standing};
use super::plan::{Severity, Write};
use super::snapshot::Workload;
use super::time::elapsed;
use super::{kept, preflight};
use crate::api::{Duration, Outcome, Phase, Revision, Run, Step, Times, TrafficState, VerdictWord, names};

/// How long a proof of the gate is good for.
const PROOF_LASTS: Duration = Duration::from_secs(3600);
/// When a gate that does not hold is tried again.
const PROOF_RETRY: Duration = Duration::from_secs(15);

/// Everything that is done while nothing is being released. True when a run has begun.
pub(super) fn at_rest(d: &mut Draft<'_>) -> bool {
    let Some(workload) = d.workload() else { return false };
    if let Some(rival) = &d.s.rollout.rival {
        let message =
            format!("Deployment {} is governed by the older Rollout {rival}; delete one of them", workload.name);
        d.stuck("AlreadyGoverned", message);
        return false;
    }
    if let Some(other) = workload.governed_by.as_ref().filter(|other| **other != d.s.rollout.name) {
        let message = format!("Deployment {} carries the label {}={other}", workload.name, names::ROLLOUT_LABEL);
        d.stuck("AlreadyGoverned", message);
        return false;
    }
    let Some(stable) = stable(d, workload) else {
        return false;
    };
    if workload.governed_by.is_none() {
        d.plan.push(Write::Label {
            workload: workload.name.clone(),
            resource_version: workload.resource_version.clone(),
        });
        d.progress(
            Phase::Adopting,
            "Adopting",
            format!("putting the label {} on Deployment {}", names::ROLLOUT_LABEL, workload.name),
        );
        return false;
    }
    let proven = prove(d, workload);
    if workload.digest == stable.digest {
        settle(d, workload, proven);
        return false;
    }
    if workload.paused { held_back(d, workload, &stable) } else { rolled_past(d, workload) }
}

/// The proven version; found when it is not known yet.
fn stable(d: &mut Draft<'_>, workload: &Workload) -> Option<Revision> {
    if let Some(stable) = &d.status.stable {
        return Some(stable.clone());
    }
    let serving: Vec<_> = d.s.replica_sets.iter().filter(|set| set.replicas > 0).collect();
    let found = if workload.paused {
        // The template may be one that was held back: what serves is what is proven.
        match serving.as_slice() {
            [one] if one.available == one.replicas && one.replicas == workload.replicas => Some(*one),
            _ => None,
        }
    } else if workload.complete() {
        d.s.replica_sets.iter().find(|set| set.digest == workload.digest)
    } else {
        None
    };
    if let Some(set) = found {
        let stable = Revision { digest: set.digest.clone(), replica_set: set.name.clone() };
        d.status.stable = Some(stable.clone());
        d.notify(
            Severity::Normal,
            format!("adopted.{}", names::short(&stable.digest)),
            "Adopted",
            "Adopt",
            format!("Deployment {} runs {} on {} pods; it is taken as stable", workload.name, set.name, set.replicas),
        );
        return Some(stable);
    }
    let ready = format!(
        "{} of {} pods run the newest template, {} available",
        workload.updated, workload.replicas, workload.available
    );
    if workload.paused && workload.governed_by.is_some() && serving.iter().all(|set| set.available == 0) {
        // A stable version that never was healthy must not keep its own fix out.
        d.plan.push(Write::OpenGate {
            workload: workload.name.clone(),
            resource_version: workload.resource_version.clone(),
        });
        d.progress(
            Phase::Adopting,
            "NoStableYet",
            format!(
                "no version of Deployment {} has been healthy yet; letting the newest template go: {ready}",
                workload.name
            ),
        );
    } else if workload.paused {
        d.stuck(
            "Paused",
            format!("Deployment {} is paused and no single version serves it ({ready}); resume it", workload.name),
        );
    } else {
        d.progress(
            Phase::Adopting,
            "WaitingForStable",
            format!("waiting for Deployment {} to be complete: {ready}", workload.name),
        );
    }
    None
}

/// Has the gate proven when that is due; says whether it holds.
fn prove(d: &mut Draft<'_>, workload: &Workload) -> bool {
    let (now, known) = (d.s.now, d.status.gate_proven_at);
    if let Some(proof) = d.s.gate.as_ref().filter(|proof| known.is_none_or(|at| proof.at > at)) {
        d.status.gate_proven_at = proof.held.then_some(proof.at);
    }
    let lasts = d.status.gate_proven_at.is_some_and(|at| elapsed(now, at) < PROOF_LASTS);
    let tried = d.s.gate.as_ref().is_some_and(|proof| !proof.held && elapsed(now, proof.at) < PROOF_RETRY);
    // A workload that is paused already would prove nothing.
    if !lasts && !tried && !workload.paused {
        d.plan.push(Write::ProveGate { workload: workload.name.clone() });
    }
    if let Some(at) = d.status.gate_proven_at {
        d.passed(at, PROOF_LASTS);
    } else {
        d.wake_in(PROOF_RETRY);
    }
    d.status.gate_proven_at.is_some()
}

/// The stable template is the wanted one.
fn settle(d: &mut Draft<'_>, workload: &Workload, proven: bool) {
    if workload.paused {
        // Nothing rolls: the template is the one that serves.
        d.plan.push(Write::OpenGate {
            workload: workload.name.clone(),
            resource_version: workload.resource_version.clone(),
        });
    }
    let current = d.s.replica_sets.iter().find(|set| set.digest == workload.digest && set.replicas > 0);
    if let (Some(stable), Some(set)) = (d.status.stable.as_mut(), current) {
        stable.replica_set.clone_from(&set.name);
    }
    if let Err(refusal) = preflight::references(d.s).and_then(|()| preflight::workload(d.s, workload)) {
        if refusal.reason == preflight::UNSUPPORTED {
            let (reason, message) = (refusal.reason.to_owned(), refusal.message.clone());
            d.analysis = Some(AnalysisWord { ready: false, reason, message });
        }
        return d.stuck(refusal.reason, refusal.message);
    }
    if !proven {
        let tried = d.s.gate.as_ref().is_some_and(|proof| !proof.held);
        let (reason, message) = if tried {
            ("GateNotHolding", "a new template would roll at once: install the policies of deploy/policies.yaml")
        } else {
            ("ProvingGate", "proving by a dry run that the API server holds a new template back")
        };
        return d.progress(Phase::Adopting, reason, message.to_owned());
    }
    let promoted =
        d.status.run.as_ref().filter(|run| run.outcome == Some(Outcome::Promoted) && run.revision == workload.digest);
    let (phase, reason, message) = match promoted {
        Some(run) => (Phase::Promoted, "Promoted", run.summary.clone().unwrap_or_default()),
        None => (
            Phase::Stable,
            "Stable",
            format!(
                "{} pods run the stable version; the next template is held back and tried first",
                workload.replicas
            ),
        ),
    };
    if promoted.is_none() {
        d.status.verdict = VerdictWord::None;
    }
    d.say(Standing::Resting, phase, reason, message);
}

/// A template that is not the stable one waits behind the gate. True when a run begins.
fn held_back(d: &mut Draft<'_>, workload: &Workload, stable: &Revision) -> bool {
    let short = names::short(&workload.digest);
    if d.status.rejected.contains(&workload.digest) {
        let run = d.status.run.as_ref().filter(|run| run.revision == workload.digest);
        let how = run.and_then(|run| run.summary.clone()).unwrap_or_else(|| "it was taken back before".to_owned());
        let message =
            format!("template {short} was rejected: {how}. Stable serves; apply a fixed or the stable template");
        d.say(Standing::TakenBack, Phase::RolledBack, "RolledBack", message);
        return false;
    }
    let remediates = d.status.run.as_ref().filter(|run| {
        matches!(run.outcome, Some(Outcome::RolledBack | Outcome::FailedBeforeExposure))
            && run.revision != workload.digest
    });
    let remediates = remediates.map(|run| run.release.clone());
    let number = d.status.attempts.saturating_add(1);
    let rollout = &d.s.rollout;
    let run = Run {
        release: names::release(&rollout.name, &rollout.uid, number, &workload.digest),
        number,
        revision: workload.digest.clone(),
        from_revision: stable.digest.clone(),
        images: workload.images.iter().take(20).cloned().collect(),
        remediates,
        step: Step::Preflight,
        step_at: d.s.now,
        wave: None,
        weight: 0,
        routes: Vec::new(),
        forecast: Vec::new(),
        traffic: TrafficState::default(),
        signals: kept::known(&d.status, &workload.digest, &stable.digest),
        restarts_before: 0,
        outcome: None,
        trigger: None,
        reason: None,
        signal: None,
        summary: None,
        times: Times { requested_at: Some(d.s.now), ..Times::default() },
        max_weight: 0,
        timeline: Vec::new(),
    };
    d.status.attempts = number;
    kept::keep(&mut d.status);
    d.status.run = Some(run);
    d.status.verdict = VerdictWord::None;
    d.log(
        Severity::Normal,
        "NewTemplate",
        "Gate",
        format!("template {short} is held back; stable {} goes on serving", names::short(&stable.digest)),
    );
    true
}

/// A template that Sluice did not release is rolling or has rolled: recorded, never claimed as governed.
fn rolled_past(d: &mut Draft<'_>, workload: &Workload) -> bool {
    let short = names::short(&workload.digest);
    let message = format!("template {short} of Deployment {} rolled without analysis", workload.name);
    d.bypassed = Some(message.clone());
    d.notify(
        Severity::Warning,
        format!("bypassed.{short}.{}", workload.generation),
        "Bypassed",
        "Gate",
        message.clone(),
    );
    let new_set = d.s.replica_sets.iter().find(|set| set.digest == workload.digest);
    if let (true, Some(set)) = (workload.complete(), new_set) {
        d.status.stable = Some(Revision { digest: set.digest.clone(), replica_set: set.name.clone() });
        d.progress(Phase::Adopting, "Bypassed", format!("{message}; it serves everybody and is taken as stable"));
        return false;
    }
    d.progress(
        Phase::Adopting,
        "Bypassed",
        format!(
            "{message}: {} of {} pods run it, {} available",
            workload.updated, workload.replicas, workload.available
        ),
    );
    false
}
