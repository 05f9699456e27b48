//! What only people can say, as questions. They ask about the system and what was known at the time, not about persons.

use super::case::Case;
use super::text::{Page, name};

/// At the top, where readers begin.
pub(super) fn summary(page: &mut Page) {
    page.heading(2, "Summary");
    page.prompt(
        "Two or three sentences for somebody who was not there: what users noticed, for how long, and what ended it.",
    );
}

/// Everything below the facts.
pub(super) fn rest(page: &mut Page, case: &Case) {
    page.heading(2, "Contributing factors");
    page.prompt(
        "Which conditions had to come together? Write what made each step look right with what was known at that time. \
         Name roles and systems, not persons.",
    );
    page.heading(2, "Why tests and checks did not show it earlier");
    page.prompt(
        "Which test, review or signal could have shown it before users met it, and what kept it from doing so? Is there a \
         test for it now?",
    );
    page.heading(2, "Lessons");
    page.heading(3, "What went well");
    page.prompt("Which safeguards worked as they were meant to?");
    page.heading(3, "What went wrong");
    page.prompt("What took longer, cost more or was harder to see than it needs to be?");
    page.heading(3, "Where we were lucky");
    page.prompt("What kept it small that nobody planned for?");
    page.heading(2, "Action items");
    page.paragraph("Each has one owner and a date; the type says what it does: prevent, detect, mitigate or process.");
    let empty = || std::array::from_fn(|_| String::from(" "));
    page.table(["Action", "Type", "Owner", "Due", "Ticket"], &[empty(), empty(), empty()]);
    page.heading(2, "Review");
    page.table(
        ["Field", "Value", "Accountable", "Date"],
        &[
            ["Severity".to_owned(), "_to be set_".to_owned(), " ".to_owned(), " ".to_owned()],
            ["Final classification".to_owned(), final_classification(case), " ".to_owned(), " ".to_owned()],
            ["Approval".to_owned(), "_open_".to_owned(), " ".to_owned(), " ".to_owned()],
        ],
    );
    page.paragraph(&format!(
        "If the final classification is another one than above, create a Reclassification with `spec.release` {}: the \
         figures follow it, and this Release stays as it is.",
        name(&case.key.1)
    ));
}

fn final_classification(case: &Case) -> String {
    let said = case.judged.failure.map(|_| if case.judged.escaped { "failed, escaped" } else { "failed, contained" });
    format!("_to be confirmed_ (above: {})", said.unwrap_or("not a failed deployment"))
}
