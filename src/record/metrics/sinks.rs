//! What the status of each NotificationSink says: whether it takes what it is told, and what it has not taken.

use std::fmt;

use kube::ResourceExt;
use kube::runtime::reflector::Store;

use super::encode::Families;
use crate::api::{NotificationSink, NotificationSinkStatus};

/// Every sink that exists, at 0 before anything was delivered to it.
pub(super) fn encode(sinks: &Store<NotificationSink>, families: &mut Families<'_, '_>) -> fmt::Result {
    let mut all: Vec<_> = sinks.state().into_iter().map(|sink| (sink.name_any(), sink)).collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut gauges = |name, help, of: fn(&NotificationSinkStatus) -> f64| {
        families.gauges(name, help, |put| {
            all.iter().try_for_each(|(name, sink)| put(&[("sink", name)], sink.status.as_ref().map_or(0.0, of)))
        })
    };
    gauges("notification_sink_failing", "1 while every delivery to a NotificationSink fails", |status| {
        if status.failing_since.is_some() { 1.0 } else { 0.0 }
    })?;
    gauges("notification_sink_pending", "Notifications that wait to be delivered", |status| f64::from(status.pending))?;
    let mut counters = |name, help, of: fn(&NotificationSinkStatus) -> u64| {
        families.counters(name, help, |put| {
            all.iter().try_for_each(|(name, sink)| put(&[("sink", name)], sink.status.as_ref().map_or(0, of)))
        })
    };
    counters("notification_sink_delivered", "Notifications that a NotificationSink took", |status| status.delivered)?;
    counters(
        "notification_sink_dropped",
        "Notifications that were given up: refused for good, or a day old before they were taken",
        |status| status.dropped,
    )
}
