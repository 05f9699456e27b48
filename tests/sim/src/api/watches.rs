//! Watches: the log of a kind, told one change after another, late, and not to the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};

use super::store::{Refusal, labels_match};
use crate::world::{State, World};

/// One watch.
struct Watch {
    world: World,
    kind: &'static str,
    /// Whose.
    place: usize,
    incarnation: u64,
    selector: String,
    position: usize,
    over: bool,
    ends: tokio::time::Instant,
}

/// What a watch says next.
enum Told {
    Event(Value),
    /// The connection ends.
    End,
    /// What was told last is too old to begin from.
    TooOld,
    /// Nothing any more, and the connection stays.
    Nothing,
}

/// What a change means for a watch with this selector.
fn event(change: &super::Logged, selector: &str) -> Option<Value> {
    let fits = |object: &Arc<Value>| labels_match(object, selector);
    let before = change.old.as_ref().filter(|old| fits(old));
    let after = change.new.as_ref().filter(|new| fits(new));
    let (type_, object) = match (before, after) {
        (None, None) => return None,
        (None, Some(new)) => ("ADDED", new.as_ref().clone()),
        (Some(_), Some(new)) => ("MODIFIED", new.as_ref().clone()),
        (Some(old), None) => {
            // The API server gives what is gone, as it last was, the version of its end.
            let mut gone = change.new.as_ref().unwrap_or(old).as_ref().clone();
            if let Some(version) = gone.pointer_mut("/metadata/resourceVersion") {
                *version = json!(change.version.to_string());
            }
            ("DELETED", gone)
        }
    };
    Some(json!({"type": type_, "object": object}))
}

/// The body of a watch from this version on: lines of JSON, until it breaks off.
pub fn body(
    world: &World,
    kind: &'static str,
    place: usize,
    selector: &str,
    from: u64,
    seconds: u64,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
    let (incarnation, position) = {
        let state = world.lock();
        let log = state.store.log(kind);
        let position = log.partition_point(|change| change.version <= from);
        (state.alive.get(place).copied().unwrap_or_default(), position)
    };
    let now = tokio::time::Instant::now();
    let watch = Watch {
        world: world.clone(),
        kind,
        place,
        incarnation,
        selector: selector.to_owned(),
        position,
        over: false,
        ends: now.checked_add(Duration::from_secs(seconds)).unwrap_or(now),
    };
    futures::stream::unfold(watch, |mut watch| async move {
        if watch.over {
            return None;
        }
        let line = watch.next().await?;
        Some((Ok(Bytes::from(format!("{line}\n"))), watch))
    })
}

impl Watch {
    /// The next event, when it has arrived. None when the watch breaks off.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let world = self.world.clone();
            let next = {
                let mut state = world.lock();
                if state.alive.get(self.place) != Some(&self.incarnation) {
                    return None;
                }
                let change = state.store.log(self.kind).get(self.position).cloned();
                change.map(|change| self.told(&mut state, &change))
            };
            let (lag, next) = match next {
                Some(Some((lag, next))) => (lag, next),
                Some(None) => continue,
                None => {
                    tokio::time::timeout_at(self.ends, self.world.changes(self.kind)).await.ok()?;
                    continue;
                }
            };
            tokio::time::sleep(Duration::from_millis(lag)).await;
            return match next {
                Told::Event(event) => Some(event),
                Told::End => None,
                Told::TooOld => {
                    self.over = true;
                    let status = Refusal::new(410, "Expired", "too old resource version").body();
                    Some(json!({"type": "ERROR", "object": status}))
                }
                // What is not told now is told after the client gave up and came again.
                Told::Nothing => std::future::pending().await,
            };
        }
    }

    /// What becomes of a change on its way, and how long that takes; none if it is not this watch's.
    fn told(&mut self, state: &mut State, change: &super::Logged) -> Option<(u64, Told)> {
        self.position = self.position.saturating_add(1);
        let event = event(change, &self.selector)?;
        let now = self.world.elapsed();
        let dies = state.faults.watch_dies(now);
        let lag = state.faults.lag(now, self.place);
        let breaks = state.faults.watch_breaks(now);
        let told = match (dies, breaks && state.faults.watch_is_gone()) {
            (true, _) => {
                state.history.tell(&format!("operator-{}: the watch of {} falls silent", self.place, self.kind));
                Told::Nothing
            }
            (false, true) => Told::TooOld,
            // It begins anew from what was told last.
            (false, false) if breaks => Told::End,
            (false, false) => Told::Event(event),
        };
        Some((lag, told))
    }
}
