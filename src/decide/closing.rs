//! An attempt on its way out, however it ended: traffic first, then the canary, then the records.
//!
//! Nothing here can be held up by missing evidence: weight 0 needs neither Prometheus nor the scheduler.

use super::draft::Draft;
use super::neighbours::clones;
use super::plan::{Record, Severity, Write};
use super::time::{elapsed, human, later, times};
use super::verdict;
use super::weights::{self, RouteState};
use super::{evidence, leftovers, logbook, recovery, recurrence, rest, scaler, symptoms};
use crate::api::{Duration, Outcome, Phase, Run, Step};

/// When to look again at something whose change wakes nobody, because it is read from the API server.
const RETRY: Duration = Duration::from_secs(1);
/// How long the records of a Rollout that is being deleted are tried.
const RECORD_PATIENCE: Duration = Duration::from_secs(30);
/// How many seconds pods of the canary that do not end are waited for beyond their grace, before their NetworkPolicies go.
const POD_PATIENCE: u64 = 30;
/// How long the last counts of a canary are waited for, at most.
const LAST_COUNTS: Duration = Duration::from_secs(10);

/// The promotion failed: weight 0, the stable template back, and the native roll back to it.
pub(super) fn revert(d: &mut Draft<'_>) {
    let Some(run) = d.active().cloned() else { return };
    weight_zero(d, &run);
    let Some(workload) = d.s.workload.as_ref() else {
        return d.go(Step::Closing);
    };
    let Some(stable) = d.status.stable.clone() else {
        return d.go(Step::Closing);
    };
    if workload.digest == run.revision {
        rest::put_back(d, workload, &stable, "the promotion is taken back");
    } else if workload.digest == stable.digest {
        if workload.paused {
            d.plan.push(Write::OpenGate {
                workload: workload.name.clone(),
                resource_version: workload.resource_version.clone(),
            });
        } else if workload.complete() {
            return d.go(Step::Closing);
        }
        d.progress(
            Phase::RollingBack,
            "Reverting",
            format!("rolling back: {} of {} pods run the stable version", workload.updated, workload.replicas),
        );
    } else {
        // Someone applied yet another template: it waits behind the gate and gets a run of its own.
        d.go(Step::Closing);
    }
}

/// Weight 0, last counts, route as it was, drain, canary gone, recorded.
pub(super) fn close(d: &mut Draft<'_>) {
    let Some(run) = d.active().cloned() else { return };
    let promoted = run.outcome == Some(Outcome::Promoted);
    let (phase, reason) = match run.outcome {
        Some(Outcome::Promoted | Outcome::Escaped) => (Phase::Settling, "Settling"),
        Some(Outcome::RolledBack | Outcome::FailedBeforeExposure) => (Phase::RollingBack, "RollingBack"),
        Some(Outcome::Aborted | Outcome::Superseded | Outcome::SupersededUnderSuspicion | Outcome::Bypassed) | None => {
            (Phase::Withdrawing, "Withdrawing")
        }
    };
    let summary = run.summary.clone().unwrap_or_default();
    let say = |d: &mut Draft<'_>, what: String| d.progress(phase, reason, format!("{summary}; {what}"));
    if !promoted && !weight_zero(d, &run) {
        return say(d, "taking the weight back".to_owned());
    }
    if !promoted && !counted(d) {
        return say(d, "weight 0, reading the last counts".to_owned());
    }
    recovery::follow(d);
    symptoms::note(d);
    let Some(restored_at) = restore(d) else {
        return say(d, "taking the canary out of the route".to_owned());
    };
    let drain = d.s.rollout.spec.traffic.drain;
    let exposed = run.times.exposed_at.is_some();
    if exposed && !d.passed(restored_at, drain) {
        return say(d, format!("draining the canary for {drain}"));
    }
    if !remove(d) {
        return say(d, "removing the canary".to_owned());
    }
    if !scaler::thaw(d) {
        return say(d, "letting the HorizontalPodAutoscaler scale down again".to_owned());
    }
    finish(d);
}

/// Brings every route to weight 0 and notes when all had it. True from then on.
fn weight_zero(d: &mut Draft<'_>, run: &Run) -> bool {
    if run.times.route_restored_at.is_some() {
        return true;
    }
    let traffic = &d.s.rollout.spec.traffic;
    let canary = traffic.canary_service_name();
    // A cache may not have seen our last write yet: what it shows as settled proves nothing.
    let mut settled = d.s.live;
    for backup in &run.routes {
        // A route that is gone sends nothing to anyone.
        let Some(route) = d.route(backup.kind, &backup.route) else { continue };
        if let RouteState::Needs(patch) = weights::towards(route, backup, &traffic.stable_service, &canary, Some(0)) {
            let (kind, name) = (route.kind, route.name.clone());
            // Where other backends were changed meanwhile, all that is done is to take ours out.
            let given = weights::present_share(route, backup, &traffic.stable_service, &canary) > 0;
            // Nor is a route touched that this attempt has never given a weight.
            if given || run.times.weight_zero_at.is_none() && run.times.exposed_at.is_some() {
                settled = false;
                d.plan.push(Write::PatchRoute { kind, name, weight: Some(0), patch });
            }
        }
    }
    if !d.s.live {
        d.wake_in(Duration::from_millis(1));
    }
    let now = d.s.now;
    if settled
        && run.times.weight_zero_at.is_none()
        && let Some(run) = d.status.run.as_mut()
    {
        run.times.weight_zero_at = Some(now);
        let took = run.times.verdict_at.map(|verdict| human(elapsed(now, verdict))).unwrap_or_default();
        if run.times.exposed_at.is_some() {
            if let Some(summary) = run.summary.as_mut() {
                summary.push_str(&format!(", weight 0 in {took}"));
            }
            d.log(
                Severity::Normal,
                "WeightZero",
                "Shift",
                format!("the canary is given no more traffic, {took} after the verdict"),
            );
        }
    }
    settled
}

