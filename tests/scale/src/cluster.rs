//! Reading and writing objects of the cluster, many at a time but never more than a few at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::Value;
use testbed::progress::Progress;

/// Requests of the benchmark itself that run at once.
const AT_ONCE: usize = 12;
const SAY_EVERY: Duration = Duration::from_secs(8);

/// A kind of objects.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Namespace,
    ConfigMap,
    Deployment,
    Service,
    HttpRoute,
    Rollout,
}

impl Kind {
    pub(crate) fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Namespace => ("", "v1", "Namespace", "namespaces"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::Rollout => ("sluice.dev", "v1alpha1", "Rollout", "rollouts"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

/// The cluster, as an administrator.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) progress: Progress,
}

impl Cluster {
    pub(crate) async fn new(progress: Progress) -> Result<Self> {
        let client = Client::try_default().await.context("no cluster: run this under `testbed exec`")?;
        Ok(Self { client, progress })
    }

    pub(crate) fn all(&self, kind: Kind) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &kind.resource())
    }

    pub(crate) fn within(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    /// Does something with each, a few at once, and says how far it is.
    pub(crate) async fn each<T, F>(&self, what: &str, all: Vec<T>, act: impl Fn(T) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let (total, mut done, mut said) = (all.len(), 0_usize, Instant::now());
        let mut running = stream::iter(all.into_iter().map(act)).buffer_unordered(AT_ONCE);
        while let Some(()) = running.try_next().await.with_context(|| format!("{what}: {done} of {total} done"))? {
            done += 1;
            if said.elapsed() > SAY_EVERY {
                self.progress.say(&format!("{what}: {done} of {total}"));
                said = Instant::now();
            }
        }
        Ok(())
    }

    /// Creates an object; one that is there already is left as it is.
    pub(crate) async fn create(&self, kind: Kind, object: Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let api = match (kind, &object.metadata.namespace) {
            (Kind::Namespace, _) | (_, None) => self.all(kind),
            (_, Some(namespace)) => self.within(kind, namespace),
        };
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot create {kind:?} {:?}", object.metadata.name)),
        }
    }

    /// Changes fields of an object.
    pub(crate) async fn merge(&self, kind: Kind, namespace: &str, name: &str, fields: &Value) -> Result<()> {
        self.within(kind, namespace)
            .patch(name, &PatchParams::default(), &Patch::Merge(fields))
            .await
            .map(drop)
            .with_context(|| format!("cannot change {kind:?} {namespace}/{name}"))
    }

    /// Changes fields of an object's status.
    pub(crate) async fn merge_status(&self, kind: Kind, namespace: &str, name: &str, fields: &Value) -> Result<()> {
        self.within(kind, namespace)
            .patch_status(name, &PatchParams::default(), &Patch::Merge(fields))
            .await
            .map(drop)
            .with_context(|| format!("cannot change the status of {kind:?} {namespace}/{name}"))
    }

    /// How many bytes the API server sends for this path, as JSON.
    pub(crate) async fn bytes(&self, path: &str) -> Result<usize> {
        let request = http::Request::get(path).body(Vec::new())?;
        Ok(self.client.request_text(request).await.with_context(|| format!("cannot list {path}"))?.len())
    }
}

/// Asks again and again until the answer is there.
pub(crate) async fn until<T, F>(what: &str, patience: Duration, every: Duration, ask: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return Ok(found);
        }
        ensure!(began.elapsed() < patience, "waited {} s until {what}", patience.as_secs());
        tokio::time::sleep(every).await;
    }
}
