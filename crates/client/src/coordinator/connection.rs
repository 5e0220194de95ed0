//! One method per endpoint of a coordinator.

use std::time::Duration;

use alloy_primitives::{Address, B256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use trust::{PackageName, Version};
use url::Url;

use super::api;
use crate::http::{Http, HttpError, Limits, Request, parse, public};

/// A tarball takes longer than a document.
const TARBALL: Limits = Limits { bytes: api::MAX_TARBALL_BYTES, time: Duration::from_secs(300) };

/// A claim makes the coordinator fetch every version of a package.
const CLAIM: Limits = Limits { bytes: 1 << 20, time: Duration::from_secs(120) };

/// For a token the coordinator asks the chain and npm, each of which it gives up after seconds.
const TOKEN: Limits = Limits { bytes: 1 << 20, time: Duration::from_secs(10) };

/// A legacy list of 100,000 versions has about 15 MB.
const LIST: Limits = Limits { bytes: 32 << 20, time: Duration::from_secs(20) };

/// A coordinator, by its URL.
#[derive(Debug, Clone)]
pub struct CoordinatorClient {
    http: Http,
    base: Url,
}

/// Why the coordinator gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// It could not be asked, or its answer is not usable.
    #[error("coordinator at {coordinator} gave no usable answer")]
    Http {
        /// Its URL.
        coordinator: String,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// It said no.
    #[error("coordinator refused ({status}): {detail}")]
    Refused {
        /// The status code.
        status: u16,
        /// Its reason, made printable.
        detail: String,
    },
    /// The URL cannot be built on.
    #[error("coordinator URL {url} cannot be used")]
    Url {
        /// The URL.
        url: String,
    },
    /// A document that cannot be sent.
    #[error("the request to the coordinator cannot be encoded: {reason}")]
    Request {
        /// Why.
        reason: String,
    },
}

impl CoordinatorError {
    /// The status code, when it said no.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

type Answer<T> = Result<T, CoordinatorError>;

impl CoordinatorClient {
    /// A client for the coordinator at `base`.
    #[must_use]
    pub fn new(http: Http, base: Url) -> Self {
        Self { http, base }
    }

    /// The URL it was made for.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// `GET /v1/health`.
    pub async fn health(&self) -> Answer<api::Health> {
        self.get(&["health"], Limits::SMALL).await
    }

    /// `POST /v1/proposals` with the tarball as body.
    pub async fn propose(&self, request: &api::ProposalRequest, tarball: Bytes) -> Answer<api::Proposal> {
        let json = serde_json::to_vec(request).map_err(not_sent)?;
        let header = HeaderValue::from_str(&URL_SAFE_NO_PAD.encode(json)).map_err(not_sent)?;
        let url = self.url(&["proposals"])?;
        let request = Request::new(Method::POST, url.clone())
            .header(HeaderName::from_static(api::PROPOSAL_HEADER), header)
            .body("application/octet-stream", tarball);
        let limits = Limits { bytes: 4 << 20, ..TARBALL };
        self.answer(&url, self.http.send(request, limits).await)
    }

    /// `GET /v1/proposals`.
    pub async fn proposals(
        &self,
        package: Option<&PackageName>,
        member: Option<Address>,
        open_only: bool,
    ) -> Answer<Vec<api::Proposal>> {
        let url = self.filtered(&["proposals"], package, member, open_only)?;
        Ok(self.get_url::<api::ProposalList>(url, LIST).await?.proposals)
    }

    /// `GET /v1/proposals/{id}`.
    pub async fn proposal(&self, id: B256) -> Answer<api::Proposal> {
        self.get(&["proposals", &id.to_string()], Limits::SMALL).await
    }

    /// `GET /v1/proposals/{id}/tarball`.
    pub async fn proposal_tarball(&self, id: B256) -> Answer<Bytes> {
        let url = self.url(&["proposals", &id.to_string(), "tarball"])?;
        let request = Request::new(Method::GET, url.clone());
        let answer = self.http.send(request, TARBALL).await.and_then(|answer| answer.successful(&url));
        Ok(answer.map_err(|source| self.failed(source))?.body)
    }

    /// `POST /v1/proposals/{id}/signatures`.
    pub async fn sign_proposal(&self, id: B256, signature: &api::SignatureRequest) -> Answer<api::Proposal> {
        self.post(&["proposals", &id.to_string(), "signatures"], signature, Limits::SMALL).await
    }

    /// `POST /v1/proposals/{id}/submission`.
    pub async fn notify_submission(&self, id: B256, transaction_hash: B256) -> Answer<api::Proposal> {
        let body = api::SubmissionRequest { transaction_hash };
        self.post(&["proposals", &id.to_string(), "submission"], &body, Limits::SMALL).await
    }

    /// `POST /v1/changes`.
    pub async fn propose_change(&self, request: &api::ChangeRequest) -> Answer<api::Change> {
        self.post(&["changes"], request, Limits::SMALL).await
    }

    /// `GET /v1/changes`.
    pub async fn changes(
        &self,
        package: Option<&PackageName>,
        member: Option<Address>,
        open_only: bool,
    ) -> Answer<Vec<api::Change>> {
        let url = self.filtered(&["changes"], package, member, open_only)?;
        Ok(self.get_url::<api::ChangeList>(url, LIST).await?.changes)
    }

    /// `GET /v1/changes/{id}`.
    pub async fn change(&self, id: B256) -> Answer<api::Change> {
        self.get(&["changes", &id.to_string()], Limits::SMALL).await
    }

    /// `POST /v1/changes/{id}/signatures`.
    pub async fn sign_change(&self, id: B256, signature: &api::SignatureRequest) -> Answer<api::Change> {
        self.post(&["changes", &id.to_string(), "signatures"], signature, Limits::SMALL).await
    }

    /// `POST /v1/changes/{id}/submission`.
    pub async fn notify_change(&self, id: B256, transaction_hash: B256) -> Answer<api::Change> {
        let body = api::SubmissionRequest { transaction_hash };
        self.post(&["changes", &id.to_string(), "submission"], &body, Limits::SMALL).await
    }

    /// `POST /v1/claims`.
    pub async fn request_claim(&self, request: &api::ClaimRequest) -> Answer<api::ClaimApproval> {
        self.post(&["claims"], request, CLAIM).await
    }

    /// `GET /v1/packages/{name}/legacy`.
    pub async fn legacy_list(&self, name: &PackageName) -> Answer<api::LegacyList> {
        self.get(&["packages", name.as_str(), "legacy"], LIST).await
    }

    /// `GET /v1/packages/{name}/legacy/{version}`; `None` when the list does not hold it.
    pub async fn legacy_proof(
        &self,
        name: &PackageName,
        version: &Version,
    ) -> Answer<Option<api::LegacyProof>> {
        let segments = ["packages", name.as_str(), "legacy", &version.to_string()];
        match self.get(&segments, Limits::SMALL).await {
            Err(CoordinatorError::Refused { status: 404, .. }) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// `POST /v1/packages/{name}/token`.
    pub async fn hand_over_token(
        &self,
        name: &PackageName,
        request: &api::TokenRequest,
    ) -> Answer<api::TokenStatus> {
        self.post(&["packages", name.as_str(), "token"], request, TOKEN).await
    }

    /// `GET /v1/packages/{name}/token`.
    pub async fn token_status(&self, name: &PackageName) -> Answer<api::TokenStatus> {
        self.get(&["packages", name.as_str(), "token"], Limits::SMALL).await
    }

    async fn get<T: DeserializeOwned>(&self, segments: &[&str], limits: Limits) -> Answer<T> {
        self.get_url(self.url(segments)?, limits).await
    }

    async fn get_url<T: DeserializeOwned>(&self, url: Url, limits: Limits) -> Answer<T> {
        let request = Request::new(Method::GET, url.clone());
        self.answer(&url, self.http.send(request, limits).await)
    }

    async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &B,
        limits: Limits,
    ) -> Answer<T> {
        let url = self.url(segments)?;
        let body = serde_json::to_vec(body).map_err(not_sent)?;
        let request = Request::new(Method::POST, url.clone()).body("application/json", body);
        self.answer(&url, self.http.send(request, limits).await)
    }

    fn answer<T: DeserializeOwned>(
        &self,
        url: &Url,
        answer: Result<crate::http::Response, HttpError>,
    ) -> Answer<T> {
        answer
            .and_then(|answer| answer.successful(url))
            .and_then(|answer| parse(url, &answer.body))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: HttpError) -> CoordinatorError {
        match source {
            HttpError::Status { status, detail, .. } => CoordinatorError::Refused { status, detail },
            source => CoordinatorError::Http { coordinator: public(&self.base), source },
        }
    }

    /// `/v1/` and the segments, each encoded: a scoped name is one segment.
    fn url(&self, segments: &[&str]) -> Answer<Url> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| CoordinatorError::Url { url: public(&self.base) })?
            .pop_if_empty()
            .push("v1")
            .extend(segments);
        Ok(url)
    }

    fn filtered(
        &self,
        segments: &[&str],
        package: Option<&PackageName>,
        member: Option<Address>,
        open_only: bool,
    ) -> Answer<Url> {
        let mut url = self.url(segments)?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("state", if open_only { "open" } else { "all" });
            if let Some(package) = package {
                query.append_pair("package", package.as_str());
            }
            if let Some(member) = member {
                query.append_pair("member", &member.to_string());
            }
        }
        Ok(url)
    }
}

fn not_sent(error: impl std::fmt::Display) -> CoordinatorError {
    CoordinatorError::Request { reason: error.to_string() }
}
