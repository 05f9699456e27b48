//! How a canary's share becomes the weights of one rule, and the guarded patch that brings a route there.
//!
//! Owns the arithmetic of weights. Every other rule, filter and backend of the route stays as it is, and so does the
//! canary's own backend where people list it between attempts.

use serde_json::{Value, json};

use super::snapshot::{BackendFacts, ParentFacts, RouteFacts, RuleFacts};
use crate::api::{BackendWeight, RouteBackup};

/// What a route needs to have the wanted share.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RouteState {
    /// It has it.
    Settled,
    /// This JSON patch brings it there.
    Needs(Value),
    /// Someone changed it in a way that must be looked at; the sentence says how.
    Conflict(String),
}

/// The rule of a route that is governed: the one of that name, or else the only one that leads to the stable Service.
/// It is looked for at each pass, because others may put rules before it.
pub(super) fn governed_rule<'a>(
    route: &'a RouteFacts,
    name: Option<&str>,
    stable: &str,
) -> Result<(usize, &'a RuleFacts), String> {
    let leads = |rule: &RuleFacts| position(rule, stable).is_some();
    let mut found = route.rules.iter().enumerate().filter(|(_, rule)| match name {
        Some(name) => rule.name.as_deref() == Some(name),
        None => leads(rule),
    });
    let what = title(route);
    match (name, found.next(), found.next()) {
        (None, Some(one), None) => Ok(one),
        (None, None, _) => Err(format!("{what} has no rule with Service {stable} among its backends")),
        (None, Some(_), Some(_)) => Err(format!(
            "{what} has several rules with Service {stable} among their backends; name the one to govern in spec.traffic.routes[].rule"
        )),
        (Some(_), Some(one), None) if leads(one.1) => Ok(one),
        (Some(name), Some(_), None) => {
            Err(format!("rule {name} of {what} does not have Service {stable} among its backends"))
        }
        (Some(name), None, _) => {
            Err(format!("{what} has no rule with the name {name}; see spec.traffic.routes[].rule"))
        }
        (Some(name), Some(_), Some(_)) => Err(format!("{what} has several rules with the name {name}")),
    }
}

/// The weights of the governed rule as they are now, to be put back at the end.
pub(super) fn backup(
    route: &RouteFacts,
    name: Option<&str>,
    stable: &str,
    canary: &str,
) -> Result<RouteBackup, String> {
    let (_, rule) = governed_rule(route, name, stable)?;
    let what = title(route);
    for service in [stable, canary] {
        if rule.backends.iter().filter(|backend| backend.name == service).count() > 1 {
            return Err(format!("{what} lists Service {service} twice in one rule"));
        }
    }
    if let Some(listed) = rule.backends.iter().find(|backend| backend.name == canary) {
        if !listed.local_service {
            return Err(format!(
                "{what} lists a backend {canary} that is not a Service of its namespace; name another canary in spec.traffic.canaryService"
            ));
        }
        if listed.weight > 0 {
            return Err(format!(
                "{what} gives Service {canary} the weight {} before any attempt; set it to 0 or remove that backend, Sluice sets its weight",
                listed.weight
            ));
        }
    }
    let weight = rule.backends.iter().find(|backend| backend.name == stable).map_or(0, |backend| backend.weight);
    // The Gateway API allows weights up to 1,000,000, and shares are set in hundredths of the stable weight.
    if weight == 0 || rule.backends.iter().any(|backend| backend.weight > 10_000) {
        return Err(format!(
            "{what}: weights must be between 1 and 10000 for Service {stable} and at most 10000 for its neighbours"
        ));
    }
    let backends = rule
        .backends
        .iter()
        .map(|backend| BackendWeight { name: backend.name.clone(), weight: backend.weight })
        .collect();
    Ok(RouteBackup { kind: route.kind, route: route.name.clone(), rule: name.map(str::to_owned), backends })
}

/// The route lists the canary also between attempts, with weight 0: its backend is never taken out.
pub(super) fn lists(backup: &RouteBackup, canary: &str) -> bool {
    backup.backends.iter().any(|backend| backend.name == canary)
}

/// The weights of the original backends and of the canary at a share of `percent`: stable and canary divide what
/// stable had, the neighbours keep their proportion to both. A canary that was listed is one of the originals.
pub(super) fn at_share(backup: &RouteBackup, stable: &str, canary: &str, percent: u8) -> (Vec<u32>, u32) {
    let percent = u32::from(percent.min(100));
    let had = backup.backends.iter().find(|backend| backend.name == stable).map_or(0, |backend| backend.weight);
    let given = had.saturating_mul(percent);
    let originals = backup
        .backends
        .iter()
        .map(|backend| {
            if backend.name == stable {
                backend.weight.saturating_mul(100_u32.saturating_sub(percent))
            } else if backend.name == canary {
                given
            } else {
                backend.weight.saturating_mul(100)
            }
        })
        .collect();
    (originals, given)
}

