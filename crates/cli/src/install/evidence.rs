//! What a coordinator says about the versions of before a claim: a proof that one existed, or the whole list, which
//! proves that it did not. Nobody is believed here: `trust::verdict` holds both against the root on chain.
//!
//! A coordinator that says nothing is waited for once in a run, not once for each package.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::coordinator::CoordinatorClient;
use client::coordinator::api::LegacyProof;
use trust::legacy::LegacyVersion;
use trust::{PackageName, Version};

use super::assess::chain_of;

/// Proof and list together: within `chain::DECISION_TIME`, with time left for what comes before and after.
const LIMIT: Duration = Duration::from_millis(3500);

/// What somebody says about the versions of before a claim.
#[derive(Debug)]
pub(super) enum Evidence {
    /// It existed.
    Proof(LegacyProof),
    /// All that existed.
    List(Vec<LegacyVersion>),
    /// Nobody said anything, and why.
    Missing(String),
}

/// Whom to ask, for one run.
#[derive(Debug)]
pub(crate) struct LegacySource {
    client: CoordinatorClient,
    silent: AtomicBool,
}

impl LegacySource {
    /// Asks `client`.
    pub(crate) fn new(client: CoordinatorClient) -> Self {
        Self { client, silent: AtomicBool::new(false) }
    }

    /// A proof that the version existed; where there is none, the whole list.
    pub(super) async fn evidence(&self, name: &PackageName, version: &Version) -> Evidence {
        let silent = || Evidence::Missing(format!("the coordinator gave no answer within {LIMIT:?}"));
        if self.silent.load(Ordering::Relaxed) {
            return silent();
        }
        match tokio::time::timeout(LIMIT, self.ask(name, version)).await {
            Ok(evidence) => evidence,
            Err(_) => {
                self.silent.store(true, Ordering::Relaxed);
                silent()
            }
        }
    }

    async fn ask(&self, name: &PackageName, version: &Version) -> Evidence {
        match self.client.legacy_proof(name, version).await {
            Ok(Some(proof)) => Evidence::Proof(proof),
            Ok(None) => match self.client.legacy_list(name).await {
                Ok(list) => Evidence::List(list.versions),
                Err(error) => Evidence::Missing(chain_of(&error)),
            },
            Err(error) => Evidence::Missing(chain_of(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use client::http::Http;

    use super::*;

    #[tokio::test]
    async fn a_coordinator_that_says_nothing_is_waited_for_once() {
        // Connections are taken by the system, and nobody reads them.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let source = LegacySource::new(CoordinatorClient::new(Http::new().unwrap(), url));
        let (name, version) = ("a".parse().unwrap(), "1.0.0".parse().unwrap());
        let ask = async || {
            let started = std::time::Instant::now();
            let evidence = source.evidence(&name, &version).await;
            assert!(matches!(evidence, Evidence::Missing(reason) if reason.contains("no answer within")));
            started.elapsed()
        };
        assert!(ask().await >= LIMIT);
        assert!(ask().await < LIMIT);
    }
}
