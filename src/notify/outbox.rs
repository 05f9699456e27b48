//! What one sink has had and what is next. Pure: told what happened and what time it is.
//!
//! Nothing waits in here. What is to be delivered is what happened and is not settled yet, so a restart loses nothing;
//! what is settled is a time and what came after it, so it is bounded. At least once: what was delivered and not yet
//! written down when the process died is delivered again, with the id that it had.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::event::Event;
use super::happened::Happened;
use super::post::Undelivered;
use crate::api::{NotificationSinkStatus, Settled, SinkCursor, SinkFailure};

/// What is older is not delivered any more.
const TOO_OLD: SignedDuration = SignedDuration::from_hours(24);
/// How late a record may come to be seen, after its place in the order of time, and is still delivered.
const LATE: SignedDuration = SignedDuration::from_hours(1);
/// How much of the time after the cursor is remembered. Where more is delivered while something older is refused again
/// and again, that is given up.
const ROOM: usize = 512;
/// How much that lasts is remembered; more is delivered when some of it is over.
const STANDING: usize = 256;
/// Answers of the sink that are not written down; after a crash as many are delivered again.
const UNSAVED: u32 = 10;
/// The pauses after failures double from here …
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// … to here.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The deliveries to one sink.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Of the sink, so that many do not try at one moment.
    uid: String,
    /// Since when this process looks.
    began: Timestamp,
    status: NotificationSinkStatus,
    /// Of the spec that was last tried by.
    generation: i64,
    after: Timestamp,
    /// In the order of time.
    recent: Vec<Settled>,
    standing: Vec<String>,
    /// How often the sink answered an event with an error. Only of what is pending.
    refused: BTreeMap<String, u32>,
    /// Deliveries that failed since the last that succeeded.
    failures: u32,
    next_try: Option<Timestamp>,
    /// What the sink took, or refused for good, since the last save.
    unsaved: u32,
    /// Something else to save.
    changed: bool,
    /// The cursor as it was saved.
    saved_after: Timestamp,
}

impl Outbox {
    /// Goes on from what was written down; a sink that has had nothing yet begins with its creation.
    pub(super) fn new(uid: &str, status: NotificationSinkStatus, created: Timestamp, now: Timestamp) -> Self {
        let mut status = status;
        let cursor = status.cursor.take();
        let SinkCursor { after, recent, standing } =
            cursor.unwrap_or(SinkCursor { after: created, recent: Vec::new(), standing: Vec::new() });
        let mut recent = recent;
        recent.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Self {
            uid: uid.to_owned(),
            began: now,
            generation: status.observed_generation,
            status,
            after,
            recent,
            standing,
            refused: BTreeMap::new(),
            failures: 0,
            next_try: None,
            unsaved: 0,
            changed: false,
            saved_after: after,
        }
    }

    /// Nothing up to this time is looked at any more.
    pub(super) const fn after(&self) -> Timestamp {
        self.after
    }

    /// Takes note of the spec: one that was changed is tried at once, as if nothing had failed.
    pub(super) const fn meets(&mut self, generation: i64) {
        if self.generation != generation {
            self.generation = generation;
            self.failures = 0;
            self.next_try = None;
        }
    }

