//! Routes in other shapes than the usual one, through whole rollouts in the toy world.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use sluice::api::{Outcome, Phase, RouteKind, Step};
use sluice::watch::{Freshness, Sight, stores};

use crate::scenarios::{adopted_with, play};
use crate::world::{Behaviour, World, rollout_spec};

fn backend(name: &str, weight: u32) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight})
}

/// A world at rest whose route lists the canary with weight 0, and the route as it was.
fn listing() -> (World, Value, String) {
    let (mut world, transcript) = adopted_with(rollout_spec());
    world.edit_route(|route| {
        route["spec"]["rules"][0]["backendRefs"] = json!([backend("shop-canary", 0), backend("shop", 3)]);
    });
    let before = world.route["spec"].clone();
    (world, before, transcript)
}

#[test]
fn a_canary_that_is_listed_with_weight_0_is_kept() {
    for errors in [0.0, 0.05] {
        let (mut world, before, mut transcript) = listing();
        world.behave("v2", Behaviour { errors, ..Behaviour::default() });
        world.apply("v2");
        let mut most: f64 = 0.0;
        for _ in 0..90 {
            play(&mut world, 1, &mut transcript);
            most = most.max(world.share());
            assert!(world.weights().contains_key("shop-canary"), "{transcript}");
        }
        let (phase, share) = if errors > 0.0 { (Phase::RolledBack, 10.0) } else { (Phase::Promoted, 50.0) };
        assert_eq!((world.status.phase, most), (phase, share), "{transcript}");
        assert_eq!(world.route["spec"].to_string(), before.to_string(), "{transcript}");
        assert!(!world.has_canary() && !world.canary_service, "{transcript}");
    }
}

#[test]
fn a_listed_canary_that_is_reset_in_mid_run_is_set_again() {
    let (mut world, before, mut transcript) = listing();
    world.apply("v2");
    while world.status.run.as_ref().is_none_or(|run| run.weight < 25 || run.step != Step::Baking) {
        play(&mut world, 1, &mut transcript);
    }
    world.edit_route(|route| route["spec"] = before.clone());
    assert_eq!(world.share(), 0.0);
    play(&mut world, 2, &mut transcript);
    assert_eq!(world.share(), 25.0, "{transcript}");
    play(&mut world, 90, &mut transcript);
    assert_eq!(world.status.phase, Phase::Promoted, "{transcript}");
    assert_eq!(world.route["spec"].to_string(), before.to_string());
}

#[test]
fn a_listed_canary_with_a_weight_is_refused() {
    let (mut world, _, mut transcript) = listing();
    world.edit_route(|route| route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(4));
    world.apply("v2");
    play(&mut world, 10, &mut transcript);
    assert_eq!((world.status.phase, world.has_canary()), (Phase::Stalled, false), "{transcript}");
    assert!(world.status.message.contains("gives Service shop-canary the weight 4"), "{}", world.status.message);
    // It heals when the weight goes.
    world.edit_route(|route| route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(0));
    play(&mut world, 90, &mut transcript);
    assert_eq!(world.status.phase, Phase::Promoted, "{transcript}");
}

#[test]
fn a_named_rule_is_governed_wherever_it_stands() {
    let mut spec = rollout_spec();
    spec.traffic.routes[0].rule = Some("main".into());
    let (mut world, mut transcript) = adopted_with(spec);
    let health = json!({"name": "health", "backendRefs": [backend("shop", 1)]});
    world.edit_route(|route| route["spec"]["rules"][0]["name"] = json!("main"));
    world.apply("v2");
    while world.status.run.as_ref().is_none_or(|run| run.weight < 25 || run.step != Step::Baking) {
        play(&mut world, 1, &mut transcript);
    }
    assert_eq!(world.share(), 25.0, "{transcript}");
    world.edit_route(|route| route["spec"]["rules"].as_array_mut().unwrap().insert(0, health.clone()));
    play(&mut world, 90, &mut transcript);
    assert_eq!(world.status.run.as_ref().unwrap().outcome, Some(Outcome::Promoted), "{transcript}");
    let mut expected = World::new().route["spec"].clone();
    expected["rules"][0]["name"] = json!("main");
    expected["rules"].as_array_mut().unwrap().insert(0, health);
    assert_eq!(world.route["spec"], expected);
}

