//! The Helm chart: by default what `deploy/install.yaml` has, and each value does what it says or is refused.

use std::path::Path;

use serde_json::{Value, json};

use super::{differences, environment, key, objects, of_kind, run, text, tool};

const CHART: &str = "deploy/chart/sluice";
/// A cluster that serves everything, whatever the tool was built for.
const CLUSTER: &str = "--kube-version=1.36";

/// What the chart makes of more arguments: objects, hooks among them.
pub fn rendered(helm: &Path, more: &[&str]) -> Result<Vec<Value>, String> {
    let arguments = ["template", "sluice", CHART, "--namespace=sluice-system", CLUSTER];
    run(helm, &[&arguments, more].concat()).map(|text| objects(&text))
}

/// The same with one more value.
fn with(helm: &Path, value: &str) -> Vec<Value> {
    rendered(helm, &["--set", value]).unwrap_or_else(|error| panic!("{value}: {error}"))
}

#[test]
fn by_default_the_chart_is_install_yaml() {
    let Some(helm) = tool("helm", "by_default_the_chart_is_install_yaml") else { return };
    let by_helm = rendered(&helm, &[]).unwrap();
    for object in &by_helm {
        assert_eq!(
            object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm",
            "{}",
            object["metadata"]["name"]
        );
    }
    assert_eq!(
        differences(objects(&text("deploy/install.yaml")), by_helm),
        [""; 0],
        "make manifests, or see templates/"
    );
    run(&helm, &["lint", "--strict", CHART]).unwrap();
}

#[test]
fn namespace_and_account_are_the_users_own() {
    let Some(helm) = tool("helm", "namespace_and_account_are_the_users_own") else { return };
    let monitoring =
        "monitoring.podMonitor.enabled=true,monitoring.prometheusRule.enabled=true,monitoring.dashboards.enabled=true";
    let set = format!("serviceAccount.name=gatekeeper,{monitoring}");
    let text = run(&helm, &["template", "x", CHART, "--namespace=delivery", CLUSTER, "--set", &set]).unwrap();
    assert!(!text.contains("sluice-system") && !text.contains(":sluice'"), "names of the default are left");
    let all = objects(&text);
    let shipped = super::text("deploy/install.yaml").matches("system:serviceaccount:sluice-system:sluice").count();
    assert_eq!(text.matches("system:serviceaccount:delivery:gatekeeper").count(), shipped);
    for object in &all {
        let namespace = &object["metadata"]["namespace"];
        assert!(namespace.is_null() || namespace == "delivery", "{:?}", key(object));
    }
    let operator = of_kind(&all, "Deployment")[0];
    assert!(environment(operator).contains(&("SLUICE_SERVICE_ACCOUNT".to_owned(), json!("gatekeeper"))));
    assert_eq!(operator["spec"]["template"]["spec"]["serviceAccountName"], "gatekeeper");
    let subjects = all.iter().filter_map(|one| one["subjects"].as_array()).flatten();
    for subject in subjects.filter(|one| one["name"] != "sluice-test") {
        assert_eq!((&subject["name"], &subject["namespace"]), (&json!("gatekeeper"), &json!("delivery")));
    }
}

