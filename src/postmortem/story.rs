//! The story around the Release: what was decided when, what people asked for, what failed like it, what else was going on,
//! and how it counts in the figures.

use super::case::{Case, NEARBY, Neighbour, kind_word};
use super::facts::{place, sure};
use super::roles::Roles;
use super::text::{Page, SENTENCE, between, counted, name, quoted, span, time};
use crate::api::{Outcome, REMEMBERED_DAYS};
use crate::figures::{FailedBy, ReworkBy};

/// How many decisions are told, harm that was found later included; a record holds no more.
const DECISIONS: usize = 64;
/// How many requests of people are told; a record holds no more.
const REQUESTS: usize = 20;
/// How many Reclassifications are told.
const SAID: usize = 10;

/// Every decision.
pub(super) fn timeline(page: &mut Page, case: &Case, roles: &Roles) {
    page.heading(2, "Timeline");
    let entries = &case.status.timeline;
    if entries.is_empty() {
        let times = &case.status.times;
        let known = [
            ("The new template was seen", times.requested_at.or(Some(case.attempt.started_at))),
            ("First live traffic", case.attempt.exposed_at),
            ("It served everybody", case.attempt.promoted_at),
            ("Seen to fail", case.attempt.verdict_at),
            ("No more traffic", case.attempt.weight_zero_at),
        ];
        let mut known: Vec<_> = known.into_iter().filter_map(|(what, at)| Some((at?, what))).collect();
        known.sort_by_key(|(at, _)| *at);
        let rows: Vec<[String; 2]> = known.into_iter().map(|(at, what)| [time(at), what.to_owned()]).collect();
        page.paragraph("No decision is recorded in the Release; these are its times.");
        return page.table(["At", "What"], &rows);
    }
    page.paragraph("Times are UTC. Messages are those of the decisions; people in them are shown as roles.");
    let mut rows: Vec<[String; 3]> = entries
        .iter()
        .take(DECISIONS.saturating_sub(usize::from(case.status.escaped.is_some())))
        .map(|entry| [time(entry.at), name(&entry.reason), roles.sentence(&entry.message, SENTENCE)])
        .collect();
    rows.extend(
        case.status
            .escaped
            .iter()
            .map(|escaped| [time(escaped.at), name("Escaped"), roles.sentence(&escaped.message, SENTENCE)]),
    );
    page.table(["At", "Decision", "Message"], &rows);
}

/// What people asked for, and who is accountable for it.
pub(super) fn approvals(page: &mut Page, case: &Case, roles: &Roles) {
    page.heading(2, "Approvals and overrides");
    let all = &case.status.interventions;
    let rows: Vec<[String; 5]> = all
        .iter()
        .take(REQUESTS)
        .map(|one| {
            [
                time(one.at),
                format!("`{}`", one.action.name()),
                name(&one.by),
                roles.sentence(&one.reason, SENTENCE),
                roles.sentence(&one.message, SENTENCE),
            ]
        })
        .collect();
    page.table(["At", "Asked for", "Accountable", "Reason given", "What was done"], &rows);
    if rows.is_empty() {
        page.item("None is recorded");
    }
    if case.status.outcome == Some(Outcome::Bypassed) {
        let asked = all.iter().any(|one| one.action.name() == "BreakGlass");
        page.item(if asked {
            "The template rolled unproven by an Intervention `BreakGlass`"
        } else {
            "The template rolled unproven without an Intervention: who wrote it is in the audit log of the API server"
        });
    }
}

/// What failed like it.
pub(super) fn similar(page: &mut Page, case: &Case, roles: &Roles) {
    page.heading(2, "Similar past failures");
    let Some(signature) = &case.attempt.signature else {
        return page.item("It has no signature: it is not recorded as a failure of a known kind");
    };
    let (all, lately) = case.before_count;
    page.item(&format!(
        "Signature {}. The same defect has the same one, or much the same reason, signal and symptoms. Recorded {} before, \
         {lately} of them in the {REMEMBERED_DAYS} days before",
        name(signature),
        if all == 1 { "once".to_owned() } else { format!("{all} times") },
    ));
    let said = case.events.iter().filter_map(|event| event.spec.recurrence).max();
    if let Some(times) = said.filter(|times| *times > 1) {
        page.item(&format!("Its ReworkEvent counts {times} in {REMEMBERED_DAYS} days, this one included"));
    }
    let at = case.seen_at().unwrap_or(case.attempt.started_at);
    let rows: Vec<[String; 6]> = case
        .before
        .iter()
        .map(|one| {
            let repaired: Vec<String> = one.repaired_by.iter().take(3).map(|key| name(&key.1)).collect();
            let where_ = one.outcome.map_or_else(|| "not recorded".to_owned(), |end| place(one.stage, one.wave, end));
            [
                name(&one.key.1),
                format!("{} before", span(between(one.at, at))),
                where_,
                if one.common.is_empty() {
                    "the signature".to_owned()
                } else {
                    quoted(&one.common.join(", "), SENTENCE)
                },
                roles.sentence(&one.message, SENTENCE),
                if repaired.is_empty() { "not recorded".to_owned() } else { repaired.join(", ") },
            ]
        })
        .collect();
    page.table(["Release", "When", "Where", "In common", "Message", "Repaired by"], &rows);
    if !case.since.is_empty() {
        let names: Vec<String> = case.since.iter().map(|key| name(&key.1)).collect();
        page.item(&format!("Since then it was recorded in {}", names.join(", ")));
    }
}

