//! Scenario 23: what is known of a bad version is acted upon without Prometheus, what is not known is not guessed, and
//! the queries of one Rollout hold nobody else up.

use std::net::TcpListener;

use jiff::Timestamp;
use serde_json::json;
use testbed::proxy::{Effect, Fault, When};

use super::rollback::{BOUND, CALL, at_share, of_the_route, plan};
use crate::harness::app::Plan;
use crate::harness::asking::ask_as_admin;
use crate::harness::gateway::Client;
use crate::harness::look::{self, condition, text, time};
use crate::harness::prometheus::Outage;
use crate::harness::proxy::{between, first};
use crate::harness::record::Kind;
use crate::harness::{alone, shared};

#[test]
fn scenario_23_prometheus_goes_between_the_verdict_and_weight_0() {
    alone("seen", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            world.adopt(&app, &plan()).await;
            let client = Client::start(&app, 60).await;
            between(world, async |proxy| {
                world.apply(&[app.version("bad").env("ERROR_RATE", "10%").deployment()]).await;
                at_share(world, "the canary has weight", |percent| percent > 0.0).await;
                let held = Fault { filter: of_the_route(), when: When::Next(1), effect: Effect::Hang };
                let mut struck = proxy.add(held);
                first(&mut struck, "weight 0 is to be written", 30).await;
                let outage = Outage::begin().await;
                let rollout = world.phase("shop", "RollingBack", 10).await;
                assert!(look::share(&world.get(Kind::HttpRoute, "shop").unwrap(), "shop") > 0.0, "the write hangs");
                let zero = at_share(world, "the canary has no weight", |percent| percent == 0.0).await;
                let sample = time(&rollout, "/status/run/times/sampleAt").expect("the time of the breaching sample");
                let seconds = zero.duration_since(sample).as_secs_f64();
                eprintln!("scenario 23: Prometheus gone, the write of weight 0 hung once: {seconds:.2}s to weight 0");
                assert!(seconds < BOUND + CALL, "{seconds:.2}s");
                let rollout = world.complete("shop", "RolledBack", 60).await;
                assert_eq!(text(&rollout, "/status/run/reason"), "SignalBreached");
                outage.end().await;
            })
            .await;
            assert_eq!(client.stop().await.by_version["v1"].failed, 0);
        })
    });
}

#[test]
fn scenario_23_a_breach_that_nobody_can_see_holds_and_an_abort_ends_it() {
    alone("unseen", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            world.adopt(&app, &Plan { no_data: "4s", ..plan() }).await;
            let client = Client::start(&app, 60).await;
            let turning = app.version("bad").env("ERROR_RATE", "50%").env("ERROR_AFTER", "12s");
            world.apply(&[turning.deployment()]).await;
            at_share(world, "the canary has weight", |percent| percent > 0.0).await;
            let outage = Outage::begin().await;
            world
                .until("the Rollout is held because nobody can see", 40, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    let blind = condition(rollout, "Reconciling") == Some(("True", "AnalysisBlind"));
                    (look::phase(rollout) == "Held" && blind).then_some(())
                })
                .await;
            while client.so_far().by_version.get("bad").is_none_or(|bad| bad.failed < 100) {
                client.more(20).await;
            }
            let held = world.get(Kind::Rollout, "shop").unwrap();
            assert_eq!(look::phase(&held), "Held", "what cannot be seen is neither taken back nor promoted");
            let route = world.get(Kind::HttpRoute, "shop").unwrap();
            assert!(look::share(&route, "shop") == 50.0, "{route:#}");

            let asked = Timestamp::now();
            ask_as_admin(world, "Abort").await;
            let zero = at_share(world, "the canary has no weight", |percent| percent == 0.0).await;
            let seconds = zero.duration_since(asked).as_secs_f64();
            eprintln!("scenario 23: Prometheus gone, Abort: {seconds:.2}s to weight 0");
            assert!(seconds < BOUND, "{seconds:.2}s");
            world.complete("shop", "Aborted", 60).await;
            outage.end().await;
            assert_eq!(client.stop().await.by_version["v1"].failed, 0);
        })
    });
}

/// Takes connections and never says a word; ends with the test.
fn silent_server() -> String {
    let listener = TcpListener::bind("10.250.0.1:0").expect("a port of the node");
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut taken = Vec::new();
        for connection in listener.incoming().flatten() {
            taken.push(connection);
        }
    });
    address
}

#[test]
fn scenario_23_hanging_queries_of_another_rollout_delay_no_rollback() {
    shared("hanging", |world| {
        Box::pin(async move {
            let provider = json!({
                "apiVersion": "sluice.dev/v1alpha1",
                "kind": "MetricsProvider",
                "metadata": {"name": world.namespace},
                "spec": {"address": silent_server(), "scrapeInterval": "1s"},
            });
            world.apply(&[provider]).await;
            let (app, other) = (world.app("shop").replicas(1), world.app("other").replicas(1));
            for (app, provider) in [(&app, "cluster"), (&other, world.namespace.as_str())] {
                world.deploy(app).await;
                world.adopt(app, &Plan { provider: provider.to_owned(), ..plan() }).await;
            }
            world.apply(&[other.version("v2").deployment()]).await;
            world.unreadable("other", "QueryTimeout", &[], 60).await;
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("bad").env("ERROR_RATE", "10%").deployment()]).await;
            at_share(world, "the canary has weight", |percent| percent > 0.0).await;
            let zero = at_share(world, "the canary has no weight", |percent| percent == 0.0).await;
            let rollout = world.complete("shop", "RolledBack", 60).await;
            let sample = time(&rollout, "/status/run/times/sampleAt").expect("the time of the breaching sample");
            let seconds = zero.duration_since(sample).as_secs_f64();
            eprintln!("scenario 23: the queries of another Rollout hang: {seconds:.2}s to weight 0");
            assert!(seconds < BOUND, "{seconds:.2}s");
            assert_eq!(look::phase(&world.get(Kind::Rollout, "other").unwrap()), "Preflight");
            assert_eq!(client.stop().await.by_version["v1"].failed, 0);
            world.succeeds(&["delete", "rollouts.sluice.dev", "other", "--wait=false"]).await;
            world.succeeds(&["delete", "metricsproviders.sluice.dev", &world.namespace]).await;
        })
    });
}
