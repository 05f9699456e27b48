//! How a canary's share becomes the weights of one rule, and the guarded patch that brings a route there.
//!
//! Owns the arithmetic of weights. Every other rule, filter and backend of the route stays as it is.

use serde_json::{Value, json};

use super::snapshot::{RouteFacts, RuleFacts};
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

/// The rule of a route that leads to the stable Service.
pub(super) fn governed_rule<'a>(route: &'a RouteFacts, stable: &str) -> Result<(usize, &'a RuleFacts), String> {
    let mut found = route
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.backends.iter().any(|backend| backend.local_service && backend.name == stable));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("HTTPRoute {} has no rule with Service {stable} among its backends", route.name)),
        (Some(_), Some(_)) => Err(format!(
            "HTTPRoute {} has several rules with Service {stable} among their backends; exactly one can be governed",
            route.name
        )),
    }
}

/// The weights of the governed rule as they are now, to be put back at the end.
pub(super) fn backup(route: &RouteFacts, stable: &str, canary: &str) -> Result<RouteBackup, String> {
    let (_, rule) = governed_rule(route, stable)?;
    let of = |name: &str| rule.backends.iter().filter(|backend| backend.name == name).count();
    if of(stable) > 1 {
        return Err(format!("HTTPRoute {} lists Service {stable} twice in one rule", route.name));
    }
    if of(canary) > 0 {
        return Err(format!(
            "HTTPRoute {} already lists Service {canary}; remove that backend, Sluice adds it by itself",
            route.name
        ));
    }
    let weight = rule.backends.iter().find(|backend| backend.name == stable).map_or(0, |backend| backend.weight);
    // The Gateway API allows weights up to 1,000,000, and shares are set in hundredths of the stable weight.
    if weight == 0 || rule.backends.iter().any(|backend| backend.weight > 10_000) {
        return Err(format!(
            "HTTPRoute {}: weights must be between 1 and 10000 for Service {stable} and at most 10000 for its neighbours",
            route.name
        ));
    }
    let backends = rule
        .backends
        .iter()
        .map(|backend| BackendWeight { name: backend.name.clone(), weight: backend.weight })
        .collect();
    Ok(RouteBackup { route: route.name.clone(), backends })
}

/// The weights of the original backends and of the canary at a share of `percent`: stable and canary divide what
/// stable had, the neighbours keep their proportion to both.
pub(super) fn at_share(backup: &RouteBackup, stable: &str, percent: u8) -> (Vec<u32>, u32) {
    let percent = u32::from(percent.min(100));
    let mut canary = 0;
    let originals = backup
        .backends
        .iter()
        .map(|backend| {
            if backend.name == stable {
                canary = backend.weight.saturating_mul(percent);
                backend.weight.saturating_mul(100_u32.saturating_sub(percent))
            } else {
                backend.weight.saturating_mul(100)
            }
        })
        .collect();
    (originals, canary)
}

