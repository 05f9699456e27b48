//! `sluice judge`: what the rule says of polls that somebody wrote down, line by line.
//!
//! Owns the form of the lines that go in, of the table and of the JSON that come out. Runs [`crate::judge`] as the
//! operator does and must not add a rule of its own. Works on streams: what is known after a line is printed before the
//! next one is read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read as _, Write};
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;

use crate::api::Duration;
use crate::judge::{Capital, Evidence, Forecast, InvalidPolicy, Judge, Policy, Poll, Stakes, Verdict};

/// The fields of a line, which is also the header that a file may begin with.
const FIELDS: [&str; 4] = ["x_c", "n_c", "x_s", "n_s"];
/// The longest line in bytes; comments may be long, and what has no end must not fill the memory.
const LONGEST_LINE: u64 = 65_536;
/// The largest count: far above any service, and every whole number up to it is exact in a float.
const MOST: u64 = 1_000_000_000_000_000;

const EXAMPLE: &str = "\
A line is one poll: x_c,n_c,x_s,n_s, the errors and requests of the canary, then those of stable, from the same
interval and never counted before. Empty lines, lines that begin with # and the header x_c,n_c,x_s,n_s are skipped.

The capitals say how strong the evidence is. Harm is called when the smaller of relative and floor reaches 1/(0.9 alpha)
or when the fuse reaches 1/(0.1 alpha), Safe when safe reaches 1/beta. Harm is final.

Example: four polls in which 5 of 100 canary requests failed and 1 of 900 beside it

  printf '5,100,1,900\\n5,100,1,900\\n5,100,1,900\\n5,100,1,900\\n' | sluice judge --floor 0.1%

Exits with 1 at a line that cannot be read, after the lines before it were judged, and with 2 on a wrong flag.";

/// What `sluice judge` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLE)]
pub struct Args {
    /// The polls; standard input if it is `-` or missing.
    file: Option<PathBuf>,
    /// The canary may fail this many times as often as stable.
    #[arg(long, value_name = "TIMES", default_value_t = Policy::default().tolerance,
          value_parser = |text: &str| number(text, |policy| &mut policy.tolerance))]
    tolerance: f64,
    /// A share of errors up to this is never harm: 0.001 or 0.1%.
    #[arg(long, value_name = "SHARE", default_value_t = Policy::default().floor,
          value_parser = |text: &str| share(text, |policy| &mut policy.floor))]
    floor: f64,
    /// The most that the chance of a false harm may be over the whole run.
    #[arg(long, value_name = "SHARE", default_value_t = Policy::default().alpha,
          value_parser = |text: &str| share(text, |policy| &mut policy.alpha))]
    alpha: f64,
    /// Safe excludes a canary that fails this many times as often as stable …
    #[arg(long, value_name = "TIMES", default_value_t = Policy::default().exclude_ratio,
          value_parser = |text: &str| number(text, |policy| &mut policy.exclude_ratio))]
    r2: f64,
    /// … and at least this often.
    #[arg(long, value_name = "SHARE", default_value_t = Policy::default().exclude_floor,
          value_parser = |text: &str| share(text, |policy| &mut policy.exclude_floor))]
    floor2: f64,
    /// The most that the chance may be to call such a canary safe.
    #[arg(long, value_name = "SHARE", default_value_t = Policy::default().beta,
          value_parser = |text: &str| share(text, |policy| &mut policy.beta))]
    beta: f64,
    /// How much more than by chance errors scatter between pods; 1 for independent requests.
    #[arg(long, value_name = "TIMES", default_value_t = Policy::default().dispersion,
          value_parser = |text: &str| number(text, |policy| &mut policy.dispersion))]
    phi: f64,
    /// How capital is staked after 256 polls. The operator uses `lasting`: it also finds a defect that comes after days.
    #[arg(long, value_enum, default_value = "published")]
    stakes: StakesArg,
    /// The time between two polls; only shown.
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    interval: Duration,
    /// How the answer is written.
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

/// How capital is staked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StakesArg {
    /// 1/256 of the cash at each poll.
    Published,
    /// The same for 256 polls, then 1/i at poll i.
    Lasting,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs, one object per line.
    Json,
}

/// A number that the policy allows in this field.
fn number(text: &str, field: fn(&mut Policy) -> &mut f64) -> Result<f64, String> {
    let value = text.parse().map_err(|_| "not a number".to_owned())?;
    let mut policy = Policy::default();
    *field(&mut policy) = value;
    match policy.validate() {
        Ok(()) => Ok(value),
        Err(InvalidPolicy { expected, .. }) => Err(format!("it must be {expected}")),
    }
}

