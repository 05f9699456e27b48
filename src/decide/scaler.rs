//! The workload's HorizontalPodAutoscaler during an attempt: it may scale up, but not down.
//!
//! As load moves to the canary, stable would be shrunk below what a full fallback needs. Only `scaleDown.selectPolicy` is
//! set, and at the end `spec.behavior` is as it was, or gone again. A guarded patch and no server-side apply: the API
//! server fills in the rest of `behavior`, and a field that is given up would stay.

use serde_json::{Value, json};

use super::draft::Draft;
use super::plan::{Severity, Write};
use super::snapshot::ScalerFacts;
use crate::api::ScalerBackup;

/// How often it is set again when others change it.
const AGAIN: u8 = 5;
/// How long a `behavior` may be that is kept in the status: see `ScalerBackup`.
const LONGEST: usize = 4_096;

/// Plans what keeps it from scaling down. True when it cannot, or there is none.
pub(super) fn freeze(d: &mut Draft<'_>) -> bool {
    let Some(scaler) = &d.s.scaler else { return true };
    let Some(run) = d.status.run.as_mut() else { return true };
    if frozen(scaler) {
        return true;
    }
    let behavior = scaler.behavior.as_ref().map(ToString::to_string);
    let again = match &run.scaler {
        // Somebody applied it anew in mid-run: what they wrote is what they get back.
        Some(backup) if backup.name == scaler.name => backup.again.saturating_add(1),
        Some(_) | None => 0,
    };
    let why = if behavior.as_ref().is_some_and(|behavior| behavior.chars().count() > LONGEST) {
        Some(format!("has a spec.behavior of more than {LONGEST} characters, which cannot be kept"))
    } else if again > AGAIN {
        Some(format!("was changed {AGAIN} times during the attempt"))
    } else {
        None
    };
    if let Some(why) = why {
        let note = format!("HorizontalPodAutoscaler {} {why}; it is left alone and may shrink stable", scaler.name);
        let key = format!("{}.scaler", run.release);
        d.notify(Severity::Warning, key, "ScalerConflict", "Scale", note);
        return true;
    }
    run.scaler = Some(ScalerBackup { name: scaler.name.clone(), behavior, again });
    let mut behavior = scaler.behavior.clone().unwrap_or_else(|| json!({}));
    if let Some(down) = behavior.as_object_mut().map(|fields| fields.entry("scaleDown").or_insert_with(|| json!({}))) {
        if !down.is_object() {
            *down = json!({});
        }
        if let Some(down) = down.as_object_mut() {
            down.insert("selectPolicy".to_owned(), json!("Disabled"));
        }
    }
    let op = json!({"op": "add", "path": "/spec/behavior", "value": behavior});
    d.plan.push(Write::PatchScaler { name: scaler.name.clone(), free: false, patch: guarded(scaler, op) });
    false
}

/// Plans what gives it back. True when it is as it was, or is no longer ours to change.
pub(super) fn thaw(d: &mut Draft<'_>) -> bool {
    let backup = d.status.run.as_ref().and_then(|run| run.scaler.clone());
    let (Some(backup), Some(scaler)) = (backup, &d.s.scaler) else { return true };
    if backup.name != scaler.name || !frozen(scaler) {
        return true;
    }
    let op = match backup.behavior.as_deref().map(serde_json::from_str::<Value>) {
        Some(Ok(behavior)) => json!({"op": "replace", "path": "/spec/behavior", "value": behavior}),
        Some(Err(_)) | None => json!({"op": "remove", "path": "/spec/behavior"}),
    };
    d.plan.push(Write::PatchScaler { name: scaler.name.clone(), free: true, patch: guarded(scaler, op) });
    false
}

fn frozen(scaler: &ScalerFacts) -> bool {
    let policy = scaler.behavior.as_ref().and_then(|behavior| behavior.pointer("/scaleDown/selectPolicy"));
    policy.and_then(Value::as_str) == Some("Disabled")
}

fn guarded(scaler: &ScalerFacts, op: Value) -> Value {
    json!([{"op": "test", "path": "/metadata/resourceVersion", "value": scaler.resource_version}, op])
}
