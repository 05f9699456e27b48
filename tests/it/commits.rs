//! Words and counts are committed seldom, so that a release costs few writes. What is not committed yet is counted again
//! in every pass, from the same samples: it must not matter how seldom.

use sluice::api::{Outcome, Phase, Step};

use crate::world::{Behaviour, World};

/// Seconds until it is so.
fn seconds(world: &mut World, what: &str, holds: impl Fn(&World) -> bool) -> u32 {
    for second in 0..900 {
        if holds(world) {
            return second;
        }
        world.settle(1);
    }
    panic!("not reached: {what}; {:?} {}\n{}", world.status.phase, world.status.message, world.log.join("\n"));
}

/// A world at rest, in which counts are committed as seldom as the controller does or in every pass.
fn adopted(seldom: bool) -> World {
    let mut world = World::new();
    world.seldom = seldom.then_some(world.now);
    world.settle(3);
    assert_eq!(world.status.phase, Phase::Stable, "{}", world.status.message);
    world
}

fn has_ended(outcome: Outcome) -> impl Fn(&World) -> bool {
    move |world| world.status.run.as_ref().is_some_and(|run| run.step == Step::Done && run.outcome == Some(outcome))
}

#[test]
fn a_bad_version_is_taken_back_as_soon_in_a_long_wave() {
    let [eager, seldom] = [false, true].map(|seldom| {
        let mut world = adopted(seldom);
        world.spec.waves[0].bake = "10m".parse().unwrap();
        world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
        world.apply("v2");
        seconds(&mut world, "exposed", |world| world.share() > 0.0);
        seconds(&mut world, "weight 0", |world| world.share() == 0.0)
    });
    assert_eq!(seldom, eager, "seconds to weight 0");
}

#[test]
fn what_turns_bad_in_a_long_wave_is_taken_back_as_soon() {
    let [eager, seldom] = [false, true].map(|seldom| {
        let mut world = adopted(seldom);
        world.spec.waves[0].bake = "10m".parse().unwrap();
        world.apply("v2");
        seconds(&mut world, "baking", |world| world.status.phase == Phase::Baking);
        world.settle(100);
        world.behave("v2", Behaviour { errors: 0.05, ..Behaviour::default() });
        seconds(&mut world, "weight 0", |world| world.share() == 0.0)
    });
    assert_eq!(seldom, eager, "seconds to weight 0");
}

#[test]
fn what_escaped_is_found_as_soon() {
    let [eager, seldom] = [false, true].map(|seldom| {
        let mut world = adopted(seldom);
        world.apply("v2");
        seconds(&mut world, "promoted", has_ended(Outcome::Promoted));
        world.settle(100);
        world.behave("v2", Behaviour { errors: 0.1, ..Behaviour::default() });
        seconds(&mut world, "escaped", |world| !world.escaped.is_empty())
    });
    assert_eq!(seldom, eager, "seconds until it was recorded");
}
