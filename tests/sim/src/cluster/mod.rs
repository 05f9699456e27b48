//! The rest of the cluster: toy controllers that do what the real ones do, one step at a time and in any order.

mod deployments;
mod endpoints;
mod garbage;
mod gateway;
mod scaler;

use std::time::Duration;

use crate::api::{Change, Key, Part, number};
use crate::checks::Moment;
use crate::world::{Actor, State, World};
use serde_json::Value;

/// Runs every controller, for ever.
pub async fn run(world: World) {
    loop {
        let pause = world.lock().random.between(250, 900);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        step(&world);
    }
}

/// One step of every controller, in an order by chance.
pub fn step(world: &World) {
    let mut state = world.lock();
    let now = world.elapsed();
    let (due, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut state.late).into_iter().partition(|(at, _)| *at <= now);
    state.late = waiting;
    for (_, late) in due {
        late.land(world, &mut state);
    }
    let before = state.store.version();
    if before == state.idle_at && now > state.plan.calm_at {
        return;
    }
    let first = state.random.between(0, 5);
    for number in 0..5_u64 {
        match first.saturating_add(number).checked_rem(5) {
            Some(0) => deployments::step(world, &mut state),
            Some(1) => endpoints::step(world, &mut state),
            Some(2) => gateway::step(world, &mut state),
            Some(3) => garbage::step(world, &mut state),
            _ => scaler::step(world, &mut state),
        }
    }
    let coming = |set: &std::sync::Arc<Value>| number(set, "/status/availableReplicas") < number(set, "/spec/replicas");
    let sized = state.store.list("HorizontalPodAutoscaler", "demo").next().is_some();
    if state.store.version() == before && !sized && !state.store.list("ReplicaSet", "demo").any(coming) {
        state.idle_at = before;
    }
}

/// A second of traffic, for ever.
pub async fn serve(world: World) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = world.elapsed();
        let mut guard = world.lock();
        let State { store, traffic, checks, plan, history, .. } = &mut *guard;
        traffic.tick(store, now);
        checks.second(&Moment { store, traffic, plan, now }, history);
    }
}

/// Writes a status; what is refused is tried again in the next step.
fn set_status(world: &World, state: &mut State, who: &'static str, key: &Key, status: Value) {
    let there = state.store.get(key).and_then(|object| object.get("status"));
    let same = |(field, value): (&String, &Value)| there.and_then(|there| there.get(field)) == Some(value);
    if status.as_object().is_some_and(|fields| fields.iter().all(same)) {
        return; // most steps change nothing, and finding that out the long way costs most of the time
    }
    let _ = world.change(state, Actor::Cluster(who), key, Part::Status, &Change::status(status), false);
}

/// Changes an object.
fn merge(world: &World, state: &mut State, who: &'static str, key: &Key, patch: Value) {
    let _ = world.change(state, Actor::Cluster(who), key, Part::Main, &Change::Merge(patch), false);
}