/// What brings a route to a canary share of `percent`; `None` takes the canary's backend out and puts the original
/// weights back.
pub(super) fn towards(
    route: &RouteFacts,
    backup: &RouteBackup,
    stable: &str,
    canary: &str,
    percent: Option<u8>,
) -> RouteState {
    let (index, rule) = match governed_rule(route, stable) {
        Ok(found) => found,
        Err(why) => return without_stable(route, canary, percent, why),
    };
    let at = rule.backends.iter().position(|backend| backend.local_service && backend.name == canary);
    let originals: Vec<(usize, &str, u32)> = rule
        .backends
        .iter()
        .enumerate()
        .filter(|(position, _)| Some(*position) != at)
        .map(|(position, backend)| (position, backend.name.as_str(), backend.weight))
        .collect();
    let untouched = originals.len() == backup.backends.len()
        && originals.iter().zip(&backup.backends).all(|((_, name, _), was)| *name == was.name);
    if !untouched {
        let why = format!("the backends of HTTPRoute {} were changed by someone else during the run", route.name);
        return match percent {
            // Going back is never held up: whatever else was changed, our backend goes.
            None | Some(0) => take_out(route, index, at, canary),
            Some(_) => RouteState::Conflict(why),
        };
    }
    let (wanted, canary_weight) = match percent {
        Some(percent) => at_share(backup, stable, percent),
        None => (backup.backends.iter().map(|backend| backend.weight).collect(), 0),
    };
    let backends = format!("/spec/rules/{index}/backendRefs");
    let mut ops = Vec::new();
    for ((position, name, has), wants) in originals.iter().zip(&wanted) {
        if has != wants {
            ops.push(json!({"op": "test", "path": format!("{backends}/{position}/name"), "value": name}));
            ops.push(json!({"op": "add", "path": format!("{backends}/{position}/weight"), "value": wants}));
        }
    }
    match (at, percent) {
        (Some(position), None) => {
            ops.push(json!({"op": "test", "path": format!("{backends}/{position}/name"), "value": canary}));
            ops.push(json!({"op": "remove", "path": format!("{backends}/{position}")}));
        }
        (Some(position), Some(_)) => {
            if rule.backends.get(position).is_some_and(|backend| backend.weight != canary_weight) {
                ops.push(json!({"op": "test", "path": format!("{backends}/{position}/name"), "value": canary}));
                ops.push(json!({"op": "add", "path": format!("{backends}/{position}/weight"), "value": canary_weight}));
            }
        }
        // A backend that someone took out needs not be added to be given nothing.
        (None, Some(0) | None) => {}
        (None, Some(_)) => {
            let Some(like) = rule.backends.iter().find(|backend| backend.name == stable) else {
                return RouteState::Conflict(format!("HTTPRoute {} lost Service {stable}", route.name));
            };
            let mut backend = like.raw.clone();
            if let Some(fields) = backend.as_object_mut() {
                fields.insert("name".into(), json!(canary));
                fields.insert("weight".into(), json!(canary_weight));
            }
            ops.push(json!({"op": "add", "path": format!("{backends}/-"), "value": backend}));
        }
    }
    if ops.is_empty() { RouteState::Settled } else { RouteState::Needs(guarded(route, ops)) }
}

/// A route that no longer leads to stable: our backend goes from every rule, nothing is added.
fn without_stable(route: &RouteFacts, canary: &str, percent: Option<u8>, why: String) -> RouteState {
    let listed = route.rules.iter().enumerate().find_map(|(index, rule)| {
        rule.backends.iter().position(|b| b.local_service && b.name == canary).map(|position| (index, position))
    });
    match (listed, percent) {
        (Some((index, position)), None | Some(0)) => take_out(route, index, Some(position), canary),
        (None, None | Some(0)) => RouteState::Settled,
        (_, Some(_)) => RouteState::Conflict(why),
    }
}

fn take_out(route: &RouteFacts, rule: usize, position: Option<usize>, canary: &str) -> RouteState {
    let Some(position) = position else {
        return RouteState::Settled;
    };
    let path = format!("/spec/rules/{rule}/backendRefs/{position}");
    RouteState::Needs(guarded(
        route,
        vec![
            json!({"op": "test", "path": format!("{path}/name"), "value": canary}),
            json!({"op": "remove", "path": path}),
        ],
    ))
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
        return Err(format!("no gateway has accepted HTTPRoute {} yet", route.name));
    }
    match route.parents.iter().find(|p| !p.accepted || p.observed_generation < route.generation) {
        None => Ok(()),
        Some(parent) if parent.observed_generation < route.generation => Err(format!(
            "waiting for {} to accept generation {} of HTTPRoute {}",
            parent.controller, route.generation, route.name
        )),
        Some(parent) => {
            Err(format!("{} does not accept HTTPRoute {}: {}", parent.controller, route.name, parent.message))
        }
    }
}

/// The largest share that any governed rule gives the canary now, in percent, rounded up.
pub(super) fn present_share(route: &RouteFacts, stable: &str, canary: &str) -> u8 {
    let shares = route.rules.iter().filter_map(|rule| {
        let weight = |name: &str| rule.backends.iter().find(|b| b.local_service && b.name == name).map(|b| b.weight);
        let (canary, stable) = (weight(canary)?, weight(stable).unwrap_or(0));
        let sum = u64::from(canary).saturating_add(u64::from(stable));
        u64::from(canary).saturating_mul(100).saturating_add(sum.saturating_sub(1)).checked_div(sum)
    });
    u8::try_from(shares.max().unwrap_or(0)).unwrap_or(100)
}
