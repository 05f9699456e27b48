//! Who wants to know what, what is kept of it, and what is due.
//!
//! Pure bookkeeping for the poller, told the time. Equal questions of many askers are one question. Must not ask,
//! wait or wake: it says what is due and whom an answer concerns.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};
use std::time::{Duration as Span, Instant};

use jiff::Timestamp;

use super::decode::Refusal;
use super::history::History;
use super::schedule::{self, Moment, Reach};
use super::source::Answer;
use crate::api::Duration;
use crate::decide::measure::{Ask, Failure, Measurement, Provider, Reading};

/// What is asked of whom. The whole provider is part of it: one that changes is another question, at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Question {
    pub(super) provider: Provider,
    pub(super) ask: Ask,
}

/// One try that is to be made now.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) question: Question,
    pub(super) reach: Reach,
    /// What `reach` was derived from; the answer covers what is newer.
    since: Timestamp,
    /// Tells this question from an equal one that was forgotten meanwhile.
    id: u64,
}

/// In an order that is the same in every process, so that what happens can happen again.
type ByAsker<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// What one asker needs of a question.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Need {
    every: Duration,
    since: Timestamp,
}

#[derive(Debug)]
struct Entry<K> {
    id: u64,
    askers: ByAsker<K, Need>,
    history: History,
    answered_at: Option<Timestamp>,
    failure: Option<Failure>,
    /// The last try: when it began and, while it is under way, from which `since` on it reads.
    tried: Option<Moment>,
    under_way: Option<Timestamp>,
    /// When the last try that was answered began.
    answered: Option<Instant>,
    /// How much later than others it is asked.
    jitter: Span,
    /// Somebody needs older samples than were read: do not wait for the next turn.
    urgent: bool,
}

/// All questions of all askers.
#[derive(Debug)]
pub(super) struct Book<K> {
    wanted: ByAsker<K, Vec<Question>>,
    entries: BTreeMap<Question, Entry<K>>,
    last_id: u64,
}

impl<K: Clone + Eq + Hash> Book<K> {
    pub(super) fn new() -> Self {
        Self { wanted: ByAsker::default(), entries: BTreeMap::new(), last_id: 0 }
    }

    /// Replaces what `key` wants; nothing forgets it.
    pub(super) fn want(&mut self, key: &K, measurements: Vec<Measurement>) {
        let mut needs: BTreeMap<Question, Need> = BTreeMap::new();
        let mut order = Vec::new();
        for Measurement { provider, ask, every, since } in measurements {
            let question = Question { provider, ask };
            match needs.get_mut(&question) {
                Some(need) => *need = Need { every: need.every.min(every), since: need.since.min(since) },
                None => {
                    order.push(question.clone());
                    needs.insert(question, Need { every, since });
                }
            }
        }
        for (question, need) in &needs {
            let last_id = &mut self.last_id;
            let entry = self.entries.entry(question.clone()).or_insert_with(|| {
                *last_id = last_id.saturating_add(1);
                Entry::new(*last_id, question)
            });
            entry.askers.insert(key.clone(), *need);
            entry.trim();
            let reads_from = entry.history.covered().or(entry.under_way);
            let counter = matches!(question.ask, Ask::Counter(_));
            entry.urgent |= counter && reads_from.is_some_and(|from| need.since < from);
        }
        let before = if order.is_empty() { self.wanted.remove(key) } else { self.wanted.insert(key.clone(), order) };
        for question in before.into_iter().flatten().filter(|question| !needs.contains_key(question)) {
            if let Some(entry) = self.entries.get_mut(&question) {
                entry.askers.remove(key);
                entry.trim();
                if entry.askers.is_empty() {
                    self.entries.remove(&question);
                }
            }
        }
    }

    /// What is known of everything that `key` wants, in its order.
    pub(super) fn readings(&self, key: &K) -> Vec<Reading> {
        let reading = |question: &Question| {
            let entry = self.entries.get(question)?;
            let since = entry.askers.get(key)?.since;
            Some(Reading {
                provider: question.provider.name.clone(),
                ask: question.ask.clone(),
                answered_at: entry.answered_at,
                series: entry.history.series(since),
                values: entry.history.values(since),
                failure: entry.failure.clone(),
            })
        };
        self.wanted.get(key).into_iter().flatten().filter_map(reading).collect()
    }

