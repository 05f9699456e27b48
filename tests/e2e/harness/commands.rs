//! What people do with `kubectl` beside applying manifests.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::record::Kind;
use super::world::World;

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

    /// Takes the label off by which a Deployment is governed. While the API server has not learnt that the policies are
    /// gone it is put back, in silence.
    pub async fn takes_label_off(&self, deployment: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.deployment(deployment).await.pointer("/metadata/labels/sluice.dev~1rollout").is_some() {
            assert!(Instant::now() < deadline, "the label is still put back after 20s");
            self.succeeds(&["label", &format!("deployment/{deployment}"), "sluice.dev/rollout-"]).await;
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
