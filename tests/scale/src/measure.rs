//! The measurements, one after another on the same cluster: more and more Rollouts, at rest, started anew, in a release,
//! and many in a wave at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::Testbed;

use crate::audit::{Audit, Mark, Request, count};
use crate::board::Board;
use crate::cluster::{Cluster, Kind, until};
use crate::manifests::{App, LABEL, Pace, app, namespace};
use crate::operator::{self, Memory};
use crate::results::{Active, AtSize, Release, Rest};
use crate::traffic::Traffic;

/// The operator runs so many passes at once; a plain client that is compared with it writes as many.
const PLAIN_AT_ONCE: usize = 8;
/// So many plain writes tell how long one takes.
const PLAIN_WRITES: usize = 400;
/// Apps with these numbers and on have releases of four waves.
const BRIEF: usize = 9000;
/// One Rollout alone in a wave is measured so many times.
const ALONE: usize = 4;
/// Nothing was written for so long: it has settled.
const QUIET: Duration = Duration::from_secs(6);

/// Everything that the operator watches, as a plain client lists it.
const WATCHED: [&str; 22] = [
    "/apis/sluice.dev/v1alpha1/rollouts",
    "/apis/sluice.dev/v1alpha1/metricsproviders",
    "/apis/sluice.dev/v1alpha1/notificationsinks",
    "/apis/sluice.dev/v1alpha1/releases",
    "/apis/sluice.dev/v1alpha1/reworkevents",
    "/apis/sluice.dev/v1alpha1/decisionlogs",
    "/apis/sluice.dev/v1alpha1/reclassifications",
    "/apis/sluice.dev/v1alpha1/interventions",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/api/v1/services",
    "/api/v1/pods?labelSelector=sluice.dev%2Frole%3Dcanary",
    "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=sluice.dev%2Frole%3Dcanary",
    "/apis/gateway.networking.k8s.io/v1/httproutes",
    "/apis/gateway.networking.k8s.io/v1/grpcroutes",
    "/apis/policy/v1/poddisruptionbudgets",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/autoscaling/v2/horizontalpodautoscalers",
    "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
    "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
];

/// What the measurements stand on.
pub(crate) struct Bench {
    cluster: Cluster,
    board: Board,
    traffic: Traffic,
    audit: Audit,
    /// Apps that are there: numbers 0 and on.
    there: usize,
    /// Apps that had a bad release already.
    used: usize,
}

fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| app(number).name).collect()
}

impl Bench {
    pub(crate) async fn new(cluster: Cluster, testbed: &Testbed) -> Result<Self> {
        let traffic = Traffic::default();
        traffic.serve(testbed).await?;
        let board = Board::start(&cluster, &traffic);
        Ok(Self { board, traffic, audit: Audit::of(testbed), cluster, there: 0, used: 0 })
    }

    fn say(&self, text: &str) {
        self.cluster.progress.say(text);
    }

    /// Goes on with the Rollouts of an earlier run, of which so many had a bad release.
    pub(crate) fn again(&mut self, used: usize, there: usize) {
        (self.used, self.there) = (used, there);
        (0..there).for_each(|number| self.traffic.add(&app(number)));
    }

    /// How many Rollouts are there.
    pub(crate) const fn there(&self) -> usize {
        self.there
    }

    /// Goes up to so many Rollouts and measures there.
    pub(crate) async fn at(&mut self, size: usize, rest: Duration) -> Result<AtSize> {
        let mut found = AtSize { rollouts: size, ..AtSize::default() };
        self.deploy(size).await?;
        self.adopt(size, &mut found).await?;
        self.settled().await?;
        self.list(&mut found).await?;
        let [leader, standby] = self.memory().await?;
        (found.leader, found.standby) = (leader, standby);
        let leads = operator::replicas(&self.cluster).await?.into_iter().find(|one| one.leads).context("no leader")?;
        found.told = operator::told(&self.cluster, &leads.pod).await?;
        found.scraped = self.memory().await?[0];
        self.say(&format!("{size} Rollouts: leader {} KiB resident, {} at most", leader.now, leader.most));

        found.rest = self.rest(rest).await?;
        self.start_anew(&mut found).await?;
        Ok(found)
    }