/// What else was changed.
pub(super) fn nearby(page: &mut Page, case: &Case) {
    let minutes = NEARBY / 60.0;
    page.heading(2, &format!("Other rollouts within {minutes:.0} minutes"));
    let row = |one: &Neighbour| {
        let when = if one.seconds < 0.0 { "before" } else { "after" };
        [
            name(&format!("{}/{}", one.key.0, one.rollout)),
            name(&one.key.1),
            one.outcome.map_or_else(|| "going on".to_owned(), |outcome| format!("`{outcome:?}`")),
            format!("{}: {} {when} {} here", one.what, span(one.seconds.abs()), one.of),
        ]
    };
    let rows: Vec<[String; 4]> = case.nearby.iter().map(row).collect();
    page.table(["Rollout", "Release", "Outcome", "When"], &rows);
    if rows.is_empty() {
        page.item("None among the records that were read");
    }
    page.item("Alerts, and changes that no Rollout governs: not known to Sluice");
}

/// How it counts.
pub(super) fn classification(page: &mut Page, case: &Case, roles: &Roles) {
    let (judged, attempt) = (&case.judged, &case.attempt);
    page.heading(2, "Classification (DORA)");
    if judged.deployment {
        page.item(&match judged.failure {
            Some(failure) => format!(
                "Failed deployment, {}: {} (confidence {})",
                if judged.escaped { "escaped" } else { "contained" },
                failed_by(failure.by),
                sure(failure.confidence)
            ),
            None if case.status.outcome.is_none() => "A deployment that is going on".to_owned(),
            None => "A deployment that did not fail by the rules".to_owned(),
        });
        page.item(&match judged.rework {
            Some(by) => format!("Rework: {}", rework_by(by)),
            None => "No rework".to_owned(),
        });
        if judged.failure.is_some() {
            let seen = if judged.recurring { "It recurred: seen" } else { "Not seen" };
            page.item(&format!("{seen} in the {REMEMBERED_DAYS} days before"));
        }
    } else {
        page.item("No deployment: no user met it, so it is in no rate");
    }
    page.item(&format!("Kind: {} (confidence {})", kind_word(attempt.kind), sure(attempt.confidence)));
    page.item(&match judged.commits {
        Some(commits) => format!("Batch: {}", counted(commits, "commit")),
        None => "Batch: not known".to_owned(),
    });
    let names = |keys: &[(String, String)]| keys.iter().take(10).map(|key| name(&key.1)).collect::<Vec<_>>().join(", ");
    if !judged.together.is_empty() {
        page.item(&format!("One deployment with: {}", names(&judged.together)));
    }
    if !judged.repairs.is_empty() {
        page.item(&format!("It repairs: {}", names(&judged.repairs)));
    }
    let rows: Vec<[String; 4]> = case
        .said
        .iter()
        .take(SAID)
        .map(|one| {
            let failed = one.spec.failed.map(|failed| if failed { "it failed" } else { "it did not fail" });
            let kind = one.spec.kind.map(kind_word);
            let what: Vec<&str> = failed.into_iter().chain(kind).collect();
            [
                one.metadata.creation_timestamp.as_ref().map_or_else(|| "not recorded".to_owned(), |at| time(at.0)),
                if what.is_empty() { "what it repairs".to_owned() } else { what.join(", ") },
                one.spec.requested_by.as_deref().map_or_else(|| "not recorded".to_owned(), name),
                roles.sentence(&one.spec.reason, SENTENCE),
            ]
        })
        .collect();
    page.table(["Reclassified", "As", "Accountable", "Reason given"], &rows);
    page.item("Rules and words: docs/figures.md");
}

const fn failed_by(by: FailedBy) -> &'static str {
    match by {
        FailedBy::RolledBack => "taken back by Sluice after users had met it",
        FailedBy::Escaped => "harm was found after it served everybody",
        FailedBy::Aborted => "taken back on request after users had met it",
        FailedBy::UnderSuspicion => "replaced by a newer template while the evidence spoke against it",
        FailedBy::Remediated => "another deployment repaired it soon after its promotion",
        FailedBy::Marked => "marked as failed by a Reclassification",
    }
}

const fn rework_by(by: ReworkBy) -> &'static str {
    match by {
        ReworkBy::Said => "said to be so",
        ReworkBy::Recorded => "taken for rework or a hotfix when it was recorded",
        ReworkBy::Return => "it goes back to an earlier revision",
        ReworkBy::Remediates => "it repairs a deployment",
        ReworkBy::Suspicion => "what it replaced was under suspicion",
        ReworkBy::OpenFailure => "it was started while a failure of its service was open",
    }
}
