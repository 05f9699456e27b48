//! `source: Pods`: the application's own counters, told apart by the pods that were scraped.

use serde_json::{Value, json};

use crate::harness::app::{COARSE, Plan};
use crate::harness::gateway::Client;
use crate::harness::look::{self, condition, number, percents, text, weights};
use crate::harness::record::{Kind, Now};
use crate::harness::world::World;
use crate::harness::{prometheus, shared};

fn by_pods() -> Value {
    json!([{"name": "errors", "errorRatio": {"source": "Pods"}}])
}

/// Somebody tells Prometheus to scrape pods, or not to.
async fn scrape(world: &World, labels: &str, annotation: &str) {
    let ended = world.kubectl(&["annotate", "pod", "--overwrite", "--selector", labels, annotation], None).await;
    assert!(ended.ok, "{ended:?}");
}

#[test]
fn scenario_25_counters_that_are_scraped_no_more_are_stale_and_pods_are_told_apart() {
    shared("pods", |world| {
        Box::pin(async move {
            let mut app = world.app("shop");
            app.scraped = true;
            world.deploy(&app).await;
            world.adopt(&app, &Plan { waves: vec![(30, "30s")], signals: by_pods(), ..Plan::default() }).await;
            let client = Client::start(&app, 60).await;
            let counters = format!("http_requests_total{{namespace=\"{}\",code=\"200\"}}", world.namespace);
            prometheus::series(&counters, 2, 30).await;
            scrape(world, "app=shop", "prometheus.io/scrape-").await;
            prometheus::series(&format!("count_over_time({counters}[7s])"), 0, 40).await;

            world.apply(&[app.version("v2").env("ERROR_RATE", "8%").deployment()]).await;
            let asked = format!("Asked: http_server_request_duration_seconds_count{{namespace=\"{}\"", world.namespace);
            let words = ["signal errors: ", "MetricsProvider cluster", " old; it scrapes every 1s", &asked];
            let waiting = world.unreadable("shop", "SamplesStale", &words, 30).await;
            assert_eq!(condition(&waiting, "Reconciling"), Some(("True", "SamplesStale")));
            let nothing = |now: &Now| {
                let rollout = now.get(Kind::Rollout, "shop");
                rollout.is_some_and(|rollout| look::phase(rollout) == "Preflight")
                    && now.get(Kind::Deployment, "shop-canary").is_none()
            };
            world.stays("nothing starts", 3, nothing).await;

            scrape(world, "app=shop", "prometheus.io/scrape=true").await;
            let rollout = world.complete("shop", "RolledBack", 120).await;
            let served = client.stop().await;
            assert_eq!(text(&rollout, "/status/run/signal"), "errors");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 30.0, 0.0]);
            let dispersion = &look::signal(&rollout, "errors")["dispersion"];
            let phi: Option<f64> = dispersion.as_str().map(|text| text.parse().unwrap());
            assert!(phi.is_none_or(|phi| phi >= 1.0), "{dispersion}");
            let release = world.record.look(|now| look::releases(now, "shop")).remove(0);
            let (requests, errors) =
                (number(&release, "/status/exposure/requests"), number(&release, "/status/exposure/errors"));
            let of_client = &served.by_version["v2"];
            // The canary's pod is found by Prometheus some seconds late and then counts from its first request; what it
            // serves after its last scrape nobody counts.
            assert!(
                errors > 0 && requests <= of_client.requests && requests * 2 > of_client.requests,
                "recorded: {errors} of {requests} requests failed; the client saw {} of {}",
                of_client.failed,
                of_client.requests
            );
        })
    });
}

#[test]
fn scenario_26_a_canary_whose_requests_nobody_counts_is_no_data() {
    shared("uncounted", |world| {
        Box::pin(async move {
            let mut app = world.app("shop").replicas(1);
            app.scraped = true;
            world.deploy(&app).await;
            let (evidence, signals, no_data) = (COARSE, by_pods(), "3s");
            let plan = Plan { waves: vec![(50, "3s")], evidence, signals, no_data, ..Plan::default() };
            world.adopt(&app, &plan).await;
            let client = Client::start(&app, 60).await;
            // The new version forgot to ask for being scraped.
            let mut silent = app.version("v2");
            silent.scraped = false;
            world.apply(&[silent.deployment()]).await;

            let words = ["MetricsProvider cluster has no series of the canary; asked: http_"];
            world.unreadable("shop", "NoSeries", &words, 60).await;
            let held = world.phase("shop", "Held", 30).await;
            assert_eq!(condition(&held, "Reconciling"), Some(("True", "AnalysisBlind")));
            assert_eq!(text(&held, "/status/verdict"), "NoData");
            world
                .stays("it is held at its weight", 5, |now| {
                    let (rollout, route) = (now.get(Kind::Rollout, "shop"), now.get(Kind::HttpRoute, "shop"));
                    rollout.is_some_and(|rollout| look::phase(rollout) == "Held")
                        && route.is_some_and(|route| look::share(route, "shop") == 50.0)
                })
                .await;

            scrape(world, "sluice.dev/role=canary", "prometheus.io/scrape=true").await;
            world.complete("shop", "Promoted", 90).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 50.0, 0.0]);
            let (reworks, mismatch) =
                world.record.look(|now| (look::reworks(now, "shop"), look::told(now, "shop", "WeightMismatch")));
            assert_eq!(reworks, Vec::<Value>::new());
            assert_eq!(mismatch, Vec::<String>::new(), "no data is not a share of 0");
            assert_eq!(client.stop().await.failed, 0);
        })
    });
}
