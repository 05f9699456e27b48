//! What the project promises, beside what was measured.

use crate::lab::{Share, Table};

/// The goals in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Goals(Vec<Goal>);

#[derive(Debug)]
struct Goal {
    what: String,
    limit: String,
    measured: String,
    met: bool,
}

impl Goals {
    pub(crate) fn add(&mut self, what: &str, limit: String, measured: String, met: bool) {
        self.0.push(Goal { what: what.to_owned(), limit, measured, met });
    }

    /// No cell has a larger share than this. A cell of few runs may have one hit more than the share allows: one of 500
    /// does not say that the rate is above 0.1 %.
    pub(crate) fn worst(&mut self, what: &str, cells: &[Share], most: f64) {
        let allowed = |share: &Share| (most * share.of as f64).max(1.0);
        let met = cells.iter().all(|share| share.hits as f64 <= allowed(share));
        let worst = cells.iter().copied().max_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let (hits, runs) = cells.iter().fold((0, 0), |(hits, runs), share| (hits + share.hits, runs + share.of));
        let measured = format!(
            "worst of {} cells {}, all together {hits} of {runs}",
            cells.len(),
            worst.map_or_else(|| "none".to_owned(), Share::text)
        );
        self.add(what, format!("at most {}%", most * 100.0), measured, met);
    }

    /// A number is not above this.
    pub(crate) fn most(&mut self, what: &str, most: f64, measured: f64) {
        let text = crate::lab::whole;
        self.add(what, format!("at most {}", text(most)), text(measured), measured <= most);
    }

    /// Prints all; whether all are met.
    pub(crate) fn print(&self) -> bool {
        println!("## Goals\n");
        let mut table = Table::new(&["Goal", "Limit", "Measured", ""]);
        for Goal { what, limit, measured, met } in &self.0 {
            table.row(&[what.as_str(), limit, measured, if *met { "pass" } else { "**FAIL**" }]);
        }
        table.print();
        self.0.iter().all(|goal| goal.met)
    }
}
