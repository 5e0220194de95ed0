//! HTTP with a limit of bytes and of time on every call. Follows no redirect by itself, and never prints
//! credentials: URLs lose their user info and query in errors, [`Authorization`] hides its value.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
pub use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use trust::text::printable;
use url::Url;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How much of a server's own words an error repeats, in characters.
const DETAIL_CHARS: usize = 300;

/// Shared, cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    inner: reqwest::Client,
}

/// What an answer may cost. Every call names both.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of the body, after decompression.
    pub bytes: usize,
    /// From the first byte sent to the last byte received.
    pub time: Duration,
}

impl Limits {
    /// For small JSON documents from services that answer at once.
    pub const SMALL: Self = Self { bytes: 4 << 20, time: Duration::from_secs(5) };
}

/// The value of an `Authorization` header.
#[derive(Clone)]
pub struct Authorization(SecretString);

impl Authorization {
    /// `Bearer <token>`.
    #[must_use]
    pub fn bearer(token: &SecretString) -> Self {
        Self(format!("Bearer {}", token.expose_secret()).into())
    }

    /// `Basic <credentials>`, already in base64.
    #[must_use]
    pub fn basic(credentials: &SecretString) -> Self {
        Self(format!("Basic {}", credentials.expose_secret()).into())
    }

    /// The value of the header, still hidden.
    #[must_use]
    pub fn into_header_value(self) -> SecretString {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.0.expose_secret()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(redacted)")
    }
}

/// One request.
#[derive(Debug)]
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<reqwest::Body>,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None }
    }

    /// With credentials; a value no header can carry is left out, and the server will say so.
    #[must_use]
    pub fn authorization(mut self, authorization: Option<&Authorization>) -> Self {
        if let Some(value) = authorization.and_then(Authorization::header) {
            self.headers.insert(AUTHORIZATION, value);
        }
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With a body; `Bytes` have their length announced.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<reqwest::Body>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = Some(body.into());
        self
    }
}

/// One answer, of any status.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, within the limit.
    pub body: Bytes,
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The client could not be made.
    #[error("the HTTP client cannot start")]
    Setup(#[source] reqwest::Error),
    /// Nobody answered.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// Without credentials.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer took too long.
    #[error("{url} did not answer within {after:?}")]
    TimedOut {
        /// Without credentials.
        url: String,
        /// The limit.
        after: Duration,
    },
    /// The answer is larger than allowed.
    #[error("{url} answered with more than {limit} bytes")]
    TooLarge {
        /// Without credentials.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// The server said no.
    #[error("{url} answered {status}: {detail}")]
    Status {
        /// Without credentials.
        url: String,
        /// The status code.
        status: u16,
        /// What the server said, made printable.
        detail: String,
    },
    /// Not what was asked for.
    #[error("{url} answered with something else than expected")]
    Malformed {
        /// Without credentials.
        url: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl Http {
    /// A client for this process.
    pub fn new() -> Result<Self, HttpError> {
        Self::with_authorities(&[])
    }

    /// One that also believes these certificate authorities (PEM).
    pub fn with_authorities(pem: &[u8]) -> Result<Self, HttpError> {
        // A second call finds the provider installed; that is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authorities = reqwest::Certificate::from_pem_bundle(pem).map_err(HttpError::Setup)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("3pm/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none());
        if !authorities.is_empty() {
            builder = builder.tls_certs_merge(authorities);
        }
        Ok(Self { inner: builder.build().map_err(HttpError::Setup)? })
    }

    /// A JSON document.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        url: &Url,
        authorization: Option<&Authorization>,
        accept: Option<&'static str>,
        limits: Limits,
    ) -> Result<T, HttpError> {
        let bytes = self.get_bytes(url, authorization, accept, limits).await?;
        parse(url, &bytes)
    }

    /// Bytes as they come.
    pub async fn get_bytes(
        &self,
        url: &Url,
        authorization: Option<&Authorization>,
        accept: Option<&'static str>,
        limits: Limits,
    ) -> Result<Bytes, HttpError> {
        let mut request = Request::new(Method::GET, url.clone()).authorization(authorization);
        if let Some(accept) = accept {
            request = request.header(ACCEPT, HeaderValue::from_static(accept));
        }
        Ok(self.send(request, limits).await?.successful(url)?.body)
    }

    /// JSON in, JSON out.
    pub async fn post_json<B: Serialize, T: DeserializeOwned>(
        &self,
        url: &Url,
        authorization: Option<&Authorization>,
        body: &B,
        limits: Limits,
    ) -> Result<T, HttpError> {
        let body =
            serde_json::to_vec(body).map_err(|source| HttpError::Malformed { url: public(url), source })?;
        let request = Request::new(Method::POST, url.clone())
            .authorization(authorization)
            .body("application/json", body);
        parse(url, &self.send(request, limits).await?.successful(url)?.body)
    }

    /// Any request; the answer's status is the caller's matter.
    pub async fn send(&self, request: Request, limits: Limits) -> Result<Response, HttpError> {
        let url = request.url.clone();
        match tokio::time::timeout(limits.time, self.exchange(request, limits.bytes)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::TimedOut { url: public(&url), after: limits.time }),
        }
    }

    async fn exchange(&self, request: Request, limit: usize) -> Result<Response, HttpError> {
        let url = request.url.clone();
        let unreachable = |source: reqwest::Error| HttpError::Unreachable {
            url: public(&url),
            source: source.without_url(),
        };
        let too_large = || HttpError::TooLarge { url: public(&url), limit };
        let mut building = self.inner.request(request.method, request.url).headers(request.headers);
        if let Some(body) = request.body {
            building = building.body(body);
        }
        let answer = building.send().await.map_err(unreachable)?;
        if answer.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = BytesMut::new();
        let mut stream = answer.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(unreachable)?;
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body: body.freeze() })
    }
}

impl Response {
    /// The answer when its status is 2xx, else an error that repeats what the server said.
    pub fn successful(self, url: &Url) -> Result<Self, HttpError> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        Err(HttpError::Status { url: public(url), status: self.status, detail: detail(&self.body) })
    }
}

impl HttpError {
    /// Whether nobody was heard: no connection, or no answer in time. One that was cut off is an answer of sorts.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => source.is_connect() || source.is_timeout(),
            Self::TimedOut { .. } => true,
            _ => false,
        }
    }

    /// The status code, when the server gave one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Reads JSON; the error carries no body.
pub fn parse<T: DeserializeOwned>(url: &Url, body: &[u8]) -> Result<T, HttpError> {
    serde_json::from_slice(body).map_err(|source| HttpError::Malformed { url: public(url), source })
}

/// A URL without what may be secret in it: user info, query and fragment.
#[must_use]
pub fn public(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.to_string()
}

/// What a server said in a problem document (RFC 9457) or in npm's `{"error": …}`, made printable.
fn detail(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => ["detail", "error", "message", "title"]
            .iter()
            .find_map(|field| value.get(field)?.as_str().map(str::to_owned))
            .unwrap_or_default(),
        Err(_) => String::from_utf8_lossy(body.get(..DETAIL_CHARS).unwrap_or(body)).into_owned(),
    };
    match text.trim() {
        "" => "no reason given".to_owned(),
        text => printable(text, DETAIL_CHARS),
    }
}
