//! Counters that users name themselves: for data planes that Sluice does not know.
//!
//! Owns the rendering of the selectors for each version and their checks. A selector that reads the same for both
//! versions is refused: everything would count twice.

use super::super::measure::Ask;
use super::super::template::{Filling, fill};
use super::place::Place;
use super::{Part, Role, Unsupported, What, invalid, selector};
use crate::api::OwnCounters;

/// The variables that a selector may name; the first three are those of the version that it is asked for.
const VARIABLES: [&str; 9] = [
    "pods",
    "service",
    "workload",
    "namespace",
    "canaryPods",
    "stablePods",
    "canaryService",
    "stableService",
    "interval",
];

/// Selectors and what they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    counters: Vec<(Ask, Part)>,
    /// The second counter counts the good ones.
    fast: bool,
}

impl Own {
    pub(super) fn of(own: &OwnCounters, place: &Place<'_>, what: What) -> Result<Self, Unsupported> {
        let (name, second) = match what {
            What::Errors => ("errors", &own.errors),
            What::Slow(_) => ("fast", &own.fast),
        };
        let second = second.as_ref().ok_or_else(|| invalid(format!("counters.{name} is missing")))?;
        let fast = what != What::Errors;
        let mut counters: Vec<(Ask, Part)> = Vec::new();
        for role in [Role::Canary, Role::Stable] {
            let requests = Part { role, n: 1, x: i8::from(fast) };
            let second_part = Part { role, n: 0, x: if fast { -1 } else { 1 } };
            for (field, text, part) in [("requests", &own.requests, requests), (name, second, second_part)] {
                let wrong = |why: String| invalid(format!("counters.{field}: {why}"));
                let text = render(text, place, role)?.map_err(wrong)?;
                selector::check(&text).map_err(wrong)?;
                let ask = Ask::Counter(text);
                if counters.iter().any(|(known, _)| *known == ask) {
                    return Err(wrong(
                        "it is the same as another counter; tell the versions apart with {{pods}}, {{service}} or {{workload}}".to_owned(),
                    ));
                }
                counters.push((ask, part));
            }
        }
        Ok(Self { counters, fast })
    }

    pub(super) fn asks(&self) -> Vec<Ask> {
        self.counters.iter().map(|(ask, _)| ask.clone()).collect()
    }

    pub(super) fn part(&self, ask: &Ask) -> Option<Part> {
        self.counters.iter().find(|(known, _)| known == ask).map(|(_, part)| *part)
    }

    pub(super) fn whole(&self, window: &str) -> (String, String) {
        let all = self.sum(1, window);
        let second = self.sum(0, window);
        if self.fast { (format!("({all} - {second})"), all) } else { (format!("{second} or vector(0)"), all) }
    }

    /// The label keeps the versions apart: `or` would drop the second of two series with the same labels.
    fn sum(&self, n: i8, window: &str) -> String {
        let increases: Vec<String> = self
            .counters
            .iter()
            .filter(|(_, part)| part.n == n)
            .map(|(ask, part)| {
                let version = if part.role == Role::Canary { "canary" } else { "stable" };
                format!(
                    "label_replace(increase({}[{window}]), \"sluice_version\", \"{version}\", \"\", \"\")",
                    ask.promql()
                )
            })
            .collect();
        format!("sum({})", increases.join(" or "))
    }
}

/// The text for one version; outside, that stable's pods are not known yet, inside, what is wrong with the text.
fn render(text: &str, place: &Place<'_>, role: Role) -> Result<Result<String, String>, Unsupported> {
    let unknown = std::cell::Cell::new(false);
    let pods = |role| {
        unknown.set(unknown.get() || role == Role::Stable && place.stable_replica_set.is_empty());
        Filling::Pattern(place.pods(role).regex())
    };
    let named = |name: &str| Filling::Text(name.to_owned());
    let filled = fill(text.trim(), &VARIABLES, |name| {
        Some(match name {
            "pods" => pods(role),
            "service" => named(place.service(role)),
            "workload" => named(place.workload(role)),
            "namespace" => named(place.namespace),
            "canaryPods" => pods(Role::Canary),
            "stablePods" => pods(Role::Stable),
            "canaryService" => named(place.service(Role::Canary)),
            "stableService" => named(place.service(Role::Stable)),
            "interval" => Filling::Text(format!("{}ms", place.interval.as_millis())),
            _ => return None,
        })
    });
    if unknown.get() {
        return Err(super::pods::no_stable_yet(place));
    }
    Ok(filled)
}
