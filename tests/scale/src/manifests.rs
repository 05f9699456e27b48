//! What a benchmark's team writes down: Deployment, Service, HTTPRoute and Rollout, by number.

use serde_json::{Value, json};
use testbed::cluster::components::SIMULATED;

/// So many apps live in one namespace.
const IN_ONE_NAMESPACE: usize = 100;
/// What all objects of the benchmark are labelled with.
pub(crate) const LABEL: &str = "sluice.test/scale";
/// The Gateway that the benchmark plays itself.
pub(crate) const GATEWAY: &str = "simulated";
/// Counts the requests of each workload, by outcome.
pub(crate) const REQUESTS: &str = "scale_requests_total";

/// One app.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The waves of its Rollout and how often it reads its signals.
    pub(crate) pace: Pace,
}

/// How a Rollout goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// One wave that lasts longer than the benchmark.
    Lasting,
    /// Four waves of 4 s.
    Brief,
}

/// The app of this number.
pub(crate) fn app(number: usize) -> App {
    App { namespace: namespace(number), name: format!("app-{number:04}"), pace: Pace::Lasting }
}

/// The namespace of the app of this number.
pub(crate) fn namespace(number: usize) -> String {
    format!("scale-{:02}", number / IN_ONE_NAMESPACE)
}

impl App {
    pub(crate) fn deployment(&self) -> Value {
        let Self { namespace, name, .. } = self;
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name, LABEL: "true"}},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": name}},
                "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {
                        "nodeSelector": {SIMULATED: "true"},
                        "tolerations": [{"key": SIMULATED, "operator": "Exists", "effect": "NoSchedule"}],
                        "containers": [{
                            "name": "shop",
                            "image": "sluice.test/shop:dev",
                            "imagePullPolicy": "IfNotPresent",
                            "env": [{"name": "VERSION", "value": "v1"}, {"name": "REGION", "value": "here"}],
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
                            "resources": {
                                "requests": {"cpu": "10m", "memory": "16Mi"},
                                "limits": {"memory": "64Mi"},
                            },
                        }],
                    },
                },
            },
        })
    }

    pub(crate) fn service(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": {LABEL: "true"}},
            "spec": {
                "selector": {"app": self.name},
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        })
    }

    pub(crate) fn route(&self) -> Value {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": {LABEL: "true"}},
            "spec": {
                "parentRefs": [{"name": GATEWAY}],
                "hostnames": [format!("{}.{}.test", self.name, self.namespace)],
                "rules": [{
                    "backendRefs": [{"group": "", "kind": "Service", "name": self.name, "port": 80, "weight": 1}],
                }],
            },
        })
    }

    pub(crate) fn rollout(&self) -> Value {
        let selector =
            |and: &str| format!("{REQUESTS}{{namespace=\"{{{{namespace}}}}\",workload=\"{{{{workload}}}}\"{and}}}");
        let (waves, interval) = match self.pace {
            Pace::Lasting => (json!([{"weight": 10, "bake": "2h"}]), "5s"),
            Pace::Brief => (
                json!([
                    {"weight": 5, "bake": "4s"},
                    {"weight": 20, "bake": "4s"},
                    {"weight": 50, "bake": "4s"},
                    {"weight": 80, "bake": "4s"},
                ]),
                "1s",
            ),
        };
        json!({
            "apiVersion": "sluice.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": {LABEL: "true"}},
            "spec": {
                "targetRef": {"kind": "Deployment", "name": self.name},
                "owner": {"team": "payments", "contact": "payments-oncall"},
                "traffic": {
                    "stableService": self.name,
                    "routes": [{"kind": "HTTPRoute", "name": self.name}],
                    "drain": "4s",
                },
                "waves": waves,
                "analysis": {
                    "providerRef": {"name": "cluster"},
                    "interval": interval,
                    "signals": [{
                        "name": "errors",
                        "errorRatio": {
                            "threshold": "2%",
                            "minRequests": 20,
                            "source": "Query",
                            "counters": {"requests": selector(""), "errors": selector(",outcome=\"error\"")},
                        },
                        "consecutive": 2,
                    }],
                },
                "progressDeadline": "15m",
                // Else the promoted version is watched for an hour, and nothing is at rest.
                "watch": "0s",
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_plain_selectors_with_the_variables_of_a_version() {
        let rollout = app(101).rollout();
        let counters = &rollout["spec"]["analysis"]["signals"][0]["errorRatio"]["counters"];
        let all = "scale_requests_total{namespace=\"{{namespace}}\",workload=\"{{workload}}\"}";
        let failed = "scale_requests_total{namespace=\"{{namespace}}\",workload=\"{{workload}}\",outcome=\"error\"}";
        assert_eq!((&counters["requests"], &counters["errors"]), (&json!(all), &json!(failed)));
        assert_eq!((app(101).name.as_str(), app(101).namespace.as_str()), ("app-0101", "scale-01"));
    }
}
