//! Wiring: client, watches, poller, notifier, drafter, election, controller, admin server, and a graceful stop. The only place
//! besides the poller and the notifier that starts tasks. Every choice between events is `biased`: what happened once can be made to happen again.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{Stream, StreamExt};
use kube::runtime::{Controller, controller};
use kube::{Client, Config};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use crate::clock::Clock;
use crate::controller::{Context, Memories, reconcile, retry, sweep};
use crate::delivery::Live;
use crate::drafts::{self, Drafter};
use crate::leadership::{self, Ended, Leadership, Writer};
use crate::notify::{HttpPost, Notifier, Post};
use crate::observe::OwnSecrets;
use crate::prometheus::{self, Poller, Source};
use crate::record::retention::{self, Keep};
use crate::record::{self, metrics};
use crate::server::{Admin, serve};
use crate::watch::policies::shipped;
use crate::watch::{Freshness, RolloutRef, SILENCE, Sight, stores};

/// Passes that run at once. With calls of at most ten seconds this also bounds the load on the API server.
const PASSES_AT_ONCE: u16 = 8;
/// Room for Rollouts that are to be looked at.
const QUEUE: usize = 1024;
/// How long passes in progress may take to end when the process is told to stop.
const LAST_PASSES: Duration = Duration::from_secs(5);

/// How often old records are looked for.
const PRUNE: Duration = Duration::from_secs(3600);
/// The same while there is more to do, and after what failed.
const PRUNE_ON: Duration = Duration::from_secs(60);

/// How the operator is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the admin server listens, if there is to be one.
    pub listen: Option<SocketAddr>,
    /// The name of this process in events.
    pub reporter: String,
    /// Where the Secrets of MetricsProviders are; without it the namespace of the cluster configuration.
    pub namespace: Option<String>,
    /// What of the cluster is looked at.
    pub sight: Sight,
    /// The ServiceAccount that the policies of the gate let open it.
    pub account: String,
    /// The Lease that this process must hold to decide; without one it always decides.
    pub lease: Option<String>,
    /// How long records are kept.
    pub keep: Keep,
    /// For which failures postmortems are drafted.
    pub drafts: drafts::Policy,
}

/// What the operator stands on: the cluster, its clock and whoever answers for Prometheus.
pub struct Ground {
    /// The API server.
    pub client: Client,
    /// What time it is.
    pub clock: Clock,
    /// Answers queries.
    pub source: Arc<dyn Source>,
    /// Delivers notifications.
    pub post: Arc<dyn Post>,
    /// The operator's own namespace.
    pub namespace: String,
    /// The name of this process in the Lease; no other has it, not even the one before it in the same Pod.
    pub identity: String,
}

/// A task that ended: its name, and why if that was an error.
type Task = Result<(&'static str, anyhow::Result<()>), JoinError>;

/// Runs the operator until it is told to stop.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut config =
        Config::infer().await.context("no cluster: neither in-cluster configuration nor a kubeconfig was found")?;
    // The reconcile is the retry: kube's own would hold one call for minutes.
    config.default_retry = false;
    config.read_timeout = Some(SILENCE);
    // Counted from the request: a connection that was idle before it is no silence.
    config.reset_reader_on_write = true;
    let namespace = options.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).context("the cluster's address or credentials cannot be used")?;
    let secrets = Arc::new(OwnSecrets::new(&client, namespace.clone()));
    let post = HttpPost::new(secrets.clone()).context("the client for notifications cannot be made")?;
    let source = prometheus::Client::new(secrets).context("the client for Prometheus cannot be made")?;
    let identity = leadership::identity(&options.reporter);
    let (source, post) = (Arc::new(source), Arc::new(post));
    let ground = Ground { client, clock: Clock::system(), source, post, namespace, identity };
    operate(ground, options, told_to_stop()).await
}

