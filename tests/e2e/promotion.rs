//! Scenarios 11 and 22: a gateway that does not accept a route, a promotion that gets stuck or turns bad, and harm that
//! shows only after the promotion.

use serde_json::{Value, json};

use crate::harness::app::{App, Plan};
use crate::harness::asking::{bind, held, honoured};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, number, percents, share, stable_pods, text, weights};
use crate::harness::record::Kind;
use crate::harness::world::World;
use crate::harness::{receiver, shared};
use crate::people::{govern, plan};

fn version(deployment: &Value) -> &str {
    text(deployment, "/spec/template/spec/containers/0/env/0/value")
}

/// A second route to the shop, on a listener of this name of a gateway of that name.
fn second_route(app: &App, gateway: &str, listener: &str) -> Value {
    let mut route = app.route();
    route["metadata"]["name"] = json!("shop-second");
    route["spec"]["hostnames"] = json!([format!("second.{}", app.host())]);
    route["spec"]["parentRefs"] = json!([{"name": gateway, "namespace": "gateway-system", "sectionName": listener}]);
    route
}

#[test]
fn scenario_11_a_route_that_no_gateway_accepts_counts_no_bake_time() {
    shared("unaccepted", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.apply(&[second_route(&app, "absent", "http")]).await;
            let plan = Plan { deadline: "20s", ..plan(&[(20, "1s"), (50, "1s")]) };
            let mut rollout = app.rollout(&plan);
            rollout["spec"]["traffic"]["routes"] = json!([{"name": "shop"}, {"name": "shop-second"}]);
            govern(world, &app, rollout).await;
            let client = Client::start(&app, 80).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));

            // Never accepted: nothing is made.
            world.apply(&[app.version("v2").env("READY_AFTER", "8s").deployment()]).await;
            let rollout = world
                .until("the template is held back because of the route", 30, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    (condition(rollout, "Ready")? == ("False", "RouteNotAccepted")).then(|| rollout.clone())
                })
                .await;
            let says = text(&rollout, "/status/message");
            assert!(says.contains("no gateway has accepted HTTPRoute shop-second"), "{says}");
            world.stays("no canary is made", 3, |now| now.get(Kind::Deployment, "shop-canary").is_none()).await;

            // Accepted, and then no longer: traffic is asked for, but its way is not there.
            world.apply(&[second_route(&app, "gateway", "http")]).await;
            world.phase("shop", "Starting", 30).await;
            world.apply(&[second_route(&app, "gateway", "absent")]).await;
            world.phase("shop", "Shifting", 30).await;
            let rollout = world.complete("shop", "RolledBack", 90).await;
            assert_eq!(text(&rollout, "/status/run/reason"), "TrafficNotAccepted");
            let says = text(&rollout, "/status/run/summary");
            assert!(says.contains("shop-second") && says.contains("after 20s"), "{says}");
            let baked = world.record.history(Kind::Rollout, "shop");
            let baked = baked.iter().find(|seen| seen.object.pointer("/status/run/wave/bakeAt").is_some());
            assert!(baked.is_none(), "a bake clock ran: {baked:?}");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            for route in ["shop", "shop-second"] {
                let backends = world.get(Kind::HttpRoute, route).unwrap();
                let backends = &backends["spec"]["rules"][0]["backendRefs"];
                assert_eq!(backends.as_array().map(Vec::len), Some(1), "{route}: {backends}");
            }
            assert_eq!(world.get(Kind::Deployment, "shop-canary"), None);
            assert_eq!(world.record.look(|now| stable_pods(now, "shop")), pods);
            let reworks = world.record.look(|now| look::reworks(now, "shop"));
            assert_eq!(
                reworks.iter().map(|rework| text(rework, "/spec/reason")).collect::<Vec<_>>(),
                ["TrafficNotAccepted"]
            );
            assert_unharmed(&client.stop().await);
        })
    });
}

