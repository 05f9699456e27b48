//! The figures of one window and one scope: counting, and nothing else.
//!
//! Owns which window a deployment belongs to: that of its exposure, for every figure, so that every numerator is part of
//! its denominator.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::deployments::Deployment;
use super::failures::{FailedBy, failing};
use super::numbers::{Rate, Spread, between, float, median, number, seconds, span};
use super::records::Attempt;
use super::rework::{RecoveredBy, ReworkBy};
use super::{History, Scope, Window};
use crate::api::{Confidence, Outcome, Stage};

/// Everything that is said about a service or a team in a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// The window.
    pub window: Window,
    /// How often.
    pub frequency: Frequency,
    /// Attempts that were taken back before users met them: a good thing, and no deployments.
    pub pre_exposure_failures: u64,
    /// Attempts that were ended by a person or a newer template before users met them.
    pub cancelled_before_exposure: u64,
    /// Deployments that rolled without having been proven.
    pub bypassed: u64,
    /// Deployments that a newer template ended, without suspicion.
    pub superseded: u64,
    /// Deployments that are going on.
    pub going_on: u64,
    /// How many failed.
    pub change_fail: ChangeFail,
    /// How many were made because of a failure.
    pub rework: Rework,
    /// How long failures lasted; absent, not 0, if nothing failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// How long commits took.
    pub lead_time: LeadTime,
    /// Of what failed, what is the same defect as one of the 90 days before.
    pub recurrence: Rate,
    /// How far what failed had come when it was seen to fail, what users never met included.
    pub stages: Vec<StageCount>,
    /// How much was deployed at once, and how much of it failed.
    pub batches: Batches,
    /// Failures that are not over, whenever they began, the oldest first.
    pub open_failures: Vec<OpenFailure>,
}

/// How often something was deployed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Frequency {
    /// Deployments: what users met.
    pub deployments: u64,
    /// Of these, what came to serve everybody.
    pub promoted: u64,
    /// Promoted in seven days, on average.
    pub promoted_per_week: f64,
    /// The median time from one promotion of a service to the next; absent with fewer than two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_gap_seconds: Option<f64>,
}

/// How many deployments failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeFail {
    /// Failed: a figure of quality.
    pub all: Rate,
    /// Failed without ever serving everybody.
    pub contained: Rate,
    /// Failed after it served everybody, or took much of the error budget: a figure of harm.
    pub escaped: Rate,
    /// Of those that failed, how many are only guessed to have.
    pub low_confidence: u64,
}

/// How many deployments were made because of a failure.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rework {
    /// Rework of all deployments, rework included.
    pub rate: Rate,
    /// Of these, how many are inferred from what else was going on.
    pub inferred: u64,
}

/// How long failures lasted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// Failed deployments.
    pub failed: u64,
    /// Of these, what is not over. It is in no median: how long it will last is not known.
    pub open: u64,
    /// Of these, what was taken back without anybody having seen that it was enough.
    pub unverified: u64,
    /// From first exposure to the end; absent if nothing is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Spread>,
    /// Its parts.
    pub segments: Segments,
}

/// The parts of a recovery, each of what has both ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Segments {
    /// From first exposure to the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detect: Option<Spread>,
    /// From the verdict to weight 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Spread>,
    /// From weight 0 until what remained was within tolerance again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Spread>,
}

/// How long commits took.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeadTime {
    /// From commit until it served everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted: Option<Spread>,
    /// From commit until users first met it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed: Option<Spread>,
    /// Commits left out because they are younger than their deployment.
    pub negative: u64,
    /// Commits left out because nobody said when they were made.
    pub undated: u64,
}

/// How many were seen to fail there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StageCount {
    /// Where.
    pub stage: Stage,
    /// The wave; absent where it is none, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wave: Option<u8>,
    /// How many.
    pub count: u64,
}

/// How much was deployed at once.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Batches {
    /// The median number of commits; absent where nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median: Option<f64>,
    /// What failed, by size.
    pub sizes: Vec<Batch>,
}

/// Deployments of one size.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Commits, in words.
    pub size: &'static str,
    /// How many of these failed.
    pub failed: Rate,
}

/// A failure that is not over.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenFailure {
    /// The Releases, as namespace/name.
    pub releases: Vec<String>,
    /// The rule by which it failed.
    pub by: FailedBy,
    /// Since it was first exposed.
    pub since: Timestamp,
    /// How long that is.
    pub age_seconds: f64,
}

