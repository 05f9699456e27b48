//! Scenario 29: the replica that decides is killed once in every phase; the end is the same.

use std::collections::BTreeMap;

use crate::harness::app::Plan;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, percents, stable_pods, text, weights};
use crate::harness::world::World;
use crate::harness::{alone, operator};

/// Two ways to die: the process alone, or the whole Pod, whose successor may overlap with it.
#[derive(Debug, Clone, Copy)]
enum Death {
    Process,
    Pod,
}

/// Kills the leader as soon as the Rollout is seen in this phase.
async fn kill_in(world: &World, phase: &str, death: Death) {
    world.phase("shop", phase, 90).await;
    match death {
        Death::Process => operator::kill_process(&world.client).await,
        Death::Pod => operator::delete_pod(&world.client).await,
    }
    eprintln!("scenario 29: killed in {phase} ({death:?})");
}

/// One Release, and no event told twice.
pub fn assert_recorded_once(world: &World, outcome: &str, reworks: usize) {
    let (releases, found) = world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
    assert_eq!(releases.len(), 1, "{releases:#?}");
    assert_eq!(text(&releases[0], "/status/outcome"), outcome);
    assert_eq!(found.len(), reworks);
    let mut told: BTreeMap<(String, String), usize> = BTreeMap::new();
    for event in world.record.look(|now| look::events(now, "shop")) {
        *told.entry(event).or_default() += 1;
    }
    let twice: Vec<_> = told.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "told more than once: {twice:?}");
    let timeline = releases[0]["status"]["timeline"].as_array().cloned().unwrap_or_default();
    for (reason, _) in told.keys().filter(|(reason, _)| reason != "Adopted") {
        let decided = timeline.iter().filter(|entry| text(entry, "/reason") == reason).count();
        let published = told.keys().filter(|(other, _)| other == reason).count();
        assert!(published <= decided, "{reason}: {published} events for {decided} decisions");
    }
}

#[test]
fn scenario_29_killed_in_every_phase_of_a_good_version() {
    alone("killed", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan { waves: vec![(10, "5s"), (50, "5s")], drain: "6s", ..Plan::default() }).await;
            let client = Client::start(&app, 80).await;
            world.apply(&[app.version("v2").deployment()]).await;
            kill_in(world, "Starting", Death::Process).await;
            kill_in(world, "Shifting", Death::Pod).await;
            kill_in(world, "Baking", Death::Process).await;
            kill_in(world, "Promoting", Death::Pod).await;
            kill_in(world, "Settling", Death::Process).await;
            world.complete("shop", "Promoted", 120).await;
            let seen = weights(&world.record, "shop");
            assert_eq!(percents(&seen), [0.0, 10.0, 50.0, 0.0], "never higher than decided, none twice: {seen:?}");
            assert_recorded_once(world, "Promoted", 0);
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_29_killed_while_a_bad_version_is_rolled_back() {
    alone("killed-bad", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan { waves: vec![(20, "30s")], drain: "6s", ..Plan::default() }).await;
            let client = Client::start(&app, 80).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            world.apply(&[app.version("v3").env("ERROR_RATE", "10%").deployment()]).await;
            kill_in(world, "RollingBack", Death::Pod).await;
            world.complete("shop", "RolledBack", 90).await;
            let seen = weights(&world.record, "shop");
            assert_eq!(percents(&seen), [0.0, 20.0, 0.0], "{seen:?}");
            assert_recorded_once(world, "RolledBack", 1);
            assert_eq!(world.record.look(|now| stable_pods(now, "shop")), pods);
            assert_eq!(client.stop().await.by_version["v1"].failed, 0);
        })
    });
}
