//! A registry that says exactly what a test wants, byte for byte; a gate that remembers; and clients. The
//! registry is no HTTP server of anybody's: it must be able to break every rule.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proxy::{Asked, Gate, Kind, Passed, Purpose, Ruling, Running, Settings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::Url;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a registry was asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// What it does then, in order.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    Close,
}

pub(crate) type Reply = Vec<Step>;

/// 200 with a length.
pub(crate) fn ok(content_type: &str, body: &[u8]) -> Reply {
    reply("200 OK", &[("content-type", content_type)], body)
}

/// Any status, with a length.
pub(crate) fn reply(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    vec![Step::Send([head.as_bytes(), b"\r\n", body].concat())]
}

type Handler = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// A registry on loopback.
pub(crate) struct Registry {
    pub(crate) url: Url,
    /// Its own authority, PEM; empty without TLS.
    pub(crate) roots: Vec<u8>,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Registry {
    pub(crate) async fn https(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let (acceptor, roots) = acceptor();
        Self::start(Some(acceptor), roots, Arc::new(handler)).await
    }

    pub(crate) async fn http(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, Vec::new(), Arc::new(handler)).await
    }

    async fn start(acceptor: Option<TlsAcceptor>, roots: Vec<u8>, handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::default());
        let mut tasks = JoinSet::new();
        let log = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, handler, log) = (acceptor.clone(), Arc::clone(&handler), Arc::clone(&log));
                connections.spawn(async move {
                    match acceptor {
                        None => converse(stream, &handler, &log).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => converse(stream, &handler, &log).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { url, roots, seen, _tasks: tasks }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    /// `host:port`.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.url.host_str().unwrap(), self.url.port().unwrap())
    }
}

/// TLS for 127.0.0.1 and localhost, and the authority behind it.
pub(crate) fn acceptor() -> (TlsAcceptor, Vec<u8>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let leaf_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let leaf = CertificateParams::new(names).unwrap().signed_by(&leaf_key, &issuer).unwrap();
    let leaf_key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], leaf_key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem().into_bytes())
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    handler: &Handler,
    log: &Mutex<Vec<Seen>>,
) -> Option<()> {
    loop {
        let seen = read_request(&mut stream).await?;
        log.lock().unwrap().push(seen.clone());
        for step in handler(&seen) {
            match step {
                Step::Send(bytes) => stream.write_all(&bytes).await.ok()?,
                Step::Pause(time) => {
                    stream.flush().await.ok()?;
                    tokio::time::sleep(time).await;
                }
                Step::Close => {
                    let _ = stream.shutdown().await;
                    return None;
                }
            }
        }
        stream.flush().await.ok()?;
    }
}

pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut seen = Seen { method, target, headers, body: Vec::new() };
    let length = seen.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    seen.body = vec![0; length];
    stream.read_exact(&mut seen.body).await.ok()?;
    Some(seen)
}

/// A gate that refuses what holds the word `evil`, panics at `panic`, and waits at `wait`.
pub(crate) struct Memory {
    seen: Mutex<Vec<(Kind, Asked, Bytes)>>,
    pub(crate) patience: Semaphore,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { seen: Mutex::default(), patience: Semaphore::new(0) })
    }

    /// What it saw: its kind, its path, its bytes.
    pub(crate) fn seen(&self) -> Vec<(Kind, String, Bytes)> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(kind, asked, bytes)| (*kind, asked.url.path().to_owned(), bytes.clone())).collect()
    }

    pub(crate) fn purposes(&self) -> Vec<Purpose> {
        self.seen.lock().unwrap().iter().map(|(_, asked, _)| asked.purpose).collect()
    }

    pub(crate) fn urls(&self) -> Vec<Url> {
        self.seen.lock().unwrap().iter().map(|(_, asked, _)| asked.url.clone()).collect()
    }

    async fn rule(&self, kind: Kind, asked: &Asked, bytes: Bytes) -> Ruling {
        let holds = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
        let (evil, panic, wait, laid_out) =
            (holds(b"evil"), holds(b"panic"), holds(b"wait"), holds(b"laid out"));
        self.seen.lock().unwrap().push((kind, asked.clone(), bytes));
        assert!(!panic, "the gate was told to panic");
        if wait {
            self.patience.acquire().await.unwrap().forget();
        }
        match (evil, laid_out) {
            (true, _) => Ruling::Refuse { message: "pkg@1.0.0 is\r\nevil ☠".to_owned() },
            (false, true) => Ruling::AtHand,
            (false, false) => Ruling::Release,
        }
    }
}

impl Gate for Memory {
    async fn tarball(&self, asked: &Asked, bytes: Bytes) -> Ruling {
        self.rule(Kind::Tarball, asked, bytes).await
    }

    async fn document(&self, asked: &Asked, bytes: Bytes) -> Ruling {
        self.rule(Kind::Document, asked, bytes).await
    }
}

/// Settings for these registries, with short limits.
pub(crate) fn settings(registries: &[&Registry]) -> Settings {
    let mut settings = Settings {
        registries: registries.iter().map(|registry| registry.url.clone()).collect(),
        extra_roots: registries.iter().flat_map(|registry| registry.roots.clone()).collect(),
        ..Settings::default()
    };
    settings.limits.tarball = 2 << 20;
    settings.limits.document = 1 << 20;
    settings.limits.request = 64 << 10;
    settings
}

pub(crate) async fn start(registries: &[&Registry]) -> (Running, Arc<Memory>) {
    start_with(settings(registries)).await
}

pub(crate) async fn start_with(settings: Settings) -> (Running, Arc<Memory>) {
    let gate = Memory::new();
    (proxy::start(settings, Arc::clone(&gate)).await.unwrap(), gate)
}

/// A client that knows the run's credentials and trusts its authority alone.
pub(crate) fn client(running: &Running) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pem = std::fs::read(running.ca_file()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .proxy(reqwest::Proxy::all(running.url().clone()).unwrap())
        .redirect(reqwest::redirect::Policy::none())
        .no_gzip()
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

/// One GET: status, body.
pub(crate) async fn get(running: &Running, url: Url) -> (u16, Bytes) {
    let answer = client(running).get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap())
}

/// The header with the run's credentials.
pub(crate) fn credentials(running: &Running) -> String {
    let url = running.url();
    let pair = format!("{}:{}", url.username(), url.password().unwrap());
    format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(pair))
}

/// A connection to the proxy on which these bytes were sent.
pub(crate) async fn raw(running: &Running, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// The head of what comes back; less when the connection ends first.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    let reading = async {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("an answer, or the end");
    String::from_utf8_lossy(&head).into_owned()
}

/// The status of an answer's head.
pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A tunnel that is open.
pub(crate) async fn tunnel(running: &Running, authority: &str) -> TcpStream {
    let line = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n", credentials(running));
    let mut stream = raw(running, line.as_bytes()).await;
    assert_eq!(status(&read_head(&mut stream).await), 200);
    stream
}

/// What was logged of a kind.
pub(crate) fn logged(running: &Running, kind: Kind) -> Vec<Passed> {
    running.log().into_iter().filter(|passed| passed.kind == kind).collect()
}

/// Waits until it is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bytes that look like nothing, always the same.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
