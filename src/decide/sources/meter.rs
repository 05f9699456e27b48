//! One counter of a data plane: which series it has, whose they are, and what they count.
//!
//! Owns the way from one description to the selector, the classification and the PromQL of burn rates. Knows no data
//! plane. Values from outside are escaped here, and nowhere else in the planes.

use std::fmt::Write;

use super::super::measure::{Ask, Series};
use super::super::queries::quoted;
use super::edges::{self, Unit};
use super::{Part, Role};
use crate::api::Duration;

/// A label and what must be true of it; a label that a series does not have is empty.
pub(super) type Matcher = (&'static str, Is);

/// A condition on a label that both Prometheus and we can check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Is {
    Exactly(String),
    Not(&'static str),
    OneOf(&'static [&'static str]),
    /// A status of 500 and above, also written `5xx`.
    Failed,
    /// Any HTTP status.
    Status,
    Empty,
    Present,
}

impl Is {
    fn holds(&self, value: &str) -> bool {
        let status = |first: std::ops::RangeInclusive<u8>| {
            value.chars().count() == 3 && value.bytes().next().is_some_and(|byte| first.contains(&byte))
        };
        match self {
            Self::Exactly(wanted) => value == wanted,
            Self::Not(other) => value != *other,
            Self::OneOf(any) => any.contains(&value),
            Self::Failed => status(b'5'..=b'5'),
            Self::Status => status(b'1'..=b'5'),
            Self::Empty => value.is_empty(),
            Self::Present => !value.is_empty(),
        }
    }

    fn write(&self, label: &str, into: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Exactly(value) => write!(into, "{label}=\"{}\"", quoted(value)),
            Self::Not(value) => write!(into, "{label}!=\"{}\"", quoted(value)),
            Self::OneOf(any) => write!(into, "{label}=~\"{}\"", quoted(&any.join("|"))),
            Self::Failed => write!(into, "{label}=~\"5..\""),
            Self::Status => write!(into, "{label}=~\"[1-5]..\""),
            Self::Empty => write!(into, "{label}=\"\""),
            Self::Present => write!(into, "{label}!=\"\""),
        };
    }
}

/// Conditions of which all must hold; of several such lists, one is enough.
pub(super) type Any = Vec<Vec<Matcher>>;

/// How series tell the versions apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Versions {
    /// The label.
    pub(super) label: &'static str,
    /// A regular expression for the values of both versions, not yet quoted.
    pub(super) regex: String,
    /// Which values are which version's.
    pub(super) canary: Form,
    pub(super) stable: Form,
}

/// The values of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// This text.
    Exactly(String),
    /// A cluster of an Envoy.
    Cluster(super::envoy::Cluster),
    /// A service of Traefik.
    Traefik(super::traefik::Service),
    /// A pod.
    Pod(super::place::PodNames),
}

impl Form {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Exactly(wanted) => value == wanted,
            Self::Cluster(cluster) => cluster.holds(value),
            Self::Traefik(service) => service.holds(value),
            Self::Pod(names) => names.holds(value),
        }
    }
}

/// What the series count.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Requests by outcome. Only series of which `known` says an outcome are counted; empty: all.
    Outcomes { known: Any, failed: Any },
    /// Requests by duration, in the buckets of a histogram.
    Durations { unit: Unit, threshold: Duration },
}

/// One counter of a data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meter {
    metric: String,
    fixed: Vec<Matcher>,
    versions: Versions,
    kind: Kind,
    pod: Option<&'static str>,
    /// Versions that a more trusted meter counts.
    elsewhere: Vec<Role>,
    ask: Ask,
}

impl Meter {
    /// A counter of requests with their outcome in labels.
    pub(super) fn outcomes(metric: &str, fixed: Vec<Matcher>, versions: Versions, known: Any, failed: Any) -> Self {
        Self::new(metric.to_owned(), fixed, versions, Kind::Outcomes { known, failed })
    }

