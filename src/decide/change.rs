//! What a release carries and what kind of change it is: what the Deployment's annotations say, else what follows from
//! what was going on.
//!
//! Owns the annotations' syntax and the order of the rules (docs/records.md). What cannot be read is named and never
//! guessed from; nothing here keeps a version from being tried.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::words::quote;
use crate::api::{Change, ChangeKind, Classification, Commit, Confidence, Outcome, RolloutStatus, names};

/// How many commits are kept by name; all are counted.
const COMMITS: usize = 50;
/// The longest value that is kept.
const LONGEST: usize = 253;
/// The longest `classification.by` that the schema takes.
const BY_LONGEST: usize = 256;

/// What the annotations say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) change: Change,
    pub(super) kind: Option<ChangeKind>,
    pub(super) remediates: Option<String>,
    /// What could not be read: annotation, value, what was expected.
    pub(super) unreadable: Vec<String>,
}

/// Reads the annotations of a Deployment.
pub(super) fn read(annotations: &BTreeMap<String, String>) -> Said {
    let mut said = Said::default();
    let given = |key: &str| annotations.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
    let short = |key: &str, longest: usize, unreadable: &mut Vec<String>| {
        let value = given(key)?;
        if value.chars().count() > longest {
            unreadable.push(format!("{key} is longer than {longest} characters"));
            return None;
        }
        Some(value.to_owned())
    };
    said.change.release_id = short(names::RELEASE_ID, 128, &mut said.unreadable);
    said.change.reference = short(names::REFERENCE, LONGEST, &mut said.unreadable);
    said.change.requested_by = short(names::REQUESTED_BY, LONGEST, &mut said.unreadable);
    match given(names::KIND).map(|value| (value, kind(value))) {
        Some((_, Some(kind))) => said.kind = Some(kind),
        Some((value, None)) => said.unreadable.push(format!(
            "{} is {}, not planned, rework, hotfix or security",
            names::KIND,
            quote(value)
        )),
        None => {}
    }
    match given(names::REMEDIATES) {
        Some(release) if names::is_name(release) => said.remediates = Some(release.to_owned()),
        Some(value) => said.unreadable.push(format!("{} is {}, no name of a Release", names::REMEDIATES, quote(value))),
        None => {}
    }
    if let Some(list) = given(names::COMMITS) {
        commits(list, &mut said);
    } else if let Some(sha) = given(names::OCI_REVISION).filter(|sha| sha.len() <= 64) {
        said.change.commits = vec![Commit { sha: sha.to_owned(), at: None }];
        said.change.commit_count = 1;
    }
    said
}

fn kind(value: &str) -> Option<ChangeKind> {
    [
        ("planned", ChangeKind::Planned),
        ("rework", ChangeKind::Rework),
        ("hotfix", ChangeKind::Hotfix),
        ("security", ChangeKind::Security),
    ]
    .into_iter()
    .find_map(|(name, kind)| value.eq_ignore_ascii_case(name).then_some(kind))
}

/// `SHA@TIME`, separated by commas or white space; the time may be missing.
fn commits(list: &str, said: &mut Said) {
    let entries = list.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
    for entry in entries {
        let (sha, time) = entry.split_once('@').map_or((entry, None), |(sha, time)| (sha, Some(time)));
        let at = time.map(|time| time.parse::<Timestamp>().ok());
        let hash = !sha.is_empty() && sha.len() <= 64 && sha.chars().all(|c| c.is_ascii_alphanumeric());
        if !hash || at == Some(None) {
            // One is told of all: a list of a thousand would be a thousand sentences.
            if !said.unreadable.iter().any(|told| told.starts_with(names::COMMITS)) {
                let expected = "a commit as SHA or SHA@TIME, such as 3f2a9c1@2026-01-31T09:00:00Z";
                said.unreadable.push(format!("{} has {}, not {expected}", names::COMMITS, quote(entry)));
            }
            continue;
        }
        said.change.commit_count = said.change.commit_count.saturating_add(1);
        if said.change.commits.len() < COMMITS {
            said.change.commits.push(Commit { sha: sha.to_owned(), at: at.flatten() });
        }
    }
}

/// What kind of change the annotations say it is.
pub(super) fn told(said: &Said) -> Option<Classification> {
    let (kind, by) = match (said.kind, &said.remediates) {
        (Some(kind), _) => (kind, names::KIND),
        (None, Some(_)) => (ChangeKind::Rework, names::REMEDIATES),
        (None, None) => return None,
    };
    Some(Classification { kind, confidence: Confidence::High, by: format!("annotation {by}") })
}