    /// Deployments, Services and routes up to this number, and their Pods ready.
    async fn deploy(&self, size: usize) -> Result<()> {
        let new = self.there..size;
        let mut namespaces: Vec<String> = new.clone().map(namespace).collect();
        namespaces.dedup();
        let namespace = |name: String| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let cluster = &self.cluster;
        cluster.each("namespaces", namespaces, |name| cluster.create(Kind::Namespace, namespace(name))).await?;
        let began = Instant::now();
        self.create(new.map(app).collect()).await?;
        let wanted = self.there.max(size);
        let available = || async {
            let list = cluster.all(Kind::Deployment).list(&ListParams::default().labels(LABEL)).await.ok()?;
            let ready =
                |one: &&kube::api::DynamicObject| one.data.pointer("/status/availableReplicas") == Some(&json!(1));
            let ready = list.items.iter().filter(ready).count();
            cluster.progress.say(&format!("{ready} of {wanted} apps are available"));
            (ready >= wanted).then_some(())
        };
        until("every app is available", Duration::from_secs(300), Duration::from_secs(3), available).await?;
        self.say(&format!("{size} apps are there, after {:.0} s", began.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Everything of these apps but their Rollouts.
    async fn create(&self, apps: Vec<App>) -> Result<()> {
        for app in &apps {
            self.traffic.add(app);
        }
        let cluster = &self.cluster;
        let make = |app: App| async move {
            cluster.create(Kind::Service, app.service()).await?;
            cluster.create(Kind::HttpRoute, app.route()).await?;
            cluster.create(Kind::Deployment, app.deployment()).await
        };
        cluster.each("apps", apps, make).await
    }

    async fn adopt(&mut self, size: usize, found: &mut AtSize) -> Result<()> {
        let new = self.there..size;
        let (mark, began) = (self.audit.mark()?, Instant::now());
        let cluster = &self.cluster;
        let rollouts: Vec<Value> = new.clone().map(|number| app(number).rollout()).collect();
        cluster.each("Rollouts", rollouts, |rollout| cluster.create(Kind::Rollout, rollout)).await?;
        let stable = |stand: &crate::board::Stand| stand.gated && stand.phase == "Stable";
        self.board.all("every Rollout is adopted", &names(new.clone()), Duration::from_secs(420), stable).await?;
        (found.adopted, found.adopt_seconds) = (new.len(), began.elapsed().as_secs_f64());
        self.there = size;
        self.settled().await?;
        found.adopt_writes = self.audit.since(mark)?.iter().filter(|one| one.about_one && one.writes()).count();
        found.plain_seconds = self.plain_write().await? * found.adopt_writes as f64;
        self.say(&format!(
            "{} Rollouts adopted in {:.1} s with {} writes",
            new.len(),
            found.adopt_seconds,
            found.adopt_writes
        ));
        Ok(())
    }

    /// Seconds that one of many plain writes takes, several at once.
    async fn plain_write(&self) -> Result<f64> {
        let cluster = &self.cluster;
        let within = namespace(0);
        let name = |number: usize| format!("plain-{}", number % PLAIN_AT_ONCE);
        for number in 0..PLAIN_AT_ONCE {
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name(number), "namespace": within},
            });
            cluster.create(Kind::ConfigMap, object).await?;
        }
        let began = Instant::now();
        let lanes: Vec<usize> = (0..PLAIN_AT_ONCE).collect();
        let within = within.as_str();
        let lane = |lane: usize| async move {
            for number in 0..PLAIN_WRITES / PLAIN_AT_ONCE {
                let fields = json!({"data": {"written": number.to_string()}});
                cluster.merge(Kind::ConfigMap, within, &name(lane), &fields).await?;
            }
            Ok(())
        };
        cluster.each("plain writes", lanes, lane).await?;
        Ok(began.elapsed().as_secs_f64() / PLAIN_WRITES as f64)
    }

