//! What a comparison has seen: polls taken in one after the other, and the verdict on them. `sluice explain` does the
//! same from the log, by these very functions.
//!
//! Owns the order in which the parts of a poll are believed, and the form of policy and capital in the log.

use super::super::super::logbook::{self, number, poll};
use crate::api::{JudgedBy, Look, SignalState, Tally, Values};
use crate::judge::{self, Capital, Evidence, Judge, Policy, Stakes, Verdict};

/// The capitals, and with `allowAbsoluteOnly` those from the time in which stable had no requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in super::super::super) struct Seen {
    pub(in super::super::super) evidence: Evidence,
    pub(in super::super::super) absolute: Option<Evidence>,
}

impl Seen {
    pub(in super::super) fn of(state: &SignalState) -> Self {
        Self { evidence: state.evidence.unwrap_or_default(), absolute: state.absolute }
    }

    pub(in super::super) const fn keep(&self, state: &mut SignalState) {
        state.evidence = Some(self.evidence);
        state.absolute = self.absolute;
    }

    /// As the log has it.
    fn values(&self) -> Values {
        let fresh = |evidence: &Evidence| evidence.is_fresh();
        let known = [("evidence", Some(self.evidence)), ("absolute", self.absolute)];
        let known = known.into_iter().filter_map(|(name, evidence)| Some((name, evidence?)));
        known.filter(|(_, one)| !fresh(one)).map(|(name, one)| (name.to_owned(), one.to_text())).collect()
    }

    /// From the log.
    pub(in super::super::super) fn read(values: &Values) -> Result<Self, String> {
        let read = |name: &str| {
            let text = values.get(name);
            text.map(|text| Evidence::from_text(text).ok_or_else(|| format!("{name} cannot be read"))).transpose()
        };
        Ok(Self { evidence: read("evidence")?.unwrap_or_default(), absolute: read("absolute")? })
    }
}

/// Takes polls in: of each what was counted while the share was still changing, and what was counted since. One without
/// a request of the canary says nothing. Harm is final: what comes after it in the same reading cannot take it back. How
/// many were taken.
pub(in super::super::super) fn fold(judge: &Judge, seen: &mut Seen, polls: &[(Tally, Tally)], absolute: bool) -> usize {
    let mut taken: usize = 0;
    for (settling, settled) in polls {
        if settling.canary_requests > 0 {
            judge.look_while_settling(&mut seen.evidence, &counts(settling));
        }
        if settled.canary_requests > 0 {
            judge.look(&mut seen.evidence, &counts(settled));
        }
        if absolute && settled.canary_requests > 0 && settled.stable_requests == 0 {
            judge.look(seen.absolute.get_or_insert_default(), &counts(settled));
        }
        taken = taken.saturating_add(1);
        if judge.verdict(&seen.evidence) == Verdict::Harm {
            break;
        }
    }
    taken
}

fn counts(tally: &Tally) -> judge::Poll {
    judge::Poll::new(tally.canary_errors, tally.canary_requests, tally.stable_errors, tally.stable_requests)
}

/// What was seen is worth: the capitals, what was won against the floor alone if that is harm by itself, the verdict.
pub(in super::super::super) fn verdict(judge: &Judge, seen: &Seen) -> (Capital, Option<f64>, Verdict) {
    let capital = judge.capital(&seen.evidence);
    let absolute = seen.absolute.map(|absolute| judge.capital(&absolute).floor).filter(|won| *won >= judge.harm_at());
    let verdict = if absolute.is_some() { Verdict::Harm } else { judge.judge(&capital) };
    (capital, absolute, verdict)
}

/// Remembers for the log what was new, and what was known before and after.
pub(in super::super) fn log(
    state: &mut SignalState,
    by: JudgedBy,
    (judge, absolute): (&Judge, bool),
    (before, seen): (&Seen, &Seen),
    news: &[(Tally, Tally)],
) {
    let news = news.iter().map(|(settling, settled)| poll(settling, settled)).collect::<Vec<_>>().join(" ");
    let policy = policy(judge.policy(), absolute);
    logbook::add(state, Look { by, policy, before: before.values(), news, left_out: 0, after: after(judge, seen) });
}

/// What was seen is worth, as the log has it.
pub(in super::super::super) fn after(judge: &Judge, seen: &Seen) -> Values {
    let capital = judge.capital(&seen.evidence);
    let absolute = seen.absolute.map(|absolute| judge.capital(&absolute).floor);
    let all = [
        ("harm", Some(capital.harm)),
        ("fuse", Some(capital.fuse)),
        ("safe", Some(capital.safe)),
        ("absolute", absolute),
    ];
    all.into_iter().filter_map(|(name, won)| Some((name.to_owned(), number(won?)))).collect()
}

fn policy(policy: &Policy, absolute: bool) -> Values {
    let Policy { tolerance, floor, alpha, exclude_ratio, exclude_floor, beta, dispersion, stakes } = policy;
    let numbers = [
        ("tolerance", tolerance),
        ("floor", floor),
        ("alpha", alpha),
        ("excludeRatio", exclude_ratio),
        ("excludeFloor", exclude_floor),
        ("beta", beta),
        ("dispersion", dispersion),
    ];
    let stakes = match stakes {
        Stakes::Published => "published",
        Stakes::Lasting => "lasting",
    };
    let words = [("stakes", stakes.to_owned()), ("absolute", absolute.to_string())];
    let numbers = numbers.into_iter().map(|(name, value)| (name, number(*value)));
    numbers.chain(words).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The judge that a policy in the log asks for, and whether the floor alone counts.
pub(in super::super::super) fn policy_of(values: &Values) -> Result<(Judge, bool), String> {
    let text = |name: &str| values.get(name).ok_or_else(|| format!("policy.{name} is missing"));
    let read = |name: &str| {
        let text = text(name)?;
        text.parse::<f64>().map_err(|_| format!("policy.{name} is {text:?}, which is no number"))
    };
    let stakes = match text("stakes")?.as_str() {
        "published" => Stakes::Published,
        "lasting" => Stakes::Lasting,
        other => return Err(format!("policy.stakes is {other:?}, which is not known")),
    };
    let policy = Policy {
        tolerance: read("tolerance")?,
        floor: read("floor")?,
        alpha: read("alpha")?,
        exclude_ratio: read("excludeRatio")?,
        exclude_floor: read("excludeFloor")?,
        beta: read("beta")?,
        dispersion: read("dispersion")?,
        stakes,
    };
    let judge = Judge::new(policy).map_err(|why| format!("policy: {why}"))?;
    Ok((judge, text("absolute")? == "true"))
}
