//! Where a budget is read: the PromQL of each source.
//!
//! Owns the names of the series of Sloth and Pyrra, and that what users name cannot leave its string. Asks nothing.
//! A window without a request burns nothing; a series that is not there is no answer.

use super::super::measure::Ask;
use super::super::queries::{self, quoted};
use super::super::snapshot::Snapshot;
use super::super::words::quote;
use super::ruling::DAY;
use crate::api::{ErrorBudget, PyrraSlo, SlothSlo};

/// The questions of a budget; each is answered with one number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Questions {
    /// What is left of it; 1 is all.
    pub(super) remaining: Ask,
    /// How fast it burns, in the long and in the short window.
    pub(super) burn: Option<[Ask; 2]>,
    /// The share of requests that may fail, and how many requests there are in a day.
    pub(super) allowed: Option<[Ask; 2]>,
}

impl Questions {
    /// What a decision needs.
    pub(super) fn needed(&self) -> impl Iterator<Item = &Ask> {
        std::iter::once(&self.remaining).chain(self.burn.iter().flatten())
    }
}

/// The questions of a spec; `None` for one that names no source, which the API server refuses.
pub(super) fn questions(s: &Snapshot, policy: &ErrorBudget) -> Option<Questions> {
    if let Some(slo) = &policy.sloth {
        return Some(sloth(s, slo));
    }
    if let Some(slo) = &policy.pyrra {
        return Some(pyrra(slo));
    }
    let query = policy.query.as_ref()?;
    let ask = |promql: &String| Ask::Value(promql.clone());
    let burn = query.burn.as_ref().map(|burn| [ask(&burn.long), ask(&burn.short)]);
    Some(Questions { remaining: ask(&query.remaining), burn, allowed: None })
}

/// How people call the objective.
pub(super) fn name(policy: &ErrorBudget) -> String {
    let called = match policy {
        ErrorBudget { sloth: Some(SlothSlo { service, slo, .. }), .. } => format!("{service}/{slo}"),
        ErrorBudget { pyrra: Some(PyrraSlo { slo }), .. } => slo.clone(),
        ErrorBudget { .. } => return "spec.errorBudget.query".to_owned(),
    };
    let plain = called.len() <= 100 && called.chars().all(|c| c.is_ascii_graphic());
    if plain { format!("SLO {called}") } else { format!("SLO {}", quote(&called)) }
}

fn sloth(s: &Snapshot, slo: &SlothSlo) -> Questions {
    let mut matchers = format!("sloth_service=\"{}\",sloth_slo=\"{}\"", quoted(&slo.service), quoted(&slo.slo));
    if let Some(id) = &slo.id {
        matchers.push_str(&format!(",sloth_id=\"{}\"", quoted(id)));
    }
    let series = |name: &str| format!("{name}{{{matchers}}}");
    let budget = series("slo:error_budget:ratio");
    let burn = |window: &str| {
        let bad = series(&format!("slo:sli_error:ratio_rate{window}"));
        Ask::Value(format!(
            "(({bad} >= 0) or count without () ({bad}) * 0) / on (sloth_service, sloth_slo) group_left () {budget}"
        ))
    };
    // Sloth records shares, no requests: those of the data plane are taken.
    let day = format!("{}ms", DAY.as_millis());
    let requests = queries::traffic(s).ok().map(|counts| Ask::Value(counts.whole(&day).1));
    Questions {
        remaining: Ask::Value(series("slo:period_error_budget_remaining:ratio")),
        burn: Some([burn("1h"), burn("5m")]),
        allowed: requests.map(|requests| [Ask::Value(budget.clone()), requests]),
    }
}

fn pyrra(slo: &PyrraSlo) -> Questions {
    let matcher = format!("{{slo=\"{}\"}}", quoted(&slo.slo));
    let series = |name: &str| format!("{name}{matcher}");
    let objective = series("pyrra_objective");
    let (bad, all) = (series("pyrra_errors:rate5m"), series("pyrra_requests:rate5m"));
    let burn = |bad: String, all: String| {
        Ask::Value(format!(
            "(sum({bad}) or vector(0)) / (sum({all}) > 0) / scalar(1 - {objective}) or count({all}) * 0"
        ))
    };
    let hour = |series: &str| format!("sum_over_time({series}[1h])");
    let budget = format!("1 - {objective}");
    Questions {
        remaining: Ask::Value(format!(
            "({} - on (slo) group_left () {objective}) / on (slo) group_left () ({budget})",
            series("pyrra_availability")
        )),
        burn: Some([burn(hour(&bad), hour(&all)), burn(bad.clone(), all.clone())]),
        allowed: Some([
            Ask::Value(budget),
            Ask::Value(format!("sum(avg_over_time({all}[1d])) * {}", DAY.as_millis().wrapping_div(1000))),
        ]),
    }
}
