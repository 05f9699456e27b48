//! `sluice postmortem`: the draft about one Release, from the records in a cluster or in files.
//!
//! Owns the flags, which Release is meant, and where the text goes. What it says is in [`crate::postmortem`], how records
//! are read in [`crate::report_command`]. Reads only; what cannot be read is named, never left out in silence.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::api::{Postmortem, PostmortemCause, PostmortemSpec};
use crate::clock::Clock;
use crate::figures::named;
use crate::postmortem::{Case, LONGEST, Sources, draft};
use crate::report_command::{Records, cluster, source};

/// How many names an error gives.
const NAMES: usize = 5;

const EXAMPLE: &str = "\
Facts are filled in from the Release, its ReworkEvents, the Reclassifications and the other Releases
that are read with it; what only people can say is marked \"To be written\". docs/postmortems.md says
what stands where.

Examples

  sluice postmortem shop-2-f79d0e09 -n demo             print it
  sluice postmortem demo/shop-2-f79d0e09 --write shop-2.md
  sluice postmortem shop-2-f79d0e09 -f records.yaml     without access to a cluster

  sluice postmortem shop-2-f79d0e09 -n demo --object | kubectl create -f -

Exits with 1 if there is no such Release, if the records cannot be had, or if the file is there
already. A record that cannot be read or counted is named on standard error; the others are used.";

/// What `sluice postmortem` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLE)]
pub struct Args {
    /// Name of the Release, or NAMESPACE/NAME.
    #[arg(value_name = "RELEASE")]
    release: String,
    /// Records from these files instead of the cluster: YAML or JSON, one or many objects, or a List; - is standard input. RELEASE stands before it.
    #[arg(long, short = 'f', value_name = "FILE", num_args = 1..)]
    from: Vec<PathBuf>,
    /// The namespace. Default: that of the kubeconfig; with --from every namespace.
    #[arg(long, short)]
    namespace: Option<String>,
    /// Read the records of every namespace, so that other rollouts in them are told of.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Write it to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Overwrite that file if it is there.
    #[arg(long, requires = "write")]
    force: bool,
    /// Write the object Postmortem with the text in it, for `kubectl create -f -`.
    #[arg(long)]
    object: bool,
    /// When it is drafted (RFC 3339), so that it can be made again. Default: now.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
}

impl Args {
    /// Reads the records and writes the draft.
    pub fn run(self) -> anyhow::Result<()> {
        let (namespace, name) = source::meant(&self.release, self.namespace.as_deref())?;
        let mut records = Records::default();
        let place = if self.from.is_empty() {
            let read = source::wait(cluster::read(&mut records, namespace.as_deref(), self.all_namespaces))?;
            Place::Cluster(Some(read).filter(|_| !self.all_namespaces))
        } else {
            for text in source::texts(&self.from) {
                let (called, text) = text?;
                records.add(&called, &text);
            }
            Place::Files
        };
        source::warn(records.unreadable.iter().chain(&records.notes))?;
        let case = find(&records, namespace.as_deref(), &name, &place)?;
        source::warn(case.notes())?;
        let now = self.now.unwrap_or_else(|| Clock::system().now());
        let text = if self.object { object(&case, now)? } else { draft(&case, PostmortemCause::Manual, now, None) };
        match &self.write {
            Some(path) => {
                write_file(path, &text, self.force)?;
                Ok(source::warn(&[format!("{} was written", path.display())])?)
            }
            None => Ok(source::print(|output| output.write_all(text.as_bytes()))?),
        }
    }
}

/// Where the records come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A namespace of the cluster, or all of them.
    Cluster(Option<String>),
    /// Files.
    Files,
}

