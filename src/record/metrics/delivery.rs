//! Delivery figures of each service: of every Rollout that exists, and of those that are gone as long as users met
//! something of them within the largest window. What was counted last is told: nothing is counted at a scrape.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::counted::Key;
use super::encode::{Families, Labels};
use super::{Seen, share};
use crate::delivery::{Counts, Live, Service};
use crate::figures::{Spread, WINDOWS};

/// Services of Rollouts that are gone: no more than these, the busiest first.
const GONE: usize = 200;

/// A service as it is told of.
struct One<'a> {
    key: Key,
    team: String,
    /// `None` before the first record.
    figures: Option<&'a Service>,
}

impl One<'_> {
    /// The counts of a window; nothing recorded is zero of each.
    fn of(&self, days: u32) -> Counts {
        let found = self.figures.and_then(|service| service.windows.iter().find(|counts| counts.days == days));
        found.copied().unwrap_or(Counts {
            days,
            deployments: 0,
            failed: 0,
            contained: 0,
            escaped: 0,
            rework: 0,
            recovery: None,
            lead_time: None,
        })
    }
}

/// A further label, if there is one, and what is told with it, if anything.
type Value = (Option<(&'static str, &'static str)>, Option<f64>);
type Put<'p> = dyn FnMut(Labels<'_>, f64) -> fmt::Result + 'p;

/// A series for each service and window, with more labels and their value for each.
fn each<const N: usize>(all: &[One<'_>], put: &mut Put<'_>, values: impl Fn(Counts) -> [Value; N]) -> fmt::Result {
    for one in all {
        for days in WINDOWS {
            let window = format!("{days}d");
            for (more, value) in values(one.of(days)) {
                let Some(value) = value else { continue };
                let labels =
                    [("namespace", one.key.0.as_str()), ("name", &one.key.1), ("team", &one.team), ("window", &window)];
                let labels: Vec<(&str, &str)> = labels.into_iter().chain(more).collect();
                put(&labels, value)?;
            }
        }
    }
    Ok(())
}

fn quantiles(spread: Option<Spread>) -> [Value; 2] {
    [
        (Some(("quantile", "0.5")), spread.map(|spread| spread.median_seconds)),
        (Some(("quantile", "0.9")), spread.map(|spread| spread.p90_seconds)),
    ]
}

/// Those that exist, and of those that are gone what is still counted.
fn told<'a>(
    services: &'a BTreeMap<Key, std::sync::Arc<Service>>,
    all: &[Seen<'_>],
    known: &BTreeSet<Key>,
) -> Vec<One<'a>> {
    let team = |service: Option<&Service>| service.and_then(|service| service.team.clone()).unwrap_or_default();
    let teams: BTreeMap<(&str, &str), &str> =
        all.iter().map(|seen| ((seen.namespace.as_str(), seen.name.as_str()), seen.team())).collect();
    let mut told: Vec<One<'a>> = known
        .iter()
        .map(|key| {
            let figures = services.get(key).map(AsRef::as_ref);
            let now = teams.get(&(key.0.as_str(), key.1.as_str())).map(|team| (*team).to_owned());
            One { key: key.clone(), team: now.unwrap_or_else(|| team(figures)), figures }
        })
        .collect();
    let mut gone: Vec<One<'a>> = services
        .iter()
        .filter(|(key, service)| !known.contains(*key) && service.lately())
        .map(|(key, service)| One { key: key.clone(), team: team(Some(service)), figures: Some(service) })
        .collect();
    let deployments = |one: &One<'_>| one.figures.and_then(|of| of.windows.last()).map_or(0, |last| last.deployments);
    gone.sort_by(|one, other| (deployments(other), &one.key).cmp(&(deployments(one), &other.key)));
    told.extend(gone.into_iter().take(GONE));
    told.sort_by(|one, other| one.key.cmp(&other.key));
    told
}

pub(super) fn encode(
    live: &Live,
    all: &[Seen<'_>],
    known: &BTreeSet<Key>,
    families: &mut Families<'_, '_>,
) -> fmt::Result {
    // Zeros would be untrue until the records have been counted once.
    let services = live.services();
    let told = services.as_ref().map(|services| told(services, all, known)).unwrap_or_default();
    let float = |count: u64| Some(share(count, 1));
    families.gauges(
        "delivery_deployments",
        "Deployments of a service in so many days: attempts that users met; see docs/figures.md",
        |put| each(&told, put, |counts| [(None, float(counts.deployments))]),
    )?;
    families.gauges(
        "delivery_failed",
        "Of these, what failed: all; contained, before it served everybody; escaped, the rest",
        |put| {
            each(&told, put, |counts| {
                [
                    (Some(("class", "all")), float(counts.failed)),
                    (Some(("class", "contained")), float(counts.contained)),
                    (Some(("class", "escaped")), float(counts.escaped)),
                ]
            })
        },
    )?;
    families.gauges("delivery_rework", "Of these, what was made because of a failure", |put| {
        each(&told, put, |counts| [(None, float(counts.rework))])
    })?;
    families.gauges(
        "delivery_recovery_seconds",
        "Time from the first exposure of what failed until that was over; absent, not 0, without failures",
        |put| each(&told, put, |counts| quantiles(counts.recovery)),
    )?;
    families.gauges(
        "delivery_lead_time_seconds",
        "Time from a commit until it served everybody; absent where no commits are known",
        |put| each(&told, put, |counts| quantiles(counts.lead_time)),
    )?;
    families.gauges("delivery_open_failures", "Failed deployments that are not over, whenever they began", |put| {
        told.iter().try_for_each(|one| {
            let labels = [("namespace", one.key.0.as_str()), ("name", &one.key.1), ("team", &one.team)];
            put(&labels, share(one.figures.map_or(0, |service| service.open), 1))
        })
    })
}
