//! Scenarios 1 and 2: taking a workload over, and making it together with its Rollout.

use serde_json::json;

use crate::harness::app::Plan;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, stable_pods, text};
use crate::harness::record::Kind;
use crate::harness::shared;

#[test]
fn scenario_01_a_running_deployment_is_adopted_untouched() {
    shared("adopted", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            let client = Client::start(&app, 100).await;
            let before = world.get(Kind::Deployment, "shop").unwrap();
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            assert_eq!(pods.len(), 2);

            world.adopt(&app, &Plan::default()).await;
            client.more(300).await;

            let after = world.get(Kind::Deployment, "shop").unwrap();
            assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"]);
            assert_eq!(after["spec"], before["spec"]);
            assert_eq!(after["metadata"]["labels"], json!({"app": "shop", "sluice.dev/rollout": "shop"}));
            assert_eq!(world.record.look(|now| stable_pods(now, "shop")), pods, "UIDs and restarts of the pods");
            let rollout = world.get(Kind::Rollout, "shop").unwrap();
            assert_eq!(condition(&rollout, "Gated"), Some(("True", "Proven")));
            assert_eq!(condition(&rollout, "Ready"), Some(("True", "Stable")));
            assert_eq!(condition(&rollout, "Complete"), Some(("False", "NoReleaseYet")));
            let route = &world.record.history(Kind::HttpRoute, "shop");
            assert!(route.iter().all(|seen| seen.object["spec"] == route[0].object["spec"]), "the route was changed");
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_02_deployment_and_rollout_made_together_deploy_natively() {
    shared("together", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let plan = Plan::default();
            // The Rollout comes first, so that it waits for everything else.
            world.apply(&[app.rollout(&plan), app.deployment(), app.service(), app.route()]).await;
            world.phase("shop", "Stable", 60).await;

            let deployment = world.get(Kind::Deployment, "shop").unwrap();
            assert!(look::rolled_out(&deployment), "{:#}", deployment["status"]);
            assert_eq!(text(&deployment, "/metadata/labels/sluice.dev~1rollout"), "shop");
            assert_eq!(world.record.look(|now| stable_pods(now, "shop")).len(), 2);
            let canaries = world.record.history(Kind::Deployment, "shop-canary");
            assert!(canaries.is_empty(), "a canary was made: {canaries:?}");
            assert!(world.record.look(|now| look::releases(now, "shop")).is_empty());
            let paused = world.record.history(Kind::Deployment, "shop");
            assert!(
                paused.iter().all(|seen| seen.object["spec"]["paused"] != json!(true)),
                "the first version was held back"
            );
        })
    });
}