pub(super) fn figures(history: &History, scope: Scope<'_>, days: u32, now: Timestamp) -> Figures {
    let window = Window::new(days, now);
    let mine: Vec<&Deployment> =
        history.deployments.iter().filter(|one| one.members.iter().any(|member| scope.holds(member))).collect();
    let all: Vec<&Deployment> = mine.iter().copied().filter(|one| window.holds(one.exposed_at)).collect();
    let failed: Vec<&Deployment> = all.iter().copied().filter(|one| one.failure.is_some()).collect();
    let ended = |attempts: &[Attempt]| -> Vec<Attempt> {
        let at = |one: &Attempt| one.verdict_at.unwrap_or(one.started_at);
        attempts.iter().filter(|one| scope.holds(one) && window.holds(at(one))).cloned().collect()
    };
    let before = ended(&history.before_exposure);
    let count = |test: &dyn Fn(&Deployment) -> bool| number(all.iter().filter(|one| test(one)).count());
    let escaped = |one: &&Deployment| one.escaped(&history.settings);
    Figures {
        window,
        frequency: frequency(&all, scope, days),
        pre_exposure_failures: number(before.len()),
        cancelled_before_exposure: number(ended(&history.cancelled).len()),
        bypassed: count(&|one| one.members.iter().any(|member| member.outcome == Some(Outcome::Bypassed))),
        superseded: count(&|one| one.outcome == Some(Outcome::Superseded)),
        going_on: count(&|one| one.outcome.is_none()),
        change_fail: ChangeFail {
            all: Rate::of(&all, |one| one.failure.is_some()),
            contained: Rate::of(&all, |one| one.failure.is_some() && !escaped(one)),
            escaped: Rate::of(&all, escaped),
            low_confidence: count(&|one| one.failure.is_some_and(|failure| failure.confidence == Confidence::Low)),
        },
        rework: Rework {
            rate: Rate::of(&all, |one| one.rework.is_some()),
            inferred: count(&|one| matches!(one.rework, Some(ReworkBy::OpenFailure | ReworkBy::Suspicion))),
        },
        recovery: recovery(&failed),
        lead_time: lead_time(&all),
        recurrence: Rate::of(&failed, |one| one.recurring),
        stages: stages(&failed, &before),
        batches: batches(&all),
        open_failures: open(&mine, now),
    }
}

fn frequency(all: &[&Deployment], scope: Scope<'_>, days: u32) -> Frequency {
    let promoted = number(all.iter().filter(|one| one.promoted_at.is_some()).count());
    // The gaps of each service by itself: two services that are deployed in turn are not deployed twice as often.
    let mut times: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for one in all {
        let Some(at) = one.promoted_at else { continue };
        for member in one.members.iter().filter(|member| scope.holds(member)) {
            times.entry(&member.service).or_default().push(at.as_millisecond());
        }
    }
    let mut gaps = Vec::new();
    for times in times.values_mut() {
        times.sort_unstable();
        gaps.extend(times.iter().zip(times.iter().skip(1)).map(|(one, next)| next.saturating_sub(*one)));
    }
    gaps.sort_unstable();
    Frequency {
        deployments: number(all.len()),
        promoted,
        promoted_per_week: float(promoted) * 7.0 / f64::from(days.max(1)),
        median_gap_seconds: median(&gaps).map(seconds),
    }
}

fn recovery(failed: &[&Deployment]) -> Option<Recovery> {
    if failed.is_empty() {
        return None;
    }
    let unverified = |one: &&&Deployment| one.recovered.is_some_and(|one| one.by == RecoveredBy::WeightZero);
    // Of several workloads the first that was seen to fail, and the last that was taken back.
    let first = |one: &Deployment, time: fn(&Attempt) -> Option<Timestamp>| one.members.iter().filter_map(time).min();
    let last = |one: &Deployment, time: fn(&Attempt) -> Option<Timestamp>| one.members.iter().filter_map(time).max();
    let verdict = |one: &Deployment| first(one, |member| member.verdict_at);
    let zero = |one: &Deployment| last(one, |member| member.weight_zero_at);
    let verified = |one: &Deployment| {
        one.recovered.filter(|recovered| recovered.by == RecoveredBy::Verified).map(|recovered| recovered.at)
    };
    let spread = |from: &dyn Fn(&Deployment) -> Option<Timestamp>, to: &dyn Fn(&Deployment) -> Option<Timestamp>| {
        Spread::of(failed.iter().filter_map(|one| span(from(one), to(one))).collect())
    };
    let exposed = |one: &Deployment| Some(one.exposed_at);
    Some(Recovery {
        failed: number(failed.len()),
        open: number(failed.iter().filter(|one| one.recovered.is_none()).count()),
        unverified: number(failed.iter().filter(unverified).count()),
        time: spread(&exposed, &|one| one.recovered.map(|recovered| recovered.at)),
        segments: Segments {
            detect: spread(&exposed, &verdict),
            act: spread(&verdict, &zero),
            verify: spread(&zero, &verified),
        },
    })
}