    /// The questions to ask now; each is under way until it is `done`.
    pub(super) fn start_due(&mut self, now: Moment) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (question, entry) in &mut self.entries {
            let due = entry.due(question).is_none_or(|due| due <= now.mono);
            let Some(since) = entry.since().filter(|_| due && entry.under_way.is_none()) else {
                continue;
            };
            let reach = match entry.answered {
                Some(asked) if entry.history.covered().is_some_and(|covered| covered <= since) => {
                    Reach::Since { asked, newest: entry.history.newest() }
                }
                Some(_) | None => Reach::From(since),
            };
            entry.under_way = Some(since);
            entry.tried = Some(now);
            entry.urgent = false;
            jobs.push(Job { question: question.clone(), reach, since, id: entry.id });
        }
        jobs
    }

    /// When the next question is due that is not under way; the past if one is due already.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let idle = self.entries.iter().filter(|(_, entry)| entry.under_way.is_none());
        idle.map(|(question, entry)| entry.due(question).unwrap_or(now)).min()
    }

    /// Records how a try that began at `began` ended at `ended`, and returns whom that concerns.
    pub(super) fn done(
        &mut self,
        job: Job,
        began: Moment,
        ended: Timestamp,
        answer: Result<Answer, Refusal>,
    ) -> Vec<K> {
        let Some(entry) = self.entries.get_mut(&job.question).filter(|entry| entry.id == job.id) else {
            return Vec::new(); // forgotten while it was under way
        };
        entry.under_way = None;
        entry.tried = Some(began);
        match answer {
            Ok(answer) => {
                match (answer, job.reach) {
                    (Answer::Counters(read), Reach::From(_)) => entry.history.replace(read, job.since),
                    (Answer::Counters(read), Reach::Since { .. }) => entry.history.extend(read),
                    (Answer::Value(sample), _) => entry.history.push(sample),
                }
                entry.trim();
                entry.answered = Some(began.mono);
                entry.answered_at = Some(ended);
                entry.failure = None;
            }
            Err((class, text)) => {
                let since = entry.failure.as_ref().map_or(ended, |failure| failure.since);
                entry.failure = Some(Failure { class, text, since });
            }
        }
        entry.askers.keys().cloned().collect()
    }
}

impl<K> Entry<K> {
    fn new(id: u64, question: &Question) -> Self {
        let scrape_interval = question.provider.scrape_interval;
        Self {
            id,
            askers: ByAsker::default(),
            history: History::new(scrape_interval),
            answered_at: None,
            failure: None,
            tried: None,
            under_way: None,
            answered: None,
            jitter: schedule::jitter(question, scrape_interval),
            urgent: false,
        }
    }

    fn since(&self) -> Option<Timestamp> {
        self.askers.values().map(|need| need.since).min()
    }

    fn trim(&mut self) {
        if let Some(since) = self.since() {
            self.history.forget(since);
        }
    }

    /// When it is due; `None` if it was never tried and is due at once.
    fn due(&self, question: &Question) -> Option<Instant> {
        let tried = self.tried?;
        let scrape_interval = question.provider.scrape_interval;
        let every = self.askers.values().map(|need| need.every).min().unwrap_or_default();
        let wait = match (&question.ask, &self.failure) {
            (Ask::Counter(_) | Ask::Value(_), _) if self.urgent => schedule::least(scrape_interval),
            (Ask::Counter(_), None) => {
                schedule::aligned(tried.wall, self.history.newest(), every, scrape_interval, self.jitter)
            }
            (Ask::Counter(_), Some(_)) | (Ask::Value(_), _) => schedule::plain(every, scrape_interval, self.jitter),
        };
        // Beyond what the clock can express is never; a day is as good.
        tried.mono.checked_add(wait).or_else(|| tried.mono.checked_add(Span::from_secs(86_400)))
    }
}

#[cfg(test)]
mod tests;
