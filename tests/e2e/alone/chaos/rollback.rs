//! Scenario 23: a bad version is taken back in time while the API server answers badly, slowly or not at all.

use std::time::Duration;

use jiff::Timestamp;
use testbed::proxy::{Effect, Fault, Filter, Proxy, When, Which};

use crate::harness::app::{App, COARSE, Plan, errors};
use crate::harness::gateway::Client;
use crate::harness::look::{self, share, text, time};
use crate::harness::proxy::{answer, between, fault};
use crate::harness::record::Kind;
use crate::harness::world::World;
use crate::harness::{alone, audit};

/// The goal: weight 0 within so many seconds of the breaching sample, and what the fault itself costs on top.
pub const BOUND: f64 = 15.0;
/// How long the operator waits for an answer.
pub const CALL: f64 = 10.0;

/// How long the operator waits for a word of a watch.
const SILENCE: f64 = 30.0;

/// Writes of the weight.
pub fn of_the_route() -> Filter {
    Filter::of(Which::Writes).about("/httproutes/shop")
}

/// Something that is wrong while a version is bad.
struct Trouble {
    name: &'static str,
    faults: Vec<Fault>,
    /// Seconds that a rollback takes with nothing but this in its way.
    costs: f64,
}

fn troubles() -> Vec<Trouble> {
    // Whatever the dice say, the first request is struck.
    let half = |which, effect| vec![fault(which, When::Next(1), effect), fault(which, When::Chance(0.5), effect)];
    let slow = Effect::Delay { least: Duration::from_secs(2), jitter: Duration::ZERO };
    let route = |effect| vec![Fault { filter: of_the_route(), when: When::Next(1), effect }];
    let cut = fault(Which::Watches, When::Always, Effect::CutStream { mean: Duration::from_secs(4) });
    let cuts = [vec![cut], half(Which::Reads, Effect::CutAnswer), half(Which::Writes, Effect::CutAnswer)].concat();
    let gone = fault(Which::Watches, When::Next(1), Effect::CutStream { mean: Duration::ZERO });
    // Of two replicas that watch 19 kinds each.
    let hang = vec![gone, fault(Which::Watches, When::Next(38), Effect::Hang)];
    let of = |name, faults, costs| Trouble { name, faults, costs };
    vec![
        of("none", vec![], 0.0),
        of("every other answer is 429", half(Which::Any, answer(429)), 0.0),
        of("every other answer is 500", half(Which::Any, answer(500)), 0.0),
        // The intent, and the route.
        of("each request takes 2s more", vec![fault(Which::Any, When::Always, slow)], 4.0),
        of("the answers to half of the writes are lost", half(Which::Writes, Effect::LoseAnswer), 0.0),
        of("half of the answers are cut, and all watches", cuts, 0.0),
        of("all watches are cut, and hang once when begun again", hang, SILENCE),
        of("the write of weight 0 hangs", route(Effect::Hang), CALL),
        of("weight 0 is written, the answer hangs", route(Effect::KeepAnswer), 0.0),
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
    let (struck, harmless) = (proxy.account().faults, trouble.faults.is_empty());
    let cuts = trouble.faults.iter().any(|one| matches!(one.effect, Effect::CutStream { .. }));
    for one in trouble.faults {
        let _ = proxy.add(one);
    }
    if cuts {
        proxy.cut_watches();
    }
    let zero = at_share(world, "the canary has no weight", |percent| percent == 0.0).await;
    proxy.clear();
    assert_eq!(proxy.account().faults == struck, harmless, "{}: {:?}", trouble.name, proxy.account());
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
pub async fn at_share(world: &World, what: &str, wanted: impl Fn(f64) -> bool) -> Timestamp {
    world
        .until(what, 60, |now| {
            let route = now.get(Kind::HttpRoute, "shop")?;
            wanted(share(route, "shop")).then(Timestamp::now)
        })
        .await
}

pub fn plan() -> Plan {
    let signals = errors("2%", 20, 2);
    Plan { waves: vec![(50, "30s")], evidence: COARSE, signals, drain: "2s", ..Plan::default() }
}

fn judge(all: &[Taken]) {
    eprintln!(
        "scenario 23: seconds to weight 0, from the breaching sample and from the first weight; writes of the rollout"
    );
    for Taken { trouble, after_sample, exposed, writes, bound } in all {
        eprintln!("scenario 23: {trouble:52} {after_sample:6.2}s of {bound:2}s {exposed:6.2}s {writes:3} writes");
    }
    for one in all {
        assert!(one.after_sample >= 0.0, "weight 0 before the sample: the clocks differ");
        assert!(one.after_sample < one.bound, "{}: {:.2}s", one.trouble, one.after_sample);
    }
}

/// How often each trouble is tried.
fn times() -> usize {
    std::env::var("SLUICE_ROLLBACKS").ok().and_then(|times| times.parse().ok()).unwrap_or(1).clamp(1, 20)
}

#[test]
fn scenario_23_a_bad_version_is_taken_back_whatever_the_api_server_answers() {
    let times = times();
    alone("harmed", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            world.adopt(&app, &plan()).await;
            let pods = world.record.look(|now| look::stable_pods(now, "shop"));
            let mut taken = Vec::new();
            between(world, async |proxy| {
                for _ in 0..times {
                    let client = Client::start(&app, 60).await;
                    for trouble in troubles() {
                        let bad = app.version(&format!("bad-{}", taken.len())).env("ERROR_RATE", "10%");
                        taken.push(taken_back(world, proxy, &bad, trouble).await);
                    }
                    let served = client.stop().await;
                    assert_eq!(
                        (served.by_version["v1"].failed, served.by_status.get("error")),
                        (0, None),
                        "{served:#?}"
                    );
                }
                eprintln!("scenario 23: {:?}", proxy.account());
            })
            .await;
            let number = taken.len();
            judge(&taken);
            let (releases, reworks) =
                world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
            assert_eq!((releases.len(), reworks.len()), (number, number), "one record of each");
            assert_eq!(world.record.look(|now| look::stable_pods(now, "shop")), pods);
        })
    });
}
