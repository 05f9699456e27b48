//! A Rollout without an attempt in progress: getting to know the workload, keeping the gate, noticing a new template.

use super::attempt::{IMAGES, begin, serves};
use super::draft::{AnalysisWord, Draft, End, Standing};
use super::plan::{Severity, Write};
use super::snapshot::{ReplicaSetFacts, Sought, Workload};
use super::words::several;
use super::{after, change, gate, leftovers, preflight};

use crate::api::{Duration, GateMode, OnRollback, Outcome, Phase, Revision, RolloutStatus, Run, VerdictWord, names};

/// When the stable template is looked for that was not needed before this pass.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Everything that is done while nothing is being released. True when a run has begun.
pub(super) fn at_rest(d: &mut Draft<'_>) -> bool {
    let Some(workload) = d.workload() else { return false };
    if d.s.rollout.name.len() > names::LONGEST {
        let message = format!(
            "the name of this Rollout has {} characters and may have {}: it becomes the value of the label {}; delete it and create it under a shorter name",
            d.s.rollout.name.len(),
            names::LONGEST,
            names::ROLLOUT_LABEL
        );
        d.stuck("InvalidSpec", message);
        return false;
    }
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
    let proven = gate::prove(d, workload);
    let serves = |digest: &String| d.s.replica_sets.iter().any(|set| set.digest == *digest && set.replicas > 0);
    d.status.alongside = d.status.alongside.take().filter(serves);
    let swept = leftovers::sweep(d);
    if !swept && stray(d, workload, &stable) {
        return true;
    }
    if workload.digest == stable.digest {
        settle(d, workload, proven);
        return false;
    }
    leftovers::remove(d, workload, &stable);
    if let Some(intruder) = leftovers::intruder(d, workload, &stable) {
        put_back(d, workload, &stable, &format!("ReplicaSet {intruder} came up behind the closed gate"));
        return false;
    }
    if swept {
        let short = names::short(&workload.digest);
        d.wake_in(Duration::from_secs(1));
        let message = format!("what the last attempt left is taken away before template {short} is looked at");
        d.progress(Phase::Preflight, "Clearing", message);
        return false;
    }
    if !workload.paused {
        return rolled_past(d, workload);
    }
    held_back(d, workload, &stable)
}

/// Plans to put the stable template back into the workload.
pub(super) fn put_back(d: &mut Draft<'_>, workload: &Workload, stable: &Revision, why: &str) {
    let short = names::short(&stable.digest);
    match &d.s.stable_template {
        Sought::Found(template) if names::template_digest(template) == stable.digest => {
            d.plan.push(Write::RestoreTemplate {
                workload: workload.name.clone(),
                resource_version: workload.resource_version.clone(),
                template: names::without_template_hash(template.clone()),
            });
            d.progress(Phase::RollingBack, "Reverting", format!("{why}; putting the stable template {short} back"));
        }
        Sought::NotYet => {
            d.wake_in(LOOK_AGAIN);
            d.progress(Phase::RollingBack, "Reverting", format!("{why}; looking for the stable template {short}"));
        }
        Sought::Gone | Sought::Found(_) => d.stuck(
            "StableTemplateMissing",
            format!(
                "{why}; ReplicaSet {} with the stable template {short} is gone: apply the wanted template to Deployment {}",
                stable.replica_set, workload.name
            ),
        ),
    }
}

