//! Certificates, keys and tokens of one testbed, made anew at each start and useless outside it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::Layout;

/// Who may talk to the API server by token, beside Pods with their ServiceAccounts: user and group.
const USERS: [(&str, &str); 6] = [
    ("admin", "system:masters"),
    ("system:kube-controller-manager", ""),
    ("system:kube-scheduler", ""),
    ("system:node:node1", "system:nodes"),
    ("traefik", ""),
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

/// Writes `ca.crt`, `server.crt`, `server.key`, `sa.key`, `sa.pub` and `tokens.csv`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(layout: &Layout) -> Result<Tokens> {
    fs::create_dir_all(layout.path("pki"))?;

    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "sluice-testbed");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let ca_certificate = ca.self_signed(&ca_key)?;
    fs::write(layout.pki("ca.crt"), ca_certificate.pem())?;

    let server_key = KeyPair::generate()?;
    let names = ["127.0.0.1", "10.96.0.1", "10.250.0.1", "localhost", "kubernetes.default.svc", "node1"];
    let mut server = CertificateParams::new(names.map(str::to_owned).to_vec())?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    let server_certificate = server.signed_by(&server_key, &Issuer::from_params(&ca, &ca_key))?;
    fs::write(layout.pki("server.crt"), server_certificate.pem())?;
    secret(&layout.pki("server.key"), &server_key.serialize_pem())?;

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
