//! The examples are what the documentation says they are.

use std::path::Path;

use kube::core::cel::validate_cel;
use serde_json::Value;
use sluice::api::{MetricsProviderSpec, Rollout};

fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap()).collect()
}

#[test]
fn the_shop_is_governed_by_a_valid_rollout() {
    let [rollout] = documents("examples/shop/rollout.yaml").try_into().unwrap();
    let rollout: Rollout = serde_json::from_value(rollout).unwrap();
    assert!(validate_cel(&rollout).is_ok(), "{:?}", validate_cel(&rollout));
    let [provider] = documents("examples/shop/provider.yaml").try_into().unwrap();
    assert_eq!(provider["metadata"]["name"], rollout.spec.analysis.provider_ref.name);
    let _: MetricsProviderSpec = serde_json::from_value(provider["spec"].clone()).unwrap();
}

#[test]
fn versions_differ_only_in_what_they_say() {
    let app = documents("examples/shop/app.yaml");
    let deployment = app.iter().find(|document| document["kind"] == "Deployment").unwrap();
    for (file, version, errors) in [("v2", "v2", "0%"), ("v3", "v3", "5%")] {
        let [mut other] = documents(&format!("examples/shop/{file}.yaml")).try_into().unwrap();
        let env = other.pointer_mut("/spec/template/spec/containers/0/env").unwrap();
        assert_eq!((&env[0]["value"], &env[1]["value"]), (&Value::from(version), &Value::from(errors)));
        *env = deployment.pointer("/spec/template/spec/containers/0/env").unwrap().clone();
        assert_eq!(&other, deployment, "examples/shop/{file}.yaml");
    }
}
