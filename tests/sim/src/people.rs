//! People: they release, scale, edit, ask and delete, whenever their plan says so.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Change, Key, Look as _, Part, text};
use crate::objects;
use crate::plan::weights;
use crate::random::Random;
use crate::world::{Actor, State, World};

/// What a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Applies a version.
    Apply(u64),
    /// Scales the workload.
    Scale(u64),
    /// Changes metadata of the workload and of the route.
    Annotate(u64),
    /// Applies the route as it is in git.
    ResetRoute,
    /// Adds a rule to the route, at its end.
    EditRoute(u64),
    /// Writes other waves.
    Waves(Vec<u64>),
    /// Disables the Rollout or enables it.
    Disable(bool),
    /// Asks for an Intervention.
    Ask(&'static str),
    /// Deletes the Rollout.
    Leave,
    /// Applies the Rollout.
    Return,
    /// Deletes the admission policies.
    Unguard,
    /// Applies them.
    Guard,
    /// Opens the gate with the annotation.
    BreakGlass(u64),
    /// Opens the gate without: refused as long as the policies are there.
    Unpause,
    /// Scales the canary by hand.
    ScaleCanary(u64),
    /// Deletes the canary by hand.
    DeleteCanary,
    /// Deletes the canary's Service by hand.
    DeleteCanaryService,
    /// Deletes the workload; it comes back with the next version that is applied.
    DeleteWorkload,
}

impl Act {
    /// Any act.
    pub fn any(random: &mut Random) -> Self {
        match random.between(0, 100) {
            0..=29 => Self::Apply(random.between(0, 6)),
            30..=35 => Self::Scale(random.between(1, 7)),
            36..=37 => Self::Scale(0),
            38..=41 => Self::Annotate(random.between(0, 1000)),
            42..=45 => Self::ResetRoute,
            46..=48 => Self::EditRoute(random.between(0, 1000)),
            49..=53 => Self::Waves(weights(random)),
            54..=55 => Self::Disable(true),
            56..=57 => Self::Disable(false),
            58..=77 => Self::Ask(
                random
                    .pick(&["Approve", "Abort", "Promote", "Retry", "Hold", "Resume", "BreakGlass"])
                    .unwrap_or(&"Hold"),
            ),
            78..=80 => Self::Leave,
            81..=85 => Self::Return,
            86..=87 => Self::Unguard,
            88..=90 => Self::Guard,
            91..=92 => Self::BreakGlass(random.between(0, 1000)),
            93..=94 => Self::Unpause,
            95 => Self::ScaleCanary(random.between(0, 4)),
            96 => Self::DeleteCanary,
            97 => Self::DeleteCanaryService,
            _ => Self::DeleteWorkload,
        }
    }
}

const DEV: Actor = Actor::Person("dev");

/// Waits until so many milliseconds after the world began.
async fn until(world: &World, at: u64) {
    tokio::time::sleep(Duration::from_millis(at.saturating_sub(world.elapsed()))).await;
}

/// Does what the plan says, when it says so.
pub async fn run(world: World) {
    let acts = world.lock().plan.acts.clone();
    for (at, act) in acts {
        until(&world, at).await;
        let mut state = world.lock();
        state.history.tell(&format!("dev: {act:?}"));
        state.checks.acted(&act, world.elapsed());
        carry_out(&world, &mut state, &act);
    }
}

/// Turns the wall clock when the plan says so.
pub async fn turn_clocks(world: World) {
    let jumps = world.lock().plan.jumps.clone();
    for (at, by) in jumps {
        until(&world, at).await;
        let mut state = world.lock();
        state.history.tell(&format!("the wall clock jumps by {by} s"));
        state.skew = state.skew.saturating_add(jiff::SignedDuration::from_secs(by));
    }
}

