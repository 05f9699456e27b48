//! The gate at rest: proven to hold, or kept closed where admission cannot close it, or opened because a person says so.
//!
//! Opening it for a proven template is the business of `rest` and `promotion`.

use super::draft::Draft;
use super::plan::Write;
use super::snapshot::Workload;
use super::time::elapsed;
use crate::api::{Duration, GateMode};

/// How long a proof of the gate is good for. It is made anew whenever the policies change, which are watched, and every
/// template that is held back proves it too: this is for what nobody thought of.
const PROOF_LASTS: Duration = Duration::from_secs(24 * 3600);
/// When a gate that does not hold is tried again.
const PROOF_RETRY: Duration = Duration::from_secs(15);

/// Has the gate proven when that is due; says whether it holds.
pub(super) fn prove(d: &mut Draft<'_>, workload: &Workload) -> bool {
    if d.s.rollout.spec.gate == GateMode::Resting {
        return rest(d, workload);
    }
    let (now, policies) = (d.s.now, &d.s.policies);
    // A proof speaks of the policies with which it was made.
    if d.status.gate_proven_with != policies.fingerprint || !policies.problems.is_empty() {
        d.status.gate_proven_at = None;
    }
    let known = d.status.gate_proven_at;
    if let Some(proof) = d.s.gate.as_ref().filter(|proof| known.is_none_or(|at| proof.at > at))
        && proof.policies == policies.fingerprint
    {
        d.status.gate_proven_at = (proof.held && policies.problems.is_empty()).then_some(proof.at);
        d.status.gate_proven_with.clone_from(&policies.fingerprint);
    }
    let lasts = d.status.gate_proven_at.is_some_and(|at| elapsed(now, at) < PROOF_LASTS);
    let fresh = d.s.gate.as_ref().filter(|proof| proof.policies == policies.fingerprint);
    let tried = fresh.is_some_and(|proof| !proof.held && elapsed(now, proof.at) < PROOF_RETRY);
    // A workload that is paused already would prove nothing; neither would policies that are not as they should be.
    if !lasts && !tried && !workload.paused && policies.problems.is_empty() {
        d.plan.push(Write::ProveGate { workload: workload.name.clone(), policies: policies.fingerprint.clone() });
    }
    if let Some(at) = d.status.gate_proven_at {
        d.passed(at, PROOF_LASTS);
    } else {
        d.wake_in(PROOF_RETRY);
    }
    d.status.gate_proven_at.is_some()
}

/// Where admission cannot pause, the workload is kept paused; says whether it is.
fn rest(d: &mut Draft<'_>, workload: &Workload) -> bool {
    let stable = d.status.stable.as_ref().is_some_and(|stable| stable.digest == workload.digest);
    // Paused beside pods of another version, it would never roll back to the stable one.
    if !workload.paused && stable && alone(d, &workload.digest) {
        d.plan.push(Write::CloseGate {
            workload: workload.name.clone(),
            resource_version: workload.resource_version.clone(),
        });
    }
    d.status.gate_proven_at = workload.paused.then(|| d.status.gate_proven_at.unwrap_or(d.s.now));
    workload.paused
}

/// Whether no other version has pods.
pub(super) fn alone(d: &Draft<'_>, digest: &str) -> bool {
    d.s.replica_sets.iter().all(|set| set.digest == digest || set.replicas == 0)
}

/// Opens the gate for a template that a person let through.
pub(super) fn let_through(d: &mut Draft<'_>) {
    let (Some(let_through), Some(workload)) = (&d.status.let_through, &d.s.workload) else { return };
    let governed = workload.governed_by.as_ref() == Some(&d.s.rollout.name);
    if let_through.revision != workload.digest || !governed {
        // Another template came: what was said of the one before does not speak for it.
        d.status.let_through = None;
    } else if workload.paused {
        d.plan.push(Write::OpenGate {
            workload: workload.name.clone(),
            resource_version: workload.resource_version.clone(),
        });
    }
}
