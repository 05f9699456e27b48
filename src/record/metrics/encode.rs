//! How families whose label sets are known only at the scrape are written. Knows no metric of its own.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

/// The labels of one series, as name and value.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Writes families one after the other.
pub(super) struct Families<'a, 'e>(pub(super) &'a mut DescriptorEncoder<'e>);

impl Families<'_, '_> {
    /// A family of gauges; `each` puts its series.
    pub(super) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        each: impl FnOnce(&mut dyn FnMut(Labels<'_>, f64) -> fmt::Result) -> fmt::Result,
    ) -> fmt::Result {
        let gauge: Gauge<f64, AtomicU64> = Gauge::default();
        let mut metric = self.0.encode_descriptor(name, help, None, EncodeMetric::metric_type(&gauge))?;
        each(&mut |labels, value| {
            let one = metric.encode_family(&labels)?;
            ConstGauge::new(value).encode(one)
        })
    }

    /// A family of counters; the name goes without `_total`.
    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        each: impl FnOnce(&mut dyn FnMut(Labels<'_>, u64) -> fmt::Result) -> fmt::Result,
    ) -> fmt::Result {
        let counter: Counter = Counter::default();
        let mut metric = self.0.encode_descriptor(name, help, None, EncodeMetric::metric_type(&counter))?;
        each(&mut |labels, value| {
            let one = metric.encode_family(&labels)?;
            ConstCounter::new(value).encode(one)
        })
    }

    /// A family of histograms of seconds; the name goes without its unit.
    pub(super) fn seconds(
        &mut self,
        name: &str,
        help: &str,
        each: impl FnOnce(&mut dyn FnMut(Labels<'_>, &Histogram) -> fmt::Result) -> fmt::Result,
    ) -> fmt::Result {
        let kind = EncodeMetric::metric_type(&Histogram::new([]));
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), kind)?;
        each(&mut |labels, histogram| {
            let one = metric.encode_family(&labels)?;
            histogram.encode(one)
        })
    }
}
