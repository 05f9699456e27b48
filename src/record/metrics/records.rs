//! What the records say: rework of each Rollout, and how long attempts took.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kube::ResourceExt;
use kube::runtime::reflector::Store;
use prometheus_client::metrics::histogram::Histogram;

use super::counted::Key;
use super::encode::Families;
use crate::api::{Outcome, Release, ReworkEvent, ReworkKind};

const KINDS: [ReworkKind; 4] = [ReworkKind::Rollback, ReworkKind::Escaped, ReworkKind::Bypass, ReworkKind::Hotfix];

const fn kind_word(kind: ReworkKind) -> &'static str {
    match kind {
        ReworkKind::Rollback => "rollback",
        ReworkKind::Escaped => "escaped",
        ReworkKind::Bypass => "bypass",
        ReworkKind::Hotfix => "hotfix",
    }
}

/// How attempts end, as far as their length is concerned.
const OUTCOMES: [&str; 6] = ["promoted", "rolled_back", "failed_before_exposure", "aborted", "superseded", "bypassed"];

const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        // Harm that is found later makes the attempt neither longer nor shorter.
        Outcome::Promoted | Outcome::Escaped => "promoted",
        Outcome::RolledBack => "rolled_back",
        Outcome::FailedBeforeExposure => "failed_before_exposure",
        Outcome::Aborted => "aborted",
        Outcome::Superseded | Outcome::SupersededUnderSuspicion => "superseded",
        Outcome::Bypassed => "bypassed",
    }
}

/// From a minute to three days: four waves of ten minutes are 45 minutes at least, and people take a night.
const BUCKETS: [f64; 10] = [60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0, 86_400.0, 259_200.0];

/// Rework of each Rollout that exists, by kind.
pub(super) fn rework(
    reworks: &Store<ReworkEvent>,
    known: &BTreeSet<Key>,
    families: &mut Families<'_, '_>,
) -> fmt::Result {
    let mut counts: BTreeMap<(Key, &'static str), u64> = BTreeMap::new();
    for one in reworks.state() {
        let of = (one.namespace().unwrap_or_default(), one.spec.rollout.clone());
        let count = counts.entry((of, kind_word(one.spec.kind))).or_default();
        *count = count.saturating_add(1);
    }
    families.counters("rework_events", "ReworkEvents of a Rollout that exist, by kind", |put| {
        known.iter().try_for_each(|key| {
            KINDS.iter().try_for_each(|kind| {
                let kind = kind_word(*kind);
                let count = counts.get(&(key.clone(), kind)).copied().unwrap_or_default();
                put(&[("namespace", &key.0), ("name", &key.1), ("kind", kind)], count)
            })
        })
    })
}

/// How long attempts took, by namespace and outcome: a histogram for each Rollout would be larger than all else that is
/// told of it.
pub(super) fn durations(
    releases: &Store<Release>,
    known: &BTreeSet<Key>,
    families: &mut Families<'_, '_>,
) -> fmt::Result {
    let mut all: BTreeMap<String, [Histogram; OUTCOMES.len()]> = BTreeMap::new();
    let empty = || OUTCOMES.map(|_| Histogram::new(BUCKETS));
    for (namespace, _) in known {
        all.entry(namespace.clone()).or_insert_with(empty);
    }
    for release in releases.state() {
        let Some(status) = &release.status else { continue };
        let times = &status.times;
        let (Some(outcome), Some(from), Some(to)) = (status.outcome, times.requested_at, times.ended_at) else {
            continue;
        };
        let of = all.entry(release.namespace().unwrap_or_default()).or_insert_with(empty);
        let word = outcome_word(outcome);
        if let Some((_, histogram)) = OUTCOMES.iter().zip(of.iter()).find(|(name, _)| **name == word) {
            histogram.observe(to.duration_since(from).as_secs_f64().max(0.0));
        }
    }
    families.seconds(
        "rollout_duration",
        "Time from when a template was first seen until nothing of its attempt was left, by outcome",
        |put| {
            all.iter().try_for_each(|(namespace, histograms)| {
                OUTCOMES.iter().zip(histograms).try_for_each(|(outcome, histogram)| {
                    put(&[("namespace", namespace), ("outcome", outcome)], histogram)
                })
            })
        },
    )
}