/// What brings a route to a canary share of `percent`; `None` puts the rule back as it was: the canary's backend is
/// taken out, or has weight 0 if it was listed before.
pub(super) fn towards(
    route: &RouteFacts,
    backup: &RouteBackup,
    stable: &str,
    canary: &str,
    percent: Option<u8>,
) -> RouteState {
    let (index, rule) = match governed_rule(route, backup.rule.as_deref(), stable) {
        Ok(found) => found,
        Err(why) => return without_stable(route, backup, stable, canary, percent, why),
    };
    let listed = lists(backup, canary);
    // The backend that this run added, if it did.
    let ours = position(rule, canary).filter(|_| !listed);
    let originals: Vec<(usize, &str, u32)> = rule
        .backends
        .iter()
        .enumerate()
        .filter(|(position, _)| Some(*position) != ours)
        .map(|(position, backend)| (position, backend.name.as_str(), backend.weight))
        .collect();
    let untouched = originals.len() == backup.backends.len()
        && originals.iter().zip(&backup.backends).all(|((_, name, _), was)| *name == was.name);
    if !untouched {
        let why = format!("the backends of {} were changed by someone else during the run", title(route));
        return match percent {
            // Going back is never held up: whatever else was changed, the canary gets nothing.
            None | Some(0) => take_out(route, index, rule, backup, stable, canary),
            Some(_) => RouteState::Conflict(why),
        };
    }
    let (wanted, canary_weight) = match percent {
        Some(percent) => at_share(backup, stable, canary, percent),
        None => (backup.backends.iter().map(|backend| backend.weight).collect(), 0),
    };
    let backends = format!("/spec/rules/{index}/backendRefs");
    let mut ops = Vec::new();
    for ((position, name, has), wants) in originals.iter().zip(&wanted) {
        if has != wants {
            ops.extend(weigh(&backends, *position, name, *wants));
        }
    }
    match (ours, percent) {
        (Some(position), None) => ops.extend(remove(&backends, position, canary)),
        (Some(position), Some(_)) => {
            if rule.backends.get(position).is_some_and(|backend| backend.weight != canary_weight) {
                ops.extend(weigh(&backends, position, canary, canary_weight));
            }
        }
        // It was among the originals; and a backend that someone took out needs not be added to be given nothing. The
        // weights of the others are written all the same: what a leader that was cut off has sent is then out of date.
        (None, Some(_)) if listed => {}
        (None, Some(0) | None) => {}
        (None, Some(_)) => {
            let Some(like) = rule.backends.iter().find(|backend| backend.name == stable) else {
                return RouteState::Conflict(format!("{} lost Service {stable}", title(route)));
            };
            let mut backend = like.raw.clone();
            if let Some(fields) = backend.as_object_mut() {
                fields.insert("name".into(), json!(canary));
                fields.insert("weight".into(), json!(canary_weight));
            }
            ops.push(json!({"op": "add", "path": format!("{backends}/-"), "value": backend}));
        }
    }
    settled_or(route, ops)
}

/// A route whose governed rule is not found any more: the canary gets nothing from any rule, nothing is added.
fn without_stable(
    route: &RouteFacts,
    backup: &RouteBackup,
    stable: &str,
    canary: &str,
    percent: Option<u8>,
    why: String,
) -> RouteState {
    if percent.is_some_and(|percent| percent > 0) {
        return RouteState::Conflict(why);
    }
    // One rule per pass: each patch is tied to the version of the route that it was made for.
    let mut rules = route.rules.iter().enumerate();
    rules
        .find_map(|(index, rule)| match take_out(route, index, rule, backup, stable, canary) {
            RouteState::Settled => None,
            state @ (RouteState::Needs(_) | RouteState::Conflict(_)) => Some(state),
        })
        .unwrap_or(RouteState::Settled)
}

/// What takes the canary out of a rule that others have changed: its backend goes if this run added it, and has weight
/// 0 if it was listed before. Nobody else's weight is touched, unless the rule would serve nobody.
fn take_out(
    route: &RouteFacts,
    index: usize,
    rule: &RuleFacts,
    backup: &RouteBackup,
    stable: &str,
    canary: &str,
) -> RouteState {
    // Somebody else may have written it twice: whichever still gets requests comes first.
    let ours = |backend: &BackendFacts| backend.local_service && backend.name == canary;
    let serving = rule.backends.iter().position(|backend| ours(backend) && backend.weight > 0);
    let Some(at) = serving.or_else(|| position(rule, canary)) else {
        return RouteState::Settled;
    };
    let backends = format!("/spec/rules/{index}/backendRefs");
    let has = rule.backends.get(at).map_or(0, |backend| backend.weight);
    if has == 0 && lists(backup, canary) {
        return RouteState::Settled;
    }
    let mut ops = Vec::new();
    let others = rule.backends.iter().enumerate().filter(|(position, _)| *position != at);
    let left: u64 = others.map(|(_, backend)| u64::from(backend.weight)).sum();
    // A wave of 100% leaves stable with 0.
    if let (1.., 0, Some(stable_at)) = (has, left, position(rule, stable)) {
        let (weights, _) = at_share(backup, stable, canary, 0);
        let weight = backup.backends.iter().zip(weights).find(|(was, _)| was.name == stable).map_or(1, |found| found.1);
        ops.extend(weigh(&backends, stable_at, stable, weight));
    }
    ops.extend(if lists(backup, canary) { weigh(&backends, at, canary, 0) } else { remove(&backends, at, canary) });
    settled_or(route, ops)
}

