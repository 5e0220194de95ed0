//! Listens on loopback, for whoever knows this run's credentials (RFC 9110, section 11.7; RFC 7617). Never
//! acts as a server of its own: what is neither CONNECT nor an absolute address is no request.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use trust::text::printable;
use url::Url;

use crate::answer::Refusal;
use crate::authority::Authority;
use crate::log::{Kind, Passed};
use crate::origins::authority_of;
use crate::relay::Relay;
use crate::tunnel;

/// How long a connection may be idle, or take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// Bytes of the head of a request.
const MAX_HEAD: usize = 64 << 10;

/// How long to wait when the system has no connection to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What connections share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) relay: Arc<Relay>,
    pub(crate) authority: Authority,
    pub(crate) credentials: Credentials,
    pub(crate) tasks: Tasks,
}

/// Everything of a run that is under way; ends with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    end: CancellationToken,
}

impl Tasks {
    /// Runs it until it ends or the run does.
    pub(crate) fn spawn_on(&self, runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.tracker.spawn_on(
            async move {
                let _ = end.run_until_cancelled(task).await;
            },
            runtime,
        );
    }

    /// Ends all of them when it is dropped.
    pub(crate) fn end_on_drop(&self) -> DropGuard {
        self.end.clone().drop_guard()
    }

    /// Ends all of them, and waits.
    pub(crate) async fn stop(&self) {
        self.end.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// What a client must send.
pub(crate) struct Credentials(Vec<u8>);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

impl Credentials {
    pub(crate) fn new(user: &str, secret: &str) -> Self {
        Self(format!("{user}:{secret}").into_bytes())
    }

    /// Whether these headers carry them; takes a time that says nothing about where they differ.
    fn are_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(PROXY_AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, value)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
            return false;
        };
        let Ok(given) = STANDARD.decode(value.trim()) else { return false };
        scheme.eq_ignore_ascii_case("basic") && bool::from(given.ct_eq(&self.0))
    }
}

/// Serves until the run ends; with it go all connections.
pub(crate) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let places = Arc::new(Semaphore::new(server.relay.limits.connections.max(1)));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                server
                    .tasks
                    .spawn_on(&Handle::current(), serve_connection(stream, Arc::clone(&server), place));
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, server: Arc<Server>, place: OwnedSemaphorePermit) {
    let _ = stream.set_nodelay(true);
    // A tunnel keeps the place of the connection that asked for it.
    let place = Arc::new(place);
    let service = service_fn(move |request| {
        let (server, place) = (Arc::clone(&server), Arc::clone(&place));
        async move { Ok::<_, Infallible>(answer(request, server, place).await) }
    });
    if let Err(error) = http().serve_connection(TokioIo::new(stream), service).with_upgrades().await {
        tracing::debug!(%error, "a connection ended");
    }
}

/// HTTP/1.1 as it is spoken to clients.
pub(crate) fn http() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    builder
}

/// A request to the proxy itself: CONNECT, or an absolute address.
async fn answer(
    request: Request<Incoming>,
    server: Arc<Server>,
    place: Arc<OwnedSemaphorePermit>,
) -> Response<Full<Bytes>> {
    if !server.credentials.are_in(request.headers()) {
        return refuse_stranger(&server, &request);
    }
    if request.method() == Method::CONNECT {
        let target = request.uri();
        let is_bare = target.scheme().is_none() && target.path_and_query().is_none();
        let Some(authority) = target.authority().filter(|_| is_bare).map(ToString::to_string) else {
            return bad_request("CONNECT wants a host and a port, and nothing else");
        };
        if !server.relay.origins.reach(&authority) {
            return server.relay.refuse_host(request.method(), &authority);
        }
        let runtime = Handle::current();
        server.tasks.spawn_on(&runtime, tunnel::serve(request, authority, Arc::clone(&server), place));
        return Response::new(Full::default());
    }
    let target = request.uri().clone();
    let Some(authority) = target.authority() else {
        return bad_request("this is a proxy: expected CONNECT, or the whole address of a registry");
    };
    let url = Url::parse(&target.to_string()).ok();
    let is_plain =
        |url: &Url| url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
    match url.filter(is_plain) {
        Some(url) if server.relay.origins.allow(&url) => Arc::clone(&server.relay).answer(url, request).await,
        Some(url) => server.relay.refuse_host(request.method(), &authority_of(&url).unwrap_or_default()),
        None => server.relay.refuse_host(request.method(), authority.as_str()),
    }
}

fn refuse_stranger(server: &Server, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let message = "this proxy serves one run only, which knows its credentials";
    let status = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
    server.relay.log.add(Passed {
        method: printable(request.method().as_str(), 40),
        url: String::new(),
        status: status.as_u16(),
        bytes: 0,
        kind: Kind::Stranger,
        ahead: false,
        refused: Some(message.to_owned()),
        sent_to: None,
    });
    let mut response = Refusal::new(status, message).into_answer().into_response();
    response.headers_mut().insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"3pm\""));
    response
}

/// What makes no sense here.
pub(crate) fn bad_request(message: &str) -> Response<Full<Bytes>> {
    Refusal::new(StatusCode::BAD_REQUEST, message).into_answer().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_credentials_count() {
        let credentials = Credentials::new("3pm", "secret");
        let check = |values: &[&str], expected: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PROXY_AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(credentials.are_in(&headers), expected, "{values:?}");
        };
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        check(&[&basic("3pm:secret")], true);
        check(&[&basic("3pm:secret").replace("Basic", "basic")], true);
        check(&[], false);
        check(&[""], false);
        check(&["Basic"], false);
        check(&["Basic "], false);
        check(&["Basic %%%"], false);
        check(&[&basic("3pm:secre")], false);
        check(&[&basic("3pm:secret1")], false);
        check(&[&basic("3pm:")], false);
        check(&[&basic(":secret")], false);
        check(&[&basic("3pm:secret").replace("Basic", "Bearer")], false);
        check(&[&basic("3pm:secret"), &basic("3pm:wrong")], false);
    }
}
