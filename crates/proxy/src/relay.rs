//! One request on its way to a registry, and the answer on its way back. Knows nothing of connections.
//!
//! The steps, each of which refuses:
//! 1. The method is one that changes nothing.
//! 2. What was fetched ahead, or is being fetched for somebody else, is not fetched again.
//! 3. The registry answers, and does not send the package manager elsewhere.
//! 4. All of the body is here, within its limits.
//! 5. The gate releases it.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use trust::text::printable;
use url::Url;

use crate::ahead::{Fetch, Store};
use crate::answer::{Answer, Refusal, error_body, json_headers};
use crate::body::{BodyError, Whole};
use crate::document::{is_document, is_json};
use crate::headers::{is_conditional, of_answer, of_request, remove_conditions, takes_gzip};
use crate::judge::Judge;
use crate::log::{Kind, Log, Passed, shown};
use crate::origins::{Origins, authority_of};
use crate::upstream::{Body, Opened, Upstream};
use crate::{Asked, Limits, Purpose, Ruling};

/// The longest body of an answer that is not good.
const MAX_ERROR_BODY: usize = 1 << 20;

/// Paths whose POST answers with advice and changes nothing.
const ADVICE: [&str; 2] = ["/-/npm/v1/security/", "/-/npm/v1/attestations"];

/// Bodies below this are recognised where they arrive, instead of on a thread of their own: that takes less than a
/// millisecond.
const SMALL: usize = 2 << 20;

/// What all requests of a run share.
pub(crate) struct Relay {
    pub(crate) judge: Arc<dyn Judge>,
    pub(crate) upstream: Upstream,
    pub(crate) origins: Origins,
    /// What is asked for is asked for as a whole.
    pub(crate) whole: bool,
    pub(crate) limits: Limits,
    pub(crate) log: Log,
    pub(crate) store: Store,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("origins", &self.origins).finish_non_exhaustive()
    }
}

impl Relay {
    /// Answers one request whose full address is `url`, at a registry of this run.
    pub(crate) async fn answer(
        self: Arc<Self>,
        url: Url,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let method = request.method().clone();
        let (answer, ahead) = match self.pass(&url, request).await {
            Ok(passed) => passed,
            Err(refusal) => (refusal.into_answer(), false),
        };
        self.log.add(Passed {
            method: printable(method.as_str(), 40),
            url: shown(&url),
            status: answer.status.as_u16(),
            bytes: answer.body.len(),
            kind: answer.kind,
            ahead,
            refused: answer.refused.clone(),
            sent_to: answer.sent_to.clone(),
        });
        answer.into_response()
    }

    /// Refuses a host, and remembers that.
    pub(crate) fn refuse_host(&self, method: &Method, authority: &str) -> Response<Full<Bytes>> {
        let authority = printable(authority, 300);
        let message = format!(
            "{authority} is not a registry of this run (which are: {}); nothing else is reached while packages are fetched",
            self.origins.names()
        );
        let answer = Refusal::new(StatusCode::FORBIDDEN, &message).of(Kind::Foreign).into_answer();
        self.log.add(Passed {
            method: printable(method.as_str(), 40),
            url: authority,
            status: answer.status.as_u16(),
            bytes: 0,
            kind: Kind::Foreign,
            ahead: false,
            refused: answer.refused.clone(),
            sent_to: None,
        });
        answer.into_response()
    }