/// The Deployment never had fewer pods available than it wants since it was complete.
fn assert_floor(world: &World, replicas: u64) {
    let history = world.record.history(Kind::Deployment, "shop");
    let available = |object: &Value| number(object, "/status/availableReplicas");
    let serving = history.iter().skip_while(|seen| available(&seen.object) < replicas);
    let least = serving.map(|seen| (available(&seen.object), seen.at)).min_by_key(|(available, _)| *available);
    assert!(least.is_some_and(|(available, _)| available >= replicas), "available pods at worst: {least:?}");
}

/// The stable version serves alone again, and the records say why.
fn assert_back(world: &World, rollout: &Value, reason: &str) {
    assert_eq!(text(rollout, "/status/run/reason"), reason);
    assert_eq!(condition(rollout, "Ready"), Some(("True", "Stable")), "{}", text(rollout, "/status/message"));
    let deployment = world.get(Kind::Deployment, "shop").unwrap();
    assert_eq!(version(&deployment), "v1");
    assert!(deployment["spec"]["paused"] != json!(true) && look::rolled_out(&deployment));
    assert_eq!(world.get(Kind::Deployment, "shop-canary"), None);
    let history = world.record.history(Kind::Rollout, "shop");
    let reverted = history.iter().any(|seen| text(&seen.object, "/status/run/step") == "Reverting");
    assert!(reverted, "the step Reverting was seen");
    assert!(!look::phases(&world.record, "shop").contains(&"Stalled".to_owned()), "no person was needed");
    let (releases, reworks) = world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
    assert_eq!((releases.len(), reworks.len()), (1, 1));
    assert_eq!(text(&releases[0], "/status/outcome"), "RolledBack");
    assert_eq!((text(&reworks[0], "/spec/reason"), text(&reworks[0], "/spec/trigger")), (reason, "Automatic"));
}

#[test]
fn scenario_22_a_promotion_that_gets_stuck_goes_back_to_stable() {
    shared("stuck", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let mut rollout = app.rollout(&plan(&[(50, "3s")]));
            rollout["spec"]["promotion"] = json!({"approval": "Required", "deadline": "10s"});
            govern(world, &app, rollout).await;
            bind(world, "alice", "sluice-approver", "approve").await;
            let client = Client::start(&app, 80).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            // Its canary has the time that it needs; the Deployment has not.
            world.apply(&[app.version("v2").env("READY_AFTER", "20s").deployment()]).await;
            let rollout = held(world, "shop", "AwaitingApproval", 90).await;
            let says = text(&rollout, "/status/message");
            assert!(says.contains("the promotion waits for an Intervention Approve"), "{says}");
            assert_eq!(world.record.look(|now| stable_pods(now, "shop")), pods, "nothing rolls before");
            let answer = honoured(world, "alice", "Approve", "as agreed").await;
            assert!(answer.message.starts_with("the promotion of Release"), "{answer:?}");
            world.phase("shop", "Promoting", 30).await;
            let rollout = world.complete("shop", "RolledBack", 90).await;

            assert_back(world, &rollout, "PromotionStuck");
            let says = text(&rollout, "/status/run/summary");
            assert!(says.contains("of 2 pods run the new version after 10s"), "{says}");
            assert_floor(world, 2);
            let now = world.record.look(|now| stable_pods(now, "shop"));
            assert!(pods.iter().all(|pod| now.get(pod.0) == Some(pod.1)), "UIDs and restarts of stable's pods");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 50.0, 0.0]);
            assert_unharmed(&client.stop().await);
            receiver::alert("RolloutAutomaticallyRolledBack", &world.namespace, "firing", 30).await;
        })
    });
}

