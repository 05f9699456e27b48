//! Scenario 30: the operator of the commit before this one is replaced by this one while one Rollout is at rest, one holds
//! a rejected template back, and one is in the middle of a wave. Nothing starts, no weight rises, nothing is told twice.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use crate::harness::app::{COARSE, Plan, errors};
use crate::harness::gateway::Client;
use crate::harness::look::{self, condition, number, percents, share, text, weights};
use crate::harness::record::{Kind, Now};
use crate::harness::world::World;
use crate::harness::{alone, install, operator};

/// Puts the operator of the commit before this one into the cluster, with its manifests.
async fn install_previous(world: &World) {
    let folder = std::env::var("SLUICE_PREVIOUS").expect("SLUICE_PREVIOUS: the folder that tests/previous.sh prints");
    world.succeeds(&["--namespace=", "apply", "-k", &format!("{folder}/deploy")]).await;
    let image = "sluice=sluice.test/sluice:previous";
    world.succeeds(&["-n", "sluice-system", "set", "image", "deployment/sluice", image]).await;
    rolled(world).await;
}

/// Waits until every replica is of the newest template and watches.
async fn rolled(world: &World) {
    world.succeeds(&["-n", "sluice-system", "rollout", "status", "deployment/sluice", "--timeout=120s"]).await;
    operator::complete(&world.client).await;
}

/// Name of each event about a Rollout, with what it says.
fn told(now: &Now, app: &str) -> BTreeMap<String, String> {
    let about = |event: &&serde_json::Value| text(event, "/regarding/name") == app;
    let events = now.all(Kind::Event).filter(about);
    events.map(|event| (text(event, "/metadata/name").to_owned(), text(event, "/reason").to_owned())).collect()
}

/// The resourceVersions of what belongs to the user.
fn versions(now: &Now, app: &str) -> Vec<String> {
    let kinds = [Kind::Deployment, Kind::Service, Kind::HttpRoute];
    let version = |kind| now.get(kind, app).map(|found| text(found, "/metadata/resourceVersion").to_owned());
    kinds.into_iter().map(|kind| version(kind).expect("an object of the user")).collect()
}

#[test]
fn scenario_30_an_upgrade_of_the_operator_starts_nothing() {
    alone("upgraded", |world| {
        Box::pin(async move {
            // This commit's operator is put back also when something fails before it takes over.
            let from_the_previous = upgrades(world);
            install::restored(world, from_the_previous).await;
        })
    });
}

async fn upgrades(world: &World) {
    install_previous(world).await;
    let [rest, gated, moving] = ["rest", "gated", "moving"].map(|name| world.app(name).replicas(1));
    let signals = errors("2%", 10, 2);
    let plan = Plan { waves: vec![(20, "20s"), (50, "3s")], evidence: COARSE, signals, ..Plan::default() };
    let mut clients = Vec::new();
    for app in [&rest, &gated, &moving] {
        world.deploy(app).await;
        world.adopt(app, &plan).await;
        clients.push(Client::start(app, 40).await);
    }
    world.apply(&[gated.version("bad").env("ERROR_RATE", "20%").deployment()]).await;
    world.complete("gated", "RolledBack", 90).await;
    world.apply(&[moving.version("v2").deployment()]).await;
    world.phase("moving", "Baking", 60).await;

    let before = operator::leader(&world.client).await;
    let (events, at) = (world.record.look(|now| ["rest", "gated"].map(|app| told(now, app))), Timestamp::now());
    let objects = world.record.look(|now| ["rest", "gated"].map(|app| versions(now, app)));
    install::apply(world).await;
    rolled(world).await;
    assert_ne!(operator::leader(&world.client).await.identity, before.identity, "another process leads");
    let took = Timestamp::now().duration_since(at).as_secs_f64();
    eprintln!("scenario 30: both replicas replaced in {took:.1}s");
    world.complete("moving", "Promoted", 90).await;

    world
        .stays("nothing starts", 5, |now| {
            let still = |app: &str, phase: &str, attempts: u64| {
                now.get(Kind::Rollout, app).is_some_and(|rollout| {
                    look::phase(rollout) == phase && number(rollout, "/status/attempts") == attempts
                }) && now.get(Kind::Deployment, &format!("{app}-canary")).is_none()
                    && now.get(Kind::HttpRoute, app).is_some_and(|route| share(route, app) == 0.0)
            };
            still("rest", "Stable", 0) && still("gated", "RolledBack", 1) && still("moving", "Promoted", 1)
        })
        .await;
    let paused = world.get(Kind::Deployment, "gated").unwrap();
    assert_eq!(paused["spec"]["paused"], json!(true), "the rejected template is held back");
    let rollout = world.get(Kind::Rollout, "gated").unwrap();
    assert_eq!(condition(&rollout, "Stalled"), Some(("True", "RolledBack")));
    assert_eq!(world.record.look(|now| ["rest", "gated"].map(|app| told(now, app))), events, "told again");
    let found = world.record.look(|now| ["rest", "gated"].map(|app| versions(now, app)));
    assert_eq!(found, objects, "written to what was at rest; a dry run is no write");
    assert_eq!(percents(&weights(&world.record, "moving")), [0.0, 20.0, 50.0, 0.0]);
    assert_eq!(percents(&weights(&world.record, "rest")), [0.0]);
    assert_eq!(percents(&weights(&world.record, "gated")), [0.0, 20.0, 0.0]);
    let reasons: Vec<String> = world.record.look(|now| told(now, "moving")).into_values().collect();
    for once in ["NewTemplate", "PreflightPassed", "Promoting", "Promoted"] {
        assert!(reasons.iter().filter(|reason| *reason == once).count() <= 1, "{once}: {reasons:?}");
    }
    let releases = world.record.look(|now| ["rest", "gated", "moving"].map(|app| look::releases(now, app).len()));
    assert_eq!(releases, [0, 1, 1]);
    for client in clients {
        let served = client.stop().await;
        let bad = served.by_version.get("bad").map_or(0, |bad| bad.failed);
        assert_eq!((served.failed - bad, served.by_status.get("error")), (0, None), "{:#?}", served.failures);
    }
}
