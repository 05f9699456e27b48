//! Scenario 20 with the signal `latency`: a slow version is compared with stable, and a threshold must be an edge.

use serde_json::{Value, json};

use crate::harness::app::Plan;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, percents, says, text, weights};
use crate::harness::record::Kind;
use crate::harness::shared;

fn slower_than(over: &str) -> Value {
    json!([{"name": "errors", "errorRatio": {}}, {"name": "slow", "latency": {"over": over}}])
}

#[test]
fn scenario_20_a_slow_version_is_rolled_back_by_latency_once_the_threshold_is_an_edge() {
    shared("latency", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            let plan = |over| Plan { waves: vec![(20, "30s")], signals: slower_than(over), ..Plan::default() };
            world.adopt(&app, &plan("300ms")).await;
            let client = Client::start(&app, 60).await;
            let slow = app.version("v2").env("SLOW_RATE", "30%").env("SLOW_LATENCY", "400ms");
            world.apply(&[slow.deployment()]).await;

            let refused =
                world.unreadable("shop", "NoSuchBucket", &["spec.analysis.signals[slow].latency.over"], 30).await;
            assert_eq!(condition(&refused, "Stalled"), Some(("True", "NoSuchBucket")));
            let said = says(&refused, "Stalled");
            let edges = "traefik_service_request_duration_seconds_bucket ends at 300ms; known edges: 5ms, 10ms, 25ms, \
                         50ms, 100ms, 250ms, 500ms, 1s, 2.5s; choose one of these";
            assert!(said.contains(edges), "{said}");
            assert_eq!(world.get(Kind::Deployment, "shop-canary"), None);

            world.apply(&[app.rollout(&plan("250ms"))]).await;
            let rollout = world.complete("shop", "RolledBack", 90).await;
            assert_eq!(text(&rollout, "/status/run/reason"), "SignalBreached");
            assert_eq!(text(&rollout, "/status/run/signal"), "slow");
            let summary = text(&rollout, "/status/run/summary");
            assert!(summary.starts_with("slow ") && summary.contains("worse than 1.25x stable"), "{summary}");
            let reworks = world.record.look(|now| look::reworks(now, "shop"));
            assert_eq!(reworks.len(), 1);
            assert_eq!(text(&reworks[0], "/spec/signal"), "slow");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            assert_unharmed(&client.stop().await);
        })
    });
}
