//! I5: of objects that are not ours nothing changes but what is ours.

use serde_json::{Value, json};

use super::Moment;
use crate::api::{Key, Look as _, text};
use crate::objects;
use crate::traffic::weights;
use crate::world::{Written, digest};

/// The fields of an object without those that the API server counts.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["resourceVersion", "generation"] {
            meta.remove(field);
        }
    }
    object
}

/// The object with another value at some places.
fn with(object: &Value, changes: &[(&str, Option<Value>)]) -> Value {
    let mut object = plain(object);
    for (pointer, value) in changes {
        let Some((parent, field)) = pointer.rsplit_once('/') else { continue };
        let field = field.replace("~1", "/");
        let Some(fields) = object.pointer_mut(parent).and_then(Value::as_object_mut) else { continue };
        match value {
            Some(value) => fields.insert(field, value.clone()),
            None => fields.remove(&field),
        };
    }
    object
}

/// The operator wrote something.
pub fn changed(written: &Written, moment: &Moment<'_>, found: &mut Vec<String>) {
    let Written { key, change, .. } = written;
    let mut say = |what: &str| found.push(format!("I5: {} {}: {what}", key.kind, key.name));
    let (old, new) = match (&change.old, &change.new) {
        (None, Some(_)) => {
            let ours = ["Release", "ReworkEvent", "DecisionLog", "Postmortem", "Event"].contains(&key.kind)
                || key.name.contains("canary");
            if !ours {
                say("is created");
            }
            return;
        }
        (Some(old), None) => {
            let ours = text(old, "/metadata/ownerReferences/0/kind") == "Rollout";
            let rejected = key.kind == "ReplicaSet"
                && old.at("/spec/replicas") == Some(&json!(0))
                && moment.rollout().is_none_or(|rollout| digest(old) != text(rollout, "/status/stable/digest"));
            // Without its finalizer a Rollout that is being deleted goes.
            if !ours && !rejected && key.kind != "Rollout" {
                say("is deleted");
            }
            return;
        }
        (Some(old), Some(new)) => (old.as_ref(), new.as_ref()),
        (None, None) => return,
    };
    if text(old, "/metadata/ownerReferences/0/kind") == "Rollout" {
        return;
    }
    let same = |pointers: &[&str]| {
        let changes: Vec<(&str, Option<Value>)> =
            pointers.iter().map(|pointer| (*pointer, new.at(pointer).cloned())).collect();
        with(old, &changes) == plain(new)
    };
    let fine = match key.kind {
        "Deployment" => {
            let labels = ["/metadata/labels/sluice.dev~1rollout", "/metadata/labels/sluice.dev~1restoring"];
            if digest(old) == digest(new) {
                same(&[labels[0], labels[1], "/spec/paused"])
            } else {
                let stable = moment.rollout().map_or("", |rollout| text(rollout, "/status/stable/digest"));
                digest(new) == stable && same(&[labels[0], labels[1], "/spec/paused", "/spec/template"])
            }
        }
        "HTTPRoute" => {
            same(&["/spec/rules/0/backendRefs"]) || {
                // A field of a list's element is the whole list to `same`.
                let mut expected = plain(old);
                if let (Some(to), Some(from)) =
                    (expected.pointer_mut("/spec/rules/0/backendRefs"), new.at("/spec/rules/0/backendRefs"))
                {
                    *to = from.clone();
                }
                expected == plain(new) && only_weights(old, new)
            }
        }
        "HorizontalPodAutoscaler" => same(&["/spec/behavior"]),
        "Rollout" => same(&["/status", "/metadata/finalizers"]),
        "Release" | "Intervention" => same(&["/status"]),
        "DecisionLog" => same(&["/spec/entries", "/spec/head"]),
        "Event" | "Lease" => true,
        _ => false,
    };
    if !fine {
        say("changes in a field that is not ours");
    }
}

/// Of the backends only weights, and the canary's own entry, are different.
fn only_weights(old: &Value, new: &Value) -> bool {
    let rest = |route: &Value| -> Vec<Value> {
        let backends = route.at("/spec/rules/0/backendRefs").and_then(Value::as_array);
        let others = backends.into_iter().flatten().filter(|one| text(one, "/name") != "shop-canary");
        others
            .map(|backend| {
                let mut backend = backend.clone();
                if let Some(fields) = backend.as_object_mut() {
                    fields.remove("weight");
                }
                backend
            })
            .collect()
    };
    rest(old) == rest(new)
}

/// Everything has settled: routes and autoscalers are as people wrote them.
pub fn finish(moment: &Moment<'_>, found: &mut Vec<String>) {
    if let Some(route) = moment.store.get(&Key::demo("HTTPRoute", "shop")) {
        let rule = route.at("/spec/rules/0");
        let as_written = objects::rules();
        // Of two who decide at once one may write weight 0 when the other has put the route back already.
        let hundredfold = moment.crowded() && weights(route) == (100, 0);
        if rule != as_written.at("/0") && !hundredfold {
            found.push(format!("I5: at the end the governed rule is {:?}", weights(route)));
        }
    }
    if let Some(scaler) = moment.store.get(&Key::demo("HorizontalPodAutoscaler", "shop"))
        && scaler.at("/spec/behavior").is_some_and(|behavior| !behavior.is_null())
    {
        found.push("I5: at the end the autoscaler has a behavior that nobody gave it".to_owned());
    }
    let label = moment.workload().map_or("", |workload| text(workload, "/metadata/labels/sluice.dev~1rollout"));
    if moment.rollout().is_none() && !label.is_empty() {
        found.push("I5: the Rollout is gone and its label is left".to_owned());
    }
}
