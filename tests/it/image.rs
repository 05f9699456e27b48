//! The Dockerfile fits the manifests and the toolchain, and what it packs is enough for the operator to run.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The rest of the line that begins with this.
fn after<'a>(text: &'a str, begin: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(begin));
    line.unwrap_or_else(|| panic!("no line begins with {begin}")).trim()
}

fn quoted(text: &str, begin: &str) -> String {
    after(text, begin).split('"').nth(1).unwrap().to_owned()
}

#[test]
fn the_image_is_built_by_the_compiler_of_everyone() {
    let (dockerfile, toolchain) = (read("Dockerfile"), read("rust-toolchain.toml"));
    let channel = quoted(&toolchain, "channel =");
    assert_eq!(after(&dockerfile, "FROM rust:"), format!("{channel}-bookworm AS build"));
    // Else rustup would fetch a second one, for the components that are listed there.
    assert!(read(".dockerignore").lines().any(|line| line == "rust-toolchain.toml"));
    let number = |text: &str| text.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let least = quoted(&read("Cargo.toml"), "rust-version =");
    assert!(number(&channel) >= number(&least), "{channel} is older than rust-version {least}");
    assert!(dockerfile.contains(" build --locked --release --package sluice "));
}

#[test]
fn the_labels_say_what_cargo_says() {
    let (dockerfile, cargo) = (read("Dockerfile"), read("Cargo.toml"));
    assert_eq!(after(&dockerfile, "ARG VERSION="), quoted(&cargo, "version ="));
    let label = |name: &str| quoted(&dockerfile.replace("LABEL ", ""), &format!("org.opencontainers.image.{name}="));
    assert_eq!(label("title"), "sluice");
    assert_eq!(label("description"), quoted(&cargo, "description ="));
    assert_eq!(label("licenses"), quoted(&cargo, "license ="));
    assert_eq!((label("version"), label("revision")), ("${VERSION}".into(), "${REVISION}".into()));
}

#[test]
fn the_image_runs_as_the_user_of_the_manifests_on_nothing() {
    let dockerfile = read("Dockerfile");
    let last = dockerfile.split("\nFROM ").last().unwrap();
    assert_eq!(last.lines().next(), Some("scratch"));
    assert!(!last.contains("\nRUN "), "there is nothing that could run it");
    let text = read("deploy/base/operator.yaml");
    let deployment: Value = serde_saphyr::from_str(text.split("\n---\n").next().unwrap()).unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    let user = &pod["securityContext"]["runAsUser"];
    assert_eq!(after(&dockerfile, "USER "), format!("{user}:{user}"));
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(after(&dockerfile, "EXPOSE "), container["ports"][0]["containerPort"].to_string());
    // The image has one program, and the manifest names what it is to do.
    assert_eq!((after(&dockerfile, "ENTRYPOINT "), container.get("command")), ("[\"/sluice\"]", None));
}

#[test]
fn what_is_packed_is_enough_to_run_without_rights() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image");
    let _ = std::fs::remove_dir_all(&folder);
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/image/pack.sh");
    let packed = Command::new(pack).arg(env!("CARGO_BIN_EXE_sluice")).arg(&folder).status().unwrap();
    assert!(packed.success());
    // Whoever is not root becomes it in a namespace of its own, to change the root.
    let root = std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).unwrap() == 0;
    let enter: &[&str] =
        if root { &["chroot", "--userspec=65532:65532"] } else { &["unshare", "--user", "--map-root-user", "chroot"] };
    let run = |arguments: &[&str]| {
        let mut command = Command::new(enter[0]);
        let output = command.args(&enter[1..]).arg(&folder).arg("/sluice").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["--version"]), format!("sluice {}\n", env!("CARGO_PKG_VERSION")));
    assert!(run(&["reasons", "AwaitingShare"]).contains("AwaitingShare"));
    assert!(folder.join("etc/ssl/certs/ca-certificates.crt").is_file());
}

#[test]
fn a_release_names_the_image_by_its_digest() {
    let pin = |image: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/release/pin-image.sh");
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base/operator.yaml");
        Command::new(script).arg(manifests).arg(image).output().unwrap()
    };
    let image = format!("registry.example/team/sluice:0.1.0@sha256:{}", "0".repeat(64));
    let pinned = String::from_utf8(pin(&image).stdout).unwrap();
    let before = read("deploy/base/operator.yaml");
    let changed: Vec<_> = before.lines().zip(pinned.lines()).filter(|(before, after)| before != after).collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].1, format!("        image: {image}"));
    assert!(!pin("registry.example/team/sluice:0.1.0").status.success(), "a tag alone can be moved");
}