/// What kind of change it is, and the failed Release that it remedies. The first rule that fits:
///
/// 1. what the annotation says;
/// 2. it names what it remedies, or an incident;
/// 3. it goes back to a version that was stable before: what replaced that one had failed;
/// 4. it comes after a release that failed.
pub(super) fn classify(
    status: &RolloutStatus,
    said: &Said,
    revision: &str,
    last_failed: Option<String>,
) -> (Classification, Option<String>) {
    let earlier = status.former.iter().rev().find(|former| former.revision == revision);
    let suspected = status.run.as_ref().filter(|run| run.outcome == Some(Outcome::SupersededUnderSuspicion));
    let suspected = suspected.map(|run| run.release.clone());
    let remediates = said
        .remediates
        .clone()
        .or_else(|| earlier.map(|former| former.replaced_by.clone()))
        .or_else(|| last_failed.clone())
        .or_else(|| suspected.clone());
    if let Some(told) = told(said) {
        return (told, remediates);
    }
    let (kind, confidence, by) = if let Some(former) = earlier {
        let by = format!("it goes back to what Release {} had replaced", former.replaced_by);
        (ChangeKind::Rework, Confidence::High, by)
    } else if let Some(release) = &last_failed {
        (ChangeKind::Rework, Confidence::Medium, format!("Release {release} had failed before"))
    } else if let Some(release) = &suspected {
        (
            ChangeKind::Rework,
            Confidence::Medium,
            format!("Release {release} was under suspicion when it was superseded"),
        )
    } else {
        (ChangeKind::Planned, Confidence::Medium, "nothing says otherwise".to_owned())
    };
    // A status that another hand or version wrote may hold a longer name, and the API server would refuse this one.
    (Classification { kind, confidence, by: by.chars().take(BY_LONGEST).collect() }, remediates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Former;

    fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn annotations_are_read_and_what_cannot_be_is_named() {
        let said = read(&annotations(&[
            ("sluice.dev/kind", "Hotfix"),
            ("sluice.dev/remediates", "shop-3-0011aabb"),
            ("sluice.dev/reference", "INC-7"),
            ("sluice.dev/requested-by", "alice"),
            ("sluice.dev/release-id", "r-1"),
            ("sluice.dev/commits", "3f2a9c1@2026-01-31T09:00:00Z, b7,c8@2026-01-31T10:00:00+01:00"),
        ]));
        assert_eq!(said.unreadable, Vec::<String>::new());
        assert_eq!((said.kind, said.remediates.as_deref()), (Some(ChangeKind::Hotfix), Some("shop-3-0011aabb")));
        let change = said.change;
        assert_eq!((change.reference.as_deref(), change.requested_by.as_deref()), (Some("INC-7"), Some("alice")));
        assert_eq!((change.commit_count, change.commits.len()), (3, 3));
        assert_eq!(change.commits[2].at, Some("2026-01-31T09:00:00Z".parse().unwrap()));
        assert_eq!(change.commits[1].at, None);

        let said = read(&annotations(&[
            ("sluice.dev/kind", "urgent"),
            ("sluice.dev/remediates", "../x"),
            ("sluice.dev/reference", &"x".repeat(300)),
            ("sluice.dev/commits", "a@yesterday,b@today,good"),
        ]));
        assert_eq!((said.kind, said.remediates.as_ref(), said.change.commit_count), (None, None, 1));
        assert_eq!(
            said.unreadable,
            [
                "sluice.dev/reference is longer than 253 characters",
                "sluice.dev/kind is \"urgent\", not planned, rework, hotfix or security",
                "sluice.dev/remediates is \"../x\", no name of a Release",
                "sluice.dev/commits has \"a@yesterday\", not a commit as SHA or SHA@TIME, such as 3f2a9c1@2026-01-31T09:00:00Z",
            ]
        );
    }

    #[test]
    fn many_commits_are_counted_and_the_first_are_kept() {
        let list: Vec<String> = (0..200).map(|number| format!("{number:07x}")).collect();
        let said = read(&annotations(&[("sluice.dev/commits", &list.join("\n"))]));
        assert_eq!((said.change.commit_count, said.change.commits.len()), (200, 50));
        let said = read(&annotations(&[("org.opencontainers.image.revision", "3f2a9c1")]));
        assert_eq!((said.change.commit_count, said.change.commits[0].sha.as_str()), (1, "3f2a9c1"));
    }

    #[test]
    fn the_first_rule_that_fits_says_what_kind_it_is() {
        let mut status = RolloutStatus::default();
        let failed = Some("shop-4-aa".to_owned());
        let planned = classify(&status, &Said::default(), "r1", None);
        assert_eq!((planned.0.kind, planned.1), (ChangeKind::Planned, None));
        let after = classify(&status, &Said::default(), "r1", failed.clone());
        assert_eq!(
            (after.0.kind, after.0.confidence, after.1),
            (ChangeKind::Rework, Confidence::Medium, failed.clone())
        );
        status.former.push(Former {
            revision: "r1".into(),
            replaced_by: "shop-2-bb".into(),
            until: Timestamp::UNIX_EPOCH,
        });
        let back = classify(&status, &Said::default(), "r1", failed.clone());
        assert_eq!((back.0.confidence, back.1.as_deref()), (Confidence::High, Some("shop-2-bb")));
        let said = Said { remediates: Some("shop-1-cc".into()), kind: Some(ChangeKind::Planned), ..Said::default() };
        let told = classify(&status, &said, "r1", failed);
        assert_eq!((told.0.kind, told.1.as_deref()), (ChangeKind::Planned, Some("shop-1-cc")));
    }
    #[test]
    fn where_it_comes_from_fits_into_the_status() {
        let longest = |replaced_by: String, failed: Option<String>| {
            let mut status = RolloutStatus::default();
            status.former.push(Former { revision: "r1".into(), replaced_by, until: Timestamp::UNIX_EPOCH });
            let revision = if failed.is_some() { "r2" } else { "r1" };
            classify(&status, &Said::default(), revision, failed).0.by.chars().count()
        };
        // The schema takes 256 characters; a status of another version may hold a name that is none.
        assert_eq!(longest("😀".repeat(300), None), 256);
        assert_eq!(longest(String::new(), Some("😀".repeat(300))), 256);
    }
}
