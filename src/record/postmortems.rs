//! Postmortem drafts: each is created once, and never written again.
//!
//! Its name is that of the Release, so a create that is repeated, by this process or another, meets the first one. It is
//! owned by the Release: when that is deleted, for its age or by hand, the garbage collector takes the draft along, and
//! the operator needs no right to delete what people wrote.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::{Api, Resource, ResourceExt};

use super::records::labels;
use super::{Error, client, send, there_already};
use crate::api::{Postmortem, PostmortemSpec, Release};
use crate::leadership::Writer;

/// Creates the draft about this very Release, unless there is one.
pub async fn postmortem(writer: &Writer, release: &Release, spec: PostmortemSpec) -> Result<(), Error> {
    let api: Api<Postmortem> =
        Api::namespaced(client(writer, "postmortem")?.clone(), &release.namespace().unwrap_or_default());
    there_already(send("postmortem", api.create(&PostParams::default(), &object(release, spec))).await)
}

fn object(release: &Release, spec: PostmortemSpec) -> Postmortem {
    let mut draft = Postmortem::new(&release.name_any(), spec);
    let mut labels = labels(&release.spec.rollout, release.spec.owner.as_ref());
    // `managed-by` tells people what a program will put back; this is theirs.
    labels.remove("app.kubernetes.io/managed-by");
    labels.insert("app.kubernetes.io/created-by".to_owned(), "sluice".to_owned());
    draft.metadata.labels = Some(labels);
    draft.metadata.owner_references = release.uid().map(|uid| {
        vec![OwnerReference {
            api_version: Release::api_version(&()).into_owned(),
            kind: Release::kind(&()).into_owned(),
            name: release.name_any(),
            uid,
            ..OwnerReference::default()
        }]
    });
    draft
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::names;

    #[test]
    fn a_draft_is_owned_by_its_release_and_says_whose_it_is() {
        let release: Release = serde_json::from_value(json!({
            "metadata": {"name": "shop-3", "namespace": "demo", "uid": "u-3"},
            "spec": {"rollout": "shop", "rolloutUid": "u", "workload": "Deployment/shop", "number": 3, "revision": "b",
                "fromRevision": "a", "owner": {"team": "payments"}},
        }))
        .unwrap();
        let spec = json!({"release": "shop-3", "rollout": "shop", "cause": "Escaped",
            "draftedAt": "2026-01-01T00:00:00Z", "markdown": "# Text\n"});
        let draft = serde_json::to_value(object(&release, serde_json::from_value(spec).unwrap())).unwrap();
        assert_eq!(draft["metadata"]["name"], "shop-3");
        assert_eq!(
            draft["metadata"]["ownerReferences"],
            json!([{"apiVersion": "sluice.dev/v1alpha1", "kind": "Release", "name": "shop-3", "uid": "u-3"}])
        );
        assert_eq!(
            draft["metadata"]["labels"],
            json!({"app.kubernetes.io/created-by": "sluice", "sluice.dev/team": "payments",
                (names::ROLLOUT_NAME_LABEL): "shop"})
        );
    }
}