/// Runs the operator on this ground until `stop` completes.
pub async fn operate(ground: Ground, options: Options, told_to_stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let Ground { client, clock, source, post, namespace: own_namespace, identity: me } = ground;
    let (stop_sender, stop) = watch::channel(false);
    let freshness = Freshness::default();
    let (wake, inbox) = mpsc::channel(QUEUE);
    let (stores, watches) = stores(&client, &options.sight, &freshness, &wake);

    let (elector, leadership) = match &options.lease {
        Some(lease) => {
            let (elector, leadership) = leadership::elect(&client, clock.clone(), &own_namespace, lease, me);
            (Some(elector), leadership)
        }
        None => (None, Leadership::always()),
    };
    let delivery = Live::of(&stores);
    let (registry, own) = metrics::registry(metrics::Sources::of(&stores, &delivery, &leadership));
    let (poll_wake, mut poll_inbox) = mpsc::channel(QUEUE);
    let account = format!("system:serviceaccount:{own_namespace}:{}", options.account);
    let poller = Poller::new(clock.clone(), source, poll_wake, Arc::new(own.clone()));
    let writer = Writer::new(client.clone(), leadership.clone());
    let notifier = Notifier::new(clock.clone(), &stores, post, writer.clone(), leadership.clone());
    let reporter = options.reporter.clone();
    let (reading, writing, leads) = (client.clone(), writer.clone(), leadership.clone());
    let drafter = Drafter::new(clock.clone(), &stores, reading, writing, leads, options.drafts, reporter.clone());
    let context = Arc::new(Context {
        clock,
        client,
        writer,
        stores: stores.clone(),
        delivery: delivery.clone(),
        poller: poller.clone(),
        metrics: own,
        reporter,
        policies: shipped(&account),
        memories: Memories::default(),
    });

    let mut tasks: JoinSet<(&'static str, anyhow::Result<()>)> = JoinSet::new();
    let admin = Admin { registry: Arc::new(registry), freshness: freshness.clone() };
    if let Some(listen) = options.listen {
        let stopped = until(stop.clone());
        tasks.spawn(async move {
            let served = serve(listen, admin, stopped).await;
            ("admin server", served.with_context(|| format!("the admin server cannot listen on {listen}")))
        });
    }
    for (kind, task) in watches {
        tasks.spawn(async move {
            task.await;
            (kind, Ok(()))
        });
    }
    let keeping = delivery.keep(context.clock.clone(), stores.clone(), leadership.clone(), wake.clone());
    let mut figures_stop = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            biased;
            _ = figures_stop.changed() => {}
            () = keeping => {}
        }
        ("figures", Ok(()))
    });
    let running = poller.clone();
    let poll_stop = until(stop.clone());
    tasks.spawn(async move {
        running.run(poll_stop).await;
        ("poller", Ok(()))
    });
    tasks.spawn(async move {
        while let Some(rollout) = poll_inbox.recv().await {
            let reference = RolloutRef::new(&rollout.name).within(rollout.namespace.as_deref().unwrap_or_default());
            if wake.send(reference).await.is_err() {
                break;
            }
        }
        ("poller's wakes", Ok(()))
    });
    let notifier_stop = until(stop.clone());
    tasks.spawn(async move {
        notifier.run(notifier_stop).await;
        ("notifier", Ok(()))
    });
    let drafter_stop = until(stop.clone());
    tasks.spawn(async move {
        drafter.run(drafter_stop).await;
        ("drafter of postmortems", Ok(()))
    });
    let sweeping = Arc::clone(&context);
    let mut sweep_stop = stop.clone();
    tasks.spawn(async move {
        let mut every = tokio::time::interval(Duration::from_secs(60));
        loop {
            tokio::select! {
                biased;
                _ = every.tick() => sweep(&sweeping),
                _ = sweep_stop.changed() => break,
            }
        }
        ("sweeper", Ok(()))
    });
    let (keeper, keep) = (Arc::clone(&context), options.keep);
    let mut keep_stop = stop.clone();
    tasks.spawn(async move {
        // Not in the first moments: caches may not be filled. But whoever is started anew every hour gets to it too.
        let mut pause = PRUNE_ON;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => pause = prune(&keeper, keep).await,
                _ = keep_stop.changed() => break,
            }
        }
        ("records' keeper", Ok(()))
    });
    let (release_sender, release) = watch::channel(false);
    let (seeing_sender, seeing) = oneshot::channel();
    let mut election: JoinSet<Ended> = JoinSet::new();
    if let Some(elector) = elector {
        election.spawn(async move {
            // Who does not see everything must not lead.
            tokio::select! {
                biased;
                Ok(()) = seeing => elector.run(until(release)).await,
                () = until(release.clone()) => Ended::Released,
            }
        });
    }
    let mut control: JoinSet<(&'static str, anyhow::Result<()>)> = JoinSet::new();
    control.spawn(async move {
        let mut inbox = inbox;
        let leading = async {
            freshness.complete().await;
            let _ = seeing_sender.send(());
            tracing::info!("every kind is watched");
            leadership.acquired().await;
        };
        tokio::select! {
            biased;
            () = standby(leading, &mut inbox) => {}
            () = until(stop.clone()) => return ("controller", Ok(())),
        }
        tracing::info!("starting");
        // What changed before this process led is seen by looking at every Rollout once.
        let every: Vec<RolloutRef> =
            stores.rollouts.state().iter().map(|one| RolloutRef::from_obj(one.as_ref())).collect();
        let config = controller::Config::default().concurrency(PASSES_AT_ONCE);
        // Every trigger, the Rollouts' own included, comes through the inbox: a stream that fails delays no other.
        Controller::for_stream(futures::stream::pending(), stores.rollouts)
            .with_config(config)
            .reconcile_on(futures::stream::iter(every).chain(received(inbox)))
            .graceful_shutdown_on(until(stop))
            .run(reconcile, retry, context)
            .for_each(|_| async {})
            .await;
        ("controller", Ok(()))
    });

    let ended: Option<Task> = tokio::select! {
        biased;
        () = told_to_stop => {
            tracing::info!("told to stop");
            None
        }
        Some(ended) = tasks.join_next() => Some(ended),
        Some(ended) = control.join_next() => Some(ended),
        // At once, with whatever is under way: another process may begin to decide in a few seconds.
        Some(lost) = election.join_next() => return Err(no_more(lost)),
    };
    // Stopping moves nothing: passes in progress end, everything else is in the cluster.
    let _ = stop_sender.send(true);
    tokio::select! {
        biased;
        quiet = tokio::time::timeout(LAST_PASSES, control.join_next()) => {
            if quiet.is_err() {
                // Their writes may still arrive, so the Lease has to run out.
                let seconds = LAST_PASSES.as_secs();
                tracing::warn!(seconds, "passes did not end in time: the Lease is not released");
            } else {
                let _ = release_sender.send(true);
                let _ = tokio::time::timeout(leadership::CALL, election.join_next()).await;
            }
        }
        Some(lost) = election.join_next() => return Err(no_more(lost)),
    }
    match ended {
        None => Ok(()),
        Some(Ok((name, Ok(())))) => anyhow::bail!("the {name} task ended by itself"),
        Some(Ok((_, Err(error)))) => Err(error),
        Some(Err(error)) => Err(error).context("a task failed"),
    }
}

