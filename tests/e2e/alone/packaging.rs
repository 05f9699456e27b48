//! A release of the chart lives through install, upgrade, test and uninstall while an application is governed; and an
//! installation that governs one namespace alone.

use serde_json::{Value, json};

use crate::harness::app::{COARSE, Plan};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::install::restored;
use crate::harness::left::{paused, running};
use crate::harness::look::{self, condition, text};
use crate::harness::record::{Kind, Now};
use crate::harness::{alone, operator};
use crate::packaging::{CHART, helm, helm_succeeds, known, with_component};

/// What this project ships in a cluster beside the CRDs, and what a release takes along.
const POLICIES: &str = "mutatingadmissionpolicies,mutatingadmissionpolicybindings,validatingadmissionpolicies,validatingadmissionpolicybindings";
/// By which everything that is shipped is found.
const OURS: &str = "-lapp.kubernetes.io/name=sluice";

fn plan() -> Plan {
    Plan { waves: vec![(40, "2s")], evidence: COARSE, ..Plan::default() }
}

/// What belongs to the user, without what Kubernetes and the gateway say about it: pods are still leaving.
fn written(now: &Now) -> Vec<Value> {
    let without = |kind| {
        let found = now.get(kind, "shop")?;
        Some(json!([found["spec"], found["metadata"]["labels"], found["metadata"]["generation"]]))
    };
    [Kind::Deployment, Kind::Service, Kind::HttpRoute].into_iter().filter_map(without).collect()
}

