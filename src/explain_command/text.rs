//! A replayed log as text: one line per entry, one per signal, and what came of it in the last.

use std::io::{self, Write};

use super::Explained;
use crate::api::{LogEntry, LogSignal, Tally, VerdictWord};
use crate::decide::logbook::replay::{Line, SignalLine};
use crate::decide::words::odds;

pub(super) fn print(explained: &Explained, output: &mut impl Write) -> io::Result<()> {
    writeln!(output, "Release {} of Rollout {}", explained.release, explained.rollout)?;
    for line in &explained.lines {
        entry(line, output)?;
    }
    let count = explained.entries;
    match &explained.differs {
        Some(differs) => writeln!(output, "{count} entries; entry {} differs: {}", differs.seq, differs.what)?,
        None => {
            let gaps = explained.lines.iter().filter(|line| !line.gaps.is_empty()).count();
            let gaps = match gaps {
                0 => String::new(),
                gaps => format!("; {gaps} entries without their counts, not done again"),
            };
            writeln!(output, "{count} entries, chain whole, every verdict the same{gaps}")?;
        }
    }
    Ok(())
}

fn entry(line: &Line, output: &mut impl Write) -> io::Result<()> {
    let LogEntry { seq, at, what, reason, by, weight, wave, verdict, omitted, .. } = &line.entry;
    if *omitted > 0 {
        writeln!(output, "      {omitted} entries were left out here: the log has a bound")?;
    }
    let at = at.strftime("%Y-%m-%d %H:%M:%S");
    let wave = wave.map_or_else(|| "before the waves".to_owned(), |wave| format!("wave {wave}"));
    let why = reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
    let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let said = if *verdict == VerdictWord::None { String::new() } else { format!(": {}", spoken(*verdict)) };
    writeln!(output, "{seq:>4}  {at}  {what}{by}{why}; {wave}, {weight}%{said}")?;
    for (signal, replayed) in line.entry.signals.iter().zip(&line.replayed) {
        if !signal.looks.is_empty() || signal.blind.is_some() {
            writeln!(output, "      {}", told(signal, replayed))?;
        }
    }
    for gap in &line.gaps {
        writeln!(output, "      {gap}")?;
    }
    Ok(())
}

fn told(signal: &LogSignal, replayed: &SignalLine) -> String {
    let mut parts = vec![format!("{} new", replayed.news)];
    if let Some(Tally { canary_requests, canary_errors, stable_requests, stable_errors }) = replayed.counted {
        parts.push(format!("canary {canary_errors} of {canary_requests}"));
        if stable_requests > 0 {
            parts.push(format!("stable {stable_errors} of {stable_requests}"));
        }
    }
    if let (Some([harm, harm_at]), Some([safe, safe_at])) = (replayed.harm, replayed.safe) {
        parts.push(format!("odds against {} ({} are harm)", odds(harm), odds(harm_at)));
        parts.push(format!("for {} ({} are safe)", odds(safe), odds(safe_at)));
    }
    if let Some(samples) = &replayed.samples {
        parts.push(format!("samples {}", if samples.is_empty() { "none" } else { samples }));
    }
    let blind = signal.blind.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let trial = if signal.dry_run { ", dry run" } else { "" };
    format!("{}: {}: {}{blind}{trial}", signal.name, parts.join(", "), spoken(signal.verdict))
}

const fn spoken(word: VerdictWord) -> &'static str {
    match word {
        VerdictWord::None => "nothing to judge",
        VerdictWord::Undecided => "undecided",
        VerdictWord::Safe => "safe",
        VerdictWord::Harm => "harm",
        VerdictWord::NoData => "no data",
    }
}
