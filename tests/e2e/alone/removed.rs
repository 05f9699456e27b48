//! Scenario 07: the operator is taken away in the middle of an attempt, and people help themselves with kubectl.

use crate::harness::alone;
use crate::harness::asking::ask_as_admin;
use crate::harness::gateway::assert_unharmed;
use crate::harness::install::{manifest, restored};
use crate::harness::left::{assert_nothing_left, paused, running};
use crate::harness::look;
use crate::harness::record::{Kind, Now};
use crate::harness::world::World;
use crate::leaving::{governed, in_wave, long, serves};

/// Takes the operator away, and then its rights: what still ends is not to be denied anything. Its policies stay.
async fn remove_operator(world: &World) {
    world.succeeds(&["--namespace=sluice-system", "delete", "-f", &manifest("operator.yaml")]).await;
    let gone = ["--namespace=sluice-system", "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=sluice"];
    world.succeeds(&[&gone[..], &["--timeout=60s"]].concat()).await;
    for file in ["rbac.yaml", "../components/httproutes/rbac.yaml", "../components/grpcroutes/rbac.yaml"] {
        world.succeeds(&["--namespace=sluice-system", "delete", "-f", &manifest(file)]).await;
    }
}

/// Lets the Rollout go without an operator, and takes its label off, which the policies would put back.
async fn forget_rollout(world: &World) {
    world.succeeds(&["delete", "rollouts.sluice.dev/shop", "--wait=false"]).await;
    let without = r#"{"metadata":{"finalizers":null}}"#;
    world.succeeds(&["patch", "rollouts.sluice.dev/shop", "--type=merge", "-p", without]).await;
    world.takes_label_off("shop").await;
}

#[test]
fn scenario_07_without_an_operator_stable_serves_on_and_kubectl_is_enough() {
    alone("removed", |world| {
        Box::pin(async move {
            let (app, client, route) = governed(world, 2, &long()).await;
            in_wave(world, &app).await;
            ask_as_admin(world, "Abort").await;
            world.complete("shop", "Aborted", 60).await;
            let pods = world.record.look(|now| look::stable_pods(now, "shop"));
            restored(world, async {
                remove_operator(world).await;
                let unproven = "its template is not proven yet";
                world.refuses(&["rollout", "resume", "deployment/shop"], unproven).await;
                // The first of the two ways of docs/operations.md: the stable template, and then the glass.
                world.apply(&[app.deployment()]).await;
                assert!(paused(&world.deployment("shop").await), "nobody opens");
                let glass =
                    r#"{"metadata":{"annotations":{"sluice.dev/break-glass":"INC-7"}},"spec":{"paused":false}}"#;
                world.succeeds(&["patch", "deployment/shop", "--type=merge", "-p", glass]).await;
                serves(world, &["v1", "v1"]).await;
                assert_eq!(world.record.look(|now| look::stable_pods(now, "shop")), pods, "nothing rolled");
                // The next template is held back all the same. The second way: without the policies.
                world.apply(&[app.version("v3").deployment()]).await;
                assert!(paused(&world.deployment("shop").await));
                world.stays("stable serves on", 3, |now| running(now, "shop") == ["v1", "v1"]).await;
                world.succeeds(&["delete", "-f", &manifest("policies.yaml")]).await;
                world.succeeds_soon(&["rollout", "resume", "deployment/shop"]).await;
                serves(world, &["v3", "v3"]).await;
                forget_rollout(world).await;
                assert_nothing_left(world, &route).await;
            })
            .await;
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_07_without_an_operator_a_wave_is_taken_back_by_hand() {
    alone("removed-wave", |world| {
        Box::pin(async move {
            let (app, client, route) = governed(world, 2, &long()).await;
            in_wave(world, &app).await;
            restored(world, async {
                remove_operator(world).await;
                let still = |now: &Now| look::share(now.get(Kind::HttpRoute, "shop").unwrap(), "shop") == 20.0;
                world.stays("nothing moves", 3, still).await;
                // The route as the team wrote it, which takes the canary out; then everything of the Rollout goes with it.
                world.apply(&[app.route()]).await;
                world.succeeds(&["delete", "-f", &manifest("policies.yaml")]).await;
                forget_rollout(world).await;
                world.apply(&[app.deployment()]).await;
                world.succeeds_soon(&["rollout", "resume", "deployment/shop"]).await;
                serves(world, &["v1", "v1"]).await;
                assert_nothing_left(world, &route).await;
            })
            .await;
            client.more(120).await;
            assert_unharmed(&client.stop().await);
        })
    });
}
