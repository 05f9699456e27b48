//! Bringing a testbed up and taking it down. Each may be called at any time, in any state, and again.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::{Layout, config, manifests, pki};
use crate::handle::Testbed;
use crate::image::{self, Image};
use crate::parts::{self, Parts};
use crate::progress::{PATIENCE, Progress};
use crate::supervisor::control::Status;
use crate::supervisor::identity::Identity;
use crate::supervisor::{RUN_VARIABLE, remains};

const PAUSE: Duration = Duration::from_millis(100);
/// How long a start may take once everything is built.
const START_PATIENCE: Duration = Duration::from_secs(90);
/// A component that ends by itself this often while starting will not come up.
const HOPELESS: u32 = 5;

/// Brings the testbed up, from whatever state it is in, and returns when everything in it is ready.
///
/// # Errors
/// When a part cannot be had or a component does not come up; the message says which.
pub fn up(layout: &Layout, progress: Progress) -> Result<Testbed> {
    require_root()?;
    let _lock = parts::lock(&parts::cache_root()?, &format!("up-{}", layout.name()))?;
    let parts = Parts::obtain(progress)?;
    if Identity::read(layout).is_some_and(|supervisor| supervisor.is_alive()) {
        progress.say(&format!("testbed {}: is up already", layout.name()));
    } else {
        if remains::exist(layout) {
            progress.say(&format!("testbed {}: removing what an earlier one left", layout.name()));
            remains::remove(layout)?;
        }
        progress.say(&format!("testbed {}: starting", layout.name()));
        fs::create_dir_all(layout.state())?;
        config::write(layout, &parts)?;
        fs::write(parts_file(layout), serde_json::to_vec(&parts)?)?;
        start_supervisor(layout)?;
    }
    let testbed = Testbed::open(layout.name())?;
    testbed.enter()?;
    finish(&testbed, layout, &parts, progress)?;
    Ok(testbed)
}

/// Takes the testbed down and removes everything of it; does nothing when there is nothing.
///
/// # Errors
/// When something of it cannot be removed.
pub fn down(layout: &Layout) -> Result<()> {
    require_root()?;
    remains::remove(layout)
}

/// The parts that a testbed was started with.
///
/// # Errors
/// When the testbed is not up.
pub fn parts_of(layout: &Layout) -> Result<Parts> {
    let text = fs::read(parts_file(layout)).with_context(|| format!("the testbed {:?} is not up", layout.name()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// Imports an image archive into the testbed's containerd.
///
/// # Errors
/// When containerd is down or refuses the archive.
pub fn import_image(layout: &Layout, parts: &Parts, archive: &Path) -> Result<()> {
    parts::output(
        Command::new(parts.debian_program("ctr"))
            .arg("--address")
            .arg(layout.containerd_socket())
            .args(["--namespace", "k8s.io", "images", "import"])
            .arg(archive),
    )
    .map(drop)
    .context("containerd did not take the image")
}

fn parts_file(layout: &Layout) -> std::path::PathBuf {
    layout.path("parts.json")
}

fn require_root() -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "a testbed makes namespaces and cgroups, which needs root: run this with sudo, or as root in a privileged container"
    );
    Ok(())
}

fn start_supervisor(layout: &Layout) -> Result<()> {
    let log = File::create(layout.log("supervisor"))?;
    let launched = Command::new(std::env::current_exe()?)
        .args(["supervise", "--name", layout.name()])
        .env(RUN_VARIABLE, pki::random()?)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .context("cannot start the supervisor")?;
    ensure!(launched.success(), "the supervisor did not start: {}", tail(&layout.log("supervisor"), 5));
    Ok(())
}

/// What is left to do once the supervisor runs: images, objects, and waiting for everything.
fn finish(testbed: &Testbed, layout: &Layout, parts: &Parts, progress: Progress) -> Result<()> {
    wait(testbed, layout, progress, "containerd", |status| is_ready(status, "containerd"))?;
    let pause = Image { tag: "sluice.test/pause:1".to_owned(), entrypoint: "/pause".to_owned(), ..Image::default() };
    let archive = layout.path("pause.tar");
    image::write(&pause, &parts.kubernetes.join("pause"), &archive)?;
    import_image(layout, parts, &archive)?;

    wait(testbed, layout, progress, "the API server", |status| is_ready(status, "apiserver"))?;
    manifests::apply(testbed, layout, parts)?;
    wait(testbed, layout, progress, "the node", |status| status.node_ready)?;
    progress.say("node ready");
    wait(testbed, layout, progress, "the gateway", |status| status.gateway_ready && is_ready(status, "traefik"))?;
    for component in ["prometheus", "alertmanager", "controller-manager", "scheduler", "kubelet", "metrics-adapter"] {
        wait(testbed, layout, progress, component, |status| is_ready(status, component))?;
    }
    progress.say("gateway, Prometheus and Alertmanager ready");
    Ok(())
}

fn is_ready(status: &Status, name: &str) -> bool {
    // What somebody stopped on purpose is not waited for.
    status.components.iter().any(|component| component.name == name && (component.ready || !component.wanted))
}

fn wait(
    testbed: &Testbed,
    layout: &Layout,
    progress: Progress,
    what: &str,
    ready: impl Fn(&Status) -> bool,
) -> Result<()> {
    let started = Instant::now();
    let mut said = Instant::now();
    loop {
        match testbed.status() {
            Ok(status) if ready(&status) => return Ok(()),
            Ok(status) => {
                if let Some(failed) = status.components.iter().find(|component| component.restarts >= HOPELESS) {
                    bail!(
                        "{} does not stay up (last: {}); see `testbed logs {}`; its last lines:\n{}",
                        failed.name,
                        failed.last_exit.as_deref().unwrap_or("unknown"),
                        failed.name,
                        tail(&layout.log(&failed.name), 8)
                    );
                }
            }
            // The socket appears a moment after the supervisor.
            Err(error) if started.elapsed() > Duration::from_secs(5) => {
                return Err(error.context(tail(&layout.log("supervisor"), 5)));
            }
            Err(_) => {}
        }
        ensure!(
            started.elapsed() < START_PATIENCE,
            "{what} was not ready after {} s; see `testbed status` and `testbed logs COMPONENT`",
            START_PATIENCE.as_secs()
        );
        if said.elapsed() > PATIENCE {
            progress.say(&format!("waiting for {what}"));
            said = Instant::now();
        }
        std::thread::sleep(PAUSE);
    }
}

/// The last lines of a file.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let mut last: Vec<_> = text.lines().rev().take(lines).collect();
    last.reverse();
    last.join("\n")
}