    async fn pass(
        self: &Arc<Self>,
        url: &Url,
        request: Request<Incoming>,
    ) -> Result<(Answer, bool), Refusal> {
        let (parts, body) = request.into_parts();
        let mut headers = of_request(&parts.headers);
        if self.whole {
            remove_conditions(&mut headers);
        }
        // 1.
        if parts.method == Method::GET {
            // 2.
            if is_conditional(&headers) {
                if let Some(answer) = self.held(url, &headers).await {
                    return Ok((answer, true));
                }
                let answer = self.fetch(&Method::GET, url, headers, Bytes::new(), Purpose::Client).await?;
                return Ok((answer, false));
            }
            return Ok(self.get(url, headers).await);
        }
        let is_advice = parts.method == Method::POST && ADVICE.iter().any(|path| url.path().contains(path));
        if parts.method != Method::HEAD && !is_advice {
            let message = format!("{} is not passed on while packages are installed", parts.method);
            return Err(Refusal::new(StatusCode::FORBIDDEN, &message));
        }
        let body = Limited::new(body, self.limits.request).collect();
        let body = tokio::time::timeout(self.limits.total, body).await.ok().and_then(Result::ok).ok_or_else(
            || {
                let message = format!(
                    "the request's body is not read: cut short, or over {} bytes",
                    self.limits.request
                );
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, &message)
            },
        )?;
        let answer = self.fetch(&parts.method, url, headers, body.to_bytes(), Purpose::Client).await?;
        Ok((answer, false))
    }

    /// A body as a whole: from what is here already, else from the registry.
    async fn get(self: &Arc<Self>, url: &Url, headers: HeaderMap) -> (Answer, bool) {
        if let Some(answer) = self.held(url, &headers).await {
            return (answer, true);
        }
        let fetch =
            self.store.join(url, &headers, || self.fetch_later(url, headers.clone(), Purpose::Client));
        let answer = fetch.await;
        self.store.leave(url);
        (answer, false)
    }

    /// What was fetched ahead for such a request, where that is of use.
    async fn held(&self, url: &Url, headers: &HeaderMap) -> Option<Answer> {
        let answer = self.store.take(url, headers)?.await;
        let is_read = takes_gzip(headers) || !answer.headers.contains_key(CONTENT_ENCODING);
        (is_read && Store::is_worth_keeping(&answer)).then_some(answer)
    }

    /// A GET that begins when somebody waits for it, and ends when nobody does.
    pub(crate) fn fetch_later(self: &Arc<Self>, url: &Url, headers: HeaderMap, purpose: Purpose) -> Fetch {
        let (relay, url) = (Arc::clone(self), url.clone());
        Store::share(async move {
            relay
                .fetch(&Method::GET, &url, headers, Bytes::new(), purpose)
                .await
                .unwrap_or_else(Refusal::into_answer)
        })
    }

    async fn fetch(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        purpose: Purpose,
    ) -> Result<Answer, Refusal> {
        let is_conditional = is_conditional(&headers);
        let takes_gzip = takes_gzip(&headers);
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // 3.
        let opened = self.upstream.open(method, url, headers, body).await?;
        let status = opened.status();
        let mut headers = of_answer(opened.headers());
        if status == StatusCode::NOT_MODIFIED && is_conditional {
            return Ok(Answer::empty(status, headers));
        }
        let is_odd = matches!(
            status,
            StatusCode::NOT_MODIFIED
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        );
        if is_odd || status.is_informational() {
            let message = format!("{} answered {status}, which nobody asked for", shown(url));
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, &message));
        }
        if status.is_redirection() {
            self.check_redirect(url, &opened)?;
            return Ok(Answer::empty(status, headers));
        }
        if *method == Method::HEAD {
            return Ok(Answer::empty(status, headers));
        }
        // 4.
        if !status.is_success() {
            return self.pass_error(url, opened, headers).await;
        }
        let body = self.upstream.read(opened, self.limits.tarball.max(self.limits.document)).await?;
        if status != StatusCode::OK {
            if body.whole.bytes.is_empty() {
                return Ok(Answer::empty(status, headers));
            }
            let message = format!("{} answered {status} with a body, expected 200", shown(url));
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, &message));
        }
        // 5.
        let (kind, at_hand) = if *method == Method::GET {
            let asked = Asked { url: url.clone(), method: method.clone(), purpose, accept };
            self.judge(asked, &body.whole.bytes).await?
        } else if is_json(&body.whole.bytes) {
            (Kind::Other, false)
        } else {
            let message = format!("{} answered with something else than JSON", shown(url));
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, &message));
        };
        let Body { whole, lane, .. } = body;
        let body = match whole {
            Whole { gzip: Some(gzip), .. } if kind == Kind::Document && takes_gzip => {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                gzip
            }
            Whole { bytes, .. } => bytes,
        };
        Ok(Answer { body, kind, at_hand, lane, ..Answer::empty(status, headers) })
    }

    /// To a registry of this run, or nowhere.
    fn check_redirect(&self, url: &Url, opened: &Opened) -> Result<(), Refusal> {
        let refuse = |to: &str, place: Option<&Url>| {
            let from = authority_of(url).unwrap_or_default();
            let message =
                format!("{from} sends {} on to {to}, which is not a registry of this run", url.path());
            Err(Refusal::new(StatusCode::FORBIDDEN, &message).of(Kind::Foreign).sent_to(place))
        };
        let mut locations = opened.headers().get_all(LOCATION).iter();
        match (locations.next(), locations.next()) {
            (None, _) => Ok(()),
            (Some(location), None) => {
                let to = location.to_str().ok().and_then(|location| url.join(location).ok());
                match to {
                    Some(to) if self.origins.allow(&to) => Ok(()),
                    Some(to) => refuse(&authority_of(&to).unwrap_or_else(|| shown(&to)), Some(&to)),
                    None => refuse("an address that is none", None),
                }
            }
            (Some(_), Some(_)) => refuse("several addresses", None),
        }
    }

    /// An answer that is not good: what it says passes when it is JSON, so that nothing can be unpacked.
    async fn pass_error(&self, url: &Url, opened: Opened, mut headers: HeaderMap) -> Result<Answer, Refusal> {
        let status = opened.status();
        let said = match self.upstream.read(opened, MAX_ERROR_BODY).await {
            Ok(body) => Some(body.whole.bytes).filter(|body| is_json(body)),
            Err(BodyError::TooLarge { .. } | BodyError::Encoding { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let body = said.unwrap_or_else(|| {
            headers.remove(CONTENT_TYPE);
            headers.extend(json_headers());
            error_body(&format!("{} answered {status}", shown(url)))
        });
        Ok(Answer { body, ..Answer::empty(status, headers) })
    }

    /// What it is, and whether the package manager has it at hand already.
    async fn judge(&self, asked: Asked, bytes: &Bytes) -> Result<(Kind, bool), Refusal> {
        let is_document = if bytes.len() < SMALL {
            is_document(bytes)
        } else {
            let bytes = bytes.clone();
            tokio::task::spawn_blocking(move || is_document(&bytes)).await.unwrap_or(false)
        };
        let (kind, limit) = if is_document {
            (Kind::Document, self.limits.document)
        } else {
            (Kind::Tarball, self.limits.tarball)
        };
        if bytes.len() > limit {
            return Err(BodyError::TooLarge { limit }.into());
        }
        let ruling = match kind {
            Kind::Document => self.judge.document(&asked, bytes.clone()).await,
            _ => self.judge.tarball(&asked, bytes.clone()).await,
        };
        match ruling {
            Ruling::Release => Ok((kind, false)),
            Ruling::AtHand => Ok((kind, true)),
            Ruling::Refuse { message } => Err(Refusal::new(StatusCode::FORBIDDEN, &message).of(kind)),
        }
    }
}
