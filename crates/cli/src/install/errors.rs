//! Why an install or a verification ends without a report.

use std::path::PathBuf;

use client::http::HttpError;
use client::npm::NpmConfigError;

use super::assess::AssessError;
use super::lockfile::LockfileError;
use super::npm::NpmRunError;
use super::project::ProjectError;
use super::transaction::TransactionError;

/// Why nothing could be installed or checked. A refusal is not one of these: it is a report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlowError {
    /// The project cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// npm failed.
    #[error(transparent)]
    Npm(#[from] NpmRunError),
    /// npm's configuration cannot be read.
    #[error(transparent)]
    Configuration(#[from] NpmConfigError),
    /// The registry is down.
    #[error("the npm registry cannot be used")]
    Registry(#[source] HttpError),
    /// The lockfile cannot be read.
    #[error(transparent)]
    Lockfile(#[from] LockfileError),
    /// There is nothing to check.
    #[error("{} has no lockfile, and no package was named", root.display())]
    NothingToCheck {
        /// The project.
        root: PathBuf,
    },
    /// The chain is down, or contradicts itself.
    #[error(transparent)]
    Assess(#[from] AssessError),
    /// Something that needs another's code to be fetched while resolving.
    #[error("a dependency does not come from a registry, and the policy does not allow that: {0}")]
    Source(String),
    /// No proxy.
    #[error(transparent)]
    Proxy(#[from] proxy::ProxyError),
    /// The project could not be changed.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
}
