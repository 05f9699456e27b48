//! Scenario 16: a HorizontalPodAutoscaler beside a rollout. While load is on the canary it would shrink stable below what
//! a full fallback needs; it may not, and afterwards it is as it was.

use serde_json::{Value, json};

use crate::harness::app::{App, COARSE, Plan};
use crate::harness::asking::ask_as_admin;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, number, text};
use crate::harness::record::{Kind, Seen};
use crate::harness::shared;
use crate::harness::world::World;

/// What one pod is given, in requests per second.
const PER_POD: u32 = 15;

/// Waits until stable has so many pods.
async fn scaled(world: &World, pods: u64, seconds: u64) {
    world
        .until(&format!("stable has {pods} pods"), seconds, |now| {
            let deployment = now.get(Kind::Deployment, "shop")?;
            let all =
                number(deployment, "/spec/replicas") == pods && number(deployment, "/status/availableReplicas") == pods;
            all.then_some(())
        })
        .await;
}

/// A shop of which 60 requests per second make four pods, and its autoscaler as it was before any rollout.
async fn scaled_shop(world: &World, plan: &Plan, behavior: Value) -> (App, Client, Value) {
    let app = world.app("shop");
    // Without a size from the beginning: to take it out of a manifest later sets it to 1.
    world.apply(&[without_size(&app), app.service(), app.route()]).await;
    let mut hpa = app.autoscaler(1, 6, PER_POD);
    if !behavior.is_null() {
        hpa["spec"]["behavior"] = behavior;
    }
    let client = Client::start(&app, 60).await;
    world.apply(&[hpa]).await;
    scaled(world, 4, 60).await;
    world.adopt(&app, plan).await;
    let before = world.get(Kind::Hpa, "shop").unwrap()["spec"].clone();
    (app, client, before)
}

/// The team's manifests name no size once an autoscaler decides it.
fn without_size(app: &App) -> Value {
    let mut deployment = app.deployment();
    deployment["spec"].as_object_mut().unwrap().remove("replicas");
    deployment
}

/// The sizes that stable has had since an attempt began to keep its autoscaler from scaling down, and how many of them
/// while it did.
fn sizes(world: &World) -> (Vec<u64>, usize) {
    let scalers = world.record.history(Kind::Hpa, "shop");
    let disabled = |seen: &&Seen| text(&seen.object, "/spec/behavior/scaleDown/selectPolicy") == "Disabled";
    let first = scalers.iter().find(disabled).expect("it was kept from scaling down").version;
    let free =
        scalers.iter().find(|seen| seen.version > first && !disabled(seen)).map_or(u64::MAX, |seen| seen.version);
    let sets = world.record.history(Kind::Deployment, "shop");
    let began = sets.iter().rposition(|seen| seen.version < first).unwrap_or(0);
    let mut sizes: Vec<(u64, bool)> = Vec::new();
    for seen in &sets[began..] {
        let size = number(&seen.object, "/spec/replicas");
        if sizes.last().is_none_or(|(last, _)| *last != size) {
            sizes.push((size, seen.version < free));
        }
    }
    let kept = sizes.iter().filter(|(_, kept)| *kept).count();
    (sizes.into_iter().map(|(size, _)| size).collect(), kept)
}

/// Waits until the autoscaler itself says that it wants fewer pods than there are, and may not.
async fn wants_fewer(world: &World) {
    let found = world
        .until("the autoscaler wants fewer pods and may not", 60, |now| {
            let hpa = now.get(Kind::Hpa, "shop")?;
            let limited = look::condition(hpa, "ScalingLimited") == Some(("True", "ScaleDownLimit"));
            (limited && look::share(now.get(Kind::HttpRoute, "shop")?, "shop") > 0.0).then(|| hpa.clone())
        })
        .await;
    eprintln!("scenario 16: {} {}", look::says(&found, "ScalingLimited"), found["status"]["currentMetrics"]);
}

/// Byte for byte.
fn assert_untouched(world: &World, before: &Value) {
    let now = world.get(Kind::Hpa, "shop").unwrap()["spec"].to_string();
    assert_eq!(now, before.to_string(), "its spec is not as it was");
}

#[test]
fn scenario_16_an_autoscaler_goes_only_up_during_a_rollout_and_is_as_it_was_afterwards() {
    shared("scaler", |world| {
        Box::pin(async move {
            let mut plan = Plan { waves: vec![(50, "3s")], evidence: COARSE, ..Plan::default() };
            let (app, client, before) = scaled_shop(world, &plan, Value::Null).await;
            assert!(before["behavior"].is_null(), "{before}");
            // Nothing goes on until the test has seen what it came for.
            plan.waves = vec![(50, "3s"), (60, "3s")];
            let mut rollout = app.rollout(&plan);
            rollout["spec"]["waves"][1]["approval"] = json!("Required");
            world.apply(&[rollout]).await;
            world.apply(&[without_size(&app.version("v2"))]).await;
            wants_fewer(world).await;
            assert_eq!(number(&world.deployment("shop").await, "/spec/replicas"), 4);
            // More load than stable was scaled for: half of 180 requests per second are six pods.
            let more = Client::start(&app, 120).await;
            scaled(world, 6, 60).await;
            assert_unharmed(&more.stop().await);
            wants_fewer(world).await;
            ask_as_admin(world, "Approve").await;
            world.complete("shop", "Promoted", 150).await;
            assert_untouched(world, &before);
            // Until the load ends it needs four.
            let (sizes, kept) = sizes(world);
            assert!(
                sizes[..kept].is_sorted() && sizes[kept - 1] == 6,
                "it went down in the attempt: {sizes:?}, {kept}"
            );
            assert_eq!((sizes[0], sizes.iter().min()), (4, Some(&4)), "{sizes:?}");
            assert_unharmed(&client.stop().await);
            scaled(world, 1, 60).await;
            assert_untouched(world, &before);
        })
    });
}

#[test]
fn scenario_16_an_autoscaler_with_a_behaviour_of_its_own_gets_it_back_after_a_rollback() {
    shared("scaler-own", |world| {
        Box::pin(async move {
            let plan = Plan { waves: vec![(50, "60s")], ..Plan::default() };
            let behavior = json!({
                "scaleDown": {"stabilizationWindowSeconds": 2, "selectPolicy": "Min", "policies": [
                    {"type": "Percent", "value": 50, "periodSeconds": 15},
                    {"type": "Pods", "value": 2, "periodSeconds": 1},
                ]},
                "scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 1}]},
            });
            let (app, client, before) = scaled_shop(world, &plan, behavior).await;
            assert_eq!(text(&before, "/behavior/scaleDown/selectPolicy"), "Min");
            // It breaches from its 300th request on, when the autoscaler has long seen half of the load.
            world.apply(&[without_size(&app.version("v3").env("ERROR_BURST", "300-100000"))]).await;
            wants_fewer(world).await;
            world.complete("shop", "RolledBack", 120).await;
            assert_untouched(world, &before);
            assert_eq!(sizes(world), (vec![4], 1));
            assert_eq!(client.stop().await.by_version["v1"].failed, 0);
            scaled(world, 1, 60).await;
        })
    });
}
