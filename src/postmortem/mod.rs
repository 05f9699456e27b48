//! A postmortem draft as a pure function of records: facts filled in, and what only people can say left open.
//!
//! The way through the files: `case` gathers what the records say about one Release, `facts` and `story` write it down,
//! `questions` asks for the rest. `text` is how foreign text gets into Markdown, `roles` how people do.
//!
//! Pure: no clock, no client. The same case, cause and time give the same text. It speaks of roles and systems; people are
//! named where they are accountable for a change or an approval.

mod case;
mod facts;
mod questions;
mod roles;
mod story;
mod text;

use jiff::Timestamp;

pub use case::{Case, NEARBY, Sources};

use crate::api::{Outcome, PostmortemCause};
use roles::Roles;
use text::{Page, name, time};

/// The longest draft that an object may hold, in bytes.
pub const LONGEST: usize = 65_536;

/// The draft, of at most so many bytes if there is a bound. Facts are cut then, never what people have to write.
pub fn draft(case: &Case, cause: PostmortemCause, drafted_at: Timestamp, most: Option<usize>) -> String {
    let roles = Roles::of(case);
    let mut page = Page::default();
    let what = if case.needs_one() { "Postmortem" } else { "Facts" };
    page.heading(1, &format!("{what}: Release {} of {}", name(&case.key.1), service(case)));
    page.paragraph(&format!(
        "Draft of {}, made from the records of Sluice ({}). {}",
        time(drafted_at),
        why(cause),
        if case.needs_one() {
            "What the records say is filled in and quoted as they say it. What only people can say is marked \"To be \
             written\". It is about what the system did and why that made sense at the time, not about who did it."
        } else {
            nothing_to_explain(case)
        }
    ));
    facts::head(&mut page, case);
    if case.needs_one() {
        questions::summary(&mut page);
    }
    facts::change(&mut page, case);
    facts::impact(&mut page, case);
    facts::trigger(&mut page, case, &roles);
    facts::detection(&mut page, case, &roles);
    facts::resolution(&mut page, case);
    facts::budget(&mut page, case);
    story::timeline(&mut page, case, &roles);
    story::approvals(&mut page, case, &roles);
    story::similar(&mut page, case, &roles);
    story::nearby(&mut page, case);
    story::classification(&mut page, case, &roles);
    let mut rest = Page::default();
    if case.needs_one() {
        questions::rest(&mut rest, case);
    }
    page.text(rest, most)
}

fn service(case: &Case) -> String {
    name(&format!("{}/{}", case.key.0, case.rollout()))
}

const fn why(cause: PostmortemCause) -> &'static str {
    match cause {
        PostmortemCause::Escaped => {
            "Escaped: harm was found after it served everybody, or it took more than 20 % of the month's error budget"
        }
        PostmortemCause::Recurrence => "Recurrence: the same defect was recorded in the 90 days before",
        PostmortemCause::BreakGlass => "BreakGlass: the template rolled without having been proven",
        PostmortemCause::Manual => "Manual: somebody asked for it",
    }
}

/// Of a Release that needs no postmortem.
const fn nothing_to_explain(case: &Case) -> &'static str {
    match case.status.outcome {
        None => {
            "**The Release is going on: there is nothing to explain yet.** What the records hold so far follows; traffic, \
             times and the timeline are recorded when it ends."
        }
        Some(Outcome::Superseded) => {
            "**A newer template replaced it, and nothing spoke against it: there is nothing to explain.** What the records \
             hold follows."
        }
        Some(
            Outcome::Promoted
            | Outcome::RolledBack
            | Outcome::Aborted
            | Outcome::SupersededUnderSuspicion
            | Outcome::FailedBeforeExposure
            | Outcome::Bypassed
            | Outcome::Escaped,
        ) => {
            "**It was promoted, and no failure is recorded for it: there is nothing to explain.** What the records hold \
             follows."
        }
    }
}
