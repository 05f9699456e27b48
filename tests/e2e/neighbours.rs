//! What selects pods by label beside the canary: PodDisruptionBudgets, NetworkPolicies, other Services.
//!
//! The testbed's network plugin does not enforce NetworkPolicies. What is shown here is which objects there are and
//! when; that the rules let the canary's packets through is shown nowhere in this suite.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{EvictParams, PostParams};
use serde_json::{Value, json};

use crate::harness::app::{App, Plan};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, text};
use crate::harness::record::{Kind, Now};
use crate::harness::shared;
use crate::harness::world::World;

/// At most one of the shop's pods may be missing.
fn budget(app: &App) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "shop", "namespace": app.namespace},
        "spec": {"minAvailable": app.replicas - 1, "selector": {"matchLabels": {"app": app.name}}},
    })
}

/// Nobody may talk to anybody; the gateway may talk to the shop; the shop may talk to the database and to itself.
fn policies(app: &App) -> Vec<Value> {
    let policy = |name: &str, spec: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": app.namespace},
            "spec": spec,
        })
    };
    let shop = json!({"matchLabels": {"app": app.name}});
    let gateway = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway-system"}}});
    vec![
        policy("default-deny", json!({"podSelector": {}, "policyTypes": ["Ingress"]})),
        policy(
            "allow",
            json!({
                "podSelector": shop,
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [gateway, {"podSelector": shop}], "ports": [{"port": 8080}]}],
            }),
        ),
        policy(
            "db",
            json!({
                "podSelector": {"matchLabels": {"app": "db"}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": shop}], "ports": [{"port": 5432}]}],
            }),
        ),
    ]
}

fn specs(now: &Now) -> Vec<(String, Value)> {
    let of = |policy: &Value| (text(policy, "/metadata/name").to_owned(), policy["spec"].clone());
    now.all(Kind::NetworkPolicy).map(of).collect()
}

#[test]
fn scenario_17_the_canary_has_its_network_policies_before_its_first_pod() {
    shared("fenced", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.apply(&policies(&app)).await;
            world.apply(&[budget(&app)]).await;
            world.adopt(&app, &Plan::default()).await;
            let before = world.record.look(specs);
            assert_eq!(before.len(), 3, "{before:?}");
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").deployment()]).await;
            world.complete("shop", "Promoted", 120).await;
            assert_unharmed(&client.stop().await);

            let pods = world.record.history(Kind::Pod, "*");
            let first_pod = pods.iter().find(|seen| look::is_canary(&seen.object)).expect("a pod of the canary");
            let canary = world.record.history(Kind::Deployment, "shop-canary");
            let canary_gone = canary.last().filter(|seen| seen.gone).expect("the canary is gone");
            let role = json!({"matchLabels": {"sluice.dev/role": "canary", "sluice.dev/rollout-name": "shop"}});
            let mut made = Vec::new();
            for seen in world.record.history(Kind::NetworkPolicy, "*") {
                if look::is_canary(&seen.object) && !made.contains(&seen.name) {
                    made.push(seen.name.clone());
                }
            }
            made.sort();
            assert_eq!(made, ["allow-shop-canary", "allow-shop-canary-peer", "db-shop-canary-peer"]);
            for name in &made {
                let history = world.record.history(Kind::NetworkPolicy, name);
                let (first, last) = (&history[0], &history[history.len() - 1]);
                assert!(first.version < first_pod.version, "{name} came after the canary's first pod");
                assert!(last.gone && last.version > canary_gone.version, "{name} went before the canary");
                let versions: Vec<_> = history.iter().map(|seen| &seen.object["spec"]).collect();
                assert!(versions.windows(2).all(|two| two[0] == two[1]), "{name} was written again: {versions:?}");
                assert_eq!(text(&first.object, "/metadata/ownerReferences/0/kind"), "Rollout");
            }
            let of = |name: &str| world.record.history(Kind::NetworkPolicy, name)[0].object["spec"].clone();
            assert_eq!(of("allow-shop-canary")["podSelector"], role);
            let database = of("db-shop-canary-peer");
            assert_eq!(database["podSelector"], json!({"matchLabels": {"app": "db"}}));
            assert_eq!(database["ingress"][0]["from"], json!([{"podSelector": role}]));
            assert_eq!(world.record.look(specs), before, "the team's own are as they were, and no other is left");
        })
    });
}