fn lead_time(all: &[&Deployment]) -> LeadTime {
    let sum = |count: fn(&Deployment) -> u64| all.iter().fold(0_u64, |sum, one| sum.saturating_add(count(one)));
    LeadTime {
        promoted: Spread::of(all.iter().flat_map(|one| one.lead.promoted.iter().copied()).collect()),
        exposed: Spread::of(all.iter().flat_map(|one| one.lead.exposed.iter().copied()).collect()),
        negative: sum(|one| one.lead.negative),
        undated: sum(|one| one.lead.undated),
    }
}

fn stages(failed: &[&Deployment], before: &[Attempt]) -> Vec<StageCount> {
    let mut counts: BTreeMap<(Stage, Option<u8>), u64> = BTreeMap::new();
    let mut add = |stage: Stage, wave: Option<u8>| {
        let count = counts.entry((stage, wave.filter(|_| stage == Stage::Wave))).or_default();
        *count = count.saturating_add(1);
    };
    for attempt in before {
        add(attempt.stage.unwrap_or(Stage::BeforeExposure), None);
    }
    for one in failed {
        // Of several workloads the one that had come furthest.
        let failing = failing(one);
        let said = failing.iter().filter_map(|member| Some((member.stage?, member.wave))).max();
        let wave = failing.iter().filter_map(|member| member.wave).max();
        let (stage, wave) = said.unwrap_or(match one.failure.map(|failure| failure.by) {
            Some(FailedBy::Escaped) => (Stage::Watch, None),
            Some(FailedBy::Remediated | FailedBy::Marked) if failing.iter().any(|member| member.reached_all()) => {
                (Stage::Later, None)
            }
            Some(
                FailedBy::RolledBack
                | FailedBy::Aborted
                | FailedBy::UnderSuspicion
                | FailedBy::Remediated
                | FailedBy::Marked,
            )
            | None => (Stage::Wave, wave),
        });
        add(stage, wave);
    }
    counts.into_iter().map(|((stage, wave), count)| StageCount { stage, wave, count }).collect()
}

fn batches(all: &[&Deployment]) -> Batches {
    // In thousandths, as times are: the middle between two neighbours is no whole number.
    let thousandths = |size: u64| i64::try_from(size).unwrap_or(i64::MAX).saturating_mul(1000);
    let mut sizes: Vec<i64> = all.iter().filter_map(|one| one.size).map(thousandths).collect();
    sizes.sort_unstable();
    let class = |size: &'static str, holds: &dyn Fn(Option<u64>) -> bool| {
        let some: Vec<&Deployment> = all.iter().copied().filter(|one| holds(one.size)).collect();
        Batch { size, failed: Rate::of(&some, |one| one.failure.is_some()) }
    };
    let within = |from: u64, to: u64| move |size: Option<u64>| size.is_some_and(|size| (from..=to).contains(&size));
    Batches {
        median: median(&sizes).map(seconds),
        sizes: vec![
            class("1", &within(1, 1)),
            class("2-5", &within(2, 5)),
            class("6-20", &within(6, 20)),
            class(">20", &within(21, u64::MAX)),
            class("unknown", &|size| size.is_none()),
        ],
    }
}

fn open(mine: &[&Deployment], now: Timestamp) -> Vec<OpenFailure> {
    let open = mine.iter().filter(|one| one.exposed_at <= now && one.recovered.is_none());
    open.filter_map(|one| {
        Some(OpenFailure {
            releases: one.releases(),
            by: one.failure?.by,
            since: one.exposed_at,
            age_seconds: seconds(between(one.exposed_at, now)),
        })
    })
    .collect()
}
