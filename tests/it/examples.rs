//! The examples are what the documentation says they are.

pub mod files;
pub mod schema;
mod tree;

use std::path::Path;

use kube::core::cel::validate_cel;
use serde_json::Value;
use sluice::api::{Action, Intervention, MetricsProvider, MetricsProviderSpec, NotificationSink, Rollout, SinkEvent};

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
fn the_providers_of_the_documentation_are_valid() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rollout.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let providers: Vec<&str> = blocks.filter(|block| block.contains("kind: MetricsProvider")).collect();
    assert_eq!(providers.len(), 3);
    for text in providers {
        let written: Value = serde_saphyr::from_str(text).unwrap();
        let provider: MetricsProvider = serde_json::from_value(written.clone()).unwrap();
        assert!(validate_cel(&provider).is_ok(), "{text}: {:?}", validate_cel(&provider));
        let read = serde_json::to_value(&provider).unwrap();
        for (field, value) in written["spec"].as_object().unwrap() {
            assert!(!value.is_null() && !read["spec"][field].is_null(), "{text}: {field} is not known");
        }
    }
}

#[test]
fn the_sinks_are_valid_and_every_event_is_in_the_documentation() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notifications.md")).unwrap();
    let of_the_page = page.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let of_the_page = of_the_page.map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    let mut sinks = documents("examples/notifications/sink.yaml");
    assert_eq!(sinks.len(), 2);
    sinks.extend(of_the_page);
    assert_eq!(sinks.len(), 3);
    for written in sinks {
        let sink: NotificationSink = serde_json::from_value(written.clone()).unwrap();
        assert!(validate_cel(&sink).is_ok(), "{written}: {:?}", validate_cel(&sink));
        let read = serde_json::to_value(&sink.spec).unwrap();
        for (field, value) in written["spec"].as_object().unwrap() {
            assert_eq!(&read[field], value, "{field} is not known");
        }
    }
    for event in SinkEvent::ALL {
        assert!(page.contains(&format!("\n| `{}` | ", event.name())), "{} is not in the table", event.name());
    }
}

#[test]
fn what_can_be_asked_for_by_a_file_is_understood() {
    for (file, action) in
        [("approve", Action::Approve), ("abort", Action::Abort), ("retry", Action::Retry), ("hold", Action::Hold)]
    {
        let [written] = documents(&format!("examples/interventions/{file}.yaml")).try_into().unwrap();
        let asked: Intervention = serde_json::from_value(written.clone()).unwrap();
        assert!(validate_cel(&asked).is_ok(), "{file}: {:?}", validate_cel(&asked));
        assert_eq!((asked.spec.action, asked.spec.rollout.as_str()), (action, "shop"), "{file}");
        assert_eq!(asked.metadata.generate_name, Some(format!("shop-{file}-")));
        assert_eq!(asked.spec.requested_by, None, "{file}: admission writes the name");
        let read = serde_json::to_value(&asked.spec).unwrap();
        for (field, value) in written["spec"].as_object().unwrap() {
            assert_eq!(&read[field], value, "{file}: {field} is not known");
        }
    }
}

#[test]
fn what_the_documentation_asks_for_is_understood() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/interventions.md")).unwrap();
    let heredoc = page.split("<<EOF\n").nth(1).and_then(|rest| rest.split("\nEOF").next()).unwrap();
    let asked: Intervention = serde_saphyr::from_str(heredoc).unwrap();
    assert_eq!(asked.spec.action, Action::Approve);
    for action in Action::ALL {
        assert!(page.contains(&format!("| `{}` | ", action.name())), "{} is not in the table", action.name());
    }
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