#[test]
fn scenario_17_a_network_policy_that_is_changed_in_mid_run_is_changed_for_the_canary_too() {
    shared("refenced", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            let mut policies = policies(&app);
            world.apply(&policies).await;
            world.adopt(&app, &Plan { waves: vec![(20, "60s")], ..Plan::default() }).await;
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").deployment()]).await;
            world
                .until("the canary has weight", 60, |now| {
                    (look::share(now.get(Kind::HttpRoute, "shop")?, "shop") > 0.0).then_some(())
                })
                .await;
            let ports = json!([{"port": 8080, "protocol": "TCP"}, {"port": 9090, "protocol": "TCP"}]);
            policies[1]["spec"]["ingress"][0]["ports"] = ports.clone();
            world.apply(&policies[1..2]).await;
            world
                .until("the canary's policy has both ports", 30, |now| {
                    let policy = now.get(Kind::NetworkPolicy, "allow-shop-canary")?;
                    (policy.pointer("/spec/ingress/0/ports")? == &ports).then_some(())
                })
                .await;
            world.apply(&[app.deployment()]).await;
            world.complete("shop", "Aborted", 60).await;
            assert_unharmed(&client.stop().await);
            let history = world.record.history(Kind::NetworkPolicy, "allow-shop-canary");
            assert_eq!(history.iter().filter(|seen| seen.gone).count(), 1, "it was changed, and not made anew");
            assert_eq!(world.record.look(specs).len(), 3, "the team's own are left, and no other");
        })
    });
}

#[test]
fn scenario_17_an_unready_canary_does_not_block_a_drain() {
    shared("drained", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(3);
            world.deploy(&app).await;
            world.apply(&[budget(&app)]).await;
            world.adopt(&app, &Plan { deadline: "30s", ..Plan::default() }).await;
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").env("NEVER_READY", "true").deployment()]).await;
            world
                .until("a pod of the canary runs and is not ready, and the budget knows stable's", 60, |now| {
                    let runs = |pod: &Value| look::is_canary(pod) && text(pod, "/status/phase") == "Running";
                    let budget = now.get(Kind::PodDisruptionBudget, "shop")?;
                    let allowed = look::number(budget, "/status/disruptionsAllowed");
                    (now.all(Kind::Pod).any(runs) && allowed == 1).then_some(())
                })
                .await;
            let expected = world.record.look(|now| {
                let budget = now.get(Kind::PodDisruptionBudget, "shop").unwrap();
                look::number(budget, "/status/expectedPods")
            });
            assert_eq!(expected, 3, "the canary's pod is not counted");
            // The API server asks the budgets in a dry run as well.
            let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
            let name = world.record.look(|now| {
                let stable = now.all(Kind::Pod).find(|pod| !look::is_canary(pod)).expect("a pod of stable");
                text(stable, "/metadata/name").to_owned()
            });
            let params = EvictParams {
                post_options: PostParams { dry_run: true, ..PostParams::default() },
                ..EvictParams::default()
            };
            let evicted = pods.evict(&name, &params).await;
            assert!(evicted.is_ok(), "{name} may not be evicted: {evicted:?}");
            world.complete("shop", "FailedBeforeExposure", 90).await;
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_17_a_service_that_would_select_the_canary_is_named_and_heals() {
    shared("leaking", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan::default()).await;
            let client = Client::start(&app, 60).await;
            let service = |label: Value| {
                let mut service = app.service();
                (service["metadata"]["name"], service["spec"]["selector"]) = (json!("all"), label);
                service
            };
            world.apply(&[service(json!({"sluice.dev/role": "canary"}))]).await;
            stalled(world).await;
            world.apply(&[app.version("v2").deployment()]).await;
            world
                .until("the new template is held back", 30, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    (text(rollout, "/status/run/step") == "Preflight").then_some(())
                })
                .await;
            stalled(world).await;
            let nothing = |now: &Now| now.get(Kind::Deployment, "shop-canary").is_none();
            world.stays("nothing starts", 3, nothing).await;
            world.apply(&[service(json!({"app": "shop"}))]).await;
            world.complete("shop", "Promoted", 120).await;
            assert_unharmed(&client.stop().await);
        })
    });
}

/// Waits until the Rollout names the Service.
async fn stalled(world: &World) {
    world
        .until("the Rollout names Service all", 60, |now| {
            let rollout = now.get(Kind::Rollout, "shop")?;
            let named = look::says(rollout, "Stalled").contains("Service all would select the canary's pods");
            (condition(rollout, "Stalled")? == ("True", "LabelsLeak") && named).then_some(())
        })
        .await;
}
