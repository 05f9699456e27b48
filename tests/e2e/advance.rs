//! Scenarios 8, 9 and 10: a good version goes through its waves and is promoted.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::app::{Plan, errors};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, Weight, condition, number, percents, text, time, weights};
use crate::harness::record::{Kind, Record};
use crate::harness::shared;

/// When each wave was judged at its weight: from the begin of its bake clock until it had passed.
fn judged(release: &Value) -> Vec<(Timestamp, Timestamp)> {
    let timeline = release["status"]["timeline"].as_array().cloned().unwrap_or_default();
    let at = |reason: &str| {
        let entries = timeline.iter().filter(|entry| text(entry, "/reason") == reason);
        entries.map(|entry| time(entry, "/at").unwrap()).collect::<Vec<_>>()
    };
    at("WaveBaking").into_iter().zip(at("WavePassed")).collect()
}

/// A wave as it was seen in the status: its position, and when its bake clock began.
fn bakes(record: &Record) -> Vec<(u64, Timestamp)> {
    let mut bakes = BTreeSet::new();
    for seen in record.history(Kind::Rollout, "shop") {
        if let Some(at) = time(&seen.object, "/status/run/wave/bakeAt") {
            bakes.insert((number(&seen.object, "/status/run/wave/index"), at));
        }
    }
    bakes.into_iter().collect()
}

/// When the route left a weight.
fn left(weights: &[Weight], percent: f64) -> Timestamp {
    let held = weights.iter().position(|weight| weight.percent == percent).unwrap();
    weights[held + 1].at
}

#[test]
fn scenario_08_three_waves_in_order_and_everything_as_it_was_at_the_end() {
    shared("waves", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(4);
            let plan = Plan { waves: vec![(10, "4s"), (25, "4s"), (50, "4s")], ..Plan::default() };
            // A route with more than Sluice needs to know of: all of it must survive.
            let mut route = app.route();
            route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(3);
            route["spec"]["rules"][0]["filters"] = json!([{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-shop", "value": "yes"}]}}]);
            let moved = json!({
                "matches": [{"path": {"type": "PathPrefix", "value": "/moved"}}],
                "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "elsewhere.test", "statusCode": 302}}],
            });
            route["spec"]["rules"].as_array_mut().unwrap().push(moved);
            world.deploy(&app).await;
            world.apply(&[route]).await;
            world.adopt(&app, &plan).await;
            let client = Client::start(&app, 100).await;
            let before = world.get(Kind::HttpRoute, "shop").unwrap();

            let next = app.version("v2");
            world.apply(&[next.deployment()]).await;
            world.phase("shop", "Preflight", 10).await;
            let arguments = ["wait", "--for=condition=Complete", "rollouts.sluice.dev/shop", "--timeout=150s"];
            let waited = world.kubectl(&arguments, None).await;
            assert!(waited.ok, "kubectl wait: {} {}", waited.out, waited.err);
            let rollout = world.complete("shop", "Promoted", 5).await;
            assert_unharmed(&client.stop().await);

            let weights = weights(&world.record, "shop");
            assert_eq!(percents(&weights), [0.0, 10.0, 25.0, 50.0, 0.0], "{weights:?}");
            let bakes = bakes(&world.record);
            assert_eq!(bakes.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2]);
            for ((_, began), percent) in bakes.iter().zip([10.0, 25.0, 50.0]) {
                let held = left(&weights, percent).duration_since(*began);
                assert!(held.as_secs_f64() >= 4.0, "{percent}% was held for {held} only");
            }

            assert_eq!(condition(&rollout, "Ready"), Some(("True", "Promoted")));
            assert_eq!(condition(&rollout, "Complete"), Some(("True", "Promoted")));
            assert_eq!(condition(&rollout, "Stalled"), None);
            let deployment = world.get(Kind::Deployment, "shop").unwrap();
            assert!(look::rolled_out(&deployment) && deployment["spec"]["paused"] != json!(true));
            let version = "/spec/template/spec/containers/0/env/0/value";
            assert_eq!(text(&deployment, version), "v2");
            let running = world.record.look(|now| {
                let running = now.all(Kind::Pod).filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
                running.map(|pod| text(pod, "/spec/containers/0/env/0/value").to_owned()).collect::<Vec<_>>()
            });
            assert_eq!(running, ["v2", "v2", "v2", "v2"], "the pods that stay");
            assert_eq!(world.get(Kind::Deployment, "shop-canary"), None);
            assert_eq!(world.get(Kind::Service, "shop-canary"), None);
            let after = world.get(Kind::HttpRoute, "shop").unwrap();
            assert_eq!(after["spec"].to_string(), before["spec"].to_string());

            let releases = world.record.look(|now| look::releases(now, "shop"));
            assert_eq!(releases.len(), 1);
            let release = &releases[0];
            assert_eq!(text(release, "/status/outcome"), "Promoted");
            assert_eq!(number(release, "/status/exposure/maxWeight"), 100, "in the end it serves everybody");
            assert_eq!(number(release, "/status/exposure/errors"), 0);
            assert!(number(release, "/status/exposure/requests") > 100, "{:#}", release["status"]["exposure"]);
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")), Vec::<Value>::new());
            let events = world.record.look(|now| look::events(now, "shop"));
            let told: Vec<&str> = events.iter().map(|(reason, _)| reason.as_str()).collect();
            for (reason, times) in
                [("NewTemplate", 1), ("WaveStarted", 3), ("WavePassed", 3), ("Promoting", 1), ("Promoted", 1)]
            {
                assert_eq!(told.iter().filter(|other| **other == reason).count(), times, "{reason} in {events:#?}");
            }
        })
    });
}