    /// What is to be delivered now. Gives up what has become too old.
    pub(super) fn next<'a>(&mut self, happened: &'a Happened, now: Timestamp) -> Option<&'a Event> {
        self.standing.retain(|id| happened.standing.contains(id));
        let mut pending: Vec<&Event> = happened.events.iter().filter(|event| !self.settled(event)).collect();
        let oldest = earlier(now, TOO_OLD);
        pending.retain(|event| {
            let Some(order) = event.order.filter(|order| *order <= oldest) else { return true };
            self.give_up(&event.id, order);
            false
        });
        self.compact(&mut pending, now);
        let ids: BTreeSet<&String> = pending.iter().map(|event| &event.id).collect();
        self.refused.retain(|id, _| ids.contains(id));
        self.count(pending.len());
        if self.next_try.is_some_and(|at| at > now) || self.unsaved >= UNSAVED {
            return None;
        }
        let refused = |event: &Event| self.refused.get(&event.id).copied().unwrap_or(0);
        // One that the sink does not take must not keep the others from it.
        pending.into_iter().enumerate().min_by_key(|(place, event)| (refused(event), *place)).map(|(_, event)| event)
    }

    /// The sink took it.
    pub(super) fn delivered(&mut self, event: &Event, now: Timestamp) {
        self.settle(event);
        self.status.delivered = self.status.delivered.saturating_add(1);
        self.status.last_delivered_at = Some(now);
        self.status.failing_since = None;
        self.unsaved = self.unsaved.saturating_add(1);
        self.failures = 0;
        self.next_try = None;
        self.count((self.status.pending as usize).saturating_sub(1));
    }

    /// The sink did not take it.
    pub(super) fn failed(&mut self, event: &Event, why: Undelivered, now: Timestamp) {
        let Undelivered { class, http_status } = why;
        self.status.last_failure = Some(SinkFailure { at: now, class, http_status });
        self.changed = true;
        if why.is_final() {
            // It was heard, and will never be taken.
            self.settle(event);
            self.status.dropped = self.status.dropped.saturating_add(1);
            self.unsaved = self.unsaved.saturating_add(1);
            self.count((self.status.pending as usize).saturating_sub(1));
            return;
        }
        if http_status.is_some() {
            let refused = self.refused.entry(event.id.clone()).or_default();
            *refused = refused.saturating_add(1);
        }
        self.status.failing_since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        let pause = pause(&self.uid, self.failures, now);
        self.next_try = now.checked_add(pause).ok();
    }

    /// Whether it is time to write down how far it has come.
    pub(super) fn to_save(&self, generation: i64) -> bool {
        let new = self.unsaved > 0 || self.changed || self.status.observed_generation != generation;
        let due = self.unsaved >= UNSAVED || self.status.pending == 0 || self.failures > 0;
        // Time passes too: what a restart need not look at.
        (new && due) || self.after.duration_since(self.saved_after) > LATE
    }

    /// What is to be written down.
    pub(super) fn status(&self, generation: i64) -> NotificationSinkStatus {
        let cursor = SinkCursor { after: self.after, recent: self.recent.clone(), standing: self.standing.clone() };
        NotificationSinkStatus { observed_generation: generation, cursor: Some(cursor), ..self.status.clone() }
    }

    /// It is written down.
    pub(super) fn saved(&mut self, generation: i64) {
        self.unsaved = 0;
        self.changed = false;
        self.saved_after = self.after;
        self.status.observed_generation = generation;
    }

    fn settled(&self, event: &Event) -> bool {
        match event.order {
            Some(order) => order <= self.after || self.recent.iter().any(|known| known.id == event.id),
            None => self.standing.len() >= STANDING || self.standing.contains(&event.id),
        }
    }

    fn settle(&mut self, event: &Event) {
        match event.order {
            Some(at) => self.remember(&event.id, at),
            None => self.standing.push(event.id.clone()),
        }
        self.refused.remove(&event.id);
    }

    fn remember(&mut self, id: &str, at: Timestamp) {
        let place = self.recent.partition_point(|known| (known.at, known.id.as_str()) < (at, id));
        self.recent.insert(place, Settled { id: id.to_owned(), at });
    }

    fn give_up(&mut self, id: &str, at: Timestamp) {
        self.remember(id, at);
        self.status.dropped = self.status.dropped.saturating_add(1);
        self.changed = true;
    }

    fn count(&mut self, pending: usize) {
        self.status.pending = u32::try_from(pending).unwrap_or(u32::MAX);
    }

    /// Moves the cursor past what nobody will come late for, and forgets what is behind it.
    fn compact(&mut self, pending: &mut Vec<&Event>, now: Timestamp) {
        // What was to be recorded when the process before this one died may be recorded only now.
        if now.duration_since(self.began) >= LATE {
            let first = pending.iter().find_map(|event| event.order);
            let before = first.map(|at| earlier(at, SignedDuration::from_millis(1)));
            self.move_to(before.unwrap_or(now).min(earlier(now, LATE)));
        }
        while self.recent.len() > ROOM
            && let Some(oldest) = self.recent.first().map(|known| known.at)
        {
            let blocking = pending.iter().position(|event| event.order.is_some_and(|order| order <= oldest));
            match blocking {
                Some(place) => {
                    let event = pending.remove(place);
                    self.give_up(&event.id, event.order.unwrap_or(oldest));
                }
                None => self.move_to(oldest),
            }
        }
    }

    fn move_to(&mut self, after: Timestamp) {
        self.after = self.after.max(after);
        self.recent.retain(|known| known.at > self.after);
    }
}

fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// The pause after so many failures: it doubles, and lies between half of that and all of it.
fn pause(uid: &str, failures: u32, now: Timestamp) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)));
    let longest = doubled.min(LONGEST_PAUSE);
    let digest = Sha256::digest(format!("{uid}/{failures}/{now}").as_bytes());
    let chance = digest.first().copied().map_or(0.0, f64::from) / 255.0;
    longest.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests;
