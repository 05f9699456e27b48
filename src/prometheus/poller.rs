//! The task that asks what is due and wakes whom the answers concern.
//!
//! Owns the only tasks of this module: one loop, and in its `JoinSet` one task per query under way. Must not judge an
//! answer, and must not let one server, one query or one slow reader of wake-ups hold up another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration as Span;

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::Sender;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinSet};

use super::book::{Book, Job};
use super::schedule::{self, Moment};
use super::source::{Outcome, Source};
use crate::api::Rollout;
use crate::clock::Clock;
use crate::decide::measure::{FailureClass, Measurement, Provider, Reading};

/// Queries at once per server.
const QUERIES_PER_PROVIDER: usize = 4;

/// Names the Rollout that asks.
pub type RolloutKey = ObjectRef<Rollout>;

/// Told the end of every query, for metrics.
pub trait QueryObserver: Send + Sync {
    /// A query of this provider was answered.
    fn answered(&self, provider: &str, took: Span);
    /// A query of this provider failed.
    fn failed(&self, provider: &str, class: FailureClass, took: Span);
}

/// A handle on what is asked and what is known; clones share it.
#[derive(Clone)]
pub struct Poller {
    shared: Arc<Shared>,
}

struct Shared {
    book: Mutex<Book<RolloutKey>>,
    /// The book changed, and something new may be due.
    changed: Notify,
    clock: Clock,
    source: Arc<dyn Source>,
    wake: Sender<RolloutKey>,
    observer: Arc<dyn QueryObserver>,
}

/// A query that ended.
struct Done {
    job: Job,
    began: Moment,
    outcome: Outcome,
}

impl Poller {
    /// A poller that asks nothing until it `run`s.
    pub fn new(
        clock: Clock,
        source: Arc<dyn Source>,
        wake: Sender<RolloutKey>,
        observer: Arc<dyn QueryObserver>,
    ) -> Self {
        let book = Mutex::new(Book::new());
        Self { shared: Arc::new(Shared { book, changed: Notify::new(), clock, source, wake, observer }) }
    }

    /// Replaces what one Rollout wants to know; nothing forgets the Rollout and what was kept for it alone.
    pub fn want(&self, key: &RolloutKey, measurements: Vec<Measurement>) {
        self.shared.book().want(key, measurements);
        self.shared.changed.notify_one();
    }

    /// What is known now of everything that this Rollout wants, in the order it was wanted.
    pub fn readings(&self, key: &RolloutKey) -> Vec<Reading> {
        self.shared.book().readings(key)
    }

    /// Asks whenever something is due, until `stop` is ready; queries under way are then given up.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let mut queries = Queries::default();
        let mut wakes = Wakes::default();
        loop {
            let now = Moment::now(&self.shared.clock);
            let (jobs, next) = {
                let mut book = self.shared.book();
                (book.start_due(now), book.next_due(now.mono))
            };
            for job in jobs {
                queries.start(job, now, &self.shared);
            }
            let next = next.map(tokio::time::Instant::from_std);
            tokio::select! {
                biased; // none of these is always ready, and the same history comes out twice
                () = &mut stop => return,
                () = self.shared.changed.notified() => {}
                Some(done) = queries.next() => wakes.add(self.shared.record(done)),
                permit = self.shared.wake.reserve(), if wakes.any() => match permit {
                    Ok(permit) => if let Some(key) = wakes.take() { permit.send(key) },
                    // Nobody listens: the process is ending.
                    Err(_) => wakes.close(),
                },
                () = tokio::time::sleep_until(next.unwrap_or_else(tokio::time::Instant::now)), if next.is_some() => {}
            }
        }
    }
}

impl Shared {
    /// The lock is held for bookkeeping only, never across an await.
    fn book(&self) -> MutexGuard<'_, Book<RolloutKey>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, Done { job, began, outcome: Outcome { answer, took } }: Done) -> Vec<RolloutKey> {
        let provider = &job.question.provider.name;
        match &answer {
            Ok(_) => self.observer.answered(provider, took),
            Err((class, text)) => {
                tracing::debug!(provider, class = class.reason(), text, "a query failed");
                self.observer.failed(provider, *class, took);
            }
        }
        self.book().done(job, began, self.clock.now(), answer)
    }
}

/// The queries under way.
#[derive(Default)]
struct Queries {
    /// Aborts them when it is dropped.
    tasks: JoinSet<(Moment, Outcome)>,
    jobs: HashMap<Id, (Job, Moment)>,
    gates: HashMap<Provider, Arc<Semaphore>>,
}

impl Queries {
    fn start(&mut self, job: Job, now: Moment, shared: &Arc<Shared>) {
        let provider = &job.question.provider;
        if !self.gates.contains_key(provider) {
            // Each query under way holds its gate: what only the map holds is of a provider that rests or is gone.
            self.gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let new_gate = || Arc::new(Semaphore::new(QUERIES_PER_PROVIDER));
        let gate = self.gates.entry(provider.clone()).or_insert_with(new_gate).clone();
        let (source, clock) = (Arc::clone(&shared.source), shared.clock.clone());
        let (question, reach) = (job.question.clone(), job.reach);
        let task = self.tasks.spawn(async move {
            // An error would mean a closed gate, and nobody closes it.
            let _permit = gate.acquire().await;
            let began = Moment::now(&clock);
            let window = schedule::window(reach, question.provider.scrape_interval, began);
            (began, source.ask(&question.provider, &question.ask, window).await)
        });
        self.jobs.insert(task.id(), (job, now));
    }

    /// The next that ends; `None` if none is under way.
    async fn next(&mut self) -> Option<Done> {
        loop {
            let ended = self.tasks.join_next_with_id().await?;
            let (id, result) = match ended {
                Ok((id, result)) => (id, Some(result)),
                // A panic must not leave its question under way for ever.
                Err(error) => (error.id(), None),
            };
            let Some((job, started)) = self.jobs.remove(&id) else {
                continue;
            };
            let (began, outcome) = result.unwrap_or_else(|| {
                let text = "reading the answer broke off; this is a fault of Sluice".to_owned();
                (started, Outcome { answer: Err((FailureClass::Malformed, text)), took: Span::ZERO })
            });
            return Some(Done { job, began, outcome });
        }
    }
}

/// Rollouts that are to be woken, each once, until there is room for it.
#[derive(Default)]
struct Wakes {
    keys: VecDeque<RolloutKey>,
    closed: bool,
}

impl Wakes {
    fn add(&mut self, keys: Vec<RolloutKey>) {
        for key in keys {
            if !self.closed && !self.keys.contains(&key) {
                self.keys.push_back(key);
            }
        }
    }

    fn any(&self) -> bool {
        !self.keys.is_empty()
    }

    fn take(&mut self) -> Option<RolloutKey> {
        self.keys.pop_front()
    }

    fn close(&mut self) {
        self.keys.clear();
        self.closed = true;
    }
}

#[cfg(test)]
mod tests;
