//! The fault proxy between the operator and the API server, for scenarios that run alone.
//!
//! Every replica is started anew behind it, and anew without it at the end, whatever happens meanwhile: what has failed
//! often waits long before it tries again, and the next scenario must not pay for that.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use testbed::cluster::Layout;
use testbed::proxy::{Effect, Fault, Filter, Proxy, Struck, When, Which};

use super::operator;
use super::world::World;

/// The seed of the dice: `SLUICE_SEED`, or 1.
pub fn seed() -> u64 {
    std::env::var("SLUICE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// Runs a part of a scenario with the proxy in between.
pub async fn between(world: &World, part: impl AsyncFnOnce(&Proxy)) {
    let name = std::env::var("SLUICE_TESTBED").expect("a testbed");
    let proxy = Proxy::start(&Layout::new(&name).expect("a testbed"), seed()).expect("a proxy");
    eprintln!("the operator's requests pass the fault proxy, SLUICE_SEED={}", seed());
    let outcome = AssertUnwindSafe(async {
        operator::renew(&world.client).await;
        assert!(proxy.account().watches > 0, "the operator does not pass the proxy: {:?}", proxy.account());
        part(&proxy).await;
    })
    .catch_unwind()
    .await;
    if outcome.is_err() {
        world.explain().await;
        eprintln!("{:#?}", proxy.account());
    }
    drop(proxy);
    operator::renew(&world.client).await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// A fault of everybody's requests.
pub fn fault(which: Which, when: When, effect: Effect) -> Fault {
    Fault { filter: Filter::of(which), when, effect }
}

pub const fn answer(status: u16) -> Effect {
    Effect::Answer { status, retry_after: if status == 429 { Some(1) } else { None } }
}

/// What a fault strikes first.
pub async fn first(struck: &mut Struck, what: &str, seconds: u64) -> testbed::proxy::Hit {
    match tokio::time::timeout(Duration::from_secs(seconds), struck.first()).await {
        Ok(Some(hit)) => hit,
        Ok(None) => panic!("the faults were ended before {what}"),
        Err(_) => panic!("waited {seconds}s until {what}"),
    }
}
