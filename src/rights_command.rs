//! `sluice rights`: prints the rights, writes their manifests, and compares an audit log with them.
//!
//! Owns the files; what is in them is `rights`.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::cli::write_into;
use crate::rights::usage::Usage;
use crate::rights::{self, ACCOUNT, NAMESPACE};

/// The rights of the operator and of people: prints docs/rights.md if nothing else is asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the manifests into this folder, which is laid out as deploy/.
    #[arg(long, value_name = "FOLDER", group = "what")]
    dir: Option<PathBuf>,
    /// Print the Roles and RoleBindings for a namespace that is watched, where not all are.
    #[arg(long, value_name = "NAMESPACE", group = "what")]
    in_namespace: Option<String>,
    /// Read audit logs of the API server and say how often each right was used, and which calls were denied: then it fails.
    #[arg(long, value_name = "FILE", group = "what", num_args = 1..)]
    audit: Vec<PathBuf>,
    /// Fail also if a right was never used.
    #[arg(long, requires = "audit")]
    every_right_used: bool,
    /// The operator's namespace in the audit log.
    #[arg(long, default_value = NAMESPACE, requires = "audit")]
    namespace: String,
    /// The operator's ServiceAccount in the audit log.
    #[arg(long, default_value = ACCOUNT, requires = "audit")]
    service_account: String,
}

impl Args {
    /// Does what was asked for.
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(dir) = self.dir {
            write_into(&dir, rights::manifests())?;
        } else if let Some(namespace) = self.in_namespace {
            print!("{}", rights::in_namespace(&namespace));
        } else if self.audit.is_empty() {
            print!("{}", rights::markdown());
        } else {
            let mut usage = Usage::of(&self.namespace, &self.service_account);
            for path in self.audit {
                let log = File::open(&path).and_then(|log| usage.read(BufReader::with_capacity(1 << 20, log)));
                log.with_context(|| format!("{} cannot be read", path.display()))?;
            }
            print!("{usage}");
            let faults = usage.faults(self.every_right_used);
            anyhow::ensure!(faults.is_empty(), "{}", faults.join("; "));
        }
        Ok(())
    }
}
