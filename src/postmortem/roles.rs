//! People in a draft: named where they are accountable for a change or an approval, and nowhere else.
//!
//! Owns how names are taken out of sentences. Whom a message names that no record holds as a person is not known here.

use super::case::Case;
use super::text::quoted;

/// The longest text that is looked through; more of it is not shown anyway.
const LOOKED_THROUGH: usize = 2048;

/// The people of a case.
#[derive(Debug)]
pub(super) struct Roles(Vec<String>);

impl Roles {
    pub(super) fn of(case: &Case) -> Self {
        let mut people: Vec<String> = case.people.iter().filter(|one| one.chars().count() >= 2).cloned().collect();
        // One whose name holds another's comes first, so that it is found whole.
        people.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        Self(people)
    }

    /// A sentence of the records, with the roles of people instead of their names.
    pub(super) fn sentence(&self, text: &str, most: usize) -> String {
        let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= LOOKED_THROUGH).last().unwrap_or(0);
        let end = if text.len() <= LOOKED_THROUGH { text.len() } else { end };
        let mut text = text.get(..end).unwrap_or_default().to_owned();
        for person in &self.0 {
            text = replaced(&text, person);
        }
        quoted(&text, most)
    }
}

/// The text with each whole word that is this name taken out.
fn replaced(text: &str, person: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once(person) {
        let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        let inside = head.chars().next_back().or_else(|| shown.chars().next_back().filter(|_| head.is_empty()));
        let whole = !inside.is_some_and(word) && !tail.chars().next().is_some_and(word);
        shown.push_str(head);
        shown.push_str(if whole { "(accountable person)" } else { person });
        rest = tail;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_role_where_it_is_a_word() {
        let roles = Roles(vec!["ada@example.com".into(), "ada".into()]);
        for (text, shown) in [
            ("Abort by ada (too slow): taken back", "`Abort by (accountable person) (too slow): taken back`"),
            ("held by ada@example.com", "`held by (accountable person)`"),
            ("adapter-7 and canada", "`adapter-7 and canada`"),
            ("ada", "`(accountable person)`"),
        ] {
            assert_eq!(roles.sentence(text, 200), shown);
        }
        assert!(roles.sentence(&"é".repeat(1 << 20), 100).len() < 110);
    }
}
