//! Listens on loopback, for whoever knows this run's credentials, and ends TLS.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use ring::rand::SecureRandom as _;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, join, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::authority::Authority;
use crate::relay::Relay;
use crate::{Gate, Log, Passed, ProxyError, Settings, upstream, write_private};

/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// The user that package managers are told to be.
const USER: &str = "3pm";

/// A proxy that runs. Dropping it closes every connection and takes its files away.
#[derive(Debug)]
pub struct Running {
    url: Url,
    folder: TempDir,
    log: Log,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Where it listens, with this run's credentials.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The certificate of this run's authority.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The same beside every authority that the system and the user know, for programs that replace their
    /// list with a file's.
    #[must_use]
    pub fn bundle_file(&self) -> PathBuf {
        self.folder.path().join("all-authorities.pem")
    }

    /// Every request so far.
    #[must_use]
    pub fn log(&self) -> Vec<Passed> {
        self.log.all()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What connections share.
struct Shared<G> {
    relay: Relay<G>,
    authority: Authority,
    /// `Basic …`, as it must come.
    credentials: Vec<u8>,
}

pub(crate) async fn start<G: Gate>(settings: Settings, gate: Arc<G>) -> Result<Running, ProxyError> {
    let hosts: Vec<String> =
        settings.registries.iter().filter_map(|url| url.host_str().map(str::to_owned)).collect();
    let authority = Authority::new(&hosts)?;
    let folder = tempfile::Builder::new().prefix("3pm-proxy-").tempdir()?;
    write_files(folder.path(), &authority.pem(), &settings.extra_roots)?;
    let secret = random_secret()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let log = Log::default();
    let shared = Arc::new(Shared {
        relay: Relay {
            gate,
            client: upstream::client(&settings)?,
            registries: settings.registries.clone(),
            limits: settings.limits,
            log: log.clone(),
        },
        authority,
        credentials: format!("Basic {}", STANDARD.encode(format!("{USER}:{secret}"))).into_bytes(),
    });
    let task = tokio::spawn(serve(listener, shared, settings.limits.connections));
    let url = address_with(address, &secret)?;
    Ok(Running { url, folder, log, task })
}

fn address_with(address: SocketAddr, secret: &str) -> Result<Url, ProxyError> {
    let text = format!("http://{USER}:{secret}@{address}/");
    Url::parse(&text).map_err(|error| ProxyError::Io(std::io::Error::other(error)))
}

/// 192 bits that fit into a URL as they are.
fn random_secret() -> Result<String, ProxyError> {
    let mut bytes = [0_u8; 24];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| ProxyError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn write_files(folder: &Path, authority: &str, extra: &[u8]) -> std::io::Result<()> {
    write_private(&folder.join("authority.pem"), authority.as_bytes())?;
    let mut all = authority.as_bytes().to_vec();
    for certificate in rustls_native_certs::load_native_certs().certs {
        let text = STANDARD.encode(&certificate);
        all.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            all.extend_from_slice(line);
            all.push(b'\n');
        }
        all.extend_from_slice(b"-----END CERTIFICATE-----\n");
    }
    all.extend_from_slice(extra);
    write_private(&folder.join("all-authorities.pem"), &all)
}

/// Aborted when the run ends; with it go all connections.
async fn serve<G: Gate>(listener: TcpListener, shared: Arc<Shared<G>>, connections: usize) {
    let places = Arc::new(Semaphore::new(connections));
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        running.spawn(async move {
            let _place = place;
            if let Err(error) = serve_connection(stream, shared).await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}

async fn serve_connection<G: Gate>(stream: TcpStream, shared: Arc<Shared<G>>) -> Result<(), hyper::Error> {
    let _ = stream.set_nodelay(true);
    // Tunnels end with the connection that asked for them, also when the run is aborted.
    let tunnels = Arc::new(tokio::sync::Mutex::new(JoinSet::new()));
    let in_tunnels = Arc::clone(&tunnels);
    let service = service_fn(move |request| {
        let (shared, tunnels) = (Arc::clone(&shared), Arc::clone(&in_tunnels));
        async move { Ok::<_, Infallible>(answer(request, shared, &tunnels).await) }
    });
    builder().serve_connection(TokioIo::new(stream), service).with_upgrades().await?;
    let mut tunnels = tunnels.lock().await;
    while tunnels.join_next().await.is_some() {}
    Ok(())
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(std::time::Duration::from_secs(120))
        .keep_alive(true);
    builder
}

/// A request to the proxy itself: CONNECT, or an absolute address.
async fn answer<G: Gate>(
    mut request: Request<Incoming>,
    shared: Arc<Shared<G>>,
    tunnels: &tokio::sync::Mutex<JoinSet<()>>,
) -> Response<Full<Bytes>> {
    // 1.
    let given = request.headers_mut().remove(PROXY_AUTHORIZATION);
    if !given.is_some_and(|given| is_equal(given.as_bytes(), &shared.credentials)) {
        return unauthorised();
    }
    // 2.
    if request.method() == Method::CONNECT {
        let Some(authority) = request.uri().authority().map(ToString::to_string) else {
            return plain(StatusCode::BAD_REQUEST);
        };
        if !shared.relay.reaches(&authority) {
            return shared.relay.refuse_host(&Method::CONNECT, &authority);
        }
        let tunnel = async move {
            match hyper::upgrade::on(request).await {
                Ok(upgraded) => serve_tunnel(upgraded, authority, shared).await,
                Err(error) => tracing::debug!(%error, "no tunnel"),
            }
        };
        tunnels.lock().await.spawn(tunnel);
        return plain(StatusCode::OK);
    }
    let Ok(url) = Url::parse(&request.uri().to_string()) else { return plain(StatusCode::BAD_REQUEST) };
    let authority = crate::authority_of(&url).unwrap_or_default();
    if url.scheme() != "http" || !shared.relay.reaches(&authority) {
        return shared.relay.refuse_host(request.method(), &authority);
    }
    shared.relay.answer(url, request).await
}

/// What comes through a CONNECT: TLS, or plain http.
async fn serve_tunnel<G: Gate>(upgraded: Upgraded, authority: String, shared: Arc<Shared<G>>) {
    let (mut reader, writer) = split(TokioIo::new(upgraded));
    let mut first = [0_u8; 1];
    let read = tokio::time::timeout(shared.relay.limits.idle, reader.read_exact(&mut first)).await;
    if !matches!(read, Ok(Ok(_))) {
        return;
    }
    let stream = join(std::io::Cursor::new(first).chain(reader), writer);
    if first[0] != TLS_HANDSHAKE {
        return serve_inside(stream, "http", authority, shared).await;
    }
    let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let config = match shared.authority.config_for(host) {
        Ok(config) => config,
        Err(error) => return tracing::warn!(%error, host, "no certificate"),
    };
    let accepting = TlsAcceptor::from(config).accept(Box::pin(stream));
    match tokio::time::timeout(shared.relay.limits.idle, accepting).await {
        Ok(Ok(stream)) => serve_inside(stream, "https", authority, shared).await,
        Ok(Err(error)) => {
            let reason = format!("the package manager ended TLS: {error}");
            shared.relay.log.add(Passed {
                method: "CONNECT".to_owned(),
                url: authority,
                status: 0,
                bytes: 0,
                refused: Some(trust::text::printable(&reason, 300)),
            });
        }
        Err(_) => {}
    }
}

async fn serve_inside<G: Gate>(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    scheme: &'static str,
    authority: String,
    shared: Arc<Shared<G>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (shared, authority) = (Arc::clone(&shared), authority.clone());
        async move {
            // The tunnel says which host this is, whatever the request says.
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
            let named = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or(&authority);
            let url = Url::parse(&format!("{scheme}://{authority}{path}"));
            let same = Url::parse(&format!("{scheme}://{named}")).is_ok_and(|named| {
                url.as_ref().is_ok_and(|url| crate::authority_of(url) == crate::authority_of(&named))
            });
            Ok::<_, Infallible>(match url {
                Ok(_) if !same => shared.relay.refuse_host(request.method(), &named.to_owned()),
                Ok(url) => shared.relay.answer(url, request).await,
                Err(_) => plain(StatusCode::BAD_REQUEST),
            })
        }
    });
    if let Err(error) = builder().serve_connection(TokioIo::new(Box::pin(stream)), service).await {
        tracing::debug!(%error, "a tunnel ended");
    }
}

fn unauthorised() -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    response.headers_mut().insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"3pm\""));
    response
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// In a time that says nothing about where they differ.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
