//! The promotion: the gate opens for the analysed template, and the Deployment rolls by itself.
//!
//! A wave of its own: the canary keeps its weight and its judgement until the new version serves alone, there is a
//! deadline, and the way back is the stable template.

use super::draft::{Draft, End};
use super::plan::Write;
use super::routing::keep_weights;
use super::snapshot::{ReplicaSetFacts, Workload};
use super::time::{elapsed, human};
use super::words::{grouped, several};
use super::{attempt, rest, scaler, waves};
use crate::api::{Outcome, Phase};

/// Lets the workload roll to the analysed template while the canary keeps its share and its judgement.
pub(super) fn promote(d: &mut Draft<'_>) {
    let (s, Some(workload), Some(run)) = (d.s, d.workload(), d.active().cloned()) else {
        return;
    };
    let kept = keep_weights(d, &run);
    if workload.paused {
        d.plan.push(Write::OpenGate {
            workload: workload.name.clone(),
            resource_version: workload.resource_version.clone(),
        });
    }
    let reach = reach(&s.replica_sets, &run.revision, run.weight);
    if let Some(run) = d.status.run.as_mut() {
        run.effective_weight = Some(reach);
    }
    d.progress(
        Phase::Promoting,
        "Promoting",
        format!(
            "{} of {} pods run the new version, {} available; {reach}% of traffic meets it",
            workload.updated, workload.replicas, workload.available
        ),
    );
    waves::grow(d, &run);
    scaler::freeze(d);
    let new_set = s.replica_sets.iter().find(|set| set.digest == run.revision);
    if let (false, true, Some(set), Ok(_)) = (workload.paused, workload.complete(), new_set, &kept) {
        return promoted(d, set);
    }
    let deadline = s.rollout.spec.promotion_deadline();
    if d.passed(run.step_at, deadline) {
        d.end(End::taken_back(
            "PromotionStuck",
            format!("{} of {} pods run the new version after {deadline}", workload.updated, workload.replicas),
        ));
    }
}

/// The share of live traffic that meets the new version while the Deployment rolls, in percent: the canary's weight,
/// and of the rest as much as its part of the pods that are ready.
fn reach(sets: &[ReplicaSetFacts], revision: &str, weight: u8) -> u8 {
    let ready = |counts: fn(&str, &str) -> bool| {
        let counted = sets.iter().filter(|set| counts(&set.digest, revision));
        counted.map(|set| u64::from(set.ready)).fold(0, u64::saturating_add)
    };
    let (new, all) = (ready(|digest, revision| digest == revision), ready(|_, _| true).max(1));
    let weight = u64::from(weight.min(100));
    let rest = 100_u64.saturating_sub(weight).saturating_mul(new).saturating_add(all / 2);
    u8::try_from(weight.saturating_add(rest.checked_div(all).unwrap_or(0))).unwrap_or(100)
}

/// The new version serves alone.
fn promoted(d: &mut Draft<'_>, set: &ReplicaSetFacts) {
    let Some(run) = d.active().cloned() else { return };
    let s = d.s;
    let requests = grouped(run.traffic.run.canary_requests);
    attempt::serves(d, rest::revision(set));
    d.status.alongside = None;
    if let Some(run) = d.status.run.as_mut() {
        run.times.promoted_at = Some(s.now);
        run.max_weight = 100;
        run.effective_weight = Some(100);
    }
    let took = run.times.requested_at.map(|then| human(elapsed(s.now, then))).unwrap_or_default();
    let passed = run.timeline.iter().filter(|entry| entry.reason == "WavePassed").count();
    let waves = several(u64::try_from(passed).unwrap_or(u64::MAX), "wave");
    let skipped = run.timeline.iter().any(|entry| entry.reason == "WavesSkipped");
    let rest = if skipped { ", the rest skipped by a person" } else { "" };
    let summary = format!("promoted after {took} and {waves}{rest}: {requests} canary requests, no signal breached");
    let mut end = End::taken_back("Promoted", summary);
    end.outcome = Outcome::Promoted;
    d.end(end);
}

/// Another template came while the Deployment rolled. If the promoted version serves alone by then it is the stable one,
/// and true is returned; else its pods go on serving beside stable's.
pub(super) fn replaced(d: &mut Draft<'_>, workload: &Workload, revision: &str) -> bool {
    let others = d.s.replica_sets.iter().any(|set| set.digest != revision && set.replicas > 0);
    let own = d.s.replica_sets.iter().find(|set| set.digest == revision && set.replicas > 0);
    match own {
        Some(set) if !others && set.available == workload.replicas => {
            promoted(d, set);
            true
        }
        Some(_) => {
            d.status.alongside = Some(revision.to_owned());
            false
        }
        None => false,
    }
}
