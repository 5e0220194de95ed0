//! Stands between a package manager and its registries on loopback, for one run. Whatever comes from a
//! registry is held until a [`Gate`] has seen all of it and released it; not one byte of a refused tarball
//! reaches the package manager. Judges nothing itself, knows no registry's address, and keeps nothing.
//!
//! An HTTPS CONNECT proxy (RFC 9110, section 9.3.6) that ends TLS with a certificate authority made for this
//! run: its key never leaves this process, it is valid for a day and for this run's hosts only. Plain http in
//! absolute form, and plain http inside a CONNECT tunnel, are treated alike.
//!
//! The rules, each with a test that breaks only it:
//! 1. Only loopback listens, and only whoever knows this run's credentials is served.
//! 2. Only this run's registries are reached; every other host is refused by name.
//! 3. Only GET and HEAD are passed on, and POST where an answer is advice (audits): nothing is published.
//! 4. A body over its limit, too slow, cut short or in an encoding we do not read is an error for the client.
//! 5. What is a JSON document goes to the gate as one; everything else goes to it as a tarball.
//! 6. Redirects are followed here, without credentials once the host changes; what they lead to is judged as
//!    what was asked for.
//! 7. When a [`Running`] is dropped nothing listens any more, and no file of it is left.

mod authority;
mod body;
mod relay;
mod server;
mod upstream;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use url::Url;

pub use server::Running;

/// Decides about what passes. Called with whole, bounded bodies only.
pub trait Gate: Send + Sync + 'static {
    /// A tarball, or whatever else is not a JSON document.
    fn tarball(&self, asked: &Asked, bytes: Bytes) -> impl Future<Output = Ruling> + Send;
    /// A JSON document on its way to the package manager.
    fn document(&self, asked: &Asked, bytes: Bytes) -> impl Future<Output = Ruling> + Send;
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where, as the registry sees it; without credentials.
    pub url: Url,
}

/// What is to be done with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// Hand it out.
    Release,
    /// Answer 403 with this sentence.
    Refuse {
        /// Without control characters.
        message: String,
    },
}

/// What a run may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a tarball.
    pub tarball: usize,
    /// Bytes of a document, unpacked.
    pub document: usize,
    /// Bytes of a request's own body.
    pub request: usize,
    /// Connections at once.
    pub connections: usize,
    /// How long a registry may take to accept a connection.
    pub connect: Duration,
    /// How long it may send nothing.
    pub idle: Duration,
    /// How long one answer may take in all.
    pub total: Duration,
}

impl Default for Limits {
    /// npm takes tarballs of a few hundred megabytes; the largest documents have about 50 MB.
    fn default() -> Self {
        Self {
            tarball: 256 << 20,
            document: 128 << 20,
            request: 16 << 20,
            connections: 256,
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(300),
        }
    }
}

/// One run.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whose hosts and ports may be reached.
    pub registries: Vec<Url>,
    /// The user's own proxy.
    pub upstream_proxy: Option<Url>,
    /// The user's own certificate authorities (PEM), beside the system's.
    pub extra_roots: Vec<u8>,
    /// Limits.
    pub limits: Limits,
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No port, no folder.
    #[error("the proxy cannot start on loopback")]
    Io(#[from] std::io::Error),
    /// No certificate authority.
    #[error("the certificate authority of this run cannot be made")]
    Authority(#[from] rcgen::Error),
    /// No TLS.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// No client for the registries.
    #[error("the client for the registries cannot be made")]
    Client(#[from] reqwest::Error),
    /// No randomness.
    #[error("the system gives no random bytes")]
    Random,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Passed {
    /// The method.
    pub method: String,
    /// Where to, or the host that was refused; without credentials.
    pub url: String,
    /// The status that the package manager saw.
    pub status: u16,
    /// Bytes of the body that it got.
    pub bytes: usize,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The requests of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Passed>>>);

/// Requests that are remembered: a run makes a few thousand.
const MAX_LOGGED: usize = 1_000_000;

impl Log {
    pub(crate) fn add(&self, passed: Passed) {
        tracing::debug!(?passed, "request");
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() < MAX_LOGGED {
            log.push(passed);
        }
    }

    pub(crate) fn all(&self) -> Vec<Passed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts a proxy for one run.
pub async fn start<G: Gate>(settings: Settings, gate: Arc<G>) -> Result<Running, ProxyError> {
    server::start(settings, gate).await
}

/// The hosts of some addresses, for messages.
pub(crate) fn hosts(registries: &[Url]) -> String {
    let mut hosts: Vec<String> = registries.iter().filter_map(authority_of).collect();
    hosts.dedup();
    hosts.join(", ")
}

/// `host:port`.
pub(crate) fn authority_of(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}