    /// Waits until the operator has written nothing for a while.
    async fn settled(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            let mark = self.audit.mark()?;
            tokio::time::sleep(QUIET).await;
            let wrote = self.about_one(mark)?.len();
            if wrote == 0 {
                return Ok(());
            }
            ensure!(began.elapsed() < Duration::from_secs(240), "the operator does not come to rest: {wrote} requests");
        }
    }

    fn about_one(&self, mark: Mark) -> Result<Vec<Request>> {
        Ok(self.audit.since(mark)?.into_iter().filter(|one| one.about_one).collect())
    }

    /// How much there is to list, and how long that takes a client that does nothing with it.
    async fn list(&self, found: &mut AtSize) -> Result<()> {
        let mut times = Vec::new();
        for _ in 0..3 {
            let began = Instant::now();
            let mut bytes = 0;
            for path in WATCHED {
                bytes += self.cluster.bytes(path).await?;
            }
            found.listed = bytes;
            times.push(began.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        found.list_seconds = times.get(1).copied().unwrap_or_default();
        Ok(())
    }

    /// Of the leader and of the standby.
    async fn memory(&self) -> Result<[Memory; 2]> {
        let replicas = operator::replicas(&self.cluster).await?;
        let of = |leads: bool| replicas.iter().find(|one| one.leads == leads).map(|one| one.memory);
        Ok([of(true).context("no leader")?, of(false).context("no standby")?])
    }

    async fn rest(&self, window: Duration) -> Result<Rest> {
        self.say(&format!("counting requests at rest for {} s", window.as_secs()));
        let before = operator::replicas(&self.cluster).await?;
        let (mark, began) = (self.audit.mark()?, Instant::now());
        tokio::time::sleep(window).await;
        let requests = self.audit.since(mark)?;
        let seconds = began.elapsed().as_secs_f64();
        let after = operator::replicas(&self.cluster).await?;
        let cpu = |replicas: &[operator::Replica]| replicas.iter().map(|one| one.cpu).sum::<f64>();
        let rest = Rest {
            seconds,
            about_one: count(requests.iter().filter(|one| one.about_one).map(Request::kind)),
            requests: count(requests.iter().filter(|one| !one.about_one).map(Request::kind)),
            cpu: cpu(&after) - cpu(&before),
        };
        self.say(&format!("at rest: {:?}, about one Rollout: {:?}", rest.requests, rest.about_one));
        Ok(rest)
    }

    /// Replaces the standby, then the leader.
    async fn start_anew(&self, found: &mut AtSize) -> Result<()> {
        let mark = self.audit.mark()?;
        let mut replicas = operator::replicas(&self.cluster).await?;
        replicas.reverse();
        for replica in replicas {
            let started = operator::replace(&self.cluster, &replica.pod).await?;
            self.say(&format!("started anew: ready after {:.2} s, {} KiB", started.seconds, started.memory.now));
            found.starts.push(started.seconds);
            operator::replicas(&self.cluster).await?;
        }
        self.settled().await?;
        found.start_requests = self.about_one(mark)?.len();
        let [leader, standby] = self.memory().await?;
        found.fresh = if leader.now > standby.now { leader } else { standby };
        found.fresh_most = leader.most.max(standby.most);
        Ok(())
    }

    /// What an hour costs each Rollout: all proofs of the gate are made an hour old.
    pub(crate) async fn hourly(&self) -> Result<std::collections::BTreeMap<String, usize>> {
        let mark = self.audit.mark()?;
        let aged = Timestamp::now();
        let old = aged.checked_sub(Duration::from_secs(3660))?.to_string();
        let (cluster, fields) = (&self.cluster, json!({"status": {"gateProvenAt": old}}));
        let fields = &fields;
        let age =
            |app: App| async move { cluster.merge_status(Kind::Rollout, &app.namespace, &app.name, fields).await };
        cluster.each("proofs made old", (0..self.there).map(app).collect(), age).await?;
        self.settled().await?;
        Ok(count(self.about_one(mark)?.iter().map(Request::kind)))
    }

    /// A good release of four waves, while nothing else happens.
    pub(crate) async fn release(&self, number: usize) -> Result<Release> {
        let app = App { pace: Pace::Brief, ..app(BRIEF + number) };
        let name = vec![app.name.clone()];
        let within = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": app.namespace}});
        self.cluster.create(Kind::Namespace, within).await?;
        self.create(vec![app.clone()]).await?;
        self.cluster.create(Kind::Rollout, app.rollout()).await?;
        let minute = Duration::from_secs(60);
        self.board.all("it is adopted", &name, minute, |stand| stand.gated && stand.phase == "Stable").await?;
        self.settled().await?;

        let (mark, began) = (self.audit.mark()?, Instant::now());
        self.apply(&app, "v2").await?;
        let promoted = |stand: &crate::board::Stand| stand.complete.as_deref() == Some("Promoted");
        self.board.all("the release is promoted", &name, 4 * minute, promoted).await?;
        let seconds = began.elapsed().as_secs_f64();
        self.settled().await?;
        let requests = self.about_one(mark)?;
        let writes = count(requests.iter().filter(|one| one.writes()).map(Request::kind));
        self.say(&format!("a release of four waves: {} writes: {writes:?}", writes.values().sum::<usize>()));
        Ok(Release { beside: self.there, seconds, writes })
    }

    async fn apply(&self, app: &App, version: &str) -> Result<()> {
        let mut deployment = app.deployment();
        let value = deployment.pointer_mut("/spec/template/spec/containers/0/env/0/value").context("no version")?;
        *value = json!(version);
        let fields = json!({"spec": {"template": deployment.pointer("/spec/template")}});
        self.cluster.merge(Kind::Deployment, &app.namespace, &app.name, &fields).await
    }

    /// So many apps are needed to measure with so many active ones.
    pub(crate) fn needed(active: &[usize]) -> usize {
        active.iter().map(|rollouts| if *rollouts == 1 { ALONE } else { *rollouts }).sum()
    }

    /// With so many Rollouts in a wave at once: how soon a bad one is taken back, and all of them.
    pub(crate) async fn active(&mut self, rollouts: usize) -> Result<Active> {
        let mut found = Active { rollouts, ..Active::default() };
        if rollouts == 1 {
            for _ in 0..ALONE {
                found.exposed_seconds = self.expose(1).await?;
                self.take_back(self.used - 1..self.used, true, &mut found).await?;
            }
        } else {
            found.exposed_seconds = self.expose(rollouts).await?;
            let few = (rollouts / 20).clamp(1, ALONE);
            let first = self.used - rollouts;
            self.take_back(first..first + few, true, &mut found).await?;
            self.take_back(first + few..self.used, false, &mut found).await?;
        }
        found.leader = self.memory().await?[0];
        self.settled().await?;
        Ok(found)
    }

    /// Starts a good-looking version of so many apps, and waits until each has its share of traffic and is judged.
    async fn expose(&mut self, rollouts: usize) -> Result<f64> {
        let numbers = self.used..self.used + rollouts;
        self.used += rollouts;
        let began = Instant::now();
        let apply = |app: App| {
            let own = &*self;
            async move { own.apply(&app, "v2").await }
        };
        self.cluster.each("new versions", numbers.clone().map(app).collect(), apply).await?;
        let judged = |stand: &crate::board::Stand| stand.share > 0.0 && stand.baking;
        self.board.all("every canary is judged", &names(numbers), Duration::from_secs(420), judged).await?;
        let seconds = began.elapsed().as_secs_f64();
        self.say(&format!("{rollouts} canaries are judged after {seconds:.1} s"));
        Ok(seconds)
    }

    /// From now on these canaries fail; waits until they are taken back, and notes how long that took.
    async fn take_back(&self, numbers: std::ops::Range<usize>, few: bool, found: &mut Active) -> Result<()> {
        let (apps, bad_at) = (names(numbers), Timestamp::now());
        for name in &apps {
            self.traffic.turn(name, true);
        }
        let patience = Duration::from_secs(300);
        self.board.all("every bad canary has weight 0", &apps, patience, |stand| stand.zero_at.is_some()).await?;
        let ended = |stand: &crate::board::Stand| stand.complete.as_deref() == Some("RolledBack");
        self.board.all("every bad canary is taken back", &apps, patience, ended).await?;
        let (mut from_sample, mut from_failure) = (Vec::new(), Vec::new());
        for name in &apps {
            let stand = self.board.stand(name);
            let zero = stand.zero_at.with_context(|| format!("{name} has no weight 0"))?;
            let sample = stand.sample_at.with_context(|| format!("{name} has no breaching sample"))?;
            from_sample.push(zero.duration_since(sample).as_secs_f64());
            from_failure.push(zero.duration_since(bad_at).as_secs_f64());
        }
        let middle = crate::results::percentile(&from_sample, 50).unwrap_or_default();
        self.say(&format!("{} bad canaries: weight 0 {middle:.2} s after the sample, in the middle", apps.len()));
        let (to_sample, to_failure) =
            if few { (&mut found.few, &mut found.few_exposed) } else { (&mut found.every, &mut found.every_exposed) };
        to_sample.extend(from_sample);
        to_failure.extend(from_failure);
        Ok(())
    }
}
