//! Questions without a usable answer, by MetricsProvider and why.
//!
//! A provider stands at 0 from when it is first seen, and what was counted goes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::encode::Families;
use crate::decide::measure::FailureClass;

/// Failures by provider and class; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct QueryErrors(Arc<Mutex<BTreeMap<String, BTreeMap<FailureClass, u64>>>>);

impl QueryErrors {
    /// A question went without a usable answer.
    pub(super) fn failed(&self, provider: &str, class: FailureClass) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(provider.to_owned()).or_default().entry(class).or_default();
        *count = count.saturating_add(1);
    }

    /// Forgets providers that are gone and writes the series of the others.
    pub(super) fn encode(&self, known: &BTreeSet<String>, families: &mut Families<'_, '_>) -> fmt::Result {
        let counts = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|provider, _| known.contains(provider));
            all.clone()
        };
        families.counters("prometheus_query_errors", "Questions without a usable answer", |put| {
            known.iter().try_for_each(|provider| {
                FailureClass::ALL.iter().try_for_each(|class| {
                    let count = counts.get(provider).and_then(|of| of.get(class)).copied().unwrap_or_default();
                    put(&[("provider", provider), ("reason", class.reason())], count)
                })
            })
        })
    }
}
