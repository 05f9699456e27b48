//! What people do beside applying manifests: Interventions and what the operator made of them, and `kubectl`.

use std::time::{Duration, Instant};

use kube::api::PostParams;
use serde_json::{Value, json};

use super::look::text;
use super::record::Kind;
use super::world::World;

/// Asks the operator for something as the administrator, and waits until it is done. Returns what was said.
pub async fn ask(world: &World, action: &str) -> String {
    let body = json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "Intervention",
        "metadata": {"generateName": "asked-"},
        "spec": {"rollout": "shop", "action": action, "reason": "asked by a test"},
    });
    let body = serde_json::from_value(body).unwrap();
    let made = world.api(Kind::Intervention).create(&PostParams::default(), &body).await.expect("an Intervention");
    let name = made.metadata.name.unwrap_or_default();
    world
        .until(&format!("{action} is honoured"), 30, |now| {
            let asked = now.get(Kind::Intervention, &name)?;
            let (result, message) = (text(asked, "/status/result"), text(asked, "/status/message"));
            assert!(result.is_empty() || result == "Honoured", "{action} was {result}: {message}");
            (result == "Honoured").then(|| message.to_owned())
        })
        .await
}

impl World {
    /// `kubectl`, which must succeed. Returns what it printed.
    pub async fn succeeds(&self, arguments: &[&str]) -> String {
        let ended = self.kubectl(arguments, None).await;
        assert!(ended.ok, "kubectl {} failed: {}", arguments.join(" "), ended.err);
        ended.out
    }

    /// `kubectl`, repeated until it succeeds: the API server learns of policies and rights that are gone a little later,
    /// and tells nobody when.
    pub async fn succeeds_soon(&self, arguments: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let ended = self.kubectl(arguments, None).await;
            if ended.ok {
                return;
            }
            assert!(Instant::now() < deadline, "kubectl {} fails for 20s: {}", arguments.join(" "), ended.err);
        }
    }

    /// `kubectl`, which must be refused in a sentence that holds these words.
    pub async fn refuses(&self, arguments: &[&str], words: &str) {
        let ended = self.kubectl(arguments, None).await;
        let command = arguments.join(" ");
        assert!(!ended.ok, "kubectl {command} was to be refused: {}", ended.out);
        assert!(ended.err.contains(words), "kubectl {command} does not say {words:?}: {}", ended.err);
    }

    /// The Deployment as the API server has it now: what a watch tells may be older than a write that was just made.
    pub async fn deployment(&self, name: &str) -> Value {
        let found = self.api(Kind::Deployment).get(name).await.expect("the Deployment");
        serde_json::to_value(found).unwrap()
    }
}
