//! What the toy API server does with a write: it holds its guards.

use serde_json::{Value, json};
use sluice::decide::neighbours::PolicyFacts;
use sluice::decide::snapshot::GateProof;
use sluice::decide::{Record, Write};

use super::{Canary, World};

impl World {
    /// One record.
    pub(super) fn keep(&mut self, record: &Record) {
        match record {
            Record::Release { name, spec, status } => {
                self.recorded.insert(name.clone(), (spec.as_ref().clone(), status.as_deref().cloned()));
                self.releases.insert(name.clone(), status.as_ref().and_then(|status| status.outcome));
            }
            Record::Rework { name, spec } => {
                // Written again it changes nothing.
                self.reworks.entry(name.clone()).or_insert_with(|| spec.as_ref().clone());
            }
            Record::Log { .. } if self.log_refused => {}
            Record::Log { name, log, onto } => {
                self.log_writes += 1;
                // The API server makes one only if there is none, and adds only onto the entry that is named.
                match (self.logs.get_mut(name), onto) {
                    (None, None) => drop(self.logs.insert(name.clone(), log.as_ref().clone())),
                    (Some(known), Some(onto)) if known.head == *onto => {
                        known.entries.extend(log.entries.iter().filter(|entry| entry.seq > onto.seq).cloned());
                        known.head = log.head.clone();
                    }
                    (_, _) => {}
                }
            }
            Record::Answer { uid, status, .. } => {
                let asked = self.asked.iter_mut().find(|(asked, _)| asked.uid == *uid).unwrap();
                asked.1 = status.result;
            }
            Record::Escaped { name, .. } => {
                self.escaped.insert(name.clone());
            }
        }
    }

