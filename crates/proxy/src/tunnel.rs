//! What comes through a CONNECT: TLS, which ends here, or plain http, which some package managers tunnel
//! too. Which host it is, the tunnel says; what a request says must agree.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, join, split};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use trust::text::printable;
use url::{Position, Url};

use crate::log::{Kind, Passed};
use crate::origins::{authority_of, host};
use crate::server::{Server, bad_request, http};

/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Serves one tunnel to a registry of this run until either side ends it.
pub(crate) async fn serve(
    request: Request<Incoming>,
    authority: String,
    server: Arc<Server>,
    place: Arc<OwnedSemaphorePermit>,
) {
    if let Err(reason) = speak(request, &authority, &server).await {
        server.relay.log.add(Passed {
            method: "CONNECT".to_owned(),
            url: printable(&authority, 300),
            status: 0,
            bytes: 0,
            kind: Kind::Tunnel,
            ahead: false,
            refused: Some(printable(&reason, 300)),
            sent_to: None,
        });
    }
    drop(place);
}

async fn speak(request: Request<Incoming>, authority: &str, server: &Arc<Server>) -> Result<(), String> {
    let idle = server.relay.limits.idle;
    let upgraded = hyper::upgrade::on(request).await.map_err(|error| format!("no tunnel: {error}"))?;
    let (mut reader, writer) = split(TokioIo::new(upgraded));
    let mut first = [0_u8; 1];
    match timeout(idle, reader.read_exact(&mut first)).await {
        Ok(Ok(_)) => {}
        // Opened in advance, and not used.
        Ok(Err(_)) | Err(_) => return Ok(()),
    }
    let stream = join(std::io::Cursor::new(first).chain(reader), writer);
    if first[0] != TLS_HANDSHAKE {
        serve_inside(stream, "http", authority, server).await;
        return Ok(());
    }
    let config = server.authority.config_for(&host(authority));
    let config = config.ok_or_else(|| "TLS to a registry of plain http".to_owned())?;
    let accepting = TlsAcceptor::from(config).accept(Box::pin(stream));
    match timeout(idle, accepting).await {
        Ok(Ok(stream)) => serve_inside(stream, "https", authority, server).await,
        Ok(Err(error)) => return Err(format!("the package manager ended TLS: {error}")),
        Err(_) => return Err(format!("the package manager did not begin TLS within {idle:?}")),
    }
    Ok(())
}

async fn serve_inside(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    scheme: &'static str,
    authority: &str,
    server: &Arc<Server>,
) {
    let (authority, server) = (authority.to_owned(), Arc::clone(server));
    let service = service_fn(move |request| {
        let (authority, server) = (authority.clone(), Arc::clone(&server));
        async move { Ok::<_, Infallible>(answer(request, scheme, &authority, &server).await) }
    });
    if let Err(error) = http().serve_connection(TokioIo::new(Box::pin(stream)), service).await {
        tracing::debug!(%error, "a tunnel ended");
    }
}

async fn answer(
    request: Request<Incoming>,
    scheme: &str,
    authority: &str,
    server: &Server,
) -> Response<Full<Bytes>> {
    let Some(path) = request.uri().path_and_query().filter(|path| path.as_str().starts_with('/')) else {
        return bad_request("expected a path");
    };
    let Ok(url) = Url::parse(&format!("{scheme}://{authority}{path}")) else {
        return bad_request("the address cannot be read");
    };
    if !server.relay.origins.allow(&url) {
        return server.relay.refuse_host(request.method(), &format!("{scheme}://{authority}"));
    }
    // Both ways of naming a host inside of a request.
    let said = request.headers().get_all(HOST).iter().map(|value| value.as_bytes());
    let mut named = said.chain(request.uri().authority().map(|authority| authority.as_str().as_bytes()));
    let other = named.find(|name| !is_host_of(&url, name)).map(<[u8]>::to_vec);
    match other {
        Some(other) => server.relay.refuse_host(request.method(), &String::from_utf8_lossy(&other)),
        None => Arc::clone(&server.relay).answer(url, request).await,
    }
}

/// Whether `name` is the host and port of `url`, however it says that.
fn is_host_of(url: &Url, name: &[u8]) -> bool {
    let Ok(name) = str::from_utf8(name) else { return false };
    if name == &url[Position::BeforeHost..Position::AfterPort] {
        return true;
    }
    let named = Url::parse(&format!("{}://{name}", url.scheme())).ok();
    named.is_some_and(|named| authority_of(&named) == authority_of(url))
}
