//! `testbed status` and `testbed logs`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::cluster::Layout;
use testbed::{Testbed, lifecycle};

/// Prints a table; the exit status tells whether everything that is meant to run is ready.
pub(super) fn status(layout: &Layout) -> Result<ExitCode> {
    let status = Testbed::open(layout.name())?.status()?;
    let mut all_well = status.node_ready && status.gateway_ready;
    writeln!(io::stdout(), "{:<20} {:<9} {:>8} {:>9}  LAST EXIT", "COMPONENT", "STATE", "RESTARTS", "RSS")?;
    for component in &status.components {
        let state = match (component.wanted, component.running, component.ready) {
            (false, _, _) => "stopped",
            (true, false, _) => "waiting",
            (true, true, false) => "starting",
            (true, true, true) => "ready",
        };
        all_well &= component.ready || !component.wanted;
        writeln!(
            io::stdout(),
            "{:<20} {state:<9} {:>8} {:>5} MiB  {}",
            component.name,
            component.restarts,
            component.rss_kib / 1024,
            component.last_exit.as_deref().unwrap_or("-")
        )?;
    }
    let ready = |ready| if ready { "ready" } else { "not ready" };
    writeln!(
        io::stdout(),
        "node {}, gateway {}, all processes {} MiB",
        ready(status.node_ready),
        ready(status.gateway_ready),
        status.rss_kib_of_all / 1024
    )?;
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn logs(layout: &Layout, component: &str, lines: usize, follow: bool) -> Result<()> {
    let path = layout.log(component);
    let mut file = File::open(&path).with_context(|| format!("there is no log {}", path.display()))?;
    let mut at = file.seek(SeekFrom::End(0))?;
    writeln!(io::stdout(), "{}", lifecycle::tail(&path, lines))?;
    if !follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(Duration::from_millis(200));
        file.seek(SeekFrom::Start(at))?;
        let mut added = Vec::new();
        file.read_to_end(&mut added)?;
        io::stdout().write_all(&added)?;
        io::stdout().flush()?;
        at = file.stream_position()?;
    }
}
