//! The manifests that a user writes: the shop as in `examples/shop`, with the scenario's own version, behaviour, size
//! and Rollout.

use serde_json::{Value, json};

/// A shop as a team would write it down.
#[derive(Debug, Clone)]
pub struct App {
    pub namespace: String,
    pub name: String,
    pub replicas: u32,
    pub version: String,
    pub image: String,
    pub env: Vec<(&'static str, String)>,
    /// Annotations of the Deployment itself, not of its pods.
    pub annotations: Value,
    /// Its pods ask Prometheus to scrape them.
    pub scraped: bool,
}

/// What the Rollout of a shop says.
#[derive(Debug, Clone)]
pub struct Plan {
    pub waves: Vec<(u8, &'static str)>,
    pub max_bake: Option<&'static str>,
    /// What each wave must exclude; the defaults if not given.
    pub evidence: Option<Evidence>,
    pub signals: Value,
    pub drain: &'static str,
    pub deadline: &'static str,
    pub no_data: &'static str,
    pub provider: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            waves: vec![(10, "3s"), (50, "3s")],
            max_bake: None,
            evidence: None,
            signals: errors("2%", 20, 2),
            drain: "4s",
            deadline: "60s",
            no_data: "20s",
            provider: "cluster".to_owned(),
        }
    }
}

/// The ratio and the floor that a wave must exclude.
pub type Evidence = (&'static str, &'static str);

/// Evidence that comes with about a hundred requests without an error: for scenarios that are about something else.
pub const COARSE: Option<Evidence> = Some(("10", "5%"));

/// One `errorRatio` signal that compares with stable.
pub fn compared() -> Value {
    json!([{"name": "errors", "errorRatio": {}}])
}

/// One `errorRatio` signal with a threshold.
pub fn errors(threshold: &str, min_requests: u32, consecutive: u32) -> Value {
    json!([{
        "name": "errors",
        "errorRatio": {"threshold": threshold, "minRequests": min_requests},
        "consecutive": consecutive,
    }])
}

impl App {
    /// The same app in another version.
    #[must_use]
    pub fn version(&self, version: &str) -> Self {
        Self { version: version.to_owned(), env: Vec::new(), ..self.clone() }
    }

    /// The same app with another behaviour.
    #[must_use]
    pub fn env(&self, name: &'static str, value: &str) -> Self {
        let mut app = self.clone();
        app.env.push((name, value.to_owned()));
        app
    }

    #[must_use]
    pub fn replicas(&self, replicas: u32) -> Self {
        Self { replicas, ..self.clone() }
    }

    /// The name under which the gateway knows it.
    pub fn host(&self) -> String {
        format!("{}.{}.test", self.name, self.namespace)
    }

    pub fn deployment(&self) -> Value {
        let Self { namespace, name, replicas, version, image, annotations, .. } = self;
        let mut env = vec![json!({"name": "VERSION", "value": version})];
        env.extend(self.env.iter().map(|(name, value)| json!({"name": name, "value": value})));
        let scraped = if self.scraped { json!({"prometheus.io/scrape": "true"}) } else { json!({}) };
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}, "annotations": annotations},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {
                    "metadata": {"labels": {"app": name}, "annotations": scraped},
                    "spec": {
                        "terminationGracePeriodSeconds": 15,
                        "containers": [{
                            "name": "shop",
                            "image": image,
                            "imagePullPolicy": "IfNotPresent",
                            "env": env,
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
                            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
                            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                        }],
                    },
                },
            },
        })
    }

    pub fn service(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "selector": {"app": self.name},
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        })
    }

    pub fn route(&self) -> Value {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "parentRefs": [{"name": "gateway", "namespace": "gateway-system"}],
                "hostnames": [self.host()],
                "rules": [{
                    "backendRefs": [{"group": "", "kind": "Service", "name": self.name, "port": 80, "weight": 1}],
                }],
            },
        })
    }

    /// An autoscaler that gives each pod so many of the requests that the gateway sends to the shop's Service.
    ///
    /// It has no `behavior`; a scenario adds its own. Only a testbed has the metric.
    pub fn autoscaler(&self, min: u32, max: u32, per_pod_rps: u32) -> Value {
        json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name},
                "minReplicas": min,
                "maxReplicas": max,
                "metrics": [{
                    "type": "External",
                    "external": {
                        "metric": {
                            "name": "requests_per_second",
                            "selector": {"matchLabels": {"service": self.name}},
                        },
                        "target": {"type": "AverageValue", "averageValue": per_pod_rps.to_string()},
                    },
                }],
            },
        })
    }

    pub fn rollout(&self, plan: &Plan) -> Value {
        let wave = |(weight, bake): &(u8, &str)| {
            let mut wave = json!({"weight": weight, "bake": bake});
            if let Some(most) = plan.max_bake {
                wave["maxBake"] = json!(most);
            }
            if let Some((ratio, floor)) = plan.evidence {
                wave["evidence"] = json!({"ratio": ratio, "floor": floor});
            }
            wave
        };
        let waves: Vec<Value> = plan.waves.iter().map(wave).collect();
        json!({
            "apiVersion": "sluice.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "targetRef": {"kind": "Deployment", "name": self.name},
                "owner": {"team": "payments", "contact": "payments-oncall"},
                "traffic": {
                    "stableService": self.name,
                    "routes": [{"kind": "HTTPRoute", "name": self.name}],
                    "drain": plan.drain,
                },
                "waves": waves,
                "analysis": {
                    "providerRef": {"name": plan.provider},
                    "interval": "1s",
                    "noDataTimeout": plan.no_data,
                    "signals": plan.signals,
                },
                "progressDeadline": plan.deadline,
            },
        })
    }
}