/// Where a Service of the route's namespace stands among the backends of a rule.
fn position(rule: &RuleFacts, service: &str) -> Option<usize> {
    rule.backends.iter().position(|backend| backend.local_service && backend.name == service)
}

fn weigh(backends: &str, position: usize, name: &str, weight: u32) -> [Value; 2] {
    [
        json!({"op": "test", "path": format!("{backends}/{position}/name"), "value": name}),
        json!({"op": "add", "path": format!("{backends}/{position}/weight"), "value": weight}),
    ]
}

fn remove(backends: &str, position: usize, name: &str) -> [Value; 2] {
    [
        json!({"op": "test", "path": format!("{backends}/{position}/name"), "value": name}),
        json!({"op": "remove", "path": format!("{backends}/{position}")}),
    ]
}

fn settled_or(route: &RouteFacts, ops: Vec<Value>) -> RouteState {
    if ops.is_empty() { RouteState::Settled } else { RouteState::Needs(guarded(route, ops)) }
}

/// What a route is called in messages.
fn title(route: &RouteFacts) -> String {
    format!("{} {}", route.kind, route.name)
}

/// The patch applies only to the very object that was judged.
fn guarded(route: &RouteFacts, ops: Vec<Value>) -> Value {
    let mut patch = vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": route.resource_version})];
    patch.extend(ops);
    Value::Array(patch)
}

/// Every gateway has accepted the route as it is now; if not, the sentence says what is awaited.
pub(super) fn accepted(route: &RouteFacts) -> Result<(), String> {
    if route.parents.is_empty() {
        return Err(format!("no gateway has accepted {} yet", title(route)));
    }
    match route.parents.iter().find(|p| !p.accepted || p.observed_generation < route.generation) {
        None => Ok(()),
        Some(parent) if parent.observed_generation < route.generation => Err(format!(
            "waiting for {} to accept generation {} of {}",
            parent.controller,
            route.generation,
            title(route)
        )),
        Some(parent) => Err(format!("{} does not accept {}: {}", parent.controller, title(route), parent.message)),
    }
}

/// Every gateway has accepted the route as it is now, and objects at most to a backend that does not exist.
pub(super) fn accepted_but_for_a_backend(route: &RouteFacts) -> bool {
    let fine = |parent: &ParentFacts| {
        (parent.accepted || parent.backend_missing) && parent.observed_generation >= route.generation
    };
    !route.parents.is_empty() && route.parents.iter().all(fine)
}

/// Whether the governed rule has the very weights that an attempt writes when it gives the canary nothing, and that the
/// route did not have before: nobody else multiplies by a hundred.
pub(super) fn zeroed(route: &RouteFacts, backup: &RouteBackup, stable: &str, canary: &str) -> bool {
    let Ok((_, rule)) = governed_rule(route, backup.rule.as_deref(), stable) else { return false };
    let there = rule.backends.iter().filter(|backend| lists(backup, canary) || backend.name != canary);
    let there: Vec<u32> = there.map(|backend| backend.weight).collect();
    let before: Vec<u32> = backup.backends.iter().map(|backend| backend.weight).collect();
    there == at_share(backup, stable, canary, 0).0 && there != before
}

/// The share that the governed rule gives the canary now, in percent, rounded up; the largest of any rule if that one
/// is not found any more.
pub(super) fn present_share(route: &RouteFacts, backup: &RouteBackup, stable: &str, canary: &str) -> u8 {
    let share = |rule: &RuleFacts| {
        let weight = |name: &str| rule.backends.get(position(rule, name)?).map(|backend| backend.weight);
        let (canary, stable) = (weight(canary)?, weight(stable).unwrap_or(0));
        let sum = u64::from(canary).saturating_add(u64::from(stable));
        u64::from(canary).saturating_mul(100).saturating_add(sum.saturating_sub(1)).checked_div(sum)
    };
    let largest = match governed_rule(route, backup.rule.as_deref(), stable) {
        Ok((_, rule)) => share(rule),
        Err(_) => route.rules.iter().filter_map(share).max(),
    };
    u8::try_from(largest.unwrap_or(0)).unwrap_or(100)
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
