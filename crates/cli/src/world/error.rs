//! Why the local world did not come up, or did not stay up. Says nothing about trust.

use std::path::PathBuf;
use std::time::Duration;

/// Each names the part, and what it did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorldError {
    /// A program that must be there is not.
    #[error("find `{program}` on PATH; the local world needs Node 20 or later with its npm")]
    MissingProgram {
        /// Its name.
        program: &'static str,
    },
    /// Node is too old.
    #[error("use Node {found}; the local world needs {expected} or later")]
    OldNode {
        /// What `node --version` said.
        found: String,
        /// The oldest that will do.
        expected: u32,
    },
    /// No anvil for this platform.
    #[error(
        "find `anvil`: the pinned one is for Linux on x86-64 only; on this machine install Foundry's anvil 1.7 and put it on PATH"
    )]
    NoAnvil,
    /// A folder or file could not be written.
    #[error("write {}", path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// npm failed.
    #[error("{doing}: {detail}")]
    Npm {
        /// What it was to do.
        doing: &'static str,
        /// What it said.
        detail: String,
    },
    /// This program does not know where it lies.
    #[error("find this program's own file")]
    OwnExecutable {
        /// Why.
        source: std::io::Error,
    },
    /// The guard could not be started or does not listen.
    #[error("run the process that guards the local world")]
    Guard {
        /// Why.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("start the local world's {name}: {reason}")]
    NotStarted {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// A program ended.
    #[error("keep the local world's {name} running: it ended with {status}")]
    Ended {
        /// Which.
        name: String,
        /// How.
        status: String,
    },
    /// A program did not come up in time.
    #[error("start the local world's {name}: it said nothing for {} s", after.as_secs())]
    Silent {
        /// Which.
        name: &'static str,
        /// The limit.
        after: Duration,
    },
    /// No loopback port.
    #[error("find a loopback port for the local world's {name}")]
    NoPort {
        /// For which program.
        name: &'static str,
    },
    /// Somebody else answers on the port.
    #[error("reach the local world's own chain: the one that answers has id {found}")]
    ForeignChain {
        /// What it said.
        found: String,
    },
    /// The chain node refused something.
    #[error("call {method} of the local chain: {reason}")]
    Chain {
        /// The JSON-RPC method.
        method: String,
        /// What it said.
        reason: String,
    },
    /// A contract could not be deployed.
    #[error("deploy {contract}: {reason}")]
    Deployment {
        /// Which.
        contract: &'static str,
        /// Why.
        reason: String,
    },
    /// An npm user could not be made.
    #[error("make the npm user {name}: {reason}")]
    User {
        /// Who.
        name: String,
        /// Why.
        reason: String,
    },
    /// The HTTP client could not be made.
    #[error("make an HTTP client: {reason}")]
    Http {
        /// Why.
        reason: String,
    },
}
