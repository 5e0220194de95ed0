//! What became of each request of a run. Holds no credentials, no query and no body.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use trust::text::printable;
use url::Url;

/// Requests that are remembered: a run makes a few thousand.
const MAX_LOGGED: usize = 100_000;

/// Characters of an address that are remembered.
const MAX_URL: usize = 2000;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Passed {
    /// The method.
    pub method: String,
    /// Where to, or the host that was refused; without credentials and query.
    pub url: String,
    /// The status that the package manager saw.
    pub status: u16,
    /// Bytes of the body that it got.
    pub bytes: usize,
    /// What it was.
    pub kind: Kind,
    /// Whether it had been fetched ahead.
    pub ahead: bool,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The host that the registry sent the package manager to, where that was why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<Url>,
}

/// What a request was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A body that the gate saw as a tarball.
    Tarball,
    /// A body that the gate saw as a document.
    Document,
    /// An answer without a body for the gate: not modified, a redirect, an error, advice, or nothing.
    Other,
    /// A host that is no registry of this run.
    Foreign,
    /// Somebody without this run's credentials.
    Stranger,
    /// A tunnel that came to nothing.
    Tunnel,
}

/// The requests of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Passed>>>);

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

/// An address without credentials, query and fragment.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    printable(url.as_str(), MAX_URL)
}
