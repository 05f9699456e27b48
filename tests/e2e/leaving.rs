//! Scenarios 5 and 6, and the other ways in which Sluice lets a workload go: disabled, abandoned.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::app::{App, COARSE, Plan};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::left::{assert_let_go, assert_nothing_left, paused, running, version};
use crate::harness::look::{self, condition, percents, text, weights};
use crate::harness::record::{Kind, Now};
use crate::harness::shared;
use crate::harness::world::World;

const DELETE: [&str; 4] = ["delete", "rollouts.sluice.dev/shop", "--wait=true", "--timeout=60s"];

/// A NetworkPolicy that keeps everybody but the gateway away: the canary gets one like it.
fn fence(app: &App) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "shop", "namespace": app.namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app": app.name}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": 8080}]}],
        },
    })
}

/// One wave of 20% that lasts until the test is done with it.
pub fn long() -> Plan {
    Plan { waves: vec![(20, "5m")], evidence: COARSE, ..Plan::default() }
}

/// A shop at rest with its Rollout; returns it with its client and its route.
pub async fn governed(world: &World, replicas: u32, plan: &Plan) -> (App, Client, Value) {
    let app = world.app("shop").replicas(replicas);
    world.deploy(&app).await;
    world.apply(&[fence(&app)]).await;
    world.adopt(&app, plan).await;
    let client = Client::start(&app, 60).await;
    let route = world.get(Kind::HttpRoute, "shop").unwrap();
    (app, client, route)
}

/// Applies a good version and waits until its canary has the wave's weight and serves.
pub async fn in_wave(world: &World, app: &App) {
    world.apply(&[app.version("v2").deployment()]).await;
    world.phase("shop", "Baking", 60).await;
    let copied = world.record.look(|now| now.all(Kind::NetworkPolicy).any(look::is_canary));
    assert!(copied, "the canary has a NetworkPolicy of its own");
}

/// The held-back template is still there and does not roll, and users are told how it goes on.
async fn assert_left_paused(world: &World, held: &str) {
    let deployment = world.deployment("shop").await;
    assert!(paused(&deployment), "an unproven template is not completed");
    assert_eq!(version(&deployment), held);
    assert_eq!(world.record.look(|now| running(now, "shop")), ["v1", "v1"]);
    let told = world.until("it is told", 10, |now| look::told(now, "shop", "LeftPaused").pop()).await;
    assert!(told.contains("kubectl rollout resume deployment/shop"), "{told}");
}

/// Pods of these versions alone serve, and the Deployment has rolled out.
pub async fn serves(world: &World, versions: &[&str]) {
    world
        .until(&format!("pods of {versions:?} serve"), 90, |now| {
            let whole = now.get(Kind::Deployment, "shop").is_some_and(look::rolled_out);
            (whole && running(now, "shop") == versions).then_some(())
        })
        .await;
}

