//! Names of the labels, annotations and objects that Sluice makes, and the digest of a pod template.
//!
//! Owns length limits and hashing. Names are deterministic, so a write repeated after a crash meets
//! the object of the first try. Must not look at the cluster.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Label on a governed Deployment; its value is the Rollout's name. The admission policies select on it.
pub const ROLLOUT_LABEL: &str = "sluice.dev/rollout";
/// Label on a governed Deployment from the write that puts the stable template back until the gate opens. Admission
/// compares the template of no other write with the proven one.
pub const RESTORING_LABEL: &str = "sluice.dev/restoring";
/// Label on everything that Sluice made for a Rollout; its value is the Rollout's name.
pub const ROLLOUT_NAME_LABEL: &str = "sluice.dev/rollout-name";
/// Label on what Sluice made for a Rollout; its value is `canary`.
pub const ROLE_LABEL: &str = "sluice.dev/role";
/// The value of [`ROLE_LABEL`].
pub const CANARY_ROLE: &str = "canary";
/// Label on a canary's pods with the digest of their template. Pods of an earlier canary that are still going away are
/// told apart by it: neither their restarts nor their readiness count for the next one.
pub const REVISION_LABEL: &str = "sluice.dev/revision";
/// Annotation on the canary Deployment with the digest of the template it was made from.
pub const REVISION_ANNOTATION: &str = "sluice.dev/revision";
/// Annotation that lets a person open the gate by hand; the guard policy looks for it.
pub const BREAK_GLASS_ANNOTATION: &str = "sluice.dev/break-glass";
/// Finalizer on a Rollout: traffic goes back to stable before the object may go.
pub const FINALIZER: &str = "sluice.dev/restore-traffic";
/// Annotation on a Rollout that lets it go without restoring anything, for when the cluster cannot be reached as it was.
pub const ABANDON_ANNOTATION: &str = "sluice.dev/abandon";
/// Annotation on a Deployment: what kind of change its template is (`planned`, `rework`, `hotfix`, `security`).
pub const KIND: &str = "sluice.dev/kind";
/// Annotation on a Deployment: the failed Release that its template remedies.
pub const REMEDIATES: &str = "sluice.dev/remediates";
/// Annotation on a Deployment: the incident or ticket that its template is for.
pub const REFERENCE: &str = "sluice.dev/reference";
/// Annotation on a Deployment: the person who answers for its template.
pub const REQUESTED_BY: &str = "sluice.dev/requested-by";
/// Annotation on a Deployment: templates of several workloads with the same id are one deployment.
pub const RELEASE_ID: &str = "sluice.dev/release-id";
/// Annotation on a Deployment: the commits that its template brings, as `SHA@TIME`, separated by commas.
pub const COMMITS: &str = "sluice.dev/commits";
/// Annotation on a Deployment: the commit that its image was built from, where [`COMMITS`] is not given
/// (OCI image specification, annotations).
pub const OCI_REVISION: &str = "org.opencontainers.image.revision";
/// Every annotation on a Deployment that says something of its template.
pub const SAID: [&str; 7] = [KIND, REMEDIATES, REFERENCE, REQUESTED_BY, RELEASE_ID, COMMITS, OCI_REVISION];
/// The label that the Deployment controller adds to every template it copies.
const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// The longest name that may also be a label value or a Service name (RFC 1123 label).
pub const LONGEST: usize = 63;

/// Whether an object can be called so (RFC 1123 subdomain). What cannot is asked for nowhere: in the path of a request it
/// could mean another object.
pub fn is_name(text: &str) -> bool {
    let ends = |end: Option<u8>| end.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    text.len() <= 253 && ends(text.bytes().next()) && ends(text.bytes().last()) && text.bytes().all(inside)
}

/// `base` + `suffix`, shortened with a digest when it would exceed 63 characters.
pub fn with_suffix(base: &str, suffix: &str) -> String {
    if base.is_empty() {
        // The value of a label may be empty, and does not begin with a dash.
        return suffix.trim_start_matches(['-', '.']).to_owned();
    }
    let room = LONGEST.saturating_sub(suffix.len());
    if base.len() <= room {
        return format!("{base}{suffix}");
    }
    let mut room_left = room.saturating_sub(9);
    let fits = |c: &char| {
        let fits = c.len_utf8() <= room_left;
        room_left = room_left.saturating_sub(c.len_utf8());
        fits
    };
    let kept: String = base.chars().take_while(fits).collect();
    format!("{}-{}{suffix}", kept.trim_end_matches(['-', '.']), short(&hex(base.as_bytes())))
}

/// The canary's name for a workload or Service called `name`.
pub fn canary(name: &str) -> String {
    with_suffix(name, "-canary")
}

/// The name of the Release of attempt `number` of a Rollout; unique also when the Rollout is made anew.
pub fn release(rollout: &str, uid: &str, number: u32, revision: &str) -> String {
    let digest = hex(format!("{uid}/{number}/{revision}").as_bytes());
    with_suffix(rollout, &format!("-{number}-{}", short(&digest)))
}

/// The name of the ReworkEvent of what was found in a Release after its promotion.
pub fn escaped(release: &str) -> String {
    with_suffix(release, "-escaped")
}

/// A name that belongs to `base` and is unique for `key`; used for events.
pub fn unique(base: &str, key: &str) -> String {
    let digest: String = hex(key.as_bytes()).chars().take(16).collect();
    with_suffix(base, &format!(".{digest}"))
}

/// The digest that identifies a pod template: SHA-256 over its canonical JSON (keys sorted), without the label
/// that the Deployment controller adds; 16 hex digits.
pub fn template_digest(template: &Value) -> String {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(POD_TEMPLATE_HASH);
    }
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
    }
    hex(template.to_string().as_bytes()).chars().take(16).collect()
}

/// The template without what the Deployment controller added to its ReplicaSet's copy.
pub fn without_template_hash(mut template: Value) -> Value {
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(POD_TEMPLATE_HASH);
    }
    template
}

/// The first eight digits of a digest, for people and for names.
pub fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or(digest)
}

/// A digest of texts, for what has them in common; 16 hex digits. No text can pass for two.
pub fn digest(texts: &[&str]) -> String {
    hex(texts.join("\u{0}").as_bytes()).chars().take(16).collect()
}

/// SHA-256 as 64 hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(bytes)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_stay_labels() {
        assert_eq!(canary("shop"), "shop-canary");
        let long = "a".repeat(80);
        let name = canary(&long);
        assert_eq!(name.len(), 63);
        assert!(name.ends_with("-canary"));
        assert_ne!(name, canary(&"a".repeat(81)), "two long names must not meet");
        assert!(release(&long, "uid", 7, "abc").len() <= 63);
    }

    #[test]
    fn a_template_has_one_digest_whoever_copied_it() {
        let template = json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "shop", "image": "shop:1"}]}});
        let copied = json!({"spec": {"containers": [{"image": "shop:1", "name": "shop"}]},
            "metadata": {"creationTimestamp": null, "labels": {"pod-template-hash": "5d8f", "app": "shop"}}});
        assert_eq!(template_digest(&template), template_digest(&copied));
        // Pinned: a digest that changes between versions of the operator would start a rollout on upgrade.
        assert_eq!(template_digest(&template), "0ab49149d16c78d6");
        let other = json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "shop", "image": "shop:2"}]}});
        assert_ne!(template_digest(&template), template_digest(&other));
    }
}
