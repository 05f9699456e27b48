//! The bad requests of a counter, series by series: what was counted as one number, looked at again with its labels.
//!
//! Owns which questions bring them and what they are read as. Raw series and no sums: `increase()` misses the first
//! increment of a series, and the series of a failure is often no longer than that. Asks nothing, and must not judge.

use super::super::measure::{Ask, Series};
use super::{Basis, Counts, Role};

/// A question about bad requests, and which of the plane's counters it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct BadAsk {
    /// In order of trust; one of them speaks for both versions.
    pub(in super::super) meter: usize,
    pub(in super::super) ask: Ask,
    /// The counter's own question, if the same series are read for the counts.
    counted: Ask,
}

impl Counts {
    /// What to ask. Each text is another than those of the counts: what is read here, far back and once, must not disturb
    /// what is counted.
    pub(in super::super) fn bad(&self) -> Vec<BadAsk> {
        match &self.basis {
            Basis::Plane(meters) => {
                let of = |(index, meter): (usize, &super::meter::Meter)| {
                    let counted = meter.ask().clone();
                    let asks = meter.bad_asks().unwrap_or_else(|| vec![again(&counted)]);
                    asks.into_iter().map(move |ask| BadAsk { meter: index, ask, counted: counted.clone() })
                };
                meters.iter().enumerate().flat_map(of).collect()
            }
            Basis::Own(own) => {
                let bad = own.asks().into_iter().filter(|ask| own.part(ask).is_some_and(|part| part.x != 0));
                bad.map(|counted| BadAsk { meter: 0, ask: again(&counted), counted }).collect()
            }
        }
    }

    /// Whose bad requests a series counts, and whether each is one more or one fewer; `None` if it counts none.
    pub(in super::super) fn bad_part(&self, asked: &BadAsk, series: &Series) -> Option<(Role, i8)> {
        let part = self.part(&asked.counted, series)?;
        (part.x != 0).then_some((part.role, part.x))
    }

    /// The backend pod that counted, where the series names it.
    pub(in super::super) fn bad_pod<'s>(&self, asked: &BadAsk, series: &'s Series) -> Option<&'s str> {
        self.pod(&asked.counted, series)
    }
}

/// The same selector as another question: PromQL allows blanks between a selector and its range.
fn again(ask: &Ask) -> Ask {
    Ask::Counter(format!("{} ", ask.promql()))
}
