//! Hostile input: everything that users, other programs and networks can send is read without a panic, within bounded
//! memory, and what is wrong with it is said.
//!
//! Each file generates what its subject may meet and holds what must be true of any of it; `corpus/` keeps hand-picked
//! cases and each one that ever failed. Private parsers have a `hostile` module beside them in `src/` (`decode`,
//! `weights`, `sources`, `calendar`, `facts`) that uses the same texts and values. To look longer:
//!
//! ```text
//! PROPTEST_CASES=20000 cargo test --lib --test it hostile::
//! ```

mod foreign;
mod judging;
pub(crate) mod nasty;
mod objects;
mod schema;
mod selectors;
mod units;
