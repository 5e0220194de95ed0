//! What the package manager gets, in one piece: a registry's answer, or why it gets none.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use trust::text::printable;
use url::Url;

use crate::body::BodyError;
use crate::log::Kind;

/// Characters of a refusal that are shown.
const MAX_MESSAGE: usize = 500;

/// An answer; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) kind: Kind,
    /// The package manager may not ask for it: see [`crate::Ruling::AtHand`].
    pub(crate) at_hand: bool,
    /// Why it is not the registry's.
    pub(crate) refused: Option<String>,
    /// The refused host of a redirect.
    pub(crate) sent_to: Option<Url>,
    pub(crate) lane: Lane,
}

/// Why the package manager gets no answer of the registry's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) kind: Kind,
    /// The refused host of a redirect.
    pub(crate) sent_to: Option<Url>,
}

/// The place of a large body, of which few are in memory at once; empty for small ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lane(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Lane {
    /// Takes a place.
    pub(crate) fn take(&self, place: Option<OwnedSemaphorePermit>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// Whether it holds one.
    pub(crate) fn is_taken(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Bytes that keep their place until they are written. What a gate keeps of them is its own matter.
struct Placed {
    bytes: Bytes,
    _lane: Lane,
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Answer {
    /// Without a body.
    pub(crate) fn empty(status: StatusCode, headers: HeaderMap) -> Self {
        Self {
            status,
            headers,
            body: Bytes::new(),
            kind: Kind::Other,
            at_hand: false,
            refused: None,
            sent_to: None,
            lane: Lane::default(),
        }
    }

    /// For the wire.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let body = match self.lane.is_taken() {
            true => Bytes::from_owner(Placed { bytes: self.body, _lane: self.lane }),
            false => self.body,
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

impl Refusal {
    /// The message is made printable.
    pub(crate) fn new(status: StatusCode, message: &str) -> Self {
        Self { status, message: printable(message, MAX_MESSAGE), kind: Kind::Other, sent_to: None }
    }

    /// Of this kind.
    pub(crate) fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Because of a redirect to this place, of which the host is told.
    pub(crate) fn sent_to(mut self, place: Option<&Url>) -> Self {
        self.sent_to = place.and_then(|place| Url::parse(&place.origin().ascii_serialization()).ok());
        self
    }

    /// As npm prints it: the `error` of a JSON body, and a notice.
    pub(crate) fn into_answer(self) -> Answer {
        let text = format!("3pm: {}", self.message);
        let mut headers = json_headers();
        let ascii: String =
            text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
        if let Ok(notice) = HeaderValue::from_str(&ascii) {
            headers.insert(HeaderName::from_static("npm-notice"), notice);
        }
        Answer {
            body: error_body(&text),
            kind: self.kind,
            refused: Some(self.message),
            sent_to: self.sent_to,
            ..Answer::empty(self.status, headers)
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::Idle { .. } | BodyError::Slow { .. } => StatusCode::GATEWAY_TIMEOUT,
            BodyError::TooLarge { .. } | BodyError::Broken { .. } | BodyError::Encoding { .. } => {
                StatusCode::BAD_GATEWAY
            }
        };
        Self::new(status, &error.to_string())
    }
}

/// `{"error": …}`.
pub(crate) fn error_body(text: &str) -> Bytes {
    serde_json::json!({ "error": text }).to_string().into()
}

/// Headers of a JSON body that is ours.
pub(crate) fn json_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}
