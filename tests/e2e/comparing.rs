//! Scenarios 18, 19, 27 and 28, judged by comparison with stable: what no threshold sees, what is no reason, how a quiet
//! service waits, and requests that fail from the first one on.

use serde_json::{Value, json};

use crate::harness::app::{COARSE, Plan, compared};
use crate::harness::gateway::Client;
use crate::harness::look::{self, condition, number, percents, text, time, weights};
use crate::harness::record::Kind;
use crate::harness::shared;

#[test]
fn scenario_18_a_regression_below_the_threshold_is_found_by_comparison() {
    shared("compared", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1).env("ERROR_RATE", "0.1%");
            world.deploy(&app).await;
            let limit = json!({"name": "limit", "errorRatio": {"threshold": "1%", "minRequests": 500}});
            let signals = json!([limit, {"name": "errors", "errorRatio": {}}]);
            // Five times as many errors as stable, half of the limit: some 5,000 canary requests show it.
            world.adopt(&app, &Plan { waves: vec![(40, "10s")], signals, ..Plan::default() }).await;
            let client = Client::start(&app, 300).await;
            world.apply(&[app.version("v2").env("ERROR_RATE", "0.5%").deployment()]).await;
            let rollout = world.complete("shop", "RolledBack", 150).await;
            let served = client.stop().await;

            assert_eq!(text(&rollout, "/status/run/reason"), "SignalBreached");
            assert_eq!(text(&rollout, "/status/run/signal"), "errors");
            let summary = text(&rollout, "/status/run/summary");
            assert!(summary.starts_with("errors ") && summary.contains("worse than 1.25x stable"), "{summary}");
            let limit = look::signal(&rollout, "limit");
            let (samples, closed) = (text(limit, "/samples"), number(limit, "/closed"));
            assert!(closed >= 4 && !samples.contains('x'), "the limit has closed {closed} samples: {samples}");
            let (releases, reworks) =
                world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
            assert_eq!((releases.len(), reworks.len()), (1, 1));
            assert_eq!(text(&releases[0], "/status/outcome"), "RolledBack");
            assert_eq!(text(&reworks[0], "/spec/signal"), "errors");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 40.0, 0.0]);
            let [stable, canary] = ["v1", "v2"].map(|version| &served.by_version[version]);
            eprintln!(
                "scenario 18: found on {} of {} canary requests; stable failed {} of {}",
                canary.failed, canary.requests, stable.failed, stable.requests
            );
        })
    });
}

#[test]
fn scenario_19_a_short_burst_is_no_reason_to_roll_back() {
    shared("burst", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            let plan = Plan { waves: vec![(20, "10s")], evidence: COARSE, signals: compared(), ..Plan::default() };
            world.adopt(&app, &plan).await;
            let client = Client::start(&app, 100).await;
            // At 20 requests per second four in a row are in one or two samples, of which they are a fifth.
            world.apply(&[app.version("v2").env("ERROR_BURST", "120-123").deployment()]).await;
            world.phase("shop", "Promoting", 90).await;
            let served = client.stop().await;
            world.complete("shop", "Promoted", 90).await;

            assert_eq!(served.by_version["v2"].failed, 4, "of {} requests", served.by_version["v2"].requests);
            let (releases, reworks) =
                world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
            assert_eq!(reworks, Vec::<Value>::new());
            assert_eq!(releases.len(), 1);
            assert_eq!(text(&releases[0], "/status/outcome"), "Promoted");
            assert_eq!(number(&releases[0], "/status/exposure/errors"), 4, "{:#}", releases[0]["status"]["exposure"]);
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
        })
    });
}

