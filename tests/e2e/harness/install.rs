//! Taking parts of Sluice out of the cluster, and putting everything back whatever happens meanwhile.
//!
//! Only for scenarios that run alone.

use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt;

use super::operator;
use super::world::World;

/// A file of `deploy/base`.
pub fn manifest(name: &str) -> String {
    format!("{}/deploy/base/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a part of a scenario, and installs everything again after it, also when it fails.
pub async fn restored(world: &World, part: impl Future<Output = ()>) {
    let outcome = AssertUnwindSafe(part).catch_unwind().await;
    if outcome.is_err() {
        world.explain().await;
    }
    apply(world).await;
    operator::complete(&world.client).await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// `kubectl apply -f deploy/install.yaml`.
pub async fn apply(world: &World) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");
    world.succeeds(&["--namespace=sluice-system", "apply", "-f", file]).await;
}
