//! What a scenario can do and see: a namespace of its own, `kubectl`, waiting for what is watched, and the record of
//! everything that happened.
//!
//! Waits end when the watched objects are as asked for, or fail with what was seen. Nothing waits for a mere time,
//! except where the scenario is that nothing happens.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::app::{App, Plan};
use super::look;
use super::operator;
use super::record::{Kind, Now, Record};

/// A cluster, a namespace in it, and what happens there.
pub struct World {
    pub client: Client,
    pub namespace: String,
    pub record: Record,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

impl World {
    pub async fn new(name: &str) -> Self {
        let client = Client::try_default().await.expect("KUBECONFIG names a cluster");
        let namespace = format!("e2e-{name}-{:x}", std::process::id());
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(body).unwrap()).await.expect("a namespace");
        let record = Record::start(&client, &namespace);
        Self { client, namespace, record }
    }

    /// A shop of two pods in this namespace; nothing is applied yet.
    pub fn app(&self, name: &str) -> App {
        App {
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            replicas: 2,
            version: "v1".to_owned(),
            image: "sluice.test/shop:dev".to_owned(),
            env: Vec::new(),
            annotations: json!({}),
            scraped: false,
        }
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
    }

    /// Runs `kubectl` as the administrator, in this namespace.
    pub async fn kubectl(&self, arguments: &[&str], input: Option<String>) -> Ended {
        let mut command = Command::new("kubectl");
        command.args(["--namespace", &self.namespace]).args(arguments);
        tokio::task::spawn_blocking(move || {
            let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
            let mut child =
                command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kubectl");
            if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
                stdin.write_all(input.as_bytes()).expect("kubectl reads its input");
            }
            let output = child.wait_with_output().expect("kubectl ends");
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            Ended { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
        })
        .await
        .unwrap()
    }

    /// `kubectl apply -f -`, which may be refused.
    pub async fn try_apply(&self, manifests: &[Value]) -> Ended {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
        self.kubectl(&["apply", "-f", "-"], Some(list.to_string())).await
    }

    /// `kubectl apply -f -`.
    pub async fn apply(&self, manifests: &[Value]) {
        let ended = self.try_apply(manifests).await;
        assert!(ended.ok, "kubectl apply failed: {}", ended.err);
    }

    /// Applies a shop without a Rollout and waits until it serves.
    pub async fn deploy(&self, app: &App) {
        self.apply(&[app.deployment(), app.service(), app.route()]).await;
        let name = app.name.clone();
        self.until("the Deployment has rolled out", 60, |now| {
            now.get(Kind::Deployment, &name).is_some_and(look::rolled_out).then_some(())
        })
        .await;
    }

    /// Applies the Rollout of a shop and waits until it is adopted.
    pub async fn adopt(&self, app: &App, plan: &Plan) {
        self.apply(&[app.rollout(plan)]).await;
        self.phase(&app.name, "Stable", 60).await;
    }

