//! `sluice report`: the delivery figures of what the records say, for people and for programs.
//!
//! Owns the flags, where the records come from, and the form of the answer. What is counted, and how, is in
//! [`crate::figures`]. Reads only; what cannot be read is named and counted, never left out in silence.

pub(crate) mod cluster;
mod input;
pub(crate) mod source;
mod table;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;
use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

pub use input::Records;
pub(crate) use input::documents;

use crate::api::Duration;
use crate::clock::Clock;
use crate::figures::{self, Figures, History, REWORK_WINDOW, Rework, Scope, Settings};

/// The longest window: what is older says nothing about today.
const LONGEST: u32 = 3650;

const EXAMPLE: &str = "\
Figures of a service are those of its Rollout; of a team, the sums over its services. A deployment
belongs to the window in which users first met it. A rate is given from 10 deployments on, with its
95 % interval (Wilson); below there are counts. docs/figures.md says what each figure counts.

Examples

  sluice report -n demo                            every service in a namespace, the last 28 days
  sluice report -A --owner payments --since 90d    one team, everywhere
  sluice report --from records.yaml -o json        without access to a cluster

  kubectl get releases.sluice.dev,reworkevents.sluice.dev,reclassifications.sluice.dev -A -o yaml \\
    | sluice report --from -

Exits with 1 if the records cannot be had at all. A single one that cannot be read is named on
standard error and counted in the answer; the others are reported.";

/// What `sluice report` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLE)]
pub struct Args {
    /// Records from these files instead of the cluster: YAML or JSON, one or many objects, or a List; - is standard input.
    #[arg(long, short = 'f', value_name = "FILE", num_args = 1..)]
    from: Vec<PathBuf>,
    /// The namespace. Default: that of the kubeconfig; with --from every namespace.
    #[arg(long, short)]
    namespace: Option<String>,
    /// Every namespace.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Only this service: the name of a Rollout, or NAMESPACE/NAME.
    #[arg(long, value_name = "ROLLOUT")]
    service: Option<String>,
    /// Only this team (spec.owner.team), and its services.
    #[arg(long, value_name = "TEAM")]
    owner: Option<String>,
    /// The window in days: 7d, 28d, 90d, 180d or any other number.
    #[arg(long, value_name = "DAYS", default_value = "28d", value_parser = days)]
    since: u32,
    /// The end of the window (RFC 3339); what is known since of what happened in it counts. Default: now.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// A promoted deployment failed if another one repairs it within this time.
    #[arg(long, value_name = "DURATION", default_value_t = Settings::default().failure_window)]
    failure_window: Duration,
    /// How the answer is written.
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs, one object.
    Json,
}

fn days(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('d').unwrap_or_default();
    match number.parse() {
        Ok(days) if (1..=LONGEST).contains(&days) && number.bytes().all(|byte| byte.is_ascii_digit()) => Ok(days),
        _ => Err(format!("it must be a number of days from 1d to {LONGEST}d, such as 28d")),
    }
}

impl Args {
    /// Reads the records and prints the figures.
    pub fn run(self) -> anyhow::Result<()> {
        let mut records = Records::default();
        if self.from.is_empty() {
            source::wait(cluster::read(&mut records, self.namespace.as_deref(), self.all_namespaces))?;
        } else {
            for text in source::texts(&self.from) {
                let (name, text) = text?;
                records.add(&name, &text);
            }
            if let Some(namespace) = &self.namespace {
                records.keep(namespace);
            }
        }
        let question = Question {
            service: self.service,
            owner: self.owner,
            days: self.since,
            now: self.now.unwrap_or_else(|| Clock::system().now()),
            settings: Settings { failure_window: self.failure_window, ..Settings::default() },
        };
        let report = Report::new(&records, &question)?;
        source::warn(report.unreadable.iter().chain(&report.notes))?;
        Ok(source::print(|output| report.print(self.output, output))?)
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Only this Rollout, by name or by namespace/name.
    pub service: Option<String>,
    /// Only this team.
    pub owner: Option<String>,
    /// The window.
    pub days: u32,
    /// Its end.
    pub now: Timestamp,
    /// What the rules leave open.
    pub settings: Settings,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The end of the window.
    pub now: Timestamp,
    /// Its length in days.
    pub days: u32,
    /// How long after a promotion a repair makes it a failed one.
    pub failure_window: Duration,
    /// Figures by Rollout.
    pub services: Vec<Service>,
    /// Figures by team.
    pub owners: Vec<Owner>,
    /// What could not be read: where, and why.
    pub unreadable: Vec<String>,
    /// What was read and could not be counted as it was written.
    pub notes: Vec<String>,
}

/// The figures of a Rollout.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// namespace/name.
    pub service: String,
    /// The team that answered for it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Of the window.
    pub figures: Figures,
    /// Rework over 180 days, as DORA asks for it.
    pub rework180: Rework,
}

