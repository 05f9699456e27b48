//! Carries out what a candidate says: reads, watches, takes, renews and releases the one Lease.
//!
//! Every replace carries the resourceVersion that was read: of two who try at once one gets a conflict, and whoever
//! looks at an old Lease too.

use std::hash::{BuildHasher, RandomState};
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::watch;

use super::candidate::{Candidate, Loss, Next, after};
use super::{CALL, Leadership, RETRY, Term, lease};
use crate::clock::{self, Clock};

/// How an election ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Asked to: the Lease is free, or was never held.
    Released,
    /// This process led and may not go on.
    Lost(Loss),
}

/// Takes part for one process.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    clock: Clock,
    candidate: Candidate,
    terms: watch::Sender<Term>,
    /// The Lease as it was last read or written.
    lease: Option<Lease>,
    /// The last failure that was told, so that each is told once.
    told: Option<String>,
}

/// Changes of the Lease as a watch tells them.
type Changes = Pin<Box<dyn Stream<Item = Result<Option<Lease>, watcher::Error>> + Send>>;

/// A name for this process that no other has, not even the one before it in the same Pod.
pub fn identity(pod: &str) -> String {
    // The standard library seeds it from the system's randomness.
    let unique = RandomState::new().hash_one((pod, std::process::id()));
    format!("{pod}_{unique:016x}")
}

/// An elector for the Lease `name`, and what it tells.
pub fn elect(client: &Client, clock: Clock, namespace: &str, name: &str, me: String) -> (Elector, Leadership) {
    let (terms, told) = watch::channel(Term::Standby);
    let elector = Elector {
        api: Api::namespaced(client.clone(), namespace),
        name: name.to_owned(),
        clock,
        candidate: Candidate::new(me),
        terms,
        lease: None,
        told: None,
    };
    (elector, Leadership::told(told))
}

impl Elector {
    /// Takes part until `release` completes or the Lease is lost.
    pub async fn run(mut self, release: impl Future<Output = ()>) -> Ended {
        let mut release = pin!(release);
        let mut changes: Option<Changes> = None;
        let mut watched = false;
        self.read().await;
        loop {
            let now = clock::instant();
            let until = match self.candidate.next(now) {
                Next::Lost(loss) => {
                    self.terms.send_replace(Term::Standby);
                    return Ended::Lost(loss);
                }
                Next::Acquire | Next::Renew => {
                    // Not given up half-way: it might succeed, and others would wait for a process that has ended.
                    self.claim().await;
                    continue;
                }
                Next::Wait(until) => until,
            };
            if self.candidate.leads_until().is_some() {
                changes = None; // whoever leads learns from its own writes
                tokio::select! {
                    biased;
                    () = &mut release => return self.release().await,
                    () = tokio::time::sleep_until(until.into()) => {}
                }
                continue;
            }
            let changes = changes.get_or_insert_with(|| self.changes());
            let until = if watched { until } else { until.min(after(now, RETRY)) };
            tokio::select! {
                biased;
                () = &mut release => return self.release().await,
                change = changes.next() => match change {
                    Some(Ok(lease)) => {
                        watched = true;
                        self.saw(lease);
                    }
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the Lease cannot be watched, looking every second");
                        watched = false;
                    }
                    None => watched = false,
                },
                () = tokio::time::sleep_until(until.into()) => if !watched {
                    self.read().await;
                },
            }
        }
    }

    fn changes(&self) -> Changes {
        Box::pin(watcher::watch_object(self.api.clone(), &self.name).default_backoff())
    }

    fn saw(&mut self, lease: Option<Lease>) {
        self.candidate.saw(lease.as_ref().map(lease::sight), clock::instant());
        self.lease = lease;
    }

    async fn read(&mut self) {
        match tokio::time::timeout(self.patience(), self.api.get_opt(&self.name)).await {
            Ok(Ok(lease)) => {
                self.told = None;
                self.saw(lease);
            }
            Ok(Err(error)) => self.failed(format!("the Lease cannot be read: {error}")),
            Err(_) => self.failed("the Lease cannot be read: no answer".to_owned()),
        }
    }

    /// Takes or renews the Lease.
    async fn claim(&mut self) {
        let began = clock::instant();
        let claimed = lease::claimed(self.lease.as_ref(), &self.name, self.candidate.me(), self.clock.now());
        match tokio::time::timeout(self.patience(), self.put(claimed)).await {
            Ok(Ok(lease)) => self.won(lease, began),
            // Somebody was faster, or it is not there any more.
            Ok(Err(error)) if self.outdated(&error) => self.read().await,
            Ok(Err(error)) => self.failed(format!("the Lease cannot be written: {error}")),
            Err(_) => self.failed("the Lease cannot be written: no answer".to_owned()),
        }
    }

    async fn put(&self, lease: Lease) -> Result<Lease, kube::Error> {
        let params = PostParams { field_manager: Some("sluice".to_owned()), ..PostParams::default() };
        if lease.metadata.resource_version.is_some() {
            self.api.replace(&self.name, &params, &lease).await
        } else {
            self.api.create(&params, &lease).await
        }
    }

    /// What was read is not what is there: 409 is both "changed" and "exists already". A Lease that is not found when
    /// it is created has no namespace, and reading it again does not help.
    fn outdated(&self, error: &kube::Error) -> bool {
        matches!(error, kube::Error::Api(status) if status.code == 409 || (status.code == 404 && self.lease.is_some()))
    }

    fn won(&mut self, lease: Lease, began: Instant) {
        let first = self.candidate.leads_until().is_none();
        self.told = None;
        self.candidate.won(lease::sight(&lease), began, clock::instant());
        self.lease = Some(lease);
        if let Some(until) = self.candidate.leads_until() {
            self.terms.send_replace(Term::Until(until));
        }
        if first {
            tracing::info!(lease = self.name, holder = self.candidate.me(), "this process leads");
        }
    }

    fn failed(&mut self, why: String) {
        self.candidate.failed(clock::instant());
        if self.told.as_ref() == Some(&why) {
            tracing::debug!(lease = self.name, why, "trying again");
        } else {
            tracing::warn!(lease = self.name, why, "trying again every second");
            self.told = Some(why);
        }
    }

    /// How long a request may take: never beyond the end of the term, when this process has to end.
    fn patience(&self) -> Duration {
        let left = self.candidate.leads_until().map(|end| end.saturating_duration_since(clock::instant()));
        left.map_or(CALL, |left| left.min(CALL))
    }

    /// Gives the Lease up if it is held. Nothing may be written after this.
    async fn release(mut self) -> Ended {
        self.terms.send_replace(Term::Standby);
        // Twice: an annotation by somebody else is a conflict, too.
        for _ in 0..2 {
            let mine = self.lease.as_ref().filter(|lease| {
                let holder = lease::sight(lease).holder;
                holder.as_deref() == Some(self.candidate.me())
            });
            let held = self.candidate.leads_until().is_some_and(|end| clock::instant() < end);
            let Some(released) = mine.filter(|_| held).map(|lease| lease::released(lease, self.clock.now())) else {
                return Ended::Released;
            };
            match tokio::time::timeout(self.patience(), self.put(released)).await {
                Ok(Ok(_)) => {
                    tracing::info!(lease = self.name, "released");
                    return Ended::Released;
                }
                Ok(Err(error)) if self.outdated(&error) => self.read().await,
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, %error, "cannot be released, others have to wait");
                    return Ended::Released;
                }
                Err(_) => {
                    tracing::warn!(lease = self.name, "cannot be released in time, others have to wait");
                    return Ended::Released;
                }
            }
        }
        Ended::Released
    }
}