/// Lets old records go. What fails is tried again the next time.
/// Returns when to look again: soon where more is to go than may go at once.
async fn prune(context: &Context, keep: Keep) -> Duration {
    match retention::prune(&context.writer, &context.stores, keep, context.clock.now()).await {
        Ok(0) | Err(record::Error::NotLeader { .. }) => {}
        Ok(count) => {
            tracing::info!(count, days = keep.days, each = keep.each, "old records were deleted");
            if count >= retention::AT_ONCE {
                return PRUNE_ON;
            }
        }
        Err(error) => {
            tracing::warn!(%error, "old records could not be deleted");
            return PRUNE_ON;
        }
    }
    PRUNE
}

/// Why a process that led ends.
fn no_more(ended: Result<Ended, JoinError>) -> anyhow::Error {
    let why = match ended {
        Ok(Ended::Lost(loss)) => loss.to_string(),
        Ok(Ended::Released) => "the Lease was released".to_owned(),
        Err(error) => format!("the election failed: {error}"),
    };
    tracing::error!(why, "this process does not lead any more and ends");
    anyhow::anyhow!("not the leader any more: {why}")
}

/// Until this process leads: reads and drops what arrives, so that no watch waits for a reader.
async fn standby(leading: impl Future<Output = ()>, inbox: &mut mpsc::Receiver<RolloutRef>) {
    let mut leading = pin!(leading);
    loop {
        tokio::select! {
            biased;
            () = &mut leading => return,
            Some(_) = inbox.recv() => {}
        }
    }
}

fn received(mut inbox: mpsc::Receiver<RolloutRef>) -> impl Stream<Item = RolloutRef> {
    futures::stream::poll_fn(move |context| inbox.poll_recv(context))
}

async fn until(mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if stop.changed().await.is_err() {
            return;
        }
    }
}

/// SIGTERM or Ctrl-C.
async fn told_to_stop() {
    let interrupt = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be waited for");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        biased;
        () = interrupt => {}
        () = terminate => {}
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test may start a task
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_inbox_does_not_hold_up_the_watches() {
        let (wake, mut inbox) = mpsc::channel(2);
        let (done, filled) = oneshot::channel();
        let watching = tokio::spawn(async move {
            for number in 0..100 {
                wake.send(RolloutRef::new(&format!("shop-{number}")).within("demo")).await.unwrap();
            }
            done.send(()).unwrap();
        });
        standby(async { filled.await.unwrap() }, &mut inbox).await;
        watching.await.unwrap();
    }
}
