//! What people do in the toy world, besides applying versions.

use serde_json::{Value, json};
use sluice::api::{Action, InterventionResult};
use sluice::decide::snapshot::InterventionFacts;

use super::World;

impl World {
    /// A person makes an Intervention.
    pub fn ask(&mut self, action: Action) {
        let number = self.asked.len() + 1;
        let asked = InterventionFacts {
            name: format!("ask-{number}"),
            uid: format!("uid-ask-{number}"),
            action,
            reason: "because".into(),
            release: None,
            by: Some("alice".into()),
            at: Some(self.now),
        };
        self.asked.push((asked, None));
    }

    /// What became of the last Intervention.
    pub fn answer(&self) -> Option<InterventionResult> {
        self.asked.last().and_then(|(_, answer)| *answer)
    }

    /// Someone scales the workload.
    pub fn scale(&mut self, replicas: u32) {
        self.replicas = replicas;
        self.generation += 1;
        self.touch_workload();
    }

    /// Someone opens the gate by hand.
    pub fn break_glass(&mut self) {
        self.paused = false;
        self.generation += 1;
        self.touch_workload();
    }

    /// Someone edits the waves.
    pub fn edit_waves(&mut self, weights: &[u8]) {
        let waves: Vec<Value> = weights.iter().map(|weight| json!({"weight": weight, "bake": "10s"})).collect();
        self.spec.waves = serde_json::from_value(json!(waves)).unwrap();
    }
}
