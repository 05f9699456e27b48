//! Where one testbed keeps its files, and which names a testbed may have.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// The folder that holds one folder for each testbed that is up.
const ROOT: &str = "/run/sluice-testbed";
/// Bulky data (images, etcd, samples), on a memory file system that only the testbed's processes see.
pub const DATA: &str = "/run/sluice-testbed-data";

/// The paths of one testbed.
#[derive(Debug, Clone)]
pub struct Layout {
    name: String,
}

impl Layout {
    /// The paths of the testbed `name`.
    ///
    /// # Errors
    /// When the name could not be part of a path or a cgroup.
    pub fn new(name: &str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !name.is_empty() && name.len() <= 30 && name.chars().all(fits) && !name.starts_with('-'),
            "a testbed cannot be called {name:?}: use up to 30 of a-z, 0-9 and -"
        );
        Ok(Self { name: name.to_owned() })
    }

    /// The testbed's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that holds the folders of all testbeds.
    #[must_use]
    pub fn root() -> &'static Path {
        Path::new(ROOT)
    }

    /// The testbed's folder; it exists from `up` to `down`.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        Path::new(ROOT).join(&self.name)
    }

    /// A file or folder in the testbed's folder.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.state().join(relative)
    }

    /// The cgroup, relative to each hierarchy's root, under which all Pods live.
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("sluice-testbed-{}", self.name)
    }

    /// Certificates and keys.
    #[must_use]
    pub fn pki(&self, file: &str) -> PathBuf {
        self.path("pki").join(file)
    }

    /// The log of a component, or of the supervisor.
    #[must_use]
    pub fn log(&self, component: &str) -> PathBuf {
        self.path("logs").join(format!("{component}.log"))
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// The API server's audit log: one JSON object a line, one line for each request.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.path("audit/audit.log")
    }

    /// The socket over which the supervisor takes orders.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// The socket of containerd.
    #[must_use]
    pub fn containerd_socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// The folder from which Prometheus reads its rules.
    #[must_use]
    pub fn rules(&self) -> PathBuf {
        self.path("prometheus/rules")
    }

    /// Exists once the cluster has the objects that Traefik needs to start.
    #[must_use]
    pub fn manifests_applied(&self) -> PathBuf {
        self.path("manifests-applied")
    }

    /// Who supervises this testbed.
    #[must_use]
    pub fn supervisor_file(&self) -> PathBuf {
        self.path("supervisor.json")
    }

    /// The folder with kubectl, promtool, amtool and ctr.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.path("bin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        for bad in ["", "..", "a/b", "Main", "-n", "a b", &"x".repeat(31)] {
            assert!(Layout::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert_eq!(Layout::new("main-2").unwrap().state(), Path::new("/run/sluice-testbed/main-2"));
    }
}
