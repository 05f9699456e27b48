//! `make monitoring`: writes what is generated in `deploy/monitoring` anew.

use std::path::PathBuf;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("deploy/monitoring"), PathBuf::from);
    let source = folder.join(monitoring::RULES);
    let rules = std::fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    for (name, text) in monitoring::files(&rules) {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
