//! The commands of `testbed`: they read arguments and print; the work is the library's.

mod image;
mod look;
mod proxy;
mod traffic;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use testbed::cluster::Layout;
use testbed::parts::Parts;
use testbed::progress::Progress;
use testbed::{Testbed, lifecycle, simulated, supervisor};

/// A real Kubernetes cluster with gateway, Prometheus and Alertmanager on this machine, for tests and the demo.
#[derive(Debug, Parser)]
#[command(name = "testbed", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Which {
    /// Which testbed; several run side by side.
    #[arg(long, default_value = "main", env = "SLUICE_TESTBED")]
    name: String,
}

impl Which {
    fn layout(&self) -> Result<Layout> {
        Layout::new(&self.name)
    }

    fn open(&self) -> Result<Testbed> {
        Testbed::open(&self.name)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a testbed up; the first time this builds Kubernetes, which takes some minutes.
    Up {
        #[command(flatten)]
        which: Which,
    },
    /// Run a command in the testbed's network, with KUBECONFIG set and kubectl, helm, promtool and amtool on PATH.
    Exec {
        #[command(flatten)]
        which: Which,
        /// The command and its arguments.
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Show how every component is.
    Status {
        #[command(flatten)]
        which: Which,
    },
    /// Print the last lines of a component's log.
    Logs {
        #[command(flatten)]
        which: Which,
        /// The component, or `supervisor`.
        component: String,
        /// Go on printing what is added.
        #[arg(short, long)]
        follow: bool,
        /// How many lines.
        #[arg(long, default_value_t = 50)]
        lines: usize,
    },
    /// Print where the API server's audit log is, oldest part first; fails if a part may have been dropped.
    AuditLog {
        #[command(flatten)]
        which: Which,
    },
    /// Take a testbed down and remove everything of it.
    Down {
        #[command(flatten)]
        which: Which,
    },
    /// Stop a component and leave it down.
    Stop(OneComponent),
    /// Start a component that was stopped, and wait until it is ready.
    Start(OneComponent),
    /// Stop a component, start it again, and wait until it is ready.
    Restart(OneComponent),
    /// Kill a component; it is started again a second later, as after any crash.
    Kill(OneComponent),
    /// Add nodes that are simulated, for Pods that run nothing; the first time this builds KWOK.
    Kwok {
        #[command(flatten)]
        which: Which,
        /// How many.
        #[arg(long, default_value_t = 10)]
        nodes: u16,
    },
    /// Give Prometheus files of rules, in place of earlier ones of the same names, and load them.
    Rules {
        #[command(flatten)]
        which: Which,
        /// Files as Prometheus reads them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print where kubectl, helm or promtool is, after getting it if need be; no testbed is needed.
    Tool {
        /// The program.
        program: String,
    },
    /// Pack a program and its shared libraries into an image.
    Image(image::ImageArguments),
    /// Send requests at a fixed rate and count what comes back.
    Load(traffic::LoadArguments),
    /// Do harm between Pods and the API server until told to stop; only connections made from now on are harmed.
    Proxy(proxy::ProxyArguments),
    #[command(hide = true)]
    Supervise {
        #[command(flatten)]
        which: Which,
        #[arg(long)]
        isolated: bool,
    },
}

#[derive(Debug, Args)]
struct OneComponent {
    #[command(flatten)]
    which: Which,
    /// The component, as `testbed status` calls it.
    component: String,
}

const READY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Up { which } => {
            let progress = Progress::start();
            let testbed = lifecycle::up(&which.layout()?, progress)?;
            progress.say(&format!(
                "testbed {0} is up; look around with: testbed exec --name {0} -- kubectl get pods -A",
                testbed.name()
            ));
        }
        Command::Exec { which, command } => return exec(&which.open()?, &command),
        Command::Status { which } => return look::status(&which.layout()?),
        Command::Logs { which, component, follow, lines } => {
            look::logs(&which.layout()?, &component, lines, follow)?;
        }
        Command::AuditLog { which } => {
            for path in which.open()?.audit_log_paths()? {
                writeln!(io::stdout(), "{}", path.display())?;
            }
        }
        Command::Down { which } => lifecycle::down(&which.layout()?)?,
        Command::Stop(one) => one.which.open()?.stop(&one.component)?,
        Command::Start(one) => {
            let testbed = one.which.open()?;
            testbed.start(&one.component)?;
            testbed.wait_ready(&one.component, READY_PATIENCE)?;
        }
        Command::Restart(one) => {
            let testbed = one.which.open()?;
            testbed.restart(&one.component)?;
            testbed.wait_ready(&one.component, READY_PATIENCE)?;
        }
        Command::Kill(one) => one.which.open()?.kill(&one.component)?,
        Command::Kwok { which, nodes } => simulated::nodes(&which.layout()?, nodes, Progress::start())?,
        Command::Rules { which, files } => rules(&which.open()?, &files)?,
        Command::Tool { program } => {
            let path = Parts::tool(&program, true)?.context("the testbed does not have it")?;
            writeln!(io::stdout(), "{}", path.display())?;
        }
        Command::Image(arguments) => image::run(&arguments)?,
        Command::Load(arguments) => return traffic::run(&arguments),
        Command::Proxy(arguments) => return proxy::run(&arguments),
        Command::Supervise { which, isolated } => {
            let layout = which.layout()?;
            if isolated {
                supervisor::run(&layout, &lifecycle::parts_of(&layout)?)?;
            } else {
                supervisor::launch(&layout)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Becomes the command; returns only if that fails.
fn exec(testbed: &Testbed, command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command is given")?;
    testbed.enter()?;
    let error = testbed.command(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.to_string_lossy()))
}

fn rules(testbed: &Testbed, files: &[PathBuf]) -> Result<()> {
    for file in files {
        let mut check = testbed.command("promtool");
        check.args(["check", "rules"]).arg(file);
        let checked = testbed.output(check)?;
        anyhow::ensure!(
            checked.status.success(),
            "{} is not a file of rules: {}",
            file.display(),
            String::from_utf8_lossy(&checked.stderr).trim()
        );
        let name = file.file_name().context("a file of rules needs a name")?.to_string_lossy();
        testbed.load_rules(&name, &std::fs::read_to_string(file)?)?;
        writeln!(io::stdout(), "loaded {name}")?;
    }
    Ok(())
}
