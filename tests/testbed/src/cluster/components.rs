//! The processes of a testbed: their command lines, what each waits for, and how long it may take to stop.

use std::path::PathBuf;
use std::time::Duration;

use super::pki::FRONT_PROXY;
use super::{Layout, addresses, layout};
use crate::parts::Parts;

/// So many earlier parts of the audit log are kept, of 500 MB each: a run of all end-to-end tests has to fit.
pub const AUDIT_BACKUPS: usize = 9;

/// What must hold before a component is started.
#[derive(Debug, Clone)]
pub enum Gate {
    /// Start at once.
    Open,
    /// This URL answers with a success.
    Answers(String),
    /// This file exists.
    Exists(PathBuf),
}

/// One process that the supervisor keeps running.
#[derive(Debug, Clone)]
pub struct Component {
    /// The name that people use.
    pub name: &'static str,
    /// The file to run.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment beside `PATH` and what the supervisor itself has.
    pub env: Vec<(String, String)>,
    /// When it may start.
    pub gate: Gate,
    /// What tells that it is ready.
    pub ready: Gate,
    /// How long it may take to stop before it is killed.
    pub patience: Duration,
    /// Whether it runs only when somebody starts it.
    pub on_demand: bool,
}

/// The names in groups, in the order in which groups are stopped: the API server before the etcd it needs.
pub const STOP_ORDER: [&[&str]; 4] = [
    &["kubelet", "kwok", "traefik", "prometheus", "alertmanager"],
    &["controller-manager", "scheduler", "containerd", "metrics-adapter"],
    &["apiserver"],
    &["etcd"],
];

/// Every component of a testbed, in the order in which they are started.
#[must_use]
pub fn all(layout: &Layout, parts: &Parts) -> Vec<Component> {
    [control_plane(layout, parts), node(layout, parts), traffic_and_metrics(layout, parts), vec![kwok(layout)]].concat()
}

/// Where components look for the machine's own programs.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const ETCD: &str = "http://127.0.0.1:2379";
const API_READY: &str = "https://10.250.0.1:443/readyz";
/// The metrics adapter as the autoscaler reaches it: the API server passes requests on to it.
const METRICS_READY: &str = "https://10.250.0.1:443/apis/external.metrics.k8s.io/v1beta1";

fn component(name: &'static str, program: PathBuf, args: Vec<String>, gate: Gate, ready: Gate) -> Component {
    Component { name, program, args, env: Vec::new(), gate, ready, patience: Duration::from_secs(2), on_demand: false }
}

fn answers(url: &str) -> Gate {
    Gate::Answers(url.to_owned())
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|&word| word.to_owned()).collect()
}

fn control_plane(layout: &Layout, parts: &Parts) -> Vec<Component> {
    let binary = parts.kubernetes.join("kubernetes");
    let pki = |flag: &str, file: &str| format!("--{flag}={}", layout.pki(file).display());
    let etcd = [words(&["etcd", "--client-url", ETCD, "--data-dir"]), vec![format!("{}/etcd", layout::DATA)]].concat();
    let apiserver = [
        words(&[
            "apiserver",
            "--bind-address=0.0.0.0",
            "--secure-port=443",
            // A proxy may take the address by which Pods know the API server.
            "--permit-port-sharing=true",
            "--advertise-address=10.250.0.1",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            "--enable-aggregator-routing=true",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--audit-log-maxsize=500",
        ]),
        vec![
            format!("--etcd-servers={ETCD}"),
            pki("tls-cert-file", "server.crt"),
            pki("tls-private-key-file", "server.key"),
            pki("client-ca-file", "ca.crt"),
            pki("token-auth-file", "tokens.csv"),
            pki("service-account-key-file", "sa.pub"),
            pki("service-account-signing-key-file", "sa.key"),
            pki("proxy-client-cert-file", "front-proxy.crt"),
            pki("proxy-client-key-file", "front-proxy.key"),
            pki("requestheader-client-ca-file", "front-proxy-ca.crt"),
            format!("--requestheader-allowed-names={FRONT_PROXY}"),
            format!("--audit-policy-file={}", layout.path("audit-policy.yaml").display()),
            format!("--audit-log-path={}", layout.audit_log().display()),
            format!("--audit-log-maxbackup={AUDIT_BACKUPS}"),
        ],
    ]
    .concat();
    let client = |name: &str, file: &str, more: &[&str]| {
        [
            words(&[name, "--leader-elect=false", "--bind-address=127.0.0.1"]),
            words(&["--kube-api-qps=300", "--kube-api-burst=400"]),
            ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"]
                .iter()
                .map(|flag| pki(flag, file))
                .collect(),
            vec![pki("tls-cert-file", "server.crt"), pki("tls-private-key-file", "server.key")],
            words(more),
        ]
        .concat()
    };
    let mut controller_manager = client(
        "controller-manager",
        "controller-manager.kubeconfig",
        &[
            "--use-service-account-credentials=true",
            // An autoscaler follows its metric within seconds, down as well; the defaults are 15 s and 5 min.
            "--horizontal-pod-autoscaler-sync-period=1s",
            "--horizontal-pod-autoscaler-downscale-stabilization=3s",
        ],
    );
    controller_manager.extend([pki("service-account-private-key-file", "sa.key"), pki("root-ca-file", "ca.crt")]);
    let scheduler = client("scheduler", "scheduler.kubeconfig", &[]);
    // It waits for etcd by itself.
    let mut apiserver = component("apiserver", binary.clone(), apiserver, Gate::Open, answers(API_READY));
    // By it the API server knows the metrics adapter.
    apiserver.env = vec![("SSL_CERT_FILE".to_owned(), layout.pki("ca.crt").display().to_string())];
    vec![
        component("etcd", binary.clone(), etcd, Gate::Open, answers("http://127.0.0.1:2379/health")),
        apiserver,
        component(
            "controller-manager",
            binary.clone(),
            controller_manager,
            answers(API_READY),
            answers("https://127.0.0.1:10257/healthz"),
        ),
        component("scheduler", binary, scheduler, answers(API_READY), answers("https://127.0.0.1:10259/healthz")),
    ]
}

