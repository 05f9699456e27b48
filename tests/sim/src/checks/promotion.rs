//! I4: nothing is promoted without evidence that it is safe; at the end only what is proven serves.

use serde_json::Value;

use super::attempts::short;
use super::{Attempts, Deeds, Moment};
use crate::api::{Key, Look as _, number, paused, text};
use crate::traffic::version;
use crate::world::{Written, digest};

/// The share of failing requests that no version may have that is promoted: the threshold of every plan, 5 %.
const THRESHOLD: f64 = 0.05;

/// The operator wrote something: did it open the gate, and for what?
pub fn opened(written: &Written, moment: &Moment<'_>, attempts: &Attempts, deeds: &Deeds, found: &mut Vec<String>) {
    if written.key != Key::demo("Deployment", "shop") {
        return;
    }
    let (Some(old), Some(new)) = (&written.change.old, &written.change.new) else {
        return;
    };
    if !paused(old) || paused(new) {
        return;
    }
    let Some(rollout) = moment.rollout() else {
        return;
    };
    let of = digest(new);
    let stable = text(rollout, "/status/stable/digest");
    if of == stable || stable.is_empty() {
        return;
    }
    if text(rollout, "/status/letThrough/revision") == of || moment.crowded() {
        return;
    }
    let Some((release, attempt)) = attempts.current().filter(|(_, attempt)| attempt.revision == of) else {
        return found.push(format!("I4: the gate opens for {}, which no attempt has tried", short(&of)));
    };
    if attempt.step != "Promoting" {
        return found.push(format!("I4: the gate opens for {} in step {}", short(&of), attempt.step));
    }
    // The API server knows whole seconds: who asked within the one before is taken at his word.
    let meant = |at: &u64| at.saturating_add(1_000) > attempt.began;
    if deeds.asked.get("Promote").into_iter().flatten().any(meant) {
        return;
    }
    let served = moment.traffic.canary.get(&version(new)).copied().unwrap_or_default();
    let least = number(rollout, "/spec/analysis/signals/0/errorRatio/minRequests");
    if served.requests < least as f64 {
        found.push(format!("I4: {release} is promoted on {:.0} requests, {least} are the least", served.requests));
    } else if served.errors / served.requests > THRESHOLD && version(new) > 0 {
        let ratio = served.errors / served.requests;
        let turned = matches!(moment.plan.behaviour(version(new)), crate::plan::Behaviour::FailsLater(_));
        if !turned {
            found.push(format!("I4: {release} is promoted while {:.0} % of its requests fail", ratio * 100.0));
        }
    }
}

/// Everything has settled: what serves is stable, and it is known why it is.
pub fn finish(moment: &Moment<'_>, attempts: &Attempts, found: &mut Vec<String>) {
    let (Some(rollout), Some(workload)) = (moment.rollout(), moment.workload()) else {
        return;
    };
    let disabled = rollout.at("/spec/disabled").and_then(Value::as_bool).unwrap_or(false);
    if disabled || text(rollout, "/status/phase") == "Stalled" {
        return;
    }
    let stable = text(rollout, "/status/stable/digest");
    let uid = text(workload, "/metadata/uid");
    let alongside = text(rollout, "/status/alongside");
    let serving: Vec<_> = moment
        .store
        .list("ReplicaSet", "demo")
        .filter(|set| text(set, "/metadata/ownerReferences/0/uid") == uid && number(set, "/spec/replicas") > 0)
        .collect();
    for set in &serving {
        let of = digest(set);
        let bypassed = |attempt: &super::attempts::Attempt| {
            attempt.revision == of && attempt.outcome.as_deref() == Some("Bypassed")
        };
        let known = attempts.all().any(|(_, attempt)| bypassed(attempt)) || alongside == of;
        // Where the gate closed on three versions at once, before one of them was complete, the last is not named.
        let known = known || serving.len() > 2 && !alongside.is_empty();
        if of != stable && (known || super::cannot_roll(moment.store, moment.plan)) {
            continue; // recorded, or on its way for ever
        } else if of != stable {
            found.push(format!("I9: at the end {} serves and {} is stable", short(&of), short(stable)));
        } else if !attempts.stable.contains(&of) {
            found.push(format!("I9: nobody knows why {} is stable", short(&of)));
        }
    }
    if digest(workload) != stable && !paused(workload) && !super::cannot_roll(moment.store, moment.plan) {
        found.push(format!("I9: at the end the gate is open for {}", short(&digest(workload))));
    }
}
