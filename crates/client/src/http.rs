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

use crate::tls::{self, AuthorityError};

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a server that only has to answer may say nothing: before its answer begins, and between two pieces of
/// it. Documents and tarballs may take their time, but only while they come.
const SILENCE: Duration = Duration::from_secs(10);

/// How much of a server's own words an error repeats, in characters.
const DETAIL_CHARS: usize = 300;

/// Shared, cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    inner: reqwest::Client,
    silence: Duration,
}

/// What an answer may cost. Every call names both.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of the body, after decompression.
    pub bytes: usize,
    /// From the first byte sent to the last byte received. A server that says nothing at all is given up sooner.
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
    /// The user's own certificate authorities cannot be read.
    #[error("the user's own certificate authorities (ca and cafile in npm's configuration) cannot be read")]
    Authorities(#[from] AuthorityError),
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

/// The user's own proxy, through which servers are reached.
#[derive(Clone, PartialEq, Eq)]
pub struct UserProxy {
    /// Its address, credentials included.
    pub url: Url,
    /// The hosts that are reached without it, as in `NO_PROXY`.
    pub exceptions: Option<String>,
}

impl fmt::Debug for UserProxy {
    /// Without the credentials that its address may carry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserProxy")
            .field("url", &public(&self.url))
            .field("exceptions", &self.exceptions)
            .finish()
    }
}

impl Http {
    /// A client for this process.
    pub fn new() -> Result<Self, HttpError> {
        Self::with(&[], None)
    }