/// The case of the Release that is meant, or why there is none and what to do.
pub fn find(records: &Records, namespace: Option<&str>, name: &str, place: &Place) -> anyhow::Result<Case> {
    let keys: BTreeSet<_> = records.releases.iter().map(|release| named(&release.metadata)).collect();
    let mut meant = keys.iter().filter(|(other, known)| known == name && namespace.is_none_or(|one| one == other));
    let Some(key) = meant.next() else { bail!("{}", missing(&keys, namespace, name, place)) };
    if meant.next().is_some() {
        let all: Vec<&str> =
            keys.iter().filter(|(_, known)| known == name).map(|(namespace, _)| namespace.as_str()).collect();
        bail!("Release {name} is in {} namespaces: {}; name one with -n", all.len(), all.join(", "));
    }
    let sources =
        Sources { releases: &records.releases, events: &records.events, reclassifications: &records.reclassifications };
    Case::of(key, sources).with_context(|| {
        format!(
            "Release {}/{} has neither a time nor a metadata.creationTimestamp: save it with `kubectl get -o yaml`, which \
             keeps them",
            key.0, key.1
        )
    })
}

fn missing(keys: &BTreeSet<(String, String)>, namespace: Option<&str>, name: &str, place: &Place) -> String {
    let full = namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
    let (place, next) = match place {
        Place::Files => {
            ("the files".to_owned(), "kubectl get releases.sluice.dev -A lists all of a cluster".to_owned())
        }
        Place::Cluster(Some(namespace)) => (
            format!("namespace {namespace}"),
            format!("kubectl get releases.sluice.dev -n {namespace} lists them, -n names another namespace"),
        ),
        Place::Cluster(None) => (
            "the cluster".to_owned(),
            "kubectl get releases.sluice.dev -A lists all, -n names another namespace".to_owned(),
        ),
    };
    let mut close: Vec<(usize, String)> = keys
        .iter()
        .filter_map(|(other, known)| {
            let far = distance(name, known);
            let starts = known.starts_with(name) || name.starts_with(known.as_str());
            // A third of the letters may differ; a Rollout's name finds its Releases.
            (starts || far.saturating_mul(3) <= name.chars().count()).then(|| (far, format!("{other}/{known}")))
        })
        .collect();
    close.sort();
    let close: Vec<String> = close.into_iter().take(NAMES).map(|(_, name)| name).collect();
    let close = if close.is_empty() { String::new() } else { format!("; close to it: {}", close.join(", ")) };
    format!("no Release {full} among the {} of {place}{close}. {next}", keys.len())
}

/// How many letters must be put in, taken out or changed to come from one name to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut above = line;
        let mut left = line.saturating_add(1);
        let mut next = vec![left];
        for (place, other) in other.iter().enumerate() {
            let up = row.get(place.saturating_add(1)).copied().unwrap_or(usize::MAX);
            let changed = above.saturating_add(usize::from(letter != *other));
            left = changed.min(up.saturating_add(1)).min(left.saturating_add(1));
            next.push(left);
            above = up;
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// The object, as JSON: what kubectl takes, without rules for what may stand in a block.
pub fn object(case: &Case, now: Timestamp) -> anyhow::Result<String> {
    let (namespace, release) = case.key();
    let mut object = Postmortem::new(
        release,
        PostmortemSpec {
            release: release.clone(),
            rollout: case.rollout().to_owned(),
            cause: PostmortemCause::Manual,
            drafted_at: now,
            markdown: draft(case, PostmortemCause::Manual, now, Some(LONGEST)),
        },
    );
    object.metadata.namespace = Some(namespace.clone()).filter(|namespace| !namespace.is_empty());
    let mut text = serde_json::to_string_pretty(&object).context("the object cannot be written")?;
    text.push('\n');
    Ok(text)
}

/// Writes the file; one that is there is overwritten only if that is asked for.
pub fn write_file(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut how = OpenOptions::new();
    how.write(true).create(force).truncate(force).create_new(!force);
    let mut file = match how.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already and was left as it is: --force overwrites it", path.display())
        }
        opened => opened.with_context(|| format!("{} cannot be written", path.display()))?,
    };
    file.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_close() {
        for (one, other, far) in
            [("shop-2", "shop-2", 0), ("shop-2", "shop-12", 1), ("shpo-2", "shop-2", 2), ("", "abc", 3), ("abc", "", 3)]
        {
            assert_eq!(distance(one, other), far, "{one} {other}");
        }
    }
}
