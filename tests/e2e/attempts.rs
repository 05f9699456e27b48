//! Scenarios 13, 14, 15 and 35, and what else may come in the way of an attempt: a scale by hand, a neighbour in the same
//! group, a freeze.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::harness::app::{App, COARSE, Plan};
use crate::harness::asking::held;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, number, percents, share, stable_pods, text, time, weights};
use crate::harness::record::Kind;
use crate::harness::shared;
use crate::harness::world::World;
use crate::people::{baking, govern, plan};

/// The gateway may go on sending to a backend for this long after its weight is 0 (seconds).
const GATEWAY_LAG: i64 = 3;

fn version(deployment: &Value) -> &str {
    text(deployment, "/spec/template/spec/containers/0/env/0/value")
}

#[test]
fn scenario_13_a_second_template_begins_anew_and_never_under_the_weight_of_the_first() {
    shared("second", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            govern(world, &app, app.rollout(&plan(&[(20, "12s"), (50, "3s")]))).await;
            let client = Client::start(&app, 100).await;
            world.apply(&[app.version("v2").deployment()]).await;
            baking(world, 20).await;
            let came = Timestamp::now();
            world.apply(&[app.version("v3").deployment()]).await;
            world
                .until("the second template has a weight", 60, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    let second = number(rollout, "/status/run/number") == 2;
                    (second && share(now.get(Kind::HttpRoute, "shop")?, "shop") > 0.0).then_some(())
                })
                .await;
            let exposed = Timestamp::now();
            world.complete("shop", "Promoted", 120).await;
            let weights = weights(&world.record, "shop");
            assert_eq!(percents(&weights), [0.0, 20.0, 0.0, 20.0, 50.0, 0.0], "{weights:?}");
            assert_eq!(under_weight(world), ["v2", "v3"], "the versions of the canary at each weight");

            let zero = weights.iter().find(|weight| weight.at > came && weight.percent == 0.0).unwrap().at;
            let drained = client.between(zero + GATEWAY_LAG.seconds(), Timestamp::now());
            assert!(!drained.by_version.contains_key("v2"), "after its weight was 0: {:?}", drained.by_version);
            let before = client.between(Timestamp::UNIX_EPOCH, zero);
            assert!(before.by_version["v2"].requests > 20 && !before.by_version.contains_key("v3"), "{before:?}");
            // As soon as it is exposed it may answer; before, nobody of it does.
            let between = client.between(zero + GATEWAY_LAG.seconds(), exposed - 1.second());
            assert!(between.by_version.keys().all(|version| version == "v1"), "{:?}", between.by_version);

            let (releases, reworks) =
                world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
            let outcomes: Vec<&str> = releases.iter().map(|release| text(release, "/status/outcome")).collect();
            assert_eq!(outcomes, ["Superseded", "Promoted"]);
            assert_eq!(number(&releases[0], "/status/exposure/maxWeight"), 20);
            assert_eq!(reworks, Vec::<Value>::new(), "nothing speaks against it");
            assert_unharmed(&client.stop().await);
        })
    });
}

/// Waits until the Deployment is not paused any more: the last write of an attempt comes after its last status.
async fn opened(world: &World) -> Value {
    world
        .until("the Deployment is not paused", 10, |now| {
            now.get(Kind::Deployment, "shop").filter(|found| found["spec"]["paused"] != json!(true)).cloned()
        })
        .await
}

/// The versions of the canary Deployment while the route gave it a weight, in the order of the API server's writes.
fn under_weight(world: &World) -> Vec<String> {
    let mut all = world.record.history(Kind::Deployment, "shop-canary");
    all.extend(world.record.history(Kind::HttpRoute, "shop"));
    all.sort_by_key(|seen| seen.version);
    let (mut canary, mut weight, mut versions) = (String::new(), 0.0, Vec::<String>::new());
    for seen in all {
        if seen.kind == Kind::Deployment {
            canary = if seen.gone { String::new() } else { version(&seen.object).to_owned() };
        } else {
            weight = share(&seen.object, "shop");
        }
        if weight > 0.0 && versions.last() != Some(&canary) {
            versions.push(canary.clone());
        }
    }
    versions
}