#[test]
fn scenario_22_a_promotion_that_turns_bad_goes_back_to_stable() {
    shared("turned", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(3);
            govern(world, &app, app.rollout(&plan(&[(50, "3s")]))).await;
            let client = Client::start(&app, 80).await;
            // A roll of half a minute and more, in the middle of which the canary's errors begin.
            let mut next = app.version("v2").env("ERROR_RATE", "20%").env("ERROR_AFTER", "32s").deployment();
            next["spec"]["minReadySeconds"] = json!(12);
            world.apply(&[next]).await;
            world.phase("shop", "Promoting", 60).await;
            let rollout = world.complete("shop", "RolledBack", 150).await;

            assert_back(world, &rollout, "SignalBreached");
            assert_eq!(text(&rollout, "/status/run/signal"), "errors");
            assert_floor(world, 3);
            let history = world.record.history(Kind::Rollout, "shop");
            let reaches = history.iter().map(|seen| number(&seen.object, "/status/run/effectiveWeight"));
            let most = reaches.max().unwrap_or_default();
            assert!((67..100).contains(&most), "half of the traffic and at least a third of the rest: {most}%");
            let told = history.iter().any(|seen| text(&seen.object, "/status/message").contains("of traffic meets it"));
            assert!(told, "how much of the traffic meets the new version was said");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 50.0, 0.0]);
            let served = client.stop().await;
            assert_eq!(served.by_version["v1"].failed, 0);
            assert_eq!(served.by_status.get("error"), None, "{:#?}", served.failures);
            assert!(served.by_version["v2"].failed > 0, "the version was bad");
        })
    });
}

#[test]
fn harm_after_the_promotion_is_recorded_as_escaped_and_nothing_is_rolled_back() {
    shared("escaped", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            govern(world, &app, app.rollout(&plan(&[(50, "2s")]))).await;
            let client = Client::start(&app, 80).await;
            world.apply(&[app.version("v2").env("ERROR_RATE", "20%").env("ERROR_AFTER", "45s").deployment()]).await;
            world.complete("shop", "Promoted", 90).await;
            // The old pod may still be ending.
            let staying = |now: &crate::harness::record::Now| {
                let own = now.all(Kind::Pod).filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
                own.map(|pod| text(pod, "/metadata/uid").to_owned()).collect::<Vec<_>>()
            };
            let pods = world.record.look(staying);
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")), Vec::<Value>::new());
            let release = world
                .until("what escaped is in the Release", 120, |now| {
                    look::releases(now, "shop").pop().filter(|release| !release["status"]["escaped"].is_null())
                })
                .await;
            assert_eq!((text(&release, "/status/outcome"), text(&release, "/status/stage")), ("Escaped", "Watch"));
            assert_eq!(text(&release, "/status/escaped/signal"), "errors");
            assert!(
                text(&release, "/status/escaped/message").contains("after the promotion; payments-oncall should look")
            );
            let rework = world.until("its ReworkEvent", 20, |now| look::reworks(now, "shop").pop()).await;
            assert_eq!((text(&rework, "/spec/kind"), text(&rework, "/spec/trigger")), ("Escaped", "Automatic"));
            assert_eq!(text(&rework, "/spec/failedRelease"), text(&release, "/metadata/name"));
            assert_eq!(rework["spec"].get("weightZeroAt"), None, "nothing was taken back");
            world
                .stays("nothing is rolled back", 4, |now| {
                    now.get(Kind::Rollout, "shop").is_some_and(|rollout| look::phase(rollout) == "Promoted")
                        && now.get(Kind::Deployment, "shop").is_some_and(|found| version(found) == "v2")
                        && now.get(Kind::HttpRoute, "shop").is_some_and(|route| share(route, "shop") == 0.0)
                        && staying(now) == pods
                })
                .await;
            let rollout = world.get(Kind::Rollout, "shop").unwrap();
            let says = text(&rollout, "/status/message");
            assert!(says.contains("harm was found afterwards"), "{says}");
            assert_eq!(world.record.look(|now| look::told(now, "shop", "Escaped")).len(), 1);
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")).len(), 1);
            assert!(client.stop().await.by_version["v2"].failed > 0, "the version was bad");
        })
    });
}
