//! The caches, and the tasks that fill them.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt, future::BoxFuture};
use kube::core::DeserializeGuard;
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::Freshness;
use super::again::Again;
use super::guard::{Guarded, Unreadable};
use super::logs::LogView;
use super::neighbours::{BudgetView, NetworkPolicyView};
use super::policies::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, Policy, PolicyKind, PolicyView, Shipped,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, look_over,
};
use super::routes::{Grpc, GrpcRouteView, Http, HttpRouteView, RouteView, Sort};
use super::triggers::{self, Concerns};
use super::views::{DeploymentView, EndpointSliceView, PodView, ReplicaSetView, ScalerView, ServiceView};
use crate::api::{
    Intervention, MetricsProvider, NotificationSink, Reclassification, Release, ReworkEvent, Rollout, RouteKind, names,
};
use crate::decide::snapshot::GatePolicies;

/// After so many seconds the API server ends a watch, and it is begun again. One that has said nothing for
/// [`SILENCE`](super::SILENCE) is dead: the longest that a change may go unnoticed.
const WATCH_SECONDS: u32 = 25;

/// How many DecisionLogs are listed at a time.
const LOGS_AT_ONCE: u32 = 50;

/// Every object of a kind.
fn every() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// What of the cluster is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The only namespace whose Rollouts are governed; all of them without one.
    pub namespace: Option<String>,
    /// The kinds of route that are watched.
    pub routes: Vec<RouteKind>,
}

impl Default for Sight {
    fn default() -> Self {
        Self { namespace: None, routes: vec![RouteKind::HTTPRoute, RouteKind::GRPCRoute] }
    }
}

impl Sight {
    /// Objects of a kind that are in a namespace.
    fn of<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }
}

/// A Rollout by name, as the queue knows it.
pub type RolloutRef = ObjectRef<DeserializeGuard<Rollout>>;

/// What is cached.
#[derive(Clone)]
pub struct Stores {
    /// Rollouts; those that cannot be read are kept as such.
    pub rollouts: Store<DeserializeGuard<Rollout>>,
    /// Deployments.
    pub deployments: Store<DeploymentView>,
    /// ReplicaSets.
    pub replica_sets: Store<ReplicaSetView>,
    /// Services.
    pub services: Store<ServiceView>,
    /// HTTPRoutes.
    pub routes: Store<HttpRouteView>,
    /// GRPCRoutes; empty where the cluster does not serve them.
    pub grpc_routes: Store<GrpcRouteView>,
    /// Endpoints of canary Services.
    pub endpoints: Store<EndpointSliceView>,
    /// Pods of canaries.
    pub pods: Store<PodView>,
    /// PodDisruptionBudgets.
    pub budgets: Store<BudgetView>,
    /// NetworkPolicies.
    pub policies: Store<NetworkPolicyView>,
    /// MetricsProviders.
    pub providers: Store<MetricsProvider>,
    /// NotificationSinks; empty where the cluster does not serve them.
    pub sinks: Store<NotificationSink>,
    /// Releases.
    pub releases: Store<Release>,
    /// ReworkEvents.
    pub reworks: Store<ReworkEvent>,
    /// DecisionLogs, without their entries; empty where the cluster does not serve them.
    pub logs: Store<LogView>,
    /// What people say about Releases afterwards; empty where the cluster does not serve it.
    pub reclassifications: Store<Reclassification>,
    /// Interventions.
    pub interventions: Store<Intervention>,
    /// HorizontalPodAutoscalers.
    pub scalers: Store<ScalerView>,
    /// The admission policies that are called as ours.
    pub gate: PolicyStores,
    /// How well each of them is being watched.
    pub freshness: Freshness,
}

