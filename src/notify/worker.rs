//! The tasks that deliver: one that looks which sinks there are, and one for each of them.
//!
//! A sink has one delivery under way at most, and waits for nobody but itself. Nothing is sent, and nothing written, by
//! a process that does not lead. Must not decide what is delivered: the outbox does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::task::{Id, JoinSet};

use super::happened::{Wanted, World};
use super::outbox::Outbox;
use super::post::{Parcel, Post, Undelivered};
use crate::api::{DeliveryFailure, NotificationSink, Release, ReworkEvent, Rollout, SinkEvent};
use crate::clock::Clock;
use crate::leadership::{Leadership, Writer};
use crate::record;
use crate::watch::{Freshness, Stores};

/// How often each task looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long after a status could not be written it is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(5);
/// How long a delivery may take whatever the one who posts says: the longest timeout of a sink, and four Secrets.
const GIVEN_UP: Duration = Duration::from_secs(75);

/// What every task needs; cheap to clone.
#[derive(Clone)]
pub struct Notifier {
    clock: Clock,
    sinks: Store<NotificationSink>,
    releases: Store<Release>,
    reworks: Store<ReworkEvent>,
    rollouts: Store<DeserializeGuard<Rollout>>,
    freshness: Freshness,
    post: Arc<dyn Post>,
    writer: Writer,
    leadership: Leadership,
}

impl Notifier {
    /// One that tells nothing until it is `run`.
    pub fn new(clock: Clock, stores: &Stores, post: Arc<dyn Post>, writer: Writer, leadership: Leadership) -> Self {
        Self {
            clock,
            sinks: stores.sinks.clone(),
            releases: stores.releases.clone(),
            reworks: stores.reworks.clone(),
            rollouts: stores.rollouts.clone(),
            freshness: stores.freshness.clone(),
            post,
            writer,
            leadership,
        }
    }

    /// Delivers from when this process leads until `stop` is ready; a delivery under way is then given up.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        tokio::select! {
            biased;
            () = &mut stop => return,
            () = self.started() => {}
        }
        let mut tasks = JoinSet::new();
        let mut running: HashMap<Id, String> = HashMap::new();
        let mut every = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some(ended) = tasks.join_next_with_id() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => {
                            tracing::error!(%error, "the deliveries to a sink broke off and are begun again");
                            error.id()
                        }
                    };
                    running.remove(&id);
                }
                _ = every.tick() => {
                    for sink in self.sinks.state() {
                        let uid = sink.uid().unwrap_or_default();
                        if !running.values().any(|known| *known == uid) {
                            let task = tasks.spawn(self.clone().deliver(sink.name_any(), uid.clone()));
                            running.insert(task.id(), uid);
                        }
                    }
                }
            }
        }
    }

    /// This process leads and has seen what there is.
    async fn started(&self) {
        self.freshness.complete().await;
        self.leadership.acquired().await;
    }

    /// Delivers to one sink as long as it is there.
    async fn deliver(self, name: String, uid: String) {
        let reference = ObjectRef::<NotificationSink>::new(&name);
        let present = || self.sinks.get(&reference).filter(|sink| sink.uid().as_deref() == Some(&uid));
        let Some(sink) = present() else { return };
        let now = self.clock.now();
        let created = sink.creation_timestamp().map_or(now, |time| time.0);
        let mut outbox = Outbox::new(&uid, sink.status.clone().unwrap_or_default(), created, now);
        let mut save_at: Option<Timestamp> = None;
        while let Some(sink) = present() {
            let generation = sink.metadata.generation.unwrap_or_default();
            outbox.meets(generation);
            let delivered = self.leadership.may_write() && self.step(&sink, &mut outbox).await;
            let now = self.clock.now();
            if outbox.to_save(generation) && save_at.is_none_or(|at| at <= now) {
                match record::sink_status(&self.writer, &name, &uid, &outbox.status(generation)).await {
                    Ok(()) => {
                        outbox.saved(generation);
                        save_at = None;
                    }
                    Err(error) => {
                        tracing::warn!(sink = name, %error, "how far the deliveries have come cannot be written down");
                        save_at = now.checked_add(SAVE_AGAIN).ok();
                    }
                }
            }
            if !delivered {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Makes one delivery, if one is due. True if the sink took it.
    async fn step(&self, sink: &NotificationSink, outbox: &mut Outbox) -> bool {
        let (name, spec, now) = (sink.name_any(), &sink.spec, self.clock.now());
        let select = |word: SinkEvent, namespace: &str| {
            spec.events.contains(&word)
                && (spec.namespaces.is_empty() || spec.namespaces.iter().any(|one| one == namespace))
        };
        let world =
            World { releases: self.releases.state(), reworks: self.reworks.state(), rollouts: self.rollouts.state() };
        let happened = world.happened(&Wanted { after: outbox.after(), select: &select, now });
        let Some(event) = outbox.next(&happened, now) else { return false };
        let (body, content_type) = event.body(spec.format, spec.environment.as_deref());
        let parcel = Parcel { sink: &name, spec, id: &event.id, at: now, body, content_type };
        let hangs = Undelivered { class: DeliveryFailure::Timeout, http_status: None };
        let answer = tokio::time::timeout(GIVEN_UP, self.post.post(parcel)).await.unwrap_or(Err(hangs));
        let now = self.clock.now();
        match answer {
            Ok(()) => outbox.delivered(event, now),
            Err(why) => {
                let Undelivered { class, http_status } = why;
                tracing::debug!(sink = name, event = event.id, class = class.name(), http_status, "not delivered");
                outbox.failed(event, why, now);
            }
        }
        answer.is_ok()
    }
}

#[cfg(test)]
mod tests;
