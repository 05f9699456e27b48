//! Runs one scenario: decides whether there is a cluster to run it on, gives it a namespace of its own, and cleans up
//! whatever happens.
//!
//! Scenarios that disturb everybody (the operator killed, Prometheus stopped) run alone; all others run beside each
//! other. Owns the life of a scenario; what a scenario can do and see is in [`world`].

pub mod app;
pub mod asking;
pub mod audit;
pub mod commands;
pub mod gateway;
pub mod hostile;
pub mod install;
pub mod left;
pub mod look;
pub mod operator;
pub mod person;
pub mod prometheus;
pub mod proxy;
pub mod receiver;
pub mod record;
pub mod second;
pub mod spread;
pub mod world;

use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use futures::FutureExt;

use world::World;

static DISTURBANCE: RwLock<()> = RwLock::new(());

/// A scenario on its way.
type Scenario<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs a scenario beside others. `name` becomes a part of its namespace.
pub fn shared(name: &str, scenario: impl FnOnce(&World) -> Scenario<'_>) {
    if !has_cluster(name) {
        return;
    }
    let _beside_others = DISTURBANCE.read().unwrap_or_else(PoisonError::into_inner);
    run(name, scenario);
}

/// Runs a scenario while no other runs.
pub fn alone(name: &str, scenario: impl FnOnce(&World) -> Scenario<'_>) {
    if !has_cluster(name) {
        return;
    }
    let _alone = DISTURBANCE.write().unwrap_or_else(PoisonError::into_inner);
    run(name, scenario);
}

/// By how much what is measured may be slower than it is to be: 1, or `SLUICE_SLOWER` where the fault proxy delays every
/// request and some fail (`make chaos`).
pub fn slower() -> f64 {
    std::env::var("SLUICE_SLOWER").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1.0_f64).max(1.0)
}

/// Whether the scenario runs in a testbed. CI asks for one, and then its absence is a failure.
fn has_cluster(name: &str) -> bool {
    if std::env::var_os("SLUICE_TESTBED").is_some() {
        return true;
    }
    let why = format!("{name} skipped: it needs a cluster, run it by `make e2e` (that is, under `testbed exec`)");
    assert!(std::env::var("SLUICE_REQUIRE_CLUSTER").as_deref() != Ok("1"), "{why}");
    eprintln!("{why}");
    false
}

fn run(name: &str, scenario: impl FnOnce(&World) -> Scenario<'_>) {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let world = World::new(name).await;
        let outcome = AssertUnwindSafe(scenario(&world)).catch_unwind().await;
        let took = began.elapsed();
        if outcome.is_err() {
            world.explain().await;
        }
        world.clean_up().await;
        let word = if outcome.is_ok() { "passed" } else { "FAILED" };
        eprintln!(
            "{name}: {word} after {:.1}s, cleaned up after {:.1}s",
            took.as_secs_f64(),
            began.elapsed().as_secs_f64()
        );
        outcome
    });
    runtime.shutdown_background();
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}
