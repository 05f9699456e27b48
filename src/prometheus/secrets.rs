//! Secrets that MetricsProviders and NotificationSinks name: read when they are needed, kept for a minute, printed never.
//!
//! Owns the time that a value is kept and the pace of reading. Must not know what a value is for, and must not put one
//! into a message or a log.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration as Span, Instant};

use futures::future::BoxFuture;

use super::decode::Refusal;
use crate::decide::measure::{FailureClass, SecretKey};

/// How long one read may take. Short: a query waits for it.
const PATIENCE: Span = Span::from_secs(3);
/// What nobody used for this long is forgotten.
pub(super) const FORGOTTEN: Span = Span::from_secs(600);

/// When a Secret is read again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How long a value is used before it is read again.
    pub(super) kept: Span,
    /// The least time between two reads of one Secret, whatever a server says of it.
    pub(super) least: Span,
}

impl Default for Pace {
    fn default() -> Self {
        Self { kept: Span::from_secs(60), least: Span::from_secs(5) }
    }
}

/// How old a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// As old as values are kept.
    Usual,
    /// A server has just refused the one that is kept: as new as can be.
    Renewed,
}

/// A value that nobody may print.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Vec<u8>);

impl Hidden {
    /// Hides a value.
    pub fn new(value: Vec<u8>) -> Self {
        Self(value)
    }

    /// The value, for the place that uses it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value without the line end that editors and `echo` leave behind it.
    pub(crate) fn line(&self) -> &[u8] {
        let mut line = self.bytes();
        while let [rest @ .., b'\r' | b'\n'] = line {
            line = rest;
        }
        line
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

/// The values of one Secret by key.
pub type SecretData = BTreeMap<String, Hidden>;

/// Why a Secret could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretFault {
    /// There is none of this name.
    Missing,
    /// The operator may not read it.
    Forbidden,
    /// The API server did not answer, or with an error.
    Unread,
}

/// Where Secrets are read; they all are in one namespace.
pub trait SecretSource: Send + Sync {
    /// That namespace, for messages.
    fn namespace(&self) -> &str;
    /// Reads one Secret now.
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<SecretData, SecretFault>>;
}

/// The end of the last read of one Secret.
struct Kept {
    read_at: Instant,
    known: Result<Arc<SecretData>, SecretFault>,
    /// The API server said so. Otherwise this is from before, and it is asked again soon.
    sure: bool,
}

/// One Secret. The lock is held while it is read, so that many queries read it once.
struct Slot {
    kept: Arc<tokio::sync::Mutex<Option<Kept>>>,
    used_at: Instant,
}

/// The Secrets that were read lately.
pub(super) struct Secrets {
    source: Arc<dyn SecretSource>,
    slots: Mutex<HashMap<String, Slot>>,
    pace: Pace,
}

impl Secrets {
    pub(super) fn new(source: Arc<dyn SecretSource>, pace: Pace) -> Self {
        Self { source, slots: Mutex::new(HashMap::new()), pace }
    }

    /// The value of one key, or why there is none.
    pub(super) async fn value(&self, key: &SecretKey, age: Age, now: Instant) -> Result<Hidden, Refusal> {
        let secret = self.title(&key.secret);
        let unusable = |text: String| (FailureClass::Credentials, text);
        let data = self.get(&key.secret, age, now).await.map_err(|fault| {
            unusable(match fault {
                SecretFault::Missing => format!("{secret} does not exist"),
                SecretFault::Forbidden => format!("{secret} may not be read; the operator's Role must allow get on it"),
                SecretFault::Unread => format!("{secret} cannot be read: the API server does not answer"),
            })
        })?;
        let value = data.get(&key.key).ok_or_else(|| unusable(format!("{secret} has no key {}", key.key)))?;
        if value.line().is_empty() {
            return Err(unusable(format!("{secret}: key {} is empty", key.key)));
        }
        Ok(value.clone())
    }

    /// How messages name a Secret.
    pub(super) fn title(&self, name: &str) -> String {
        format!("Secret {}/{name}", self.source.namespace())
    }

    async fn get(&self, name: &str, age: Age, now: Instant) -> Result<Arc<SecretData>, SecretFault> {
        let slot = self.slot(name, now);
        let mut slot = slot.lock().await;
        let usable = slot.as_ref().filter(|kept| {
            let old = now.saturating_duration_since(kept.read_at);
            old < self.pace.least || (kept.sure && age == Age::Usual && old < self.pace.kept)
        });
        if let Some(kept) = usable {
            return kept.known.clone();
        }
        let read = tokio::time::timeout(PATIENCE, self.source.read(name)).await.unwrap_or(Err(SecretFault::Unread));
        let before = slot.take().map(|kept| kept.known);
        let (known, sure) = match (read, before) {
            (Ok(data), _) => (Ok(Arc::new(data)), true),
            // An API server that is away takes no credential away.
            (Err(SecretFault::Unread), Some(Ok(data))) => (Ok(data), false),
            (Err(fault), _) => (Err(fault), false),
        };
        *slot = Some(Kept { read_at: now, known: known.clone(), sure });
        known
    }

    /// The lock is held to look up, never across an await.
    fn slot(&self, name: &str, now: Instant) -> Arc<tokio::sync::Mutex<Option<Kept>>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| now.saturating_duration_since(slot.used_at) < FORGOTTEN);
        let new = || Slot { kept: Arc::default(), used_at: now };
        let slot = slots.entry(name.to_owned()).or_insert_with(new);
        slot.used_at = now;
        slot.kept.clone()
    }
}

#[cfg(test)]
mod tests;
