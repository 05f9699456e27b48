//! Scenario 24: Prometheus is away for a while. Nothing advances, nothing is taken back, and it heals by itself.

use jiff::Timestamp;

use crate::harness::alone;
use crate::harness::app::{App, Plan, compared};
use crate::harness::gateway::Client;
use crate::harness::look::{self, condition, percents, text, weights};
use crate::harness::prometheus::Outage;
use crate::harness::record::{Kind, Now};
use crate::harness::world::World;

/// How long Prometheus stays away after both Rollouts have noticed.
const LONGER: u64 = 14;

#[test]
fn scenario_24_an_outage_of_prometheus_holds_and_never_promotes_nor_rolls_back() {
    alone("blind", |world| {
        Box::pin(async move {
            let (good, bad) = (world.app("good").replicas(1), world.app("bad").replicas(1));
            for app in [&good, &bad] {
                world.deploy(app).await;
            }
            let plan = Plan { waves: vec![(20, "10s"), (60, "3s")], no_data: "5s", ..Plan::default() };
            world.adopt(&good, &plan).await;
            world.adopt(&bad, &Plan { signals: compared(), ..plan.clone() }).await;
            // At 8 requests per second the bad canary needs some 14 s of evidence: the outage begins earlier.
            let clients = [Client::start(&good, 80).await, Client::start(&bad, 40).await];
            world
                .apply(&[good.version("v2").deployment(), bad.version("v3").env("ERROR_RATE", "5%").deployment()])
                .await;
            for app in [&good, &bad] {
                world.phase(&app.name, "Baking", 60).await;
            }

            let outage = Outage::begin().await;
            let stopped = Timestamp::now();
            for app in [&good, &bad] {
                world.until(&format!("Rollout {} says that it is blind", app.name), 30, |now| held(now, app)).await;
            }
            world
                .stays("both are held at their weight", LONGER, |now| {
                    [&good, &bad].into_iter().all(|app| held(now, app).is_some() && share(now, app) == 20.0)
                })
                .await;
            let away = Timestamp::now().duration_since(stopped).as_secs_f64();
            outage.end().await;
            eprintln!("scenario 24: Prometheus was away for {away:.0}s");
            assert!(away >= 18.0, "{away}");

            let rollout = world.complete("good", "Promoted", 90).await;
            assert_eq!(condition(&rollout, "AnalysisReady").map(|(status, _)| status), Some("True"));
            assert_eq!(percents(&weights(&world.record, "good")), [0.0, 20.0, 60.0, 0.0]);
            let rollout = world.complete("bad", "RolledBack", 60).await;
            assert_eq!(text(&rollout, "/status/run/reason"), "SignalBreached");
            assert_eq!(text(&rollout, "/status/run/signal"), "errors");
            assert_eq!(percents(&weights(&world.record, "bad")), [0.0, 20.0, 0.0]);
            never_promoted(world, &bad);
            let [of_good, of_bad] = clients;
            assert_eq!(of_good.stop().await.failed, 0);
            assert_eq!(of_bad.stop().await.by_version["v1"].failed, 0);
        })
    });
}

/// The Rollout says that it cannot see, and why.
fn held(now: &Now, app: &App) -> Option<()> {
    let rollout = now.get(Kind::Rollout, &app.name)?;
    let (ready, reason) = condition(rollout, "AnalysisReady")?;
    let says_why = ready == "False" && !reason.is_empty() && condition(rollout, "Reconciling")?.1 == "AnalysisBlind";
    (look::phase(rollout) == "Held" && says_why).then_some(())
}

fn share(now: &Now, app: &App) -> f64 {
    now.get(Kind::HttpRoute, &app.name).map_or(0.0, |route| look::share(route, &app.name))
}

fn never_promoted(world: &World, app: &App) {
    let phases = look::phases(&world.record, &app.name);
    assert!(!phases.iter().any(|phase| phase == "Promoting" || phase == "Promoted"), "{phases:?}");
    let outcomes: Vec<String> = world.record.look(|now| {
        look::releases(now, &app.name).iter().map(|release| text(release, "/status/outcome").to_owned()).collect()
    });
    assert_eq!(outcomes, ["RolledBack"]);
}
