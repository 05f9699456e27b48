//! Scenario 31: of two replicas the one that decides is killed, told to stop, or stopped in mid-write; the other one
//! takes over, and nothing is done twice.

use std::time::Duration;

use jiff::Timestamp;

use crate::alone::killed::assert_recorded_once;
use crate::harness::app::Plan;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, percents, weights};
use crate::harness::operator::Leader;
use crate::harness::record::Kind;
use crate::harness::spread::Spread;
use crate::harness::world::World;
use crate::harness::{alone, audit, operator, slower};

/// The longest that nobody may decide after a leader was killed: the Lease, and a request or two.
const AFTER_KILL: f64 = 20.0;
/// The same when the leader could release it.
const AFTER_STOP: f64 = 2.0;

/// Kills the leader's process, and gives it a successor when another has taken over. Returns the new leader, the time of the kill, and the seconds in between.
async fn kill(world: &World) -> (Leader, Timestamp, f64) {
    let before = operator::leader(&world.client).await;
    let at = Timestamp::now();
    operator::kill_process(&world.client).await;
    let after = operator::taken_over(&world.client, &before, 40).await;
    assert_ne!(after.pod, before.pod, "the other replica is faster than one that has just been started");
    let seconds = after.seen.duration_since(at).as_secs_f64();
    // The kubelet starts a container that was killed often later each time; that of a new Pod it starts at once.
    operator::remove(&world.client, &before.pod).await;
    operator::complete(&world.client).await;
    (after, at, seconds)
}

/// Deletes the leader's Pod with its grace. Returns the seconds from the request to the new leader.
async fn stop(world: &World) -> f64 {
    let before = operator::leader(&world.client).await;
    let at = Timestamp::now();
    operator::terminate(&world.client, &before.pod).await;
    let after = operator::taken_over(&world.client, &before, 40).await;
    after.seen.duration_since(at).as_secs_f64()
}

fn judge(what: &str, seconds: Vec<f64>, limit: f64) {
    let Spread { most, .. } = Spread::told(&format!("scenario 31: from {what} to the Lease's new holder"), seconds);
    assert!(most < limit * slower(), "from {what} to the new holder: {most:.2}s, at most {limit}s are allowed");
}

#[test]
fn scenario_31_the_other_replica_takes_over() {
    let times =
        std::env::var("SLUICE_TAKEOVERS").ok().and_then(|times| times.parse().ok()).unwrap_or(1_usize).clamp(1, 20);
    alone("takeover", |world| {
        Box::pin(async move {
            operator::complete(&world.client).await;
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan { waves: vec![(20, "10s"), (50, "20s")], drain: "6s", ..Plan::default() }).await;
            let client = Client::start(&app, 80).await;
            world.apply(&[app.version("v2").deployment()]).await;

            world.phase("shop", "Baking", 60).await;
            let (next, at, after_kill) = kill(world).await;
            world
                .until("the second wave has its weight", 60, |now| {
                    (look::share(now.get(Kind::HttpRoute, "shop")?, "shop") > 49.0).then_some(())
                })
                .await;
            let writes = audit::writes_of(&next.pod, &world.namespace, at);
            let first = writes.first().expect("the new leader writes");
            let until_write = first.at.duration_since(at).as_secs_f64();
            eprintln!("scenario 31: from kill -9 to the first write ({}): {until_write:.2}s", first.what);
            assert!(until_write < AFTER_KILL * slower(), "{until_write:.2}s");
            let after_stop = stop(world).await;

            world.complete("shop", "Promoted", 120).await;
            let seen = weights(&world.record, "shop");
            assert_eq!(percents(&seen), [0.0, 20.0, 50.0, 0.0], "none that was not decided, none twice: {seen:?}");
            assert_recorded_once(world, "Promoted", 0);
            assert_unharmed(&client.stop().await);

            let (mut kills, mut stops) = (vec![after_kill], vec![after_stop]);
            for _ in 1..times {
                operator::complete(&world.client).await;
                kills.push(kill(world).await.2);
                stops.push(stop(world).await);
            }
            operator::complete(&world.client).await;
            judge("kill -9", kills, AFTER_KILL);
            judge("SIGTERM", stops, AFTER_STOP);
        })
    });
}

/// The kubelet asks every 10 s whether the process lives and kills it after the third time, so 20 s after it was stopped
/// at the earliest. The other replica has taken over by then, and the stopped one goes on before.
#[test]
fn scenario_31_a_leader_that_slept_writes_nothing_when_it_wakes() {
    alone("asleep", |world| {
        Box::pin(async move {
            operator::complete(&world.client).await;
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan { waves: vec![(10, "3s"), (50, "3s")], drain: "6s", ..Plan::default() }).await;
            let client = Client::start(&app, 80).await;
            let leader = operator::leader(&world.client).await;
            world.apply(&[app.version("v2").deployment()]).await;

            world.phase("shop", "Shifting", 60).await;
            let slept = Timestamp::now();
            let asleep = operator::halt(&world.client, &leader.pod).await;
            let next = operator::taken_over(&world.client, &leader, 40).await;
            let seconds = next.seen.duration_since(slept).as_secs_f64();
            eprintln!("scenario 31: from SIGSTOP to the Lease's new holder: {seconds:.2}s");
            assert!(seconds < AFTER_KILL * slower(), "{seconds:.2}s");
            // What the stopped one had sent has long been seen; what is newer is of the new leader.
            let later = slept + Duration::from_secs(5);
            let history = world.record.history(Kind::Rollout, "shop");
            let left = history.iter().rfind(|seen| seen.at < later).expect("the Rollout").version.to_string();
            world
                .until("the new leader writes", 30, |now| {
                    (look::text(now.get(Kind::Rollout, "shop")?, "/metadata/resourceVersion") != left).then_some(())
                })
                .await;
            let woke = Timestamp::now();
            asleep.resume();
            let code = operator::ended(&world.client, &leader.pod, later, 30).await;
            let stopped = woke.duration_since(slept).as_secs_f64();
            assert_eq!(code, 1, "it ends by itself and says that this was no success; stopped for {stopped:.1}s");

            world.complete("shop", "Promoted", 120).await;
            let writes = audit::writes_of(&leader.pod, &world.namespace, woke);
            assert!(writes.is_empty(), "written after it woke: {writes:?}");
            assert!(!audit::writes_of(&next.pod, &world.namespace, slept).is_empty(), "the log names Pods");
            let seen = weights(&world.record, "shop");
            assert_eq!(percents(&seen), [0.0, 10.0, 50.0, 0.0], "{seen:?}");
            assert_recorded_once(world, "Promoted", 0);
            assert_unharmed(&client.stop().await);
            operator::complete(&world.client).await;
        })
    });
}