#[test]
fn scenario_27_a_quiet_service_holds_and_says_how_long_it_takes() {
    shared("few", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            let (signals, max_bake) = (compared(), Some("15s"));
            let plan = Plan { waves: vec![(20, "3s")], max_bake, evidence: COARSE, signals, ..Plan::default() };
            world.adopt(&app, &plan).await;
            let quiet = Client::start(&app, 10).await;
            // Enough to know how quiet it is.
            quiet.more(40).await;
            world.apply(&[app.version("v2").deployment()]).await;

            // Some hundred requests are needed; a fifth of 10 per second brings them in a minute, nearly all of
            // them in time.
            let planned =
                world.until("the plan warns", 30, |now| look::told(now, "shop", "Planned").into_iter().next()).await;
            let warned = planned.contains("evidence does not come within maxBake 15s; a weight of ")
                && planned.contains("% would do")
                && planned.starts_with("wave 1 at 20% about ");
            assert!(warned, "{planned}");
            let fits: u64 =
                planned.split("a weight of ").nth(1).and_then(|rest| rest.split('%').next()).unwrap().parse().unwrap();
            assert!((60..=100).contains(&fits), "{planned}");

            let held = world.phase("shop", "Held", 60).await;
            assert_eq!(condition(&held, "Reconciling"), Some(("True", "EvidenceTooSlow")));
            let message = text(&held, "/status/message").to_owned();
            let says = ["safe at about ", ", in ", "payments-oncall should look", "errors 0.00% vs 0.00% stable"];
            assert!(says.iter().all(|words| message.contains(words)), "{message}");
            let event = world
                .until("an event names the owner", 10, |now| {
                    look::told(now, "shop", "EvidenceTooSlow").into_iter().next()
                })
                .await;
            assert!(event.contains("payments-oncall should look") && event.contains("safe at about "), "{event}");
            world
                .stays("it is held at its weight", 5, |now| {
                    let (rollout, route) = (now.get(Kind::Rollout, "shop"), now.get(Kind::HttpRoute, "shop"));
                    rollout.is_some_and(|rollout| look::phase(rollout) == "Held")
                        && route.is_some_and(|route| look::share(route, "shop") == 20.0)
                })
                .await;

            let busy = Client::start(&app, 60).await;
            world.complete("shop", "Promoted", 90).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")), Vec::<Value>::new());
            for client in [quiet, busy] {
                assert_eq!(client.stop().await.failed, 0);
            }
        })
    });
}

#[test]
fn scenario_28_requests_that_fail_from_the_first_one_on_count() {
    shared("first", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            world.adopt(&app, &Plan { waves: vec![(20, "30s")], signals: compared(), ..Plan::default() }).await;
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").env("ERROR_RATE", "100%").deployment()]).await;
            let rollout = world.complete("shop", "RolledBack", 60).await;
            let served = client.stop().await;
            assert_eq!(text(&rollout, "/status/run/signal"), "errors");

            let seen = weights(&world.record, "shop");
            assert_eq!(percents(&seen), [0.0, 20.0, 0.0]);
            let exposed = seen[2].at.duration_since(seen[1].at).as_secs_f64();
            let first = time(&rollout, "/status/run/times/exposedAt").unwrap();
            let took = seen[2].at.duration_since(first).as_secs_f64();
            eprintln!("scenario 28: weight 0 {took:.1}s after the first weight, {exposed:.1}s in the route");
            assert!(took < 10.0, "users met it for {took:.1}s");

            // Prometheus' own increase() would miss the first sample of this counter.
            let release = world.record.look(|now| look::releases(now, "shop")).remove(0);
            let (requests, errors) =
                (number(&release, "/status/exposure/requests"), number(&release, "/status/exposure/errors"));
            let of_client = &served.by_version["v2"];
            assert_eq!(of_client.failed, of_client.requests, "all of them fail");
            assert!(
                errors == requests && errors.abs_diff(of_client.failed) <= of_client.failed / 10 + 3,
                "recorded: {errors} of {requests} requests failed; the client saw {}",
                of_client.failed
            );
        })
    });
}

#[test]
fn a_dry_run_is_shown_and_never_acts() {
    shared("dry", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            let signals = json!([
                {"name": "errors", "errorRatio": {}, "dryRun": true},
                {"name": "queue", "query": {"promql": "vector(3)", "max": "10"}},
            ]);
            world.adopt(&app, &Plan { waves: vec![(20, "25s")], signals, ..Plan::default() }).await;
            let client = Client::start(&app, 80).await;
            world.apply(&[app.version("v2").env("ERROR_RATE", "30%").deployment()]).await;
            world
                .until("the dry run is shown", 60, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    let message = text(rollout, "/status/message");
                    (message.contains("(dry run: would take it back)") && message.contains("queue 3.0000 (limit 10)"))
                        .then_some(())
                })
                .await;
            let rollout = world.complete("shop", "Promoted", 90).await;
            assert!(client.stop().await.by_version["v2"].failed > 0);
            assert_eq!(number(&rollout, "/status/rollbacks"), 0);
            let (releases, reworks) =
                world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
            assert_eq!(reworks, Vec::<Value>::new());
            assert_eq!(text(&releases[0], "/status/outcome"), "Promoted");
            assert!(number(&releases[0], "/status/exposure/errors") > 0, "{:#}", releases[0]["status"]["exposure"]);
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
        })
    });
}
