//! A proxy in front of the API server that does harm on demand: it delays, refuses, cuts, and loses answers.
//!
//! It takes the address by which Pods know the API server, beside the API server itself (both share the port, and the
//! kernel prefers whoever listens at one address to whoever listens at all), so nothing in a Pod is changed. Only
//! connections that are made while it runs pass it; when it ends they break, and new ones lead to the API server again.
//! Everything else in the testbed uses another address and is not disturbed. Tokens pass as they are: who sends a
//! request stays who they are. Owns faults and forwarding; what harms whom and when is the caller's.

mod faults;
mod forward;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use reqwest::{Certificate, Client};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

pub use faults::{Dice, Effect, Fault, Filter, Hit, When, Which};
use faults::{Fate, Faults, Request};

use crate::cluster::{Layout, addresses};

/// What came through so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Requests that are no watches.
    pub requests: u64,
    /// Watches that were begun.
    pub watches: u64,
    /// Writes that the API server carried out.
    pub writes: u64,
    /// How often each fault struck.
    pub faults: BTreeMap<&'static str, u64>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    upstream: String,
    client: Client,
    faults: Mutex<Faults>,
    account: Mutex<Account>,
    /// Who is cut off: nothing passes in either direction until they are let in again.
    dark: watch::Sender<BTreeSet<IpAddr>>,
    /// How often all watches were cut.
    cuts: watch::Sender<u64>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn fate(&self, request: &Request<'_>) -> Fate {
        let fate = locked(&self.faults).fate(request);
        let mut account = locked(&self.account);
        let count = if request.kind() == Which::Watches { &mut account.watches } else { &mut account.requests };
        *count = count.saturating_add(1);
        let struck = fate.effect.as_ref().map(|(effect, _)| effect.name());
        let delayed = (!fate.delay.is_zero()).then_some("delayed");
        for name in struck.into_iter().chain(delayed) {
            let count = account.faults.entry(name).or_default();
            *count = count.saturating_add(1);
        }
        fate
    }

    fn wrote(&self) {
        let mut account = locked(&self.account);
        account.writes = account.writes.saturating_add(1);
    }

    fn cut_off(&self, from: IpAddr) {
        self.dark.send_modify(|dark| {
            dark.insert(from);
        });
    }

    /// Returns once this one is not cut off.
    async fn light(&self, from: IpAddr) {
        let mut dark = self.dark.subscribe();
        // An error means that the proxy ends.
        let _ = dark.wait_for(|dark| !dark.contains(&from)).await;
    }
}

/// A proxy that runs; dropping it ends it and closes every connection.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: AbortHandle,
}

/// A fault in force, and what it struck.
#[derive(Debug, Clone)]
pub struct Struck(watch::Receiver<Vec<Hit>>);

impl Struck {
    /// What it has struck so far.
    #[must_use]
    pub fn all(&self) -> Vec<Hit> {
        self.0.borrow().clone()
    }

    /// The first request that it strikes; None when the faults were cleared before. A request whose answer is lost or
    /// kept is told once the API server has answered it.
    pub async fn first(&mut self) -> Option<Hit> {
        let found = self.0.wait_for(|hits| !hits.is_empty()).await.ok()?;
        found.first().cloned()
    }
}

impl Proxy {
    /// Starts one for the Pods of a testbed. Run it inside the testbed's network and on a runtime.
    ///
    /// # Errors
    /// When the address cannot be taken, or the testbed's certificates cannot be read.
    pub fn start(layout: &Layout, seed: u64) -> Result<Self> {
        // Another provider that is there already will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(layout.pki("server.crt"))
            .and_then(Iterator::collect)
            .map_err(|error| anyhow!("the API server's certificate cannot be read: {error}"))?;
        let key = PrivateKeyDer::from_pem_file(layout.pki("server.key"))
            .map_err(|error| anyhow!("the API server's key cannot be read: {error}"))?;
        let mut tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let authority = Certificate::from_pem(&std::fs::read(layout.pki("ca.crt"))?)?;
        let client = upstream_client().tls_certs_only([authority]).build()?;
        let address = SocketAddr::from((addresses::API_SERVICE, 443));
        Self::listen(address, addresses::API_URL, client, Some(TlsAcceptor::from(Arc::new(tls))), seed)
    }

    fn listen(
        address: SocketAddr,
        upstream: &str,
        client: Client,
        tls: Option<TlsAcceptor>,
        seed: u64,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address).with_context(|| format!("the proxy cannot take {address}"))?;
        let listener = socket.listen(1024)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            client,
            faults: Mutex::new(Faults::new(seed)),
            account: Mutex::default(),
            dark: watch::Sender::default(),
            cuts: watch::Sender::default(),
        });
        let task = tokio::spawn(forward::serve(listener, tls, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, address, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a fault into force beside those that are.
    #[must_use]
    pub fn add(&self, fault: Fault) -> Struck {
        Struck(locked(&self.shared.faults).add(fault))
    }

    /// Ends every fault. Answers that hang go on hanging until their client gives up.
    pub fn clear(&self) {
        locked(&self.shared.faults).clear();
    }

    /// Cuts every watch that there is, in the middle of a line where one comes within a second.
    pub fn cut_watches(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts = cuts.wrapping_add(1));
    }

    /// Cuts somebody off: nothing passes any more, in either direction. What they send meanwhile arrives when they are
    /// let in again, even if they have given up on it: so do packets that a network has kept.
    pub fn cut_off(&self, from: IpAddr) {
        self.shared.cut_off(from);
    }

    /// Lets everybody in again.
    pub fn let_in(&self) {
        self.shared.dark.send_modify(BTreeSet::clear);
    }

    /// What came through so far.
    #[must_use]
    pub fn account(&self) -> Account {
        locked(&self.shared.account).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client that passes answers on as they come. A connection to the API server is used once: one that was closed
/// meanwhile would be a fault that nobody asked for.
fn upstream_client() -> reqwest::ClientBuilder {
    Client::builder()
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .connect_timeout(Duration::from_secs(5))
}
