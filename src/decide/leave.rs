//! The Rollout is being deleted: traffic back to stable, canary gone, gate opened only for the proven template.

use super::draft::{Draft, End, Standing};
use super::plan::{Severity, Write};
use super::snapshot::Workload;
use super::{leftovers, run};
use crate::api::{Outcome, Phase, Step, names};

/// Leaves the workload as it would be without Sluice, and never completes an unproven template.
pub(super) fn leave(d: &mut Draft<'_>) {
    if !d.s.rollout.finalizer {
        return;
    }
    d.progress(Phase::Leaving, "Leaving", "putting traffic back and removing the canary".to_owned());
    let governed = d.s.workload.as_ref().filter(|w| w.governed_by.as_ref() == Some(&d.s.rollout.name));
    if d.s.rollout.abandon {
        // The label goes all the same: nobody else may take it off, and it would keep the gate closed for ever.
        if let Some(workload) = governed {
            let (workload, resource_version) = (workload.name.clone(), workload.resource_version.clone());
            d.plan.push(Write::Unlabel { workload, resource_version });
        }
        d.plan.push(Write::RemoveFinalizer);
        return;
    }
    if !ended(d, "RolloutDeleted", "the Rollout was deleted during the run") {
        return;
    }
    let Some(workload) = governed else {
        d.plan.push(Write::RemoveFinalizer);
        return;
    };
    let_go(d, workload);
}

/// Ends what is in progress; true when nothing is.
fn ended(d: &mut Draft<'_>, reason: &'static str, why: &str) -> bool {
    if d.active().is_some() {
        d.end(End::by_person(Outcome::Aborted, reason, why.to_owned()));
        run::advance(d);
        if d.active().is_some_and(|run| run.step != Step::Done) {
            d.word.phase = Phase::Leaving;
            return false;
        }
    }
    true
}

/// Lets a workload go: opens the gate for the proven template, and takes the label off.
fn let_go(d: &mut Draft<'_>, workload: &Workload) {
    let proven = d.status.stable.as_ref().is_some_and(|stable| stable.digest == workload.digest);
    let (name, resource_version) = (workload.name.clone(), workload.resource_version.clone());
    if workload.paused && proven {
        d.plan.push(Write::OpenGate { workload: name, resource_version });
        return;
    }
    if workload.paused {
        let short = names::short(&workload.digest);
        d.notify(
            Severity::Warning,
            format!("left-paused.{short}"),
            "LeftPaused",
            "Leave",
            format!(
                "Deployment {name} stays paused with the unproven template {short}; apply the stable template or run: kubectl rollout resume deployment/{name}"
            ),
        );
    }
    d.plan.push(Write::Unlabel { workload: name, resource_version });
}

/// `spec.disabled`: the same as at deletion, but the Rollout stays.
pub(super) fn disable(d: &mut Draft<'_>) {
    d.progress(Phase::Leaving, "Disabling", "putting traffic back and removing the canary".to_owned());
    if !ended(d, "RolloutDisabled", "the Rollout was disabled during the run") {
        return;
    }
    d.status.hold = None;
    d.status.let_through = None;
    d.status.watching = None;
    let governed = d.s.workload.as_ref().filter(|w| w.governed_by.as_ref() == Some(&d.s.rollout.name));
    if let Some(workload) = governed {
        return let_go(d, workload);
    }
    // A canary that was created by a request that had been given up. Routes are others' again.
    leftovers::take_away(d);
    // What serves when it is enabled again is looked at then.
    d.status.stable = None;
    d.status.gate_proven_at = None;
    let message = format!("spec.disabled is true: Deployment {} is not governed", d.s.rollout.spec.target_ref.name);
    d.say(Standing::Resting, Phase::Disabled, "Disabled", message);
}
