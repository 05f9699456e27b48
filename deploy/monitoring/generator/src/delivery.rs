//! Delivery figures: how often, how fast, how much fails, how much is rework. Sums and medians, no ranks of teams.

use serde_json::Value;

use crate::board::{self, datasource, lines, namespaces, stat, table, variable};

/// Chosen namespaces and window.
const OF: &str = "namespace=~\"$namespace\", window=\"$window\"";

/// The sum over Rollouts of one figure; of two processes that tell it, one counts.
fn sum(metric: &str, more: &str) -> String {
    format!("sum(max by (namespace, name) ({metric}{{{OF}{more}}}))")
}

/// The largest of a quantile over Rollouts: quantiles cannot be summed.
fn worst(metric: &str, quantile: &str) -> String {
    format!("max by (namespace, name) ({metric}{{{OF}, quantile=\"{quantile}\"}})")
}

/// A figure of each Rollout in the last 7 days, whatever window is chosen.
fn week(metric: &str) -> String {
    format!("max by (namespace, name) ({metric}{{namespace=~\"$namespace\", window=\"7d\"}})")
}

pub(crate) fn dashboard() -> Value {
    let deployments = sum("sluice_delivery_deployments", "");
    let failed = |class: &str| sum("sluice_delivery_failed", &format!(", class=\"{class}\""));
    let rework = sum("sluice_delivery_rework", "");
    let rate = |part: &str| format!("{part} / ({deployments} > 0)");
    let (all, contained, escaped) = (failed("all"), failed("contained"), failed("escaped"));
    let duration = |quantile: &str| {
        format!(
            "histogram_quantile({quantile}, sum by (le, outcome) (sluice_rollout_duration_seconds_bucket{{namespace=~\"$namespace\"}}))"
        )
    };
    board::dashboard(
        "sluice-delivery",
        "Sluice / Delivery",
        "From the records of releases. One service at a time; below ten deployments look at counts, not at rates.",
        vec![
            datasource(),
            namespaces(),
            variable("window", "Window", "label_values(sluice_delivery_deployments, window)", false),
        ],
        Vec::new(),
        vec![
            stat("Deployments", "Releases that had live traffic.", "short", &deployments),
            stat("Change fail rate", "Deployments that failed, of all.", "percentunit", &rate(&all)),
            stat(
                "Escaped",
                "Deployments that failed after they had reached everybody.",
                "percentunit",
                &rate(&escaped),
            ),
            stat("Rework rate", "Deployments that were unplanned repairs, of all.", "percentunit", &rate(&rework)),
            stat(
                "Open failures",
                "Failed deployments that nothing has remedied yet.",
                "short",
                "sum(max by (namespace, name) (sluice_delivery_open_failures{namespace=~\"$namespace\"}))",
            ),
            stat(
                "Slowest recovery, median",
                "The largest of the medians over Rollouts; none without a failure.",
                "s",
                &format!("max({})", worst("sluice_delivery_recovery_seconds", "0.5")),
            ),
            lines(
                "Failed deployments",
                "Contained: taken back before they had reached everybody.",
                "short",
                &[(&contained, "contained"), (&escaped, "escaped"), (&deployments, "deployments")],
            ),
            lines(
                "Rework of 7 days",
                "What RolloutReworkRateHigh looks at: it fires above 25% of at least 5 deployments.",
                "percentunit",
                &[(
                    &format!("{} / ({} > 0)", week("sluice_delivery_rework"), week("sluice_delivery_deployments")),
                    "{{namespace}}/{{name}}",
                )],
            ),
            lines(
                "Time to recover, median",
                "From the first live traffic of a version that failed.",
                "s",
                &[(&worst("sluice_delivery_recovery_seconds", "0.5"), "{{namespace}}/{{name}}")],
            ),
            lines(
                "Lead time, median",
                "From a commit until it serves everybody.",
                "s",
                &[(&worst("sluice_delivery_lead_time_seconds", "0.5"), "{{namespace}}/{{name}}")],
            ),
            lines(
                "Length of attempts",
                "From when a template was first seen until nothing of it was left, over all recorded attempts. Waiting for people is part of it.",
                "s",
                &[(&duration("0.5"), "{{outcome}}, median"), (&duration("0.9"), "{{outcome}}, 90%")],
            ),
            lines(
                "Rework events",
                "ReworkEvents of Rollouts that exist, by kind.",
                "short",
                &[(
                    "sum by (kind) (max by (namespace, name, kind) (sluice_rework_events_total{namespace=~\"$namespace\"}))",
                    "{{kind}}",
                )],
            ),
            table(
                "Rollouts",
                "Counts in the window; times are medians in seconds.",
                &[
                    ("Deployments", &format!("max by (namespace, name, team) (sluice_delivery_deployments{{{OF}}})")),
                    (
                        "Failed",
                        &format!("max by (namespace, name, team) (sluice_delivery_failed{{{OF}, class=\"all\"}})"),
                    ),
                    (
                        "Escaped",
                        &format!("max by (namespace, name, team) (sluice_delivery_failed{{{OF}, class=\"escaped\"}})"),
                    ),
                    ("Rework", &format!("max by (namespace, name, team) (sluice_delivery_rework{{{OF}}})")),
                    (
                        "Recovery",
                        &format!(
                            "max by (namespace, name, team) (sluice_delivery_recovery_seconds{{{OF}, quantile=\"0.5\"}})"
                        ),
                    ),
                    (
                        "Lead time",
                        &format!(
                            "max by (namespace, name, team) (sluice_delivery_lead_time_seconds{{{OF}, quantile=\"0.5\"}})"
                        ),
                    ),
                ],
                &[],
            ),
        ],
    )
}
