//! What the data planes may know of a Rollout, as plain data.
//!
//! Owns the way from a [`Snapshot`] to names, and what the names of pods look like. Knows no metric.

use serde_json::Value;

use super::super::canary;
use super::super::queries::regex;
use super::super::snapshot::{RouteFacts, Snapshot};
use super::Role;
use crate::api::{Duration, RouteKind};

/// A route: its kind and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decide) struct Named<'a>(pub(in crate::decide) RouteKind, pub(in crate::decide) &'a str);

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

/// Where the two versions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::decide) struct Place<'a> {
    /// The namespace of everything below.
    pub(in crate::decide) namespace: &'a str,
    /// The governed routes.
    pub(in crate::decide) routes: Vec<Named<'a>>,
    /// Which controllers serve them: route, controller name.
    pub(in crate::decide) controllers: Vec<(Named<'a>, &'a str)>,
    /// The stable Service.
    pub(in crate::decide) stable_service: &'a str,
    /// The canary Service.
    pub(in crate::decide) canary_service: String,
    /// The port of stable's backend, if every route has the same; the canary's backend is a copy.
    pub(in crate::decide) port: Option<u16>,
    /// The governed Deployment.
    pub(in crate::decide) stable_workload: &'a str,
    /// The canary Deployment.
    pub(in crate::decide) canary_workload: String,
    /// Stable's ReplicaSet; empty while none is known.
    pub(in crate::decide) stable_replica_set: &'a str,
    /// `analysis.interval`.
    pub(in crate::decide) interval: Duration,
}

impl<'a> Place<'a> {
    /// The place of a Rollout.
    pub(in crate::decide) fn of(snapshot: &'a Snapshot) -> Self {
        let spec = &snapshot.rollout.spec;
        let parents = snapshot.routes.iter().flat_map(|route| {
            let named = Named(route.kind, &route.name);
            route.parents.iter().map(move |parent| (named, parent.controller.as_str()))
        });
        Self {
            namespace: &snapshot.rollout.namespace,
            routes: spec.traffic.routes.iter().map(|route| Named(route.kind, &route.name)).collect(),
            controllers: parents.collect(),
            stable_service: &spec.traffic.stable_service,
            canary_service: spec.traffic.canary_service_name(),
            port: port(&snapshot.routes, &spec.traffic.stable_service),
            stable_workload: &spec.target_ref.name,
            canary_workload: canary::name(snapshot),
            stable_replica_set: snapshot.rollout.status.stable.as_ref().map_or("", |stable| &stable.replica_set),
            interval: spec.analysis.interval,
        }
    }

    /// The Service of a version.
    pub(super) fn service(&self, role: Role) -> &str {
        match role {
            Role::Canary => &self.canary_service,
            Role::Stable => self.stable_service,
        }
    }

    /// The Deployment of a version.
    pub(super) fn workload(&self, role: Role) -> &str {
        match role {
            Role::Canary => &self.canary_workload,
            Role::Stable => self.stable_workload,
        }
    }

    /// What the names of a version's pods look like.
    pub(super) fn pods(&self, role: Role) -> PodNames {
        match role {
            Role::Canary => PodNames::of_deployment(&self.canary_workload),
            Role::Stable => PodNames::of_replica_set(self.stable_replica_set),
        }
    }
}

/// The port that the routes send stable's requests to, if it is one.
pub(super) fn port(routes: &[RouteFacts], stable: &str) -> Option<u16> {
    let backends = routes.iter().flat_map(|route| &route.rules).flat_map(|rule| &rule.backends);
    let ours = backends.filter(|backend| backend.local_service && backend.name == stable);
    let mut ports = ours.map(|backend| backend.raw.get("port").and_then(Value::as_u64));
    let first = ports.next()?;
    if ports.all(|port| port == first) { u16::try_from(first?).ok() } else { None }
}

/// The characters that Kubernetes makes the ends of names of: without vowels and what looks like them
/// (`k8s.io/apimachinery/pkg/util/rand`). A workload whose name begins with ours mostly does not fit.
const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
/// The same as a class of RE2.
const CLASS: &str = "[b-df-hj-np-tv-xz2456789]";
/// A name that is made is cut here before the last 5 characters are added (`k8s.io/apiserver/pkg/storage/names`).
const CUT: usize = 58;
/// How many characters are added to make a pod's name unique.
const ENDING: usize = 5;
/// The hash of a template is a 32-bit number in decimal digits; fewer than 6 happen once in 40,000 templates.
const HASH: std::ops::RangeInclusive<usize> = 6..=10;

/// The names of one version's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodNames {
    head: String,
    /// A template's hash stands between the head and the ending.
    hashed: bool,
}

impl PodNames {
    fn of_replica_set(name: &str) -> Self {
        Self { head: format!("{name}-").chars().take(CUT).collect(), hashed: false }
    }

    fn of_deployment(name: &str) -> Self {
        Self { head: format!("{name}-"), hashed: true }
    }

    /// Of a long Deployment's name so much is left that the hash is cut too.
    fn is_cut(&self) -> bool {
        self.hashed && self.head.len().saturating_add(*HASH.end()).saturating_add(1) > CUT
    }

    /// As a regular expression (RE2, matched from end to end).
    pub(super) fn regex(&self) -> String {
        let head: String = self.head.chars().take(CUT).collect();
        let head = regex(&head);
        if self.is_cut() {
            // What is left of the hash, and the ending.
            return format!("{head}(({CLASS}{{1,10}})?-?)?{CLASS}{{{ENDING}}}");
        }
        if self.hashed {
            format!("{head}{CLASS}{{{},{}}}-{CLASS}{{{ENDING}}}", HASH.start(), HASH.end())
        } else {
            format!("{head}{CLASS}{{{ENDING}}}")
        }
    }

    /// Whether a pod has such a name.
    pub(super) fn holds(&self, pod: &str) -> bool {
        let made = |text: &str| text.chars().all(|c| ALPHABET.contains(c));
        let head = self.head.get(..CUT.min(self.head.len())).unwrap_or(&self.head);
        let Some(rest) = pod.strip_prefix(head) else {
            return false;
        };
        let Some((before, ending)) = rest.len().checked_sub(ENDING).and_then(|at| rest.split_at_checked(at)) else {
            return false;
        };
        let between = if self.is_cut() {
            let hash = before.strip_suffix('-').unwrap_or(before);
            made(hash) && hash.len() <= *HASH.end()
        } else if self.hashed {
            before.strip_suffix('-').is_some_and(|hash| made(hash) && HASH.contains(&hash.len()))
        } else {
            before.is_empty()
        };
        between && made(ending)
    }
}
