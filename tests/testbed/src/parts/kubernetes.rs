//! Builds the control plane, the kubelet, the metrics adapter and the pause program from published Go modules.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cache, watched};
use crate::progress::Progress;

/// The version that the servers report.
pub const VERSION: &str = "v1.36.3";
pub(super) const HOW_TO_GET_GO: &str = "the testbed builds Kubernetes with Go: install Go 1.26 and have `go` on PATH";

const GO_MOD: &str = include_str!("../../kubernetes/go.mod");
const GO_SUM: &str = include_str!("../../kubernetes/go.sum");
const MAIN_GO: &str = include_str!("../../kubernetes/main.go");
const ETCD_GO: &str = include_str!("../../kubernetes/etcd.go");
const METRICS_GO: &str = include_str!("../../kubernetes/metrics.go");
const PAUSE_GO: &str = include_str!("../../kubernetes/pause/main.go");

/// The name of this build: it changes with the sources, the version and the compiler.
pub(super) fn key() -> Result<String> {
    let go_version = watched::output(go().args(["env", "GOVERSION"]).current_dir("/")).context(HOW_TO_GET_GO)?;
    let inputs = ["1", GO_MOD, GO_SUM, MAIN_GO, ETCD_GO, METRICS_GO, PAUSE_GO, VERSION, go_version.trim()];
    Ok(cache::key(&inputs))
}

pub(super) fn obtain(root: &Path, key: &str, progress: Progress) -> Result<PathBuf> {
    cache::obtain(root, "kubernetes", key, |folder| build(folder, progress))
}

/// The Go command, told to use the installed toolchain and to build static binaries.
pub(super) fn go() -> Command {
    let mut command = Command::new("go");
    command
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .env_remove("GOOS")
        .env_remove("GOARCH");
    command
}

fn build(folder: &Path, progress: Progress) -> Result<()> {
    let source = folder.join("source");
    std::fs::create_dir_all(source.join("pause"))?;
    for (name, text) in [
        ("go.mod", GO_MOD),
        ("go.sum", GO_SUM),
        ("main.go", MAIN_GO),
        ("etcd.go", ETCD_GO),
        ("metrics.go", METRICS_GO),
        ("pause/main.go", PAUSE_GO),
    ] {
        std::fs::write(source.join(name), text)?;
    }
    let go = || {
        let mut command = go();
        command.current_dir(&source);
        command
    };

    progress.say(&format!("Kubernetes {VERSION}: fetching its Go modules"));
    watched::run(
        go().args(["mod", "download", "-x"]),
        progress,
        |line| line.starts_with("# get ") && line.contains(".zip") && line.contains(": 200"),
        |done| format!("Kubernetes {VERSION}: fetched {done} modules so far"),
    )?;

    // Packages of the standard library that go always has compiled are counted too, hence "at most".
    let all = watched::output(go().args(["list", "-deps", ".", "./pause"]))?.lines().count();
    progress.say(&format!("Kubernetes {VERSION}: compiling at most {all} Go packages, 4 to 8 minutes on two cores"));
    watched::run(
        go().args(["build", "-v", "-trimpath", "-mod=readonly", "-ldflags", &stamp(VERSION)?, "-o"])
            .arg(folder)
            .args([".", "./pause"]),
        progress,
        |line| !line.contains(' ') && !line.contains(':'),
        |done| format!("Kubernetes {VERSION}: compiled {done} of at most {all} packages, then linking"),
    )?;
    std::fs::remove_dir_all(&source)?;
    Ok(())
}

/// Linker flags that make a module build report its version as a release build does.
fn stamp(version: &str) -> Result<String> {
    let mut numbers = version.trim_start_matches('v').split('.');
    let major = numbers.next().context("the version has no major number")?;
    let minor = numbers.next().context("the version has no minor number")?;
    let set = |name: &str, value: &str| format!(" -X k8s.io/component-base/version.{name}={value}");
    Ok(["-s -w".to_owned()]
        .into_iter()
        .chain([
            set("gitVersion", version),
            set("gitMajor", major),
            set("gitMinor", minor),
            set("gitCommit", "module"),
            set("gitTreeState", "clean"),
            set("buildDate", "2026-01-01T00:00:00Z"),
        ])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_pinned_to_the_version_that_the_servers_report() {
        assert!(GO_MOD.contains(&format!("k8s.io/kubernetes {VERSION}")));
        let staging = VERSION.replacen("v1.", "v0.", 1);
        let replaced = GO_MOD.lines().filter(|line| line.contains("=> k8s.io/")).collect::<Vec<_>>();
        assert_eq!(replaced.len(), 33);
        assert!(replaced.iter().all(|line| line.ends_with(&staging)), "{replaced:?}");
        let (minor, _) = VERSION.rsplit_once('.').unwrap();
        assert!(GO_MOD.contains(&format!("sigs.k8s.io/custom-metrics-apiserver {minor}.")));
    }

    #[test]
    fn the_stamp_names_major_and_minor() {
        let stamp = stamp("v1.36.3").unwrap();
        assert!(stamp.starts_with("-s -w -X "));
        assert!(stamp.contains("version.gitMajor=1 "));
        assert!(stamp.contains("version.gitMinor=36 "));
        assert!(stamp.contains("version.gitVersion=v1.36.3 "));
    }
}
