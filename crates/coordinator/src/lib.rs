//! The coordinator: collects signatures, keeps npm tokens, asks the registrar, publishes what is recorded.
//!
//! Middleware, never an authority: everything it says is checked again by the CLI and by the contracts, and
//! if it is gone, signed files travel by any other channel. It holds no wallet key; the registrar's
//! signature comes from an external signer.

mod admission;
mod app;
mod blobs;
mod folder;
mod identity;
mod legacy;
mod problem;
mod publisher;
mod routes;
mod store;
mod transitions;
mod vault;
mod watcher;

use std::future::{Future, IntoFuture as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use client::http::{Http, HttpError};
use client::npm::NpmConfig;
use secrecy::SecretString;
use tokio::net::TcpListener;
use url::Url;

pub use store::StoreError;
pub use vault::VaultError;

use app::App;

/// What a coordinator needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Database, tarballs and, unless given, the vault's key.
    pub data_dir: PathBuf,
    /// The deployment whose members it serves, read as the operator's network entry says.
    pub chain: chain::Chain,
    /// Blocks a record must have on it, its own included, before anything is published.
    pub confirmations: u64,
    /// Where packages live.
    pub npm: NpmConfig,
    /// Who signs for claims, when this coordinator can ask.
    pub registrar: Option<RegistrarSettings>,
    /// 32 bytes in hex or base64; otherwise a key file in `data_dir`.
    pub vault_key: Option<SecretString>,
    /// What token hand-overs must name.
    pub public_url: Url,
    /// Between two looks at the chain.
    pub poll_interval: Duration,
    /// Most bytes of an uploaded tarball.
    pub max_tarball_bytes: usize,
}

/// An external signer that holds the registrar's key.
#[derive(Debug, Clone)]
pub struct RegistrarSettings {
    /// JSON-RPC.
    pub rpc_url: Url,
    /// Its account.
    pub address: Address,
}

/// Why a coordinator does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault's key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The folder, or the socket.
    #[error("{what} failed")]
    Io {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else's.
    #[error(
        "{} belongs to another coordinator that runs: end that one, or choose another folder with --data",
        .folder.display()
    )]
    Taken {
        /// The data folder.
        folder: PathBuf,
    },
    /// HTTP.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// How long requests under way may take to end after `shutdown`.
const SHUTDOWN_TIME: Duration = Duration::from_secs(10);

/// Serves until `shutdown`. Whatever was under way is taken up by the next start.
pub async fn serve(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let http = Http::new()?;
    let poll_interval = settings.poll_interval;
    let app = Arc::new(App::open(settings, http).await?);
    let watching = tokio::spawn(watcher::run(Arc::clone(&app), poll_interval));
    let publishing = tokio::spawn(publisher::run(Arc::clone(&app), poll_interval));
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, routes::router(app)).with_graceful_shutdown(async move {
        shutdown.await;
        drop(tell);
    });
    let served = tokio::select! {
        served = serving.into_future() => served,
        // A client that stops reading must not keep the process.
        () = async { let _ = told.await; tokio::time::sleep(SHUTDOWN_TIME).await } => Ok(()),
    };
    watching.abort();
    publishing.abort();
    served.map_err(|source| ServeError::Io { what: "serving".to_owned(), source })
}
