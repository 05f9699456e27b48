//! Builds KWOK, which plays the kubelet of any number of nodes, from published Go modules. Only benchmarks want it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{cache, kubernetes, watched};
use crate::progress::Progress;

/// The version that the module is pinned to.
pub const VERSION: &str = "v0.8.0";

const GO_MOD: &str = include_str!("../../kwok/go.mod");
const GO_SUM: &str = include_str!("../../kwok/go.sum");

/// Returns the folder that holds `kwok`; builds it the first time, which takes a minute or two.
///
/// # Errors
/// When Go is missing or a download or build fails; the message says which.
pub fn obtain(progress: Progress) -> Result<PathBuf> {
    let root = cache::root()?;
    std::fs::create_dir_all(&root).with_context(|| format!("cannot create the cache {}", root.display()))?;
    let go_version = watched::output(kubernetes::go().args(["env", "GOVERSION"]).current_dir("/"))
        .context(kubernetes::HOW_TO_GET_GO)?;
    let key = cache::key(&["1", GO_MOD, GO_SUM, VERSION, go_version.trim()]);
    cache::obtain(&root, "kwok", &key, |folder| build(folder, progress))
}

fn build(folder: &Path, progress: Progress) -> Result<()> {
    let source = folder.join("source");
    std::fs::create_dir_all(&source)?;
    std::fs::write(source.join("go.mod"), GO_MOD)?;
    std::fs::write(source.join("go.sum"), GO_SUM)?;
    progress.say(&format!("KWOK {VERSION}: fetching and compiling, one to four minutes on two cores"));
    watched::run(
        kubernetes::go()
            .args(["build", "-v", "-trimpath", "-mod=readonly", "-ldflags", "-s -w", "-o"])
            .arg(folder.join("kwok"))
            .arg("sigs.k8s.io/kwok/cmd/kwok")
            .current_dir(&source),
        progress,
        |line| !line.contains(' ') && !line.contains(':'),
        |done| format!("KWOK {VERSION}: compiled {done} packages, then linking"),
    )?;
    std::fs::remove_dir_all(&source)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_pinned_to_the_version_that_is_said() {
        assert!(GO_MOD.contains(&format!("sigs.k8s.io/kwok {VERSION}")));
        assert!(GO_MOD.contains("tool sigs.k8s.io/kwok/cmd/kwok"));
    }
}
