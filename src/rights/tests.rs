//! The table in itself, and audit logs against it.

use super::usage::Usage;
use super::*;

const OPERATOR: &str = "system:serviceaccount:sluice-system:sluice";

/// A line as kube-apiserver 1.36 writes it, without what is of no matter here.
fn line(user: &str, verb: &str, object: &str, decision: &str, more: &str) -> String {
    let id = format!("{verb} {object}").replace('"', "");
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{id}","stage":"ResponseComplete","requestURI":"/apis/x","verb":"{verb}","user":{{"username":"{user}","uid":"1","groups":["system:serviceaccounts"]}},"objectRef":{{{object}}},"responseStatus":{{"metadata":{{}},"code":200}},"annotations":{{"authorization.k8s.io/decision":"{decision}","authorization.k8s.io/reason":"RBAC: because"}}{more}}}"#
    ) + "\n"
}

const STATUS: &str = r#""resource":"rollouts","namespace":"demo","name":"shop","apiGroup":"sluice.dev","apiVersion":"v1alpha1","subresource":"status""#;

fn read(log: &str) -> Usage {
    let mut usage = Usage::of(NAMESPACE, ACCOUNT);
    usage.read(log.as_bytes()).unwrap();
    usage
}

/// As kube-apiserver 1.36 wrote it.
#[test]
fn a_real_log_is_read() {
    let usage = read(include_str!("../../tests/fixtures/audit/log.jsonl"));
    let text = usage.to_string();
    assert!(text.starts_with("7 calls of system:serviceaccount:sluice-system:sluice\n"), "{text}");
    for line in [
        "update sluice.dev/rollouts/status (every namespace)",
        "watch  sluice.dev/rollouts (every namespace)",
        "watch  sluice.dev/metricsproviders (no namespace)",
        "create apps/deployments (every namespace)",
        "list   apps/replicasets (every namespace)",
        "update coordination.k8s.io/leases sluice (own namespace)",
        "watch  coordination.k8s.io/leases sluice (own namespace)",
    ] {
        assert!(text.contains(&format!("        1  {line}\n")), "{line}: {text}");
    }
    assert_eq!(usage.faults(false), Vec::<String>::new());
}

/// A call for every right.
fn complete() -> String {
    let mut log = String::new();
    for right in RIGHTS {
        for resource in right.resources {
            for verb in right.verbs {
                let namespace = match right.scope {
                    Scope::Cluster => String::new(),
                    Scope::Watched => r#","namespace":"demo""#.to_owned(),
                    Scope::Own => r#","namespace":"sluice-system""#.to_owned(),
                };
                let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                let name = right.names.first().unwrap_or(&"any");
                let group = right.group;
                let object = format!(
                    r#""resource":"{resource}","subresource":"{subresource}","apiGroup":"{group}","name":"{name}"{namespace}"#
                );
                log += &line(OPERATOR, verb, &object, "allow", "");
            }
        }
    }
    log
}

#[test]
fn nothing_is_granted_twice_or_wildly() {
    let mut seen = std::collections::BTreeSet::new();
    for right in RIGHTS {
        for resource in right.resources {
            for verb in right.verbs {
                assert!(seen.insert((right.group, resource, verb, right.names)), "{resource} {verb} is there twice");
                assert!(![right.group, resource, verb].contains(&"*"), "{right:?}");
            }
            let secret = *resource == "secrets";
            assert!(!secret || (right.scope == Scope::Own && right.verbs == ["get"]), "{right:?}");
            assert!(!right.why.is_empty() && right.why.ends_with('.'), "{resource}: why?");
        }
        let own = matches!(right.feature, Feature::Secrets | Feature::Lease);
        assert_eq!(right.scope == Scope::Own, own, "{right:?}: which role grants it?");
        assert!(right.scope != Scope::Cluster || right.feature == Feature::Core, "{right:?}: which role grants it?");
    }
}

