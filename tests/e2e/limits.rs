//! What the operator itself may not do: each limit is tried against the API server by impersonating its ServiceAccount.
//!
//! All but the last scenario are single writes, and no Rollout of theirs gives the operator anything to do.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::app::{COARSE, Plan};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, text};
use crate::harness::person::{OPERATOR, Person, administrator, allowed, refused, set_image, without_pods};
use crate::harness::record::Kind;
use crate::harness::shared;

#[test]
fn policies_the_operator_leaves_a_foreign_deployment_alone() {
    shared("policy-foreign", |world| {
        Box::pin(async {
            world.apply(&[without_pods(world), world.app("shop").service()]).await;
            // The operator finds nothing to do for it: its Deployment does not exist.
            let mut rollout = world.app("shop").rollout(&Plan::default());
            rollout["spec"]["targetRef"]["name"] = json!("absent");
            let rollout = allowed(administrator(world).create(rollout).await);
            let operator = Person::new(world, OPERATOR).await;
            let replace = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
            let add = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
            let remove = |path: &str| json!([{"op": "remove", "path": path}]);
            let owner = json!([{"apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "name": "shop",
                "uid": "00000000-0000-0000-0000-000000000000", "controller": true}]);
            let spec = "may change only paused and template in the spec of Deployment";
            let labels = "may only put the labels";
            let tried = [
                (replace("/spec/replicas", json!(3)), spec),
                (replace("/spec/strategy", json!({"type": "Recreate"})), spec),
                (replace("/spec/minReadySeconds", json!(9)), spec),
                (json!([set_image("sluice.test/shop:never")]), "may change the template of Deployment"),
                (add("/metadata/labels/team", json!("other")), labels),
                (remove("/metadata/labels/app"), labels),
                (add("/metadata/annotations/note", json!("other")), labels),
                (add("/metadata/finalizers", json!(["example.org/kept"])), labels),
                (add("/metadata/ownerReferences", owner), "may not change the owner of Deployment"),
            ];
            for (patch, words) in tried {
                let answer = operator.patch("Deployment/shop", patch).await;
                refused(answer, &[words, &format!("{}/shop", world.namespace)]);
            }
            // A field that the API server fills in again is no change.
            allowed(operator.patch("Deployment/shop", remove("/spec/progressDeadlineSeconds")).await);
            let governed = add("/metadata/labels/sluice.dev~1rollout", json!("shop"));
            allowed(operator.patch("Deployment/shop", governed).await);
            let regoverned = replace("/metadata/labels/sluice.dev~1rollout", json!("other"));
            refused(operator.patch("Deployment/shop", regoverned).await, &[labels]);
            allowed(operator.patch("Deployment/shop", remove("/metadata/labels/sluice.dev~1rollout")).await);

            for foreign in ["Deployment/shop", "Service/shop"] {
                refused(operator.delete(foreign).await, &["may not delete", "its controller is not a Rollout"]);
            }
            for (kind, mut body) in [("Deployment", without_pods(world)), ("Service", world.app("shop").service())] {
                body["metadata"]["name"] = json!("shop-canary");
                refused(operator.create(body.clone()).await, &["may not create", "its controller is not a Rollout"]);
                body["metadata"]["ownerReferences"] = json!([{"apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
                    "name": "shop", "uid": rollout["metadata"]["uid"], "controller": true}]);
                allowed(operator.create(body).await);
                let canary = format!("{kind}/shop-canary");
                if kind == "Deployment" {
                    allowed(operator.patch(&canary, replace("/spec/replicas", json!(0))).await);
                    let disowned = remove("/metadata/ownerReferences");
                    refused(operator.patch(&canary, disowned).await, &["may not change the owner"]);
                }
                allowed(operator.delete(&canary).await);
            }
        })
    });
}

