//! Containerd, runc, CNI plugins, Prometheus and Alertmanager from the machine's own Debian mirror.
//!
//! Packages are downloaded and unpacked into the cache; nothing is installed and no package script runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cache, watched};
use crate::progress::Progress;

const PACKAGES: [&str; 5] =
    ["containerd", "runc", "containernetworking-plugins", "prometheus", "prometheus-alertmanager"];

fn key() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    cache::key(&["1", &release_of(&release), &PACKAGES.join(" ")])
}

/// Whether nothing needs to be downloaded.
pub(super) fn there(root: &Path) -> bool {
    root.join(format!("debian-{}", key())).is_dir()
}

pub(super) fn obtain(root: &Path, progress: Progress) -> Result<PathBuf> {
    cache::obtain(root, "debian", &key(), |folder| {
        progress.say(&format!("Debian packages: downloading {}", PACKAGES.join(", ")));
        if download(folder).is_err() {
            progress.say("Debian packages: refreshing the package lists first");
            watched::output(Command::new("apt-get").args(["update", "-q"]))
                .context("apt-get update failed: this testbed needs a Debian 12 machine with a reachable mirror")?;
            download(folder)?;
        }
        for entry in std::fs::read_dir(folder)? {
            let package = entry?.path();
            if package.extension().is_some_and(|extension| extension == "deb") {
                watched::output(Command::new("dpkg").arg("-x").arg(&package).arg(folder))?;
                std::fs::remove_file(&package)?;
            }
        }
        Ok(())
    })
}

fn download(folder: &Path) -> Result<()> {
    // The sandbox user of apt cannot write into a cache that belongs to root.
    watched::output(
        Command::new("apt-get")
            .args(["-q", "-o", "APT::Sandbox::User=root", "download"])
            .args(PACKAGES)
            .current_dir(folder),
    )?;
    Ok(())
}

/// The line that names the release, so that an upgraded machine gets matching packages.
fn release_of(os_release: &str) -> String {
    os_release.lines().find(|line| line.starts_with("VERSION_ID=")).unwrap_or("VERSION_ID=unknown").to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_release_is_the_version_line_only() {
        assert_eq!(super::release_of("ID=debian\nVERSION_ID=\"12\"\nX=1\n"), "VERSION_ID=\"12\"");
        assert_eq!(super::release_of(""), "VERSION_ID=unknown");
    }
}
