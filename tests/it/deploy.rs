//! The manifests under deploy/ fit together and fit the code.

use std::path::Path;

use serde_json::Value;
use sluice::api::{Action, names};

fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}

#[test]
fn the_gate_selects_the_label_that_the_operator_sets() {
    let policies = documents("deploy/base/policies.yaml");
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

const POLICIES: [&str; 4] = [
    "deploy/base/policies.yaml",
    "deploy/base/interventions.yaml",
    "deploy/base/reclassifications.yaml",
    "deploy/base/limits.yaml",
];

/// What grants the operator its rights when it is installed by default.
const RIGHTS: [&str; 3] =
    ["deploy/base/rbac.yaml", "deploy/components/httproutes/rbac.yaml", "deploy/components/grpcroutes/rbac.yaml"];

/// Every rule of a ClusterRole of the operator.
fn cluster_rules() -> Vec<Value> {
    let all = RIGHTS.iter().flat_map(|file| documents(file)).filter(|one| one["kind"] == "ClusterRole");
    all.flat_map(|role| role["rules"].as_array().unwrap().clone()).collect()
}

/// The operator's name for the API server.
fn operator() -> String {
    let account = documents("deploy/base/rbac.yaml").into_iter().find(|one| one["kind"] == "ServiceAccount").unwrap();
    let part = |name: &str| account["metadata"][name].as_str().unwrap().to_owned();
    format!("system:serviceaccount:{}:{}", part("namespace"), part("name"))
}

/// Every condition, variable, validation and mutation of a policy.
fn expressions(policy: &Value) -> String {
    let spec = policy["spec"].as_object().unwrap();
    let of = ["matchConditions", "variables", "validations", "mutations"].iter().filter_map(|part| spec.get(*part));
    of.map(Value::to_string).collect()
}

#[test]
fn every_policy_is_bound_and_fails_closed() {
    for file in POLICIES {
        let all = documents(file);
        let policies: Vec<&Value> =
            all.iter().filter(|one| one["kind"].as_str().unwrap().ends_with("Policy")).collect();
        assert_eq!(policies.len() * 2, all.len(), "{file}: one binding for each policy, and nothing else");
        for policy in policies {
            let name = policy["metadata"]["name"].as_str().unwrap();
            assert!(name.starts_with("sluice-") && policy["metadata"]["labels"]["app.kubernetes.io/name"] == "sluice");
            assert_eq!(policy["spec"]["failurePolicy"], "Fail", "{name}");
            let kind = format!("{}Binding", policy["kind"].as_str().unwrap());
            let binding = all.iter().find(|one| one["kind"] == kind && one["spec"]["policyName"] == name);
            let binding = binding.unwrap_or_else(|| panic!("{name} has no binding"));
            if kind == "ValidatingAdmissionPolicyBinding" {
                assert_eq!(binding["spec"]["validationActions"], serde_json::json!(["Deny"]), "{name}");
            }
            assert_eq!(policy["spec"]["paramKind"].is_null(), binding["spec"]["paramRef"].is_null(), "{name}");
        }
    }
}

#[test]
fn the_policies_know_the_operator_and_the_way_out() {
    let user = operator();
    let mut named = 0;
    for file in POLICIES {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        // No other account has a part in it, and none is left behind when the operator moves.
        assert_eq!(
            text.matches("system:serviceaccount:").count(),
            text.matches(&format!("'{user}'")).count(),
            "{file}"
        );
        named += text.matches(&user).count();
    }
    assert!(named > 0, "{user} is not named");
    let policies = documents("deploy/base/policies.yaml");
    let guard = policies.iter().find(|one| one["metadata"]["name"] == "sluice-guard").unwrap();
    let text = expressions(guard);
    assert!(text.contains(names::BREAK_GLASS_ANNOTATION) && text.contains("check('breakglass')"), "{text}");
    assert!(text.contains(&format!("request.userInfo.username != '{user}'")), "{text}");
}

#[test]
fn every_limit_is_the_operators_and_nobody_elses() {
    let limits = documents("deploy/base/limits.yaml");
    let only = serde_json::json!({"name": "the-operator",
        "expression": format!("request.userInfo.username == '{}'", operator())});
    for policy in limits.iter().filter(|one| one["kind"] == "ValidatingAdmissionPolicy") {
        assert_eq!(policy["spec"]["matchConditions"][0], only, "{}", policy["metadata"]["name"]);
    }
    let templates = limits.iter().find(|one| one["metadata"]["name"] == "sluice-limit-templates").unwrap();
    let selector = &templates["spec"]["matchConstraints"]["objectSelector"]["matchExpressions"][0];
    assert_eq!(selector["key"], names::RESTORING_LABEL);
}

/// Which fields may be written is limited for every foreign kind that the operator may patch, update or delete.
#[test]
fn every_foreign_kind_that_the_operator_writes_has_a_limit() {
    let list = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let limits = documents("deploy/base/limits.yaml");
    let limited: Vec<String> = limits
        .iter()
        .filter_map(|one| one["spec"]["matchConstraints"]["resourceRules"].as_array())
        .flatten()
        .flat_map(|rule| list(&rule["resources"]))
        .collect();
    for rule in cluster_rules() {
        let writes = list(&rule["verbs"]).iter().any(|verb| ["patch", "update", "delete"].contains(&verb.as_str()));
        if writes && rule["apiGroups"][0] != "sluice.dev" {
            for resource in list(&rule["resources"]) {
                assert!(limited.contains(&resource), "nothing says which {resource} the operator may write");
            }
        }
    }
}

#[test]
fn every_action_has_one_role_that_hands_it_out() {
    let roles = documents("deploy/base/roles.yaml");
    let interventions = documents("deploy/base/interventions.yaml");
    let rights = interventions.iter().find(|one| one["metadata"]["name"] == "sluice-intervention-rights").unwrap();
    let text = expressions(rights);
    assert!(text.contains("object.spec.action.lowerAscii()") && text.contains("check(variables.verb)"), "{text}");
    let with_built_in = |role: &Value, built_in: &str| {
        role["metadata"]["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{built_in}")] == "true"
    };
    for action in Action::ALL {
        let verb = action.name().to_lowercase();
        let holders: Vec<&Value> = roles
            .iter()
            .filter(|role| {
                let mut rules = role["rules"].as_array().unwrap().iter();
                rules.any(|rule| {
                    rule["resources"] == serde_json::json!(["rollouts"])
                        && rule["verbs"].as_array().unwrap().iter().any(|one| *one == *verb)
                })
            })
            .collect();
        assert_eq!(holders.len(), 1, "{verb}");
        // What lets a version pass the evidence is not given with the right to edit a Deployment.
        let passes = matches!(action, Action::Approve | Action::Promote | Action::BreakGlass);
        assert_eq!(with_built_in(holders[0], "edit"), !passes, "{verb}");
        assert!(!with_built_in(holders[0], "view"), "{verb}");
        assert!(text.contains(holders[0]["metadata"]["name"].as_str().unwrap()), "{verb}: the denial names no role");
    }
}

