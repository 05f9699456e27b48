//! The command line: what can be asked for, and the commands that only print. Each other command has a module.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::decide::reasons::{self, REASONS};
use crate::decide::steps;
use crate::{
    crds, explain_command, judge_command, postmortem_command, probe_command, reference, report_command, rights_command,
    run_command,
};

/// Progressive rollout controller for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, long_about = None)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    Run(run_command::Args),
    /// Print the custom resource definitions, or write them into a folder.
    Crds {
        /// Write one file per definition into this folder instead of printing them.
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
    /// Print every reason of conditions, events and records: what it means and what to do.
    Reasons {
        /// Print this one only.
        name: Option<String>,
    },
    /// Write the reference pages: fields, metrics, events and conditions.
    Reference {
        /// The folder that they are written into.
        #[arg(long, value_name = "FOLDER")]
        dir: PathBuf,
    },
    /// Print the state machine of an attempt as a Mermaid diagram.
    Steps,
    /// Print what the operator and people may do, or compare an audit log with it.
    Rights(rights_command::Args),
    /// Say what the verdict on given counts is, poll by poll.
    Judge(judge_command::Args),
    /// Replay the decision log of a Release: verdict by verdict, or where it differs.
    Explain(explain_command::Args),
    /// Say how often releases are made, how many fail and how long that lasts, from the records.
    Report(report_command::Args),
    /// Draft a postmortem about one Release, from the records.
    Postmortem(postmortem_command::Args),
    /// Ask every replica of the operator whether it is ready.
    Probe(probe_command::Args),
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => args.run(),
            Command::Crds { dir } => write_crds(dir),
            Command::Reasons { name: None } => {
                print!("{}", reasons::markdown());
                Ok(())
            }
            Command::Reasons { name: Some(name) } => explain(&name),
            Command::Reference { dir } => write_into(&dir, reference::pages()?),
            Command::Steps => {
                print!("{}", steps::diagram());
                Ok(())
            }
            Command::Rights(args) => args.run(),
            Command::Judge(args) => args.run(),
            Command::Explain(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Postmortem(args) => args.run(),
            Command::Probe(args) => args.run(),
        }
    }
}

fn explain(name: &str) -> anyhow::Result<()> {
    let found = REASONS.iter().find(|reason| reason.name.eq_ignore_ascii_case(name));
    let reason = found.with_context(|| format!("no reason is called {name:?}; `sluice reasons` prints all"))?;
    println!("{}: {}\nWhat to do: {}", reason.name, reason.meaning, reason.next);
    Ok(())
}

fn write_crds(dir: Option<PathBuf>) -> anyhow::Result<()> {
    let definitions = crds::all()?.into_iter().map(|(file, definition)| Ok((file, crds::yaml(&definition)?)));
    let definitions: Vec<_> = definitions.collect::<anyhow::Result<_>>()?;
    if let Some(dir) = dir {
        return write_into(&dir, definitions);
    }
    for (_, text) in definitions {
        println!("---\n{text}");
    }
    Ok(())
}

/// Writes generated files into a folder, and says which.
pub(crate) fn write_into(
    dir: &Path,
    files: impl IntoIterator<Item = (impl AsRef<Path>, String)>,
) -> anyhow::Result<()> {
    for (file, text) in files {
        let path = dir.join(file);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}
