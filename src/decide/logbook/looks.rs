//! The form in which a look at a signal is kept, and reading it back.

use super::super::verdict::Opinion;
use crate::api::{LogSignal, Look, SignalState, Tally, Values};

/// Counts of one poll of both versions: `canary errors/requests:stable errors/requests`, with `~` before those of the
/// time in which the share was still changing.
pub(in super::super) fn poll(settling: &Tally, settled: &Tally) -> String {
    let arms = |tally: &Tally| {
        let Tally { canary_requests, canary_errors, stable_requests, stable_errors } = tally;
        format!("{canary_errors}/{canary_requests}:{stable_errors}/{stable_requests}")
    };
    let nothing = Tally::default();
    match (*settling == nothing, *settled == nothing) {
        (true, _) => arms(settled),
        (false, true) => format!("~{}", arms(settling)),
        (false, false) => format!("~{},{}", arms(settling), arms(settled)),
    }
}

/// The counts that a text of [`poll`] holds: while the share was changing, and since.
pub(in super::super) fn read_poll(text: &str) -> Option<(Tally, Tally)> {
    let arms = |text: &str| {
        let (canary, stable) = text.split_once(':')?;
        let ((canary_errors, canary_requests), (stable_errors, stable_requests)) =
            (read_pair(canary)?, read_pair(stable)?);
        Some(Tally { canary_requests, canary_errors, stable_requests, stable_errors })
    };
    match text.strip_prefix('~') {
        None => Some((Tally::default(), arms(text)?)),
        Some(text) => match text.split_once(',') {
            None => Some((arms(text)?, Tally::default())),
            Some((settling, settled)) => Some((arms(settling)?, arms(settled)?)),
        },
    }
}

/// `errors/requests`.
pub(in super::super) fn read_pair(text: &str) -> Option<(u64, u64)> {
    let (errors, requests) = text.split_once('/')?;
    Some((errors.parse().ok()?, requests.parse().ok()?))
}

/// A number as the shortest text that reads back as the same.
pub(in super::super) fn number(value: f64) -> String {
    let plain = value == 0.0 || (1e-4..1e9).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

/// How many there are in a text of news.
pub(in super::super) fn count(news: &str) -> usize {
    news.split(' ').filter(|one| !one.is_empty()).count()
}

/// The looks at a signal that wait for an entry, while it is looked at anew.
pub(in super::super) fn set_aside(state: &mut SignalState) -> Vec<Look> {
    state.unlogged.as_deref_mut().map(|unlogged| std::mem::take(&mut unlogged.looks)).unwrap_or_default()
}

/// A look at a signal.
pub(in super::super) fn add(state: &mut SignalState, look: Look) {
    state.unlogged.get_or_insert_default().looks.push(look);
}

/// Remembers what a signal said until an entry takes it, and what it was looked at for in this pass behind what was
/// looked at before.
pub(in super::super) fn remember(state: &mut SignalState, earlier: Vec<Look>, opinion: &Opinion) {
    let unlogged = state.unlogged.get_or_insert_default();
    let new = std::mem::replace(&mut unlogged.looks, earlier);
    unlogged.verdict = opinion.word();
    unlogged.blind = match opinion {
        Opinion::Blind(blind) => Some(blind.reason.to_owned()),
        Opinion::Harm(_) | Opinion::Safe(_) | Opinion::Undecided(_) => {
            new.is_empty().then(|| LogSignal::NOT_JUDGED.to_owned())
        }
    };
    for look in new {
        match unlogged.looks.last_mut() {
            Some(last) if last.by == look.by && last.policy == look.policy => {
                let both = [std::mem::take(&mut last.news), look.news];
                last.news = both.into_iter().filter(|news| !news.is_empty()).collect::<Vec<_>>().join(" ");
                last.after = look.after;
            }
            Some(_) | None => unlogged.looks.push(look),
        }
    }
}

/// A value of a look.
pub(super) fn value<'a>(values: &'a Values, name: &str) -> Result<&'a str, String> {
    values.get(name).map(String::as_str).ok_or_else(|| format!("{name} is missing"))
}

/// A value of a look that is a number.
pub(super) fn parsed<T: std::str::FromStr>(values: &Values, name: &str) -> Result<T, String> {
    let text = value(values, name)?;
    text.parse().map_err(|_| format!("{name} is {text:?}, which cannot be read"))
}