/// The proven version; found when it is not known yet.
fn stable(d: &mut Draft<'_>, workload: &Workload) -> Option<Revision> {
    let overtaken = |stable: &Revision| !adopted(&d.status) && workload.digest != stable.digest;
    if workload.governed_by.is_none() && d.status.stable.as_ref().is_some_and(overtaken) {
        // It was only going to be adopted: until the label is on it, anybody may roll whatever they like.
        if !counted(d, workload) {
            d.wake_in(LOOK_AGAIN);
            let message = format!("looking for what serves Deployment {}", workload.name);
            d.progress(Phase::Adopting, "WaitingForStable", message);
            return None;
        }
        d.status.stable = None;
    }
    if let Some(stable) = d.status.stable.clone() {
        if !lost(d, workload, &stable) {
            return Some(stable);
        }
        if !nobody_serves(d, workload) {
            return Some(successor(d, workload, &stable).unwrap_or(stable));
        }
        // There is nothing to compare with, nor to go back to.
        d.status.stable = None;
    }
    let serving: Vec<_> = d.s.replica_sets.iter().filter(|set| set.replicas > 0).collect();
    let found = if workload.paused {
        // The template may be one that was held back: what serves is what is proven.
        match serving.as_slice() {
            [one] if one.available == one.replicas && one.replicas == workload.replicas => Some(*one),
            _ => caught(d, workload),
        }
    } else if workload.complete() && counted(d, workload) {
        d.s.replica_sets.iter().find(|set| set.digest == workload.digest)
    } else {
        None
    };
    if let Some(set) = found {
        let stable = revision(set);
        d.status.stable = Some(stable.clone());
        d.notify(
            Severity::Normal,
            format!("adopted.{}", names::short(&stable.digest)),
            "Adopted",
            "Adopt",
            format!(
                "Deployment {} runs {} on {}; it is taken as stable",
                workload.name,
                set.name,
                several(set.replicas, "pod")
            ),
        );
        return Some(stable);
    }
    let ready = format!(
        "{} of {} pods run the newest template, {} available",
        workload.updated, workload.replicas, workload.available
    );
    if workload.paused && workload.governed_by.is_some() && nobody_serves(d, workload) {
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
    } else if workload.paused && workload.governed_by.is_some() {
        d.wake_in(LOOK_AGAIN);
        d.progress(
            Phase::Adopting,
            "WaitingForStable",
            format!("looking for what serves Deployment {} behind the closed gate: {ready}", workload.name),
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

/// Whether the gate was ever proven to hold for this workload, or something was tried behind it.
fn adopted(status: &RolloutStatus) -> bool {
    status.gate_proven_at.is_some() || !status.gate_proven_with.is_empty() || status.attempts > 0
}

/// What serves most where the gate closed in the middle of a roll, before any version was complete: nobody could resume
/// it, for a template that is not proven does not pass. The older one if two serve alike, which was there first.
fn caught<'a>(d: &Draft<'a>, workload: &Workload) -> Option<&'a ReplicaSetFacts> {
    if workload.governed_by.is_none() || !counted(d, workload) {
        return None;
    }
    let serving = d.s.replica_sets.iter().filter(|set| set.replicas > 0 && set.available > 0);
    serving.max_by_key(|set| (set.available, std::cmp::Reverse(set.created_at)))
}

/// Whether the watches of ReplicaSets and of the Deployment, either of which may lag, show the same.
fn counted(d: &Draft<'_>, workload: &Workload) -> bool {
    let sets = &d.s.replica_sets;
    let all = sets.iter().map(|set| set.present).fold(0, u32::saturating_add);
    let newest = sets.iter().find(|set| set.digest == workload.digest).map_or(0, |set| set.present);
    (all, newest) == (workload.status_replicas, workload.updated)
}

/// Whether nothing of the stable version is left: the Deployment was deleted and made anew, or its ReplicaSet was
/// deleted. Only behind a closed gate; what rolls with an open one is a bypass and recorded as such.
fn lost(d: &Draft<'_>, workload: &Workload, stable: &Revision) -> bool {
    workload.paused && !d.s.replica_sets.iter().any(|set| set.digest == stable.digest)
}

/// Whether no pod is available. By the Deployment's own word as well: ReplicaSets that a watch has not shown yet may
/// serve everybody.
fn nobody_serves(d: &Draft<'_>, workload: &Workload) -> bool {
    workload.available == 0 && d.s.replica_sets.iter().all(|set| set.replicas == 0 || set.available == 0)
}

/// Takes what serves in the place of a stable version that is lost as the stable one.
fn successor(d: &mut Draft<'_>, workload: &Workload, stable: &Revision) -> Option<Revision> {
    let serving: Vec<_> = d.s.replica_sets.iter().filter(|set| set.replicas > 0).collect();
    let [one] = serving.as_slice() else { return None };
    let whole = one.available == one.replicas && one.replicas == workload.replicas;
    if !whole || !counted(d, workload) {
        return None;
    }
    let found = revision(one);
    d.notify(
        Severity::Warning,
        format!("adopted.{}.{}", names::short(&found.digest), one.uid),
        "Adopted",
        "Adopt",
        format!(
            "nothing is left of the stable version {} (ReplicaSet {}); {}, which runs on {} of Deployment {}, is taken as stable",
            names::short(&stable.digest), stable.replica_set, one.name, several(one.replicas, "pod"), workload.name
        ),
    );
    d.status.stable = Some(found.clone());
    d.status.rejected.retain(|rejected| *rejected != found.digest);
    Some(found)
}

/// The version that a ReplicaSet runs.
pub(super) fn revision(set: &ReplicaSetFacts) -> Revision {
    let images = set.images.iter().take(IMAGES).cloned().collect();
    Revision { digest: set.digest.clone(), replica_set: set.name.clone(), images }
}

/// Without its images the stable template could not be put back: a status that was written before there were any gets
/// them from the ReplicaSet, also in the middle of an attempt.
pub(super) fn publish_images(d: &mut Draft<'_>) {
    let Some(stable) = d.status.stable.as_mut().filter(|stable| stable.images.is_empty()) else { return };
    if let Some(set) = d.s.replica_sets.iter().find(|set| set.digest == stable.digest) {
        stable.images = revision(set).images;
    }
}

/// The stable template is the wanted one.
fn settle(d: &mut Draft<'_>, workload: &Workload, proven: bool) {
    let alone = gate::alone(d, &workload.digest);
    if workload.paused && (d.s.rollout.spec.gate == GateMode::Admission || !alone) {
        // Nothing new rolls: the template is the one that is proven.
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
        let (reason, message) = if !alone && d.s.rollout.spec.gate == GateMode::Resting {
            ("Reverting", format!("Deployment {} rolls back to the stable version; then it is paused", workload.name))
        } else if d.s.rollout.spec.gate == GateMode::Resting {
            ("ProvingGate", format!("pausing Deployment {}, which is kept paused at rest", workload.name))
        } else if let Some(problem) = d.s.policies.problems.first() {
            ("PolicyMissing", format!("{problem}; apply deploy/base/policies.yaml"))
        } else if tried {
            let message = "a new template would roll at once: install the policies of deploy/base/policies.yaml";
            ("GateNotHolding", message.to_owned())
        } else {
            let message = "proving by a dry run that the API server holds a new template back";
            ("ProvingGate", message.to_owned())
        };
        return d.progress(Phase::Adopting, reason, message);
    }
    after::watch(d);
    let promoted =
        d.status.run.as_ref().filter(|run| run.outcome == Some(Outcome::Promoted) && run.revision == workload.digest);
    let (phase, reason, message) = match promoted {
        Some(run) => (Phase::Promoted, "Promoted", run.summary.clone().unwrap_or_default()),
        None => (
            Phase::Stable,
            "Stable",
            format!(
                "{} {} the stable version; the next template is held back and tried first",
                several(workload.replicas, "pod"),
                if workload.replicas == 1 { "runs" } else { "run" }
            ),
        ),
    };
    if promoted.is_none() {
        d.status.verdict = VerdictWord::None;
    }
    let message = match d.status.watching.as_ref().and_then(|watching| watching.escaped.as_ref()) {
        Some(escaped) => format!("{message}; harm was found afterwards: {}", escaped.message),
        None => message,
    };
    d.say(Standing::Resting, phase, reason, message);
}

/// A template that is not the stable one waits behind the gate. True when a run begins.
fn held_back(d: &mut Draft<'_>, workload: &Workload, stable: &Revision) -> bool {
    let short = names::short(&workload.digest);
    if d.status.let_through.as_ref().is_some_and(|through| through.revision == workload.digest) {
        d.progress(Phase::Adopting, "Bypassed", format!("template {short} was let through unproven; opening the gate"));
        return false;
    }
    if d.status.rejected.contains(&workload.digest) {
        // What serves goes on being watched: this template may lie here for days.
        after::watch(d);
        let run = d.status.run.as_ref().filter(|run| run.revision == workload.digest);
        let how = run.and_then(|run| run.summary.clone()).unwrap_or_else(|| "it was taken back before".to_owned());
        if d.s.rollout.spec.on_rollback == OnRollback::RestoreTemplate {
            put_back(d, workload, stable, &format!("template {short} was rejected: {how}"));
            return false;
        }
        let message = format!(
            "template {short} was rejected: {how}. Stable serves; apply a fixed or the stable template, or ask for Retry"
        );
        d.say(Standing::TakenBack, Phase::RolledBack, "RolledBack", message);
        return false;
    }
    if workload.replicas == 0 {
        // It may stay so for days; what was promoted is watched no longer than it was to be.
        after::watch(d);
        let message = format!("template {short} is held back: Deployment {} is scaled to 0", workload.name);
        d.progress(Phase::Held, "ScaledToZero", message);
        return false;
    }
    let escaped = d.status.watching.as_ref().is_some_and(|watching| watching.escaped.is_some());
    let failed = d.status.run.as_ref().filter(|run| {
        let failed = matches!(run.outcome, Some(Outcome::RolledBack | Outcome::FailedBeforeExposure))
            || run.outcome == Some(Outcome::Aborted) && d.status.rejected.contains(&run.revision)
            || escaped;
        failed && run.revision != workload.digest
    });
    let failed = failed.map(|run| run.release.clone());
    let said = change::read(&workload.said);
    begin(d, (&workload.digest, &workload.images), workload.available, stable, (&said, failed));
    d.status.verdict = VerdictWord::None;
    d.log(
        Severity::Normal,
        "NewTemplate",
        "Gate",
        format!("template {short} is held back; stable {} goes on serving", names::short(&stable.digest)),
    );
    true
}

/// A version that rolled past the gate until it was closed again, by another template as a rule, before anybody looked:
/// some of its pods serve on. It is recorded as what it is.
fn stray(d: &mut Draft<'_>, workload: &Workload, stable: &Revision) -> bool {
    // What the last attempt let roll, with or without analysis, is in its record.
    let rolled = |run: &&Run| run.effective_weight.is_some() || run.outcome == Some(Outcome::Bypassed);
    let last = d.status.run.as_ref().filter(rolled).map(|run| run.revision.clone()).unwrap_or_default();
    let found = d.s.replica_sets.iter().find(|set| set.replicas > 0 && set.digest != stable.digest);
    // Where stable serves nobody the other one is an intruder, and goes.
    let serves = d.s.replica_sets.iter().any(|set| set.digest == stable.digest && set.replicas > 0);
    let (true, None, Some(set)) = (workload.paused && serves, &d.status.alongside, found) else { return false };
    d.status.alongside = Some(set.digest.clone());
    if set.digest == last {
        return false;
    }
    let message = format!(
        "template {} of Deployment {} rolled without analysis, past the gate that is closed again: {} of its pods serve on (ReplicaSet {})",
        names::short(&set.digest),
        workload.name,
        set.replicas,
        set.name
    );
    bypassed(d, (&set.digest, &set.images), workload.available, stable, message);
    true
}

/// Records a version that everybody meets, or may meet, without analysis.
fn bypassed(d: &mut Draft<'_>, of: (&String, &[String]), serving: u32, stable: &Revision, message: String) {
    // The annotations are of the template that the Deployment has now.
    let present = d.s.workload.as_ref().filter(|workload| workload.digest == *of.0);
    let said = present.map(|workload| change::read(&workload.said)).unwrap_or_default();
    begin(d, of, serving, stable, (&said, None));
    if let Some(run) = d.status.run.as_mut() {
        // Everybody meets it, and there is no canary to take back.
        run.times.exposed_at = Some(d.s.now);
        run.max_weight = 100;
    }
    d.end(End::by_person(Outcome::Bypassed, "Bypassed", message));
}

/// A template that Sluice did not release is rolling or has rolled: recorded, never claimed as governed.
fn rolled_past(d: &mut Draft<'_>, workload: &Workload) -> bool {
    let short = names::short(&workload.digest);
    let who = match &d.status.let_through {
        Some(through) => format!("let through by {} ({})", through.by, through.reason),
        None => "past the gate, by break-glass or while it did not hold".to_owned(),
    };
    let message = format!("template {short} of Deployment {} rolled without analysis, {who}", workload.name);
    d.bypassed = Some(message.clone());
    let recorded = d
        .status
        .run
        .as_ref()
        .is_some_and(|run| run.revision == workload.digest && run.outcome == Some(Outcome::Bypassed));
    if !recorded && let Some(stable) = d.status.stable.clone() {
        bypassed(d, (&workload.digest, &workload.images), workload.available, &stable, message);
        return true;
    }
    let new_set = d.s.replica_sets.iter().find(|set| set.digest == workload.digest);
    if let (true, Some(set)) = (workload.complete(), new_set) {
        serves(d, revision(set));
        d.status.alongside = None;
        d.status.let_through = None;
        // It is what serves now: going back to it later is an attempt like any other.
        d.status.rejected.retain(|rejected| *rejected != workload.digest);
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