fn node(layout: &Layout, parts: &Parts) -> Vec<Component> {
    let path = format!("{0}/usr/bin:{0}/usr/sbin:{PATH}", parts.debian.display());
    let socket = Gate::Exists(layout.containerd_socket());
    let mut containerd = component(
        "containerd",
        parts.debian_program("containerd"),
        vec!["--config".to_owned(), layout.path("containerd.toml").display().to_string()],
        Gate::Open,
        socket.clone(),
    );
    containerd.env = vec![("PATH".to_owned(), path.clone())];
    let mut kubelet = component(
        "kubelet",
        parts.kubernetes.join("kubernetes"),
        vec![
            "kubelet".to_owned(),
            format!("--config={}", layout.path("kubelet.yaml").display()),
            format!("--kubeconfig={}", layout.pki("kubelet.kubeconfig").display()),
            format!("--root-dir={}/kubelet", layout::DATA),
            format!("--cert-dir={}/kubelet-pki", layout::DATA),
            format!("--hostname-override={}", addresses::NODE_NAME),
            "--node-ip=10.250.0.1".to_owned(),
        ],
        socket,
        answers("http://127.0.0.1:10248/healthz"),
    );
    kubelet.env = vec![("PATH".to_owned(), path)];
    vec![containerd, kubelet]
}

/// What a node that KWOK plays is labelled with; only Pods that tolerate the taint of the same name land there.
pub const SIMULATED: &str = "sluice.test/simulated";

/// Plays the kubelets of simulated nodes. It is built when it is first asked for; see [`crate::simulated`].
fn kwok(layout: &Layout) -> Component {
    let kwok = component(
        "kwok",
        layout.tools().join("kwok"),
        vec![
            format!("--kubeconfig={}", layout.pki("kwok.kubeconfig").display()),
            format!("--config={}", layout.path("kwok.yaml").display()),
            format!("--manage-nodes-with-label-selector={SIMULATED}=true"),
            "--node-lease-duration-seconds=40".to_owned(),
            "--node-ip=10.250.0.1".to_owned(),
            // Not the network of the real Pods.
            "--cidr=10.246.0.0/16".to_owned(),
            "--server-address=127.0.0.1:10247".to_owned(),
        ],
        answers(API_READY),
        answers("http://127.0.0.1:10247/healthz"),
    );
    Component { on_demand: true, ..kwok }
}

