//! What `make` says before it builds anything: which program is missing or too old, and what to do about it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that has the programs of every Debian, and of the others only what a test gives it.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let machine = Self(folder);
        for program in ["bash", "dirname", "printf", "sed", "sort", "mktemp", "cat", "rm"] {
            machine.says(program, &format!("exec /usr/bin/{program} \"$@\""));
        }
        machine.says("uname", "echo Linux x86_64").says("id", "echo 0");
        machine.says("cc", ":").says("git", ":").says("python3", ":");
        machine.says("cargo", ":").says("rustc", "echo 'rustc 1.999.0 (abc 2026-01-01)'").says("go", "echo go1.26")
    }

    fn says(&self, program: &str, body: &str) -> Self {
        let path = self.0.join(program);
        std::fs::write(&path, format!("#!/bin/bash\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(self.0.clone())
    }

    fn lacks(&self, program: &str) -> Self {
        std::fs::remove_file(self.0.join(program)).unwrap();
        Self(self.0.clone())
    }

    /// Whether `make` may go on, and all that was printed.
    fn looked_over_for(&self, what: &str) -> (bool, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools.sh");
        let output = Command::new("/bin/bash").arg(script).arg(what).env("PATH", &self.0).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(printed).unwrap())
    }
}

#[test]
fn a_machine_that_has_everything_prints_nothing() {
    let machine = Machine::new("everything");
    assert_eq!(machine.looked_over_for("testbed"), (true, String::new()));
    assert_eq!(machine.looked_over_for("build"), (true, String::new()));
}

#[test]
fn what_debian_has_is_installed_once() {
    let machine = Machine::new("debian").lacks("cc");
    let asked = machine.0.join("asked");
    machine.says("apt-get", &format!("echo $* >> {}", asked.display()));
    let (went_on, printed) = machine.looked_over_for("testbed");
    assert!(went_on, "{printed}");
    assert_eq!(printed, "installing Debian packages that are missing: gcc libc6-dev\n");
    let asked = std::fs::read_to_string(asked).unwrap();
    assert_eq!(asked, "update -q\ninstall --yes --no-install-recommends gcc libc6-dev\n");
}

#[test]
fn what_cannot_be_installed_is_named_with_the_next_step() {
    let says = |machine: &Machine, what: &str, words: &str| {
        let (went_on, printed) = machine.looked_over_for(what);
        assert!(!went_on && printed.contains(words), "{words:?} is not in: {printed}");
    };
    let machine = Machine::new("nothing").lacks("cc").lacks("python3");
    says(&machine, "testbed", "make: missing: gcc libc6-dev python3 python3-pip (Debian's names)");
    machine.says("apt-get", "echo E: no network; exit 100");
    says(&machine, "testbed", "E: no network\nmake: apt-get could not install gcc libc6-dev python3 python3-pip");
    machine.says("id", "echo 1000");
    says(&machine, "testbed", "this needs root");
    says(&machine, "build", "run: sudo apt-get install --yes --no-install-recommends gcc libc6-dev\n");
}

#[test]
fn compilers_that_are_missing_or_too_old_are_named() {
    let says = |machine: &Machine, words: &str| {
        let (went_on, printed) = machine.looked_over_for("testbed");
        assert!(!went_on && printed.contains(words), "{words:?} is not in: {printed}");
    };
    let machine = Machine::new("old");
    machine.says("go", "echo go1.19.8");
    says(&machine, "make: go is 1.19.8, 1.26 or later is needed");
    machine.lacks("go");
    says(&machine, "make: go is missing: install Go 1.26 or later");
    machine.says("rustc", "echo rustc 1.63.0");
    says(&machine, "make: rustc is 1.63.0, 1.89 or later is needed: install Rust by rustup");
    machine.says("rustc", "echo error: no toolchain >&2; exit 1");
    says(&machine, "error: no toolchain\nmake: rustc does not run");
    machine.lacks("cargo");
    says(&machine, "make: cargo is missing: install Rust by rustup");
    // Whoever only builds needs no Go.
    let machine = Machine::new("no-go").lacks("go").lacks("python3").says("id", "echo 1000");
    assert_eq!(machine.looked_over_for("build"), (true, String::new()));
}

/// A cluster that is there already needs neither root nor Go.
#[test]
fn the_demo_on_ones_own_cluster_asks_for_less() {
    let asks = |arguments: &[&str]| {
        let folder = env!("CARGO_MANIFEST_DIR");
        let mut make = Command::new("make");
        make.env_remove("MAKEFLAGS").env_remove("KUBECONTEXT").args(["--dry-run", "demo"]).args(arguments);
        let output = make.current_dir(folder).output();
        let printed = String::from_utf8(output.unwrap().stdout).unwrap();
        ["tools.sh testbed", "tools.sh build"].map(|what| printed.contains(what))
    };
    assert_eq!(asks(&[]), [true, true]);
    assert_eq!(asks(&["KUBECONTEXT=mine"]), [false, true]);
}

#[test]
fn the_readme_names_the_version_of_go_that_is_asked_for() {
    let read = |file: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let script = read("tests/tools.sh");
    let asked = script.split("${go#go}\" ").nth(1).unwrap().split_whitespace().next().unwrap();
    for page in ["README.md", "CONTRIBUTING.md", "tests/testbed/README.md"] {
        assert!(read(page).contains(&format!("Go {asked}")), "{page} names another version of Go than {asked}");
    }
}
