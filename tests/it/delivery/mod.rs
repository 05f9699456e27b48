//! The delivery figures while the operator runs: when they are counted, what status shows of them, and what records cost.

mod records;
mod sizes;
mod status;