/// The same for a share, which may be a percentage.
fn share(text: &str, field: fn(&mut Policy) -> &mut f64) -> Result<f64, String> {
    match text.strip_suffix('%') {
        // Moves the decimal point in the text: a division would round a second time.
        Some(percent) => number(&format!("{percent}e-2"), field),
        None => number(text, field),
    }
}

impl Args {
    /// Judges the polls and prints what comes out.
    pub fn run(self) -> anyhow::Result<()> {
        let policy = Policy {
            tolerance: self.tolerance,
            floor: self.floor,
            alpha: self.alpha,
            exclude_ratio: self.r2,
            exclude_floor: self.floor2,
            beta: self.beta,
            dispersion: self.phi,
            stakes: match self.stakes {
                StakesArg::Published => Stakes::Published,
                StakesArg::Lasting => Stakes::Lasting,
            },
        };
        let replay = Replay { judge: Judge::new(policy)?, interval: self.interval, format: self.output };
        let output = io::stdout().lock();
        match self.file.filter(|file| file.as_os_str() != "-") {
            None => replay.run(io::stdin().lock(), output),
            Some(path) => {
                let file = File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
                replay.run(BufReader::new(file), output)
            }
        }
    }
}

/// Polls of the past, judged again.
#[derive(Debug, Clone, Copy)]
pub struct Replay {
    /// By what.
    pub judge: Judge,
    /// The time between two polls.
    pub interval: Duration,
    /// How the answer is written.
    pub format: Format,
}

/// One line of JSON.
#[derive(Serialize)]
struct Line {
    poll: u64,
    relative: f64,
    floor: f64,
    harm: f64,
    safe: f64,
    fuse: f64,
    verdict: &'static str,
}

/// Where the replay stands.
#[derive(Default)]
struct Progress {
    evidence: Evidence,
    polls: u64,
    total: Poll,
    /// When the present verdict was reached, if it is one.
    reached: Option<Reached>,
}

/// A verdict, and what it took.
#[derive(Clone, Copy)]
struct Reached {
    verdict: Verdict,
    poll: u64,
    requests: u64,
    capital: Capital,
}

impl Replay {
    /// Judges line by line. Fails at the first line that cannot be read, after the lines before it were written.
    pub fn run(&self, input: impl BufRead, mut output: impl Write) -> anyhow::Result<()> {
        match self.lines(input, &mut output) {
            // Whoever reads has seen enough: `sluice judge … | head` is no failure.
            Err(error) if error.downcast_ref().is_some_and(|io: &io::Error| io.kind() == ErrorKind::BrokenPipe) => {
                Ok(())
            }
            result => result,
        }
    }

    fn lines(&self, mut input: impl BufRead, output: &mut impl Write) -> anyhow::Result<()> {
        let mut progress = Progress::default();
        let mut first = true;
        let mut text = String::new();
        for number in 1_u64.. {
            text.clear();
            let mut limited = input.by_ref().take(LONGEST_LINE);
            if limited.read_line(&mut text).with_context(|| format!("line {number} cannot be read"))? == 0 {
                break;
            }
            ensure!(
                limited.limit() > 0 || text.ends_with('\n'),
                "line {number}: it is longer than {LONGEST_LINE} bytes"
            );
            let line = text.trim_start_matches('\u{feff}').trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let header = line.split(',').map(str::trim).eq(FIELDS);
            if !(std::mem::take(&mut first) && header) {
                let poll = poll(line).with_context(|| format!("line {number}"))?;
                self.look(&mut progress, &poll, output)?;
            }
        }
        match self.format {
            Format::Table => writeln!(output, "{}", self.summary(&progress))?,
            Format::Json => {}
        }
        Ok(output.flush()?)
    }

    fn look(&self, progress: &mut Progress, poll: &Poll, output: &mut impl Write) -> anyhow::Result<()> {
        self.judge.look(&mut progress.evidence, poll);
        progress.polls = progress.polls.saturating_add(1);
        progress.total = sum(&progress.total, poll);
        let capital = self.judge.capital(&progress.evidence);
        let before = progress.reached.map_or(Verdict::Undecided, |reached| reached.verdict);
        // A run ends at its first Harm; what comes later cannot take it back.
        let verdict = if before == Verdict::Harm { before } else { self.judge.judge(&capital) };
        if verdict != before {
            let (poll, requests) = (progress.polls, progress.total.canary.requests);
            progress.reached = (verdict != Verdict::Undecided).then_some(Reached { verdict, poll, requests, capital });
        }
        match self.format {
            Format::Table => self.row(progress, &capital, verdict, output)?,
            Format::Json => {
                let Capital { relative, floor, harm, safe, fuse } = capital;
                let line = Line { poll: progress.polls, relative, floor, harm, safe, fuse, verdict: verdict.word() };
                writeln!(output, "{}", serde_json::to_string(&line)?)?;
            }
        }
        Ok(output.flush()?)
    }

