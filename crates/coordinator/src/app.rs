//! What every handler and every job shares, and the questions they have in common. Time comes from here.

use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256};
use axum::http::StatusCode;
use chain::{Chain, Head, MemberSignatureError};
use client::http::Http;
use client::npm::NpmClient;
use tokio::sync::{Notify, Semaphore};
use trust::PackageName;
use trust::record::{PackageRecord, PackageState};

use crate::admission::Admission;
use crate::blobs::Blobs;
use crate::folder::DataFolder;
use crate::legacy::Rebuilding;
use crate::problem::Problem;
use crate::store::Store;
use crate::vault::Vault;
use crate::{ServeError, Settings};

/// Claims looked at at once: each fetches tarballs that anybody can have put on npm.
const CLAIMS: usize = 2;

pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) http: Http,
    pub(crate) chain: Chain,
    pub(crate) npm: NpmClient,
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) vault: Vault,
    pub(crate) admission: Admission,
    pub(crate) rebuilding: Rebuilding,
    pub(crate) claims: Semaphore,
    /// Something happened that the watcher would otherwise see at its next look.
    pub(crate) look: Notify,
    /// Something became Active.
    pub(crate) publish: Notify,
    /// Nobody else runs on it while this lives.
    _folder: DataFolder,
}

impl App {
    pub(crate) async fn open(settings: Settings, http: Http) -> Result<Self, ServeError> {
        let folder = DataFolder::open(&settings.data_dir)?;
        Ok(Self {
            chain: settings.chain.clone(),
            npm: NpmClient::new(&http, settings.npm.clone())?,
            store: Store::open(&folder.private_file("coordinator.sqlite")?).await?,
            blobs: Blobs::open(&folder.path().join("tarballs"))
                .map_err(|source| ServeError::Io { what: "opening the tarball folder".to_owned(), source })?,
            vault: Vault::open(settings.vault_key.as_ref(), folder.path())?,
            admission: Admission::new(),
            rebuilding: Rebuilding::new(),
            claims: Semaphore::new(CLAIMS),
            look: Notify::new(),
            publish: Notify::new(),
            _folder: folder,
            http,
            settings,
        })
    }

    pub(crate) async fn head(&self) -> Result<Head, Problem> {
        Ok(self.chain.head(now()).await?)
    }

    /// The newest block that has enough blocks on it.
    pub(crate) async fn confirmed(&self, head: &Head) -> Result<Head, chain::ChainError> {
        let number = head.number.saturating_sub(self.settings.confirmations.saturating_sub(1));
        if number == head.number { Ok(*head) } else { self.chain.block(number).await }
    }

    /// The package, if its claim is final.
    pub(crate) async fn claimed(&self, head: &Head, name: &PackageName) -> Result<PackageRecord, Problem> {
        let package = self.chain.package(head, name).await?;
        match package.state {
            PackageState::Final => Ok(package),
            PackageState::None => {
                Err(Problem::new(StatusCode::NOT_FOUND, "not-claimed", "Package is not registered")
                    .detail(format!("nobody has claimed {name}; `3pm register {name}` does")))
            }
            PackageState::Provisional => {
                Err(Problem::new(StatusCode::CONFLICT, "claim-provisional", "Claim is not final yet")
                    .detail(format!("the claim of {name} becomes final at {}", package.final_at)))
            }
            PackageState::Retired => Err(Problem::new(StatusCode::CONFLICT, "retired", "Package left 3pm")
                .detail(format!("{name} was retired at {}", package.retired_at))),
        }
    }

    /// Whether `signature` over `digest` is `signer`'s, as the contracts judge it.
    pub(crate) async fn verify_signature(
        &self,
        head: &Head,
        signer: Address,
        digest: B256,
        signature: &[u8],
    ) -> Result<(), Problem> {
        match self.chain.verify_member_signature(head, signer, digest, signature).await {
            Ok(()) => Ok(()),
            Err(MemberSignatureError::Refused { .. }) => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad-signature",
                "Signature does not hold",
            )
            .detail(format!("it is not a signature of {signer} over {digest}"))),
            Err(MemberSignatureError::Chain(error)) => Err(error.into()),
        }
    }
}

/// Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
