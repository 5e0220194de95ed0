//! One request on its way to a registry, and the answer on its way back.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use reqwest::Client;
use trust::text::printable;
use url::Url;

use crate::body::{BodyError, is_document, last_cause, read_answer};
use crate::{Asked, Gate, Limits, Log, Passed, Ruling, authority_of, hosts};

/// Most redirects on the way to something.
const MAX_REDIRECTS: usize = 5;

/// The longest body of an answer that is not good.
const MAX_ERROR_BODY: usize = 1 << 20;

/// Headers of one connection only (RFC 9110, section 7.6.1), and of the way to us.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
];

/// Paths whose POST answers with advice and changes nothing.
const ADVICE: [&str; 2] = ["/-/npm/v1/security/", "/-/npm/v1/attestations"];

/// What all requests of a run share.
#[derive(Debug)]
pub(crate) struct Relay<G> {
    pub(crate) gate: Arc<G>,
    pub(crate) client: Client,
    pub(crate) registries: Vec<Url>,
    pub(crate) limits: Limits,
    pub(crate) log: Log,
}

/// Why the package manager gets no answer of the registry's.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
}

/// What it gets.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl<G: Gate> Relay<G> {
    /// Whether `host:port` is one of this run's registries.
    pub(crate) fn reaches(&self, authority: &str) -> bool {
        self.registries.iter().filter_map(authority_of).any(|known| known.eq_ignore_ascii_case(authority))
    }

    /// Answers one request whose full address is `url`.
    pub(crate) async fn answer(&self, url: Url, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let method = request.method().clone();
        let result = match tokio::time::timeout(self.limits.total, self.pass(&url, request)).await {
            Ok(result) => result,
            Err(_) => Err(Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!("the registry took longer than {} s", self.limits.total.as_secs()),
            )),
        };
        let (answer, refused) = match result {
            Ok(answer) => (answer, None),
            Err(refusal) => (refusal.answer(), Some(refusal.message)),
        };
        self.log.add(Passed {
            method: method.to_string(),
            url: shown(&url),
            status: answer.status.as_u16(),
            bytes: answer.body.len(),
            refused,
        });
        answer.into_response()
    }

    /// Refuses a host, and remembers that.
    pub(crate) fn refuse_host(&self, method: &Method, authority: &str) -> Response<Full<Bytes>> {
        let authority = printable(authority, 200);
        let message = format!(
            "{authority} is not a registry of this run, which are: {}; nothing else is reached while packages are fetched",
            hosts(&self.registries)
        );
        let refusal = Refusal::new(StatusCode::FORBIDDEN, message);
        self.log.add(Passed {
            method: method.to_string(),
            url: authority,
            status: refusal.status.as_u16(),
            bytes: 0,
            refused: Some(refusal.message.clone()),
        });
        refusal.answer().into_response()
    }

    async fn pass(&self, url: &Url, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let (parts, body) = request.into_parts();
        let is_get = parts.method == Method::GET;
        let is_advice = parts.method == Method::POST && ADVICE.iter().any(|path| url.path().contains(path));
        if !is_get && parts.method != Method::HEAD && !is_advice {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                format!("{} is not passed on while packages are installed", parts.method),
            ));
        }
        let body = Limited::new(body, self.limits.request).collect().await.map_err(|_| {
            let message =
                format!("the request's body is not read: cut short, or over {} bytes", self.limits.request);
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
        })?;
        let headers = request_headers(&parts.headers);
        let answer = self.send(url, &parts.method, headers, body.to_bytes()).await?;
        let status = answer.status();
        let headers = answer_headers(answer.headers());
        if parts.method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
            return Ok(Answer { status, headers, body: Bytes::new() });
        }
        let body = read_answer(answer, &self.limits).await?;
        if !status.is_success() {
            let keep = body.len() <= MAX_ERROR_BODY && is_document(&body);
            return Ok(Answer { status, headers, body: if keep { body } else { Bytes::new() } });
        }
        if status != StatusCode::OK && !body.is_empty() {
            return Err(Refusal::new(
                StatusCode::BAD_GATEWAY,
                format!("the registry answered {status}, expected 200"),
            ));
        }
        self.judge(url, &body, is_get).await?;
        Ok(Answer { status, headers, body })
    }

    async fn judge(&self, url: &Url, body: &Bytes, is_get: bool) -> Result<(), Refusal> {
        let asked = Asked { url: url.clone() };
        let document = {
            let body = body.clone();
            if body.len() < 256 * 1024 {
                is_document(&body)
            } else {
                tokio::task::spawn_blocking(move || is_document(&body)).await.unwrap_or(false)
            }
        };
        let (limit, ruling) = if document {
            let ruling =
                if is_get { self.gate.document(&asked, body.clone()).await } else { Ruling::Release };
            (self.limits.document, ruling)
        } else if is_get {
            (self.limits.tarball, self.gate.tarball(&asked, body.clone()).await)
        } else {
            let message = "the registry's advice is not JSON".to_owned();
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, message));
        };
        if body.len() > limit {
            return Err(BodyError::TooLarge { limit }.into());
        }
        match ruling {
            Ruling::Release => Ok(()),
            Ruling::Refuse { message } => Err(Refusal::new(StatusCode::FORBIDDEN, message)),
        }
    }

    /// Asks the registry, and whomever it sends us to.
    async fn send(
        &self,
        url: &Url,
        method: &Method,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, Refusal> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request =
                self.client.request(method.clone(), at.clone()).headers(headers.clone()).body(body.clone());
            let answer = tokio::time::timeout(self.limits.idle, request.send()).await;
            let answer = answer
                .map_err(|_| BodyError::Idle { seconds: self.limits.idle.as_secs() })?
                .map_err(|error| {
                    let message = format!("{} cannot be reached: {}", shown(&at), last_cause(&error));
                    Refusal::new(StatusCode::BAD_GATEWAY, message)
                })?;
            if !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            let to = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let to = to.and_then(|to| at.join(to).ok()).filter(|to| {
                // Never from https to plain http.
                matches!(to.scheme(), "http" | "https") && (at.scheme() != "https" || to.scheme() == "https")
            });
            let Some(to) = to.filter(|_| *method != Method::POST) else {
                let message = format!("{} redirects to where nobody may follow", shown(&at));
                return Err(Refusal::new(StatusCode::BAD_GATEWAY, message));
            };
            if authority_of(&to) != authority_of(&at) {
                for name in [header::AUTHORIZATION, header::COOKIE, HeaderName::from_static("npm-otp")] {
                    headers.remove(name);
                }
            }
            at = to;
        }
        let message = format!("{} redirects more than {MAX_REDIRECTS} times", shown(url));
        Err(Refusal::new(StatusCode::BAD_GATEWAY, message))
    }
}

