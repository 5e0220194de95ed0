//! Why the local world did not come up, or did not stay up. Says nothing about trust.

use std::path::PathBuf;
use std::time::Duration;

/// Each names the part, and what it did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorldError {
    /// A program that must be there is not.
    #[error("`{program}` is not on PATH; the local world needs Node 20 or later with its npm")]
    MissingProgram {
        /// Its name.
        program: &'static str,
    },
    /// Node is too old.
    #[error("Node is {found}; the local world needs {expected} or later")]
    OldNode {
        /// What `node --version` said.
        found: String,
        /// The oldest that will do.
        expected: u32,
    },
    /// No anvil for this platform.
    #[error(
        "`anvil` is not on PATH, and the pinned one runs on Linux on x86-64 only; install Foundry's anvil 1.7"
    )]
    NoAnvil,
    /// A folder or file could not be written.
    #[error("{} cannot be written", path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// npm failed.
    #[error("npm could not {doing}: {detail}")]
    Npm {
        /// What it was to do.
        doing: &'static str,
        /// What it said.
        detail: String,
    },
    /// This program does not know where it lies.
    #[error("this program does not find its own file")]
    OwnExecutable {
        /// Why.
        source: std::io::Error,
    },
    /// The guard could not be started or does not listen.
    #[error("the process that guards the local world does not run")]
    Guard {
        /// Why.
        source: std::io::Error,
    },
    /// The guard takes its time.
    #[error("{} is still being removed; that goes on without being waited for", folder.display())]
    Lingers {
        /// The world's folder.
        folder: PathBuf,
    },
    /// A program could not be started.
    #[error("the {name} does not start: {reason}")]
    NotStarted {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// A program ended.
    #[error("the {name} ended with {status}")]
    Ended {
        /// Which.
        name: String,
        /// How.
        status: String,
    },
    /// A program did not come up in time.
    #[error("the {name} said nothing for {} s", after.as_secs())]
    Silent {
        /// Which.
        name: &'static str,
        /// The limit.
        after: Duration,
    },
    /// No loopback port.
    #[error("there is no loopback port for the {name}")]
    NoPort {
        /// For which program.
        name: &'static str,
    },
    /// Somebody else answers on the port.
    #[error("another chain answers on the port of the local world's chain: its id is {found}")]
    ForeignChain {
        /// What it said.
        found: String,
    },
    /// The chain node refused something.
    #[error("the local chain refuses {method}: {reason}")]
    Chain {
        /// The JSON-RPC method.
        method: String,
        /// What it said.
        reason: String,
    },
    /// A contract could not be deployed.
    #[error("{contract} cannot be deployed: {reason}")]
    Deployment {
        /// Which.
        contract: &'static str,
        /// Why.
        reason: String,
    },
    /// An npm user could not be made.
    #[error("the npm user {name} cannot be made: {reason}")]
    User {
        /// Who.
        name: String,
        /// Why.
        reason: String,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client does not start: {reason}")]
    Http {
        /// Why.
        reason: String,
    },
}
