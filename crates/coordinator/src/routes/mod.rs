//! One file per resource; each handler reads as the policy it is. Limits that hold for all of them are here.

mod changes;
mod claims;
mod health;
mod legacy;
mod proposals;
mod propose;
mod sign;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use tower_http::timeout::TimeoutLayer;
use trust::PackageName;

use crate::app::App;
use crate::problem::{CONTENT_TYPE_OF_PROBLEMS, Problem};

/// Largest JSON body: a legacy list of 100,000 versions has about 15 MB.
const MAX_JSON_BYTES: usize = 32 << 20;

/// The slowest request is the upload of a large tarball over a slow line.
const MAX_REQUEST_TIME: Duration = Duration::from_secs(600);

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/health", get(health::get))
        .route("/v1/proposals", get(proposals::list).post(propose::post))
        .route("/v1/proposals/{id}", get(proposals::get))
        .route("/v1/proposals/{id}/tarball", get(proposals::tarball))
        .route("/v1/proposals/{id}/signatures", post(sign::proposal))
        .route("/v1/proposals/{id}/submission", post(proposals::submission))
        .route("/v1/changes", get(changes::list).post(changes::post))
        .route("/v1/changes/{id}", get(changes::get))
        .route("/v1/changes/{id}/signatures", post(sign::change))
        .route("/v1/changes/{id}/submission", post(changes::submission))
        .route("/v1/claims", post(claims::post))
        .route("/v1/packages/{name}/legacy", get(legacy::list))
        .route("/v1/packages/{name}/legacy/{version}", get(legacy::proof))
        .route("/v1/packages/{name}/token", get(tokens::get).post(tokens::post))
        .fallback(async || Problem::not_found("no such endpoint; docs/api.md lists them"))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, MAX_REQUEST_TIME))
        .layer(map_response(as_problem))
        .with_state(app)
}

/// What axum itself refuses (another method, a body past the limit, a query that cannot be read, too slow) is a
/// problem as well.
async fn as_problem(response: Response) -> Response {
    let (status, headers) = (response.status(), response.headers());
    let is_problem = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == CONTENT_TYPE_OF_PROBLEMS);
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (slug, title) = match status {
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "Method is not allowed here"),
        StatusCode::REQUEST_TIMEOUT => ("timeout", "Request took too long"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "Body is too large"),
        status if status.is_client_error() => ("bad-request", "Request cannot be read"),
        _ => ("internal", "Something went wrong here"),
    };
    let allow = headers.get(ALLOW).cloned();
    let detail = "docs/api.md says what each endpoint takes";
    let mut problem = Problem::new(status, slug, title).detail(detail).into_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(ALLOW, allow);
    }
    problem
}

/// A JSON body; what is wrong with it comes back as a problem.
fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the body is not what is expected: {error}")))
}

fn parse_id(text: &str) -> Result<B256, Problem> {
    text.parse().map_err(|_| Problem::bad_request("an id is 0x and 64 hex digits"))
}

pub(crate) fn parse_name(text: &str) -> Result<PackageName, Problem> {
    text.parse().map_err(|error: trust::name::NameError| Problem::bad_request(error.to_string()))
}

/// `?package=&member=&state=`.
#[derive(Debug, serde::Deserialize)]
struct Filter {
    package: Option<String>,
    member: Option<String>,
    state: Option<String>,
}

impl Filter {
    fn parse(&self) -> Result<(Option<PackageName>, Option<alloy_primitives::Address>, bool), Problem> {
        let package = self.package.as_deref().map(parse_name).transpose()?;
        let member = self
            .member
            .as_deref()
            .map(|text| text.parse().map_err(|_| Problem::bad_request("member is not an address")))
            .transpose()?;
        let open_only = match self.state.as_deref() {
            None | Some("open") => true,
            Some("all") => false,
            Some(_) => return Err(Problem::bad_request("state is open or all")),
        };
        Ok((package, member, open_only))
    }
}
