//! Another Prometheus beside that of the testbed: over TLS with a private authority, with a password, and with a store
//! far away that nobody serves. It ends when it is dropped.

use std::fs::{File, write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Where pods reach what runs beside the testbed's components.
const HOST: &str = "10.250.0.1";
pub const USER: &str = "reader";
pub const PASSWORD: &str = "sesame";
/// bcrypt of the password, as Prometheus wants it.
const HASH: &str = "$2b$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O";

/// What it scrapes: the gateway, as the testbed's own does.
const SCRAPES: &str = "
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: traefik
  static_configs: [{targets: ['127.0.0.1:9101']}]
";
/// A store far away that does not answer: every answer may be incomplete, and Prometheus says so.
const DEAD_STORE: &str = "
remote_read:
- {url: 'http://127.0.0.1:9/read', read_recent: true, remote_timeout: 1s}
";

/// A server that runs.
#[derive(Debug)]
pub struct Second {
    child: Child,
    folder: PathBuf,
    pub address: String,
    /// The authority that signed its certificate, as PEM.
    pub authority: String,
}

impl Second {
    /// Starts it with a store far away that is dead; returns when it takes connections.
    pub async fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let authority = certificates(&folder);
        let web = format!(
            "tls_server_config: {{cert_file: server.crt, key_file: server.key}}\nbasic_auth_users: {{{USER}: '{HASH}'}}\n"
        );
        write(folder.join("web.yml"), web).unwrap();
        write(folder.join("prometheus.yml"), format!("{SCRAPES}{DEAD_STORE}")).unwrap();
        // The system knows a port that is free.
        let listen = TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap().to_string();
        let log = || Stdio::from(File::options().create(true).append(true).open(folder.join("log")).unwrap());
        let child = Command::new("prometheus")
            .current_dir(&folder)
            .args(["--config.file=prometheus.yml", "--web.config.file=web.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={listen}"))
            .stdout(log())
            .stderr(log())
            .spawn()
            .expect("prometheus");
        let second = Self { child, folder, address: format!("https://{listen}"), authority };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&listen).is_err() {
            let log = std::fs::read_to_string(second.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the second Prometheus does not take connections after 30s: {log}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        second
    }

    /// Takes the dead store out of its configuration.
    pub fn forget_the_store(&self) {
        write(self.folder.join("prometheus.yml"), SCRAPES).unwrap();
        let told = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "the second Prometheus reads its configuration again");
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Writes a certificate and its key, and returns the authority that signed it.
fn certificates(folder: &std::path::Path) -> String {
    let mut own = CertificateParams::new(Vec::new()).unwrap();
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = own.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(own, key);
    let server = KeyPair::generate().unwrap();
    let signed = CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&server, &issuer).unwrap();
    write(folder.join("server.crt"), signed.pem()).unwrap();
    write(folder.join("server.key"), server.serialize_pem()).unwrap();
    authority
}
