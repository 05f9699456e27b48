//! Finds promtool. Where a cluster is required (CI) it is required too and fetched; else its absence is told.

use std::path::PathBuf;
use std::process::Command;

use testbed::parts::Parts;

/// The program, or `None` where it is neither on PATH nor in the testbed's cache, and need not be.
pub fn find(test: &str) -> Option<PathBuf> {
    let on_path = Command::new("promtool").arg("--version").output();
    if on_path.is_ok_and(|output| output.status.success()) {
        return Some("promtool".into());
    }
    let required = std::env::var("SLUICE_REQUIRE_CLUSTER").as_deref() == Ok("1");
    let found = Parts::tool("promtool", required);
    assert!(!required || found.as_ref().is_ok_and(Option::is_some), "{test}: promtool is required: {found:?}");
    let found = found.ok().flatten();
    if found.is_none() {
        eprintln!("{test} skipped: promtool is neither on PATH nor in the testbed's cache (`make up` fetches it)");
    }
    found
}