#[test]
fn policies_the_operator_puts_back_only_the_proven_template() {
    shared("policy-template", |world| {
        Box::pin(async {
            // Two Rollouts of one Deployment, whose label names the younger: the operator acts for neither.
            let mut rollouts = Vec::new();
            for name in ["one", "two"] {
                let mut rollout = world.app("shop").rollout(&Plan::default());
                rollout["metadata"]["name"] = json!(name);
                rollouts.push(allowed(administrator(world).create(rollout).await));
            }
            let age = |rollout: &Value| {
                (text(rollout, "/metadata/creationTimestamp").to_owned(), text(rollout, "/metadata/uid").to_owned())
            };
            let younger = text(rollouts.iter().max_by_key(|rollout| age(rollout)).unwrap(), "/metadata/name");
            let mut governed = without_pods(world);
            governed["metadata"]["labels"]["sluice.dev/rollout"] = json!(younger);
            world.apply(&[governed]).await;
            let administrator = administrator(world);
            let operator = Person::new(world, OPERATOR).await;
            let restore = |image: &str| {
                let mark = json!({"op": "add", "path": "/metadata/labels/sluice.dev~1restoring", "value": "true"});
                json!([set_image(image), mark])
            };
            let (proven, unproven, other) =
                ("sluice.test/shop:dev", "sluice.test/shop:never", "sluice.test/shop:other");

            allowed(administrator.patch("Deployment/shop", json!([set_image(unproven)])).await);
            let says = |images: &str| {
                format!("status.stable.images of Rollout {younger} is [{images}], the template has [shop={other}]")
            };
            until_refused(&operator, restore(other), &says("")).await;
            let stable = json!({"digest": "0", "replicaSet": "shop-0", "images": [format!("shop={proven}")]});
            allowed(administrator.status(&format!("Rollout/{younger}"), json!({"stable": stable})).await);
            until_refused(&operator, restore(other), &says(&format!("shop={proven}"))).await;
            refused(operator.patch("Deployment/shop", json!([set_image(proven)])).await, &["sluice.dev/restoring"]);
            let mut two = restore(proven);
            let second = json!({"op": "add", "path": "/spec/template/spec/containers/-",
                "value": {"name": "second", "image": other}});
            two.as_array_mut().unwrap().push(second);
            refused(operator.patch("Deployment/shop", two).await, &["put back only the proven template"]);

            let restored = allowed(operator.patch("Deployment/shop", restore(proven)).await);
            assert_eq!(restored["spec"]["paused"], json!(true));
            let opened = json!([
                {"op": "replace", "path": "/spec/paused", "value": false},
                {"op": "remove", "path": "/metadata/labels/sluice.dev~1restoring"},
            ]);
            allowed(operator.patch("Deployment/shop", opened).await);
        })
    });
}

/// The API server reads the Rollouts from a cache of its own, of which it tells nobody: the write is repeated until it is
/// refused in these words. What is written meanwhile is a template of a paused Deployment.
async fn until_refused(operator: &Person, patch: Value, words: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = operator.patch("Deployment/shop", patch.clone()).await;
        if answer.as_ref().is_err_and(|message| message.contains(words)) {
            return;
        }
        assert!(Instant::now() < deadline, "not refused with {words:?} after 20s: {answer:?}");
    }
}

