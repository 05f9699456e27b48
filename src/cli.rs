//! The command line. Configuration is by flags and environment only, and is checked before anything starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};

use crate::api::PostmortemCause;
use crate::decide::reasons::{self, REASONS};
use crate::decide::steps;
use crate::record::retention::Keep;
use crate::{app, crds, drafts, explain_command, judge_command, postmortem_command, report_command, telemetry};

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
    Run(RunArgs),
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
    /// Print the state machine of an attempt as a Mermaid diagram.
    Steps,
    /// Say what the verdict on given counts is, poll by poll.
    Judge(judge_command::Args),
    /// Replay the decision log of a Release: verdict by verdict, or where it differs.
    Explain(explain_command::Args),
    /// Say how often releases are made, how many fail and how long that lasts, from the records.
    Report(report_command::Args),
    /// Draft a postmortem about one Release, from the records.
    Postmortem(postmortem_command::Args),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "SLUICE_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// What is logged, for example `info` or `sluice=debug,kube=warn`.
    #[arg(long, env = "SLUICE_LOG_LEVEL", default_value = "info,kube_runtime=warn")]
    log_level: String,
    /// How it is logged.
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// The name of this process in events; usually the pod's name.
    #[arg(long, env = "SLUICE_POD_NAME", default_value = "sluice")]
    pod_name: String,
    /// The operator's own namespace: where the Secrets of MetricsProviders and NotificationSinks are. Default: where it runs.
    #[arg(long, env = "SLUICE_NAMESPACE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    namespace: Option<String>,
    /// The ServiceAccount that the operator runs under and that the admission policies name.
    #[arg(long, env = "SLUICE_SERVICE_ACCOUNT", default_value = "sluice")]
    service_account: String,
    /// Decide only while this process holds a Lease, so that several can run. Without it there must be only one.
    #[arg(
        long,
        env = "SLUICE_LEADER_ELECT",
        action = clap::ArgAction::Set,
        default_value_t = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    leader_elect: bool,
    /// The Lease, in the operator's own namespace.
    #[arg(long, env = "SLUICE_LEASE_NAME", default_value = "sluice", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    lease_name: String,
    /// Releases and ReworkEvents older than this are deleted. Figures over 180 days need 270.
    #[arg(long, env = "SLUICE_KEEP_DAYS", value_name = "DAYS", default_value_t = Keep::default().days)]
    keep_days: u32,
    /// So many Releases of each Rollout are kept, and as many ReworkEvents; the newest 20 always.
    #[arg(long, env = "SLUICE_KEEP_EACH", value_name = "COUNT", default_value_t = Keep::default().each)]
    keep_each: usize,
    /// For which failures a Postmortem is drafted by itself; None for none.
    #[arg(
        long,
        env = "SLUICE_DRAFT_POSTMORTEMS",
        value_name = "CAUSES",
        value_enum,
        ignore_case = true,
        value_delimiter = ',',
        default_value = "Escaped,Recurrence,BreakGlass"
    )]
    draft_postmortems: Vec<DraftFor>,
}

/// What a Postmortem is drafted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum DraftFor {
    /// Failures that served everybody, or took more than 20 % of the month's error budget.
    Escaped,
    /// Failures whose defect was recorded in the 90 days before.
    Recurrence,
    /// Templates that rolled unproven.
    BreakGlass,
    /// Nothing; stands alone.
    None,
}

/// The policy that these words make.
fn draft_policy(words: &[DraftFor]) -> anyhow::Result<drafts::Policy> {
    let cause = |word: &DraftFor| match word {
        DraftFor::Escaped => Some(PostmortemCause::Escaped),
        DraftFor::Recurrence => Some(PostmortemCause::Recurrence),
        DraftFor::BreakGlass => Some(PostmortemCause::BreakGlass),
        DraftFor::None => None,
    };
    let causes: Vec<PostmortemCause> = words.iter().filter_map(cause).collect();
    anyhow::ensure!(
        causes.is_empty() || !words.contains(&DraftFor::None),
        "--draft-postmortems: None stands alone; leave it out, or the {} other words",
        causes.len()
    );
    Ok(drafts::Policy::new(causes))
}

/// How logs are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs, one object per line.
    Json,
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => run(args),
            Command::Crds { dir } => write_crds(dir),
            Command::Reasons { name: None } => {
                print!("{}", reasons::markdown());
                Ok(())
            }
            Command::Reasons { name: Some(name) } => explain(&name),
            Command::Steps => {
                print!("{}", steps::diagram());
                Ok(())
            }
            Command::Judge(args) => args.run(),
            Command::Explain(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Postmortem(args) => args.run(),
        }
    }
}

fn run(args: RunArgs) -> anyhow::Result<()> {
    telemetry::start(&args.log_level, args.log_format)?;
    let RunArgs {
        listen,
        log_level,
        log_format,
        pod_name,
        namespace,
        service_account: account,
        leader_elect,
        lease_name,
        keep_days: days,
        keep_each: each,
        draft_postmortems,
    } = args;
    let drafts = draft_policy(&draft_postmortems)?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, %listen, log_level, ?log_format, pod_name, leader_elect, lease_name, "sluice starts");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let lease = leader_elect.then_some(lease_name);
    let ended = runtime.block_on(app::run(app::Options {
        listen: Some(listen),
        reporter: pod_name,
        namespace,
        account,
        lease,
        keep: Keep { days, each },
        drafts,
    }));
    // Waits for no thread: whoever does not lead any more ends at once.
    runtime.shutdown_background();
    ended
}

fn explain(name: &str) -> anyhow::Result<()> {
    let found = REASONS.iter().find(|reason| reason.name.eq_ignore_ascii_case(name));
    let reason = found.with_context(|| format!("no reason is called {name:?}; `sluice reasons` prints all"))?;
    println!("{}: {}\nWhat to do: {}", reason.name, reason.meaning, reason.next);
    Ok(())
}

fn write_crds(dir: Option<PathBuf>) -> anyhow::Result<()> {
    for (file, definition) in crds::all()? {
        let text = crds::yaml(&definition)?;
        match &dir {
            Some(dir) => {
                let path = dir.join(file);
                std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
                println!("{}", path.display());
            }
            None => println!("---\n{text}"),
        }
    }
    Ok(())
}
