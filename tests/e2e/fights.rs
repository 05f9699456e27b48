//! Scenario 32: a route that others write during a run, and routes in other shapes than the usual one.

use serde_json::{Value, json};

use crate::harness::app::{App, COARSE, Plan};
use crate::harness::asking::ask_as_admin;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, says, share, text};
use crate::harness::record::{Kind, Now};
use crate::harness::shared;
use crate::harness::world::World;

/// How often a route is set again before it is left alone.
const LIMIT: usize = 5;

/// A route with more in it than Sluice needs to know of.
fn rich(app: &App) -> Value {
    let mut route = app.route();
    route["metadata"]["labels"] = json!({"team": "shop"});
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(3);
    route["spec"]["rules"][0]["filters"] = json!([{
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"set": [{"name": "x-shop", "value": "yes"}]},
    }]);
    let moved = json!({
        "matches": [{"path": {"type": "PathPrefix", "value": "/moved"}}],
        "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "elsewhere.test", "statusCode": 302}}],
    });
    let other = json!({
        "matches": [{"path": {"type": "PathPrefix", "value": "/other"}, "headers": [{"name": "x-a", "value": "b"}]}],
        "backendRefs": [{"name": "other", "port": 80, "weight": 7}],
    });
    route["spec"]["rules"].as_array_mut().unwrap().extend([moved, other]);
    route
}

/// A Rollout that stays in its wave of 20% until the promotion is approved.
fn waiting(app: &App) -> Value {
    let mut rollout = app.rollout(&Plan { waves: vec![(20, "2s")], evidence: COARSE, ..Plan::default() });
    rollout["spec"]["promotion"] = json!({"approval": "Required"});
    rollout
}

/// A governed shop with this route and this Rollout; returns the route as the API server has it.
async fn governed(world: &World, app: &App, route: Value, rollout: Value) -> Value {
    world.deploy(app).await;
    // A backend of another rule; the gateway wants it to exist.
    let mut other = app.service();
    other["metadata"]["name"] = json!("other");
    world.apply(&[other, route]).await;
    world.apply(&[rollout]).await;
    world.phase("shop", "Stable", 60).await;
    world.get(Kind::HttpRoute, "shop").unwrap()
}

/// A governed shop with this route whose v2 has 20% and waits, and a client; returns the route as it was before.
async fn waved(world: &World, app: &App, route: &Value) -> (Value, Client) {
    let before = governed(world, app, route.clone(), waiting(app)).await;
    let client = Client::start(app, 60).await;
    world.apply(&[app.version("v2").deployment()]).await;
    at(world, 20.0, "AwaitingApproval").await;
    (before, client)
}

/// Waits until the canary has its weight and the Rollout stands for this reason.
async fn at(world: &World, percent: f64, reason: &str) {
    world
        .until(&format!("the canary has {percent}% and the reason is {reason}"), 60, |now| {
            let rollout = now.get(Kind::Rollout, "shop")?;
            let given = share(now.get(Kind::HttpRoute, "shop")?, "shop");
            (given == percent && condition(rollout, "Ready")?.1 == reason).then_some(())
        })
        .await;
}

/// Approves the promotion, and waits until everything is as it was.
async fn approved(world: &World, before: &Value) {
    ask_as_admin(world, "Approve").await;
    world.complete("shop", "Promoted", 120).await;
    assert_as_before(world, before);
}

fn assert_as_before(world: &World, before: &Value) {
    let after = world.get(Kind::HttpRoute, "shop").unwrap();
    assert_eq!(after["spec"].to_string(), before["spec"].to_string());
    assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);
}

fn reasserted(now: &Now) -> usize {
    look::told(now, "shop", "TrafficReasserted").len()
}

