//! What the API server says that the operator wrote: the testbed's audit log.

use std::io::{BufRead, BufReader};

use jiff::Timestamp;
use serde_json::Value;

use super::look::{text, time};

const OPERATOR: &str = "system:serviceaccount:sluice-system:sluice";

/// Every write of the operator in a namespace since a time, as `verb resource/subresource name`.
pub fn writes(namespace: &str, since: Timestamp) -> Vec<String> {
    let testbed = testbed::Testbed::current().expect("a testbed");
    let log = std::fs::File::open(testbed.audit_log_path()).expect("the audit log");
    let mut writes = Vec::new();
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        if !line.contains(namespace) || !line.contains(OPERATOR) {
            continue;
        }
        let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
        let verb = text(&entry, "/verb");
        let ours = text(&entry, "/user/username") == OPERATOR && text(&entry, "/objectRef/namespace") == namespace;
        let writing = ["create", "update", "patch", "delete", "deletecollection"].contains(&verb);
        if ours && writing && time(&entry, "/requestReceivedTimestamp").is_some_and(|at| at >= since) {
            let (resource, name) = (text(&entry, "/objectRef/resource"), text(&entry, "/objectRef/name"));
            writes.push(format!("{verb} {resource}/{} {name}", text(&entry, "/objectRef/subresource")));
        }
    }
    writes
}
