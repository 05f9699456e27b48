//! Old records go: by age, and by count for each Rollout.
//!
//! Owns what may go and the deleting of it. What is not decided yet, and the newest few of each Rollout, stay whatever
//! their age: a clock that is wrong by a year must not empty the books.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::{Error, client, gone_already, send};
use crate::api::{DecisionLog, Release, ReworkEvent};
use crate::leadership::Writer;
use crate::watch::Stores;

/// How long records are kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// For so many days. The figures need 180, and 90 more to know what came back.
    pub days: u32,
    /// At most so many Releases of each Rollout, and as many ReworkEvents.
    pub each: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self { days: 400, each: 1_000 }
    }
}

/// So many of each Rollout stay whatever their age.
const ALWAYS: usize = 20;
/// So many of a kind are deleted at a time: the API server has other things to do.
pub const AT_ONCE: usize = 50;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dated {
    namespace: String,
    name: String,
    uid: String,
    /// Records of one Rollout belong together, also after it was made anew.
    rollout: String,
    at: Timestamp,
    /// Nothing is written into it any more.
    closed: bool,
}

/// What may go, oldest first.
fn expired(mut all: Vec<Dated>, keep: Keep, now: Timestamp) -> Vec<Dated> {
    // Newest first; the name decides between those of one second.
    all.sort_by(|one, other| (other.at, &other.name).cmp(&(one.at, &one.name)));
    let age = SignedDuration::from_hours(i64::from(keep.days).saturating_mul(24));
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut going = Vec::new();
    for one in all {
        let newer = seen.entry((one.namespace.clone(), one.rollout.clone())).or_default();
        let place = *newer;
        *newer = newer.saturating_add(1);
        let old = now.duration_since(one.at) > age;
        if one.closed && place >= ALWAYS && (old || place >= keep.each) {
            going.push(one);
        }
    }
    going.reverse();
    going
}

/// Deletes what may go, some at a time. How many went.
pub async fn prune(writer: &Writer, stores: &Stores, keep: Keep, now: Timestamp) -> Result<usize, Error> {
    let releases = stores.releases.state();
    let releases = releases.iter().map(|one| Dated {
        closed: one.status.as_ref().is_some_and(|status| status.outcome.is_some()),
        ..dated(one.as_ref(), &one.spec.rollout)
    });
    let reworks = stores.reworks.state();
    let reworks = reworks.iter().map(|one| dated(one.as_ref(), &one.spec.rollout));
    let (releases, reworks) = (expired(releases.collect(), keep, now), expired(reworks.collect(), keep, now));
    // A log goes before its Release, so that none is left alone; one whose Release somebody deleted goes by age.
    let logs: Vec<Dated> = stores.logs.state().iter().map(|one| dated(one.as_ref(), &one.spec.rollout)).collect();
    let known = |one: &Dated| stores.releases.get(&ObjectRef::new(&one.name).within(&one.namespace)).is_some();
    delete::<DecisionLog>(writer, "old decision log", &with_releases(logs, &releases, known, keep, now)).await?;
    let count = delete::<Release>(writer, "old release", &releases).await?;
    Ok(delete::<ReworkEvent>(writer, "old rework event", &reworks).await?.saturating_add(count))
}

/// The logs of Releases that go now, and those that are old and of no Release.
fn with_releases(
    logs: Vec<Dated>,
    going: &[Dated],
    known: impl Fn(&Dated) -> bool,
    keep: Keep,
    now: Timestamp,
) -> Vec<Dated> {
    let going: BTreeSet<(&str, &str)> =
        going.iter().take(AT_ONCE).map(|one| (one.namespace.as_str(), one.name.as_str())).collect();
    let age = SignedDuration::from_hours(i64::from(keep.days).saturating_mul(24));
    let goes = |log: &Dated| {
        let with_it = going.contains(&(log.namespace.as_str(), log.name.as_str()));
        with_it || now.duration_since(log.at) > age && !known(log)
    };
    let mut logs: Vec<Dated> = logs.into_iter().filter(goes).collect();
    // Those of what goes now come first: no Release goes before its log.
    logs.sort_by_key(|log| !going.contains(&(log.namespace.as_str(), log.name.as_str())));
    logs
}

fn dated<K: Resource>(object: &K, rollout: &str) -> Dated {
    Dated {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        rollout: rollout.to_owned(),
        at: object.creation_timestamp().map_or(Timestamp::MAX, |time| time.0),
        closed: true,
    }
}

async fn delete<K>(writer: &Writer, what: &'static str, going: &[Dated]) -> Result<usize, Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let now = going.iter().take(AT_ONCE);
    for one in now.clone() {
        let api: Api<K> = Api::namespaced(client(writer, what)?.clone(), &one.namespace);
        // Only this very object.
        let preconditions = Preconditions { uid: Some(one.uid.clone()), resource_version: None };
        let how = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        gone_already(send(what, api.delete(&one.name, &how)).await)?;
    }
    Ok(now.len())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // a few days
mod tests {
    use super::*;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + number * 86_400).unwrap()
    }

    fn record(rollout: &str, number: i64) -> Dated {
        Dated {
            namespace: "demo".into(),
            name: format!("{rollout}-{number}"),
            uid: format!("uid-{rollout}-{number}"),
            rollout: rollout.into(),
            at: day(number),
            closed: true,
        }
    }

    fn names(going: &[Dated]) -> Vec<&str> {
        going.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn what_is_old_goes_oldest_first_and_the_newest_stay_whatever_their_age() {
        let all: Vec<Dated> = (0..30).map(|number| record("shop", number)).collect();
        assert_eq!(names(&expired(all.clone(), Keep { days: 20, each: 1000 }, day(30))).len(), 10, "20 always stay");
        let going = expired(all.clone(), Keep { days: 25, each: 1000 }, day(30));
        assert_eq!(names(&going), ["shop-0", "shop-1", "shop-2", "shop-3", "shop-4"], "older than 25 days at day 30");
        // A clock that is a thousand years ahead.
        let left = 30 - expired(all, Keep::default(), day(400_000)).len();
        assert_eq!(left, ALWAYS);
    }

    #[test]
    fn of_each_rollout_the_newest_are_counted_by_themselves() {
        let mut all: Vec<Dated> = (0..60).map(|number| record("shop", number)).collect();
        all.extend((0..10).map(|number| record("cart", number)));
        let going = expired(all, Keep { days: 400, each: 50 }, day(60));
        assert_eq!(names(&going).len(), 10);
        assert!(names(&going).iter().all(|name| name.starts_with("shop-")), "{going:?}");
    }

    #[test]
    fn a_log_goes_with_its_release_and_one_that_is_left_alone_by_age() {
        let log = |rollout: &str, number: i64| record(rollout, number);
        let going = vec![record("shop", 1)];
        let logs = vec![log("shop", 1), log("shop", 2), log("gone", 3), log("gone", 90)];
        let known = |one: &Dated| one.rollout == "shop";
        let keep = Keep { days: 50, each: 1000 };
        let going = with_releases(logs, &going, known, keep, day(100));
        assert_eq!(names(&going), ["shop-1", "gone-3"]);
    }

    #[test]
    fn an_attempt_in_progress_and_what_has_no_time_stay() {
        let mut all: Vec<Dated> = (0..40).map(|number| record("shop", number)).collect();
        all[0].closed = false;
        all[1].at = Timestamp::MAX;
        let going = expired(all, Keep { days: 1, each: 30 }, day(100));
        assert!(!names(&going).contains(&"shop-0") && !names(&going).contains(&"shop-1"), "{going:?}");
    }
}
