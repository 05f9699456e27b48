//! What the poller wants of whoever answers: one question, one answer.
//!
//! Exists so that a simulation can answer in place of a server; `client` is what answers in production.

use std::time::Duration as Span;

use futures::future::BoxFuture;

use super::decode::Refusal;
use crate::decide::measure::{Ask, Provider, Sample, Series};

/// What a question was answered with.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// To `Ask::Counter`.
    Counters(Vec<Series>),
    /// To `Ask::Value`.
    Value(Sample),
}

/// The end of one try.
#[derive(Debug)]
pub struct Outcome {
    /// What came back, or the class of the failure and one sentence about it.
    pub answer: Result<Answer, Refusal>,
    /// How long it took.
    pub took: Span,
}

/// Answers questions.
pub trait Source: Send + Sync {
    /// Asks once, within the provider's time. A counter is read `window` seconds back.
    fn ask<'a>(&'a self, provider: &'a Provider, ask: &'a Ask, window: u64) -> BoxFuture<'a, Outcome>;
}
