//! Scenario 29: the operator is killed again and again, right before or right after one of its writes, over complete
//! releases of three apps at once. Every release ends as if nobody had been killed.
//!
//! `SLUICE_KILLS` says how often (`make kills`: 50), `SLUICE_SEED` which writes.

use std::cell::Cell;
use std::time::Instant;

use futures::future::join_all;
use serde_json::Value;
use testbed::proxy::{Dice, Effect, Fault, Filter, Proxy, When, Which};

use crate::harness::app::{App, COARSE, Plan, errors};
use crate::harness::gateway::Client;
use crate::harness::look::{self, condition, number, percents, text, weights};
use crate::harness::proxy::{between, first, seed};
use crate::harness::record::Kind;
use crate::harness::world::World;
use crate::harness::{alone, operator};

/// Every third version of an app is bad.
const BAD: usize = 3;

fn plan() -> Plan {
    let signals = errors("2%", 10, 2);
    Plan { waves: vec![(20, "3s"), (50, "3s")], evidence: COARSE, signals, drain: "2s", ..Plan::default() }
}

fn outcome(release: usize) -> &'static str {
    if release.is_multiple_of(BAD) { "RolledBack" } else { "Promoted" }
}

/// Releases one version after another until the kills are over; returns how many there were.
async fn release(world: &World, app: &App, over: &Cell<bool>) -> usize {
    let mut releases = 0;
    while !over.get() {
        releases += 1;
        let mut next = app.version(&format!("v{releases}"));
        if outcome(releases) == "RolledBack" {
            next = next.env("ERROR_RATE", "20%");
        }
        world.apply(&[next.deployment()]).await;
        world
            .until(&format!("release {releases} of {} is {}", app.name, outcome(releases)), 200, |now| {
                let rollout = now.get(Kind::Rollout, &app.name)?;
                let own = number(rollout, "/status/attempts") == releases as u64 && look::at_rest(rollout);
                (own && condition(rollout, "Complete") == Some(("True", outcome(releases)))).then_some(())
            })
            .await;
    }
    releases
}

/// Kills the leader so many times, each time at a write that the dice choose.
async fn kill(world: &World, proxy: &Proxy, times: usize, over: &Cell<bool>) {
    let mut dice = Dice::new(seed());
    let mut killed_at: Vec<String> = Vec::new();
    while killed_at.len() < times {
        let applied = dice.between(0, 2) > 0;
        let effect = if applied { Effect::KeepAnswer } else { Effect::Hang };
        let filter = Filter::of(Which::Writes).about(&world.namespace);
        let mut struck = proxy.add(Fault { filter, when: When::Nth(dice.between(1, 12)), effect });
        let hit = first(&mut struck, "the operator writes", 90).await;
        let killed = operator::kill_at(&world.client, hit.from).await;
        proxy.clear();
        if !killed {
            continue; // the last word of one that is dead already
        }
        let path = hit.line.split('?').next().unwrap_or_default();
        let what = path.rsplit("/namespaces/").next().unwrap_or(path).replace(&world.namespace, "");
        let verb = path.split(' ').next().unwrap_or_default();
        let status = hit.status.map_or("before".to_owned(), |status| format!("after, {status}"));
        killed_at.push(format!("{verb} {what} ({status})"));
    }
    over.set(true);
    eprintln!("scenario 29: killed at {}", killed_at.join(", "));
}

/// No route ever gave the canary more than the intent that was committed before it.
fn assert_never_above_the_intent(world: &World, app: &str) {
    let intents = world.record.history(Kind::Rollout, app);
    for weight in weights(&world.record, app).iter().filter(|weight| weight.percent > 0.0) {
        let intent = intents.iter().rfind(|seen| seen.version < weight.version).expect("an intent before a weight");
        let committed = number(&intent.object, "/status/run/weight") as f64;
        assert!(weight.percent <= committed, "{app}: {weight:?} over {committed}%: {:#}", intent.object["status"]);
    }
}

/// One Release for each, one ReworkEvent for each that was taken back, and every happening told once.
fn assert_recorded_once(world: &World, app: &str, releases: usize) {
    let (found, reworks) = world.record.look(|now| (look::releases(now, app), look::reworks(now, app)));
    let outcomes: Vec<&str> = found.iter().map(|release| text(release, "/status/outcome")).collect();
    let expected: Vec<&str> = (1..=releases).map(outcome).collect();
    assert_eq!(outcomes, expected, "{app}");
    assert_eq!(reworks.len(), releases / BAD, "{app}: {reworks:#?}");
    let events = world.record.look(|now| look::events(now, app));
    let decided: Vec<Vec<String>> = found.iter().map(timeline).collect();
    for (reason, note) in &events {
        let published = events.iter().filter(|(of, _)| of == reason).count();
        let decisions = decided.iter().flatten().filter(|of| *of == reason).count();
        // A hold is told and stands in no timeline.
        let same = events.iter().filter(|event| *event == &(reason.clone(), note.clone())).count();
        let once = published <= decisions || (decisions == 0 && same == 1);
        assert!(reason == "Adopted" || once, "{app}: {published} of {decisions} {reason}: {note}");
    }
    for timeline in decided {
        for once in ["NewTemplate", "PreflightPassed", "RolledBack", "WeightZero", "Promoted"] {
            let times = timeline.iter().filter(|reason| *reason == once).count();
            assert!(times <= 1, "{app}: {once} {times} times: {timeline:?}");
        }
    }
}

fn timeline(release: &Value) -> Vec<String> {
    let entries = release["status"]["timeline"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| text(entry, "/reason").to_owned()).collect()
}

#[test]
fn scenario_29_killed_at_any_write_of_many_releases() {
    let kills = std::env::var("SLUICE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(16).clamp(1, 200);
    alone("kills", |world| {
        Box::pin(async move {
            let apps = ["one", "two", "three"].map(|name| world.app(name).version("stable").replicas(1));
            let mut clients = Vec::new();
            for app in &apps {
                world.deploy(app).await;
                world.adopt(app, &plan()).await;
                clients.push(Client::start(app, 40).await);
            }
            let began = Instant::now();
            let mut releases = Vec::new();
            between(world, async |proxy| {
                let over = Cell::new(false);
                let released = join_all(apps.iter().map(|app| release(world, app, &over)));
                ((), releases) = futures::join!(kill(world, proxy, kills, &over), released);
            })
            .await;
            let took = began.elapsed().as_secs_f64();
            let total: usize = releases.iter().sum();
            eprintln!("scenario 29: {kills} kills over {total} releases in {took:.0}s, SLUICE_SEED={}", seed());
            for (app, releases) in apps.iter().zip(releases) {
                let once =
                    |release| if outcome(release) == "Promoted" { vec![20.0, 50.0, 0.0] } else { vec![20.0, 0.0] };
                let expected: Vec<f64> = std::iter::once(0.0).chain((1..=releases).flat_map(once)).collect();
                let seen = weights(&world.record, &app.name);
                assert_eq!(percents(&seen), expected, "{}: none twice, none that was not decided: {seen:?}", app.name);
                assert_never_above_the_intent(world, &app.name);
                assert_recorded_once(world, &app.name, releases);
            }
            for client in clients {
                let served = client.stop().await;
                let good = served.by_version.iter().filter(|(version, _)| {
                    version.strip_prefix('v').and_then(|number| number.parse().ok()).map(outcome) != Some("RolledBack")
                });
                let failed: u64 = good.map(|(_, counts)| counts.failed).sum();
                assert_eq!((failed, served.by_status.get("error")), (0, None), "{:#?}", served.failures);
            }
        })
    });
}