#[test]
fn several_rules_without_a_name_say_what_to_do() {
    let (mut world, mut transcript) = adopted_with(rollout_spec());
    world.edit_route(|route| {
        let rules = route["spec"]["rules"].as_array_mut().unwrap();
        rules.push(json!({"name": "health", "backendRefs": [backend("shop", 1)]}));
        rules[0]["name"] = json!("main");
    });
    world.apply("v2");
    play(&mut world, 10, &mut transcript);
    assert!(world.status.message.contains("name the one to govern"), "{}", world.status.message);
    world.spec.traffic.routes[0].rule = Some("main".into());
    play(&mut world, 90, &mut transcript);
    assert_eq!(world.status.phase, Phase::Promoted, "{transcript}");
}

#[test]
fn a_grpc_route_is_governed_like_an_http_route() {
    let mut spec = rollout_spec();
    spec.traffic.routes[0].kind = RouteKind::GRPCRoute;
    let mut world = World::new();
    world.route_kind = RouteKind::GRPCRoute;
    world.spec = spec;
    let mut transcript = String::new();
    play(&mut world, 5, &mut transcript);
    world.apply("v2");
    play(&mut world, 90, &mut transcript);
    assert_eq!(world.status.phase, Phase::Promoted, "{transcript}");
    assert_eq!(world.route["spec"], World::new().route["spec"]);
}

#[test]
fn a_route_is_its_kind_and_its_name() {
    let mut spec = rollout_spec();
    spec.traffic.routes[0].kind = RouteKind::GRPCRoute;
    let mut world = World::new();
    world.spec = spec;
    play(&mut world, 5, &mut String::new());
    let absent = &world.status.message;
    assert!(absent.contains("GRPCRoute shop does not exist in namespace demo"), "{absent}");
    let mut snapshot = world.snapshot();
    snapshot.unserved.push(RouteKind::GRPCRoute);
    let unserved = sluice::decide::decide(&snapshot).status.message;
    assert!(unserved.contains("this cluster does not serve GRPCRoute"), "{unserved}");
}

/// A client of an API server that has no objects, and serves GRPCRoutes only while `served` says so.
fn empty_cluster(served: Arc<AtomicBool>) -> Client {
    let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    tokio::spawn(async move {
        let mut handle = pin!(handle);
        let mut watches = Vec::new();
        while let Some((request, send)) = handle.next_request().await {
            let uri = request.uri().to_string();
            if uri.contains("/grpcroutes") && !served.load(Ordering::SeqCst) {
                let body = Body::from(b"404 page not found\n".to_vec());
                send.send_response(Response::builder().status(404).body(body).unwrap());
            } else if uri.contains("watch=") {
                watches.push(send); // nothing ever happens
            } else {
                let list =
                    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": []});
                send.send_response(Response::new(Body::from(list.to_string().into_bytes())));
            }
        }
    });
    Client::new(service, "demo")
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_grpc_routes_is_watched_all_the_same() {
    let (served, freshness) = (Arc::new(AtomicBool::new(false)), Freshness::default());
    let (wake, _woken) = tokio::sync::mpsc::channel(1);
    let (stores, tasks) = stores(&empty_cluster(served.clone()), &Sight::default(), &freshness, &wake);
    for (_, task) in tasks {
        tokio::spawn(task);
    }
    let reached = async |done: &dyn Fn() -> bool| {
        // The clock of the test goes on by itself while everyone waits.
        while !done() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let most = Duration::from_secs(120);
    tokio::time::timeout(most, reached(&|| freshness.missing().is_empty())).await.unwrap();
    assert!(!freshness.serves("GRPCRoute") && freshness.serves("HTTPRoute"));
    assert_eq!(freshness.all()["GRPCRoute"].errors, 0, "it is no error");
    served.store(true, Ordering::SeqCst);
    tokio::time::timeout(most, reached(&|| freshness.serves("GRPCRoute"))).await.unwrap();
    tokio::time::timeout(most, freshness.complete()).await.unwrap();
    tokio::time::timeout(most, reached(&|| freshness.all()["GRPCRoute"].ready)).await.unwrap();
    assert!(stores.grpc_routes.state().is_empty());
}
