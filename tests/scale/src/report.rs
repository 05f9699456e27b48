//! The page docs/performance.md: what stays is in performance.md.in, what was measured is put in here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::operator::Memory;
use crate::results::{Active, AtSize, Results, percentile};

const PAGE: &str = include_str!("performance.md.in");
/// The goals.
const MEMORY_MIB: f64 = 64.0;
const WRITES: usize = 20;

/// The whole page.
pub(crate) fn page(results: &Results) -> String {
    let page = PAGE
        .replace("@GOALS@", goals(results).trim_end())
        .replace("@MEMORY@", memory(results).trim_end())
        .replace("@REST@", rest(results).trim_end())
        .replace("@HOURLY@", hourly(results).trim_end())
        .replace("@RELEASE@", release(results).trim_end())
        .replace("@START@", start(results).trim_end())
        .replace("@ADOPT@", adopt(results).trim_end())
        .replace("@ACTIVE@", active(results).trim_end())
        .replace("@MISSING@", missing(results).trim_end());
    format!("{}\n", page.trim_end())
}

/// The tables alone, for a terminal.
pub(crate) fn tables(results: &Results) -> String {
    let sections = [goals, memory, rest, hourly, release, start, adopt, active, missing];
    sections.map(|section| section(results)).join("\n")
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn most(memory: Memory) -> f64 {
    mib(memory.most)
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        // A String takes everything.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

fn goals(results: &Results) -> String {
    let largest = results.sizes.last();
    let word = |met: bool| if met { "met" } else { "**missed**" };
    let mut rows = Vec::new();
    if let Some(at) = largest {
        let now = mib(at.leader.now.max(at.standby.now));
        let top = [most(at.leader), most(at.standby), mib(at.fresh_most), most(at.scraped)];
        let top = top.into_iter().fold(0.0, f64::max);
        rows.push(vec![
            format!("under {MEMORY_MIB:.0} MiB resident with {} Rollouts adopted", at.rollouts),
            format!("{now:.1} MiB at rest, {top:.1} MiB at most"),
            word(top < MEMORY_MIB).to_owned(),
        ]);
        let requests: usize = at.rest.about_one.values().sum();
        rows.push(vec![
            "no request for any Rollout at rest".to_owned(),
            format!("{requests} in {:.0} s with {} Rollouts", at.rest.seconds, at.rollouts),
            word(requests == 0).to_owned(),
        ]);
        if let Some(hourly) = &results.hourly {
            let hourly: usize = hourly.values().sum();
            rows.push(vec![
                "the same when an hour has passed".to_owned(),
                format!("{hourly} for {} Rollouts", results.hourly_of),
                word(hourly == 0).to_owned(),
            ]);
        }
    }
    if let Some(writes) = results.releases.iter().map(|one| one.writes.values().sum::<usize>()).max() {
        rows.push(vec![
            format!("under {WRITES} writes for a complete release of four waves"),
            writes.to_string(),
            word(writes < WRITES).to_owned(),
        ]);
    }
    table(&["Goal", "Measured", ""], rows.into_iter())
}

fn memory(results: &Results) -> String {
    let first = results.sizes.first();
    let row = |at: &AtSize| {
        let per = first.filter(|first| first.rollouts < at.rollouts).map(|first| {
            let more = (at.rollouts - first.rollouts) as f64;
            let own = at.leader.own.saturating_sub(first.leader.own) as f64 * 1024.0 / more;
            let listed = at.listed.saturating_sub(first.listed) as f64 / more;
            (own, listed)
        });
        vec![
            at.rollouts.to_string(),
            format!("{:.1} / {:.1}", mib(at.leader.now), most(at.leader)),
            format!("{:.1} / {:.1}", mib(at.standby.now), most(at.standby)),
            format!("{:.1} / {:.1}", mib(at.fresh.now), mib(at.fresh_most)),
            format!("{:.1}", mib(at.leader.own)),
            format!("{:.1}", at.listed as f64 / 1024.0 / 1024.0),
            per.map_or("–".to_owned(), |(own, _)| format!("{:.1}", own / 1024.0)),
            per.map_or("–".to_owned(), |(own, listed)| format!("{:.2}", own / listed)),
            at.told.0.to_string(),
            format!("{:.2}", at.told.1 as f64 / 1024.0 / 1024.0),
            format!("{:.1} / {:.1}", mib(at.scraped.now), most(at.scraped)),
        ]
    };
    table(
        &[
            "Rollouts",
            "leader, now / at most",
            "standby",
            "started anew",
            "leader without files",
            "listed as JSON",
            "KiB for each further Rollout",
            "of its JSON",
            "series told to Prometheus",
            "as text",
            "leader after one answer",
        ],
        results.sizes.iter().map(row),
    )
}

fn kinds(counts: &BTreeMap<String, usize>) -> String {
    let text: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if text.is_empty() { "none".to_owned() } else { text.join(", ") }
}

fn rest(results: &Results) -> String {
    let row = |at: &AtSize| {
        let all = |verb: &str| {
            let of = |(kind, count): (&String, &usize)| if kind.starts_with(verb) { *count } else { 0 };
            at.rest.requests.iter().map(of).sum::<usize>()
        };
        let leases: usize =
            at.rest.requests.iter().filter(|(kind, _)| kind.contains("leases")).map(|(_, count)| count).sum();
        let total: usize = at.rest.requests.values().sum();
        let minutes = at.rest.seconds / 60.0;
        let per_minute = |count: usize| format!("{:.1}", count as f64 / minutes);
        vec![
            at.rollouts.to_string(),
            per_minute(all("watch")),
            per_minute(all("list")),
            per_minute(leases),
            per_minute(total.saturating_sub(all("watch") + all("list") + leases)),
            kinds(&at.rest.about_one),
            format!("{:.2}", at.rest.cpu / at.rest.seconds * 100.0),
        ]
    };
    table(
        &["Rollouts", "watches", "lists", "Lease", "others", "for any Rollout, in the whole time", "% of one core"],
        results.sizes.iter().map(row),
    )
}

fn hourly(results: &Results) -> String {
    let row = |(kind, count): (&String, &usize)| {
        vec![kind.clone(), count.to_string(), format!("{:.2}", *count as f64 / results.hourly_of.max(1) as f64)]
    };
    match &results.hourly {
        None => "(not measured)\n".to_owned(),
        Some(counts) if counts.is_empty() => format!("None, for {} Rollouts.\n", results.hourly_of),
        Some(counts) => table(&["Request", "Times", "for each Rollout"], counts.iter().map(row)),
    }
}

fn release(results: &Results) -> String {
    let row = |one: &crate::results::Release| {
        vec![
            one.beside.to_string(),
            format!("{:.0} s", one.seconds),
            one.writes.values().sum::<usize>().to_string(),
            kinds(&one.writes),
        ]
    };
    table(&["Beside so many Rollouts", "Took", "Writes", "Of them"], results.releases.iter().map(row))
}

fn start(results: &Results) -> String {
    let row = |at: &AtSize| {
        let slowest = at.starts.iter().copied().fold(0.0, f64::max);
        let all: Vec<String> = at.starts.iter().map(|seconds| format!("{seconds:.2}")).collect();
        vec![
            at.rollouts.to_string(),
            all.join(", "),
            format!("{:.2}", at.list_seconds),
            format!("{:.1}", slowest / at.list_seconds.max(0.001)),
            at.start_requests.to_string(),
        ]
    };
    table(
        &[
            "Rollouts",
            "ready after s (standby, leader)",
            "plain lists, s",
            "ratio",
            "requests for any Rollout afterwards",
        ],
        results.sizes.iter().map(row),
    )
}

fn adopt(results: &Results) -> String {
    let row = |at: &AtSize| {
        vec![
            at.adopted.to_string(),
            format!("{:.1}", at.adopt_seconds),
            at.adopt_writes.to_string(),
            format!("{:.1}", at.adopt_writes as f64 / at.adopted.max(1) as f64),
            format!("{:.1}", at.plain_seconds),
            format!("{:.1}", at.adopt_seconds / at.plain_seconds.max(0.001)),
        ]
    };
    table(&["Adopted", "in s", "writes", "for each", "as many plain writes, s", "ratio"], results.sizes.iter().map(row))
}

fn active(results: &Results) -> String {
    let alone = results.active.iter().find(|one| one.rollouts == 1).and_then(|one| percentile(&one.few, 50));
    let row = |one: &Active| {
        let at = |values: &[f64], percent| {
            percentile(values, percent).map_or("–".to_owned(), |value| format!("{value:.2}"))
        };
        let both = |values: &[f64]| format!("{} / {}", at(values, 50), at(values, 99));
        let ratio = |values: &[f64]| match (percentile(values, 50), alone) {
            (Some(value), Some(alone)) => format!("{:.1}", value / alone),
            _ => "–".to_owned(),
        };
        vec![
            one.rollouts.to_string(),
            format!("{:.0}", one.exposed_seconds),
            both(&one.few),
            ratio(&one.few),
            both(&one.every),
            ratio(&one.every),
            both(&one.few_exposed),
            both(&one.every_exposed),
            format!("{:.1} / {:.1}", mib(one.leader.now), most(one.leader)),
        ]
    };
    table(
        &[
            "In a wave",
            "all of them after s",
            "a few bad: p50 / p99 s",
            "to one alone",
            "all others at once: p50 / p99 s",
            "to one alone",
            "a few, from the first failing request",
            "all others, the same",
            "leader MiB, now / at most",
        ],
        results.active.iter().map(row),
    )
}

fn missing(results: &Results) -> String {
    if results.missing.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = results.missing.iter().map(|one| format!("- {one}")).collect();
    format!("## Not measured\n\n{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_table_and_keeps_no_placeholder() {
        let at = |rollouts: usize, own: u64, listed: usize| AtSize {
            rollouts,
            listed,
            list_seconds: 0.5,
            starts: vec![1.0],
            leader: Memory { now: own + 9000, own, most: own + 12_000 },
            ..AtSize::default()
        };
        let results =
            Results { sizes: vec![at(1, 10_000, 100_000), at(1001, 20_240, 20_580_000)], ..Results::default() };
        let page = page(&results);
        assert!(!page.contains('@'), "{page}");
        // 10 MiB more of memory and 19.5 MiB more of JSON for 1,000 more.
        assert!(page.contains("| 10.2 | 0.51 | 0 | 0.00 | 0.0 / 0.0 |"), "{page}");
        assert!(page.contains("| 1001 | 1.00 | 0.50 | 2.0 |"), "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 120 || line.starts_with('|')), "{page}");
    }
}