#[test]
fn scenario_32_weights_that_others_reset_are_set_again_and_then_left_alone() {
    shared("fought", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let route = rich(&app);
            let (before, client) = waved(world, &app, &route).await;
            for times in 1..=LIMIT {
                // As a GitOps tool that syncs.
                world.apply(std::slice::from_ref(&route)).await;
                world
                    .until(&format!("the weight is set again, {times}"), 30, |now| {
                        let given = share(now.get(Kind::HttpRoute, "shop")?, "shop");
                        (given == 20.0 && reasserted(now) == times).then_some(())
                    })
                    .await;
            }
            let told = world.record.look(|now| look::told(now, "shop", "TrafficReasserted"));
            for times in 1..=LIMIT {
                let count = format!("HTTPRoute shop; the weight of 20% is set again ({times} of {LIMIT} times in 10m)");
                assert!(told.iter().any(|note| note.contains(&count)), "{count}: {told:?}");
            }

            world.apply(std::slice::from_ref(&route)).await;
            at(world, 0.0, "TrafficConflict").await;
            let rollout = world.get(Kind::Rollout, "shop").unwrap();
            assert_eq!(look::phase(&rollout), "Held");
            assert!(says(&rollout, "Ready").contains("HTTPRoute shop 6 times"), "{}", says(&rollout, "Ready"));
            let left_alone = |now: &Now| share(now.get(Kind::HttpRoute, "shop").unwrap(), "shop") == 0.0;
            world.stays("the route is left alone", 3, left_alone).await;
            let from = jiff::Timestamp::now();
            client.more(120).await;
            let served = client.between(from, jiff::Timestamp::now());
            assert_eq!(served.by_version.keys().collect::<Vec<_>>(), ["v1"], "stable gets everything");
            assert_eq!(world.record.look(reasserted), LIMIT);

            ask_as_admin(world, "Resume").await;
            at(world, 20.0, "AwaitingApproval").await;
            approved(world, &before).await;
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_32_a_route_that_is_deleted_mid_run_holds_it_until_it_is_back() {
    shared("routeless", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let route = rich(&app);
            let (before, client) = waved(world, &app, &route).await;
            // Without a route nobody is served, which is its owner's doing.
            assert_unharmed(&client.stop().await);
            world.succeeds(&["delete", "httproute/shop", "--wait=true"]).await;
            world
                .until("it is held and says why", 30, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    let held = condition(rollout, "Ready") == Some(("False", "TrafficConflict"));
                    (held && look::phase(rollout) == "Held").then_some(())
                })
                .await;
            let rollout = world.get(Kind::Rollout, "shop").unwrap();
            assert!(says(&rollout, "Ready").contains("HTTPRoute shop is gone"), "{}", says(&rollout, "Ready"));
            let holds = |now: &Now| {
                let rollout = now.get(Kind::Rollout, "shop").unwrap();
                look::phase(rollout) == "Held" && rollout["status"]["run"]["outcome"].is_null()
            };
            world.stays("it neither promotes nor makes a route", 3, holds).await;
            assert_eq!(world.get(Kind::HttpRoute, "shop"), None);

            world.apply(&[route]).await;
            at(world, 20.0, "AwaitingApproval").await;
            let client = Client::start(&app, 60).await;
            approved(world, &before).await;
            assert_unharmed(&client.stop().await);
        })
    });
}

/// The canary's backend as a team writes it down once and for all.
fn listing(app: &App) -> Value {
    let mut route = app.route();
    route["spec"]["rules"][0]["backendRefs"] = json!([
        {"group": "", "kind": "Service", "name": "shop-canary", "port": 80, "weight": 0},
        {"group": "", "kind": "Service", "name": "shop", "port": 80, "weight": 3},
    ]);
    route
}

#[test]
fn scenario_32_a_route_that_lists_the_canary_with_weight_0_is_the_same_at_the_end() {
    shared("listed", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let route = listing(&app);
            let (before, client) = waved(world, &app, &route).await;
            world.apply(&[route]).await;
            world
                .until("the weight is set again", 30, |now| {
                    let given = share(now.get(Kind::HttpRoute, "shop")?, "shop");
                    (given == 20.0 && reasserted(now) == 1).then_some(())
                })
                .await;
            approved(world, &before).await;
            let listed =
                |seen: &Value| seen.pointer("/spec/rules/0/backendRefs").and_then(Value::as_array).map(Vec::len);
            let history = world.record.history(Kind::HttpRoute, "shop");
            let later = history.iter().skip_while(|seen| listed(&seen.object) != Some(2));
            assert!(later.clone().count() > 3, "the route was watched");
            assert!(later.clone().all(|seen| listed(&seen.object) == Some(2)), "its backend was taken out");
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_32_of_several_rules_the_named_one_is_governed() {
    shared("named", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let mut route = rich(&app);
            route["spec"]["rules"][0]["name"] = json!("main");
            let health = json!({
                "name": "health",
                "matches": [{"path": {"type": "PathPrefix", "value": "/healthz"}}],
                "backendRefs": [{"name": "shop", "port": 80, "weight": 1}],
            });
            route["spec"]["rules"].as_array_mut().unwrap().insert(0, health.clone());
            let unnamed = waiting(&app);
            governed(world, &app, route.clone(), unnamed.clone()).await;
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").deployment()]).await;
            world
                .until("it is said that the rule must be named", 30, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    let stalled = condition(rollout, "Stalled") == Some(("True", "RouteUnsuitable"));
                    (stalled && says(rollout, "Stalled").contains("spec.traffic.routes[].rule")).then_some(())
                })
                .await;
            let mut rollout = unnamed;
            rollout["spec"]["traffic"]["routes"][0]["rule"] = json!("main");
            world.apply(&[rollout]).await;
            at(world, 20.0, "AwaitingApproval").await;
            // Rules that others put before it do not matter.
            let first = json!({"matches": [{"path": {"type": "Exact", "value": "/first"}}],
                "backendRefs": [{"name": "shop", "port": 80, "weight": 1}]});
            let add = json!([{"op": "add", "path": "/spec/rules/0", "value": first}]).to_string();
            world.succeeds(&["patch", "httproute/shop", "--type=json", "-p", &add]).await;
            let governed = |now: &Now| now.get(Kind::HttpRoute, "shop").unwrap().clone();
            let with_first = world.record.look(governed);
            approved_with(world, &with_first).await;
            assert_unharmed(&client.stop().await);
        })
    });
}

