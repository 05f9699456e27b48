//! The weights of the governed rules: set, kept, and not fought over for ever.

use super::draft::Draft;
use super::plan::{Severity, Write};
use super::snapshot::RouteFacts;
use super::time::left;
use super::weights::{self, RouteState};
use crate::api::{Conflicts, Duration, Run, Step};

/// How often others may change a governed rule within `CONFLICT_WINDOW` before the wave is held.
const MOST_CONFLICTS: u8 = 5;
const CONFLICT_WINDOW: Duration = Duration::from_secs(600);

/// Plans what brings every route to the intended weight. `Ok(true)` when all have it.
pub(super) fn keep_weights(d: &mut Draft<'_>, run: &Run) -> Result<bool, String> {
    if run.times.exposed_at.is_none() {
        return Ok(true);
    }
    let traffic = &d.s.rollout.spec.traffic;
    let canary = traffic.canary_service_name();
    let mut settled = true;
    for backup in &run.routes {
        let Some(route) = d.route(backup.kind, &backup.route) else {
            return Err(format!("{} {} is gone", backup.kind, backup.route));
        };
        match weights::towards(route, backup, &traffic.stable_service, &canary, Some(run.weight)) {
            RouteState::Settled => {}
            RouteState::Needs(patch) => {
                settled = false;
                fought(d, run, route)?;
                let (kind, name) = (route.kind, route.name.clone());
                d.plan.push(Write::PatchRoute { kind, name, weight: Some(run.weight), patch });
            }
            RouteState::Conflict(why) => return Err(why),
        }
    }
    Ok(settled)
}

/// Counts a weight that was in force and has to be set again, because someone else wrote the route. After
/// `MOST_CONFLICTS` within `CONFLICT_WINDOW` the route is left as they want it: their weights lead to stable.
fn fought(d: &mut Draft<'_>, run: &Run, route: &RouteFacts) -> Result<(), String> {
    // Not the resourceVersion: the gateway's own word on the same change makes another one.
    let (now, version) = (d.s.now, route.generation);
    let route = format!("{:?} {}", route.kind, route.name);
    if run.step == Step::Starting || run.wave.as_ref().is_none_or(|wave| wave.accepted_at.is_none()) {
        return Ok(());
    }
    let last = format!("{route}/{version}");
    let known = run.conflicts.clone().filter(|conflicts| left(now, conflicts.since, CONFLICT_WINDOW).is_some());
    let mut conflicts = known.unwrap_or(Conflicts { count: 0, since: now, last: String::new() });
    if conflicts.last != last {
        if conflicts.count >= MOST_CONFLICTS {
            d.passed(conflicts.since, CONFLICT_WINDOW);
            return Err(format!(
                "others changed {route} {} times in {CONFLICT_WINDOW}; it is left alone until {CONFLICT_WINDOW} after the first time, or Resume. Let them ignore the weights of this rule",
                conflicts.count.saturating_add(1)
            ));
        }
        conflicts.count = conflicts.count.saturating_add(1);
        conflicts.last = last;
        let note = format!(
            "someone else changed {route}; the weight of {}% is set again ({} of {MOST_CONFLICTS} times in {CONFLICT_WINDOW})",
            run.weight, conflicts.count
        );
        let key = format!("{}.reasserted.{version}", run.release);
        d.notify(Severity::Warning, key, "TrafficReasserted", "Shift", note);
        if let Some(run) = d.status.run.as_mut() {
            run.conflicts = Some(conflicts);
        }
    }
    Ok(())
}
