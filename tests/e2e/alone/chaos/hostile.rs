//! Scenario 36: objects that cannot be read, that contradict themselves, that are absurdly large, and providers that
//! answer anything, beside a good release: it takes as long as without them, nobody notices, and the operator lives on.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::FutureExt;
use serde_json::{Value, json};

use crate::harness::app::{App, COARSE, Plan};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::hostile::{Says, Server, server};
use crate::harness::look::{self, condition, number, percents, text, weights};
use crate::harness::record::Kind;
use crate::harness::world::World;
use crate::harness::{alone, operator};

/// The most that the operator may use: the limit of `deploy/base/operator.yaml`.
const MEMORY_KIB: u64 = 128 * 1024;
const CRD: &str = "rollouts.sluice.dev";

/// Releases a good version of the shop; returns the seconds.
async fn released(world: &World, app: &App, attempt: u64) -> f64 {
    let began = Instant::now();
    world.apply(&[app.deployment()]).await;
    world
        .until(&format!("attempt {attempt} is promoted"), 120, |now| {
            let rollout = now.get(Kind::Rollout, "shop")?;
            let own = number(rollout, "/status/attempts") == attempt && look::at_rest(rollout);
            (own && condition(rollout, "Complete") == Some(("True", "Promoted"))).then_some(())
        })
        .await;
    began.elapsed().as_secs_f64()
}

/// Rollouts that pass the schema and make no sense, or ask for much.
fn senseless(world: &World) -> Vec<Value> {
    let plan = Plan::default();
    let of = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut rollout = world.app(name).rollout(&plan);
        change(&mut rollout);
        rollout
    };
    let quotes = "\"} or vector(0) # {{namespace}} \\ \n'`";
    vec![
        of("no-target", &|rollout| rollout["spec"]["targetRef"]["name"] = json!("a.b.c-d.e")),
        of("its-canary", &|rollout| rollout["spec"]["targetRef"]["name"] = json!("shop-canary")),
        of("no-route", &|rollout| rollout["spec"]["traffic"]["routes"][0]["name"] = json!("absurd")),
        of("large", &|rollout| rollout["metadata"]["annotations"] = json!({"note": "x".repeat(200_000)})),
        of("promql", &|rollout| {
            rollout["spec"]["owner"] = json!({"team": quotes, "contact": quotes});
            rollout["spec"]["analysis"]["signals"] = json!([{"name": "own", "query": {"promql": quotes, "max": "1"}}]);
        }),
    ]
}

/// A route with as many rules and backends as the Gateway API takes, none of which exists.
fn absurd_route(world: &World) -> Value {
    let backends: Vec<Value> =
        (0..16).map(|n| json!({"name": format!("gone-{n}"), "port": 80, "weight": 1_000_000})).collect();
    let rules: Vec<Value> = (0..16).map(|_| json!({"backendRefs": backends})).collect();
    let mut route = world.app("absurd").route();
    route["spec"]["rules"] = json!(rules);
    route["metadata"]["annotations"] = json!({"note": "y".repeat(200_000)});
    route
}

/// A provider for each server, and a shop under a Rollout that asks it, with a new version at the door.
async fn ask(world: &World, name: &str, server: &Server) {
    let provider = json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "MetricsProvider",
        "metadata": {"name": format!("{}-{name}", world.namespace)},
        "spec": {"address": server.address, "scrapeInterval": "1s"},
    });
    let app = world.app(name).replicas(1);
    world.apply(&[provider]).await;
    world.deploy(&app).await;
    world.adopt(&app, &Plan { provider: format!("{}-{name}", world.namespace), ..Plan::default() }).await;
    world.apply(&[app.version("v2").deployment()]).await;
}

