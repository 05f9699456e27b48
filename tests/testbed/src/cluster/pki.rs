//! Certificates, keys and tokens of one testbed, made anew at each start and useless outside it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::Layout;

/// Who may talk to the API server by token, beside Pods with their ServiceAccounts: user and group.
const USERS: [(&str, &str); 8] = [
    ("admin", "system:masters"),
    ("system:kube-controller-manager", ""),
    ("system:kube-scheduler", ""),
    ("system:node:node1", "system:nodes"),
    ("traefik", ""),
    ("metrics-adapter", ""),
    ("kwok", ""),
    (SD_USER, ""),
];
/// The user, and the user agent, of the supervisor's own reads.
pub const SD_USER: &str = "testbed-sd";

/// The token of each user.
#[derive(Debug)]
pub struct Tokens(Vec<(&'static str, String)>);

impl Tokens {
    /// The token of `user`.
    ///
    /// # Errors
    /// When no such user was made.
    pub fn of(&self, user: &str) -> Result<&str> {
        self.0
            .iter()
            .find(|(name, _)| *name == user)
            .map(|(_, token)| token.as_str())
            .with_context(|| format!("no token was made for {user}"))
    }
}

/// The name in the certificate by which an aggregated API knows that the API server speaks to it.
pub const FRONT_PROXY: &str = "front-proxy-client";
/// The names and addresses of the API server and of the node, both with the certificate `server`.
const SERVER: [&str; 6] = ["127.0.0.1", "10.96.0.1", "10.250.0.1", "localhost", "kubernetes.default.svc", "node1"];

/// Writes `sa.key`, `sa.pub`, `tokens.csv`, and `.crt` and `.key` of `server`, `metrics-adapter` and `front-proxy`.
///
/// `ca.crt` is behind the first two. `front-proxy-ca.crt` is behind the last alone: who has a certificate of that
/// authority speaks for any user.
///
/// # Errors
/// When a file cannot be written.
pub fn write(layout: &Layout) -> Result<Tokens> {
    fs::create_dir_all(layout.path("pki"))?;

    let ca = Authority::new("sluice-testbed")?;
    fs::write(layout.pki("ca.crt"), &ca.pem)?;
    ca.certify(layout, "server", "kube-apiserver", &SERVER)?;
    ca.certify(layout, "metrics-adapter", "metrics-adapter", &["metrics-adapter.kube-system.svc"])?;
    let front_proxy = Authority::new("sluice-testbed-front-proxy")?;
    fs::write(layout.pki("front-proxy-ca.crt"), &front_proxy.pem)?;
    front_proxy.certify(layout, "front-proxy", FRONT_PROXY, &[])?;

    let service_accounts = KeyPair::generate()?;
    secret(&layout.pki("sa.key"), &service_accounts.serialize_pem())?;
    fs::write(layout.pki("sa.pub"), service_accounts.public_key_pem())?;

    let mut tokens = Vec::new();
    let mut table = String::new();
    for (user, group) in USERS {
        let token = random()?;
        table.push_str(&format!("{token},{user},{user},{group}\n"));
        tokens.push((user, token));
    }
    secret(&layout.pki("tokens.csv"), &table)?;
    Ok(Tokens(tokens))
}

/// A certificate authority of this testbed. Its key is forgotten when all certificates are made.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let pem = parameters.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(parameters, key) })
    }

    /// Writes the certificate and the key of `name`, who is reached by `hosts`, into two files of the testbed.
    fn certify(&self, layout: &Layout, file: &str, name: &str, hosts: &[&str]) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>())?;
        parameters.distinguished_name.push(DnType::CommonName, name);
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        fs::write(layout.pki(&format!("{file}.crt")), certificate.pem())?;
        secret(&layout.pki(&format!("{file}.key")), &key.serialize_pem())
    }
}

/// Writes a file that only its owner may read.
pub(super) fn secret(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    Ok(())
}

/// 128 random bits as text.
///
/// # Errors
/// When the kernel's random source cannot be read.
pub fn random() -> Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
