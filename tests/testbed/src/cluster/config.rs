//! Writes the configuration files of the components into the testbed's folder.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::Result;

use super::pki::{self, SD_USER, secret};
use super::{Layout, addresses, layout};
use crate::parts::Parts;

/// Writes every file that the components read, certificates included.
///
/// # Errors
/// When a file cannot be written.
pub fn write(layout: &Layout, parts: &Parts) -> Result<()> {
    for folder in ["audit", "bin", "cni", "logs", "prometheus/rules", "prometheus/targets"] {
        fs::create_dir_all(layout.path(folder))?;
    }
    let tokens = pki::write(layout)?;
    for (file, user) in [
        ("kubeconfig", "admin"),
        ("pki/controller-manager.kubeconfig", "system:kube-controller-manager"),
        ("pki/scheduler.kubeconfig", "system:kube-scheduler"),
        ("pki/kubelet.kubeconfig", "system:node:node1"),
        ("pki/traefik.kubeconfig", "traefik"),
        ("pki/metrics-adapter.kubeconfig", "metrics-adapter"),
        ("pki/kwok.kubeconfig", "kwok"),
    ] {
        let text = fill(include_str!("files/kubeconfig.yaml"), layout, parts)
            .replace("@USER@", user)
            .replace("@TOKEN@", tokens.of(user)?);
        secret(&layout.path(file), &text)?;
    }
    secret(&layout.pki("sd.token"), tokens.of(SD_USER)?)?;
    for (file, template) in [
        ("audit-policy.yaml", include_str!("files/audit-policy.yaml")),
        ("containerd.toml", include_str!("files/containerd.toml")),
        ("cni/10-bridge.conflist", include_str!("files/bridge.conflist")),
        ("kubelet.yaml", include_str!("files/kubelet.yaml")),
        ("prometheus.yml", include_str!("files/prometheus.yml")),
        ("alertmanager.yml", include_str!("files/alertmanager.yml")),
        ("access.yaml", include_str!("files/access.yaml")),
        ("gateway.yaml", include_str!("files/gateway.yaml")),
        ("metrics.yaml", include_str!("files/metrics.yaml")),
        ("metrics-adapter.yaml", include_str!("files/metrics-adapter.yaml")),
        ("kwok.yaml", include_str!("files/kwok.yaml")),
    ] {
        fs::write(layout.path(file), fill(template, layout, parts))?;
    }
    fs::write(layout.path("prometheus/targets/pods.json"), "[]")?;
    for (tool, target) in [
        ("kubectl", parts.python_program("kubectl")),
        ("helm", parts.helm.join("bin/helm")),
        ("promtool", parts.debian_program("promtool")),
        ("prometheus", parts.debian_program("prometheus")),
        ("amtool", parts.debian_program("amtool")),
        ("ctr", parts.debian_program("ctr")),
    ] {
        symlink(target, layout.tools().join(tool))?;
    }
    Ok(())
}

fn fill(template: &str, layout: &Layout, parts: &Parts) -> String {
    template
        .replace("@STATE@", &layout.state().to_string_lossy())
        .replace("@DATA@", layout::DATA)
        .replace("@DEBIAN@", &parts.debian.to_string_lossy())
        .replace("@CGROUP@", &layout.cgroup())
        .replace("@API_URL@", addresses::API_URL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_template_keeps_a_placeholder() {
        let layout = Layout::new("unit").unwrap();
        let parts = Parts::nowhere();
        for template in [
            include_str!("files/containerd.toml"),
            include_str!("files/bridge.conflist"),
            include_str!("files/kubelet.yaml"),
            include_str!("files/prometheus.yml"),
        ] {
            let text = fill(template, &layout, &parts);
            assert!(!text.contains('@'), "{text}");
        }
        assert!(fill(include_str!("files/kubelet.yaml"), &layout, &parts).contains("cgroupRoot: /sluice-testbed-unit"));
    }
}