/// Stores Rollouts that no schema would let in: without one, and with it again before this returns.
async fn smuggle(world: &World) {
    let saved: Value = serde_json::from_str(&world.succeeds(&["get", "crd", CRD, "-o", "json"]).await).unwrap();
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let patch = json!([
        {"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": open},
        {"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"},
    ]);
    let part = AssertUnwindSafe(async {
        world.succeeds(&["patch", "crd", CRD, "--type=json", "-p", &patch.to_string()]).await;
        let named = |name: &str, spec: Value| {
            json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
                "metadata": {"name": name, "namespace": world.namespace}, "spec": spec})
        };
        let smuggled = [
            named("words", json!("no object")),
            named("empty", json!({})),
            named("waves", json!({"waves": "many", "targetRef": 9})),
        ];
        for one in smuggled {
            let text = one.to_string();
            let deadline = Instant::now() + Duration::from_secs(20);
            // The API server takes a new schema into use when it likes.
            loop {
                let ended = world.kubectl(&["create", "--validate=false", "-f", "-"], Some(text.clone())).await;
                if ended.ok {
                    break;
                }
                assert!(Instant::now() < deadline, "{} is not let in: {}", text, ended.err);
            }
        }
    });
    let outcome = part.catch_unwind().await;
    let spec = json!([{"op": "replace", "path": "/spec/versions", "value": saved["spec"]["versions"]}]);
    world.succeeds(&["patch", "crd", CRD, "--type=json", "-p", &spec.to_string()]).await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Waits until the operator says of each that it cannot be read: no status would be let in that says so.
async fn until_unreadable(world: &World, names: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = operator::log(&world.client, 2000).await;
        let said = |name: &&&str| {
            let object = format!("/{name}.{}", world.namespace);
            log.lines().any(|line| line.contains("a Rollout cannot be read") && line.contains(&object))
        };
        let missing: Vec<_> = names.iter().filter(|name| !said(name)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "the operator does not say that {missing:?} cannot be read");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn memory(world: &World, when: &str) -> Vec<operator::Memory> {
    let memory = operator::memory(&world.client).await;
    for one in &memory {
        eprintln!("scenario 36: {when}: {} uses {} KiB, at most {} KiB", one.pod, one.now_kib, one.most_kib);
    }
    memory
}

#[test]
fn scenario_36_hostile_objects_disturb_nobody_else() {
    alone("hostile", |world| {
        Box::pin(async move {
            operator::complete(&world.client).await;
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            let plan = Plan { waves: vec![(20, "3s"), (50, "3s")], evidence: COARSE, ..Plan::default() };
            world.adopt(&app, &plan).await;
            let client = Client::start(&app, 80).await;
            let usual = released(world, &app.version("v2"), 1).await;
            let before = memory(world, "before").await;

            let servers = [
                ("nothing", server(Says::Nothing)),
                ("garbage", server(Says::Garbage)),
                ("nested", server(Says::Nested)),
                ("too-much", server(Says::TooMuch)),
            ];
            for (name, server) in &servers {
                ask(world, name, server).await;
            }
            let absurd = world.kubectl(&["create", "-f", "-"], Some(absurd_route(world).to_string())).await;
            assert!(absurd.ok, "{}", absurd.err);
            for rollout in senseless(world) {
                let ended = world.kubectl(&["create", "-f", "-"], Some(rollout.to_string())).await;
                eprintln!(
                    "scenario 36: {} is let in: {} {}",
                    text(&rollout, "/metadata/name"),
                    ended.ok,
                    ended.err.trim()
                );
            }
            smuggle(world).await;
            until_unreadable(world, &["words", "empty", "waves"]).await;
            for (name, reason) in [("nothing", "QueryTimeout"), ("too-much", "AnswerTooLarge")] {
                world.unreadable(name, reason, &[], 60).await;
            }
            let beside = released(world, &app.version("v3"), 2).await;
            let after = memory(world, "after").await;
            let taken = servers[3].1.taken.load(Ordering::Relaxed) / 1024;
            eprintln!(
                "scenario 36: a release took {usual:.1}s, beside hostile objects {beside:.1}s; {taken} KiB of endless answers were taken"
            );
            assert!(beside < usual * 1.5 + 5.0, "{beside:.1}s instead of {usual:.1}s");
            let lives = |all: &[operator::Memory]| -> Vec<(String, i32)> {
                all.iter().map(|one| (one.pod.clone(), one.restarts)).collect()
            };
            assert_eq!(lives(&after), lives(&before), "the operator did not restart");
            assert!(after.iter().all(|one| one.most_kib < MEMORY_KIB), "{after:?}");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 50.0, 0.0, 20.0, 50.0, 0.0]);
            for name in ["nothing", "garbage", "nested", "too-much"] {
                assert_eq!(world.get(Kind::Deployment, &format!("{name}-canary")), None, "nothing was started blindly");
            }
            assert_unharmed(&client.stop().await);
            for (name, _) in &servers {
                world.succeeds(&["delete", "rollouts.sluice.dev", name, "--wait=false"]).await;
                world
                    .succeeds(&["delete", "metricsproviders.sluice.dev", &format!("{}-{name}", world.namespace)])
                    .await;
            }
        })
    });
}