#[test]
fn policies_the_operator_changes_weights_and_one_backend_of_a_route() {
    shared("policy-route", |world| {
        Box::pin(async {
            let mut route = world.app("shop").route();
            let named = json!({"matches": [{"path": {"type": "PathPrefix", "value": "/named"}}],
                "backendRefs": [{"name": "other", "port": 80}, {"name": "shop", "port": 80, "weight": 1}]});
            route["spec"]["rules"].as_array_mut().unwrap().push(named);
            route["metadata"]["labels"] = json!({"team": "shop"});
            let grpc = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute",
                "metadata": {"name": "shop", "namespace": world.namespace},
                "spec": {"parentRefs": route["spec"]["parentRefs"],
                    "rules": [{"backendRefs": [{"name": "shop", "port": 80, "weight": 1}]}]}});
            world.apply(&[route, grpc]).await;
            let operator = Person::new(world, OPERATOR).await;
            let op = |op: &str, path: &str, value: Value| json!({"op": op, "path": path, "value": value});
            let one = |name: &str| json!({"name": name, "port": 80, "weight": 10});
            let backends = "/spec/rules/0/backendRefs";
            let add = |value: Value| op("add", &format!("{backends}/-"), value);
            let header = json!([{"type": "RequestHeaderModifier",
                "requestHeaderModifier": {"set": [{"name": "x-shop", "value": "1"}]}}]);
            let weight = op("replace", &format!("{backends}/0/weight"), json!(90));

            let (meta, spec) = (
                "may not change labels, annotations, owners or finalizers",
                "may change nothing but backends in the rules",
            );
            let (rule, backend) =
                ("may change nothing but the backends of a rule", "may change nothing but the weight of a backend");
            let moving = "may put in or take out one backend of a rule";
            let foreign = json!({"name": "shop-canary", "namespace": "default", "port": 80});
            let strange = json!({"name": "shop-canary", "group": "example.org", "kind": "Service", "port": 80});
            let tried = [
                (vec![op("replace", "/spec/hostnames/0", json!("other.test"))], spec),
                (vec![op("remove", "/spec/hostnames", Value::Null)], spec),
                (vec![op("replace", "/spec/parentRefs/0/name", json!("other"))], spec),
                (vec![op("add", "/metadata/labels/team", json!("other"))], meta),
                (vec![op("add", "/metadata/annotations/note", json!("other"))], meta),
                (vec![op("add", "/metadata/finalizers", json!(["example.org/kept"]))], meta),
                (vec![op("replace", "/spec/rules/1/matches/0/path/value", json!("/other"))], rule),
                (vec![op("add", "/spec/rules/0/filters", header.clone())], rule),
                (vec![op("add", "/spec/rules/-", json!({"backendRefs": [one("shop")]}))], rule),
                (vec![op("remove", "/spec/rules/1", Value::Null)], rule),
                (vec![op("remove", "/spec/rules", Value::Null)], rule),
                (vec![op("replace", &format!("{backends}/0/port"), json!(81))], backend),
                (vec![op("add", &format!("{backends}/0/filters"), header)], backend),
                (
                    vec![
                        json!({"op": "move", "from": "/spec/rules/1/backendRefs/0", "path": "/spec/rules/1/backendRefs/1"}),
                    ],
                    backend,
                ),
                (vec![op("replace", &format!("{backends}/0/name"), json!("other"))], moving),
                (vec![add(one("shop-canary")), add(one("shop-second"))], moving),
                (vec![add(foreign)], moving),
                (vec![add(strange)], moving),
                // What is allowed does not cover what is not.
                (
                    vec![
                        weight.clone(),
                        add(one("shop-canary")),
                        op("replace", "/spec/hostnames/0", json!("other.test")),
                    ],
                    spec,
                ),
            ];
            for (patch, words) in tried {
                let answer = operator.patch("HTTPRoute/shop", json!(patch)).await;
                refused(answer, &[words, &format!("HTTPRoute {}/shop", world.namespace)]);
            }
            allowed(operator.patch("HTTPRoute/shop", json!([weight, add(one("shop-canary"))])).await);
            let moved = json!([
                op("replace", &format!("{backends}/0/weight"), json!(50)),
                op("replace", &format!("{backends}/1/weight"), json!(50))
            ]);
            allowed(operator.patch("HTTPRoute/shop", moved).await);
            let back = json!([op("replace", &format!("{backends}/0/weight"), json!(1)),
                {"op": "remove", "path": format!("{backends}/1")}]);
            let after = allowed(operator.patch("HTTPRoute/shop", back).await);
            assert_eq!(after["spec"]["rules"][0]["backendRefs"].as_array().map(Vec::len), Some(1));

            refused(
                operator.patch("GRPCRoute/shop", json!([op("add", "/spec/hostnames", json!(["other.test"]))])).await,
                &[spec],
            );
            allowed(operator.patch("GRPCRoute/shop", json!([add(one("shop-canary"))])).await);
        })
    });
}