    /// The buckets of a histogram of durations. `metric` is the histogram's name, without `_bucket`.
    pub(super) fn durations(
        metric: &str,
        unit: Unit,
        threshold: Duration,
        fixed: Vec<Matcher>,
        versions: Versions,
    ) -> Self {
        Self::new(format!("{metric}_bucket"), fixed, versions, Kind::Durations { unit, threshold })
    }

    fn new(metric: String, fixed: Vec<Matcher>, versions: Versions, kind: Kind) -> Self {
        let mut meter =
            Self { metric, fixed, versions, kind, pod: None, elsewhere: Vec::new(), ask: Ask::Counter(String::new()) };
        // The bucket without an upper edge counts every request. Asked together with the other one, both are of the
        // same scrape, and their difference is never of two moments.
        let le = match &meter.kind {
            Kind::Outcomes { .. } => None,
            Kind::Durations { unit, threshold } => Some(edges::matcher(&edges::texts(*unit, *threshold), true)),
        };
        meter.ask = Ask::Counter(meter.selector(&[], le.as_deref()));
        meter
    }

    /// The label in which the series name the backend's pod.
    pub(super) fn by_pod(mut self, label: &'static str) -> Self {
        self.pod = Some(label);
        self
    }

    pub(super) fn ask(&self) -> &Ask {
        &self.ask
    }

    pub(super) fn pod(&self) -> Option<&'static str> {
        self.pod
    }

    /// Every bucket of stable.
    pub(super) fn edges(&self) -> Option<Ask> {
        match &self.kind {
            Kind::Outcomes { .. } => None,
            Kind::Durations { .. } => Some(Ask::Counter(self.selector(&[], None))),
        }
    }

    /// The series of bad requests alone, where labels tell them: one question for each way in which they do.
    pub(super) fn bad_asks(&self) -> Option<Vec<Ask>> {
        match &self.kind {
            Kind::Outcomes { failed, .. } => {
                Some(failed.iter().map(|list| Ask::Counter(self.selector(list, None))).collect())
            }
            Kind::Durations { .. } => None,
        }
    }

    pub(super) fn part(&self, series: &Series) -> Option<Part> {
        let role = self.role(series).filter(|role| !self.elsewhere.contains(role))?;
        match &self.kind {
            Kind::Outcomes { known, failed } => {
                let outcome = known.is_empty() || any(known, series);
                outcome.then(|| Part { role, n: 1, x: i8::from(any(failed, series)) })
            }
            Kind::Durations { unit, threshold } => match label(series, "le") {
                edges::ALL => Some(Part { role, n: 1, x: 1 }),
                le if edges::texts(*unit, *threshold).iter().any(|text| text == le) => Some(Part { role, n: 0, x: -1 }),
                _ => None,
            },
        }
    }

    /// Whose series it is, by the labels alone.
    fn role(&self, series: &Series) -> Option<Role> {
        if !all(&self.fixed, series) {
            return None;
        }
        let value = label(series, self.versions.label);
        if self.versions.canary.holds(value) {
            Some(Role::Canary)
        } else if self.versions.stable.holds(value) {
            Some(Role::Stable)
        } else {
            None
        }
    }

    /// The edges that stable's histograms have, if the wanted one is not among them.
    pub(super) fn edge_missing(&self, series: &[Series]) -> Option<String> {
        let Kind::Durations { unit, threshold } = &self.kind else {
            return None;
        };
        let stable = || series.iter().filter(|one| self.role(one) == Some(Role::Stable)).map(|one| label(one, "le"));
        let wanted = edges::texts(*unit, *threshold);
        if stable().next().is_none() || stable().any(|le| wanted.iter().any(|text| text == le)) {
            return None;
        }
        let known = edges::people(*unit, stable());
        Some(format!("no bucket of {} ends at {threshold}; known edges: {}", self.metric, known.join(", ")))
    }

    /// A series of this version has requests and no bucket at the threshold.
    pub(super) fn edge_lost(&self, role: Role, series: &[Series]) -> bool {
        let Kind::Durations { unit, threshold } = &self.kind else {
            return false;
        };
        let wanted = edges::texts(*unit, *threshold);
        let rest = |one: &Series| {
            let mut labels = one.labels.clone();
            labels.remove("le");
            labels
        };
        let ours = || series.iter().filter(|one| self.role(one) == Some(role));
        let at: Vec<_> = ours().filter(|one| wanted.iter().any(|text| text == label(one, "le"))).map(rest).collect();
        ours().filter(|one| label(one, "le") == edges::ALL).any(|one| !at.contains(&rest(one)))
    }

    /// The selector of both versions' series, with more conditions.
    fn selector(&self, more: &[Matcher], le: Option<&str>) -> String {
        let mut text = format!("{}{{", self.metric);
        for (label, is) in self.fixed.iter().chain(more) {
            is.write(label, &mut text);
            text.push(',');
        }
        if let Some(le) = le {
            text.push_str(le);
            text.push(',');
        }
        let _ = write!(text, "{}=~\"{}\"}}", self.versions.label, quoted(&self.versions.regex));
        text
    }

    /// PromQL: all requests over a window.
    fn all(&self, window: &str) -> String {
        match &self.kind {
            Kind::Outcomes { known, .. } => self.sum(known, window),
            Kind::Durations { .. } => self.sum_bucket(&[edges::ALL.to_owned()], window),
        }
    }

    /// PromQL: bad requests over a window.
    fn bad(&self, window: &str) -> String {
        match &self.kind {
            Kind::Outcomes { failed, .. } => self.sum(failed, window),
            Kind::Durations { unit, threshold } => {
                format!("({} - {})", self.all(window), self.sum_bucket(&edges::texts(*unit, *threshold), window))
            }
        }
    }

    /// A series that fits several of the lists is one element: `or` leaves a set of labels out that it has already.
    fn sum(&self, any: &Any, window: &str) -> String {
        let none = [Vec::new()];
        let lists = if any.is_empty() { none.as_slice() } else { any.as_slice() };
        let increases: Vec<String> =
            lists.iter().map(|list| format!("increase({}[{window}])", self.selector(list, None))).collect();
        format!("sum({})", increases.join(" or "))
    }

    fn sum_bucket(&self, le: &[String], window: &str) -> String {
        format!("sum(increase({}[{window}]))", self.selector(&[], Some(&edges::matcher(le, false))))
    }
}

