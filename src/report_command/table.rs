//! The figures as text: one block per service and per team, every number with what it is of.

use std::io::{self, Write};

use super::Report;
use crate::api::Stage;
use crate::decide::words::span;
use crate::figures::{Batches, Figures, Frequency, LeadTime, Rate, Recovery, Rework, Spread, StageCount};

/// Writes the whole report.
pub(super) fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let days = report.days;
    writeln!(out, "Delivery figures of the {days} days up to {}", report.now)?;
    if report.services.is_empty() && report.owners.is_empty() {
        writeln!(out, "\nThere are no records.")?;
    }
    for one in &report.services {
        let team = one.owner.as_ref().map_or_else(|| "nobody answers for it".to_owned(), |team| format!("team {team}"));
        writeln!(out, "\nService {}, {team}", one.service)?;
        block(&one.figures, &one.rework180, out)?;
    }
    for one in &report.owners {
        let name = one.owner.as_ref().map_or_else(|| "No team".to_owned(), |team| format!("Team {team}"));
        let plural = if one.services == 1 { "" } else { "s" };
        writeln!(out, "\n{name}, {} service{plural}, summed", one.services)?;
        block(&one.figures, &one.rework180, out)?;
    }
    if !report.unreadable.is_empty() {
        let count = report.unreadable.len();
        writeln!(out, "\n{count} of the records could not be read and are in no figure; standard error names them.")?;
    }
    Ok(())
}

fn block(figures: &Figures, rework180: &Rework, out: &mut impl Write) -> io::Result<()> {
    let mut line = |name: &str, text: String| writeln!(out, "  {name:<22}{text}");
    line("Deployments", frequency(&figures.frequency))?;
    let fail = &figures.change_fail;
    let guessed =
        if fail.low_confidence > 0 { format!("; {} of them by a guess", fail.low_confidence) } else { String::new() };
    line("Change fail rate", format!("{}{guessed}", rate(&fail.all)))?;
    line("  contained", rate(&fail.contained))?;
    line("  escaped", rate(&fail.escaped))?;
    line("Rework rate", rework(&figures.rework))?;
    line("  in 180 days", rework(rework180))?;
    match &figures.recovery {
        Some(recovery) => recovery_lines(recovery, &mut line)?,
        None => line("Recovery time", "nothing failed".to_owned())?,
    }
    lead_lines(&figures.lead_time, &mut line)?;
    if figures.recurrence.n > 0 {
        line("Seen before", format!("{}, of what failed", rate(&figures.recurrence)))?;
    }
    if !figures.stages.is_empty() {
        let stages: Vec<String> = figures.stages.iter().map(stage).collect();
        line("Seen to fail", stages.join(", "))?;
    }
    line("Batch size", batches(&figures.batches))?;
    let others = [
        (figures.pre_exposure_failures, "taken back before users met them"),
        (figures.cancelled_before_exposure, "ended before users met them"),
        (figures.superseded, "superseded"),
        (figures.bypassed, "bypassed"),
        (figures.going_on, "going on"),
    ];
    let others: Vec<String> =
        others.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if !others.is_empty() {
        line("Attempts", others.join(", "))?;
    }
    for open in &figures.open_failures {
        line("Open failure", format!("{} for {} ({:?})", open.releases.join(" + "), span(open.age_seconds), open.by))?;
    }
    Ok(())
}

fn frequency(frequency: &Frequency) -> String {
    let Frequency { deployments, promoted, promoted_per_week, median_gap_seconds } = frequency;
    let gap = median_gap_seconds.map_or_else(String::new, |gap| format!(", median gap {}", span(gap)));
    format!("{deployments}, of which {promoted} promoted ({promoted_per_week:.1} a week{gap})")
}

fn rate(rate: &Rate) -> String {
    match (rate.rate, rate.low, rate.high) {
        (Some(share), Some(low), Some(high)) => format!(
            "{:.1} % ({} of {}, 95 % interval {:.1} to {:.1} %)",
            share * 100.0,
            rate.count,
            rate.n,
            low * 100.0,
            high * 100.0
        ),
        (_, _, _) => format!("{} of {}", rate.count, rate.n),
    }
}

fn rework(rework: &Rework) -> String {
    let inferred = if rework.inferred > 0 { format!("; {} of them inferred", rework.inferred) } else { String::new() };
    format!("{}{inferred}", rate(&rework.rate))
}

fn recovery_lines(recovery: &Recovery, line: &mut impl FnMut(&str, String) -> io::Result<()>) -> io::Result<()> {
    let Recovery { failed, open, unverified, time, segments } = recovery;
    let mut rest = vec![format!("{failed} failed")];
    rest.extend((*open > 0).then(|| format!("{open} open")));
    rest.extend((*unverified > 0).then(|| format!("{unverified} taken back, effect not seen")));
    let time = time.as_ref().map_or_else(|| "none is over".to_owned(), spread);
    line("Recovery time", format!("{time}; {}", rest.join(", ")))?;
    let parts = [("  detect", &segments.detect), ("  act", &segments.act), ("  verify", &segments.verify)];
    for (name, part) in parts {
        if let Some(part) = part {
            line(name, spread(part))?;
        }
    }
    Ok(())
}

fn lead_lines(lead: &LeadTime, line: &mut impl FnMut(&str, String) -> io::Result<()>) -> io::Result<()> {
    let LeadTime { promoted, exposed, negative, undated } = lead;
    let mut left = Vec::new();
    left.extend((*negative > 0).then(|| format!("{negative} younger than their deployment")));
    left.extend((*undated > 0).then(|| format!("{undated} without a time")));
    let left = if left.is_empty() { String::new() } else { format!("; left out: {}", left.join(", ")) };
    let known = promoted.as_ref().map_or_else(|| "no commit with a time".to_owned(), spread);
    line("Lead time of commits", format!("{known}{left}"))?;
    match exposed {
        Some(exposed) => line("  to first exposure", spread(exposed)),
        None => Ok(()),
    }
}

fn stage(one: &StageCount) -> String {
    let name = match one.stage {
        Stage::Preflight => "preflight".to_owned(),
        Stage::BeforeExposure => "before exposure".to_owned(),
        Stage::Wave => one.wave.map_or_else(|| "in a wave".to_owned(), |wave| format!("wave {wave}")),
        Stage::Promotion => "promotion".to_owned(),
        Stage::Watch => "watch".to_owned(),
        Stage::Later => "later".to_owned(),
    };
    format!("{name}: {}", one.count)
}

fn batches(batches: &Batches) -> String {
    let median = batches.median.map_or_else(|| "not known".to_owned(), |median| format!("median {median}"));
    let sizes: Vec<String> = batches
        .sizes
        .iter()
        .filter(|one| one.failed.n > 0)
        .map(|one| {
            let share = one.failed.rate.map_or_else(String::new, |rate| format!(" ({:.1} %)", rate * 100.0));
            let size = match one.size {
                "1" => "1 commit".to_owned(),
                "unknown" => "unknown".to_owned(),
                size => format!("{size} commits"),
            };
            format!("{size} {} of {}{share}", one.failed.count, one.failed.n)
        })
        .collect();
    if sizes.is_empty() { median } else { format!("{median}; failed, by size: {}", sizes.join(", ")) }
}

fn spread(spread: &Spread) -> String {
    format!("median {}, p90 {}, n = {}", span(spread.median_seconds), span(spread.p90_seconds), spread.n)
}
