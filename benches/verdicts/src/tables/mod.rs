//! The tables, in the order in which they are printed. Each prints itself and gives what the goals ask for.

pub(crate) mod advance;
pub(crate) mod alternatives;
pub(crate) mod bad;
pub(crate) mod delays;
pub(crate) mod rates;
pub(crate) mod rollouts;
pub(crate) mod stakes;
pub(crate) mod stress;
