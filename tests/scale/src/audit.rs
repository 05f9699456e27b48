//! What the API server says that the operator asked it: the testbed's audit log, from one place in it to another.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;
use testbed::Testbed;

const OPERATOR: &str = "system:serviceaccount:sluice-system:sluice";
/// The namespaces of the benchmark begin so.
const OURS: &str = "scale-";

/// One request of the operator.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) at: Timestamp,
    pub(crate) verb: String,
    /// `resource` or `resource/subresource`.
    pub(crate) resource: String,
    /// It is about an object in a namespace of the benchmark, so about one Rollout.
    pub(crate) about_one: bool,
    /// It changed nothing by itself.
    pub(crate) dry_run: bool,
}

impl Request {
    /// Whether it changes something or would.
    pub(crate) fn writes(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }

    /// `verb resource`, and whether it was for trying only.
    pub(crate) fn kind(&self) -> String {
        let trying = if self.dry_run { " (dry run)" } else { "" };
        format!("{} {}{trying}", self.verb, self.resource)
    }
}

/// A place in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(u64);

/// The log.
#[derive(Debug, Clone)]
pub(crate) struct Audit(PathBuf);

impl Audit {
    pub(crate) fn of(testbed: &Testbed) -> Self {
        Self(testbed.audit_log_path())
    }

    /// Its end.
    pub(crate) fn mark(&self) -> Result<Mark> {
        Ok(Mark(std::fs::metadata(&self.0).with_context(|| format!("no audit log {}", self.0.display()))?.len()))
    }

    /// The requests of the operator between a place and the end, in the order of their arrival.
    pub(crate) fn since(&self, mark: Mark) -> Result<Vec<Request>> {
        let mut file = std::fs::File::open(&self.0)?;
        // The API server begins a new file when this one is large.
        let from = if file.metadata()?.len() < mark.0 { 0 } else { mark.0 };
        file.seek(SeekFrom::Start(from))?;
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        let mut requests: Vec<Request> =
            lines.filter(|line| line.contains(OPERATOR)).filter_map(|line| read(&line)).collect();
        requests.sort_by_key(|request| request.at);
        Ok(requests)
    }
}

fn read(line: &str) -> Option<Request> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/user/username") != OPERATOR {
        return None;
    }
    let verb = text("/verb").to_owned();
    // A watch is told twice: when it begins and when it ends.
    let told = if verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
    if text("/stage") != told {
        return None;
    }
    let (resource, sub) = (text("/objectRef/resource"), text("/objectRef/subresource"));
    Some(Request {
        at: text("/requestReceivedTimestamp").parse().ok()?,
        resource: if sub.is_empty() { resource.to_owned() } else { format!("{resource}/{sub}") },
        about_one: text("/objectRef/namespace").starts_with(OURS),
        dry_run: text("/requestURI").contains("dryRun="),
        verb,
    })
}

/// How many there are of each.
pub(crate) fn count(kinds: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for kind in kinds {
        let count: &mut usize = counts.entry(kind).or_default();
        *count += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operators_requests_count_and_a_watch_counts_once() {
        let line = |stage: &str, verb: &str, uri: &str, user: &str| {
            serde_json::json!({
                "stage": stage, "verb": verb, "requestURI": uri, "user": {"username": user},
                "requestReceivedTimestamp": "2026-01-01T00:00:00.123456Z",
                "objectRef": {"resource": "deployments", "namespace": "scale-03", "name": "app-0301"},
            })
            .to_string()
        };
        let tried = read(&line("ResponseComplete", "patch", "/apis/apps?dryRun=All", OPERATOR)).unwrap();
        assert!(tried.about_one && tried.dry_run && tried.writes());
        assert_eq!(tried.kind(), "patch deployments (dry run)");
        assert!(read(&line("ResponseComplete", "watch", "/", OPERATOR)).is_none());
        assert!(!read(&line("ResponseStarted", "watch", "/", OPERATOR)).unwrap().writes());
        assert!(read(&line("ResponseComplete", "patch", "/", "admin")).is_none());
    }
}
