//! Scenario 34: a gate whose policies are gone, and one that rests and needs none.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::gate::{assert_held, ended, governed, proven, recorded_as_bypass, serves, short};
use crate::harness::alone;
use crate::harness::app::App;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::install::{self, manifest, restored};
use crate::harness::left::{paused, running};
use crate::harness::look::{self, condition, says};
use crate::harness::record::{Kind, Now};
use crate::harness::world::World;

/// Waits until the Rollout says that a policy is not as it should be, and names it.
async fn missed(world: &World, named: &str) {
    world
        .until(&format!("the Rollout names {named}"), 10, |now| {
            let rollout = now.get(Kind::Rollout, "shop")?;
            let told = condition(rollout, "Gated") == Some(("False", "PolicyMissing"));
            (told && says(rollout, "Gated").contains(named)).then_some(())
        })
        .await;
}

/// The API server learns of a policy that is gone a little later: a dry run is repeated until it is let through.
async fn until_open(world: &World, next: &App) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let dry = ["apply", "--dry-run=server", "-o", "jsonpath={.spec.paused}", "-f", "-"];
        let ended = world.kubectl(&dry, Some(next.deployment().to_string())).await;
        if ended.ok && ended.out != "true" {
            return;
        }
        assert!(Instant::now() < deadline, "a new template is held back for 20s without policies: {ended:?}");
    }
}

#[test]
fn scenario_34_policies_deleted_while_running_are_named_and_what_rolls_past_is_recorded() {
    alone("policies-gone", |world| {
        Box::pin(async move {
            let (app, client) = governed(world, &short()).await;
            proven(world).await;
            restored(world, async {
                world.succeeds(&["delete", "-f", &manifest("policies.yaml")]).await;
                missed(world, "MutatingAdmissionPolicy sluice-gate is missing").await;
                // They go one after the other, and each is told.
                missed(world, "ValidatingAdmissionPolicy sluice-guard is missing").await;
                let rollout = world.get(Kind::Rollout, "shop").unwrap();
                assert_eq!(condition(&rollout, "Ready"), Some(("False", "PolicyMissing")));
                // Nobody holds the next template back; it is told.
                until_open(world, &app.version("v2")).await;
                world.apply(&[app.version("v2").deployment()]).await;
                recorded_as_bypass(world, 1, "Bypassed").await;
                serves(world, "v2").await;
                assert_eq!(world.get(Kind::Deployment, "shop-canary"), None, "there was nothing left to try");
                missed(world, "sluice-gate").await;
            })
            .await;
            proven(world).await;

            // A policy that is there and does something else.
            restored(world, async {
                let never = json!([{"op": "replace", "path": "/spec/matchConditions/0/expression", "value": "false"}]);
                let policy = "mutatingadmissionpolicy/sluice-gate";
                world.succeeds(&["patch", policy, "--type=json", "-p", &never.to_string()]).await;
                missed(world, "sluice-gate was changed at spec.matchConditions").await;
                install::apply(world).await;
                proven(world).await;
            })
            .await;
            world.apply(&[app.version("v3").deployment()]).await;
            assert_held(world, "v3").await;
            ended(world, 2, "Promoted").await;
            serves(world, "v3").await;
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn a_gate_that_rests_needs_no_policies() {
    alone("resting", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            let client = Client::start(&app, 60).await;
            restored(world, async {
                world.succeeds(&["delete", "-f", &manifest("policies.yaml")]).await;
                let mut rollout = app.rollout(&short());
                rollout["spec"]["gate"] = json!("Resting");
                world.apply(&[rollout]).await;
                let at_rest = |now: &Now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    let rests = condition(rollout, "Ready")?.0 == "True"
                        && condition(rollout, "Gated") == Some(("True", "Resting"))
                        && look::at_rest(rollout);
                    (rests && paused(now.get(Kind::Deployment, "shop")?)).then_some(())
                };
                world.until("the workload rests", 60, at_rest).await;
                world.refuses(&["rollout", "restart", "deployment/shop"], "can't restart paused deployment").await;
                world.apply(&[app.version("v2").deployment()]).await;
                assert_held(world, "v2").await;
                ended(world, 1, "Promoted").await;
                world.until("it rests again", 30, at_rest).await;
                assert_eq!(world.record.look(|now| running(now, "shop")), ["v2", "v2"]);
                let shares = look::percents(&look::weights(&world.record, "shop"));
                assert_eq!(shares, [0.0, 40.0, 0.0], "it was tried first");
                // What is no new template goes on while it is paused.
                world.succeeds(&["scale", "deployment/shop", "--replicas=3"]).await;
                world.until("three pods", 30, |now| (running(now, "shop") == ["v2"; 3]).then_some(())).await;
            })
            .await;
            assert_unharmed(&client.stop().await);
        })
    });
}
