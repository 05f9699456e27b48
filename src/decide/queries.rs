//! Which questions a Rollout has for Prometheus, and what a data plane's labels mean.
//!
//! Owns the templates of the data planes, the rendering of user queries, and the escaping of everything that is put
//! into PromQL. Asks nothing.

use super::measure::{Ask, Measurement, Provider, Series};
use super::snapshot::Snapshot;
use super::tally::Bounds;
use crate::api::{Run, Source, Step};

/// Whose requests a series counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Canary,
    Stable,
}

/// The controller name that Traefik writes into a route's status.
const TRAEFIK: &str = "traefik.io/gateway-controller";

/// Whose requests a series of the traffic counter counts, and whether they failed. A series of some other backend that
/// the selector happened to match is nobody's.
pub(super) fn classify(series: &Series, bounds: &Bounds<'_>) -> Option<(Role, bool)> {
    let service = series.labels.get("service")?.strip_suffix("@kubernetesgateway")?;
    let failed = series.labels.get("code").is_some_and(|code| code.starts_with('5'));
    let stable =
        bounds.canary_service != bounds.stable_service && names(service, bounds.namespace, bounds.stable_service);
    if names(service, bounds.namespace, bounds.canary_service) {
        Some((Role::Canary, failed))
    } else if stable {
        Some((Role::Stable, failed))
    } else {
        None
    }
}

/// Whether Traefik's label `…-svc-NAMESPACE-SERVICE-INDEX` names this Service.
fn names(label: &str, namespace: &str, service: &str) -> bool {
    let Some((head, index)) = label.rsplit_once('-') else {
        return false;
    };
    !index.is_empty()
        && index.bytes().all(|byte| byte.is_ascii_digit())
        && head.ends_with(&format!("-svc-{namespace}-{service}"))
}

/// The question for the request counters of both versions, or why the data plane in front cannot answer it.
pub(super) fn traffic(snapshot: &Snapshot) -> Result<Ask, String> {
    let spec = &snapshot.rollout.spec;
    let auto = spec.analysis.signals.iter().all(|s| s.error_ratio.as_ref().is_none_or(|e| e.source == Source::Auto));
    if auto {
        for route in &snapshot.routes {
            if let Some(parent) = route.parents.iter().find(|parent| parent.controller != TRAEFIK) {
                return Err(format!(
                    "HTTPRoute {} is served by {}, whose request counters Sluice cannot read yet; known: {TRAEFIK}",
                    route.name, parent.controller
                ));
            }
        }
    }
    let namespace = regex(&snapshot.rollout.namespace);
    let routes: Vec<String> = spec.traffic.routes.iter().map(|route| regex(&route.name)).collect();
    let stable = regex(&spec.traffic.stable_service);
    let canary = regex(&spec.traffic.canary_service_name());
    let pattern = format!(
        "httproute-{namespace}-({})-.*-svc-{namespace}-({stable}|{canary})-[0-9]+@kubernetesgateway",
        routes.join("|")
    );
    Ok(Ask::Counter(format!("traefik_service_requests_total{{service=~\"{}\"}}", quoted(&pattern))))
}

/// The variables that a user's query may name.
const VARIABLES: [&str; 7] =
    ["namespace", "workload", "canaryPods", "stablePods", "canaryService", "stableService", "interval"];

/// The user's query with its variables filled in, or the variable that is not known.
pub(super) fn render(snapshot: &Snapshot, promql: &str) -> Result<String, String> {
    let spec = &snapshot.rollout.spec;
    let stable_set = snapshot.rollout.status.stable.as_ref().map_or("", |stable| stable.replica_set.as_str());
    let value = |name: &str| -> Option<String> {
        Some(match name {
            "namespace" => quoted(&snapshot.rollout.namespace),
            "workload" => quoted(&spec.target_ref.name),
            "canaryPods" => quoted(&format!("{}-[a-z0-9]+-[a-z0-9]+", regex(&super::canary::name(snapshot)))),
            "stablePods" => quoted(&format!("{}-[a-z0-9]+", regex(stable_set))),
            "canaryService" => quoted(&spec.traffic.canary_service_name()),
            "stableService" => quoted(&spec.traffic.stable_service),
            "interval" => format!("{}ms", spec.analysis.interval.as_millis()),
            _ => return None,
        })
    };
    let mut rendered = String::with_capacity(promql.len());
    let mut rest = promql;
    while let Some((head, tail)) = rest.split_once("{{") {
        let (name, tail) = tail.split_once("}}").ok_or_else(|| "a variable is not closed with }}".to_owned())?;
        let name = name.trim();
        let filled = value(name).ok_or_else(|| {
            format!(
                "variable {:?} is not known; known: {}",
                name.chars().take(40).collect::<String>(),
                VARIABLES.join(", ")
            )
        })?;
        rendered.push_str(head);
        rendered.push_str(&filled);
        rest = tail;
    }
    rendered.push_str(rest);
    Ok(rendered)
}

/// The questions that are due while a run is at its present step; none at rest.
pub(super) fn due(snapshot: &Snapshot, provider: &Provider, run: &Run) -> Vec<Measurement> {
    let judged = match run.step {
        Step::Preflight => false,
        Step::Starting | Step::Shifting | Step::Baking | Step::Promoting => true,
        // The last counts of a canary that is on its way out belong into its record.
        Step::Reverting | Step::Closing => run.times.route_restored_at.is_none(),
        Step::Done => return Vec::new(),
    };
    let every = snapshot.rollout.spec.analysis.interval.max(provider.scrape_interval);
    let measurement = |ask, since| Measurement { provider: provider.clone(), ask, every, since };
    let began = run.times.exposed_at.unwrap_or(run.step_at);
    let mut due = Vec::new();
    if let Ok(ask) = traffic(snapshot) {
        due.push(measurement(ask, run.traffic.until.unwrap_or(began)));
    }
    if judged && run.weight > 0 {
        for signal in &snapshot.rollout.spec.analysis.signals {
            let Some(query) = &signal.query else { continue };
            let state = run.signals.iter().find(|state| state.name == signal.name);
            let since = state.and_then(|state| state.until).unwrap_or(began);
            if let Ok(promql) = render(snapshot, &query.promql) {
                due.push(measurement(Ask::Value(promql), since));
            }
        }
    }
    due
}

/// A text as a literal part of a regular expression (RE2).
pub(super) fn regex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A text as part of a double-quoted PromQL string.
pub(super) fn quoted(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '"' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' => escaped.push_str("\\n"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_name_cannot_leave_its_string() {
        assert_eq!(quoted("a\"} or vector(0) #\\"), "a\\\"} or vector(0) #\\\\");
        assert_eq!(quoted(&regex("shop.v1")), "shop\\\\.v1");
    }

    #[test]
    fn a_label_names_exactly_one_service() {
        let label = "httproute-demo-shop-gw-gateway-system-gateway-ep-web-0-1a2b-svc-demo-shop-1";
        assert!(names(label, "demo", "shop"));
        assert!(!names(label, "demo", "hop"));
        assert!(!names(label, "emo", "shop"));
        assert!(!names("httproute-demo-shop-ep-web-svc-demo-shop-canary-1", "demo", "shop"));
        assert!(!names("shop", "demo", "shop"));
    }
}