/// The figures of a team.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The team; absent for what nobody answered for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How many Rollouts it answers for.
    pub services: u64,
    /// Of the window.
    pub figures: Figures,
    /// Rework over 180 days, as DORA asks for it.
    pub rework180: Rework,
}

impl Report {
    /// Answers from these records. Fails if there is nothing under the name that was asked for.
    pub fn new(records: &Records, question: &Question) -> anyhow::Result<Self> {
        let Question { service, owner, days, now, settings } = question;
        let facts = figures::facts(&records.releases, &records.events, &records.reclassifications);
        let history = History::new(&facts, *settings);
        let rework = |scope: Scope<'_>| history.figures(scope, REWORK_WINDOW, *now).rework;
        let known = history.services();
        let wanted = |name: &str| match service {
            Some(asked) if asked.contains('/') => name == asked,
            Some(asked) => name.split_once('/').is_some_and(|(_, rollout)| rollout == asked),
            None => true,
        };
        let of_owner = |team: &Option<String>| owner.is_none() || team == owner;
        let services: Vec<Service> = known
            .iter()
            .filter(|(name, team)| wanted(name) && of_owner(team))
            .map(|(name, team)| Service {
                service: name.clone(),
                owner: team.clone(),
                figures: history.figures(Scope::Service(name), *days, *now),
                rework180: rework(Scope::Service(name)),
            })
            .collect();
        // A service by itself says nothing about a team.
        let teams = history.owners().into_iter().filter(|team| service.is_none() && of_owner(team));
        let owners: Vec<Owner> = teams
            .map(|team| {
                let scope = Scope::Owner(team.as_deref());
                let services = known.values().filter(|one| **one == team).count();
                Owner {
                    services: u64::try_from(services).unwrap_or(u64::MAX),
                    figures: history.figures(scope, *days, *now),
                    rework180: rework(scope),
                    owner: team,
                }
            })
            .collect();
        if services.is_empty() && owners.is_empty() && (service.is_some() || owner.is_some()) {
            let asked = service.as_ref().map_or_else(String::new, |name| format!(" service {name}"));
            let team = owner.as_ref().map_or_else(String::new, |name| format!(" team {name}"));
            let all: BTreeSet<&str> = known.keys().map(String::as_str).collect();
            let all = all.into_iter().take(10).collect::<Vec<_>>().join(", ");
            bail!("no record of{asked}{team}; there are records of: {}", if all.is_empty() { "nothing" } else { &all });
        }
        Ok(Self {
            now: *now,
            days: *days,
            failure_window: settings.failure_window,
            services,
            owners,
            unreadable: records.unreadable.clone(),
            notes: records.notes.iter().chain(history.notes()).cloned().collect(),
        })
    }

    /// Writes it.
    pub fn print(&self, format: Format, mut output: impl Write) -> io::Result<()> {
        match format {
            Format::Json => writeln!(output, "{}", serde_json::to_string_pretty(self)?)?,
            Format::Table => table::print(self, &mut output)?,
        }
        output.flush()
    }
}
