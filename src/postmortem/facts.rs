//! What happened, as far as the record of this Release says: what was changed, what users met, how it was seen, how it
//! ended. What a record does not hold is said to be not known, never to be 0.

use jiff::Timestamp;

use super::case::{Case, kind_word};
use super::roles::Roles;
use super::text::{Page, SENTENCE, between, counted, grouped, name, quoted, share_text, span, time};
use crate::api::{Confidence, Outcome, Stage, Trigger};
use crate::decide::reasons::REASONS;

/// How many images and digests are named.
const IMAGES: usize = 20;
/// How many commits are named.
const COMMITS: usize = 50;

/// Who and what, at a glance.
pub(super) fn head(page: &mut Page, case: &Case) {
    let spec = &case.release.spec;
    let owner = match &spec.owner {
        Some(owner) => {
            let contact = owner.contact.as_deref().map(|contact| format!(", reached at {}", name(contact)));
            format!("team {}{}", name(&owner.team), contact.unwrap_or_default())
        }
        None => "not recorded: `spec.owner` of the Rollout was not set".to_owned(),
    };
    let outcome = case.status.outcome.map_or_else(|| "going on".to_owned(), |outcome| format!("`{outcome:?}`"));
    let mut rows = vec![
        ["Namespace, Rollout".to_owned(), format!("{}, {}", name(&case.key.0), name(&spec.rollout))],
        ["Workload".to_owned(), name(&spec.workload)],
        ["Attempt".to_owned(), format!("{}, Release {}", spec.number, name(&case.key.1))],
        ["Outcome".to_owned(), outcome],
        ["Owner, and whom to escalate to".to_owned(), owner],
    ];
    if case.needs_one() {
        rows.push(["Severity".to_owned(), "_to be set_".to_owned()]);
        rows.push(["Status".to_owned(), "draft".to_owned()]);
    }
    page.table(["Fact", "Value"], &rows);
}

/// What was changed.
pub(super) fn change(page: &mut Page, case: &Case) {
    let (spec, change) = (&case.release.spec, &case.release.spec.change);
    page.heading(2, "What was changed");
    page.item(&format!("Template: {}; before it: {}", name(&spec.revision), name(&spec.from_revision)));
    let images: Vec<String> = spec.images.iter().take(IMAGES).map(|image| quoted(image, SENTENCE)).collect();
    page.item(&format!("Images: {}", listed(&images, spec.images.len())));
    let all = &case.status.digests;
    let digests: Vec<String> = all.iter().take(IMAGES).map(|digest| quoted(digest, SENTENCE)).collect();
    page.item(&format!("Image digests that ran: {}", listed(&digests, all.len())));
    page.item(&match &spec.classification {
        Some(one) => format!(
            "Kind when it was recorded: {} (confidence {}, by {})",
            kind_word(one.kind),
            sure(one.confidence),
            quoted(&one.by, SENTENCE)
        ),
        None => "Kind when it was recorded: not recorded".to_owned(),
    });
    if let Some(failed) = &spec.remediates {
        page.item(&format!("Comes after the failed Release {}", name(failed)));
    }
    let or_not = |text: Option<&String>| text.map_or_else(|| "not recorded".to_owned(), |text| name(text));
    page.item(&format!("Incident or ticket: {}", or_not(change.reference.as_ref())));
    page.item(&format!("Accountable for the change: {}", or_not(change.requested_by.as_ref())));
    if let Some(id) = &change.release_id {
        page.item(&format!("Released together under the id {}", name(id)));
    }
    let count = u64::from(change.commit_count).max(u64::try_from(change.commits.len()).unwrap_or(u64::MAX));
    if count == 0 {
        return page.item("Commits: not recorded (annotation `sluice.dev/commits`)");
    }
    page.item(&format!("Commits: {}", counted(count, "commit")));
    let rows: Vec<[String; 2]> = change
        .commits
        .iter()
        .take(COMMITS)
        .map(|commit| [quoted(&commit.sha, 64), commit.at.map_or_else(|| "not recorded".to_owned(), time)])
        .collect();
    page.table(["Commit", "Made"], &rows);
}