#[test]
fn scenario_14_the_stable_template_applied_again_ends_the_attempt_and_nothing_rolls() {
    shared("return", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            govern(world, &app, app.rollout(&plan(&[(20, "5m"), (50, "5m")]))).await;
            let client = Client::start(&app, 80).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            let route = world.get(Kind::HttpRoute, "shop").unwrap();
            world.apply(&[app.version("v2").deployment()]).await;
            baking(world, 20).await;
            world.apply(&[app.deployment()]).await;
            let rollout = world.complete("shop", "Aborted", 60).await;
            assert_eq!(text(&rollout, "/status/run/reason"), "ReturnedToStable");
            assert_eq!(condition(&rollout, "Ready"), Some(("True", "Stable")));
            assert_eq!(condition(&rollout, "Stalled"), None);
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            assert_eq!(world.get(Kind::HttpRoute, "shop").unwrap()["spec"].to_string(), route["spec"].to_string());
            assert_eq!(world.get(Kind::Deployment, "shop-canary"), None);
            assert_eq!(world.get(Kind::Service, "shop-canary"), None);
            opened(world).await;
            world.stays("no pod is replaced", 3, |now| stable_pods(now, "shop") == pods).await;
            assert!(look::rolled_out(&world.get(Kind::Deployment, "shop").unwrap()));

            let (releases, reworks) =
                world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
            assert_eq!((releases.len(), reworks.len()), (1, 1));
            assert_eq!(text(&releases[0], "/status/outcome"), "Aborted");
            assert_eq!((text(&reworks[0], "/spec/trigger"), text(&reworks[0], "/spec/kind")), ("Manual", "Rollback"));
            assert_eq!(text(&reworks[0], "/spec/reason"), "ReturnedToStable");
            // It was given up, not rejected: applied again it is tried again.
            world.apply(&[app.version("v2").deployment()]).await;
            let rollout = baking(world, 20).await;
            assert_eq!(number(&rollout, "/status/run/number"), 2);
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_15_waves_edited_in_mid_run_never_jump() {
    shared("edited", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            govern(world, &app, app.rollout(&plan(&[(20, "5m"), (80, "5m")]))).await;
            let client = Client::start(&app, 80).await;
            world.apply(&[app.version("v2").deployment()]).await;
            let rollout = baking(world, 20).await;
            let baked = time(&rollout, "/status/run/wave/bakeAt").expect("the begin of the bake clock");

            // Nothing in the new list speaks of 20%: its own place in it says how long it bakes.
            world.apply(&[app.rollout(&plan(&[(10, "12s"), (40, "3s"), (60, "3s")]))]).await;
            world
                .stays("an edit alone moves nothing", 4, |now| {
                    share(now.get(Kind::HttpRoute, "shop").unwrap(), "shop") == 20.0
                })
                .await;
            world
                .until("the next higher wave", 60, |now| {
                    let share = share(now.get(Kind::HttpRoute, "shop")?, "shop");
                    (share == 40.0).then_some(())
                })
                .await;
            // All that remains is below what the canary has: it never goes down on the way up.
            world.apply(&[app.rollout(&plan(&[(5, "3s"), (30, "3s")]))]).await;
            world.complete("shop", "Promoted", 120).await;
            let weights = weights(&world.record, "shop");
            assert_eq!(percents(&weights), [0.0, 20.0, 40.0, 0.0], "{weights:?}");
            let held = weights[2].at.duration_since(baked).as_secs_f64();
            assert!(held >= 12.0, "20% was held for {held:.1}s of the 12s that were asked for by then");
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_35_of_two_rollouts_of_one_workload_the_younger_waits_until_the_older_is_gone() {
    shared("rivals", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            let plan = plan(&[(50, "3s")]);
            world.adopt(&app, &plan).await;
            let client = Client::start(&app, 60).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            let mut younger = app.rollout(&plan);
            younger["metadata"]["name"] = json!("younger");
            world.apply(&[younger]).await;
            let rollout = world
                .until("the younger one is stalled", 30, |now| {
                    let rollout = now.get(Kind::Rollout, "younger")?;
                    (condition(rollout, "Stalled")? == ("True", "AlreadyGoverned")).then(|| rollout.clone())
                })
                .await;
            let says = look::says(&rollout, "Stalled");
            assert!(says.contains("Deployment shop is governed by the older Rollout shop"), "{says}");
            let older = world.get(Kind::Rollout, "shop").unwrap();
            assert_eq!(condition(&older, "Ready"), Some(("True", "Stable")), "the older one is not disturbed");

            let deleted = world.kubectl(&["delete", "rollouts.sluice.dev/shop", "--timeout=30s"], None).await;
            assert!(deleted.ok, "{}", deleted.err);
            let rollout = world.phase("younger", "Stable", 30).await;
            assert_eq!(condition(&rollout, "Stalled"), None);
            let deployment = world.get(Kind::Deployment, "shop").unwrap();
            assert_eq!(text(&deployment, "/metadata/labels/sluice.dev~1rollout"), "younger");
            assert_eq!(world.record.look(|now| stable_pods(now, "shop")), pods);
            // It governs.
            world.apply(&[app.version("v2").deployment()]).await;
            world.complete("younger", "Promoted", 90).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 50.0, 0.0]);
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn a_workload_that_is_scaled_by_hand_takes_its_canary_along() {
    shared("by-hand", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            govern(world, &app, app.rollout(&plan(&[(50, "5m")]))).await;
            let client = Client::start(&app, 80).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            world.apply(&[app.version("v2").deployment()]).await;
            baking(world, 50).await;
            let size = |now: &crate::harness::record::Now, name: &str| {
                now.get(Kind::Deployment, name).map_or(0, |found| number(found, "/status/availableReplicas"))
            };
            assert_eq!(world.record.look(|now| (size(now, "shop"), size(now, "shop-canary"))), (2, 1));
            let scaled = world.kubectl(&["scale", "deployment/shop", "--replicas=6"], None).await;
            assert!(scaled.ok, "{}", scaled.err);
            world
                .until("both are larger", 60, |now| {
                    ((size(now, "shop"), size(now, "shop-canary")) == (6, 3)).then_some(())
                })
                .await;
            let now = world.record.look(|now| stable_pods(now, "shop"));
            assert!(pods.keys().all(|uid| now.contains_key(uid)), "the pods that served before serve on");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 50.0]);
            let running: Vec<String> = world.record.look(|now| {
                let own = now.all(Kind::Pod).filter(|pod| !look::is_canary(pod));
                own.map(|pod| text(pod, "/spec/containers/0/env/0/value").to_owned()).collect()
            });
            assert_eq!(running, vec!["v1"; 6], "what is new is of the proven version");
            client.more(200).await;
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn a_group_has_one_canary_with_a_weight_at_a_time() {
    shared("group", |world| {
        Box::pin(async move {
            let apps: Vec<App> = ["cart", "shop"].iter().map(|name| world.app(name)).collect();
            let plan = Plan { drain: "3s", ..plan(&[(30, "3s")]) };
            let mut clients = Vec::new();
            for app in &apps {
                world.deploy(app).await;
                let mut rollout = app.rollout(&plan);
                rollout["spec"]["group"] = json!("checkout");
                world.apply(&[rollout]).await;
                world.phase(&app.name, "Stable", 60).await;
                clients.push(Client::start(app, 60).await);
            }
            let both: Vec<Value> = apps.iter().map(|app| app.version("v2").deployment()).collect();
            world.apply(&both).await;
            let waiting = world
                .until("one of them waits for the other", 60, |now| {
                    apps.iter().find_map(|app| {
                        let rollout = now.get(Kind::Rollout, &app.name)?;
                        let waits = condition(rollout, "Ready").is_some_and(|(_, reason)| reason == "GroupBusy");
                        waits.then(|| rollout.clone())
                    })
                })
                .await;
            let says = text(&waiting, "/status/message");
            assert!(says.contains("of group checkout has a canary"), "{says}");
            for app in &apps {
                world.complete(&app.name, "Promoted", 120).await;
                assert_eq!(percents(&weights(&world.record, &app.name)), [0.0, 30.0, 0.0], "{}", app.name);
            }

            // In the order of the API server's writes.
            let mut routes = world.record.history(Kind::HttpRoute, "*");
            routes.sort_by_key(|seen| seen.version);
            let mut exposed = std::collections::BTreeMap::new();
            for seen in &routes {
                exposed.insert(seen.name.clone(), share(&seen.object, &seen.name) > 0.0);
                let most = exposed.values().filter(|exposed| **exposed).count();
                assert!(most <= 1, "two canaries with a weight at {}", seen.at);
            }
            assert_eq!(exposed.len(), 2, "both routes were watched");
            for client in clients {
                assert_unharmed(&client.stop().await);
            }
        })
    });
}

#[test]
fn a_freeze_holds_a_template_back_until_it_is_over() {
    shared("freeze", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let plan = plan(&[(50, "3s")]);
            let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
            let (from, until) = (today - 1.day(), today + 2.days());
            let mut frozen = app.rollout(&plan);
            let freeze = json!({"from": from.to_string(), "until": until.to_string(), "reason": "the year's end"});
            frozen["spec"]["schedule"] = json!({"timeZone": "UTC", "freezes": [freeze]});
            govern(world, &app, frozen).await;
            let client = Client::start(&app, 80).await;
            world.apply(&[app.version("v2").deployment()]).await;
            let rollout = held(world, "shop", "Frozen", 30).await;
            let says = text(&rollout, "/status/message");
            let wanted = format!("frozen until {until} 00:00 UTC: the year's end");
            assert!(says.contains("is held back") && says.contains(&wanted), "{says:?} does not say {wanted:?}");
            world
                .stays("nothing is made for it", 4, |now| {
                    let paused = |found: &Value| found["spec"]["paused"] == json!(true);
                    now.get(Kind::Deployment, "shop-canary").is_none()
                        && now.get(Kind::Deployment, "shop").is_some_and(paused)
                })
                .await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0]);
            // Whoever takes the freeze away lets it go on.
            world.apply(&[app.rollout(&plan)]).await;
            world.complete("shop", "Promoted", 90).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 50.0, 0.0]);
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn a_rejected_template_is_replaced_by_the_stable_one_where_that_is_asked_for() {
    shared("restore", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let mut rollout = app.rollout(&Plan { evidence: COARSE, waves: vec![(50, "20s")], ..Plan::default() });
            rollout["spec"]["onRollback"] = json!("RestoreTemplate");
            govern(world, &app, rollout).await;
            let client = Client::start(&app, 80).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            let before = world.get(Kind::Deployment, "shop").unwrap();
            world.apply(&[app.version("v2").env("ERROR_RATE", "20%").deployment()]).await;
            let rollout = world
                .until("the stable template is back and the Rollout at rest", 90, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    let taken_back = condition(rollout, "Complete") == Some(("True", "RolledBack"));
                    (taken_back && look::phase(rollout) == "Stable" && look::at_rest(rollout)).then(|| rollout.clone())
                })
                .await;
            assert_eq!(condition(&rollout, "Stalled"), None, "no person is needed");
            assert!(!look::phases(&world.record, "shop").contains(&"Stalled".to_owned()), "no person was needed");
            let deployment = opened(world).await;
            assert_eq!(deployment["spec"]["template"], before["spec"]["template"], "as it was, byte for byte");
            world.stays("no pod is replaced", 3, |now| stable_pods(now, "shop") == pods).await;
            assert_eq!(number(&rollout, "/status/attempts"), 1);
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")).len(), 1);
            let served = client.stop().await;
            assert_eq!(served.by_version["v1"].failed, 0);
            assert!(served.by_version["v2"].failed > 0, "the version was bad");
        })
    });
}

/// Words and counts are written to the status a few times per bake time only; what was not written must not be lost.
#[test]
fn a_version_that_turns_bad_in_a_long_wave_is_taken_back_as_soon_as_in_a_short_one() {
    shared("long-wave", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            govern(world, &app, app.rollout(&plan(&[(20, "2h")]))).await;
            let client = Client::start(&app, 100).await;
            world.apply(&[app.version("v2").env("ERROR_RATE", "5%").env("ERROR_AFTER", "40s").deployment()]).await;
            baking(world, 20).await;
            world.complete("shop", "RolledBack", 150).await;
            let weights = weights(&world.record, "shop");
            assert_eq!(percents(&weights), [0.0, 20.0, 0.0]);
            let served = client.stop().await;
            let first = served.failures.first().expect("the version was bad").at_unix_ms;
            let first = Timestamp::from_millisecond(i64::try_from(first).unwrap()).unwrap();
            let seconds = weights[2].at.duration_since(first).as_secs_f64();
            eprintln!("from the first failed request in a wave of two hours to weight 0: {seconds:.2}s");
            assert!(seconds < 10.0, "from the first failed request to weight 0: {seconds:.2}s");
        })
    });
}
