//! The way to the registries: follows no redirect, unpacks nothing by itself, goes through the user's own
//! proxy where there is one, trusts the system's authorities and the user's own, and reads within limits.

use std::error::Error;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap, PROXY_AUTHORIZATION};
use hyper::http::uri::InvalidUri;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::answer::{Lane, Refusal};
use crate::body::{BodyError, Encoding, Whole, last_cause, said_size, unpack};
use crate::clock::Clock;
use crate::connect::Connector;
use crate::log::shown;
use crate::pages::Pages;
use crate::{Limits, ProxyError, Settings};

/// A body above this is large: most tarballs and documents are far below.
const LARGE: usize = 8 << 20;

/// Large bodies that are in memory at once.
const LARGE_AT_ONCE: usize = 4;

/// Bodies below this are unpacked where they arrive, instead of on a thread of their own.
const SMALL: usize = 64 << 10;

/// The client for the registries, shared by all requests of a run.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: Client<Connector, Full<Bytes>>,
    connector: Connector,
    limits: Limits,
    places: Arc<Semaphore>,
    large: Arc<Semaphore>,
    pages: Pages,
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub(crate) struct Opened {
    response: Response<Incoming>,
    clock: Clock,
    /// Kept until the answer is judged.
    place: Option<OwnedSemaphorePermit>,
}

/// A body that has been read.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) whole: Whole,
    pub(crate) lane: Lane,
    /// Kept until it is judged.
    pub(crate) _place: Option<OwnedSemaphorePermit>,
}

impl Upstream {
    pub(crate) fn new(settings: &Settings) -> Result<Self, ProxyError> {
        let connector = Connector::new(settings)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(settings.limits.in_flight)
            .build(connector.clone());
        Ok(Self {
            client,
            connector,
            limits: settings.limits,
            places: Arc::new(Semaphore::new(settings.limits.in_flight.max(1))),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
            pages: Pages::default(),
        })
    }

    /// Asks, and waits for the head of the answer. Nothing that is asked here changes anything, so what a kept
    /// connection swallowed, because the registry closed it at that moment, is asked once more: a package manager
    /// that hears of it waits ten seconds first.
    pub(crate) async fn open(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Opened, Refusal> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let failed = |reason: &dyn Error| {
            let message = format!("{} cannot be reached: {}", shown(url), last_cause(reason));
            Refusal::new(StatusCode::BAD_GATEWAY, &message)
        };
        let uri = uri_of(url).map_err(|error| failed(&error))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.headers_mut() = headers;
        if let Some(authorization) = self.connector.proxy_authorization(&uri) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
        }
        *request.uri_mut() = uri;
        let clock = Clock::start(self.limits.idle, self.limits.total);
        let mut answer = clock.wait(self.client.request(request.clone())).await?;
        if answer.as_ref().is_err_and(|error| !error.is_connect()) {
            answer = clock.wait(self.client.request(request)).await?;
        }
        let response = answer.map_err(|error| failed(&error))?;
        Ok(Opened { response, clock, place })
    }

    /// Reads all of an answer, and unpacks it.
    pub(crate) async fn read(&self, opened: Opened, limit: usize) -> Result<Body, BodyError> {
        let Opened { response, mut clock, place } = opened;
        let encodings = response.headers().get_all(CONTENT_ENCODING);
        let encoding = Encoding::parse(encodings.iter().map(|value| value.as_bytes()))?;
        let mut body = response.into_body();
        let announced = body.size_hint().exact();
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(BodyError::TooLarge { limit });
        }
        let lane = Lane::default();
        // In one piece, where its length is what it says.
        let expected = announced.map_or(0, |length| length.min(LARGE as u64));
        let mut packed = BytesMut::with_capacity(usize::try_from(expected).unwrap_or(0));
        while let Some(frame) = clock.wait(body.frame()).await? {
            let frame = frame.map_err(|error| BodyError::Broken { reason: last_cause(&error) })?;
            // What follows a body in trailers is nobody's.
            let Ok(chunk) = frame.into_data() else { continue };
            let length = packed.len() + chunk.len();
            if length > limit {
                return Err(BodyError::TooLarge { limit });
            }
            if length > LARGE && !lane.is_taken() {
                clock.pause(self.enter(&lane)).await;
            }
            packed.extend_from_slice(&chunk);
        }
        let whole = self.unpack(packed.freeze(), encoding, limit, &lane).await?;
        Ok(Body { whole, lane, _place: place })
    }

    async fn unpack(
        &self,
        packed: Bytes,
        encoding: Encoding,
        limit: usize,
        lane: &Lane,
    ) -> Result<Whole, BodyError> {
        if encoding == Encoding::Identity {
            return Ok(packed.into());
        }
        if !lane.is_taken() && said_size(&packed, encoding).is_some_and(|size| size > LARGE) {
            self.enter(lane).await;
        }
        if !lane.is_taken() {
            let small = limit.min(LARGE);
            match self.unpack_aside(packed.clone(), encoding, small).await {
                Err(BodyError::TooLarge { .. }) if small < limit => self.enter(lane).await,
                other => return other,
            }
        }
        self.unpack_aside(packed, encoding, limit).await
    }

    async fn unpack_aside(
        &self,
        packed: Bytes,
        encoding: Encoding,
        limit: usize,
    ) -> Result<Whole, BodyError> {
        if packed.len() < SMALL && limit <= LARGE {
            return unpack(&packed, encoding, limit, &self.pages);
        }
        let pages = self.pages.clone();
        let work = tokio::task::spawn_blocking(move || unpack(&packed, encoding, limit, &pages));
        work.await.unwrap_or_else(|error| Err(BodyError::Broken { reason: error.to_string() }))
    }

    /// Waits until there is room for one more large body.
    async fn enter(&self, lane: &Lane) {
        lane.take(Arc::clone(&self.large).acquire_owned().await.ok());
    }
}

/// As it is asked for: what an address itself says of users and passwords is sent to nobody.
fn uri_of(url: &Url) -> Result<Uri, InvalidUri> {
    if url.username().is_empty() && url.password().is_none() {
        return url.as_str().parse();
    }
    let mut bare = url.clone();
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.as_str().parse()
}

impl Opened {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }
}
