//! What must hold before any pod is made for a new template.
//!
//! An ordered chain of checks; each is pure and answers with a reason and a sentence that names the object and the
//! next step. The first refusal counts.

use super::calendar;
use super::canary;
use super::neighbours;
use super::queries::{self, Stand};
use super::snapshot::{Snapshot, Workload};
use super::verdict::compare;
use super::weights;
use crate::api::RouteBackup;
use crate::judge::Judge;

/// The data plane cannot tell canary and stable apart.
pub(super) const UNSUPPORTED: &str = "DataPlaneUnsupported";

/// A check that did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// A person must act; otherwise it may pass by itself.
    pub(super) needs_person: bool,
}

pub(super) fn refuse(reason: &'static str, message: String) -> Refusal {
    Refusal { reason, message, needs_person: true }
}

pub(super) fn wait(reason: &'static str, message: String) -> Refusal {
    Refusal { reason, message, needs_person: false }
}

/// What the spec names and what it says, checked also at rest, so that a mistake shows before the first release.
pub(super) fn references(s: &Snapshot) -> Result<(), Refusal> {
    let (spec, namespace) = (&s.rollout.spec, &s.rollout.namespace);
    for signal in &spec.analysis.signals {
        if let Some(query) = &signal.query {
            queries::render(s, &query.promql, Stand::Canary).map_err(|why| {
                refuse("InvalidSpec", format!("spec.analysis.signals[{}].query.promql: {why}", signal.name))
            })?;
        }
        // What the data plane cannot tell is said before the first release, not in the middle of it.
        if let Some(Err(why)) = queries::counts(s, signal)
            && (why.reason == "InvalidSpec" || (why.reason == UNSUPPORTED && !signal.dry_run))
        {
            return Err(refuse(why.reason, format!("spec.analysis.signals[{}]: {}", signal.name, why.sentence)));
        }
        for wave in (0..spec.waves.len()).filter(|_| compare::compares(signal)) {
            Judge::new(compare::policy(spec, signal, wave, 1.0)).map_err(|why| {
                refuse(
                    "InvalidSpec",
                    format!("spec.analysis.signals[{}], wave {}: {why}", signal.name, wave.saturating_add(1)),
                )
            })?;
        }
    }
    if let Some(problem) = spec.schedule.as_ref().and_then(calendar::problem) {
        return Err(refuse("InvalidSpec", problem));
    }
    if s.stable_service.is_none() {
        let service = &spec.traffic.stable_service;
        return Err(refuse(
            "ServiceMissing",
            format!("spec.traffic.stableService: Service {service} does not exist in namespace {namespace}"),
        ));
    }
    for named in &spec.traffic.routes {
        if !s.routes.iter().any(|route| route.kind == named.kind && route.name == named.name) {
            let (kind, name) = (named.kind, &named.name);
            let why = if s.unserved.contains(&kind) {
                format!(
                    "{kind} {name} cannot exist: this cluster does not serve {kind} (gateway.networking.k8s.io/v1); install that CRD of the Gateway API, or name {kind} in the operator's --routes"
                )
            } else {
                format!("{kind} {name} does not exist in namespace {namespace}")
            };
            return Err(refuse("RouteMissing", format!("spec.traffic.routes: {why}")));
        }
    }
    if s.provider.is_none() {
        let name = &spec.analysis.provider_ref.name;
        return Err(refuse(
            "ProviderMissing",
            format!("spec.analysis.providerRef: MetricsProvider {name} does not exist; the platform team makes it"),
        ));
    }
    Ok(())
}

/// Whether this workload can have a canary at all.
pub(super) fn workload(s: &Snapshot, workload: &Workload) -> Result<(), Refusal> {
    if let Some(hazard) = workload.hazards.first() {
        return Err(refuse(
            "CannotRunTwice",
            format!("Deployment {} cannot run beside a canary: {hazard}", workload.name),
        ));
    }
    if workload.selector_expressions || workload.selector.is_empty() {
        return Err(refuse(
            "SelectorUnsupported",
            format!("Deployment {}: spec.selector must consist of matchLabels only", workload.name),
        ));
    }
    if let Some(service) = &s.stable_service {
        let labels = canary::labels(workload, &service.selector);
        if canary::selects(&service.selector, &labels) {
            return Err(refuse(
                "LabelsLeak",
                format!(
                    "Service {} would select the canary's pods: its selector shares no label with the pods of Deployment {} that could be varied",
                    service.name, workload.name
                ),
            ));
        }
        if canary::selects(&workload.selector, &labels) {
            return Err(refuse("LabelsLeak", format!("Deployment {} would select the canary's pods", workload.name)));
        }
    }
    if let Some(taken) = s.canary.as_ref().filter(|canary| !canary.ours) {
        return Err(refuse(
            "NameTaken",
            format!("Deployment {} exists and was not made by this Rollout; rename or delete it", taken.name),
        ));
    }
    if let Some(taken) = s.canary_service.as_ref().filter(|service| !service.ours) {
        return Err(refuse(
            "NameTaken",
            format!(
                "Service {} exists and was not made by this Rollout; name another in spec.traffic.canaryService",
                taken.name
            ),
        ));
    }
    neighbours::check(s, workload)
}

/// The weights of every governed rule as they are now.
pub(super) fn routes(s: &Snapshot) -> Result<Vec<RouteBackup>, Refusal> {
    let traffic = &s.rollout.spec.traffic;
    let canary = traffic.canary_service_name();
    let mut backups = Vec::new();
    for named in &traffic.routes {
        let Some(route) = s.routes.iter().find(|route| route.kind == named.kind && route.name == named.name) else {
            continue;
        };
        let backup = weights::backup(route, named.rule.as_deref(), &traffic.stable_service, &canary)
            .map_err(|why| refuse("RouteUnsuitable", why))?;
        // Between two attempts a canary that the route lists already has no Service.
        let awaits_canary = weights::lists(&backup, &canary) && s.canary_service.is_none();
        if !(awaits_canary && weights::accepted_but_for_a_backend(route)) {
            weights::accepted(route).map_err(|why| wait("RouteNotAccepted", why))?;
        }
        backups.push(backup);
    }
    Ok(backups)
}
