//! The health of the operator itself: who leads, what fails, how long passes and questions take.

use serde_json::Value;

use crate::board::{self, datasource, lines, namespaces, stat};

pub(crate) fn dashboard() -> Value {
    board::dashboard(
        "sluice-operator",
        "Sluice / Operator",
        "Replicas, the leader, failed passes, questions to Prometheus, watches.",
        vec![datasource(), namespaces()],
        Vec::new(),
        vec![
            stat("Replicas", "Processes that answer a scrape.", "short", "count(sluice_build_info) or vector(0)"),
            stat("Leaders", "Processes that decide; one is right.", "short", "sum(sluice_leader) or vector(0)"),
            stat("Kinds not watched", "0 is right.", "short", "sum(1 - sluice_watch_ready)"),
            stat(
                "Failed passes, 1 h",
                "Neither conflicts nor a lost Lease.",
                "short",
                "sum(increase(sluice_reconcile_errors_total[1h]))",
            ),
            stat(
                "Questions without answer, 1 h",
                "Of all MetricsProviders.",
                "short",
                "sum(increase(sluice_prometheus_query_errors_total[1h]))",
            ),
            stat(
                "Rollouts",
                "That the leader knows.",
                "short",
                "count(max by (namespace, name) (sluice_rollout_info{namespace=~\"$namespace\"}))",
            ),
            lines(
                "Who leads",
                "1 for the process that holds the Lease.",
                "short",
                &[("max by (instance) (sluice_leader)", "{{instance}}")],
            ),
            lines(
                "Versions",
                "Processes by version.",
                "short",
                &[("count by (version) (sluice_build_info)", "{{version}}")],
            ),
            lines(
                "Passes",
                "By how they ended.",
                "ops",
                &[("sum by (reason) (rate(sluice_reconciles_total[$__rate_interval]))", "{{reason}}")],
            ),
            lines(
                "Time of a pass",
                "Median and 99%.",
                "s",
                &[
                    (
                        "histogram_quantile(0.5, sum by (le) (rate(sluice_reconcile_duration_seconds_bucket[$__rate_interval])))",
                        "median",
                    ),
                    (
                        "histogram_quantile(0.99, sum by (le) (rate(sluice_reconcile_duration_seconds_bucket[$__rate_interval])))",
                        "99%",
                    ),
                ],
            ),
            lines(
                "Rollouts whose passes fail",
                "Failed passes in 10 minutes; RolloutReconcileErrors fires above 5.",
                "short",
                &[(
                    "sum by (namespace, name) (increase(sluice_reconcile_errors_total{namespace=~\"$namespace\"}[10m])) > 0",
                    "{{namespace}}/{{name}}",
                )],
            ),
            lines(
                "Writes",
                "To workloads, canaries and routes.",
                "ops",
                &[("sum by (write) (rate(sluice_writes_total[$__rate_interval]))", "{{write}}")],
            ),
            lines(
                "Questions without a usable answer",
                "In 10 minutes; RolloutPrometheusErrors fires above 5.",
                "short",
                &[(
                    "sum by (provider, reason) (increase(sluice_prometheus_query_errors_total[10m])) > 0",
                    "{{provider}}: {{reason}}",
                )],
            ),
            lines(
                "Notifications that wait or were given up",
                "By NotificationSink; given up in 10 minutes. RolloutNotificationsFailing fires when nothing is taken for 5 minutes.",
                "short",
                &[
                    ("max by (sink) (sluice_notification_sink_pending) > 0", "{{sink}}: waiting"),
                    ("max by (sink) (increase(sluice_notification_sink_dropped_total[10m])) > 0", "{{sink}}: given up"),
                ],
            ),
            lines(
                "Time of a question",
                "Median and 99%.",
                "s",
                &[
                    (
                        "histogram_quantile(0.5, sum by (le) (rate(sluice_prometheus_query_duration_seconds_bucket[$__rate_interval])))",
                        "median",
                    ),
                    (
                        "histogram_quantile(0.99, sum by (le) (rate(sluice_prometheus_query_duration_seconds_bucket[$__rate_interval])))",
                        "99%",
                    ),
                ],
            ),
            lines(
                "Kinds that are not watched",
                "1 for a kind that has not been listed.",
                "short",
                &[("max by (kind) (1 - sluice_watch_ready) > 0", "{{kind}}")],
            ),
            lines(
                "Errors of watches",
                "Since the start of each process.",
                "short",
                &[("max by (kind) (sluice_watch_errors) > 0", "{{kind}}")],
            ),
        ],
    )
}