#[test]
fn scenario_05_a_rollout_deleted_at_rest_leaves_a_plain_deployment() {
    shared("left-rest", |world| {
        Box::pin(async move {
            let (app, client, route) = governed(world, 2, &Plan::default()).await;
            let pods = world.record.look(|now| look::stable_pods(now, "shop"));
            world.succeeds(&DELETE).await;
            assert_nothing_left(world, &route).await;
            assert_eq!(world.record.look(|now| look::stable_pods(now, "shop")), pods);
            // It rolls as any Deployment does: nobody holds it back any more.
            world.apply(&[app.version("v2").deployment()]).await;
            assert!(!paused(&world.deployment("shop").await));
            serves(world, &["v2", "v2"]).await;
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_05_a_rollout_deleted_mid_wave_puts_traffic_back_and_completes_nothing() {
    shared("left-wave", |world| {
        Box::pin(async move {
            let (app, client, route) = governed(world, 2, &long()).await;
            in_wave(world, &app).await;
            world.succeeds(&DELETE).await;
            assert_nothing_left(world, &route).await;
            assert_left_paused(world, "v2").await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            let releases = world.record.look(|now| look::releases(now, "shop"));
            assert_eq!(text(&releases[0], "/status/outcome"), "Aborted");
            assert_eq!(text(&releases[0], "/status/reason"), "RolloutDeleted");
            // What the event says works, and nothing of ours is asked.
            world.succeeds(&["rollout", "resume", "deployment/shop"]).await;
            serves(world, &["v2", "v2"]).await;
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_05_a_rollout_deleted_during_promotion_rolls_back_to_stable() {
    shared("left-roll", |world| {
        Box::pin(async move {
            let plan = Plan { waves: vec![(20, "2s")], evidence: COARSE, ..Plan::default() };
            let (app, client, route) = governed(world, 4, &plan).await;
            // Each new pod takes a while: there is time to delete the Rollout between the first and the last.
            world.apply(&[app.version("v2").env("READY_AFTER", "4s").deployment()]).await;
            world
                .until("the first pod of the new version serves everybody", 90, |now| {
                    let rolled = running(now, "shop").iter().filter(|version| *version == "v2").count();
                    let promoting = now.get(Kind::Rollout, "shop").map(look::phase) == Some("Promoting");
                    (promoting && rolled >= 2).then_some(())
                })
                .await;
            world.succeeds(&["delete", "rollouts.sluice.dev/shop", "--wait=true", "--timeout=120s"]).await;
            assert_nothing_left(world, &route).await;
            let deployment = world.deployment("shop").await;
            assert_eq!((version(&deployment), paused(&deployment)), ("v1", false), "the proven template is back");
            serves(world, &["v1", "v1", "v1", "v1"]).await;
            let whole = |seen: &Value| version(seen) == "v2" && look::rolled_out(seen);
            let history = world.record.history(Kind::Deployment, "shop");
            assert!(!history.iter().any(|seen| whole(&seen.object)), "the roll to v2 was completed");
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_05_a_rollout_deleted_after_a_rollback_leaves_the_bad_version_paused() {
    shared("left-bad", |world| {
        Box::pin(async move {
            let (app, client, route) = governed(world, 2, &Plan { waves: vec![(20, "30s")], ..Plan::default() }).await;
            let pods = world.record.look(|now| look::stable_pods(now, "shop"));
            world.apply(&[app.version("v3").env("ERROR_RATE", "10%").deployment()]).await;
            world.complete("shop", "RolledBack", 90).await;
            world.succeeds(&DELETE).await;
            assert_nothing_left(world, &route).await;
            assert_left_paused(world, "v3").await;
            // The other way that the event names: the stable template, and then it may go.
            world.apply(&[app.deployment()]).await;
            world.succeeds(&["rollout", "resume", "deployment/shop"]).await;
            serves(world, &["v1", "v1"]).await;
            assert_eq!(world.record.look(|now| look::stable_pods(now, "shop")), pods, "no pod of stable was touched");
            assert_eq!(client.stop().await.by_version["v1"].failed, 0);
        })
    });
}

#[test]
fn scenario_06_the_target_deleted_first_does_not_hold_the_rollout() {
    shared("left-target", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan::default()).await;
            let route = world.get(Kind::HttpRoute, "shop").unwrap();
            world.succeeds(&["delete", "deployment/shop", "--wait=true", "--timeout=30s"]).await;
            world
                .until("the Rollout says what is missing", 30, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    (condition(rollout, "Stalled")? == ("True", "TargetMissing")).then_some(())
                })
                .await;
            world.succeeds(&["delete", "rollouts.sluice.dev/shop", "--wait=true", "--timeout=20s"]).await;
            assert_nothing_left(world, &route).await;
        })
    });
}

#[test]
fn scenario_06_route_and_target_deleted_mid_wave_do_not_hold_the_rollout() {
    shared("left-all", |world| {
        Box::pin(async move {
            let (app, client, _) = governed(world, 2, &long()).await;
            in_wave(world, &app).await;
            // A route that is gone answers nobody, which is its owner's doing.
            client.stop().await;
            world.succeeds(&["delete", "httproute/shop", "deployment/shop", "--wait=true", "--timeout=30s"]).await;
            world.succeeds(&DELETE).await;
            world
                .until("the Rollout, its canary and its policies are gone", 30, |now| {
                    let deployments = now.all(Kind::Deployment).count() + now.all(Kind::Rollout).count();
                    let ours = now.all(Kind::Service).chain(now.all(Kind::NetworkPolicy));
                    (deployments == 0 && ours.filter(|one| look::is_canary(one)).count() == 0).then_some(())
                })
                .await;
        })
    });
}

#[test]
fn a_rollout_that_is_disabled_mid_wave_lets_go_and_takes_up_again() {
    shared("disabled", |world| {
        Box::pin(async move {
            let (app, client, route) = governed(world, 2, &long()).await;
            in_wave(world, &app).await;
            let disable = |disabled: bool| json!({"spec": {"disabled": disabled}}).to_string();
            let patch = ["patch", "rollouts.sluice.dev/shop", "--type=merge", "-p"];
            world.succeeds(&[&patch[..], &[&disable(true)]].concat()).await;
            let off = world.phase("shop", "Disabled", 60).await;
            assert_eq!(condition(&off, "Ready"), Some(("True", "Disabled")));
            assert_let_go(world, &route).await;
            assert_left_paused(world, "v2").await;
            assert_eq!(
                text(&world.record.look(|now| look::releases(now, "shop"))[0], "/status/reason"),
                "RolloutDisabled"
            );
            // Nobody holds a template back now, and a template that was held back is not tried.
            world.stays("nothing is released", 2, |now| now.get(Kind::Deployment, "shop-canary").is_none()).await;

            world.apply(&[app.rollout(&Plan { waves: vec![(20, "2s")], evidence: COARSE, ..Plan::default() })]).await;
            world.succeeds(&[&patch[..], &[&disable(false)]].concat()).await;
            world.complete("shop", "Promoted", 90).await;
            serves(world, &["v2", "v2"]).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0, 20.0, 0.0]);
            assert_unharmed(&client.stop().await);
        })
    });
}

/// Something that keeps the canary from going keeps the Rollout from going, until a person abandons it.
#[test]
fn a_rollout_that_cannot_be_cleaned_up_goes_when_it_is_abandoned() {
    shared("abandoned", |world| {
        Box::pin(async move {
            let (app, client, route) = governed(world, 2, &long()).await;
            in_wave(world, &app).await;
            let deployments = world.api(Kind::Deployment);
            let kept = |finalizers: Value| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
            let own = PatchParams::default();
            deployments.patch("shop-canary", &own, &kept(json!(["example.org/kept"]))).await.unwrap();
            world.succeeds(&["delete", "rollouts.sluice.dev/shop", "--wait=false"]).await;
            world
                .until("only the canary's Deployment is in the way", 60, |now| {
                    let canary = now.get(Kind::Deployment, "shop-canary")?;
                    let ends = !canary["metadata"]["deletionTimestamp"].is_null();
                    (ends && now.get(Kind::Service, "shop-canary").is_none()).then_some(())
                })
                .await;
            let there = |now: &Now| now.get(Kind::Rollout, "shop").map(look::phase) == Some("Leaving");
            world.stays("the Rollout waits for it", 3, there).await;
            assert_eq!(world.get(Kind::HttpRoute, "shop").unwrap()["spec"], route["spec"], "traffic went first");

            world.succeeds(&["annotate", "rollouts.sluice.dev/shop", "sluice.dev/abandon=true"]).await;
            world.until("the Rollout is gone", 20, |now| now.get(Kind::Rollout, "shop").is_none().then_some(())).await;
            let deployment = world.deployment("shop").await;
            assert_eq!((paused(&deployment), version(&deployment)), (true, "v2"), "it stays as it is");
            assert_eq!(deployment.pointer("/metadata/labels/sluice.dev~1rollout"), None, "and is nobody's");
            deployments.patch("shop-canary", &own, &kept(Value::Null)).await.unwrap();
            world.succeeds(&["rollout", "resume", "deployment/shop"]).await;
            serves(world, &["v2", "v2"]).await;
            assert_nothing_left(world, &route).await;
            assert_unharmed(&client.stop().await);
        })
    });
}
