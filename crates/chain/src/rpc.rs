//! JSON-RPC 2.0 over HTTP: one question, one answer, within limits. Does not decide whom to believe.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::Bytes;
use client::http::{Http, HttpError, Limits, Request, parse, public_endpoint};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use trust::text::printable;
use url::Url;

/// The promise to whoever installs: about an endpoint that is dead, silent, slow or endless it is decided within
/// this. [`HEAD_TIME`] and [`RECORDS_TIME`] together.
pub const DECISION_TIME: Duration = Duration::from_secs(5);

/// The first part of it: agreeing on a block.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(3);

/// The second part: the first hundred records.
const RECORDS_TIME: Duration = Duration::from_secs(2);

/// What every further hundred may take: 60 kB from each of a few endpoints.
const MORE_RECORDS_TIME: Duration = Duration::from_millis(500);

/// Logs of a long range are the largest answers. Whoever promises a decision waits for less.
pub(crate) const LIMITS: Limits = Limits { bytes: 32 << 20, time: Duration::from_secs(4) };

/// How long to wait for so many records.
#[must_use]
pub fn records_time(records: usize) -> Duration {
    let more = records.saturating_sub(1) / 100;
    RECORDS_TIME + MORE_RECORDS_TIME * u32::try_from(more).unwrap_or(u32::MAX / 1000)
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The endpoint could not be asked.
    #[error("RPC endpoint gave no usable answer to {method}")]
    Http {
        /// The question.
        method: String,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// The endpoint said no.
    #[error("{url} refuses {method} ({code}): {message}")]
    Refused {
        /// The endpoint.
        url: String,
        /// The question.
        method: String,
        /// JSON-RPC error code.
        code: i64,
        /// Its message, made printable.
        message: String,
        /// Revert data, when there is some.
        data: Option<Bytes>,
    },
    /// Not an answer to this question.
    #[error("{url} answered {method} with {reason}")]
    Malformed {
        /// The endpoint.
        url: String,
        /// The question.
        method: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    id: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Value,
}

impl RpcError {
    /// Whether nobody was heard at all. A page, a refusal or too much of an answer is somebody.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Http { source, .. } if source.is_silence())
    }
}

/// `"result": null` is an answer; no `result` is none.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Asks `url` one question.
pub async fn call(
    http: &Http,
    url: &Url,
    method: &str,
    params: Value,
    limits: Limits,
) -> Result<Value, RpcError> {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
    let request = Request::new(Method::POST, url.clone()).body("application/json", body);
    let failed =
        |source: HttpError| RpcError::Http { method: method.to_owned(), source: source.of_endpoint(url) };
    let malformed = |reason: &str| RpcError::Malformed {
        url: public_endpoint(url),
        method: method.to_owned(),
        reason: reason.to_owned(),
    };
    let response = http.send(request, limits).await.map_err(failed)?;
    // Some endpoints refuse with a status and a JSON-RPC error in the body; the error says more.
    let answer = match parse::<Answer>(url, &response.body) {
        Ok(answer) => answer,
        Err(_) if !(200..300).contains(&response.status) => {
            return Err(response
                .successful(url)
                .err()
                .map_or_else(|| malformed("no JSON-RPC answer"), failed));
        }
        Err(error) => return Err(failed(error)),
    };
    if answer.id.as_ref().is_some_and(|found| *found != json!(id)) {
        return Err(malformed("the answer to another question"));
    }
    match (answer.error, answer.result) {
        (Some(refusal), _) => Err(RpcError::Refused {
            url: public_endpoint(url),
            method: method.to_owned(),
            code: refusal.code,
            message: printable(&refusal.message, 300),
            data: revert_data(&refusal.data),
        }),
        (None, Some(result)) if answer.id.is_some() => Ok(result),
        _ => Err(malformed("neither result nor error")),
    }
}

/// Endpoints put revert data at `data`, `data.data` or `data.originalError.data`.
fn revert_data(data: &Value) -> Option<Bytes> {
    let found = [data.as_str(), data["data"].as_str(), data["originalError"]["data"].as_str()];
    found.into_iter().flatten().find_map(|text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_and_the_first_hundred_records_take_no_longer_than_was_promised() {
        assert_eq!(HEAD_TIME + records_time(0), DECISION_TIME);
        assert_eq!(HEAD_TIME + records_time(100), DECISION_TIME);
        assert_eq!(records_time(101) - records_time(100), MORE_RECORDS_TIME);
        assert!(records_time(5000) < Duration::from_secs(30));
    }
}