/// One act. What is refused is refused.
pub fn carry_out(world: &World, state: &mut State, act: &Act) {
    let workload = Key::demo("Deployment", "shop");
    let rollout = Key::demo("Rollout", "shop");
    let route = Key::demo("HTTPRoute", "shop");
    let merge = |state: &mut State, key: &Key, patch: Value| {
        let done = world.change(state, DEV, key, Part::Main, &Change::Merge(patch), false);
        if let Err(refusal) = done {
            state.history.tell(&format!("dev: {} {} is refused: {}", key.kind, key.name, refusal.message));
        }
    };
    match act {
        Act::Apply(version) => {
            if state.store.get(&workload).is_none() {
                let replicas = state.plan.replicas;
                let _ = world.create(state, DEV, &workload, objects::deployment(*version, replicas));
            } else {
                merge(state, &workload, json!({"spec": {"template": objects::template(*version)}}));
            }
        }
        Act::Scale(replicas) => merge(state, &workload, json!({"spec": {"replicas": replicas}})),
        Act::Annotate(number) => {
            merge(state, &workload, json!({"metadata": {"annotations": {"note": number.to_string()}}}));
            merge(state, &route, json!({"metadata": {"annotations": {"note": number.to_string()}}}));
        }
        Act::ResetRoute => merge(state, &route, json!({"spec": {"rules": objects::rules()}})),
        Act::EditRoute(number) => {
            let rules = state.store.get(&route).and_then(|route| route.at("/spec/rules").cloned());
            let mut rules = rules.unwrap_or_else(objects::rules);
            if let Some(rules) = rules.as_array_mut() {
                rules.truncate(2);
                rules.push(json!({"matches": [{"path": {"type": "Exact", "value": format!("/{number}")}}]}));
            }
            merge(state, &route, json!({"spec": {"rules": rules}}));
        }
        Act::Waves(weights) => {
            let waves: Vec<Value> = weights.iter().map(|weight| json!({"weight": weight, "bake": "6s"})).collect();
            merge(state, &rollout, json!({"spec": {"waves": waves}}));
        }
        Act::Disable(disabled) => {
            merge(state, &rollout, json!({"spec": {"disabled": if *disabled { json!(true) } else { Value::Null }}}));
        }
        Act::Ask(action) => ask(world, state, action),
        Act::Leave => drop(world.delete(state, DEV, &rollout, None, None)),
        Act::Return => {
            let body = objects::rollout(&state.plan);
            drop(world.create(state, DEV, &rollout, body));
        }
        Act::Unguard => {
            for (key, _) in objects::policies() {
                drop(world.delete(state, DEV, key, None, None));
            }
        }
        Act::Guard => {
            for (key, body) in objects::policies() {
                drop(world.create(state, DEV, key, body.clone()));
            }
        }
        Act::BreakGlass(number) => {
            let glass = json!({"annotations": {"sluice.dev/break-glass": format!("incident {number}")}});
            merge(state, &workload, json!({"metadata": glass, "spec": {"paused": false}}));
        }
        Act::Unpause => merge(state, &workload, json!({"spec": {"paused": false}})),
        Act::ScaleCanary(replicas) => {
            merge(state, &Key::demo("Deployment", "shop-canary"), json!({"spec": {"replicas": replicas}}));
        }
        Act::DeleteCanary => drop(world.delete(state, DEV, &Key::demo("Deployment", "shop-canary"), None, None)),
        Act::DeleteCanaryService => drop(world.delete(state, DEV, &Key::demo("Service", "shop-canary"), None, None)),
        Act::DeleteWorkload => drop(world.delete(state, DEV, &workload, None, None)),
    }
}

/// Creates an Intervention.
pub fn ask(world: &World, state: &mut State, action: &'static str) {
    let now = world.elapsed();
    state.checks.asked(action, now);
    let number = state.store.list("Intervention", "demo").count();
    let key = Key::demo("Intervention", &format!("{}-{number}", action.to_lowercase()));
    let body = json!({
        "metadata": {},
        "spec": {"rollout": "shop", "action": action, "reason": "simulated"},
    });
    let _ = world.create(state, DEV, &key, body);
}

/// After everything: whoever is waited for answers, so that nothing is open for ever.
pub fn wrap_up(world: &World, state: &mut State) {
    let rollout = state.store.get(&Key::demo("Rollout", "shop")).cloned();
    let Some(rollout) = rollout else { return };
    let open = |one: &std::sync::Arc<Value>| text(one, "/status/result").is_empty();
    if state.store.list("Intervention", "demo").any(open) {
        return;
    }
    if rollout.at("/status/hold").is_some_and(|hold| !hold.is_null()) {
        ask(world, state, "Resume");
    } else if text(&rollout, "/status/message").contains("resume it") {
        carry_out(world, state, &Act::Unpause);
    } else if text(&rollout, "/status/message").contains("Approve") {
        ask(world, state, "Approve");
    }
}
