//! What one run may reach and what it may cost. Reads no environment and no file: the caller has.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use client::tls::AuthorityError;
use url::Url;

/// One run.
#[derive(Clone)]
pub struct Settings {
    /// Whose schemes, hosts and ports may be reached; their paths do not matter.
    pub registries: Vec<Url>,
    /// Ask registries for whole documents, also where the package manager has one in its cache.
    pub whole: bool,
    /// The user's own proxy (http or https), with its credentials.
    pub upstream_proxy: Option<Url>,
    /// Hosts that are reached without it, as in `NO_PROXY`.
    pub upstream_no_proxy: Option<String>,
    /// The user's own certificate authorities (PEM), beside the system's.
    pub extra_roots: Vec<u8>,
    /// Where the folder for the authority's certificate is made; the system's temporary folder, unless one is said.
    pub folder: Option<PathBuf>,
    /// Limits.
    pub limits: Limits,
    /// Now: the certificates are valid from here for a day.
    pub now: SystemTime,
}

impl Default for Settings {
    /// Reaches nothing.
    fn default() -> Self {
        Self {
            registries: Vec::new(),
            whole: false,
            upstream_proxy: None,
            upstream_no_proxy: None,
            extra_roots: Vec::new(),
            folder: None,
            limits: Limits::default(),
            now: SystemTime::now(),
        }
    }
}

impl fmt::Debug for Settings {
    /// Without the credentials that addresses carry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registries: Vec<String> = self.registries.iter().map(crate::log::shown).collect();
        f.debug_struct("Settings")
            .field("registries", &registries)
            .field("upstream_proxy", &self.upstream_proxy.as_ref().map(crate::log::shown))
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What a run may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a tarball.
    pub tarball: usize,
    /// Bytes of a document, unpacked.
    pub document: usize,
    /// Bytes of a request's own body.
    pub request: usize,
    /// Connections of package managers at once; more wait.
    pub connections: usize,
    /// Requests on their way to registries, or with the gate, at once; more wait.
    pub in_flight: usize,
    /// Bytes that are held of what was fetched ahead.
    pub held: usize,
    /// How long a registry may take to accept a connection.
    pub connect: Duration,
    /// How long it may send nothing.
    pub idle: Duration,
    /// How long one answer may take in all, the gate not counted.
    pub total: Duration,
}

impl Default for Limits {
    /// npm takes tarballs of a few hundred megabytes; the largest documents have about 50 MB. bun opens 64
    /// connections and more.
    fn default() -> Self {
        Self {
            tarball: 256 << 20,
            document: 128 << 20,
            request: 16 << 20,
            connections: 512,
            in_flight: 64,
            held: 64 << 20,
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(300),
        }
    }
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No port, no folder.
    #[error("the proxy cannot start on loopback")]
    Io(#[from] std::io::Error),
    /// An address that is none.
    #[error("{url} is not the address of a registry: expected http or https, and a host")]
    Registry {
        /// Without credentials.
        url: String,
    },
    /// A proxy of a kind that is not spoken here.
    #[error("the user's own proxy is {scheme}, expected http or https")]
    UpstreamProxy {
        /// What it is.
        scheme: String,
    },
    /// No certificate authority.
    #[error("the certificate authority of this run cannot be made")]
    Authority(#[from] rcgen::Error),
    /// No TLS.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The user's own authorities are no PEM.
    #[error("the user's own certificate authorities (ca and cafile in npm's configuration) cannot be read")]
    ExtraRoots(#[source] AuthorityError),
    /// No randomness.
    #[error("the system gives no random bytes")]
    Random,
}