    /// One write; false when its guard does not hold.
    pub(super) fn write(&mut self, write: &Write) -> bool {
        self.log.push(format!("write {}", describe(write)));
        self.version += 1;
        let version = self.version;
        match write {
            Write::AddFinalizer => {
                self.finalizer = true;
                self.status_version = version;
            }
            Write::RemoveFinalizer => {
                self.finalizer = false;
                self.deleted = self.deleting;
            }
            Write::Label { resource_version, .. } => {
                return self.workload_write(resource_version, |w| w.label = Some("shop".into()));
            }
            Write::Unlabel { resource_version, .. } => {
                return self.workload_write(resource_version, |w| w.label = None);
            }
            Write::ProveGate { policies, .. } => {
                self.gate = Some(GateProof { at: self.now, held: self.label.is_some(), policies: policies.clone() });
            }
            Write::CloseGate { resource_version, .. } => {
                return self.workload_write(resource_version, |w| {
                    w.paused = true;
                    w.generation += 1;
                });
            }
            Write::DeleteReplicaSet { uid, resource_version, .. } => {
                let digest = uid.strip_prefix("uid-set-").unwrap();
                // One that is gone already is fine; one that was given pods meanwhile is not the one that was judged.
                if self.sets.get(digest).is_some_and(|pods| pods.to_string() != *resource_version) {
                    return false;
                }
                assert!(self.sets.remove(digest).unwrap_or(0) == 0, "a ReplicaSet with pods was deleted");
                self.made.retain(|made| made != digest);
            }
            Write::PatchScaler { patch, .. } => {
                let Some(behavior) = &self.scaler else { return false };
                let mut object = json!({"metadata": {"resourceVersion": self.scaler_version.to_string()}, "spec": {}});
                if let Some(behavior) = behavior {
                    object["spec"]["behavior"] = behavior.clone();
                }
                let patch: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
                if json_patch::patch(&mut object, &patch).is_err() {
                    return false;
                }
                self.scaler = Some(object["spec"].get("behavior").cloned());
                self.scaler_version = version;
            }
            Write::OpenGate { resource_version, .. } => {
                return self.workload_write(resource_version, |w| {
                    w.paused = false;
                    w.generation += 1;
                });
            }
            Write::RestoreTemplate { resource_version, template, .. } => {
                let template = template.clone();
                return self.workload_write(resource_version, |w| {
                    w.template = template;
                    w.generation += 1;
                    w.paused = w.label.is_some();
                });
            }
            Write::CreateCanary { body } => {
                if self.canary.is_some() {
                    return false;
                }
                let replicas = body.pointer("/spec/replicas").and_then(Value::as_u64).unwrap() as u32;
                let revision = body.pointer("/metadata/annotations/sluice.dev~1revision").unwrap().as_str().unwrap();
                self.canary = Some(Canary { revision: revision.into(), replicas, available: 0, version, restarts: 0 });
            }
            Write::ScaleCanary { resource_version, replicas, .. } => match self.canary.as_mut() {
                Some(canary) if canary.version.to_string() == *resource_version => {
                    canary.replicas = *replicas;
                    canary.version = version;
                }
                _ => return false,
            },
            Write::DeleteCanary { .. } => self.canary = None,
            Write::CreateService { .. } => self.canary_service = true,
            Write::DeleteService { .. } => self.canary_service = false,
            Write::CreatePolicy { body } => {
                let name = body.pointer("/metadata/name").and_then(Value::as_str).unwrap();
                let policies = &mut self.neighbours.policies;
                if policies.iter().any(|policy| policy.name == name) {
                    return false;
                }
                policies.push(PolicyFacts {
                    name: name.into(),
                    namespace: "demo".into(),
                    uid: format!("uid-{name}-{version}"),
                    resource_version: version.to_string(),
                    ours: body.pointer("/metadata/ownerReferences/0/uid").is_some_and(|uid| uid == "uid-rollout"),
                    for_canary: true,
                    spec: body["spec"].clone(),
                });
            }
            Write::ReplacePolicy { name, resource_version, spec } => {
                let policies = &mut self.neighbours.policies;
                let judged =
                    |policy: &&mut PolicyFacts| policy.name == *name && policy.resource_version == *resource_version;
                let Some(policy) = policies.iter_mut().find(judged) else { return false };
                policy.spec = spec.clone();
                policy.resource_version = version.to_string();
            }
            Write::DeletePolicy { uid, .. } => self.neighbours.policies.retain(|policy| policy.uid != *uid),
            Write::PatchRoute { kind, patch, .. } => {
                assert_eq!(*kind, self.route_kind);
                let mut route = self.route.clone();
                route["metadata"]["resourceVersion"] = json!(self.route_version.to_string());
                let patch: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
                if json_patch::patch(&mut route, &patch).is_err() {
                    return false;
                }
                self.route = route;
                self.route_version = version;
                self.route_generation += 1;
            }
        }
        true
    }

    fn workload_write(&mut self, resource_version: &str, change: impl FnOnce(&mut Self)) -> bool {
        if resource_version != self.workload_version.to_string() {
            return false;
        }
        change(self);
        self.touch_workload();
        true
    }
}

/// A write in one line.
fn describe(write: &Write) -> String {
    match write {
        Write::PatchRoute { name, weight: Some(weight), .. } => format!("patch_route {name} canary {weight}%"),
        Write::PatchRoute { name, weight: None, .. } => format!("patch_route {name} as it was"),
        Write::ScaleCanary { replicas, .. } => format!("scale_canary {replicas}"),
        Write::PatchScaler { free, .. } => format!("patch_scaler {}", if *free { "as it was" } else { "up only" }),
        Write::CreateCanary { body } => format!("create_canary {}", body.pointer("/spec/replicas").unwrap()),
        Write::CreatePolicy { body } => {
            format!("create_policy {}", body.pointer("/metadata/name").and_then(Value::as_str).unwrap())
        }
        Write::ReplacePolicy { name, .. } => format!("replace_policy {name}"),
        Write::DeletePolicy { name, .. } => format!("delete_policy {name}"),
        other => other.name().to_owned(),
    }
}
