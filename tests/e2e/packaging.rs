//! The ways to install: what each component and the chart make is taken by the API server, and a release of the chart
//! lives through install, upgrade, test and uninstall while an application is governed.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::app::{COARSE, Plan};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::install::restored;
use crate::harness::left::{paused, running};
use crate::harness::look::{self, condition, text};
use crate::harness::record::{Kind, Now};
use crate::harness::world::{Ended, World};
use crate::harness::{alone, operator, shared};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/chart/sluice");
const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");
/// What this project ships in a cluster beside the CRDs, and what a release takes along.
const POLICIES: &str = "mutatingadmissionpolicies,mutatingadmissionpolicybindings,validatingadmissionpolicies,validatingadmissionpolicybindings";

/// By which everything that is shipped is found.
const OURS: &str = "-lapp.kubernetes.io/name=sluice";

/// `helm` in the operator's namespace; a command that lasts leaves the rest of the scenario its threads.
async fn helm(arguments: &[&str]) -> Ended {
    let mut command = Command::new("helm");
    command.args(["--namespace", "sluice-system"]).args(arguments);
    tokio::task::spawn_blocking(move || {
        let output = command.output().expect("helm");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    })
    .await
    .unwrap()
}

async fn helm_succeeds(arguments: &[&str]) -> String {
    let ended = helm(arguments).await;
    assert!(ended.ok, "helm {} failed: {}{}", arguments.join(" "), ended.out, ended.err);
    ended.out
}

/// The objects of a text but for kinds of the Prometheus operator, which the testbed does not have.
fn known(manifests: &str) -> String {
    let documents = manifests.split("\n---\n").filter(|one| !one.contains("apiVersion: monitoring.coreos.com/"));
    documents.collect::<Vec<_>>().join("\n---\n")
}

/// The API server looks at everything and stores nothing.
async fn accepts(world: &World, what: &str, manifests: &str) {
    // The namespaces of the objects are their own.
    let arguments = ["--namespace=", "apply", "--dry-run=server", "--validate=strict", "-f", "-"];
    let ended = world.kubectl(&arguments, Some(known(manifests))).await;
    assert!(ended.ok, "{what}: {}", ended.err);
    // An unknown field is a warning where it is no error.
    assert!(!ended.err.contains("unknown field") && !ended.err.contains("would violate"), "{what}: {}", ended.err);
}

/// `deploy` with a component, whose placeholder for a namespace is this one.
async fn with_component(world: &World, component: &str) -> String {
    let folder = std::env::temp_dir().join(&world.namespace);
    std::fs::create_dir_all(&folder).unwrap();
    let up = "../".repeat(folder.canonicalize().unwrap().components().count() - 1);
    let repository = env!("CARGO_MANIFEST_DIR").trim_start_matches('/');
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [format!("{up}{repository}/deploy")],
        "components": [format!("{up}{repository}/deploy/components/{component}")],
    });
    std::fs::write(folder.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let made = world.succeeds(&["kustomize", &folder.to_string_lossy()]).await;
    std::fs::remove_dir_all(folder).unwrap();
    made.replace(": watched\n", &format!(": {}\n", world.namespace))
}

#[test]
fn every_way_to_install_is_accepted() {
    shared("manifests", |world| {
        Box::pin(async move {
            accepts(world, "install.yaml", &std::fs::read_to_string(INSTALL).unwrap()).await;
            // The two that are in install.yaml already are components by themselves, too.
            for component in ["egress", "gate-resting", "monitoring", "namespaced"] {
                accepts(world, component, &with_component(world, component).await).await;
            }
            let scope = format!("watchNamespace={}", world.namespace);
            for values in [
                "crds.keep=false",
                "monitoring.dashboards.enabled=true,networkPolicy.egress.limited=true,gate.mutating=false",
                "serviceAccount.name=gatekeeper,log.format=json,keep.days=90,draftPostmortems={None},extraEnv[0].name=TZ",
                &scope,
            ] {
                let made = helm_succeeds(&["template", "sluice", CHART, "--skip-tests", "--set", values]).await;
                accepts(world, values, &made).await;
            }
            let unknown = helm(&["template", "sluice", CHART, "--set", "replicaz=3"]).await;
            assert!(!unknown.ok && unknown.err.contains("additional properties 'replicaz' not allowed"), "{unknown:?}");
        })
    });
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
            let plan = Plan { waves: vec![(40, "2s")], evidence: COARSE, ..Plan::default() };
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

                world.adopt(&app, &plan).await;
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
            let plan = Plan { waves: vec![(40, "2s")], evidence: COARSE, ..Plan::default() };
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

                world.adopt(&app, &plan).await;
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
