//! `sluice explain`: the decision log of a Release, replayed entry by entry by the code that decided.
//!
//! Owns the flags, where the log comes from, and the form of the answer. What counts as the same is in
//! [`crate::decide::logbook::replay`]. Reads only.

mod cluster;
mod input;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;
use clap::ValueEnum;
use serde::Serialize;

pub use input::{Found, Logs};

use crate::api::LogEntry;
use crate::decide::logbook::replay::{self, Difference, Line};
use crate::report_command::source;

const EXAMPLE: &str = "\
Every decision of an attempt is in its DecisionLog with the counts, the state and the policy that it
was made on, each tied to the one before by a hash. This command checks the chain and makes every
decision again. Of an attempt in progress the entries that are not written yet are read from the
Rollout's status. docs/decision-log.md says what is in an entry and how to check one by hand.

Examples

  sluice explain shop-7-3f2a9c1b -n demo           a Release in the cluster
  sluice explain -f log.yaml                       without access to a cluster
  sluice explain shop-7-3f2a9c1b -f all.yaml -o json

  kubectl get decisionlogs.sluice.dev -n demo -o yaml | sluice explain shop-7-3f2a9c1b -f -

Exits with 1 if the log cannot be had, or if the chain or a verdict differs; the last line says at
which entry, and how. An object of another Release that cannot be read is named on standard error.";

/// What `sluice explain` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLE)]
pub struct Args {
    /// Name of the Release, or NAMESPACE/NAME. May be left out with --from if there is one log only.
    #[arg(value_name = "RELEASE")]
    release: Option<String>,
    /// The log from these files instead of the cluster: DecisionLogs and Rollouts as YAML or JSON, one or many objects, or a List; - is standard input. RELEASE stands before it.
    #[arg(long = "from", short = 'f', value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// The namespace. Default: that of the kubeconfig.
    #[arg(long, short)]
    namespace: Option<String>,
    /// How the answer is written.
    #[arg(long, short, value_enum, default_value = "text")]
    output: Format,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs, one object.
    Json,
}

impl Args {
    /// Reads the log, replays it and prints what came of it.
    pub fn run(self) -> anyhow::Result<()> {
        let named =
            self.release.as_deref().map(|release| source::meant(release, self.namespace.as_deref())).transpose()?;
        let (namespace, release) = match named {
            Some((namespace, release)) => (namespace, Some(release)),
            None => (self.namespace, None),
        };
        let mut logs = Logs::default();
        if self.files.is_empty() {
            let Some(release) = &release else {
                bail!("name a Release, or give a log with --from: sluice explain --help");
            };
            source::wait(cluster::read(&mut logs, namespace.as_deref(), release))?;
        } else {
            for text in source::texts(&self.files) {
                let (name, text) = text?;
                logs.add(&name, &text);
            }
        }
        source::warn(logs.unreadable())?;
        let found = logs.take(release.as_deref(), namespace.as_deref())?;
        let explained = Explained::new(&found);
        source::print(|output| explained.print(self.output, output))?;
        match explained.differs {
            Some(Difference { seq, what }) => bail!("entry {seq} of {}: {what}", explained.release),
            None => Ok(()),
        }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The Release.
    pub release: String,
    /// Its Rollout.
    pub rollout: String,
    /// How many entries there are.
    pub entries: usize,
    /// How many of them are not written to the log yet.
    pub pending: usize,
    /// How many entries were left out because of the bounds of a log.
    pub omitted: u32,
    /// The chain and every verdict are as recorded.
    pub same: bool,
    /// The entries up to the first that differs.
    pub lines: Vec<Line>,
    /// Where something differs, and what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs: Option<Difference>,
}

impl Explained {
    /// Replays a log.
    pub fn new(found: &Found) -> Self {
        let entries: Vec<LogEntry> = found.entries.iter().chain(&found.pending).cloned().collect();
        let head = found.head();
        let replayed = replay::replay(&replay::Log {
            release: &found.release,
            rollout_uid: &found.rollout_uid,
            revision: &found.revision,
            head: head.as_ref(),
            entries: &entries,
        });
        Self {
            release: found.release.clone(),
            rollout: found.rollout.clone(),
            entries: entries.len(),
            pending: found.pending.len(),
            omitted: entries.iter().map(|entry| entry.omitted).fold(0, u32::saturating_add),
            same: replayed.differs.is_none(),
            lines: replayed.lines,
            differs: replayed.differs,
        }
    }

    /// Writes it.
    pub fn print(&self, format: Format, mut output: impl Write) -> io::Result<()> {
        match format {
            Format::Json => writeln!(output, "{}", serde_json::to_string_pretty(self)?)?,
            Format::Text => text::print(self, &mut output)?,
        }
        output.flush()
    }
}