    /// Waits until the watched objects are as asked for, and returns what was found in them.
    pub async fn until<T>(&self, what: &str, seconds: u64, mut found: impl FnMut(&Now) -> Option<T>) -> T {
        let mut changes = self.record.changes();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            changes.mark_unchanged();
            if let Some(found) = self.record.look(&mut found) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, changes.changed()).await.is_err() {
                panic!("waited {seconds}s until {what}; {}", self.record.look(Self::stand));
            }
        }
    }

    /// Waits until a Rollout is in this phase, and returns it.
    pub async fn phase(&self, app: &str, phase: &str, seconds: u64) -> Value {
        self.until(&format!("Rollout {app} is {phase}"), seconds, |now| {
            now.get(Kind::Rollout, app).filter(|rollout| look::phase(rollout) == phase).cloned()
        })
        .await
    }

    /// Waits until the last attempt of a Rollout has ended with this reason and nothing is going on any more.
    pub async fn complete(&self, app: &str, reason: &str, seconds: u64) -> Value {
        self.until(&format!("Rollout {app} is complete with reason {reason}"), seconds, |now| {
            let rollout = now.get(Kind::Rollout, app)?;
            let ended = look::condition(rollout, "Complete") == Some(("True", reason)) && look::at_rest(rollout);
            ended.then(|| rollout.clone())
        })
        .await
    }

    /// Waits until a Rollout says for this reason that its signals cannot be read, in a sentence that holds all of these.
    pub async fn unreadable(&self, app: &str, reason: &str, words: &[&str], seconds: u64) -> Value {
        self.until(&format!("AnalysisReady of Rollout {app} is {reason} and says {words:?}"), seconds, |now| {
            let rollout = now.get(Kind::Rollout, app)?;
            let message = look::says(rollout, "AnalysisReady");
            let said = look::condition(rollout, "AnalysisReady") == Some(("False", reason))
                && words.iter().all(|word| message.contains(word));
            said.then(|| rollout.clone())
        })
        .await
    }

    /// Makes sure that something holds now and for so long: for scenarios in which nothing must happen.
    pub async fn stays(&self, what: &str, seconds: u64, mut holds: impl FnMut(&Now) -> bool) {
        let mut changes = self.record.changes();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            changes.mark_unchanged();
            assert!(self.record.look(&mut holds), "{what}: no longer; {}", self.record.look(Self::stand));
            let left = deadline.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, changes.changed()).await.is_err() {
                return;
            }
        }
    }

    /// The object as the record has it.
    pub fn get(&self, kind: Kind, name: &str) -> Option<Value> {
        self.record.look(|now| now.get(kind, name).cloned())
    }

    /// How the Rollouts of the namespace stand, in a line each.
    fn stand(now: &Now) -> String {
        let lines: Vec<String> = now
            .all(Kind::Rollout)
            .map(|rollout| {
                let (name, message) = (look::text(rollout, "/metadata/name"), look::text(rollout, "/status/message"));
                let (wave, weight) = (look::text(rollout, "/status/wave"), look::text(rollout, "/status/weight"));
                format!("Rollout {name} is {} {wave} {weight}: {message}", look::phase(rollout))
            })
            .collect();
        if lines.is_empty() { "there is no Rollout".to_owned() } else { lines.join("\n") }
    }

    /// Prints what a person needs to understand a failure.
    pub async fn explain(&self) {
        let mut text = format!("---- {}\n{}\n", self.namespace, self.record.look(Self::stand));
        self.record.look(|now| {
            for rollout in now.all(Kind::Rollout) {
                text.push_str(&format!("{}\n", rollout["status"]));
            }
            let mut events: Vec<(&str, &str, &str)> = now
                .all(Kind::Event)
                .map(|event| {
                    let at = look::text(event, "/eventTime");
                    let at = if at.is_empty() { look::text(event, "/deprecatedLastTimestamp") } else { at };
                    (at, look::text(event, "/reason"), look::text(event, "/note"))
                })
                .collect();
            events.sort_unstable();
            for (at, reason, note) in events {
                text.push_str(&format!("{at} {reason}: {note}\n"));
            }
        });
        let names = self.record.look(|now| {
            let rollouts = now.all(Kind::Rollout);
            rollouts.map(|rollout| look::text(rollout, "/metadata/name").to_owned()).collect::<Vec<_>>()
        });
        for name in names {
            text.push_str(&format!("phases of {name}: {:?}\n", look::phases(&self.record, &name)));
            text.push_str(&format!("weights of {name}: {:?}\n", look::weights(&self.record, &name)));
        }
        let log = operator::log(&self.client, 400).await;
        let own: Vec<&str> = log.lines().filter(|line| line.contains(&self.namespace)).collect();
        let tail = own.get(own.len().saturating_sub(40)..).unwrap_or_default();
        text.push_str(&format!("operator's log:\n{}\n----", tail.join("\n")));
        eprintln!("{text}");
    }

    /// Removes everything that the scenario made. The Rollouts go first, as the finalizer wants to see the rest.
    pub async fn clean_up(&self) {
        let rollouts = self.api(Kind::Rollout);
        let all = kube::api::ListParams::default();
        let _ = rollouts.delete_collection(&DeleteParams::background(), &all).await;
        if !self.gone(25, |now| now.all(Kind::Rollout).next().is_none()).await {
            eprintln!("{}: a Rollout does not go, its finalizer is taken off", self.namespace);
            let without = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            for rollout in rollouts.list_metadata(&all).await.map(|list| list.items).unwrap_or_default() {
                let name = rollout.metadata.name.unwrap_or_default();
                let _ = rollouts.patch(&name, &PatchParams::default(), &without).await;
            }
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let _ = namespaces.delete(&self.namespace, &DeleteParams::background()).await;
        // The clients are gone: nobody needs the pods' grace.
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let _ = pods.delete_collection(&DeleteParams::background().grace_period(0), &all).await;
        if !self.gone(20, |now| now.all(Kind::Pod).next().is_none()).await {
            eprintln!("{}: pods are still there", self.namespace);
        }
        self.record.stop();
    }

    async fn gone(&self, seconds: u64, gone: impl Fn(&Now) -> bool) -> bool {
        let mut changes = self.record.changes();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            changes.mark_unchanged();
            if self.record.look(&gone) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, changes.changed()).await.is_err() {
                return false;
            }
        }
    }
}