fn label<'s>(series: &'s Series, name: &str) -> &'s str {
    series.labels.get(name).map_or("", String::as_str)
}

fn all(list: &[Matcher], series: &Series) -> bool {
    list.iter().all(|(name, is)| is.holds(label(series, name)))
}

fn any(lists: &Any, series: &Series) -> bool {
    lists.iter().any(|list| all(list, series))
}

/// For each version, leaves it to the first meter that has series of it.
pub(super) fn choose<'s>(meters: &[Meter], read: impl Fn(&Ask) -> &'s [Series]) -> Vec<Meter> {
    let mut chosen = meters.to_vec();
    for role in [Role::Canary, Role::Stable] {
        let has = |meter: &Meter| read(&meter.ask).iter().any(|one| meter.part(one).is_some_and(|p| p.role == role));
        let Some(first) = meters.iter().position(has) else {
            continue;
        };
        for meter in chosen.iter_mut().skip(first.saturating_add(1)) {
            meter.elsewhere.push(role);
        }
    }
    chosen
}

/// PromQL of (bad, all): the first meter that has any series answers for both versions.
pub(super) fn whole(meters: &[Meter], window: &str) -> (String, String) {
    let (mut bad, mut all) = (String::new(), String::new());
    for meter in meters {
        let (more_bad, more_all) = (meter.bad(window), meter.all(window));
        if all.is_empty() {
            (bad, all) = (more_bad, more_all);
        } else {
            bad = format!("({bad} or ({more_bad} unless ({all})))");
            all = format!("{all} or {more_all}");
        }
    }
    // A plane that never saw a failure has no such series. For durations there is no excuse: a missing bucket is a
    // wrong threshold and must not read as "nothing was slow".
    if meters.iter().all(|meter| matches!(meter.kind, Kind::Outcomes { .. })) {
        bad.push_str(" or vector(0)");
    }
    (bad, all)
}
