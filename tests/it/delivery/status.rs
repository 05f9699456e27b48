//! `Rollout.status.delivery` in the toy world: taken over when an attempt has ended, never while one goes on, and never
//! so often that it would be a storm of writes.

use jiff::{SignedDuration, Timestamp};
use sluice::api::{DeliveryFigures, Outcome, Phase};

use super::records::{adopted, attempt};
use crate::world::World;

/// Figures with so many deployments, the last of which is of this time.
fn figures(deployments: u64, recorded_until: Timestamp, at: Timestamp) -> DeliveryFigures {
    DeliveryFigures {
        summary: format!("28 days: {deployments} deployments"),
        at,
        recorded_until,
        days: 28,
        deployments,
        failed: 0,
        escaped: 0,
        rework_days: 180,
        rework: 0,
        rework_of: deployments,
        median_recovery_seconds: None,
        median_lead_time_seconds: None,
    }
}

fn shown(world: &World) -> Option<u64> {
    world.status.delivery.as_ref().map(|shown| shown.deployments)
}

fn later(world: &mut World, seconds: i64) {
    world.now = world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
}

#[test]
fn they_are_taken_over_when_an_attempt_has_ended_and_not_before() {
    let mut world = adopted();
    assert_eq!(shown(&world), None, "nothing was counted");
    world.delivery = Some(figures(1, world.now, world.now));
    world.settle(1);
    assert_eq!(shown(&world), Some(1));
    world.apply("v2");
    let mut went_on = 0;
    while world.status.phase != Phase::Promoted {
        let before = world.status.run.as_ref().map(|run| run.number);
        // Another record, as if of another attempt, at every second.
        world.delivery = Some(figures(2 + went_on, world.now, world.now));
        world.settle(1);
        let going_on = world.status.run.as_ref().is_some_and(|run| run.times.ended_at.is_none());
        if going_on && before.is_some() {
            assert_eq!(shown(&world), Some(1), "{}", world.status.message);
            went_on += 1;
        }
        assert!(went_on < 900);
    }
    assert!(went_on > 10);
    world.settle(2);
    assert_eq!(shown(&world), world.delivery.as_ref().map(|found| found.deployments));
}

#[test]
fn without_a_new_record_they_are_taken_over_once_an_hour() {
    let mut world = adopted();
    let recorded = world.now;
    world.delivery = Some(figures(5, recorded, recorded));
    world.settle(1);
    later(&mut world, 3000);
    // A deployment has left the window.
    world.delivery = Some(figures(4, recorded, world.now));
    world.settle(1);
    assert_eq!(shown(&world), Some(5));
    later(&mut world, 600);
    world.delivery = Some(figures(4, recorded, world.now));
    world.settle(1);
    assert_eq!(shown(&world), Some(4));
    // A person says something about a Release: at once.
    let now = world.now;
    world.delivery = Some(figures(4, now, now));
    world.delivery.as_mut().unwrap().failed = 1;
    world.settle(1);
    assert_eq!(world.status.delivery.as_ref().unwrap().failed, 1);
    // A clock that was wrong by a day does not hold them back for a day.
    world.status.delivery.as_mut().unwrap().at = now.checked_add(SignedDuration::from_hours(24)).unwrap();
    world.delivery = Some(figures(3, recorded, now));
    world.settle(1);
    assert_eq!(shown(&world), Some(3));
}

#[test]
fn figures_that_are_not_counted_yet_leave_what_is_shown() {
    let mut world = adopted();
    world.delivery = Some(figures(5, world.now, world.now));
    world.settle(1);
    world.delivery = None;
    world.settle(3);
    assert_eq!(shown(&world), Some(5));
}

#[test]
fn figures_that_change_all_the_time_cost_no_writes() {
    let [without, with] = [false, true].map(|changing| {
        let mut world = adopted();
        // As the controller does.
        world.seldom = Some(world.now);
        let recorded = world.now;
        if changing {
            world.delivery = Some(figures(0, recorded, world.now));
        }
        world.settle(1);
        let (mut writes, mut version) = (0, world.rollout_version());
        let mut step = |world: &mut World, number: u64| {
            if changing {
                world.delivery = Some(figures(number, recorded, world.now));
            }
            world.settle(1);
            writes += u64::from(world.rollout_version() != version);
            version = world.rollout_version();
        };
        for number in 0..600 {
            step(&mut world, number);
        }
        world.apply("v2");
        for number in 600..1200 {
            step(&mut world, number);
        }
        assert_eq!(world.status.run.as_ref().unwrap().outcome, Some(Outcome::Promoted));
        writes
    });
    assert!(with <= without + 1, "{with} instead of {without} seconds with a write");
}

#[test]
fn a_repeated_pass_writes_nothing() {
    let mut world = adopted();
    world.delivery = Some(figures(1, world.now, world.now));
    assert_eq!(attempt(&mut world, "v2"), Outcome::Promoted);
    world.settle(2);
    let version = world.rollout_version();
    world.seldom = Some(world.now);
    world.settle(30);
    assert_eq!(world.rollout_version(), version);
}
