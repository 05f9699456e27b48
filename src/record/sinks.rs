//! The status of a NotificationSink: how far the deliveries have come. Written by the task that delivers, a few times
//! for many deliveries; nothing waits for it.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Error, client, gone_already, send};
use crate::api::{NotificationSink, NotificationSinkStatus};
use crate::leadership::Writer;

/// What may be absent, and must then be taken out of what was written before.
const OPTIONAL: [&str; 4] = ["lastDeliveredAt", "failingSince", "lastFailure", "cursor"];

/// Writes the status of this very sink: one that was made anew under the same name begins with its own creation.
pub async fn sink_status(writer: &Writer, name: &str, uid: &str, status: &NotificationSinkStatus) -> Result<(), Error> {
    let api: Api<NotificationSink> = Api::all(client(writer, "sink status")?.clone());
    let patch = json!({"metadata": {"uid": uid}, "status": whole(status)});
    gone_already(send("sink status", api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))).await)
}

/// The status as a merge patch that leaves nothing over.
fn whole(status: &NotificationSinkStatus) -> Value {
    let mut value = json!(status);
    if let Some(fields) = value.as_object_mut() {
        for field in OPTIONAL {
            fields.entry(field).or_insert(Value::Null);
        }
        // A list that is empty is not there, and what it held goes with it only if it is named.
        if let Some(cursor) = fields.get_mut("cursor").and_then(Value::as_object_mut) {
            for list in ["recent", "standing"] {
                cursor.entry(list).or_insert(Value::Null);
            }
        }
        if let Some(failure) = fields.get_mut("lastFailure").and_then(Value::as_object_mut) {
            failure.entry("httpStatus").or_insert(Value::Null);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_taken_out() {
        let status: NotificationSinkStatus =
            serde_json::from_value(json!({"cursor": {"after": "2026-01-01T00:00:00Z"}})).unwrap();
        let expected = json!({
            "observedGeneration": 0, "delivered": 0, "dropped": 0, "pending": 0,
            "lastDeliveredAt": null, "failingSince": null, "lastFailure": null,
            "cursor": {"after": "2026-01-01T00:00:00Z", "recent": null, "standing": null},
        });
        assert_eq!(whole(&status), expected);
        let failing: NotificationSinkStatus =
            serde_json::from_value(json!({"lastFailure": {"at": "2026-01-01T00:00:00Z", "class": "Timeout"}})).unwrap();
        assert_eq!(whole(&failing)["lastFailure"]["httpStatus"], Value::Null);
        assert_eq!(whole(&failing)["cursor"], Value::Null);
    }
}
