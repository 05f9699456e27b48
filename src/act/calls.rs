//! One request for each kind of write.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{CALL_TIMEOUT, Error};
use crate::api::{Rollout, RouteKind, names};
use crate::decide::Write;
use crate::watch::routes::{GrpcRouteView, HttpRouteView};

/// The field manager of everything that is written.
pub(crate) const MANAGER: &str = "sluice";

/// Whose plan is carried out.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name of the Rollout.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its resourceVersion after the intent was committed.
    pub resource_version: String,
    /// Its finalizers.
    pub finalizers: Vec<String>,
}

/// What a write brought.
pub(super) enum Answer {
    Done,
    Gate { held: bool, policies: String },
}

/// Carries out one write.
pub(super) async fn call(client: &Client, target: &Target, write: &Write) -> Result<Answer, Error> {
    let caller = Caller { client, namespace: &target.namespace, write: write.name() };
    match write {
        Write::AddFinalizer => {
            let mut finalizers = target.finalizers.clone();
            finalizers.push(names::FINALIZER.to_owned());
            caller.patch::<Rollout>(&target.name, finalizers_patch(target, &finalizers)).await
        }
        Write::RemoveFinalizer => {
            let finalizers: Vec<String> =
                target.finalizers.iter().filter(|one| *one != names::FINALIZER).cloned().collect();
            caller.patch::<Rollout>(&target.name, finalizers_patch(target, &finalizers)).await
        }
        Write::Label { workload, resource_version } => {
            let labels = json!({(names::ROLLOUT_LABEL): target.name});
            caller.merge::<Deployment>(workload, labels_patch(resource_version, labels)).await
        }
        Write::Unlabel { workload, resource_version } => {
            let labels = json!({(names::ROLLOUT_LABEL): null, (names::RESTORING_LABEL): null});
            caller.merge::<Deployment>(workload, labels_patch(resource_version, labels)).await
        }
        Write::ProveGate { workload, policies } => caller.prove(workload, policies).await,
        Write::OpenGate { workload, resource_version } => {
            let mut patch = labels_patch(resource_version, json!({(names::RESTORING_LABEL): null}));
            if let Some(fields) = patch.as_object_mut() {
                fields.insert("spec".to_owned(), json!({"paused": false}));
            }
            caller.merge::<Deployment>(workload, patch).await
        }
        Write::CloseGate { workload, resource_version } => {
            let patch = json!([
                {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version},
                {"op": "add", "path": "/spec/paused", "value": true},
            ]);
            caller.patch::<Deployment>(workload, patch).await
        }
        Write::DeleteReplicaSet { name, uid, resource_version } => {
            caller.delete::<ReplicaSet>(name, uid, Some(resource_version)).await
        }
        Write::PatchScaler { name, free: _, patch } => {
            caller.patch::<HorizontalPodAutoscaler>(name, patch.clone()).await
        }
        Write::RestoreTemplate { workload, resource_version, template } => {
            // A governed Deployment has labels: the path exists.
            let restoring = format!("/metadata/labels/{}", names::RESTORING_LABEL.replace('/', "~1"));
            let patch = json!([
                {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version},
                {"op": "replace", "path": "/spec/template", "value": template},
                {"op": "add", "path": restoring, "value": "true"},
            ]);
            caller.patch::<Deployment>(workload, patch).await
        }
        Write::CreateCanary { body } => caller.create::<Deployment>(body).await,
        Write::ScaleCanary { name, resource_version, replicas } => {
            let patch = json!([
                {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version},
                {"op": "replace", "path": "/spec/replicas", "value": replicas},
            ]);
            caller.patch::<Deployment>(name, patch).await
        }
        Write::DeleteCanary { name, uid } => caller.delete::<Deployment>(name, uid, None).await,
        Write::CreateService { body } => caller.create::<Service>(body).await,
        Write::DeleteService { name, uid } => caller.delete::<Service>(name, uid, None).await,
        Write::CreatePolicy { body } => caller.create::<NetworkPolicy>(body).await,
        Write::ReplacePolicy { name, resource_version, spec } => {
            let patch = json!([
                {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version},
                {"op": "replace", "path": "/spec", "value": spec},
            ]);
            caller.patch::<NetworkPolicy>(name, patch).await
        }
        Write::DeletePolicy { name, uid } => caller.delete::<NetworkPolicy>(name, uid, None).await,
        Write::PatchRoute { kind: RouteKind::HTTPRoute, name, weight: _, patch } => {
            caller.patch::<HttpRouteView>(name, patch.clone()).await
        }
        Write::PatchRoute { kind: RouteKind::GRPCRoute, name, weight: _, patch } => {
            caller.patch::<GrpcRouteView>(name, patch.clone()).await
        }
    }
}

