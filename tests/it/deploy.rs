//! The manifests under deploy/ fit together and fit the code.

use std::path::Path;

use serde_json::Value;
use sluice::api::names;

fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}

#[test]
fn the_gate_selects_the_label_that_the_operator_sets() {
    let policies = documents("deploy/policies.yaml");
    let selecting: Vec<&Value> =
        policies.iter().filter(|policy| policy["kind"].as_str().unwrap().ends_with("Policy")).collect();
    assert_eq!(selecting.len(), 3);
    for policy in selecting {
        let selector = &policy["spec"]["matchConstraints"]["objectSelector"]["matchExpressions"][0];
        assert_eq!(selector["key"], names::ROLLOUT_LABEL);
        let name = &policy["metadata"]["name"];
        let bound = policies
            .iter()
            .any(|other| other["kind"].as_str().unwrap().ends_with("Binding") && other["spec"]["policyName"] == *name);
        assert!(bound, "{name} has no binding");
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    }
}

#[test]
fn the_policies_know_the_operator_and_the_way_out() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/policies.yaml")).unwrap();
    let account = documents("deploy/rbac.yaml").into_iter().find(|one| one["kind"] == "ServiceAccount").unwrap();
    let user = format!(
        "system:serviceaccount:{}:{}",
        account["metadata"]["namespace"].as_str().unwrap(),
        account["metadata"]["name"].as_str().unwrap()
    );
    assert!(text.contains(&user), "{user} is not the one that may open the gate");
    assert!(text.contains(names::BREAK_GLASS_ANNOTATION));
}

#[test]
fn rights_have_no_wildcard_and_no_secrets() {
    let role = documents("deploy/rbac.yaml").into_iter().find(|one| one["kind"] == "ClusterRole").unwrap();
    for rule in role["rules"].as_array().unwrap() {
        for list in ["apiGroups", "resources", "verbs"] {
            for word in rule[list].as_array().unwrap() {
                assert!(word != "*" && word != "secrets", "{rule}");
            }
        }
    }
}

#[test]
fn secrets_are_read_one_at_a_time_beside_the_operator() {
    let rights = documents("deploy/rbac.yaml");
    let of = |kind: &str| rights.iter().find(|one| one["kind"] == kind).unwrap();
    let (role, binding, account) = (of("Role"), of("RoleBinding"), of("ServiceAccount"));
    let rule = serde_json::json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    assert_eq!(role["rules"], rule);
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["name"], account["metadata"]["name"]);
    for object in [role, binding] {
        assert_eq!(object["metadata"]["namespace"], account["metadata"]["namespace"]);
    }
    let operator = documents("deploy/operator.yaml").into_iter().find(|one| one["kind"] == "Deployment").unwrap();
    let env = operator["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let namespace = env.iter().find(|one| one["name"] == "SLUICE_NAMESPACE").unwrap();
    assert_eq!(namespace["valueFrom"]["fieldRef"]["fieldPath"], "metadata.namespace");
}

#[test]
fn the_operator_is_restricted_and_probed() {
    let operator = documents("deploy/operator.yaml").into_iter().find(|one| one["kind"] == "Deployment").unwrap();
    let pod = &operator["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
}
