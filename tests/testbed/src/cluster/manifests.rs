//! Puts the objects into the cluster that the gateway, the metrics adapter and the supervisor need. Run it inside the testbed's network.

use anyhow::{Context, Result};

use super::Layout;
use crate::handle::Testbed;
use crate::parts::{self, Parts};

/// Applies CRDs, access rules, the gateway and the metrics API; a second call changes nothing.
///
/// # Errors
/// When the API server refuses an object or does not answer.
pub fn apply(testbed: &Testbed, layout: &Layout, parts: &Parts) -> Result<()> {
    if layout.manifests_applied().exists() {
        return Ok(());
    }
    let kubectl = |args: &[&str]| {
        let mut command = testbed.command("kubectl");
        command.args(args).current_dir("/");
        parts::output(&mut command)
    };
    let crds = parts.gateway_api.display().to_string();
    let access = layout.path("access.yaml").display().to_string();
    let gateway = layout.path("gateway.yaml").display().to_string();
    let metrics = layout.path("metrics.yaml").display().to_string();
    kubectl(&["apply", "--server-side", "-f", &crds, "-f", &access]).context("cannot apply the Gateway API's CRDs")?;
    kubectl(&[
        "wait",
        "--for=condition=Established",
        "--timeout=20s",
        "crd",
        "gateways.gateway.networking.k8s.io",
        "gatewayclasses.gateway.networking.k8s.io",
        "httproutes.gateway.networking.k8s.io",
    ])
    .context("the Gateway API's CRDs were not established")?;
    kubectl(&["apply", "--server-side", "-f", &gateway, "-f", &metrics])
        .context("cannot create the gateway and the metrics API")?;
    std::fs::write(layout.manifests_applied(), "")?;
    Ok(())
}
