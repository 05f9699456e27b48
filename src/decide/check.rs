//! Looks a finished decision over for contradictions, independently of the steps that made it.
//!
//! A decision that fails here is a bug: it is not carried out, and traffic stays as it is.

use super::neighbours::clones;
use super::plan::{Decision, Write};
use super::snapshot::Snapshot;
use crate::api::{Outcome, Run, Step};

/// The first contradiction, if there is one.
pub fn check(snapshot: &Snapshot, decision: &Decision) -> Result<(), String> {
    let run = decision.status.run.as_ref();
    let approved = run.filter(|run| run.step != Step::Done && run.outcome.is_none()).map_or(0, |run| run.weight);
    let most =
        run.and_then(|run| run.wave.as_ref()).and_then(|wave| snapshot.rollout.spec.waves.get(usize::from(wave.index)));
    let stable = decision.status.stable.as_ref().map(|stable| stable.digest.as_str());
    if let (Some(run), Some(wave)) = (run, most)
        && run.outcome.is_none()
        && snapshot.rollout.status.run.as_ref().is_none_or(|before| before.weight < run.weight)
        && run.weight > wave.weight
    {
        return Err(format!("weight {} is above the wave's {}", run.weight, wave.weight));
    }
    let rising = run.is_some_and(|run| {
        matches!(run.step, Step::Starting | Step::Shifting | Step::Baking | Step::Promoting) && run.outcome.is_none()
    });
    let mut canary_made = false;
    for write in &decision.plan {
        match write {
            Write::PatchRoute { kind, name, weight: Some(weight), .. } if *weight > approved => {
                return Err(format!("{kind} {name} would get {weight}%, approved are {approved}%"));
            }
            Write::OpenGate { workload, .. } => {
                let template = snapshot.workload.as_ref().map(|workload| workload.digest.as_str());
                let promoting = run.is_some_and(|run| {
                    run.step == Step::Promoting && run.outcome.is_none() && Some(run.revision.as_str()) == template
                });
                let through = decision.status.let_through.as_ref().map(|through| through.revision.as_str());
                let known = stable.is_none() || stable == template || (through.is_some() && through == template);
                if !promoting && !known {
                    return Err(format!("Deployment {workload} would roll to a template that is not proven"));
                }
            }
            Write::DeleteCanary { name, .. } => {
                let leftover = snapshot.canary.as_ref().zip(run).is_some_and(|(c, run)| c.revision != run.revision);
                let ending = |run: &Run| matches!(run.step, Step::Closing | Step::Done);
                let drained = run.is_some_and(|run| ending(run) && run.times.route_restored_at.is_some());
                let unused = leftover && approved == 0;
                if !(drained || unused) {
                    return Err(format!("Deployment {name} would be deleted while it may have traffic"));
                }
            }
            Write::DeleteService { name, .. } => {
                if run.is_none_or(|run| run.times.route_restored_at.is_none()) {
                    return Err(format!("Service {name} would be deleted while a route may name it"));
                }
            }
            Write::DeleteReplicaSet { name, .. } => {
                let set = snapshot.replica_sets.iter().find(|set| set.name == *name);
                if set.is_none_or(|set| set.replicas > 0 || set.present > 0 || stable == Some(set.digest.as_str())) {
                    return Err(format!("ReplicaSet {name} would be deleted although it has pods or is stable's"));
                }
            }
            Write::CreatePolicy { .. } | Write::ReplacePolicy { .. } if !rising => {
                return Err("a NetworkPolicy would be made for a canary that is on its way out".to_owned());
            }
            Write::CreatePolicy { .. } if canary_made => {
                return Err("the canary would be made before a NetworkPolicy that it needs".to_owned());
            }
            Write::DeletePolicy { name, .. } => {
                let there = snapshot.canary.as_ref().is_some_and(|canary| canary.ours);
                let restored = run.is_some_and(|run| run.times.route_restored_at.is_some());
                if !(restored && !there || clones::unneeded(snapshot, name)) {
                    return Err(format!("NetworkPolicy {name} would be deleted while the canary needs it"));
                }
            }
            Write::CreateCanary { .. } => canary_made = true,
            Write::CloseGate { .. }
            | Write::PatchScaler { .. }
            | Write::AddFinalizer
            | Write::RemoveFinalizer
            | Write::Label { .. }
            | Write::Unlabel { .. }
            | Write::ProveGate { .. }
            | Write::RestoreTemplate { .. }
            | Write::ScaleCanary { .. }
            | Write::CreateService { .. }
            | Write::CreatePolicy { .. }
            | Write::ReplacePolicy { .. }
            | Write::PatchRoute { .. } => {}
        }
    }
    let taken_back = run.is_some_and(|run| run.outcome.is_some_and(|outcome| outcome != Outcome::Promoted));
    if taken_back && run.is_some_and(|run| run.weight > 0) {
        return Err("an attempt that was taken back keeps a weight".to_owned());
    }
    Ok(())
}