#[test]
fn policies_the_operator_changes_only_the_behaviour_of_an_autoscaler() {
    shared("policy-scaler", |world| {
        Box::pin(async {
            let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "shop", "namespace": world.namespace, "labels": {"team": "shop"}},
                "spec": {"minReplicas": 2, "maxReplicas": 4,
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
                    "metrics": [{"type": "Resource", "resource":
                        {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}});
            world.apply(&[scaler]).await;
            let operator = Person::new(world, OPERATOR).await;
            let patch = |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
            for tried in [
                patch("replace", "/spec/minReplicas", json!(1)),
                patch("replace", "/spec/maxReplicas", json!(9)),
                patch("replace", "/spec/scaleTargetRef/name", json!("other")),
                patch("replace", "/metadata/labels/team", json!("other")),
                patch("add", "/metadata/annotations/note", json!("other")),
            ] {
                let answer = operator.patch("HorizontalPodAutoscaler/shop", tried).await;
                refused(answer, &["may change only spec.behavior of HorizontalPodAutoscaler"]);
            }
            let held = patch("add", "/spec/behavior", json!({"scaleDown": {"selectPolicy": "Disabled"}}));
            let held = allowed(operator.patch("HorizontalPodAutoscaler/shop", held).await);
            assert_eq!(text(&held, "/spec/behavior/scaleDown/selectPolicy"), "Disabled");
            let back = json!([{"op": "remove", "path": "/spec/behavior"}]);
            allowed(operator.patch("HorizontalPodAutoscaler/shop", back).await);
        })
    });
}

#[test]
fn policies_the_operator_deletes_only_an_empty_replica_set() {
    shared("policy-sets", |world| {
        Box::pin(async {
            let app = world.app("shop").replicas(1);
            world.apply(&[app.deployment()]).await;
            world
                .until("the Deployment has rolled out", 60, |now| {
                    now.get(Kind::Deployment, "shop").is_some_and(look::rolled_out).then_some(())
                })
                .await;
            let listed = world.kubectl(&["get", "replicasets", "-o", "name"], None).await;
            let name = listed.out.trim().strip_prefix("replicaset.apps/").expect("one ReplicaSet").to_owned();
            let set = format!("ReplicaSet/{name}");
            let operator = Person::new(world, OPERATOR).await;
            refused(operator.delete(&set).await, &["may not delete ReplicaSet", "has and wants 0 pods"]);
            world.apply(&[app.replicas(0).deployment()]).await;
            let empty = ["wait", "replicasets", &name, "--for=jsonpath={.status.replicas}=0", "--timeout=60s"];
            let waited = world.kubectl(&empty, None).await;
            assert!(waited.ok, "{}", waited.err);
            allowed(operator.delete(&set).await);
        })
    });
}

/// The whole way: what the operator does when a promotion fails passes its own limits.
#[test]
fn policies_a_failed_promotion_puts_the_proven_template_back() {
    shared("policy-back", |world| {
        Box::pin(async {
            let app = world.app("shop");
            world.deploy(&app).await;
            let plan = Plan { waves: vec![(50, "3s")], evidence: COARSE, deadline: "15s", ..Plan::default() };
            world.adopt(&app, &plan).await;
            let rollout = world.get(Kind::Rollout, "shop").unwrap();
            assert_eq!(rollout["status"]["stable"]["images"], json!([format!("shop={}", app.image)]));
            let client = Client::start(&app, 50).await;
            world.apply(&[app.version("v2").deployment()]).await;
            world.phase("shop", "Baking", 60).await;
            // Two pods and the canary: the promotion gets no pod of its own.
            let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
                "metadata": {"name": "full", "namespace": world.namespace}, "spec": {"hard": {"pods": "3"}}});
            world.apply(&[quota]).await;
            world.phase("shop", "RollingBack", 90).await;
            world
                .until("the Rollout is at rest with the stable template", 60, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    (look::phase(rollout) == "Stable" && look::at_rest(rollout)).then_some(())
                })
                .await;
            let deployment = world.get(Kind::Deployment, "shop").unwrap();
            assert_eq!(text(&deployment, "/spec/template/spec/containers/0/env/0/value"), "v1");
            assert_ne!(deployment["spec"]["paused"], json!(true));
            assert_eq!(deployment["metadata"]["labels"], json!({"app": "shop", "sluice.dev/rollout": "shop"}));
            let marked = world.record.history(Kind::Deployment, "shop");
            let marked = marked.iter().any(|seen| seen.object["metadata"]["labels"]["sluice.dev/restoring"] == "true");
            assert!(marked, "the template was put back in a marked write");
            assert_unharmed(&client.stop().await);
        })
    });
}