    /// Widths are fixed, because nobody knows what is still to come.
    fn row(&self, progress: &Progress, capital: &Capital, verdict: Verdict, output: &mut impl Write) -> io::Result<()> {
        let Progress { polls, total, .. } = progress;
        if *polls == 1 {
            writeln!(
                output,
                "{:>5} {:>9} {:>9} {:>7} {:>9} {:>7} {:>10} {:>10} {:>10} {:>10} {:>10}  verdict",
                "poll", "time", "canary", "errors", "stable", "errors", "relative", "floor", "harm", "safe", "fuse"
            )?;
        }
        writeln!(
            output,
            "{polls:>5} {:>9} {:>9} {:>7} {:>9} {:>7} {:>10} {:>10} {:>10} {:>10} {:>10}  {}",
            self.time(*polls).to_string(),
            total.canary.requests,
            total.canary.bad,
            total.stable.requests,
            total.stable.bad,
            short(capital.relative),
            short(capital.floor),
            short(capital.harm),
            short(capital.safe),
            short(capital.fuse),
            verdict.word(),
        )
    }

    fn time(&self, polls: u64) -> Duration {
        Duration::from_millis(u64::try_from(self.interval.as_millis()).unwrap_or_default().saturating_mul(polls))
    }

    /// What was decided when, or what is still missing.
    fn summary(&self, progress: &Progress) -> String {
        let Progress { evidence, polls, total, reached } = progress;
        if let Some(Reached { verdict, poll, requests, capital }) = reached {
            let (what, reached, limit) = match verdict {
                Verdict::Harm if capital.harm >= self.judge.harm_at() => ("harm", capital.harm, self.judge.harm_at()),
                Verdict::Harm => ("fuse", capital.fuse, self.judge.fuse_at()),
                Verdict::Safe | Verdict::Undecided => ("safe", capital.safe, self.judge.safe_at()),
            };
            return format!(
                "{} at poll {poll} ({}), after {requests} canary requests: {what} reached {}, {} are needed.",
                verdict.word(),
                self.time(*poll),
                short(reached),
                short(limit),
            );
        }
        let so_far = format!(
            "Undecided after poll {polls} ({}) and {} canary requests",
            self.time(*polls),
            total.canary.requests
        );
        if total.canary.requests == 0 || total.stable.requests == 0 {
            return format!("{so_far}: without requests of both versions nobody can say what Safe takes.");
        }
        let rate = ratio(total.stable.bad, total.stable.requests);
        match Forecast::new(&self.judge, rate, total.share()).until_safe(evidence) {
            Some(more) => {
                format!("{so_far}: Safe takes about {more} more if the canary fails as often as stable ({rate:.4}).")
            }
            None => format!("{so_far}: at stable's share of errors ({rate:.4}) Safe is not to be expected."),
        }
    }
}

fn sum(total: &Poll, poll: &Poll) -> Poll {
    Poll::new(
        total.canary.bad.saturating_add(poll.canary.bad),
        total.canary.requests.saturating_add(poll.canary.requests),
        total.stable.bad.saturating_add(poll.stable.bad),
        total.stable.requests.saturating_add(poll.stable.requests),
    )
}

/// Counts are below 2^53 unless somebody adds up thousands of the largest; then the last digits are lost.
#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// A capital in at most ten characters.
fn short(capital: f64) -> String {
    match capital {
        0.001..100_000.0 => format!("{capital:.3}"),
        0.0 => "0".to_owned(),
        _ => format!("{capital:.2e}"),
    }
}

/// One poll from one line.
fn poll(line: &str) -> anyhow::Result<Poll> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let &[x_c, n_c, x_s, n_s] = fields.as_slice() else {
        bail!("it has {} fields and must have 4: {}", fields.len(), FIELDS.join(","));
    };
    let (x_c, n_c, x_s, n_s) = (count("x_c", x_c)?, count("n_c", n_c)?, count("x_s", x_s)?, count("n_s", n_s)?);
    ensure!(x_c <= n_c, "x_c is {x_c} and n_c {n_c}: there cannot be more errors than requests");
    ensure!(x_s <= n_s, "x_s is {x_s} and n_s {n_s}: there cannot be more errors than requests");
    Ok(Poll::new(x_c, n_c, x_s, n_s))
}

fn count(field: &str, text: &str) -> anyhow::Result<u64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let shown: String = text.chars().take(40).collect();
    ensure!(
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()),
        "{field} is {shown:?}, not a whole number"
    );
    ensure!(!text.starts_with('-'), "{field} is {shown}, it must not be negative");
    match digits.parse() {
        Ok(count) if count <= MOST => Ok(count),
        _ => bail!("{field} is {shown}, it must be at most {MOST}"),
    }
}