#[test]
fn scenario_09_no_request_fails_and_the_share_follows_the_weight() {
    shared("load", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(4);
            world.deploy(&app).await;
            let client = Client::start(&app, 200).await;
            let plan = Plan {
                waves: vec![(10, "8s"), (25, "8s"), (50, "8s")],
                signals: errors("2%", 50, 2),
                ..Plan::default()
            };
            world.adopt(&app, &plan).await;
            world.apply(&[app.version("v2").deployment()]).await;
            world.complete("shop", "Promoted", 150).await;
            // The old pods and the canary are gone, and for a while longer nobody notices.
            world.until("the old pods are gone", 60, |now| (now.all(Kind::Pod).count() == 4).then_some(())).await;
            let missing = 10_000_u64.saturating_sub(client.so_far().requests);
            client.more(missing.max(400)).await;

            let weights = weights(&world.record, "shop");
            assert_eq!(percents(&weights), [0.0, 10.0, 25.0, 50.0, 0.0]);
            let trim = Duration::from_millis(300);
            let mut shares = Vec::new();
            let judged = judged(&world.record.look(|now| look::releases(now, "shop")).remove(0));
            assert_eq!(judged.len(), 3);
            for ((began, passed), percent) in judged.into_iter().zip([10.0, 25.0, 50.0]) {
                let baking = client.between(began + trim, passed - trim);
                let share = baking.share("v2") * 100.0;
                shares.push(format!("{percent}%: {share:.2}% of {} requests", baking.requests));
                assert!((share - percent).abs() <= 2.0 && baking.requests > 500, "{shares:?}");
            }
            let whole = client.stop().await;
            eprintln!(
                "scenario 9: {} of {} requests failed; share while baking at {}; latency p50 {:.1} ms, p99 {:.1} ms",
                whole.failed,
                whole.requests,
                shares.join(", at "),
                whole.latency_ms.p50,
                whole.latency_ms.p99
            );
            assert!(whole.requests >= 10_000, "{} requests", whole.requests);
            assert_unharmed(&whole);
        })
    });
}

#[test]
fn scenario_10_the_stable_service_never_selects_a_canary_and_weight_comes_after_endpoints() {
    shared("apart", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan { waves: vec![(20, "3s"), (60, "3s")], ..Plan::default() }).await;
            let client = Client::start(&app, 80).await;
            // A canary that is not ready for a while gives everybody the time to make a mistake.
            world.apply(&[app.version("v2").env("READY_AFTER", "3s").deployment()]).await;
            world.complete("shop", "Promoted", 120).await;
            assert_unharmed(&client.stop().await);

            let pods = world.record.history(Kind::Pod, "*");
            let canaries: BTreeSet<&str> =
                pods.iter().filter(|seen| look::is_canary(&seen.object)).map(|seen| seen.name.as_str()).collect();
            assert_eq!(canaries.len(), 2, "one for 20%, two for 60%: {canaries:?}");
            let listed = |seen: &Value| {
                let endpoints = seen["endpoints"].as_array().cloned().unwrap_or_default();
                endpoints.iter().map(|endpoint| text(endpoint, "/targetRef/name").to_owned()).collect::<BTreeSet<_>>()
            };
            let stable = look::slices(&world.record, "shop");
            assert!(stable.len() > 3, "the slices of the stable Service were watched");
            for seen in &stable {
                let inside = listed(&seen.object);
                let wrong: Vec<_> = inside.iter().filter(|pod| canaries.contains(pod.as_str())).collect();
                assert!(wrong.is_empty(), "the stable Service selects {wrong:?} at {}", seen.at);
            }
            let canary = look::slices(&world.record, "shop-canary");
            for seen in &canary {
                let inside = listed(&seen.object);
                assert!(
                    inside.iter().all(|pod| canaries.contains(pod.as_str())),
                    "the canary's Service selects {inside:?}"
                );
            }
            // The order of the API server's writes decides, not that of the watches.
            let ready = canary.iter().find(|seen| !look::ready_pods(&seen.object).is_empty()).unwrap();
            let exposed = weights(&world.record, "shop").into_iter().find(|weight| weight.percent > 0.0).unwrap();
            assert!(
                ready.version < exposed.version,
                "weight {exposed:?} before any endpoint was ready ({})",
                ready.version
            );
        })
    });
}
