//! The Gateway API's CRDs, which its published Go module carries as YAML.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{cache, kubernetes, watched};
use crate::progress::Progress;

const MODULE: &str = "sigs.k8s.io/gateway-api@v1.5.1";
/// The hash that go.sum would carry for the module.
const SUM: &str = "h1:RqVRIlkhLhUO8wOHKTLnTJA6o/1un4po4/6M1nRzdd0=";

pub(super) fn obtain(root: &Path, progress: Progress) -> Result<PathBuf> {
    cache::obtain(root, "gateway-api", &cache::key(&["1", MODULE, SUM]), |folder| {
        progress.say("Gateway API: downloading its CRDs, 1.5.1, standard channel");
        let answer = watched::output(kubernetes::go().args(["mod", "download", "-json", MODULE]).current_dir(folder))
            .context(kubernetes::HOW_TO_GET_GO)?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let text = |field: &str| answer.get(field).and_then(serde_json::Value::as_str);
        anyhow::ensure!(
            text("Sum") == Some(SUM),
            "{MODULE} has the hash {} instead of {SUM}: the module proxy serves other content; do not use it",
            text("Sum").unwrap_or("none")
        );
        let from =
            Path::new(text("Dir").context("go did not say where it put the module")?).join("config/crd/standard");
        for entry in std::fs::read_dir(&from).with_context(|| format!("no CRDs in {}", from.display()))? {
            let entry = entry?;
            // Written anew, because files of the module cache are read-only.
            std::fs::write(folder.join(entry.file_name()), std::fs::read(entry.path())?)?;
        }
        Ok(())
    })
}