/// Whoever says that a Release failed, or did not, is named, and cannot be another one; the one right to say it is
/// `create`, which comes with no built-in role.
#[test]
fn a_reclassification_is_stamped_verified_and_handed_out_on_purpose() {
    let policies = documents("deploy/base/reclassifications.yaml");
    let named = |name: &str| policies.iter().find(|one| one["metadata"]["name"] == name).unwrap();
    for name in ["sluice-reclassification-stamp", "sluice-reclassification-rights"] {
        let rules = &named(name)["spec"]["matchConstraints"]["resourceRules"][0];
        assert_eq!(rules["resources"], serde_json::json!(["reclassifications"]), "{name}");
        assert_eq!(rules["operations"][0], "CREATE", "{name}");
        // The same words as for an Intervention: what is proven there on a real API server holds here.
        let twin = documents("deploy/base/interventions.yaml");
        let twin_name = name.replace("reclassification", "intervention");
        let twin = twin.iter().find(|one| one["metadata"]["name"] == *twin_name).unwrap();
        for part in ["matchConditions", "mutations"] {
            assert_eq!(named(name)["spec"][part], twin["spec"][part], "{name} {part}");
        }
        let expressions = |policy: &Value| -> Vec<String> {
            let all = policy["spec"]["validations"].as_array().cloned().unwrap_or_default();
            all.iter().map(|one| one["expression"].as_str().unwrap().to_owned()).collect()
        };
        let theirs = expressions(twin);
        assert!(expressions(named(name)).iter().all(|one| theirs.contains(one)), "{name}");
    }
    assert_eq!(named("sluice-reclassification-rights")["spec"]["validations"].as_array().unwrap().len(), 2);
    assert!(expressions(named("sluice-reclassification-stamp")).contains("value: request.userInfo.username"));

    let kustomization = documents("deploy/base/kustomization.yaml").remove(0);
    assert!(kustomization["resources"].as_array().unwrap().iter().any(|one| one == "reclassifications.yaml"));

    let mut writers = Vec::new();
    for role in documents("deploy/base/roles.yaml") {
        for rule in role["rules"].as_array().unwrap() {
            let reclassifies = rule["resources"].as_array().unwrap().iter().any(|one| one == "reclassifications");
            let reads = serde_json::json!(["get", "list", "watch"]);
            if reclassifies && rule["verbs"] != reads {
                assert_eq!(rule["verbs"], serde_json::json!(["create"]), "what was said is never taken back");
                let labels = role["metadata"]["labels"].as_object().unwrap();
                assert!(!labels.keys().any(|label| label.contains("aggregate")), "{role}");
                writers.push(role["metadata"]["name"].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(writers, ["sluice-reclassifier"]);
}

/// The operator makes drafts and can do nothing else to them; people complete them.
#[test]
fn a_postmortem_is_made_by_the_operator_and_belongs_to_people() {
    let verbs = |document: &Value| -> Vec<String> {
        let rules = document["rules"].as_array().unwrap().iter();
        let about = |rule: &&Value| rule["resources"].as_array().unwrap().iter().any(|one| one == "postmortems");
        let all = rules.filter(about).flat_map(|rule| rule["verbs"].as_array().unwrap());
        all.map(|verb| verb.as_str().unwrap().to_owned()).collect()
    };
    let operator = serde_json::json!({"rules": cluster_rules()});
    assert_eq!(verbs(&operator), ["create"]);
    let held: Vec<(String, Vec<String>)> = documents("deploy/base/roles.yaml")
        .iter()
        .map(|role| (role["metadata"]["name"].as_str().unwrap().to_owned(), verbs(role)))
        .filter(|(_, verbs)| !verbs.is_empty())
        .collect();
    let of = |name: &str, verbs: &[&str]| (name.to_owned(), verbs.iter().map(|verb| (*verb).to_owned()).collect());
    let reads = of("sluice-viewer", &["get", "list", "watch"]);
    assert_eq!(held, [reads, of("sluice-editor", &["create", "update", "patch", "delete"])]);
    // It goes with its Release: no right to delete is needed, and no controller of ours.
    let crds = documents("crds/kustomization.yaml").remove(0);
    assert!(crds["resources"].as_array().unwrap().iter().any(|one| one == "postmortems.yaml"));
}

#[test]
fn what_postmortems_are_drafted_for_is_a_flag() {
    let parsed = |words: &[&str]| {
        let arguments = ["sluice", "run"].iter().chain(words);
        <sluice::cli::Cli as clap::Parser>::try_parse_from(arguments).map(drop).map_err(|error| error.to_string())
    };
    for words in ["Escaped", "escaped,breakglass", "None", "Escaped,Recurrence,BreakGlass"] {
        parsed(&["--draft-postmortems", words]).unwrap();
    }
    let refused = parsed(&["--draft-postmortems", "Often"]).unwrap_err();
    assert!(refused.contains("Escaped, Recurrence, BreakGlass, None"), "{refused}");
    let cli = <sluice::cli::Cli as clap::CommandFactory>::command();
    let run = cli.find_subcommand("run").unwrap();
    let flag = run.get_arguments().find(|argument| argument.get_long() == Some("draft-postmortems")).unwrap();
    assert_eq!(flag.get_default_values(), ["Escaped,Recurrence,BreakGlass"]);
}

#[test]
fn rights_have_no_wildcard_and_no_secrets() {
    for rule in cluster_rules() {
        for list in ["apiGroups", "resources", "verbs"] {
            for word in rule[list].as_array().unwrap() {
                assert!(word != "*" && word != "secrets", "{rule}");
            }
        }
    }
}

/// A Role of this name in the operator's namespace, bound to the operator.
fn bound_role(name: &str) -> Value {
    let rights = documents("deploy/base/rbac.yaml");
    let of = |kind: &str, name: &str| {
        let mut found = rights.iter().filter(|one| one["kind"] == kind && one["metadata"]["name"] == name);
        let one = found.next().unwrap_or_else(|| panic!("no {kind} {name}"));
        assert!(found.next().is_none(), "two {kind}s are called {name}");
        one
    };
    let (role, binding, account) = (of("Role", name), of("RoleBinding", name), of("ServiceAccount", "sluice"));
    assert_eq!((&binding["roleRef"]["kind"], &binding["roleRef"]["name"]), (&"Role".into(), &role["metadata"]["name"]));
    assert_eq!(binding["subjects"][0]["name"], account["metadata"]["name"]);
    for object in [role, binding] {
        assert_eq!(object["metadata"]["namespace"], account["metadata"]["namespace"]);
    }
    role.clone()
}

#[test]
fn every_role_is_known_here() {
    let rights = documents("deploy/base/rbac.yaml");
    let roles = rights.iter().filter(|one| one["kind"] == "Role").map(|one| one["metadata"]["name"].as_str().unwrap());
    assert_eq!(roles.collect::<Vec<_>>(), ["sluice-metrics-secrets", "sluice-lease"]);
}

#[test]
fn the_operator_may_hold_one_lease() {
    let cli = <sluice::cli::Cli as clap::CommandFactory>::command();
    let run = cli.find_subcommand("run").unwrap();
    let default = |flag: &str| {
        let argument = run.get_arguments().find(|argument| argument.get_long() == Some(flag)).unwrap();
        argument.get_default_values()[0].to_str().unwrap()
    };
    assert_eq!((default("leader-elect"), default("lease-name")), ("true", "sluice"));
    let group = serde_json::json!(["coordination.k8s.io"]);
    let rules = serde_json::json!([
        {"apiGroups": group, "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": group, "resources": ["leases"], "resourceNames": ["sluice"], "verbs": ["get", "list", "watch", "update"]},
    ]);
    assert_eq!(bound_role("sluice-lease")["rules"], rules);
}

#[test]
fn two_replicas_have_the_time_to_hand_over() {
    let operator = documents("deploy/base/operator.yaml").into_iter().find(|one| one["kind"] == "Deployment").unwrap();
    let spec = &operator["spec"];
    assert_eq!(spec["replicas"], 2);
    let update = serde_json::json!({"maxUnavailable": 1, "maxSurge": 0});
    assert_eq!((&spec["strategy"]["type"], &spec["strategy"]["rollingUpdate"]), (&"RollingUpdate".into(), &update));
    let pod = &spec["template"]["spec"];
    // 5 s for the last passes, then the request that releases the Lease.
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > 5 + sluice::leadership::CALL.as_secs());
    let spread = &pod["topologySpreadConstraints"][0];
    assert_eq!(spread["labelSelector"]["matchLabels"], spec["selector"]["matchLabels"]);
    assert_eq!(spread["whenUnsatisfiable"], "ScheduleAnyway");
}

#[test]
fn secrets_are_read_one_at_a_time_beside_the_operator() {
    let rule = serde_json::json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    assert_eq!(bound_role("sluice-metrics-secrets")["rules"], rule);
    let operator = documents("deploy/base/operator.yaml").into_iter().find(|one| one["kind"] == "Deployment").unwrap();
    let env = operator["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let namespace = env.iter().find(|one| one["name"] == "SLUICE_NAMESPACE").unwrap();
    assert_eq!(namespace["valueFrom"]["fieldRef"]["fieldPath"], "metadata.namespace");
}

#[test]
fn the_operator_is_restricted_and_probed() {
    let operator = documents("deploy/base/operator.yaml").into_iter().find(|one| one["kind"] == "Deployment").unwrap();
    let pod = &operator["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
}
