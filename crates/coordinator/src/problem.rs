//! Every error answer, as RFC 9457 has it. Internal causes, and where this coordinator's own servers are, go to
//! the log, not to the caller.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chain::ChainError;
use client::coordinator::api;
use client::npm::NpmError;

use crate::blobs::BlobError;
use crate::store::StoreError;
use crate::vault::VaultError;

/// How it is announced.
pub(crate) const CONTENT_TYPE_OF_PROBLEMS: &str = "application/problem+json";

/// An error answer.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self { status, slug, title, detail: String::new() }
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The request cannot be read.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "Request cannot be read").detail(detail)
    }

    /// The request can be read and is wrong.
    pub(crate) fn refused(slug: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, slug, title).detail(detail)
    }

    /// 503: what costs much is not done for everybody at once.
    pub(crate) fn busy(what: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy")
            .detail(format!("too many {what} at once; try again in a minute"))
    }

    pub(crate) fn conflict(slug: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, slug, title).detail(detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not here").detail(detail)
    }

    pub(crate) fn not_a_member(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not-a-member", "Not a member of the package").detail(detail)
    }

    pub(crate) fn internal(error: impl std::error::Error) -> Self {
        tracing::error!(error = with_causes(&error), "internal error");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Coordinator failed")
            .detail("the coordinator's log says more")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = api::Problem {
            kind: format!("urn:3pm:problem:{}", self.slug),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: trust::text::printable(&self.detail, 1000),
        };
        (self.status, [(CONTENT_TYPE, CONTENT_TYPE_OF_PROBLEMS)], Json(body)).into_response()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Moved { .. } => {
                Self::conflict("moved", "State changed meanwhile", "ask for its state and try again")
            }
            error => Self::internal(error),
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        Self::internal(error)
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Missing { .. } => Self::not_found("the tarball is not kept here any more"),
            error => Self::internal(error),
        }
    }
}

impl From<ChainError> for Problem {
    fn from(error: ChainError) -> Self {
        tracing::warn!(error = with_causes(&error), "the chain cannot be read");
        Self::new(StatusCode::BAD_GATEWAY, "chain-unreadable", "Chain cannot be read")
            .detail(public_reason(&error))
    }
}

impl From<NpmError> for Problem {
    fn from(error: NpmError) -> Self {
        tracing::warn!(error = with_causes(&error), "the npm registry cannot be read");
        match error {
            NpmError::BadToken { .. } => {
                Self::refused("bad-npm-token", "npm refuses the token", error.to_string())
            }
            error => Self::new(StatusCode::BAD_GATEWAY, "npm-unreadable", "npm registry cannot be read")
                .detail(error.to_string()),
        }
    }
}

/// What strangers are told of it: everything but the addresses of this coordinator's endpoints.
pub(crate) fn public_reason(error: &ChainError) -> String {
    match error {
        ChainError::Disagree { what, .. } => format!("RPC endpoints disagree about {what}"),
        ChainError::Unproven { what, .. } => format!("an RPC endpoint proves nothing about {what}"),
        ChainError::WrongChain { found, expected, .. } => {
            format!("an RPC endpoint serves chain {found}, expected chain {expected}")
        }
        error => error.to_string(),
    }
}

/// The error and what caused it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_not_told_where_the_endpoints_are() {
        const URL: &str = "http://10.1.2.3:8545/";
        let broken = trust::proof::ProofError::Broken { what: "a slot".into(), reason: "no leaf".into() };
        let errors = [
            ChainError::Disagree { what: "a block", endpoints: URL.to_owned() },
            ChainError::WrongChain { url: URL.to_owned(), found: 1, expected: 2 },
            ChainError::Unproven { what: "packages", url: URL.to_owned(), source: broken },
        ];
        for error in errors {
            assert!(error.to_string().contains(URL));
            let told = public_reason(&error);
            assert!(!told.is_empty() && !told.contains("10.1.2.3"), "{told}");
        }
    }

    #[test]
    fn an_error_is_told_with_all_its_causes() {
        let error = BlobError::Io(std::io::Error::other("the disk is full"));
        assert_eq!(with_causes(&error), "tarball store failed: the disk is full");
    }
}
