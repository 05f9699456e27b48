//! Scenario 31: the leader is cut off from the API server in the middle of a write. Another one takes over, and what the
//! first one had sent arrives when it is too late.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use testbed::proxy::{Effect, Fault, Filter, Proxy, When};

use super::rollback::of_the_route;
use crate::alone::killed::assert_recorded_once;
use crate::harness::app::{COARSE, Plan};
use crate::harness::asking::ask_as_admin;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{percents, share, weights};
use crate::harness::operator::Leader;
use crate::harness::proxy::{between, first};
use crate::harness::record::Kind;
use crate::harness::world::World;
use crate::harness::{alone, audit, operator};

/// The goal: so many seconds until another one decides.
const TAKEOVER: f64 = 20.0;

/// Cuts the leader off in the middle of its next write of the weight, and waits until another one leads. Returns the one
/// that was cut off, the new one, and when it was cut off.
async fn cut_off(world: &World, proxy: &Proxy) -> (Leader, Leader, Timestamp) {
    let leader = operator::leader(&world.client).await;
    let from = Some(operator::address(&world.client, &leader.pod).await);
    let filter = Filter { from, ..of_the_route() };
    let mut struck = proxy.add(Fault { filter, when: When::Nth(1), effect: Effect::CutOff });
    first(&mut struck, "the leader writes a weight", 60).await;
    let at = Timestamp::now();
    let next = operator::taken_over(&world.client, &leader, 40).await;
    let seconds = next.seen.duration_since(at).as_secs_f64();
    eprintln!("scenario 31: from the cut to the Lease's new holder: {seconds:.2}s");
    assert!(seconds < TAKEOVER, "{seconds:.2}s");
    assert_ne!(next.pod, leader.pod);
    (leader, next, at)
}

/// Lets the one that was cut off in again, and waits until what it had sent has arrived. Returns what arrived.
async fn late_writes(world: &World, proxy: &Proxy, of: &Leader) -> Vec<audit::Write> {
    let since = Timestamp::now();
    proxy.let_in();
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        // The log is a file of somebody else's: it tells nobody that it has grown.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let late = audit::writes_of(&of.pod, &world.namespace, since);
        if late.iter().any(|write| write.what.contains("httproutes")) {
            return late;
        }
        assert!(Instant::now() < deadline, "the late write has arrived: {late:?}");
    }
}

#[test]
fn scenario_31_the_leader_is_cut_off_in_the_middle_of_a_write() {
    alone("cut-off", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            let plan = Plan { waves: vec![(20, "5s"), (50, "3s")], evidence: COARSE, ..Plan::default() };
            world.adopt(&app, &plan).await;
            let client = Client::start(&app, 60).await;
            between(world, async |proxy| {
                world.apply(&[app.version("v2").deployment()]).await;
                let (cut, next, at) = cut_off(world, proxy).await;
                world
                    .until("the new leader has given the canary its weight", 30, |now| {
                        (share(now.get(Kind::HttpRoute, "shop")?, "shop") == 20.0).then_some(())
                    })
                    .await;
                let writes = audit::writes_of(&next.pod, &world.namespace, at);
                let wrote = writes.first().expect("the new leader writes");
                let seconds = wrote.at.duration_since(at).as_secs_f64();
                eprintln!("scenario 31: from the cut to the first write ({}): {seconds:.2}s", wrote.what);
                assert!(seconds < TAKEOVER, "{seconds:.2}s");
                let late = late_writes(world, proxy, &cut).await;
                eprintln!("scenario 31: arrived late: {late:?}");
                let landed: Vec<_> = late.iter().filter(|write| write.code < 300).collect();
                assert!(landed.is_empty(), "carried out though another one decides: {landed:?}");
                world.complete("shop", "Promoted", 90).await;
            })
            .await;
            let seen = weights(&world.record, "shop");
            assert_eq!(percents(&seen), [0.0, 20.0, 50.0, 0.0], "none twice, none from the past: {seen:?}");
            assert_recorded_once(world, "Promoted", 0);
            assert_unharmed(&client.stop().await);
        })
    });
}

/// The new leader has given the canary no weight. It writes the route all the same before it takes the canary away, so
/// what the old one sent is out of date.
#[test]
fn scenario_31_a_weight_that_arrives_after_the_attempt_was_aborted() {
    alone("too-late", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan { waves: vec![(20, "5s")], evidence: COARSE, ..Plan::default() }).await;
            let client = Client::start(&app, 60).await;
            between(world, async |proxy| {
                world.apply(&[app.version("v2").deployment()]).await;
                let leader = operator::leader(&world.client).await;
                let from = Some(operator::address(&world.client, &leader.pod).await);
                let filter = Filter { from, ..of_the_route() };
                let mut struck = proxy.add(Fault { filter, when: When::Nth(1), effect: Effect::CutOff });
                first(&mut struck, "the leader writes a weight", 60).await;
                // Before the new leader can write the same.
                ask_as_admin(world, "Abort").await;
                world.complete("shop", "Aborted", 60).await;
                let late = late_writes(world, proxy, &leader).await;
                eprintln!("scenario 31: arrived after the abort: {late:?}");
                let landed: Vec<_> = late.iter().filter(|write| write.code < 300).collect();
                assert!(landed.is_empty(), "carried out though the attempt is over: {landed:?}");
                world
                    .until("the route leads to stable alone", 20, |now| {
                        let route = now.get(Kind::HttpRoute, "shop")?;
                        (!route["spec"].to_string().contains("shop-canary")).then_some(())
                    })
                    .await;
            })
            .await;
            let seen = weights(&world.record, "shop");
            assert_eq!(percents(&seen), [0.0], "the weight of an attempt that is over: {seen:?}");
            assert_unharmed(&client.stop().await);
        })
    });
}
