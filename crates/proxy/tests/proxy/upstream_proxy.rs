//! The user's own proxy between us and the registries.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::harness::{Registry, Seen, acceptor, get, ok, read_request, settings, start_with};

/// Knows CONNECT and the absolute form, and who may use it.
struct Corporate {
    url: Url,
    /// Its own authority, PEM; empty without TLS.
    roots: Vec<u8>,
    seen: Arc<Mutex<Vec<Seen>>>,
    _task: JoinSet<()>,
}

async fn corporate() -> Corporate {
    corporate_behind(None, Vec::new()).await
}

/// With TLS between us and it, where there is an acceptor.
async fn corporate_behind(acceptor: Option<TlsAcceptor>, roots: Vec<u8>) -> Corporate {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://user:p%40ss@{}/", listener.local_addr().unwrap()).parse().unwrap();
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let log = Arc::clone(&seen);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, log) = (acceptor.clone(), Arc::clone(&log));
            connections.spawn(async move {
                match acceptor {
                    None => relay(stream, log).await,
                    Some(acceptor) => relay(acceptor.accept(stream).await.ok()?, log).await,
                }
            });
        }
    });
    Corporate { url, roots, seen, _task: task }
}

async fn relay(mut stream: impl AsyncRead + AsyncWrite + Unpin, log: Arc<Mutex<Vec<Seen>>>) -> Option<()> {
    let request = read_request(&mut stream).await?;
    log.lock().unwrap().push(request.clone());
    // user:p@ss
    if request.header("proxy-authorization") != Some("Basic dXNlcjpwQHNz") {
        let refusal = b"HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        return stream.write_all(refusal).await.ok();
    }
    if request.method == "CONNECT" {
        let mut server = TcpStream::connect(&request.target).await.ok()?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
        let _ = copy_bidirectional(&mut stream, &mut server).await;
        return Some(());
    }
    let body = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\n\"plain\"";
    stream.write_all(body).await.ok()
}

#[tokio::test]
async fn it_is_gone_through_with_its_credentials() {
    let (acceptor, roots) = acceptor();
    for corporate in [corporate().await, corporate_behind(Some(acceptor), roots).await] {
        goes_through(corporate).await;
    }
}

async fn goes_through(corporate: Corporate) {
    let secure = Registry::https(|_| ok("application/json", b"{}")).await;
    let plain = Registry::http(|_| ok("application/json", b"{}")).await;
    let mut settings = settings(&[&secure, &plain]);
    settings.upstream_proxy = Some(corporate.url.clone());
    settings.extra_roots.extend(corporate.roots);
    let (running, _) = start_with(settings).await;
    assert_eq!(get(&running, secure.at("/x")).await, (200, b"{}"[..].into()));
    assert_eq!(get(&running, plain.at("/x")).await, (200, b"\"plain\""[..].into()));
    let seen = corporate.seen.lock().unwrap().clone();
    assert_eq!((seen[0].method.as_str(), &seen[0].target), ("CONNECT", &secure.authority()));
    assert_eq!((seen[1].method.as_str(), seen[1].target.as_str()), ("GET", plain.at("/x").as_str()));
    assert!(secure.seen()[0].header("proxy-authorization").is_none());
    assert!(plain.seen().is_empty());
    let ours = running.url().password().unwrap();
    assert!(!format!("{seen:?}").contains(ours));
}

#[tokio::test]
async fn credentials_in_an_address_are_not_its_to_see() {
    let plain = Registry::http(|_| ok("application/json", b"{}")).await;
    let corporate = corporate().await;
    let mut settings = settings(&[&plain]);
    settings.upstream_proxy = Some(corporate.url.clone());
    let (running, _) = start_with(settings).await;
    let mut url = plain.at("/x");
    url.set_username("somebody").unwrap();
    url.set_password(Some("secret")).unwrap();
    running.fetch_ahead([url]);
    while corporate.seen.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seen = corporate.seen.lock().unwrap().clone();
    assert_eq!(seen[0].target, plain.at("/x").as_str());
    assert!(seen[0].header("authorization").is_none());
}

#[tokio::test]
async fn wrong_credentials_for_it_are_an_error_that_does_not_show_them() {
    let secure = Registry::https(|_| ok("application/json", b"{}")).await;
    let plain = Registry::http(|_| ok("application/json", b"{}")).await;
    let corporate = corporate().await;
    let mut settings = settings(&[&secure, &plain]);
    let mut wrong = corporate.url.clone();
    wrong.set_password(Some("wrong-secret")).unwrap();
    settings.upstream_proxy = Some(wrong);
    assert!(!format!("{settings:?}").contains("wrong-secret"));
    let (running, _) = start_with(settings).await;
    for registry in [&secure, &plain] {
        let (status, body) = get(&running, registry.at("/x")).await;
        assert_eq!(status, 502);
        assert!(!String::from_utf8_lossy(&body).contains("wrong-secret"));
    }
    assert!(secure.seen().is_empty() && plain.seen().is_empty());
}

#[tokio::test]
async fn hosts_that_are_excepted_are_reached_without_it() {
    let secure = Registry::https(|_| ok("application/json", b"{}")).await;
    let corporate = corporate().await;
    let mut settings = settings(&[&secure]);
    settings.upstream_proxy = Some(corporate.url.clone());
    settings.upstream_no_proxy = Some("x.example,127.0.0.1".to_owned());
    let (running, _) = start_with(settings).await;
    assert_eq!(get(&running, secure.at("/x")).await.0, 200);
    assert!(corporate.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_proxy_of_a_kind_we_do_not_speak_is_an_error_at_once() {
    let mut settings = settings(&[]);
    settings.upstream_proxy = Some("socks5://127.0.0.1:1".parse().unwrap());
    let error = proxy::start(settings, crate::harness::Memory::new()).await.unwrap_err();
    assert!(error.to_string().contains("socks5"), "{error}");
}