fn finalizers_patch(target: &Target, finalizers: &[String]) -> Value {
    json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": target.resource_version},
        {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
    ])
}

fn labels_patch(resource_version: &str, labels: Value) -> Value {
    json!({"metadata": {"resourceVersion": resource_version, "labels": labels}})
}

/// What all calls of one write have in common.
struct Caller<'a> {
    client: &'a Client,
    namespace: &'a str,
    write: &'static str,
}

impl Caller<'_> {
    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    /// A JSON patch (RFC 6902); one whose test fails is a conflict.
    async fn patch<K>(&self, name: &str, patch: Value) -> Result<Answer, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let patch: json_patch::Patch = self.parsed(patch)?;
        // Without a name the API server writes `unknown`, and no GitOps tool can be told whose weights to leave alone.
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.send(self.api::<K>().patch(name, &params, &Patch::<()>::Json(patch))).await?;
        Ok(Answer::Done)
    }

    /// A merge patch (RFC 7386) that carries the resourceVersion.
    async fn merge<K>(&self, name: &str, patch: Value) -> Result<Answer, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.send(self.api::<K>().patch(name, &params, &Patch::Merge(patch))).await?;
        Ok(Answer::Done)
    }

    /// Creates the whole object. One that is already there is looked at by the next pass.
    async fn create<K>(&self, body: &Value) -> Result<Answer, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let object: DynamicObject = self.parsed(body.clone())?;
        let resource = kube::discovery::ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, &resource);
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        self.send(api.create(&params, &object)).await?;
        Ok(Answer::Done)
    }

    /// Deletes this very object, if need be only as it was judged; one that is gone already is fine.
    async fn delete<K>(&self, name: &str, uid: &str, version: Option<&String>) -> Result<Answer, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let precondition = Preconditions { uid: Some(uid.to_owned()), resource_version: version.cloned() };
        let params = DeleteParams::background().preconditions(precondition);
        match self.send(self.api::<K>().delete(name, &params)).await {
            Ok(_) => Ok(Answer::Done),
            Err(Error::Refused { source, .. }) if matches!(source.as_ref(), kube::Error::Api(s) if s.is_not_found()) => {
                Ok(Answer::Done)
            }
            Err(error) => Err(error),
        }
    }

    /// Changes the template in a dry run and looks whether the API server paused it.
    async fn prove(&self, workload: &str, policies: &str) -> Result<Answer, Error> {
        let probe = json!({"spec": {"template": {"metadata": {"annotations": {"sluice.dev/gate-probe": "dry-run"}}}}});
        let params = PatchParams { dry_run: true, field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let answer = self.send(self.api::<Deployment>().patch(workload, &params, &Patch::Merge(probe))).await?;
        let held = answer.spec.and_then(|spec| spec.paused).unwrap_or(false);
        Ok(Answer::Gate { held, policies: policies.to_owned() })
    }

    fn parsed<T: DeserializeOwned>(&self, value: Value) -> Result<T, Error> {
        serde_json::from_value(value).map_err(|source| Error::Malformed { write: self.write, source })
    }

    async fn send<T>(&self, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Error> {
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) if conflict(&source) => Err(Error::Conflict { write: self.write }),
            Ok(Err(source)) => Err(Error::Refused { write: self.write, source: Box::new(source) }),
            Err(_) => Err(Error::Timeout { write: self.write }),
        }
    }
}

/// The object is not the one that was judged: a resourceVersion or UID that does not fit, a JSON patch whose test
/// failed (the API server answers 422 without naming a field), an object that is already there.
fn conflict(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let failed_test = status.code == 422 && status.details.as_ref().is_none_or(|details| details.causes.is_empty());
    status.code == 409 || failed_test
}
