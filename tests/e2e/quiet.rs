//! Scenarios 3 and 4: what is no new version starts nothing.

use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;

use crate::harness::app::Plan;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, stable_pods};
use crate::harness::record::{Kind, Now};
use crate::harness::{audit, shared};

/// Nothing is being released and nothing was.
fn nothing_released(now: &Now) -> bool {
    let rollout = now.get(Kind::Rollout, "shop");
    rollout.is_some_and(|rollout| look::phase(rollout) == "Stable" && rollout["status"]["attempts"] == 0)
        && look::releases(now, "shop").is_empty()
        && now.all(Kind::Deployment).all(|deployment| !look::is_canary(deployment))
        && now.get(Kind::Deployment, "shop").is_some_and(|deployment| deployment["spec"]["paused"] != json!(true))
}

#[test]
fn scenario_03_the_same_manifest_applied_a_hundred_times_starts_nothing() {
    shared("same", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let plan = Plan::default();
            world.deploy(&app).await;
            world.adopt(&app, &plan).await;
            let settled = Timestamp::now();

            let manifests = [app.deployment(), app.service(), app.route(), app.rollout(&plan)];
            for _ in 0..50 {
                world.apply(&manifests).await;
            }
            let other = PatchParams::apply("gitops").force();
            for _ in 0..50 {
                for (kind, manifest) in
                    [Kind::Deployment, Kind::Service, Kind::HttpRoute, Kind::Rollout].iter().zip(&manifests)
                {
                    let manifest: DynamicObject = serde_json::from_value(manifest.clone()).unwrap();
                    world.api(*kind).patch("shop", &other, &Patch::Apply(&manifest)).await.unwrap();
                }
            }
            world.stays("nothing is released", 3, nothing_released).await;
            let writes = audit::writes(&world.namespace, settled);
            assert!(writes.is_empty(), "the operator wrote {} times: {writes:?}", writes.len());
            // The count can tell: the adoption itself is in the log.
            let adoption = audit::writes(&world.namespace, Timestamp::UNIX_EPOCH);
            assert!(adoption.iter().any(|write| write.starts_with("patch deployments/")), "{adoption:?}");
        })
    });
}

#[test]
fn scenario_04_replicas_and_metadata_start_nothing() {
    shared("scaled", |world| {
        Box::pin(async move {
            let mut app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan::default()).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));

            for replicas in [4, 2] {
                app = app.replicas(replicas);
                world.apply(&[app.deployment()]).await;
                world
                    .until(&format!("the shop has {replicas} pods"), 60, |now| {
                        let deployment = now.get(Kind::Deployment, "shop")?;
                        let wanted = look::number(deployment, "/spec/replicas") == u64::from(replicas);
                        (wanted && look::rolled_out(deployment)).then_some(())
                    })
                    .await;
                assert!(world.record.look(nothing_released), "scaling to {replicas} started something");
            }
            app.annotations = json!({"team.example/note": "only metadata"});
            world.apply(&[app.deployment()]).await;
            world
                .until("the annotation is there", 10, |now| {
                    let deployment = now.get(Kind::Deployment, "shop")?;
                    deployment.pointer("/metadata/annotations/team.example~1note").map(drop)
                })
                .await;
            world.stays("nothing is released", 3, nothing_released).await;
            // The pods that stayed are those that there were.
            world.until("two pods are left", 30, |now| (stable_pods(now, "shop").len() == 2).then_some(())).await;
            let left = world.record.look(|now| stable_pods(now, "shop"));
            assert!(left.values().all(|restarts| *restarts == 0), "{left:?}, before: {pods:?}");
            let sets = world.record.history(Kind::Deployment, "shop");
            let template = &sets[0].object["spec"]["template"];
            assert!(sets.iter().all(|seen| seen.object["spec"]["template"] == *template));
        })
    });
}

#[test]
fn an_autoscaler_scales_a_workload_at_rest_and_starts_nothing() {
    shared("autoscaled", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan::default()).await;
            let client = Client::start(&app, 60).await;

            let scaled_to = |pods: u64| {
                move |now: &Now| {
                    let deployment =
                        now.get(Kind::Deployment, "shop").filter(|deployment| look::rolled_out(deployment))?;
                    (look::number(deployment, "/spec/replicas") == pods).then_some(())
                }
            };
            world.apply(&[app.autoscaler(1, 3, 20)]).await;
            world.until("60 requests/s are 3 pods of 20", 60, scaled_to(3)).await;
            assert_unharmed(&client.stop().await);
            world.until("no requests are 1 pod", 60, scaled_to(1)).await;

            world.stays("nothing is released", 1, nothing_released).await;
        })
    });
}