/// The admission policies and their bindings.
#[derive(Clone)]
pub struct PolicyStores {
    mutating: Store<PolicyView<MutatingAdmissionPolicy>>,
    mutating_bindings: Store<PolicyView<MutatingAdmissionPolicyBinding>>,
    validating: Store<PolicyView<ValidatingAdmissionPolicy>>,
    validating_bindings: Store<PolicyView<ValidatingAdmissionPolicyBinding>>,
    /// What was found the last time, and in what.
    known: Arc<Mutex<Option<(Seen, GatePolicies)>>>,
}

/// Which policies were looked at, by UID and version, and whether there are such that mutate.
type Seen = (Vec<(Option<String>, Option<String>)>, bool);

impl PolicyStores {
    /// All of them, held against those that are shipped. They hardly ever change, and every pass of every Rollout asks.
    pub fn looked_over(&self, shipped: &Shipped, mutating: bool) -> GatePolicies {
        fn versions<K: PolicyKind>(all: &[Arc<PolicyView<K>>], seen: &mut Seen) {
            seen.0.extend(all.iter().map(|one| (one.uid(), one.resource_version())));
        }
        let (changing, changing_bindings) = (self.mutating.state(), self.mutating_bindings.state());
        let (refusing, refusing_bindings) = (self.validating.state(), self.validating_bindings.state());
        let mut seen: Seen = (Vec::new(), mutating);
        versions(&changing, &mut seen);
        versions(&changing_bindings, &mut seen);
        versions(&refusing, &mut seen);
        versions(&refusing_bindings, &mut seen);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = known.as_ref().filter(|(before, _)| *before == seen) {
            return found.clone();
        }
        let mut all: Vec<Policy> = changing.iter().map(|one| Policy::from(one.as_ref())).collect();
        all.extend(changing_bindings.iter().map(|one| Policy::from(one.as_ref())));
        all.extend(refusing.iter().map(|one| Policy::from(one.as_ref())));
        all.extend(refusing_bindings.iter().map(|one| Policy::from(one.as_ref())));
        let found = look_over(shipped, &all, mutating);
        *known = Some((seen, found.clone()));
        found
    }
}

/// What must be driven so that the caches stay filled: one task per kind.
pub type Tasks = Vec<(&'static str, BoxFuture<'static, ()>)>;

