//! Processes of the operator: the whole program, on simulated ground, killed and started again.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sluice::app::{Ground, Options, operate};
use sluice::notify::{Parcel, Post, Undelivered};

use crate::api::Server;
use crate::prometheus::Prometheus;
use crate::world::World;

/// There are no sinks: nothing is ever posted.
struct Nobody;

impl Post for Nobody {
    fn post<'a>(&'a self, _: Parcel<'a>) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async { Ok(()) })
    }
}

/// One process, for ever: it is started again after every end.
pub async fn run(world: World, place: usize) {
    let mut life = 0_u64;
    loop {
        let pause = {
            let mut state = world.lock();
            if life == 0 { state.random.between(0, 500) } else { state.random.between(300, 5000) }
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        life = life.saturating_add(1);
        let options = {
            let mut state = world.lock();
            state.history.tell(&format!("operator-{place} starts"));
            Options {
                listen: None,
                reporter: format!("operator-{place}"),
                namespace: None,
                sight: sluice::watch::Sight::default(),
                account: "sluice".to_owned(),
                lease: state.plan.elects.then(|| "sluice".to_owned()),
                keep: sluice::record::retention::Keep::default(),
                drafts: sluice::drafts::Policy::default(),
            }
        };
        let ground = Ground {
            client: kube::Client::new(Server::new(&world, place), "sluice-system"),
            clock: world.clock(),
            source: Arc::new(Prometheus(world.clone())),
            post: Arc::new(Nobody),
            namespace: "sluice-system".to_owned(),
            identity: format!("operator-{place}_{life}"),
        };
        let Some(killed) = world.killed(place) else { return };
        tokio::select! {
            biased;
            () = killed.notified() => {}
            ended = Box::pin(operate(ground, options, std::future::pending())) => {
                let why = ended.err().map_or_else(|| "by itself".to_owned(), |error| error.to_string());
                world.kill(&mut world.lock(), place, &format!("(it ended: {why})"));
                // The notification that this left behind is for the process that has just ended.
                killed.notified().await;
            }
        }
    }
}