fn traffic_and_metrics(layout: &Layout, parts: &Parts) -> Vec<Component> {
    let traefik_args = [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--entrypoints.web.address=:8000",
        "--entrypoints.metrics.address=127.0.0.1:9101",
        "--ping=true",
        "--ping.entrypoint=metrics",
        "--metrics.prometheus=true",
        "--metrics.prometheus.entrypoint=metrics",
        "--metrics.prometheus.addserviceslabels=true",
        "--metrics.prometheus.addrouterslabels=true",
        "--metrics.prometheus.buckets=0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2.5",
        "--providers.kubernetesgateway=true",
        // The quickstart brings a Traefik of its own, in a Pod. Both have the same controller name.
        "--providers.kubernetesgateway.labelselector=app.kubernetes.io/part-of!=quickstart",
        "--providers.kubernetesgateway.statusaddress.ip=10.250.0.1",
    ];
    let mut traefik = component(
        "traefik",
        parts.python_program("traefik"),
        words(&traefik_args),
        Gate::Exists(layout.manifests_applied()),
        answers("http://127.0.0.1:9101/ping"),
    );
    traefik.env = vec![("KUBECONFIG".to_owned(), layout.pki("traefik.kubeconfig").display().to_string())];
    let prometheus = component(
        "prometheus",
        parts.debian_program("prometheus"),
        vec![
            format!("--config.file={}", layout.path("prometheus.yml").display()),
            format!("--storage.tsdb.path={}/prometheus", layout::DATA),
            "--storage.tsdb.retention.time=6h".to_owned(),
            "--web.listen-address=10.250.0.1:9090".to_owned(),
            "--web.enable-lifecycle".to_owned(),
        ],
        Gate::Open,
        answers("http://10.250.0.1:9090/-/ready"),
    );
    let alertmanager = component(
        "alertmanager",
        parts.debian_program("prometheus-alertmanager"),
        vec![
            format!("--config.file={}", layout.path("alertmanager.yml").display()),
            format!("--storage.path={}/alertmanager", layout::DATA),
            "--web.listen-address=10.250.0.1:9093".to_owned(),
            "--cluster.listen-address=".to_owned(),
        ],
        Gate::Open,
        answers("http://10.250.0.1:9093/-/ready"),
    );
    vec![traefik, prometheus, alertmanager, metrics_adapter(layout, parts)]
}

fn metrics_adapter(layout: &Layout, parts: &Parts) -> Component {
    let pki = |flag: &str, file: &str| format!("--{flag}={}", layout.pki(file).display());
    component(
        "metrics-adapter",
        parts.kubernetes.join("kubernetes"),
        vec![
            "metrics-adapter".to_owned(),
            format!("--prometheus-url={}", addresses::PROMETHEUS_URL),
            format!("--config={}", layout.path("metrics-adapter.yaml").display()),
            "--bind-address=10.250.0.1".to_owned(),
            "--secure-port=6443".to_owned(),
            pki("tls-cert-file", "metrics-adapter.crt"),
            pki("tls-private-key-file", "metrics-adapter.key"),
            pki("lister-kubeconfig", "metrics-adapter.kubeconfig"),
            pki("authentication-kubeconfig", "metrics-adapter.kubeconfig"),
            pki("authorization-kubeconfig", "metrics-adapter.kubeconfig"),
        ],
        // Before, it has no right to read how the API server will prove itself.
        Gate::Exists(layout.manifests_applied()),
        answers(METRICS_READY),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components() -> Vec<Component> {
        all(&Layout::new("unit").unwrap(), &Parts::nowhere())
    }

    #[test]
    fn the_api_server_is_led_to_where_the_metrics_adapter_listens() {
        let components = components();
        let adapter = components.iter().find(|component| component.name == "metrics-adapter").unwrap();
        let objects = include_str!("files/metrics.yaml");
        for (flag, field) in
            [("--bind-address=10.250.0.1", r#"addresses: ["10.250.0.1"]"#), ("--secure-port=6443", "port: 6443}")]
        {
            assert!(adapter.args.iter().any(|argument| argument == flag), "{:?}", adapter.args);
            assert!(objects.contains(field), "{field} in {objects}");
        }
    }

    #[test]
    fn every_component_has_its_place_in_the_stop_order() {
        let components = components();
        let mut names: Vec<_> = components.iter().map(|component| component.name).collect();
        let mut order = STOP_ORDER.concat();
        names.sort_unstable();
        order.sort_unstable();
        assert_eq!(names, order);
        let at = |name| STOP_ORDER.iter().position(|group| group.contains(&name)).unwrap();
        assert!(at("apiserver") < at("etcd"), "an API server whose etcd is gone hangs instead of stopping");
        assert!(at("kubelet") < at("containerd"));
    }
}