    /// One that also believes these certificate authorities (PEM), and goes through this proxy; without one, through
    /// that of the environment.
    pub fn with(pem: &[u8], proxy: Option<&UserProxy>) -> Result<Self, HttpError> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(pem, &["h2", "http/1.1"])?)
            .user_agent(concat!("3pm/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none());
        if let Some(UserProxy { url, exceptions }) = proxy {
            let exceptions = exceptions.as_deref().and_then(reqwest::NoProxy::from_string);
            let proxy = reqwest::Proxy::all(url.clone()).map_err(HttpError::Setup)?.no_proxy(exceptions);
            builder = builder.proxy(proxy);
        }
        Ok(Self { inner: builder.build().map_err(HttpError::Setup)?, silence: SILENCE })
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

    /// A connection that was kept open may be closed by the server just as a request goes out on it, and hyper sends
    /// again only what had not gone out yet. Whoever only reads asks once more; what changes something is sent once.
    async fn exchange(&self, request: Request, limit: usize) -> Result<Response, HttpError> {
        let reads = request.method == Method::GET && request.body.is_none();
        let (url, headers) = (request.url.clone(), request.headers.clone());
        match self.exchange_once(request, limit).await {
            // Connected, and then no head of an answer.
            Err(HttpError::Unreachable { source, .. })
                if reads && source.is_request() && !source.is_connect() =>
            {
                self.exchange_once(Request { headers, ..Request::new(Method::GET, url) }, limit).await
            }
            answer => answer,
        }
    }

    async fn exchange_once(&self, request: Request, limit: usize) -> Result<Response, HttpError> {
        let url = request.url.clone();
        // Whoever is sent a body is silent while it goes up and while it is looked at.
        let silence = if request.body.is_some() { Duration::MAX } else { self.silence };
        let timed_out = |_| HttpError::TimedOut { url: public(&url), after: silence };
        let unreachable = |source: reqwest::Error| HttpError::Unreachable {
            url: public(&url),
            source: source.without_url(),
        };
        let too_large = || HttpError::TooLarge { url: public(&url), limit };
        let mut building = self.inner.request(request.method, request.url).headers(request.headers);
        if let Some(body) = request.body {
            building = building.body(body);
        }
        let sending = tokio::time::timeout(silence, building.send());
        let answer = sending.await.map_err(timed_out)?.map_err(unreachable)?;
        if answer.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = BytesMut::new();
        let mut stream = answer.bytes_stream();
        while let Some(chunk) = tokio::time::timeout(silence, stream.next()).await.map_err(timed_out)? {
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

    /// The same error with no more of the URL than `public_endpoint` shows.
    #[must_use]
    pub fn of_endpoint(mut self, endpoint: &Url) -> Self {
        match &mut self {
            Self::Setup(_) | Self::Authorities(_) => {}
            Self::Unreachable { url, .. }
            | Self::TimedOut { url, .. }
            | Self::TooLarge { url, .. }
            | Self::Status { url, .. }
            | Self::Malformed { url, .. } => *url = public_endpoint(endpoint),
        }
        self
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

/// An RPC endpoint's URL without what may be secret in it: providers put their key into the path as well.
#[must_use]
pub fn public_endpoint(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.path() != "/" {
        shown.set_path("/…");
    }
    // The ellipsis is for people, not a path that anybody asks for.
    public(&shown).replace("%E2%80%A6", "…")
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    const LIMITS: Limits = Limits { bytes: 1_000, time: Duration::from_secs(2) };

    /// A server that does this to everybody who connects; how many did, is counted.
    fn hostile(
        serve: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + 'static,
    ) -> (Url, Arc<AtomicUsize>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]);
                // Fails when the client had enough, which is what it should do.
                let _ = serve(&mut stream);
            }
        });
        (url, count)
    }

    async fn ask(
        serve: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + 'static,
    ) -> Result<Response, HttpError> {
        let (url, _) = hostile(serve);
        let http = Http { silence: Duration::from_millis(300), ..Http::new().unwrap() };
        let started = Instant::now();
        let answer = http.send(Request::new(Method::GET, url), LIMITS).await;
        assert!(started.elapsed() < LIMITS.time * 3, "{:?} after {:?}", answer, started.elapsed());
        answer
    }

    fn says(text: &'static str) -> impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + 'static {
        move |stream| stream.write_all(text.as_bytes())
    }

    /// By then a connection whose answer was read is kept for the next request.
    const KEPT: Duration = Duration::from_millis(100);

    /// A server that answers the first request on a connection, and ends with the second one unanswered.
    fn closing_at_the_second() -> (Url, Arc<AtomicUsize>) {
        hostile(|stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere")?;
            stream.read(&mut [0; 4096]).map(drop)
        })
    }

    #[tokio::test]
    async fn a_kept_connection_that_ends_as_a_request_goes_out_costs_a_reader_nothing() {
        let (url, connections) = closing_at_the_second();
        let http = Http::new().unwrap();
        for expected in 1..=3 {
            let answer = http.send(Request::new(Method::GET, url.clone()), LIMITS).await;
            assert_eq!(answer.unwrap().body, "here");
            assert_eq!(connections.load(Ordering::SeqCst), expected);
            tokio::time::sleep(KEPT).await;
        }
    }

    #[tokio::test]
    async fn what_changes_something_is_not_sent_again() {
        for (method, body) in [(Method::POST, None), (Method::PUT, None), (Method::PUT, Some("{}"))] {
            let (url, connections) = closing_at_the_second();
            let http = Http::new().unwrap();
            http.send(Request::new(Method::GET, url.clone()), LIMITS).await.unwrap();
            tokio::time::sleep(KEPT).await;
            let request = Request::new(method, url);
            let request = match body {
                Some(body) => request.body("application/json", body),
                None => request,
            };
            let answer = http.send(request, LIMITS).await;
            assert!(matches!(answer, Err(HttpError::Unreachable { .. })), "{answer:?}");
            assert_eq!(connections.load(Ordering::SeqCst), 1);
        }
    }

    #[tokio::test]
    async fn whoever_is_always_cut_off_asks_twice() {
        let (url, connections) = hostile(|_| Ok(()));
        let answer = Http::new().unwrap().send(Request::new(Method::GET, url), LIMITS).await;
        assert!(matches!(answer, Err(HttpError::Unreachable { .. })), "{answer:?}");
        assert_eq!(connections.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn headers_without_end_are_given_up() {
        let answer = ask(|stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                stream.write_all(b"x-more: and more\r\n")?;
            }
        });
        assert!(matches!(answer.await, Err(HttpError::Unreachable { .. })));
        let answer = ask(|stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx-long: ")?;
            loop {
                stream.write_all(&[b'a'; 4096])?;
            }
        });
        assert!(matches!(answer.await, Err(HttpError::Unreachable { .. })));
    }

    #[tokio::test]
    async fn a_body_without_end_is_given_up_at_the_limit() {
        let answer = ask(|stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(b"5\r\nhello\r\n")?;
            }
        });
        assert!(matches!(answer.await, Err(HttpError::TooLarge { limit: 1_000, .. })));
        // One that says so is not read at all.
        let answer = ask(says("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n"));
        assert!(matches!(answer.await, Err(HttpError::TooLarge { .. })));
    }

    #[tokio::test]
    async fn a_body_is_measured_as_it_comes_out_of_its_compression() {
        let packed = |length| {
            let mut packing = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            packing.write_all(&vec![b'a'; length]).unwrap();
            packing.finish().unwrap()
        };
        let asked = |length| {
            let body = packed(length);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            ask(move |stream| stream.write_all(&[head.as_bytes(), &body].concat()))
        };
        assert_eq!(asked(1_000).await.unwrap().body, "a".repeat(1_000));
        assert!(packed(100_000).len() < 1_000);
        assert!(matches!(asked(100_000).await, Err(HttpError::TooLarge { .. })));
    }

    #[tokio::test]
    async fn silence_ends_before_the_time_does() {
        let quiet = Duration::from_millis(300);
        let silent = |text: &'static str| {
            ask(move |stream| {
                stream.write_all(text.as_bytes())?;
                std::thread::sleep(LIMITS.time * 3);
                Ok(())
            })
        };
        for text in
            ["", "HTTP/1.1 200 OK\r\nx-header: be", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"]
        {
            let answer = silent(text).await;
            assert!(
                matches!(answer, Err(HttpError::TimedOut { after, .. }) if after == quiet),
                "{text:?}: {answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_that_drips_ends_at_the_time() {
        let answer = ask(|stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n")?;
            loop {
                stream.write_all(b"a")?;
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        assert!(matches!(answer.await, Err(HttpError::TimedOut { after, .. }) if after == LIMITS.time));
    }

    #[tokio::test]
    async fn a_length_that_is_not_the_bodys_changes_no_byte() {
        let short = ask(says("HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf")).await;
        assert!(matches!(short, Err(HttpError::Unreachable { .. })), "{short:?}");
        let long = ask(says("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhalf and HTTP/1.1 200 OK")).await;
        assert_eq!(long.unwrap().body, "half");
        let two =
            ask(says("HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 9\r\n\r\nhalf and h")).await;
        assert!(matches!(two, Err(HttpError::Unreachable { .. })), "{two:?}");
        for length in ["-1", "4, 5", "99999999999999999999999", "four"] {
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nhalf");
            let answer = ask(move |stream| stream.write_all(text.as_bytes())).await;
            assert!(matches!(answer, Err(HttpError::Unreachable { .. })), "{length}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_leads_nowhere() {
        let (elsewhere, visits) = hostile(says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        for status in [301, 302, 303, 307, 308] {
            let text =
                format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n");
            let answer = ask(move |stream| stream.write_all(text.as_bytes())).await.unwrap();
            assert_eq!(answer.status, status);
            assert!(matches!(answer.successful(&elsewhere), Err(HttpError::Status { .. })));
        }
        assert_eq!(visits.load(Ordering::SeqCst), 0);
    }
}