#[test]
fn a_release_of_the_chart_is_installed_upgraded_tested_and_removed() {
    alone("helm", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            let client = Client::start(&app, 60).await;
            let released = restored(world, async {
                // What was applied by kubectl becomes the release's; nothing of it is deleted for that.
                let install = ["upgrade", "--install", "sluice", CHART, "--wait", "--timeout=120s"];
                let install = [&install[..], &["--take-ownership", "--force-conflicts"]].concat();
                helm_succeeds(&install).await;
                operator::complete(&world.client).await;
                let status = helm_succeeds(&["status", "sluice", "-o", "json"]).await;
                let status: Value = serde_json::from_str(&status).unwrap();
                assert_eq!(text(&status, "/info/status"), "deployed");
                assert!(text(&status, "/info/notes").contains("helm test sluice -n sluice-system"), "{status:#}");

                // What docs/install.md says that one sees.
                let ready = "/api/v1/namespaces/sluice-system/services/sluice-metrics:metrics/proxy/readyz";
                assert_eq!(world.succeeds(&["get", "--raw", ready]).await.trim(), "ok");
                let policies = "mutatingadmissionpolicies,validatingadmissionpolicies";
                assert_eq!(world.succeeds(&["get", policies, OURS, "-o", "name"]).await.lines().count(), 14);

                world.adopt(&app, &plan()).await;
                let rollout = world.get(Kind::Rollout, "shop").unwrap();
                assert_eq!(condition(&rollout, "Gated"), Some(("True", "Proven")));
                world.apply(&[app.version("v2").deployment()]).await;
                assert!(paused(&world.deployment("shop").await), "the chart's policy holds it back in the same write");
                world.complete("shop", "Promoted", 90).await;

                let (before, objects) = (operator::leader(&world.client).await, world.record.look(written));
                let upgrade = ["upgrade", "sluice", CHART, "--set", "log.format=json", "--wait", "--timeout=120s"];
                helm_succeeds(&upgrade).await;
                operator::complete(&world.client).await;
                let after = operator::leader(&world.client).await;
                assert_ne!(after.identity, before.identity, "the new value is in force: every replica was replaced");
                let log = operator::log(&world.client, 5).await;
                assert!(
                    !log.is_empty() && log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
                    "not JSON: {log}"
                );
                world
                    .stays("the Rollout rests", 3, |now| {
                        let rollout = now.get(Kind::Rollout, "shop");
                        rollout.is_some_and(|rollout| look::phase(rollout) == "Promoted")
                            && now.get(Kind::Deployment, "shop-canary").is_none()
                    })
                    .await;
                assert_eq!(world.record.look(written), objects, "written to what was at rest");

                let tested = helm(&["test", "sluice", "--timeout=60s"]).await;
                assert!(tested.ok && tested.out.contains("Succeeded"), "{tested:?}");
                let said = tested.out.clone() + &tested.err;
                assert_eq!(said.matches(": 200 ok").count(), 2, "each replica was asked: {tested:?}");

                // Else it ends without its rights, and the comparison with the audit log says that one was denied.
                world.succeeds(&["-n", "sluice-system", "scale", "deployment/sluice", "--replicas=0"]).await;
                let gone = ["-n", "sluice-system", "wait", "--for=delete", "pod", OURS, "--timeout=60s"];
                world.succeeds(&gone).await;
                helm_succeeds(&["uninstall", "sluice", "--wait", "--timeout=120s"]).await;
                assert_eq!(world.succeeds(&["get", POLICIES, OURS, "-o", "name"]).await, "", "policies are left");
                let kept = world.succeeds(&["get", "crds", OURS, "-o", "name"]).await;
                assert_eq!(kept.lines().count(), 9, "{kept}");
                let rollout = world.api(Kind::Rollout).get("shop").await.expect("the Rollout is kept");
                assert!(rollout.metadata.deletion_timestamp.is_none());

                // Nobody governs and nothing holds: the Deployment is one like any other.
                world.takes_label_off("shop").await;
                world.apply(&[app.version("v3").deployment()]).await;
                world
                    .until("v3 rolls natively", 60, |now| {
                        let whole = now.get(Kind::Deployment, "shop").is_some_and(look::rolled_out);
                        (whole && running(now, "shop").iter().all(|version| version == "v3")).then_some(())
                    })
                    .await;
                assert!(!paused(&world.deployment("shop").await));
            });
            released.await;
            // What kubectl applied over it is whole: the operator adopts again what it finds.
            let operator = world.succeeds(&["-n", "sluice-system", "get", "deployment/sluice", "-o", "json"]).await;
            let operator: Value = serde_json::from_str(&operator).unwrap();
            assert!(!operator.to_string().contains("SLUICE_LOG_FORMAT"), "{operator:#}");
            world
                .until("it is governed again", 60, |now| {
                    let deployment = now.get(Kind::Deployment, "shop")?;
                    (text(deployment, "/metadata/labels/sluice.dev~1rollout") == "shop").then_some(())
                })
                .await;
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn one_namespace_is_governed_with_rights_in_it_alone() {
    alone("namespaced", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            let client = Client::start(&app, 60).await;
            let governed = restored(world, async {
                let made = known(&with_component(world, "namespaced").await);
                let applied = world.kubectl(&["--namespace=", "apply", "-f", "-"], Some(made)).await;
                assert!(applied.ok, "{}", applied.err);
                world
                    .succeeds(&["-n", "sluice-system", "rollout", "status", "deployment/sluice", "--timeout=120s"])
                    .await;
                operator::complete(&world.client).await;
                // What looked at every namespace is gone, and so are its rights.
                for kind in ["clusterrolebindings", "clusterroles"] {
                    for name in ["sluice", "sluice-httproutes", "sluice-grpcroutes"] {
                        world.succeeds(&["delete", kind, name]).await;
                    }
                }

                world.adopt(&app, &plan()).await;
                world.apply(&[app.version("v2").deployment()]).await;
                world.complete("shop", "Promoted", 90).await;
                // It may not even look elsewhere.
                let account = "--as=system:serviceaccount:sluice-system:sluice";
                for (namespace, may) in [(world.namespace.as_str(), "yes"), ("default", "no"), ("sluice-system", "no")]
                {
                    let asked = ["--namespace", namespace, "auth", "can-i", "list", "rollouts.sluice.dev", account];
                    assert_eq!(world.kubectl(&asked, None).await.out.trim(), may, "{namespace}");
                }
            });
            governed.await;
            assert_unharmed(&client.stop().await);
        })
    });
}