/// Counts what the canary still answered; true once a scrape after weight 0 was read, or no such scrape will come.
fn counted(d: &mut Draft<'_>) -> bool {
    let (s, Some(run)) = (d.s, d.status.run.as_mut()) else {
        return true;
    };
    let (Some(provider), Some(zero_at)) = (&s.provider, run.times.weight_zero_at) else {
        return true;
    };
    if run.times.exposed_at.is_none() || run.times.route_restored_at.is_some() {
        return true;
    }
    verdict::assess(s, provider, run);
    let enough = times(provider.scrape_interval, 2).min(LAST_COUNTS);
    let seen = run.traffic.until.is_some_and(|until| until > zero_at && elapsed(until, zero_at) >= enough);
    seen || d.passed(zero_at, LAST_COUNTS)
}

/// Puts every route back as it was and notes when the gateways had accepted that.
fn restore(d: &mut Draft<'_>) -> Option<jiff::Timestamp> {
    let run = d.active()?.clone();
    if let Some(at) = run.times.route_restored_at {
        return Some(at);
    }
    let traffic = &d.s.rollout.spec.traffic;
    let canary = traffic.canary_service_name();
    let mut settled = d.s.live;
    for backup in &run.routes {
        let Some(route) = d.route(backup.kind, &backup.route) else { continue };
        match weights::towards(route, backup, &traffic.stable_service, &canary, None) {
            RouteState::Needs(patch) => {
                settled = false;
                d.plan.push(Write::PatchRoute { kind: route.kind, name: route.name.clone(), weight: None, patch });
            }
            RouteState::Settled => {
                // A gateway that does not answer any more must not keep the canary alive for ever.
                if weights::accepted(route).is_err() && run.times.exposed_at.is_some() && !d.overdue() {
                    settled = false;
                }
            }
            RouteState::Conflict(_) => {}
        }
    }
    if !settled {
        d.wake_in(if d.s.live { RETRY } else { Duration::from_millis(1) });
        return None;
    }
    let now = d.s.now;
    let run = d.status.run.as_mut()?;
    run.weight = 0;
    run.times.route_restored_at = Some(now);
    Some(now)
}

/// Deletes what was made for the canary; true when it is gone.
fn remove(d: &mut Draft<'_>) -> bool {
    let mut gone = !leftovers::take_away(d) && d.s.live;
    let policies: Vec<Write> = clones::ours(d.s).map(clones::delete).collect();
    if !policies.is_empty() {
        // A pod that is ending may still have something to say, and somebody to say it to.
        if gone && ended(d) {
            d.plan.extend(policies);
        }
        gone = false;
    }
    if !gone {
        d.wake_in(RETRY);
    }
    gone
}

/// No pod of the canary is left, or one does not end.
fn ended(d: &mut Draft<'_>) -> bool {
    let grace = d.s.workload.as_ref().map_or(0, |workload| workload.termination_grace);
    let patience = Duration::from_secs(u64::from(grace).saturating_add(POD_PATIENCE));
    let drain = d.s.rollout.spec.traffic.drain;
    let removed_at = d.active().and_then(|run| run.times.route_restored_at).map(|at| later(at, drain));
    d.s.neighbours.canary_pods == 0 || removed_at.is_none_or(|at| d.passed(at, patience))
}

/// Records the end; done when the records are there.
fn finish(d: &mut Draft<'_>) {
    let now = d.s.now;
    if let Some(run) = d.status.run.as_mut() {
        run.times.ended_at.get_or_insert(now);
    }
    let say = |d: &mut Draft<'_>, phase: Phase, reason: &str, what: &str| {
        let summary = d.active().and_then(|run| run.summary.clone()).unwrap_or_default();
        d.progress(phase, reason, format!("{summary}; {what}"));
    };
    if !recovery::known(d) {
        return say(d, Phase::RollingBack, "Recovering", "the canary is gone, looking whether what remains is well");
    }
    if !symptoms::known(d) {
        return say(d, Phase::RollingBack, "Recovering", "the canary is gone, asking which of its requests failed");
    }
    let Some(run) = d.active().cloned() else { return };
    let rework = evidence::rework(d, &run);
    let recorded =
        d.s.release.as_ref().is_some_and(|release| release.ended) && (rework.is_none() || d.s.rework_recorded);
    // A namespace that is being deleted takes no new objects: there the records are tried for a while, and let go.
    let hopeless = d.s.rollout.deleting && run.times.ended_at.is_some_and(|at| d.passed(at, RECORD_PATIENCE));
    if recorded {
        if logbook::complete(d) {
            return d.go(Step::Done);
        }
        return say(d, Phase::Settling, "Recording", "writing the decision log");
    }
    if let Some(Record::Rework { spec, .. }) = &rework {
        recurrence::tell(d, &run.release, spec);
    }
    d.records.extend(rework);
    evidence::record(d, &run);
    if hopeless {
        // Tried once more in this very pass: whoever was away for all of that time has not tried at all.
        return d.go(Step::Done);
    }
    say(d, Phase::Settling, "Recording", "recording");
}
