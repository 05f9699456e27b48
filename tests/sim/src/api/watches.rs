//! Watches: the log of a kind, told one change after another, late, and not to the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};

use super::store::labels_match;
use crate::world::World;

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
            let waiting = {
                let mut state = self.world.lock();
                if state.alive.get(self.place) != Some(&self.incarnation) {
                    return None;
                }
                let change = state.store.log(self.kind).get(self.position).cloned();
                match change {
                    Some(change) => {
                        self.position = self.position.saturating_add(1);
                        let Some(event) = event(&change, &self.selector) else { continue };
                        let now = self.world.elapsed();
                        let dies = state.faults.watch_dies(now);
                        if dies {
                            let line = format!("operator-{}: the watch of {} falls silent", self.place, self.kind);
                            state.history.tell(&line);
                        }
                        let lag = state.faults.lag(now, self.place);
                        let breaks = state.faults.watch_breaks(now);
                        let gone = breaks && state.faults.watch_is_gone();
                        Some((event, lag, breaks, gone, dies))
                    }
                    None => None,
                }
            };
            match waiting {
                // What is not told now is told after the client gave up and came again.
                Some((_, _, _, _, true)) => return std::future::pending().await,
                Some((_, lag, true, gone, _)) => {
                    tokio::time::sleep(Duration::from_millis(lag)).await;
                    if !gone {
                        return None; // and begins anew from what was told last
                    }
                    self.over = true;
                    let status = json!({
                        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": "too old resource version", "reason": "Expired", "code": 410,
                    });
                    return Some(json!({"type": "ERROR", "object": status}));
                }
                Some((event, lag, false, _, _)) => {
                    tokio::time::sleep(Duration::from_millis(lag)).await;
                    return Some(event);
                }
                None => {
                    tokio::time::timeout_at(self.ends, self.world.changes(self.kind)).await.ok()?;
                }
            }
        }
    }
}
