//! What is left of attempts that are over: ReplicaSets that a gated workload must not wake, and what a write brought that
//! arrived when its attempt had ended.
//!
//! While a Deployment is paused and has no pods, its controller scales up the ReplicaSet of the present template if there
//! is one, else the one that was made last (kubernetes/pkg/controller/deployment, FindActiveOrLatest). After a promotion
//! that was taken back that is the bad version. So those are deleted as soon as the gate is closed.

use super::draft::Draft;
use super::neighbours::clones;
use super::plan::Write;
use super::snapshot::Workload;
use super::weights::{self, RouteState};
use crate::api::{Duration, Revision, Step};

/// How long after the end of an attempt the caches have seen what it took away.
const SEEN: Duration = Duration::from_secs(10);

/// Plans to take away what the last attempt left, if it left anything. A request that was given up may take effect
/// later: a weight that was set when the route had been looked at for the last time, a canary that was created then. True
/// while anything of it is there: no other attempt may begin beside it.
pub(super) fn sweep(d: &mut Draft<'_>) -> bool {
    let Some(run) = d.status.run.clone().filter(|run| run.step == Step::Done) else { return false };
    if run.times.route_restored_at.is_none() || !run.times.ended_at.is_some_and(|at| d.passed(at, SEEN)) {
        return false;
    }
    let traffic = &d.s.rollout.spec.traffic;
    let canary = traffic.canary_service_name();
    for backup in &run.routes {
        let Some(route) = d.route(backup.kind, &backup.route) else { continue };
        let given = weights::present_share(route, backup, &traffic.stable_service, &canary) > 0
            || weights::zeroed(route, backup, &traffic.stable_service, &canary);
        if let (true, RouteState::Needs(patch)) =
            (given, weights::towards(route, backup, &traffic.stable_service, &canary, None))
        {
            let (kind, name) = (route.kind, route.name.clone());
            d.plan.push(Write::PatchRoute { kind, name, weight: None, patch });
            return true;
        }
    }
    let there = take_away(d);
    let policies: Vec<Write> = clones::ours(d.s).map(clones::delete).collect();
    let fenced = !policies.is_empty();
    if d.s.canary.is_none() {
        d.plan.extend(policies);
    }
    there || fenced
}

/// Plans to delete the canary and its Service, where they are ours. True when one of them is still there.
pub(super) fn take_away(d: &mut Draft<'_>) -> bool {
    let canary = d.s.canary.as_ref().filter(|canary| canary.ours);
    let canary = canary.map(|canary| Write::DeleteCanary { name: canary.name.clone(), uid: canary.uid.clone() });
    let service = d.s.canary_service.as_ref().filter(|service| service.ours);
    let service = service.map(|service| Write::DeleteService { name: service.name.clone(), uid: service.uid.clone() });
    let there = canary.is_some() || service.is_some();
    d.plan.extend(canary.into_iter().chain(service));
    there
}

/// Plans to delete the ReplicaSets without pods that would come up instead of stable's.
pub(super) fn remove(d: &mut Draft<'_>, workload: &Workload, stable: &Revision) {
    if !workload.paused || workload.digest == stable.digest {
        return;
    }
    let Some(proven) = d.s.replica_sets.iter().find(|set| set.digest == stable.digest) else { return };
    let empty = d.s.replica_sets.iter().filter(|set| set.replicas == 0 && set.present == 0);
    for set in empty.filter(|set| set.digest != stable.digest) {
        if set.digest == workload.digest || set.created_at >= proven.created_at {
            d.plan.push(Write::DeleteReplicaSet {
                name: set.name.clone(),
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
            });
        }
    }
}

/// A version that runs behind the closed gate although it is not stable.
pub(super) fn intruder<'a>(d: &Draft<'a>, workload: &Workload, stable: &Revision) -> Option<&'a str> {
    let held = workload.paused && workload.digest != stable.digest;
    let serving = |digest: &str| d.s.replica_sets.iter().any(|set| set.digest == digest && set.replicas > 0);
    let known = |digest: &str| digest == stable.digest || d.status.alongside.as_deref() == Some(digest);
    let other = d.s.replica_sets.iter().find(|set| !known(&set.digest) && set.replicas > 0);
    other.filter(|_| held && !serving(&stable.digest)).map(|set| set.name.as_str())
}
