//! The fields of foreign objects that are read, and nothing else: pod templates become digests while they are decoded.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::names;

/// Go writes an empty list or map as `null` where the field is not marked as optional; that is no error.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A count. Kubernetes has `int32` for all of them and does not check each for being negative, such as those that a kubelet
/// writes: less than nothing is nothing.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Ok(some_count(deserializer)?.unwrap_or_default())
}

fn some_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number: Option<i64> = Option::deserialize(deserializer)?;
    Ok(number.map(|number| u32::try_from(number.max(0)).unwrap_or(u32::MAX)))
}

/// What is kept of a pod template.
#[derive(Debug, Clone, Default)]
pub struct TemplateView {
    /// Its digest.
    pub digest: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its containers, as `name=image`.
    pub images: Vec<String>,
    /// Why pods of it cannot run twice.
    pub hazards: Vec<String>,
    /// Its first container has a `preStop` hook.
    pub pre_stop: bool,
    /// `terminationGracePeriodSeconds`.
    pub termination_grace: Option<u32>,
}

impl<'de> Deserialize<'de> for TemplateView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&Value::deserialize(deserializer)?))
    }
}

impl From<&Value> for TemplateView {
    fn from(template: &Value) -> Self {
        let list = |pointer: &str| template.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let containers = list("/spec/containers");
        let mut hazards = Vec::new();
        for container in &containers {
            let ports = container.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
            if ports.iter().any(|port| port.get("hostPort").and_then(Value::as_u64).is_some_and(|port| port > 0)) {
                hazards.push(format!("container {} uses a hostPort", text(container, "name")));
            }
        }
        if template.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true) {
            hazards.push("its pods use the host's network".to_owned());
        }
        for volume in list("/spec/volumes") {
            if volume.get("persistentVolumeClaim").is_some() {
                hazards.push(format!("volume {} is a claim that canary and stable would share", text(&volume, "name")));
            }
        }
        let labels = template.pointer("/metadata/labels").and_then(Value::as_object);
        let labels =
            labels.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        Self {
            digest: names::template_digest(template),
            labels: labels.filter(|(key, _)| key != "pod-template-hash").collect(),
            images: containers.iter().map(|one| format!("{}={}", text(one, "name"), text(one, "image"))).collect(),
            hazards,
            pre_stop: template.pointer("/spec/containers/0/lifecycle/preStop").is_some_and(|hook| !hook.is_null()),
            termination_grace: template
                .pointer("/spec/terminationGracePeriodSeconds")
                .and_then(Value::as_u64)
                .map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
        }
    }
}

/// A Deployment.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Deployment)]
pub struct DeploymentView {
    /// Name, labels, owner, versions.
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: DeploymentSpecView,
    /// What is.
    #[serde(default)]
    pub status: DeploymentStatusView,
}

/// What is wanted of a Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentSpecView {
    /// Wanted replicas.
    #[serde(deserialize_with = "some_count")]
    pub replicas: Option<u32>,
    /// Whether it is paused.
    pub paused: bool,
    /// Its selector.
    pub selector: SelectorView,
    /// Its strategy.
    pub strategy: StrategyView,
    /// Its pod template.
    pub template: TemplateView,
}

/// A label selector.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SelectorView {
    /// Labels that must be equal.
    #[serde(default, deserialize_with = "or_default")]
    pub match_labels: BTreeMap<String, String>,
    /// Whether there are expressions as well.
    #[serde(default, deserialize_with = "or_default")]
    pub match_expressions: Vec<Value>,
}

/// How a Deployment rolls.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StrategyView {
    /// RollingUpdate or Recreate.
    #[serde(rename = "type")]
    pub type_: String,
    /// `maxUnavailable` and `maxSurge`, as they stand in the object.
    pub rolling_update: Option<Value>,
}

/// What is, of a Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStatusView {
    /// Generation that its controller has seen.
    pub observed_generation: i64,
    /// Replicas of all versions.
    #[serde(deserialize_with = "count")]
    pub replicas: u32,
    /// Replicas of the newest template.
    #[serde(deserialize_with = "count")]
    pub updated_replicas: u32,
    /// Available replicas.
    #[serde(deserialize_with = "count")]
    pub available_replicas: u32,
    /// Its conditions.
    #[serde(default, deserialize_with = "or_default")]
    pub conditions: Vec<ConditionView>,
}

/// A condition of somebody else's object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConditionView {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: String,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// The generation it speaks of.
    pub observed_generation: i64,
}

/// A ReplicaSet.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = ReplicaSet)]
pub struct ReplicaSetView {
    /// Name, labels, owner, versions.
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: ReplicaSetSpecView,
    /// What is.
    #[serde(default)]
    pub status: ReplicaSetStatusView,
}

