//! Scenario 20: versions that are slow, crash, cannot be pulled or never get ready.

use serde_json::{Value, json};

use crate::harness::app::{App, Plan, errors};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, percents, stable_pods, text, weights};
use crate::harness::record::Kind;
use crate::harness::shared;
use crate::harness::world::World;

/// The mean seconds of the canary's requests in the last three scrapes, as the gateway measured them.
const CANARY_SECONDS: &str = r#"
sum(rate(traefik_service_request_duration_seconds_sum{service=~".*-svc-{{namespace}}-{{canaryService}}-[0-9]+@kubernetesgateway"}[3s]))
/ sum(rate(traefik_service_request_duration_seconds_count{service=~".*-svc-{{namespace}}-{{canaryService}}-[0-9]+@kubernetesgateway"}[3s]))
"#;

#[test]
fn scenario_20_a_slow_version_is_rolled_back() {
    shared("slow", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            let mut signals = errors("2%", 20, 2);
            let slow =
                json!({"name": "slow", "query": {"promql": CANARY_SECONDS.trim(), "max": "0.1"}, "consecutive": 2});
            signals.as_array_mut().unwrap().push(slow);
            world.adopt(&app, &Plan { waves: vec![(20, "20s")], signals, ..Plan::default() }).await;
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").env("LATENCY", "300ms").deployment()]).await;
            let rollout = world.complete("shop", "RolledBack", 90).await;
            assert_eq!(text(&rollout, "/status/run/signal"), "slow");
            assert_eq!(text(&rollout, "/status/run/reason"), "SignalBreached");
            let reworks = world.record.look(|now| look::reworks(now, "shop"));
            assert_eq!(reworks.len(), 1);
            assert_eq!(text(&reworks[0], "/spec/signal"), "slow");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_20_a_version_that_crashes_after_it_got_ready_is_rolled_back() {
    shared("crash", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            // Only the pods can tell: no ratio is above 100%.
            world
                .adopt(&app, &Plan { waves: vec![(20, "40s")], signals: errors("100%", 20, 2), ..Plan::default() })
                .await;
            let client = Client::start(&app, 60).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            world.apply(&[app.version("v2").env("CRASH_AFTER", "8s").deployment()]).await;
            let rollout = world.complete("shop", "RolledBack", 120).await;
            let reason = text(&rollout, "/status/run/reason");
            assert!(["CrashLoop", "NoReadyEndpoint"].contains(&reason), "{reason}");
            assert_eq!(world.record.look(|now| stable_pods(now, "shop")), pods);
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")).len(), 1);
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            assert_eq!(client.stop().await.by_version["v1"].failed, 0);
        })
    });
}

#[test]
fn scenario_20_an_image_that_cannot_be_pulled_gets_no_request() {
    shared("image", |world| {
        Box::pin(async move {
            let mut bad = world.app("shop").version("v2");
            bad.image = "sluice.test/absent:dev".to_owned();
            let rollout = never_exposed(world, &bad).await;
            assert_eq!(text(&rollout, "/status/run/reason"), "ImageUnavailable");
        })
    });
}

#[test]
fn scenario_20_a_version_that_never_gets_ready_gets_no_request() {
    shared("unready", |world| {
        Box::pin(async move {
            let bad = world.app("shop").version("v2").env("NEVER_READY", "true");
            let rollout = never_exposed(world, &bad).await;
            assert_eq!(text(&rollout, "/status/run/reason"), "CanaryNotAvailable");
        })
    });
}

/// A version fails before it has met a user: no weight, no ReworkEvent, stable as it was.
async fn never_exposed(world: &World, bad: &App) -> Value {
    let app = world.app("shop");
    world.deploy(&app).await;
    world.adopt(&app, &Plan { deadline: "10s", ..Plan::default() }).await;
    let client = Client::start(&app, 60).await;
    let pods = world.record.look(|now| stable_pods(now, "shop"));
    let route = world.get(Kind::HttpRoute, "shop").unwrap();
    world.apply(&[bad.deployment()]).await;
    let rollout = world.complete("shop", "FailedBeforeExposure", 60).await;

    assert_eq!(condition(&rollout, "Stalled").map(|(status, _)| status), Some("True"));
    assert_eq!(percents(&weights(&world.record, "shop")), [0.0]);
    assert_eq!(world.get(Kind::HttpRoute, "shop").unwrap()["spec"], route["spec"]);
    assert_eq!(world.get(Kind::Deployment, "shop-canary"), None);
    assert_eq!(world.record.look(|now| stable_pods(now, "shop")), pods);
    let (releases, reworks) = world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
    assert_eq!(reworks, Vec::<Value>::new(), "nobody met it: it is no rework");
    assert_eq!(releases.len(), 1);
    assert_eq!(text(&releases[0], "/status/outcome"), "FailedBeforeExposure");
    assert_eq!(look::number(&releases[0], "/status/exposure/requests"), 0);
    let served = client.stop().await;
    assert_unharmed(&served);
    assert_eq!(served.by_version.keys().collect::<Vec<_>>(), ["v1"]);
    rollout
}
