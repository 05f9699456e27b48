//! `sluice postmortem`: which Release is meant, and where the text goes.

use std::process::{Command, Output};

use serde_json::Value;
use sluice::postmortem_command::{Place, find, object, write_file};
use sluice::report_command::Records;

const RECORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/postmortem/records.yaml");

fn refused(namespace: Option<&str>, name: &str, place: &Place) -> String {
    find(&super::records(), namespace, name, place).unwrap_err().to_string()
}

#[test]
fn a_release_that_is_not_there_is_answered_with_the_next_step() {
    let here = Place::Cluster(Some("demo".to_owned()));
    assert_eq!(
        refused(Some("demo"), "shop-8-f79d0e90", &here),
        "no Release demo/shop-8-f79d0e90 among the 8 of namespace demo; close to it: demo/shop-8-f79d0e09. \
         kubectl get releases.sluice.dev -n demo lists them, -n names another namespace"
    );
    // The name of a Rollout finds its Releases.
    let said = refused(None, "cart", &Place::Files);
    assert!(said.contains("close to it: demo/cart-3-5b90c1e2. kubectl get releases.sluice.dev -A"), "{said}");
    let said = refused(Some("demo"), "x", &here);
    assert!(!said.contains("close to it"), "{said}");
    let empty = find(&Records::default(), Some("demo"), "shop-1", &here).unwrap_err().to_string();
    assert!(empty.contains("no Release demo/shop-1 among the 0 of namespace demo"), "{empty}");
    // In another namespace of the same files.
    let said = refused(Some("other"), "shop-8-f79d0e09", &Place::Files);
    assert!(said.contains("no Release other/shop-8-f79d0e09") && said.contains("demo/shop-8-f79d0e09"), "{said}");
}

#[test]
fn a_name_in_two_namespaces_must_be_told_apart() {
    let mut records = super::records();
    let mut twin = records.releases[0].clone();
    twin.metadata.namespace = Some("stage".to_owned());
    records.releases.push(twin);
    let name = records.releases[0].metadata.name.clone().unwrap();
    let said = find(&records, None, &name, &Place::Files).unwrap_err().to_string();
    assert_eq!(said, format!("Release {name} is in 2 namespaces: demo, stage; name one with -n"));
    assert_eq!(find(&records, Some("stage"), &name, &Place::Files).unwrap().key().0, "stage");
}

#[test]
fn a_record_without_a_time_says_how_to_keep_it() {
    let mut records = super::records();
    let release = records.releases.iter_mut().find(|release| release.spec.number == 12).unwrap();
    release.metadata.creation_timestamp = None;
    let said = find(&records, None, "shop-12-e6f0b85d", &Place::Files).unwrap_err().to_string();
    assert!(
        said.contains("demo/shop-12-e6f0b85d has neither a time") && said.contains("kubectl get -o yaml"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let path = std::env::temp_dir().join(format!("sluice-postmortem-{}.md", std::process::id()));
    write_file(&path, "one\n", false).unwrap();
    let said = write_file(&path, "two\n", false).unwrap_err().to_string();
    assert_eq!(said, format!("{} is there already and was left as it is: --force overwrites it", path.display()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
    write_file(&path, "2\n", true).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
    std::fs::remove_file(&path).unwrap();
    let said = format!("{:#}", write_file(&path.join("x"), "", false).unwrap_err());
    assert!(said.contains("cannot be written: "), "{said}");
}

#[test]
fn the_object_is_what_kubectl_takes() {
    let records = super::records();
    let case = find(&records, None, "shop-9-4e1b60d3", &Place::Files).unwrap();
    let text = object(&case, "2026-11-01T09:00:00Z".parse().unwrap()).unwrap();
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&object["apiVersion"], &object["kind"]), (&"sluice.dev/v1alpha1".into(), &"Postmortem".into()));
    assert_eq!(
        (&object["metadata"]["name"], &object["metadata"]["namespace"]),
        (&"shop-9-4e1b60d3".into(), &"demo".into())
    );
    assert_eq!(
        (&object["spec"]["cause"], &object["spec"]["draftedAt"]),
        (&"Manual".into(), &"2026-11-01T09:00:00Z".into())
    );
    assert!(object["spec"]["markdown"].as_str().unwrap().starts_with("# Postmortem: Release `shop-9-4e1b60d3` of"));
}

fn sluice(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sluice")).arg("postmortem").args(arguments).output().unwrap()
}

#[test]
fn the_program_prints_it_or_says_why_not() {
    let printed = sluice(&["demo/shop-9-4e1b60d3", "-f", RECORDS, "--now", "2026-11-01T09:00:00Z"]);
    assert!(printed.status.success(), "{printed:?}");
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(text.contains("Draft of 2026-11-01T09:00:00Z") && text.contains("(Manual: "), "{text}");
    for (arguments, said) in [
        (vec!["shop-9", "-f", RECORDS], "close to it: demo/shop-9-4e1b60d3"),
        (vec!["demo/shop-9-4e1b60d3", "-n", "stage", "-f", RECORDS], "-n names stage: give one of the two"),
        (vec!["shop-9-4e1b60d3", "-f", "/nowhere/records.yaml"], "/nowhere/records.yaml cannot be read"),
        (vec!["shop-9-4e1b60d3", "-f", RECORDS, "--force"], "--write <FILE>"),
    ] {
        let refused = sluice(&arguments);
        let errors = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{arguments:?}");
        assert!(errors.contains(said), "{arguments:?}: {errors} does not say {said:?}");
    }
}

#[test]
fn files_are_named_one_by_one_or_together() {
    let empty = std::env::temp_dir().join(format!("sluice-postmortem-{}.yaml", std::process::id()));
    let stray = "apiVersion: sluice.dev/v1alpha1\nkind: Reclassification\nmetadata: {name: stray, namespace: demo}\n\
                 spec: {release: nothing, failed: true, reason: r}\n";
    std::fs::write(&empty, stray).unwrap();
    let empty_path = empty.to_str().unwrap();
    let now = ["--now", "2026-11-01T09:00:00Z"];
    let name = "demo/shop-9-4e1b60d3";
    let one = sluice(&[&[name, "-f", RECORDS, "-f", empty_path][..], &now].concat());
    let other = sluice(&[&[name, "-f", RECORDS, empty_path][..], &now].concat());
    std::fs::remove_file(&empty).unwrap();
    assert!(one.status.success() && other.status.success(), "{one:?} {other:?}");
    assert_eq!(one.stdout, other.stdout);
    // What cannot be counted is named.
    let errors = String::from_utf8(other.stderr).unwrap();
    assert!(errors.contains("Reclassification demo/stray speaks of Release nothing"), "{errors}");
    let short = sluice(&[name, "-f", RECORDS, "-o", "json"]);
    assert!(!short.status.success() && !std::path::Path::new("json").exists(), "-o is a format elsewhere");
}

#[test]
fn help_is_as_wide_as_a_terminal() {
    let help = String::from_utf8(sluice(&["--help"]).stdout).unwrap();
    let (_, examples) = help.split_once("Facts are filled in").unwrap();
    assert!(examples.lines().all(|line| line.chars().count() <= 100), "{examples}");
    // Sentences are broken where the line is full, and nowhere else.
    let lines: Vec<&str> = help.lines().skip_while(|line| !line.contains("Records from these files")).collect();
    let paragraph: Vec<&str> = lines.into_iter().take_while(|line| !line.trim().is_empty()).collect();
    let (_, full) = paragraph.split_last().unwrap();
    assert!(full.iter().all(|line| line.len() > 80), "{help}");
}
