//! Answers queries from the counters of the simulated gateway.

use std::time::Duration;

use futures::future::BoxFuture;
use sluice::decide::measure::{Ask, FailureClass, Provider, Sample};
use sluice::prometheus::{Answer, Outcome, Source};

use crate::faults::Query;
use crate::world::World;

/// What one process of the operator asks.
pub struct Prometheus(pub World);

impl Source for Prometheus {
    fn ask<'a>(&'a self, provider: &'a Provider, ask: &'a Ask, window: u64) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let fate = {
                let mut state = self.0.lock();
                let now = self.0.elapsed();
                state.faults.query(now)
            };
            let (answer, took) = match fate {
                Query::Unreachable => (Err((FailureClass::Unreachable, "connection refused".to_owned())), 1),
                Query::Silent => {
                    let patience = provider.timeout.std();
                    tokio::time::sleep(patience).await;
                    (Err((FailureClass::Timeout, "no answer".to_owned())), 0)
                }
                Query::Answered(took) => {
                    tokio::time::sleep(Duration::from_millis(took)).await;
                    let state = self.0.lock();
                    let answer = match ask {
                        Ask::Counter(_) => Ok(Answer::Counters(state.traffic.series(window, self.0.elapsed()))),
                        Ask::Value(_) => Ok(Answer::Value(Sample { at: self.0.now(), value: 0.0 })),
                    };
                    (answer, took)
                }
            };
            Outcome { answer, took: Duration::from_millis(took) }
        })
    }
}