/// The request's headers for the registry: without those of this connection, whole, in an encoding we read.
fn request_headers(from: &HeaderMap) -> HeaderMap {
    let mut headers = without_hop_by_hop(from);
    for name in [header::RANGE, header::IF_RANGE, header::CONTENT_LENGTH, header::EXPECT] {
        headers.remove(name);
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    headers
}

/// The answer's headers for the package manager: of the body as it now is.
fn answer_headers(from: &HeaderMap) -> HeaderMap {
    let mut headers = without_hop_by_hop(from);
    for name in [
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::ACCEPT_RANGES,
        header::STRICT_TRANSPORT_SECURITY,
        header::ALT_SVC,
    ] {
        headers.remove(name);
    }
    headers
}

fn without_hop_by_hop(from: &HeaderMap) -> HeaderMap {
    // `Connection` may name more of them.
    let named: Vec<String> = from
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    from.iter()
        .filter(|(name, _)| {
            !HOP_BY_HOP.contains(&name.as_str()) && !named.iter().any(|hop| hop == name.as_str())
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl Refusal {
    fn new(status: StatusCode, message: String) -> Self {
        Self { status, message: printable(&message, 500) }
    }

    /// As npm prints it: the `error` of a JSON body, and a notice.
    fn answer(&self) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let text = format!("3pm: {}", self.message);
        let ascii: String =
            text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
        if let Ok(notice) = HeaderValue::from_str(&ascii) {
            headers.insert(HeaderName::from_static("npm-notice"), notice);
        }
        let body = serde_json::json!({ "error": text }).to_string();
        Answer { status: self.status, headers, body: body.into() }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::Idle { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, error.to_string())
    }
}

impl Answer {
    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Without credentials and query.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}
