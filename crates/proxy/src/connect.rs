//! Connections to registries: over the user's own proxy where there is one, and over TLS with whoever speaks it.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio_rustls::TlsConnector;
use tower_service::Service;
use url::Url;

use crate::{ProxyError, Settings};

/// What rustls reads at once is 4 kB, a quarter of a record; from here it takes it without a call of the system.
const BUFFER: usize = 32 << 10;

/// An address in whose place it is looked whether there is a proxy.
const ANY: &str = "https://registry.invalid/";

type Failure = Box<dyn Error + Send + Sync>;

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
    /// The user's own proxy, and which hosts it is not for.
    proxy: Option<Arc<Matcher>>,
    /// How long it may take until one is there, all in all.
    limit: Duration,
}

impl fmt::Debug for Connector {
    /// Without the user's proxy and its credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// A connection.
pub(crate) struct Connection {
    io: TokioIo<Box<dyn Stream>>,
    /// The other end is a proxy that wants whole addresses.
    is_to_proxy: bool,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connector {
    pub(crate) fn new(settings: &Settings) -> Result<Self, ProxyError> {
        let tls =
            client::tls::config(&settings.extra_roots, &["http/1.1"]).map_err(ProxyError::ExtraRoots)?;
        let limit = settings.limits.connect;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        let proxy = settings.upstream_proxy.as_ref();
        let proxy = proxy.map(|proxy| matcher(proxy, settings.upstream_no_proxy.as_deref())).transpose()?;
        Ok(Self { tcp, tls: Arc::new(tls).into(), proxy: proxy.map(Arc::new), limit })
    }

    /// What a request for `uri` says to the user's proxy, where that sees it.
    pub(crate) fn proxy_authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        let proxy = self.proxy_for(uri).filter(|_| !is_secure(uri))?;
        proxy.basic_auth().cloned()
    }

    fn proxy_for(&self, uri: &Uri) -> Option<Intercept> {
        self.proxy.as_ref()?.intercept(uri)
    }

    async fn connect(self, uri: Uri) -> Result<Connection, Failure> {
        let Some(proxy) = self.proxy_for(&uri) else { return self.reach(&uri).await };
        if !is_secure(&uri) {
            return Ok(Connection { is_to_proxy: true, ..self.reach(proxy.uri()).await? });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), Self { proxy: None, ..self.clone() });
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let through = tunnel.call(uri.clone()).await?;
        self.secure(&uri, through.io.into_inner()).await
    }

    async fn reach(&self, uri: &Uri) -> Result<Connection, Failure> {
        let mut tcp = self.tcp.clone();
        poll_fn(|context| tcp.poll_ready(context)).await?;
        let stream = tcp.call(uri.clone()).await?.into_inner();
        if is_secure(uri) { self.secure(uri, stream).await } else { Ok(Connection::of(stream)) }
    }

    async fn secure(&self, uri: &Uri, stream: impl Stream + 'static) -> Result<Connection, Failure> {
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(host)?.to_owned();
        let buffered = BufReader::with_capacity(BUFFER, stream);
        Ok(Connection::of(self.tls.connect(name, buffered).await?))
    }
}

/// The user's proxy, with its exceptions. One that would not be gone through is an error: nobody asked for none.
fn matcher(proxy: &Url, exceptions: Option<&str>) -> Result<Matcher, ProxyError> {
    let refused = || ProxyError::UpstreamProxy { scheme: proxy.scheme().to_owned() };
    let all = || Matcher::builder().all(proxy.as_str());
    let is_spoken = matches!(proxy.scheme(), "http" | "https");
    if !is_spoken || all().build().intercept(&Uri::from_static(ANY)).is_none() {
        return Err(refused());
    }
    Ok(all().no(exceptions.unwrap_or_default()).build())
}

fn is_secure(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

impl Connection {
    fn of(stream: impl Stream + 'static) -> Self {
        Self { io: TokioIo::new(Box::new(stream)), is_to_proxy: false }
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Connection, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connector, limit) = (self.clone(), self.limit);
        let connected = async move { tokio::time::timeout(limit, connector.connect(uri)).await? };
        connected.boxed()
    }
}

impl hyper_util::client::legacy::connect::Connection for Connection {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_to_proxy)
    }
}

impl Read for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, into)
    }
}

impl Write for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
