//! Scenario 23: a bad version is taken back in time while the API server answers badly, slowly or not at all, while
//! Prometheus is away, and while the queries of another Rollout hang.

use std::time::Duration;

use jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind};
use serde_json::json;
use testbed::proxy::{Effect, Fault, Filter, Proxy, When, Which};

use crate::harness::app::{App, COARSE, Plan, errors};
use crate::harness::gateway::Client;
use crate::harness::look::{self, condition, share, text, time};
use crate::harness::prometheus::Outage;
use crate::harness::proxy::{answer, between, fault, first};
use crate::harness::record::Kind;
use crate::harness::world::World;
use crate::harness::{alone, asking, audit};

/// The goal: weight 0 within so many seconds of the breaching sample, and what the fault itself costs on top.
const BOUND: f64 = 15.0;
/// How long the operator waits for an answer.
const CALL: f64 = 10.0;

/// Something that is wrong while a version is bad.
struct Trouble {
    name: &'static str,
    faults: Vec<Fault>,
    /// Seconds that a rollback takes with nothing but this in its way.
    costs: f64,
}

fn troubles() -> Vec<Trouble> {
    let half = When::Chance(0.5);
    let any = |when, effect| fault(Which::Any, when, effect);
    let writes = |when, effect| fault(Which::Writes, when, effect);
    let slow = Effect::Delay { least: Duration::from_secs(2), jitter: Duration::ZERO };
    let route =
        |effect| Fault { filter: Filter::of(Which::Writes).about("/httproutes/shop"), when: When::Next(1), effect };
    let cut = Effect::CutStream { mean: Duration::from_secs(4) };
    vec![
        Trouble { name: "none", faults: vec![], costs: 0.0 },
        Trouble { name: "every other answer is 429", faults: vec![any(half, answer(429))], costs: 0.0 },
        Trouble { name: "every other answer is 500", faults: vec![any(half, answer(500))], costs: 0.0 },
        // The intent, and the route.
        Trouble { name: "each request takes 2s more", faults: vec![any(When::Always, slow)], costs: 4.0 },
        Trouble {
            name: "the answers to half of the writes are lost",
            faults: vec![writes(half, Effect::LoseAnswer)],
            costs: 0.0,
        },
        Trouble {
            name: "half of the answers are cut, watches after 4s",
            faults: vec![
                fault(Which::Watches, When::Always, cut),
                fault(Which::Reads, half, Effect::CutAnswer),
                writes(half, Effect::CutAnswer),
            ],
            costs: 0.0,
        },
        Trouble { name: "the write of weight 0 hangs", faults: vec![route(Effect::Hang)], costs: CALL },
        Trouble { name: "weight 0 is written, the answer hangs", faults: vec![route(Effect::KeepAnswer)], costs: 0.0 },
    ]
}

/// What one rollback took.
struct Taken {
    trouble: &'static str,
    /// From the scrape that carried the breaching sample, as the operator says, to weight 0 in the route.
    after_sample: f64,
    /// From the first weight of the canary to weight 0.
    exposed: f64,
    writes: usize,
    bound: f64,
}

/// Applies a bad version, makes trouble as soon as it has weight, and ends that when its weight is 0.
async fn taken_back(world: &World, proxy: &Proxy, app: &App, trouble: Trouble) -> Taken {
    let began = Timestamp::now();
    world.apply(&[app.deployment()]).await;
    let exposed = at_share(world, "the canary has weight", |percent| percent > 0.0).await;
    for one in trouble.faults {
        let _ = proxy.add(one);
    }
    let zero = at_share(world, "the canary has no weight", |percent| percent == 0.0).await;
    proxy.clear();
    let rollout = world.complete("shop", "RolledBack", 90).await;
    assert_eq!(text(&rollout, "/status/run/reason"), "SignalBreached");
    let sample = time(&rollout, "/status/run/times/sampleAt").expect("the time of the breaching sample");
    Taken {
        trouble: trouble.name,
        after_sample: zero.duration_since(sample).as_secs_f64(),
        exposed: zero.duration_since(exposed).as_secs_f64(),
        writes: audit::writes(&world.namespace, began).len(),
        bound: BOUND + trouble.costs,
    }
}

/// Waits until the route gives the canary such a share, and returns when that was seen.
async fn at_share(world: &World, what: &str, wanted: impl Fn(f64) -> bool) -> Timestamp {
    world
        .until(what, 60, |now| {
            let route = now.get(Kind::HttpRoute, "shop")?;
            wanted(share(route, "shop")).then(Timestamp::now)
        })
        .await
}

fn plan() -> Plan {
    let signals = errors("2%", 20, 2);
    Plan { waves: vec![(50, "30s")], evidence: COARSE, signals, drain: "2s", ..Plan::default() }
}

fn judge(all: &[Taken]) {
    eprintln!(
        "scenario 23: seconds to weight 0, from the breaching sample and from the first weight; writes of the rollout"
    );
    for Taken { trouble, after_sample, exposed, writes, bound } in all {
        eprintln!("scenario 23: {trouble:46} {after_sample:6.2}s of {bound:2}s {exposed:6.2}s {writes:3} writes");
    }
    for one in all {
        assert!(one.after_sample >= 0.0, "weight 0 before the sample: the clocks differ");
        assert!(one.after_sample < one.bound, "{}: {:.2}s", one.trouble, one.after_sample);
    }
}

#[test]
fn scenario_23_a_bad_version_is_taken_back_whatever_the_api_server_answers() {
    alone("harmed", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            world.adopt(&app, &plan()).await;
            let client = Client::start(&app, 60).await;
            let pods = world.record.look(|now| look::stable_pods(now, "shop"));
            let mut taken = Vec::new();
            between(world, async |proxy| {
                for (number, trouble) in troubles().into_iter().enumerate() {
                    let bad = app.version(&format!("bad-{number}")).env("ERROR_RATE", "10%");
                    taken.push(taken_back(world, proxy, &bad, trouble).await);
                }
                let account = proxy.account();
                eprintln!("scenario 23: {account:?}");
                for struck in ["answered 429", "answered 500", "delayed", "answer lost", "cut in mid-answer"] {
                    assert!(account.faults.contains_key(struck), "{struck}: {account:?}");
                }
            })
            .await;
            let number = taken.len();
            judge(&taken);
            let (releases, reworks) =
                world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
            assert_eq!((releases.len(), reworks.len()), (number, number), "one record of each");
            assert_eq!(world.record.look(|now| look::stable_pods(now, "shop")), pods);
            let served = client.stop().await;
            assert_eq!((served.by_version["v1"].failed, served.by_status.get("error")), (0, None), "{served:#?}");
        })
    });
}
