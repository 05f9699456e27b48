//! Nodes that are not there: KWOK plays their kubelets, so a benchmark can have thousands of Pods that run nothing.
//!
//! KWOK is built and started when it is first asked for; a testbed without simulated nodes pays nothing for it.

use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::Layout;
use crate::cluster::components::SIMULATED;
use crate::handle::Testbed;
use crate::parts;
use crate::progress::Progress;

const PATIENCE: Duration = Duration::from_secs(30);

/// Makes so many nodes, `simulated-0` and on, and returns when they are ready. Those that are there stay.
///
/// # Errors
/// When KWOK cannot be built or does not run, or the nodes do not become ready.
pub fn nodes(layout: &Layout, count: u16, progress: Progress) -> Result<()> {
    let testbed = Testbed::open(layout.name())?;
    // Before the testbed's network is entered, which leads to no registry.
    let built = parts::kwok::obtain(progress)?.join("kwok");
    let tool = layout.tools().join("kwok");
    if !tool.exists() {
        symlink(&built, &tool).with_context(|| format!("cannot link {}", tool.display()))?;
    }
    testbed.start("kwok")?;
    testbed.wait_ready("kwok", PATIENCE)?;

    let nodes: Vec<Value> = (0..count).map(node).collect();
    let list = layout.path("simulated-nodes.json");
    std::fs::write(&list, json!({"apiVersion": "v1", "kind": "List", "items": nodes}).to_string())?;
    kubectl(&testbed, &["apply", "--server-side", "-f", &list.to_string_lossy()])?;
    let label = format!("{SIMULATED}=true");
    kubectl(&testbed, &["wait", "node", "--for=condition=Ready", "--timeout=60s", "-l", &label])?;
    progress.say(&format!("{count} simulated nodes ready"));
    Ok(())
}

/// A node on which only Pods land that tolerate it.
fn node(number: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": format!("simulated-{number}"), "labels": {SIMULATED: "true"}},
        "spec": {"taints": [{"key": SIMULATED, "value": "true", "effect": "NoSchedule"}]},
    })
}

fn kubectl(testbed: &Testbed, arguments: &[&str]) -> Result<()> {
    let mut command = testbed.command("kubectl");
    command.args(arguments).current_dir("/");
    let output = testbed.output(command)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {} failed: {}", arguments.join(" "), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pods_that_tolerate_it_land_on_a_simulated_node() {
        let node = node(7);
        assert_eq!(node["metadata"]["name"], "simulated-7");
        assert_eq!(node["metadata"]["labels"][SIMULATED], "true", "KWOK and node selectors know it by its label");
        assert_eq!(node["spec"]["taints"][0]["effect"], "NoSchedule");
        // What KWOK does is ours; that it knows the kinds and takes the templates only a cluster shows.
        let stages = include_str!("cluster/files/kwok.yaml");
        assert_eq!(stages.matches("kind: Stage").count(), 3);
    }
}