/// Named ones, and how many there are besides.
fn listed(shown: &[String], all: usize) -> String {
    match (shown.is_empty(), all.saturating_sub(shown.len())) {
        (true, _) => "not recorded".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A confidence in a sentence.
pub(super) const fn sure(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
    }
}

/// What users met.
pub(super) fn impact(page: &mut Page, case: &Case) {
    let (exposure, attempt) = (&case.status.exposure, &case.attempt);
    page.heading(2, "Impact");
    if attempt.exposed_at.is_none() {
        page.item("No user met it: it was given no live traffic, or none is recorded yet");
    } else if exposure.requests == 0 {
        page.item("Requests that it served: not known (none are counted in the record)");
    } else {
        page.item(&format!(
            "Requests that it served as a canary: {}, of which {} failed ({}); {} of these are recorded as more than \
             would have failed at stable's rate in the same time",
            grouped(exposure.requests),
            grouped(exposure.errors),
            share_text(exposure.errors, exposure.requests),
            grouped(exposure.excess_errors)
        ));
    }
    if let Some(from) = attempt.exposed_at {
        page.item(&format!("Largest share of live traffic: {} %", exposure.max_weight));
        page.item(&match met_until(case) {
            Some((to, what)) => {
                format!("Users met it for {}: from {} until {what}", span(between(from, to)), time(from))
            }
            None => format!("Users met it from {} on; an end is not recorded", time(from)),
        });
    }
    if attempt.reached_all() {
        page.item(
            "Requests after the promotion are not counted in the record: see the signal under Detection, and the service's \
             own metrics",
        );
    }
    page.item(&format!("Had it served everybody: {}", at_everybody(case)));
    page.item("Users concerned, data lost or changed, and money: not known to Sluice");
}

/// Until when users met it.
fn met_until(case: &Case) -> Option<(Timestamp, String)> {
    let attempt = &case.attempt;
    if let Some(at) = attempt.weight_zero_at {
        return Some((at, format!("{} (weight 0)", time(at))));
    }
    let recovered = case.judged.recovered.filter(|_| attempt.reached_all())?;
    Some((recovered.at, format!("{} (what repairs it served everybody)", time(recovered.at))))
}

/// How many requests would have failed if the version had served everybody from the start: the excess at the canary's
/// share, scaled to all requests of the same time. The share was never larger than the largest weight, so all requests
/// are at least this many.
fn at_everybody(case: &Case) -> String {
    let exposure = &case.status.exposure;
    let (requests, excess) = (exposure.requests, exposure.excess_errors);
    let weight = u64::from(exposure.max_weight);
    if case.attempt.exposed_at.is_none() {
        return "not known: it served no request from which that could be told".to_owned();
    }
    if case.attempt.reached_all() {
        return "it did; there is nothing to estimate".to_owned();
    }
    if requests == 0 || weight == 0 {
        return "not known: no requests are counted at a share of live traffic".to_owned();
    }
    if excess == 0 && exposure.errors == 0 {
        return format!("not known: none of the {} that it served failed", counted(requests, "request"));
    }
    if excess == 0 {
        return format!(
            "not known: of the {} that it served, no more are recorded to have failed than at stable's rate",
            counted(requests, "request")
        );
    }
    let scaled = |count: u64| count.saturating_mul(100).checked_div(weight).unwrap_or_default();
    let (all, failed) = (scaled(requests), scaled(excess));
    format!(
        "at least {} would have failed beyond stable's rate, {} more than did. Computed as excess errors / largest share = \
         {} / {weight} %, for at least {} in the same time ({} / {weight} %), as if it had been taken back after the same \
         time; n = {}",
        counted(failed, "request"),
        grouped(failed.saturating_sub(excess)),
        grouped(excess),
        counted(all, "request"),
        grouped(requests),
        counted(requests, "canary request")
    )
}

/// What ended it.
pub(super) fn trigger(page: &mut Page, case: &Case, roles: &Roles) {
    let status = &case.status;
    page.heading(2, if case.needs_one() { "Trigger" } else { "How it ended" });
    let Some(outcome) = status.outcome else {
        return page.item("None: the Release has not ended");
    };
    if let Some(event) = case.events.last() {
        page.item(match event.spec.trigger {
            Trigger::Automatic => "By Sluice, on evidence",
            Trigger::Manual => "By a person's request, see Approvals and overrides, or by a change past the gate",
        });
    }
    page.item(&format!("At: {}", place(status.stage, status.wave, outcome)));
    let reason = case.events.last().map(|event| &event.spec.reason).or(status.reason.as_ref());
    if let Some(reason) = reason {
        let known = REASONS.iter().find(|one| one.name == reason.as_str());
        let meaning = known.map(|one| format!(": {}", one.meaning)).unwrap_or_default();
        page.item(&format!("Reason: {}{meaning}", name(reason)));
    }
    page.item(&format!("Message of the record: {}", roles.sentence(&status.message, SENTENCE.saturating_mul(2))));
}

/// Where in its way a Release was.
pub(super) fn place(stage: Option<Stage>, wave: Option<u8>, outcome: Outcome) -> String {
    match stage {
        Some(Stage::Preflight) => "preflight, before anything was made".to_owned(),
        Some(Stage::BeforeExposure) => "the canary's pods, before the first request".to_owned(),
        Some(Stage::Wave) => wave.map_or_else(|| "a wave".to_owned(), |wave| format!("wave {wave}")),
        Some(Stage::Promotion) => "the promotion, while the Deployment rolled".to_owned(),
        Some(Stage::Watch) => "the watch after the promotion".to_owned(),
        Some(Stage::Later) => "after the watch".to_owned(),
        None => match outcome {
            Outcome::Promoted | Outcome::Escaped => "after the promotion".to_owned(),
            Outcome::Bypassed => "outside the waves: nothing was proven".to_owned(),
            Outcome::RolledBack
            | Outcome::Aborted
            | Outcome::Superseded
            | Outcome::SupersededUnderSuspicion
            | Outcome::FailedBeforeExposure => "not recorded".to_owned(),
        },
    }
}

/// How it was seen.
pub(super) fn detection(page: &mut Page, case: &Case, roles: &Roles) {
    let (status, times) = (&case.status, &case.status.times);
    page.heading(2, "Detection");
    let signal = case.events.last().and_then(|event| event.spec.signal.as_ref());
    let signal = signal.or(status.escaped.as_ref().map(|escaped| &escaped.signal));
    page.item(&match signal {
        Some(signal) => format!("By the signal {}", name(signal)),
        None => "By no signal of the analysis".to_owned(),
    });
    if let Some(escaped) = &status.escaped {
        let said = roles.sentence(&escaped.message, SENTENCE.saturating_mul(2));
        page.item(&format!("After the promotion, at {}: {said}", time(escaped.at)));
    }
    let seen = case.seen_at();
    if status.outcome == Some(Outcome::Bypassed) {
        let seen = seen.map_or_else(|| "a time that is not recorded".to_owned(), time);
        return page.item(&format!("Nothing was judged: it was seen to roll at {seen}"));
    }
    page.item(&match (case.attempt.exposed_at, seen) {
        (Some(exposed), Some(seen)) => format!(
            "Time to detect, from first exposure ({}) to the verdict ({}): {}",
            time(exposed),
            time(seen),
            span(between(exposed, seen))
        ),
        (None, Some(seen)) => format!("Verdict at {}, before any user met it", time(seen)),
        (_, None) => "Time to detect: no verdict is recorded".to_owned(),
    });
    if let (Some(sample), Some(verdict), None) = (times.sample_at, times.verdict_at, &status.escaped) {
        page.item(&format!(
            "From the sample that decided ({}) to the verdict: {}",
            time(sample),
            span(between(sample, verdict))
        ));
    }
}

/// How it ended, step by step.
pub(super) fn resolution(page: &mut Page, case: &Case) {
    let (times, attempt, judged) = (&case.status.times, &case.attempt, &case.judged);
    page.heading(2, "Resolution");
    let verdict = case.seen_at();
    // What was promoted is taken from the canary's route too; nothing was resolved by that.
    let back = if attempt.reached_all() { None } else { times.weight_zero_at.or(attempt.weight_zero_at) };
    let steps = [
        ("The canary had no more traffic", back),
        ("Requests that remained were within tolerance again", attempt.recovered_at),
        ("The routes were as before", times.route_restored_at.filter(|_| back.is_some())),
        ("Nothing of it was left", times.ended_at.filter(|_| back.is_some())),
    ];
    let mut steps: Vec<_> = steps.into_iter().filter_map(|(what, at)| Some((at?, what))).collect();
    steps.sort_by_key(|(at, _)| *at);
    let mut last = verdict;
    let mut rows: Vec<[String; 3]> = Vec::new();
    for (at, what) in steps {
        let took = last.map_or_else(|| "not known".to_owned(), |last| span(between(last, at)));
        rows.push([what.to_owned(), time(at), took]);
        last = Some(at);
    }
    page.table(["Step", "At", "Took, from the step before (first: from the verdict)"], &rows);
    if rows.is_empty() {
        page.item(if attempt.escaped {
            "Nothing was taken back: after a promotion Sluice records harm and leaves the way back to people"
        } else {
            "Nothing was taken back"
        });
    } else if attempt.recovered_at.is_none() {
        page.item("Whether what remained was well again was not seen");
    }
    let repaired: Vec<String> = judged.repaired_by.iter().take(SHOWN).map(|key| name(&key.1)).collect();
    if !repaired.is_empty() {
        page.item(&format!("Repaired by: {}", listed(&repaired, judged.repaired_by.len())));
    }
    match (judged.failure, judged.recovered) {
        (Some(_), Some(over)) => page.item(&format!(
            "Time to recover, from first exposure: {} ({:?})",
            attempt.exposed_at.map_or_else(|| "not known".to_owned(), |from| span(between(from, over.at))),
            over.by
        )),
        (Some(_), None) => page.item("**Not over when this was drafted**: no end of the failure is recorded"),
        (None, _) => {}
    }
}

/// How many Releases are named in one line.
const SHOWN: usize = 10;

/// What it cost.
pub(super) fn budget(page: &mut Page, case: &Case) {
    page.heading(2, "Error budget");
    page.item(&match case.attempt.budget_percent {
        Some(percent) => format!("Its excess errors as a canary took {percent:.2} % of the month's error budget"),
        None => "Cost: not known (no error budget is recorded for it)".to_owned(),
    });
}