#[test]
fn a_log_in_which_every_right_is_used_and_nothing_is_denied_passes() {
    let usage = read(&complete());
    assert_eq!(usage.faults(true), Vec::<String>::new());
    assert!(usage.to_string().contains("Rights that were never used: 0\n"), "{usage}");
}

#[test]
fn each_right_that_is_not_used_is_named() {
    let all = complete();
    let lines = all.split_inclusive('\n').count();
    for left_out in 0..lines {
        let log: String =
            all.split_inclusive('\n').enumerate().filter(|(at, _)| *at != left_out).map(|(_, line)| line).collect();
        let usage = read(&log);
        assert_eq!(usage.faults(false), Vec::<String>::new());
        let faults = usage.faults(true);
        assert!(faults.len() == 1 && faults[0].starts_with("1 rights were never used"), "{left_out}: {faults:?}");
    }
}

#[test]
fn a_denied_call_is_told_with_its_object() {
    let usage =
        read(&(complete() + &line(OPERATOR, "update", r#""resource":"secrets","namespace":"demo""#, "forbid", "")));
    assert_eq!(usage.faults(false), ["1 calls were denied"]);
    assert!(usage.to_string().contains("Calls that were denied: 1\n        1  update secrets demo\n"), "{usage}");
    // One that the table grants is denied where the manifests are not applied.
    let usage = read(&line(OPERATOR, "update", STATUS, "forbid", ""));
    assert_eq!(usage.faults(false), ["1 calls were denied"]);
    assert!(usage.to_string().contains("update sluice.dev/rollouts/status demo/shop"), "{usage}");
}

#[test]
fn what_an_admission_policy_refuses_is_not_denied() {
    let refused = line(OPERATOR, "patch", STATUS, "allow", "").replace(r#""code":200"#, r#""code":403"#);
    assert_eq!(read(&refused).faults(false), Vec::<String>::new());
}

#[test]
fn what_something_else_allows_is_told() {
    for object in [
        r#""resource":"configmaps","namespace":"demo""#,
        // Ours, but in its own namespace alone.
        r#""resource":"secrets","namespace":"demo""#,
        // Ours, but with its name alone.
        r#""resource":"leases","apiGroup":"coordination.k8s.io","namespace":"sluice-system","name":"other""#,
    ] {
        let usage = read(&line(OPERATOR, "get", object, "allow", ""));
        assert_eq!(usage.faults(false), ["1 calls were allowed by something that is not in the table"], "{object}");
        assert!(usage.to_string().contains("RBAC: because"), "{usage}");
    }
    // Open to everybody.
    let version = line(OPERATOR, "get", "", "allow", "").replace("/apis/x", "/version");
    assert_eq!(read(&version).faults(false), Vec::<String>::new());
}

#[test]
fn calls_of_others_and_calls_by_impersonation_do_not_count() {
    let impersonating = format!(r#","impersonatedUser":{{"username":"{OPERATOR}"}}"#);
    let mut log = line("admin", "delete", STATUS, "forbid", &impersonating);
    log += &line(OPERATOR, "delete", STATUS, "forbid", r#","impersonatedUser":{"username":"alice"}"#);
    log += &line(&format!("{OPERATOR}-other"), "delete", STATUS, "forbid", "");
    let faults = read(&log).faults(false);
    assert!(faults.len() == 1 && faults[0].starts_with("the log has no call of"), "{faults:?}");
}

#[test]
fn a_watch_counts_once_and_a_line_that_is_being_written_not_at_all() {
    let watch = r#""resource":"rollouts","apiGroup":"sluice.dev""#;
    let ends = line(OPERATOR, "watch", watch, "allow", "");
    let begins = ends.replace("ResponseComplete", "ResponseStarted");
    let usage = read(&format!("{begins}{ends}{}", begins.trim_end()));
    assert!(usage.to_string().contains("        1  watch  sluice.dev/rollouts (every namespace)\n"), "{usage}");
    let usage = read(&format!("{begins}{{\"{OPERATOR}\n"));
    assert_eq!(usage.faults(false), [format!("1 lines that name {OPERATOR} cannot be read")]);
}