/// The same as `approved` where the route was changed during the run: everything but the governed weights stays.
async fn approved_with(world: &World, during: &Value) {
    ask_as_admin(world, "Approve").await;
    world.complete("shop", "Promoted", 120).await;
    let after = world.get(Kind::HttpRoute, "shop").unwrap();
    let rules = |route: &Value| route["spec"]["rules"].as_array().cloned().unwrap_or_default();
    let (before, after) = (rules(during), rules(&after));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        if text(before, "/name") == "main" {
            let strip = |rule: &Value| {
                let mut rule = rule.clone();
                rule.as_object_mut().unwrap().remove("backendRefs");
                rule.to_string()
            };
            assert_eq!(strip(before), strip(after));
            let backends = json!([{"group": "", "kind": "Service", "name": "shop", "port": 80, "weight": 3}]);
            assert_eq!(after["backendRefs"], backends);
        } else {
            assert_eq!(before.to_string(), after.to_string());
        }
    }
}

/// The shop speaks no gRPC: the requests come by the HTTPRoute, and the GRPCRoute is weighted beside it.
#[test]
fn a_grpc_route_is_given_the_weights_and_is_as_it_was_afterwards() {
    shared("grpc", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let grpc = json!({
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GRPCRoute",
                "metadata": {"name": "shop-grpc", "namespace": app.namespace},
                "spec": {
                    "parentRefs": [{"name": "gateway", "namespace": "gateway-system"}],
                    "hostnames": [format!("grpc.{}", app.host())],
                    "rules": [{
                        "matches": [{"method": {"service": "shop.Shop"}}],
                        "backendRefs": [{"group": "", "kind": "Service", "name": "shop", "port": 80, "weight": 1}],
                    }],
                },
            });
            world.apply(&[grpc]).await;
            let mut rollout = waiting(&app);
            rollout["spec"]["traffic"]["routes"] =
                json!([{"kind": "HTTPRoute", "name": "shop"}, {"kind": "GRPCRoute", "name": "shop-grpc"}]);
            let before = governed(world, &app, app.route(), rollout).await;
            let grpc_before = world.get(Kind::GrpcRoute, "shop-grpc").unwrap();
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").deployment()]).await;
            at(world, 20.0, "AwaitingApproval").await;
            let during = world.get(Kind::GrpcRoute, "shop-grpc").unwrap();
            assert_eq!(share(&during, "shop"), 20.0, "{}", during["spec"]["rules"]);
            let accepted = during["status"]["parents"][0]["conditions"].as_array().cloned().unwrap_or_default();
            let generation = &during["metadata"]["generation"];
            assert!(
                accepted.iter().any(|one| text(one, "/type") == "Accepted" && one["observedGeneration"] == *generation),
                "the gateway has accepted it: {accepted:?}"
            );
            approved(world, &before).await;
            let after = world.get(Kind::GrpcRoute, "shop-grpc").unwrap();
            assert_eq!(after["spec"].to_string(), grpc_before["spec"].to_string());
            assert_unharmed(&client.stop().await);
        })
    });
}
