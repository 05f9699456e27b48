//! What the API server says that the operator wrote: the testbed's audit log.

use std::io::{BufRead, BufReader};

use jiff::Timestamp;
use serde_json::Value;

use super::look::{number, text, time};

const OPERATOR: &str = "system:serviceaccount:sluice-system:sluice";

/// One write.
#[derive(Debug, Clone)]
pub struct Write {
    /// When the API server received it.
    pub at: Timestamp,
    /// The Pod whose token it carried.
    pub pod: String,
    /// `verb resource/subresource name`.
    pub what: String,
    /// What the API server answered.
    pub code: u64,
}

/// Every write of the operator in a namespace since a time.
pub fn log(namespace: &str, since: Timestamp) -> Vec<Write> {
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
        let at = time(&entry, "/requestReceivedTimestamp").filter(|at| *at >= since);
        if let Some(at) = at.filter(|_| ours && writing) {
            let (resource, name) = (text(&entry, "/objectRef/resource"), text(&entry, "/objectRef/name"));
            let what = format!("{verb} {resource}/{} {name}", text(&entry, "/objectRef/subresource"));
            let pod = text(&entry, "/user/extra/authentication.kubernetes.io~1pod-name/0").to_owned();
            let code = number(&entry, "/responseStatus/code");
            writes.push(Write { at, pod, what, code });
        }
    }
    writes
}

/// Every write of the operator in a namespace since a time, as `verb resource/subresource name`.
pub fn writes(namespace: &str, since: Timestamp) -> Vec<String> {
    log(namespace, since).into_iter().map(|write| write.what).collect()
}

/// Every write of one of the operator's Pods, in the order of their arrival.
pub fn writes_of(pod: &str, namespace: &str, since: Timestamp) -> Vec<Write> {
    let mut writes = log(namespace, since);
    writes.retain(|write| write.pod == pod);
    writes.sort_by_key(|write| write.at);
    writes
}