/// What is wanted of a ReplicaSet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaSetSpecView {
    /// Wanted replicas.
    #[serde(deserialize_with = "count")]
    pub replicas: u32,
    /// Its pod template.
    pub template: TemplateView,
}

/// A HorizontalPodAutoscaler.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = HorizontalPodAutoscaler)]
pub struct ScalerView {
    /// Name, labels, owner, versions.
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: ScalerSpecView,
}

/// What is wanted of a HorizontalPodAutoscaler.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalerSpecView {
    /// What it scales.
    pub scale_target_ref: ScaleTargetView,
    /// How fast, as it stands in the object.
    pub behavior: Option<Value>,
}

/// What a HorizontalPodAutoscaler scales.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ScaleTargetView {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// What is, of a ReplicaSet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaSetStatusView {
    /// Pods that it has.
    #[serde(deserialize_with = "count")]
    pub replicas: u32,
    /// Pods that are ready, for however short a time.
    #[serde(deserialize_with = "count")]
    pub ready_replicas: u32,
    /// Available replicas.
    #[serde(deserialize_with = "count")]
    pub available_replicas: u32,
}

/// A Service.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Service)]
pub struct ServiceView {
    /// Name, labels, owner, versions.
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: ServiceSpecView,
}

/// What is wanted of a Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServiceSpecView {
    /// Which pods.
    #[serde(default, deserialize_with = "or_default")]
    pub selector: BTreeMap<String, String>,
    /// Which ports, as they stand in the object.
    #[serde(default, deserialize_with = "or_default")]
    pub ports: Vec<Value>,
}

/// A slice of a Service's endpoints.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = EndpointSlice)]
pub struct EndpointSliceView {
    /// Name, labels, owner, versions.
    pub metadata: ObjectMeta,
    /// The endpoints.
    #[serde(default, deserialize_with = "or_default")]
    pub endpoints: Vec<EndpointView>,
}

/// One endpoint.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EndpointView {
    /// Whether it takes traffic.
    pub conditions: EndpointConditionsView,
}

/// Whether an endpoint takes traffic.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EndpointConditionsView {
    /// It is ready; absent means yes.
    pub ready: Option<bool>,
}

/// A pod.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Pod)]
pub struct PodView {
    /// Name, labels, owner, versions.
    pub metadata: ObjectMeta,
    /// What is.
    #[serde(default)]
    pub status: PodStatusView,
}

/// What is, of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatusView {
    /// Its conditions.
    #[serde(default, deserialize_with = "or_default")]
    pub conditions: Vec<ConditionView>,
    /// Its init containers.
    #[serde(default, deserialize_with = "or_default")]
    pub init_container_statuses: Vec<ContainerStatusView>,
    /// Its containers.
    #[serde(default, deserialize_with = "or_default")]
    pub container_statuses: Vec<ContainerStatusView>,
}

/// What is, of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatusView {
    /// Its name.
    pub name: String,
    /// The image that it runs, with its digest, once it was pulled.
    #[serde(rename = "imageID")]
    pub image_id: String,
    /// How often it was started again.
    #[serde(deserialize_with = "count")]
    pub restart_count: u32,
    /// Waiting, running or terminated.
    pub state: ContainerStateView,
}

/// Waiting, running or terminated.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ContainerStateView {
    /// Why it waits.
    pub waiting: Option<WaitingView>,
}

/// Why a container waits.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WaitingView {
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_that_are_null_are_empty() {
        // A slice of a Service without pods is written so by the endpoint slice controller.
        let slice = json!({"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": null, "ports": null});
        let slice: EndpointSliceView = serde_json::from_value(slice).unwrap();
        assert!(slice.endpoints.is_empty());
        let service = json!({"metadata": {"name": "a"}, "spec": {"selector": null, "ports": null}});
        let service: ServiceView = serde_json::from_value(service).unwrap();
        assert!(service.spec.selector.is_empty());
        let route = json!({"metadata": {"name": "a"}, "spec": {"rules": null}, "status": {"parents": null}});
        let route: crate::watch::routes::HttpRouteView = serde_json::from_value(route).unwrap();
        assert!(route.spec.rules.is_empty());
        let pod = json!({"metadata": {"name": "a"}, "status": {"conditions": null, "containerStatuses": null}});
        let pod: PodView = serde_json::from_value(pod).unwrap();
        assert!(pod.status.container_statuses.is_empty());
    }

    #[test]
    fn what_cannot_run_twice_is_seen() {
        let template = json!({"spec": {
            "containers": [{"name": "a", "image": "i", "ports": [{"containerPort": 1, "hostPort": 2}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "tmp", "emptyDir": {}}],
        }});
        let hazards = TemplateView::from(&template).hazards;
        assert_eq!(hazards.len(), 2, "{hazards:?}");
        assert!(hazards[0].contains("hostPort") && hazards[1].contains("data"));
    }
}