#[test]
fn what_cannot_be_right_is_refused_with_its_name() {
    let Some(helm) = tool("helm", "what_cannot_be_right_is_refused_with_its_name") else { return };
    for (value, says) in [
        ("replicaz=3", "additional properties 'replicaz' not allowed"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("replicas=6", "at '/replicas'"),
        ("image.tga=1", "additional properties 'tga' not allowed"),
        ("image.tag=latest", "image.tag: latest says nothing about what runs; name a version"),
        ("image.digest=sha1:abc", "at '/image/digest'"),
        ("routes={TCPRoute}", "at '/routes/0': value must be one of 'HTTPRoute', 'GRPCRoute'"),
        ("log.format=xml", "at '/log/format'"),
        ("draftPostmortems={Often}", "at '/draftPostmortems/0'"),
        ("serviceAccount.name=Bad_Name", "at '/serviceAccount/name'"),
        ("watchNamespace=a.b", "at '/watchNamespace'"),
        ("crds.kep=true", "additional properties 'kep' not allowed"),
        ("monitoring.serviceMonitor.enabled=yes", "at '/monitoring/serviceMonitor/enabled': got string, want boolean"),
        ("monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true", "enable one"),
        ("networkPolicy.egress.ports={0}", "at '/networkPolicy/egress/ports/0'"),
        ("podDisruptionBudget.minAvailable=half", "at '/podDisruptionBudget/minAvailable'"),
    ] {
        let error = rendered(&helm, &["--set", value]).unwrap_err();
        assert!(error.contains(says), "--set {value}: {error}");
    }
    let old = run(&helm, &["template", "sluice", CHART, "--kube-version=1.35"]).unwrap_err();
    assert!(old.contains("set gate.mutating=false and use Rollouts with gate: Resting"), "{old}");
    let older = ["template", "sluice", CHART, "--kube-version=1.32", "--set", "gate.mutating=false"];
    assert!(run(&helm, &older).unwrap_err().contains(">=1.33.0-0"));
}

#[test]
fn every_switch_does_what_it_says() {
    let Some(helm) = tool("helm", "every_switch_does_what_it_says") else { return };
    let count = |all: &[Value], kind: &str| of_kind(all, kind).len();
    let all = rendered(&helm, &[]).unwrap();
    let crds = count(&all, "CustomResourceDefinition");
    assert_eq!(crds, 9);
    for (kind, value, left) in [
        ("CustomResourceDefinition", "crds.enabled=false", 0),
        ("PodDisruptionBudget", "podDisruptionBudget.enabled=false", 0),
        ("NetworkPolicy", "networkPolicy.enabled=false", 0),
        ("ValidatingAdmissionPolicy", "gate.policies=false", 0),
        ("MutatingAdmissionPolicyBinding", "gate.policies=false", 0),
        ("MutatingAdmissionPolicy", "gate.mutating=false", 0),
        ("PodMonitor", "monitoring.podMonitor.enabled=true", 1),
    ] {
        assert_eq!(count(&with(&helm, value), kind), left, "{value}");
    }
    let kept = |all: &[Value]| {
        let crds = of_kind(all, "CustomResourceDefinition");
        crds.iter().filter(|crd| crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep").count()
    };
    assert_eq!((kept(&all), kept(&with(&helm, "crds.keep=false"))), (crds, 0));

    let operator = |value: &str| of_kind(&with(&helm, value), "Deployment")[0].clone();
    let pod = |value: &str| operator(value)["spec"]["template"]["spec"].clone();
    for (value, name, is) in [
        ("log.level=debug", "SLUICE_LOG_LEVEL", "debug"),
        ("log.format=json", "SLUICE_LOG_FORMAT", "json"),
        ("keep.days=0", "SLUICE_KEEP_DAYS", "0"),
        ("keep.each=1000000", "SLUICE_KEEP_EACH", "1000000"),
        ("draftPostmortems={Escaped,BreakGlass}", "SLUICE_DRAFT_POSTMORTEMS", "Escaped,BreakGlass"),
        ("watchNamespace=team-a", "SLUICE_WATCH_NAMESPACE", "team-a"),
        ("routes={HTTPRoute}", "SLUICE_ROUTES", "HTTPRoute"),
        ("extraEnv[0].name=TZ,extraEnv[0].value=UTC", "TZ", "UTC"),
    ] {
        assert!(environment(&operator(value)).contains(&(name.to_owned(), json!(is))), "{value}");
    }
    let image = |value: &str| pod(value)["containers"][0]["image"].clone();
    let digest = format!("sha256:{}", "a".repeat(64));
    assert_eq!(image("image.repository=registry.example/sluice,image.tag=1.2.3"), "registry.example/sluice:1.2.3");
    assert_eq!(image(&format!("image.digest={digest}")), format!("sluice.test/sluice@{digest}"));
    assert_eq!(
        pod("extraArgs={--listen=0.0.0.0:8080}")["containers"][0]["args"],
        json!(["run", "--listen=0.0.0.0:8080"])
    );
    assert_eq!(pod("priorityClassName=system-cluster-critical")["priorityClassName"], "system-cluster-critical");
    assert_eq!(pod("nodeSelector.disk=ssd")["nodeSelector"], json!({"disk": "ssd"}));
    assert_eq!(pod("tolerations[0].operator=Exists")["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(pod("imagePullSecrets[0].name=registry")["imagePullSecrets"], json!([{"name": "registry"}]));
    assert!(pod("affinity.nodeAffinity.a=b")["affinity"]["nodeAffinity"].is_object());
    let from = "networkPolicy.from[0].namespaceSelector.matchLabels.team=monitoring";
    let peers = of_kind(&with(&helm, from), "NetworkPolicy")[0]["spec"]["ingress"][0]["from"].clone();
    assert_eq!(peers, json!([{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}]));
    // A label that would take pods away from the Deployment does not.
    let labelled = operator("podLabels.app\\.kubernetes\\.io/name=other,podLabels.tier=ops");
    assert_eq!(
        labelled["spec"]["template"]["metadata"]["labels"],
        json!({"app.kubernetes.io/name": "sluice", "tier": "ops"})
    );
    // Whoever has no GRPCRoutes gives no right on them.
    let roles = with(&helm, "routes={HTTPRoute}").iter().map(Value::to_string).collect::<String>();
    assert!(roles.contains("sluice-httproutes") && !roles.contains("sluice-grpcroutes"));
    let roles =
        with(&helm, "routes={HTTPRoute},watchNamespace=team-a").iter().map(Value::to_string).collect::<String>();
    assert!(roles.contains("sluice-httproutes") && !roles.contains("sluice-grpcroutes"));
}

/// What `helm test` runs may run in the operator's namespace, and is not taken for the operator.
#[test]
fn the_test_of_an_installation_is_restricted_too() {
    let Some(helm) = tool("helm", "the_test_of_an_installation_is_restricted_too") else { return };
    let all = rendered(&helm, &[]).unwrap();
    let hooks: Vec<&Value> =
        all.iter().filter(|one| one["metadata"]["annotations"]["helm.sh/hook"] == "test").collect();
    assert_eq!(hooks.len(), 4);
    let (pod, operator) = (of_kind(&all, "Pod")[0], of_kind(&all, "Deployment")[0]);
    let of = |spec: &Value| {
        let container = &spec["containers"][0];
        json!([spec["securityContext"], container["securityContext"], container["image"]])
    };
    assert_eq!(of(&pod["spec"]), of(&operator["spec"]["template"]["spec"]));
    assert_ne!(pod["metadata"]["labels"]["app.kubernetes.io/name"], "sluice");
    let arguments: Vec<&str> =
        pod["spec"]["containers"][0]["args"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let command = [&["sluice"], arguments.as_slice()].concat();
    <sluice::cli::Cli as clap::Parser>::try_parse_from(command).map(drop).unwrap();
    let service = of_kind(&all, "Service")[0]["metadata"]["name"].as_str().unwrap();
    assert!(arguments.contains(&service), "{arguments:?}");
}

/// The schema knows each value that there is, and the page names it.
#[test]
fn every_value_is_in_the_schema_and_in_the_documentation() {
    let values = objects(&text(&format!("{CHART}/values.yaml"))).remove(0);
    let schema: Value = serde_json::from_str(&text(&format!("{CHART}/values.schema.json"))).unwrap();
    let page = text("docs/install.md");
    let named = |object: &Value| -> Vec<String> {
        let mut names: Vec<String> =
            object.as_object().unwrap().keys().filter(|name| *name != "global").cloned().collect();
        names.sort();
        names
    };
    assert_eq!(named(&values), named(&schema["properties"]));
    let mut folders = vec![(String::new(), &values, &schema)];
    while let Some((at, values, schema)) = folders.pop() {
        for (name, value) in values.as_object().unwrap() {
            let (path, known) = (format!("{at}{name}"), &schema["properties"][name]);
            assert!(known.is_object(), "{path} is not in the schema");
            if known["properties"].is_object() && name != "resources" {
                assert_eq!(known["additionalProperties"], false, "{path}");
                folders.push((format!("{path}."), value, known));
            } else {
                assert!(page.contains(&format!("`{path}`")), "{path} is not in docs/install.md");
            }
        }
    }
}
