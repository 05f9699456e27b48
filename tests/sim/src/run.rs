//! One seed from its beginning to its end.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::checks::Moment;
use crate::history::Keep;
use crate::plan::Plan;
use crate::world::World;
use crate::{cluster, objects, operators, people};

/// How a seed ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The seed.
    pub seed: u64,
    /// Invariants that did not hold; empty when all is well.
    pub violations: Vec<String>,
    /// What happened, if it was kept.
    pub lines: Vec<String>,
    /// Equal for equal histories, if it was kept.
    pub digest: u64,
    /// Seconds that were simulated.
    pub seconds: u64,
    /// What was seen, for the report.
    pub counts: crate::checks::Counts,
}

/// How long after the last fault everything must have settled, in milliseconds.
const PATIENCE: u64 = 1_200_000;
/// How long it must have settled before that counts: a watch that died may still have something to tell.
const QUIET: u64 = 35_000;
/// How long nothing may be written from then on.
const REST: u64 = 40_000;

/// Runs a seed.
pub fn seed(seed: u64, keep: Keep) -> anyhow::Result<Ended> {
    plan(Plan::of(seed), keep)
}

/// Runs a plan.
pub fn plan(plan: Plan, keep: Keep) -> anyhow::Result<Ended> {
    // The jitter of kube's backoffs comes from there.
    fastrand::seed(plan.seed);
    crate::world::forget_digests();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(simulate(plan, keep)))
}

async fn simulate(plan: Plan, keep: Keep) -> Ended {
    let (seed, calm_at, processes) = (plan.seed, plan.calm_at, plan.processes);
    let world = World::new(plan, keep);
    {
        let mut state = world.lock();
        objects::make(&world, &mut state);
    }
    let mut tasks = JoinSet::new();
    tasks.spawn(cluster::run(world.clone()));
    tasks.spawn(cluster::serve(world.clone()));
    tasks.spawn(people::run(world.clone()));
    tasks.spawn(people::turn_clocks(world.clone()));
    for place in 0..processes {
        tasks.spawn(operators::run(world.clone(), place));
    }
    tokio::time::sleep(Duration::from_millis(calm_at)).await;
    {
        let mut state = world.lock();
        state.history.tell("the weather is calm from now on");
        people::carry_out(&world, &mut state, &people::Act::Guard);
        state.skew = jiff::SignedDuration::ZERO;
    }
    // A watch that died silently is noticed by then.
    tokio::time::sleep(sluice::watch::SILENCE).await;
    let mut quiet_since = None;
    let end = loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = world.elapsed();
        let mut state = world.lock();
        people::wrap_up(&world, &mut state);
        let restless = state.checks.restless(&state.store, &state.plan);
        match (&restless, quiet_since) {
            (None, None) => {
                quiet_since = Some(now);
                state.history.tell("everything has settled");
            }
            (None, Some(since)) if now.saturating_sub(since) > QUIET + REST => break None,
            (None, Some(since)) => state.checks.rests(now.saturating_sub(since) > QUIET),
            (Some(_), _) => {
                quiet_since = None;
                state.checks.rests(false);
            }
        }
        if now > calm_at.saturating_add(PATIENCE) {
            break Some(restless.unwrap_or_else(|| "it settles and goes on again and again".to_owned()));
        }
    };
    let mut state = world.lock();
    let crate::world::State { checks, store, traffic, plan, history, .. } = &mut *state;
    match end {
        Some(why) => checks
            .violated(history, &format!("liveness: not settled {} s after the last fault: {why}", PATIENCE / 1000)),
        None => checks.finish(&Moment { store, traffic, plan, now: world.elapsed() }, history),
    }
    let ended = Ended {
        seed,
        violations: checks.violations().to_vec(),
        lines: history.lines().to_vec(),
        digest: history.digest(),
        seconds: world.elapsed() / 1000,
        counts: checks.counts().clone(),
    };
    drop(state);
    tasks.abort_all();
    ended
}