/// Caches of everything in sight. Changes are sent to `wake` as the Rollouts that they concern.
pub fn stores(
    client: &Client,
    sight: &Sight,
    freshness: &Freshness,
    wake: &mpsc::Sender<RolloutRef>,
) -> (Stores, Tasks) {
    let (rollouts, writer) = reflector::store();
    let changes = objects(
        "Rollout",
        Needed::Always,
        sight.of::<Guarded<Rollout>>(client),
        every(),
        // One that cannot be read stays in sight as such: its status says so.
        |event| Some(each(event, DeserializeGuard::from)),
        writer,
        freshness,
    );
    let (waker, others) = (wake.clone(), rollouts.clone());
    let task = changes.for_each(move |changed| {
        let mut concerned = vec![RolloutRef::from_obj(changed.as_ref())];
        if let Ok(rollout) = &changed.0 {
            concerned.extend(triggers::waiting(rollout, &others.state()));
        }
        let wake = waker.clone();
        async move {
            for rollout in concerned {
                // The receiver lives as long as the program.
                drop(wake.send(rollout).await);
            }
        }
    });
    let mut tasks: Tasks = vec![("Rollout", Box::pin(task))];
    let of_canaries = || every().labels(&format!("{}={}", names::ROLE_LABEL, names::CANARY_ROLE));
    // A policy that loses the label is gone for us, and that is told.
    let ours = || every().labels("app.kubernetes.io/name=sluice");
    let mut kinds = Kinds { client, sight, freshness, wake, rollouts: &rollouts, tasks: &mut tasks };
    let stores = Stores {
        deployments: kinds.watch::<DeploymentView>("Deployment", Needed::Always, every()),
        replica_sets: kinds.watch::<ReplicaSetView>("ReplicaSet", Needed::Always, every()),
        services: kinds.watch::<ServiceView>("Service", Needed::Always, every()),
        routes: kinds.watch_routes::<Http>(Needed::Always),
        grpc_routes: kinds.watch_routes::<Grpc>(Needed::IfServed),
        endpoints: kinds.watch::<EndpointSliceView>("EndpointSlice", Needed::Always, of_canaries()),
        pods: kinds.watch::<PodView>("Pod", Needed::Always, of_canaries()),
        budgets: kinds.watch::<BudgetView>("PodDisruptionBudget", Needed::Always, every()),
        policies: kinds.watch::<NetworkPolicyView>("NetworkPolicy", Needed::Always, every()),
        providers: kinds.watch_cluster::<MetricsProvider>("MetricsProvider", Needed::Always, every()),
        sinks: kinds.watch_cluster::<NotificationSink>("NotificationSink", Needed::IfServed, every()),
        releases: kinds.watch::<Release>("Release", Needed::Always, every()),
        reworks: kinds.watch::<ReworkEvent>("ReworkEvent", Needed::Always, every()),
        // Each may be large: not many at a time.
        logs: kinds.watch::<LogView>("DecisionLog", Needed::IfServed, every().page_size(LOGS_AT_ONCE)),
        reclassifications: kinds.watch::<Reclassification>("Reclassification", Needed::IfServed, every()),
        interventions: kinds.watch::<Intervention>("Intervention", Needed::Always, every()),
        scalers: kinds.watch::<ScalerView>("HorizontalPodAutoscaler", Needed::Always, every()),
        gate: PolicyStores {
            mutating: kinds.watch_cluster("MutatingAdmissionPolicy", Needed::IfServed, ours()),
            mutating_bindings: kinds.watch_cluster("MutatingAdmissionPolicyBinding", Needed::IfServed, ours()),
            validating: kinds.watch_cluster("ValidatingAdmissionPolicy", Needed::Always, ours()),
            validating_bindings: kinds.watch_cluster("ValidatingAdmissionPolicyBinding", Needed::Always, ours()),
            known: Arc::default(),
        },
        freshness: freshness.clone(),
        rollouts,
    };
    (stores, tasks)
}

/// Whether a kind must be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    /// Nothing works without it.
    Always,
    /// Where it is not served, there is nothing of it.
    IfServed,
}

/// What the watches of all kinds have in common.
struct Kinds<'a> {
    client: &'a Client,
    sight: &'a Sight,
    freshness: &'a Freshness,
    wake: &'a mpsc::Sender<RolloutRef>,
    rollouts: &'a Store<DeserializeGuard<Rollout>>,
    tasks: &'a mut Tasks,
}

impl Kinds<'_> {
    /// Caches what is in sight of a kind and prepares the task that fills the cache.
    fn watch<K>(&mut self, kind: &'static str, needed: Needed, config: watcher::Config) -> Store<K>
    where
        K: Concerns
            + Resource<Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        self.cache(kind, needed, self.sight.of(self.client), config)
    }

    /// The same for a kind that is in no namespace.
    fn watch_cluster<K>(&mut self, kind: &'static str, needed: Needed, config: watcher::Config) -> Store<K>
    where
        K: Concerns + Resource<Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.cache(kind, needed, Api::all(self.client.clone()), config)
    }

    /// The same for a kind of route. One that is not asked for is as one that the cluster does not serve.
    fn watch_routes<S: Sort>(&mut self, needed: Needed) -> Store<RouteView<S>> {
        let kind = S::KIND.word();
        if self.sight.routes.contains(&S::KIND) {
            return self.cache(kind, needed, self.sight.of(self.client), every());
        }
        self.freshness.unserved(kind);
        reflector::store().0
    }

    fn cache<K>(
        &mut self,
        kind: &'static str,
        needed: Needed,
        api: Api<Guarded<K>>,
        config: watcher::Config,
    ) -> Store<K>
    where
        K: Concerns + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (store, writer) = reflector::store();
        let known = store.clone();
        let keep = move |event| readable(kind, &known, event).map(|event| each(event, kept));
        let changes = objects(kind, needed, api, config, keep, writer, self.freshness);
        let (wake, rollouts) = (self.wake.clone(), self.rollouts.clone());
        let task = changes.for_each(move |object| {
            let concerned = triggers::of(object.as_ref(), &rollouts.state());
            let wake = wake.clone();
            async move {
                for rollout in concerned {
                    drop(wake.send(rollout).await);
                }
            }
        });
        self.tasks.push((kind, Box::pin(task)));
        store
    }
}

