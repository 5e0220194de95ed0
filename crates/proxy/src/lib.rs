//! Stands between a package manager and its registries on loopback, for one run. Whatever comes from a
//! registry is held until a [`Gate`] has seen all of it and released it; not one byte of a refused tarball
//! reaches the package manager. Judges nothing itself, knows no registry's address, and keeps nothing.
//!
//! An HTTPS CONNECT proxy (RFC 9110, section 9.3.6) that ends TLS with a certificate authority made for this
//! run: its key never leaves this process, it is valid for a day and for this run's hosts only. Plain http in
//! absolute form, and plain http inside a CONNECT tunnel, are treated alike. HTTP/1.1 on both sides.
//!
//! The rules, each with a test that breaks only it:
//! 1. Only loopback listens, and only whoever knows this run's credentials is served.
//! 2. Only this run's registries are reached (scheme, host and port); every other host is refused by name.
//! 3. Only GET and HEAD are passed on, and POST where an answer is advice (audits): nothing is published.
//! 4. A body over its limit, too slow, cut short or in an encoding we do not read is an error for the client;
//!    of what comes with status 200 nothing is passed on before all of it is here.
//! 5. What is text that begins as a JSON object or array does, and cannot be read as an archive, goes to the gate as a
//!    document; everything else goes to it as a tarball. A gate that fails has refused. A document goes on packed, as it
//!    came, where that can be read in one way only; every other body goes on as the gate saw it.
//! 6. A redirect to a registry of this run is the package manager's to follow, and comes back through here;
//!    any other is refused. So credentials go where the package manager sends them and nowhere else.
//! 7. After [`Running::stop`], or when a [`Running`] is dropped, nothing listens and no file of it is left.

mod ahead;
mod answer;
mod authority;
mod body;
mod clock;
mod connect;
mod document;
mod headers;
mod judge;
mod log;
mod origins;
mod pages;
mod relay;
mod running;
mod server;
mod settings;
mod tunnel;
mod upstream;

use std::sync::Arc;

use bytes::Bytes;
use url::Url;

pub use ahead::{Ahead, Early};
pub use hyper::Method;
pub use log::{Kind, Passed};
pub use running::Running;
pub use settings::{Limits, ProxyError, Settings};

/// Decides about what passes. Called with whole, bounded bodies only, once for each that a registry sent.
/// It must not wait for another request of the same run: there is a limit to how many are judged at once.
pub trait Gate: Send + Sync + 'static {
    /// A tarball, or whatever else is not a JSON document: handed out only if this says so.
    fn tarball(&self, asked: &Asked, bytes: Bytes) -> impl Future<Output = Ruling> + Send;
    /// A document on its way to the package manager, already unpacked. It begins as JSON does; whether all of it is JSON is
    /// for the gate to say, which reads it anyway.
    fn document(&self, asked: &Asked, bytes: Bytes) -> impl Future<Output = Ruling> + Send;
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asked {
    /// Where, as the registry sees it; without credentials.
    pub url: Url,
    /// GET: what a POST is answered is advice, and passes when it is JSON.
    pub method: Method,
    /// Who wants it.
    pub purpose: Purpose,
    /// In which form: the `Accept` header of the request.
    pub accept: Option<String>,
}

/// Who wants an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The package manager.
    Client,
    /// [`Running::fetch_ahead`]: the package manager has not asked yet.
    Ahead,
}

/// What is to be done with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// Hand it out.
    Release,
    /// Hand it out to whoever asks, but the package manager has it at hand by now and may not ask: of what was fetched
    /// ahead, this is what goes where room runs out.
    AtHand,
    /// Answer 403 with this sentence.
    Refuse {
        /// Control characters are taken out of it.
        message: String,
    },
}

/// Starts a proxy for one run.
pub async fn start<G: Gate>(settings: Settings, gate: Arc<G>) -> Result<Running, ProxyError> {
    running::start(settings, gate).await
}
