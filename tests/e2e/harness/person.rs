//! Someone else than the administrator: single writes by impersonation, and what the API server says to them.

use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use super::world::World;

pub const OPERATOR: &str = "system:serviceaccount:sluice-system:sluice";

/// Someone who writes in the namespace of a scenario.
pub struct Person {
    pub client: Client,
    pub namespace: String,
}

impl Person {
    pub async fn new(world: &World, user: &str) -> Self {
        let mut config = Config::infer().await.expect("KUBECONFIG names a cluster");
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(vec!["system:authenticated".to_owned()]);
        Self { client: Client::try_from(config).expect("a client"), namespace: world.namespace.clone() }
    }

    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource(kind))
    }

    /// A JSON patch of `KIND/NAME`.
    pub async fn patch(&self, object: &str, patch: Value) -> Result<Value, String> {
        let (kind, name) = object.split_once('/').unwrap();
        let patch = Patch::Json::<()>(serde_json::from_value(patch).unwrap());
        told(self.api(kind).patch(name, &PatchParams::default(), &patch).await)
    }

    pub async fn status(&self, object: &str, status: Value) -> Result<Value, String> {
        let (kind, name) = object.split_once('/').unwrap();
        let patch = Patch::Merge(json!({"status": status}));
        told(self.api(kind).patch_status(name, &PatchParams::default(), &patch).await)
    }

    pub async fn create(&self, body: Value) -> Result<Value, String> {
        let object: DynamicObject = serde_json::from_value(body).unwrap();
        let kind = object.types.as_ref().unwrap().kind.clone();
        told(self.api(&kind).create(&PostParams::default(), &object).await)
    }

    pub async fn delete(&self, object: &str) -> Result<Value, String> {
        let (kind, name) = object.split_once('/').unwrap();
        let deleted = self.api(kind).delete(name, &DeleteParams::background()).await;
        deleted.map(|_| Value::Null).map_err(|error| error.to_string())
    }
}

pub fn administrator(world: &World) -> Person {
    Person { client: world.client.clone(), namespace: world.namespace.clone() }
}

pub fn resource(kind: &str) -> ApiResource {
    let (group, version, plural) = match kind {
        "Deployment" => ("apps", "v1", "deployments"),
        "ReplicaSet" => ("apps", "v1", "replicasets"),
        "Service" => ("", "v1", "services"),
        "HorizontalPodAutoscaler" => ("autoscaling", "v2", "horizontalpodautoscalers"),
        "HTTPRoute" => ("gateway.networking.k8s.io", "v1", "httproutes"),
        "GRPCRoute" => ("gateway.networking.k8s.io", "v1", "grpcroutes"),
        "Rollout" => ("sluice.dev", "v1alpha1", "rollouts"),
        "Intervention" => ("sluice.dev", "v1alpha1", "interventions"),
        "Reclassification" => ("sluice.dev", "v1alpha1", "reclassifications"),
        other => panic!("{other} is not a kind of these scenarios"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

pub fn told(answer: Result<DynamicObject, kube::Error>) -> Result<Value, String> {
    answer.map(|object| serde_json::to_value(object).unwrap()).map_err(|error| error.to_string())
}

/// The write was refused, in a sentence that holds all of these.
#[track_caller]
pub fn refused(answer: Result<Value, String>, words: &[&str]) {
    let message = answer.expect_err("the write was to be refused");
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

#[track_caller]
pub fn allowed(answer: Result<Value, String>) -> Value {
    answer.unwrap_or_else(|message| panic!("the write was to be allowed: {message}"))
}

/// A shop that wants no pods.
pub fn without_pods(world: &World) -> Value {
    world.app("shop").replicas(0).deployment()
}

pub fn set_image(image: &str) -> Value {
    json!({"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image})
}
