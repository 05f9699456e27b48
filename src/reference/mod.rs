//! The generated pages of docs/reference: fields, metrics, events, conditions.
//!
//! Owns what stands on them and how. Reads the code's own lists and schemas, and nothing of a cluster; writes no file.

mod api;
mod conditions;
mod events;
mod metrics;

pub use conditions::may_stand;
pub use events::{TOLD, Told, Type, When, may_be_told};
pub use metrics::{FAMILIES, Family, Of};

/// Every page, as name of its file and text.
pub fn pages() -> anyhow::Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("api.md", api::markdown()?),
        ("metrics.md", metrics::markdown()?),
        ("events.md", events::markdown()),
        ("conditions.md", conditions::markdown()),
    ])
}

/// What may stand in a cell of a table: one line, in which a bar ends no cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A table of cells that are fit to stand in one.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.to_vec());
    text.push_str(&line(head.iter().map(|_| "---").collect()));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}
