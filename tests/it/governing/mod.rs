//! People, calendars, neighbours and leaving, each in a toy world: what may be asked when, and what comes of it.

mod evidence;
mod people;
mod surroundings;
mod symptoms;

use sluice::api::{Action, InterventionResult, OnRollback, Outcome, Phase, Step};

use crate::world::{Behaviour, World};

/// A world whose workload is adopted and at rest.
fn adopted() -> World {
    let mut world = World::new();
    world.settle(3);
    assert_eq!(world.status.phase, Phase::Stable, "{}", world.status.message);
    world
}

/// A world in which a failing v2 was taken back and replaced by the stable template.
fn restored() -> World {
    let mut world = adopted();
    world.spec.on_rollback = OnRollback::RestoreTemplate;
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    world.apply("v2");
    done(&mut world, Outcome::RolledBack);
    until(&mut world, "Stable", |world| world.status.phase == Phase::Stable);
    world
}

pub fn reason(world: &World) -> String {
    let ready = world.status.conditions.iter().find(|condition| condition.type_.name() == "Ready").unwrap();
    ready.reason.clone()
}

/// Lets time pass until something holds, up to 200 seconds.
pub fn until(world: &mut World, what: &str, holds: impl Fn(&World) -> bool) {
    for _ in 0..200 {
        if holds(world) {
            return;
        }
        world.settle(1);
    }
    panic!("not reached: {what}; {:?} {}\n{}", world.status.phase, world.status.message, world.log.join("\n"));
}

pub fn baking_at(world: &mut World, weight: u8) {
    until(world, &format!("baking at {weight}%"), |world| {
        world.status.run.as_ref().is_some_and(|run| run.weight == weight && run.step == Step::Baking)
    });
}

pub fn done(world: &mut World, outcome: Outcome) {
    until(world, &format!("{outcome:?}"), |world| {
        world.status.run.as_ref().is_some_and(|run| run.step == Step::Done && run.outcome == Some(outcome))
    });
}

/// What people did to the last attempt, as its Release has it.
fn recorded(world: &World) -> Vec<Action> {
    world.status.run.as_ref().unwrap().interventions.iter().map(|one| one.action).collect()
}

/// Asks, and the answer comes within one pass.
pub fn ask(world: &mut World, action: Action, expected: InterventionResult) -> String {
    world.ask(action);
    world.pass();
    let said = world.status.answered.last().unwrap().message.clone();
    assert_eq!(world.answer(), Some(expected), "{}: {said}", action.name());
    said
}

/// What nobody has looked for yet is not said to be gone.
fn assert_not_missed(world: &World) {
    let missed = world.events.iter().find(|event| event.starts_with("StableTemplateMissing"));
    assert_eq!(missed, None);
}
