//! docs/reference/metrics.md: every metric. Type, unit and help are what a registry of this program answers; labels and
//! meaning are a list, which is held against that answer: a metric that stands on one side alone is an error.

mod list;

use std::collections::BTreeMap;

use anyhow::Context as _;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::Writer;

pub use list::FAMILIES;

use super::{cell, table};
use crate::api::{MetricsProvider, NotificationSink, Reclassification, Release, ReworkEvent, Rollout};
use crate::delivery::Live;
use crate::leadership::Leadership;
use crate::record::metrics::{self, Sources};
use crate::watch::Freshness;

/// What a metric describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A Rollout that exists.
    Rollout,
    /// The Releases of a namespace.
    Namespace,
    /// A NotificationSink that exists.
    Sink,
    /// A service as the delivery figures know it.
    Delivery,
    /// A process of the operator.
    Process,
}

impl Of {
    const ALL: [Self; 5] = [Self::Rollout, Self::Namespace, Self::Sink, Self::Delivery, Self::Process];

    const fn title(self) -> &'static str {
        match self {
            Self::Rollout => "Of each Rollout",
            Self::Namespace => "Of each namespace",
            Self::Sink => "Of each NotificationSink",
            Self::Delivery => "Delivery figures",
            Self::Process => "Of each process",
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Rollout => "Told by the replica that leads, of every Rollout that exists.",
            Self::Namespace => {
                "Told by the replica that leads, of all Releases of a namespace, also those whose Rollout is gone."
            }
            Self::Sink => {
                "Told by the replica that leads, as the [status](../notifications.md#is-it-working) of the sink says."
            }
            Self::Delivery => {
                "Told by the replica that leads: those of [`sluice report`](../figures.md), for each `window` (`7d`, `28d`, \
                 `90d`,\n`180d`). When they are counted is in [monitoring.md](../monitoring.md#metrics)."
            }
            Self::Process => "Told by every replica, of itself.",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// What it describes.
    pub of: Of,
    /// Its name in a query; of a histogram without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// Every label; of a histogram without `le`.
    pub labels: &'static [&'static str],
    /// What it says, beside its help text.
    pub meaning: &'static str,
}

const fn family(of: Of, name: &'static str, labels: &'static [&'static str], meaning: &'static str) -> Family {
    Family { of, name, labels, meaning }
}

const HEAD: &str = "\
# Metrics

This page lists every metric that Sluice tells Prometheus. It is generated: type, unit and help are what a registry of
the program answers, labels and meaning stand in `src/reference/metrics/list.rs`; run `make reference`. How they are
scraped, which replica tells what and which alerts use them is in [monitoring.md](../monitoring.md).

The unit is the one that the name ends with; a `ratio` is a share from 0 to 1, and timestamps are seconds since 1970.
Of a histogram there are `_bucket` (with the label `le`), `_sum` and `_count`.
";

/// The page, or what stands on one side alone.
pub(super) fn markdown() -> anyhow::Result<String> {
    let mut told = told()?;
    let mut text = HEAD.to_owned();
    for of in Of::ALL {
        let mut rows = Vec::new();
        for one in FAMILIES.iter().filter(|one| one.of == of) {
            let Declared { kind, help } = told.remove(one.name).with_context(|| {
                format!("{} is in src/reference/metrics/list.rs, and no registry tells it", one.name)
            })?;
            let labels: Vec<String> = one.labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
            let unit = ["seconds", "ratio"].into_iter().find(|unit| one.name.ends_with(&format!("_{unit}")));
            let unit = unit.unwrap_or("–").to_owned();
            rows.push(vec![format!("`{}`", one.name), kind, unit, labels, cell(&help), cell(one.meaning)]);
        }
        text.push_str(&format!("\n## {}\n\n{}\n\n", of.title(), of.about()));
        text.push_str(&table(&["Metric", "Type", "Unit", "Labels", "Help", "Meaning"], &rows));
    }
    anyhow::ensure!(told.is_empty(), "not in src/reference/metrics/list.rs: {:?}", told.keys());
    Ok(text)
}

/// What a registry says about a metric.
struct Declared {
    kind: String,
    help: String,
}

/// Every metric of a registry that was just made and has seen no object.
fn told() -> anyhow::Result<BTreeMap<String, Declared>> {
    let (releases, reworks) = (Writer::<Release>::default(), Writer::<ReworkEvent>::default());
    let reclassifications = Writer::<Reclassification>::default();
    let (registry, counters) = metrics::registry(Sources {
        rollouts: Writer::<DeserializeGuard<Rollout>>::default().as_reader(),
        releases: releases.as_reader(),
        reworks: reworks.as_reader(),
        providers: Writer::<MetricsProvider>::default().as_reader(),
        sinks: Writer::<NotificationSink>::default().as_reader(),
        delivery: Live::new(releases.as_reader(), reworks.as_reader(), reclassifications.as_reader()),
        freshness: Freshness::default(),
        leadership: Leadership::always(),
    });
    // Of no write anything is told before the first.
    counters.wrote("label");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    let (mut all, mut helps) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some((family, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            // The encoder ends it with a full stop of its own.
            helps.insert(family, help.trim_end_matches('.'));
        } else if let Some((family, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let name = match kind {
                "counter" => format!("{family}_total"),
                "info" => format!("{family}_info"),
                _ => family.to_owned(),
            };
            let help = helps.get(family).copied().unwrap_or_default();
            all.insert(name, Declared { kind: kind.to_owned(), help: help.to_owned() });
        }
    }
    Ok(all)
}