/// Every object of a kind that is touched, deletions included, while the store is kept. Errors are noted and tried
/// again with a growing delay; they never end the stream, and neither does an object that cannot be read: `keep` says
/// what is made of it.
fn objects<K, S>(
    kind: &'static str,
    needed: Needed,
    api: Api<Guarded<K>>,
    config: watcher::Config,
    keep: impl Fn(Event<Guarded<K>>) -> Option<Event<S>> + Send + 'static,
    writer: reflector::store::Writer<S>,
    freshness: &Freshness,
) -> impl Stream<Item = Arc<S>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    S: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    freshness.expect(kind);
    let noted = freshness.clone();
    watcher(api, config)
        .backoff(Again::of(kind))
        .modify(trim)
        .inspect(move |event| match event {
            Ok(Event::InitDone) => noted.ready(kind),
            Ok(_) => noted.arrived(kind),
            Err(error) if needed == Needed::IfServed && not_served(error) => {
                if noted.unserved(kind) {
                    tracing::info!(kind, "the cluster does not serve this kind, looking again from time to time");
                }
            }
            Err(error) => {
                tracing::warn!(kind, %error, "watch failed, trying again");
                noted.failed(kind, error.to_string());
            }
        })
        .filter_map(move |event| std::future::ready(event.map(&keep).transpose()))
        .reflect(writer)
        .touched_objects()
        .filter_map(|change| async move { change.ok().map(Arc::new) })
}

/// The event with something made of its object.
fn each<K, S>(event: Event<K>, make: impl Fn(K) -> S) -> Event<S> {
    match event {
        Event::Apply(object) => Event::Apply(make(object)),
        Event::Delete(object) => Event::Delete(make(object)),
        Event::InitApply(object) => Event::InitApply(make(object)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

/// The event, if its object can be read. One that cannot counts as not there: what is known of it is of the past.
fn readable<K>(kind: &'static str, known: &Store<K>, event: Event<Guarded<K>>) -> Option<Event<K>>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let gone = |unreadable: &Unreadable| {
        let meta = &unreadable.metadata;
        let (name, namespace) = (meta.name.as_deref().unwrap_or_default(), meta.namespace.as_deref());
        let error = &unreadable.error;
        tracing::warn!(kind, name, namespace, error, "an object cannot be read and counts as missing");
        let key = ObjectRef::new(name);
        known.get(&namespace.map_or(key.clone(), |namespace| key.within(namespace)))
    };
    Some(match event {
        Event::Apply(Guarded(Ok(object))) => Event::Apply(object),
        Event::Delete(Guarded(Ok(object))) => Event::Delete(object),
        Event::InitApply(Guarded(Ok(object))) => Event::InitApply(object),
        Event::InitApply(Guarded(Err(unreadable))) => {
            gone(&unreadable);
            return None;
        }
        Event::Apply(Guarded(Err(unreadable))) | Event::Delete(Guarded(Err(unreadable))) => {
            Event::Delete(gone(&unreadable)?.as_ref().clone())
        }
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    })
}

/// The API server does not know the kind: a list of a kind that it knows is never "not found".
fn not_served(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            if status.code == 404
    )
}

/// What a cache keeps of an object.
pub fn kept<K: Concerns>(mut object: K) -> K {
    object.slim();
    object
}

/// Takes off what nobody reads and may be as large as the object; managedFields were passed over while reading.
fn trim<K: Resource>(object: &mut K) {
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
}
