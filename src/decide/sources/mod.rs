//! How each data plane counts requests, and how its series are read as two versions.
//!
//! Owns the names of metrics and labels, which series are the canary's and which stable's, and what a unit of growth
//! of each means ([`Part`]). Must not fold samples, judge, or ask. Every plane is a list of [`Meter`]s: one
//! description gives the selector that is asked, the classification of what comes back, and the PromQL of burn rates,
//! so the three cannot disagree.
//!
//! One file per data plane; `detect` chooses among them, `own` is for counters that users name, `place` is what the
//! planes may know of a Rollout.

mod bad;
mod detect;
mod edges;
mod envoy;
mod istio;
mod linkerd;
mod meter;
mod own;
mod place;
mod pods;
mod selector;
mod traefik;

#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(super) mod tests;

pub(super) use bad::BadAsk;
pub(super) use place::Place;

use super::measure::{Ask, Series};
use crate::api::{Duration, OwnCounters, Source};
use meter::Meter;
use own::Own;

/// Whose requests a series counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Canary,
    Stable,
}

/// What one unit of growth of a series means: `n` requests more, `x` bad ones more or fewer.
///
/// A bucket of a histogram takes away: slow requests are all requests without the fast ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) role: Role,
    pub(super) n: i8,
    pub(super) x: i8,
}

/// What makes a request a bad one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// It failed.
    Errors,
    /// It took longer than this, whether it failed or not.
    Slow(Duration),
}

/// Why there are no counts to be had, before anything is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsupported {
    pub(super) reason: &'static str,
    pub(super) sentence: String,
}

/// A counter that was found for a Rollout. Two signals with equal `Counts` can share what was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    source: Source,
    basis: Basis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Basis {
    /// In order of trust: each version is counted by the first that has series of it (see [`Counts::chosen`]).
    Plane(Vec<Meter>),
    Own(Own),
}

/// The counter of a signal, or why there is none.
pub(super) fn resolve(
    source: Source,
    own: Option<&OwnCounters>,
    place: &Place<'_>,
    what: What,
) -> Result<Counts, Unsupported> {
    let source = if source == Source::Auto { detect::by_controller(place)? } else { source };
    let basis = match (source, own) {
        (Source::Query, Some(own)) => Basis::Own(Own::of(own, place, what)?),
        (Source::Query, None) => return Err(invalid("source: Query needs counters".to_owned())),
        (_, Some(_)) => return Err(invalid("counters are read with source: Query only".to_owned())),
        (Source::Auto | Source::Traefik, None) => Basis::Plane(traefik::meters(place, what)),
        (Source::Istio, None) => Basis::Plane(istio::meters(place, what)),
        (Source::Linkerd, None) => Basis::Plane(linkerd::meters(place, what)),
        (Source::Contour, None) => Basis::Plane(envoy::meters(envoy::Plane::Contour, place, what)),
        (Source::Kgateway, None) => Basis::Plane(envoy::meters(envoy::Plane::Kgateway, place, what)),
        (Source::Cilium, None) => Basis::Plane(envoy::meters(envoy::Plane::Cilium, place, what)),
        (Source::Pods, None) => Basis::Plane(pods::meters(place, what)?),
    };
    Ok(Counts { source, basis })
}

fn invalid(sentence: String) -> Unsupported {
    Unsupported { reason: "InvalidSpec", sentence }
}

impl Counts {
    /// What to ask; each question covers both versions where the plane allows it.
    pub(super) fn asks(&self) -> Vec<Ask> {
        match &self.basis {
            Basis::Plane(meters) => meters.iter().map(|meter| meter.ask().clone()).collect(),
            Basis::Own(own) => own.asks(),
        }
    }

    /// What a series that came back for `ask` counts. `None`: nobody's, such as another backend that the selector
    /// happened to match.
    pub(super) fn part(&self, ask: &Ask, series: &Series) -> Option<Part> {
        match &self.basis {
            Basis::Plane(meters) => meters.iter().find(|meter| meter.ask() == ask)?.part(series),
            Basis::Own(own) => own.part(ask),
        }
    }

    /// The same counts, where a request that is counted in two places is counted in the more trusted one only.
    ///
    /// `read` gives the series that a question brought, none if it was not answered. Asks stay the same. Without this,
    /// a plane with several questions would count a request twice.
    pub(super) fn chosen<'s>(&self, read: impl Fn(&Ask) -> &'s [Series]) -> Self {
        let basis = match &self.basis {
            Basis::Plane(meters) => Basis::Plane(meter::choose(meters, read)),
            Basis::Own(own) => Basis::Own(own.clone()),
        };
        Self { source: self.source, basis }
    }

    /// The backend pod that counted, where the series names it.
    pub(super) fn pod<'s>(&self, ask: &Ask, series: &'s Series) -> Option<&'s str> {
        let label = match &self.basis {
            Basis::Plane(meters) => meters.iter().find(|meter| meter.ask() == ask)?.pod()?,
            Basis::Own(_) => "pod",
        };
        series.labels.get(label).map(String::as_str)
    }

    /// For burn rates: the PromQL of bad and of all requests of both versions together over `window`.
    ///
    /// No request is no answer, never 0. No failed request is 0.
    pub(super) fn whole(&self, window: &str) -> (String, String) {
        match &self.basis {
            Basis::Plane(meters) => meter::whole(meters, window),
            Basis::Own(own) => own.whole(window),
        }
    }

    /// For latency: the questions that show which edges the histograms of stable have; empty for errors.
    pub(super) fn edges(&self) -> Vec<Ask> {
        match &self.basis {
            Basis::Plane(meters) => meters.iter().filter_map(Meter::edges).collect(),
            Basis::Own(_) => Vec::new(),
        }
    }

    /// Why requests cannot be told slow at this threshold: no bucket ends there. `read` gives what [`Counts::edges`]
    /// brought. `None` if one does, or if nothing was read yet.
    pub(super) fn edge_missing<'s>(&self, read: impl Fn(&Ask) -> &'s [Series]) -> Option<String> {
        match &self.basis {
            Basis::Plane(meters) => meters.iter().find_map(|meter| {
                let series = read(&meter.edges()?);
                (!series.is_empty()).then(|| meter.edge_missing(series))
            })?,
            Basis::Own(_) => None,
        }
    }

    /// For latency: a series of this version has no bucket at the threshold, so all its requests would look slow. The
    /// canary may have other buckets than stable, which was looked at before the run.
    pub(super) fn edge_lost(&self, role: Role, ask: &Ask, series: &[Series]) -> bool {
        match &self.basis {
            Basis::Plane(meters) => {
                meters.iter().find(|meter| meter.ask() == ask).is_some_and(|meter| meter.edge_lost(role, series))
            }
            Basis::Own(_) => false,
        }
    }

    /// Where the counts come from, never `Auto`.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// The same for people.
    pub(super) fn name(&self) -> &'static str {
        match self.source {
            Source::Auto | Source::Traefik => "Traefik",
            Source::Istio => "Istio",
            Source::Linkerd => "Linkerd",
            Source::Contour => "Contour",
            Source::Kgateway => "kgateway",
            Source::Cilium => "Cilium",
            Source::Pods => "the pods",
            Source::Query => "the counters of the spec",
        }
    }
}
