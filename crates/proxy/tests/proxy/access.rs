//! Who is served, and whom they reach.

use proxy::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Registry, credentials, get, logged, ok, raw, read_head, start, status, tunnel};

async fn registry() -> Registry {
    Registry::https(|_| ok("application/json", b"{}")).await
}

#[tokio::test]
async fn only_loopback_listens() {
    let (running, _) = start(&[]).await;
    assert!(running.address().ip().is_loopback());
    assert_eq!(running.url().host_str(), Some("127.0.0.1"));
}

#[tokio::test]
async fn who_does_not_know_the_credentials_gets_407() {
    let (secure, plain) = (registry().await, Registry::http(|_| ok("application/json", b"{}")).await);
    let (running, _) = start(&[&secure, &plain]).await;
    let right = credentials(&running);
    let wrong = "Proxy-Authorization: Basic M3BtOndyb25n\r\n".to_owned();
    let cut = format!("{}\r\n", right.trim_end().trim_end_matches('=').split_at(right.len() - 6).0);
    for given in [String::new(), wrong, cut, right.replace("Basic", "Bearer"), right.replace("Proxy-", "")] {
        for line in [
            format!("CONNECT {} HTTP/1.1\r\n", secure.authority()),
            format!("GET {} HTTP/1.1\r\nHost: {}\r\n", plain.url, plain.authority()),
            "GET / HTTP/1.1\r\nHost: x\r\n".to_owned(),
        ] {
            let mut stream = raw(&running, format!("{line}{given}\r\n").as_bytes()).await;
            let head = read_head(&mut stream).await;
            assert_eq!(status(&head), 407, "{line} {given}");
            assert!(head.to_lowercase().contains("proxy-authenticate: basic"), "{head}");
        }
    }
    assert!(secure.seen().is_empty() && plain.seen().is_empty());
    assert_eq!(logged(&running, Kind::Stranger).len(), 15);
    assert_eq!(get(&running, secure.url.clone()).await.0, 200);
    assert_eq!(get(&running, plain.url.clone()).await.0, 200);
}

#[tokio::test]
async fn the_credentials_are_in_no_debug_output() {
    let (running, _) = start(&[]).await;
    let secret = running.url().password().unwrap().to_owned();
    assert!(secret.len() >= 32);
    assert!(!format!("{running:?}").contains(&secret));
    let (other, _) = start(&[]).await;
    assert_ne!(other.url().password(), Some(secret.as_str()));
}

#[tokio::test]
async fn a_foreign_host_is_refused_by_name() {
    let (registry, foreign) = (registry().await, registry().await);
    let plain = Registry::http(|_| ok("application/json", b"{}")).await;
    let (running, _) = start(&[&registry]).await;
    let given = credentials(&running);
    for line in [
        format!("CONNECT {} HTTP/1.1\r\n", foreign.authority()),
        "CONNECT evil.example:443 HTTP/1.1\r\n".to_owned(),
        format!("GET {}x HTTP/1.1\r\nHost: {}\r\n", plain.url, registry.authority()),
        format!("GET http://{}/x HTTP/1.1\r\nHost: x\r\n", registry.authority()),
    ] {
        let mut stream = raw(&running, format!("{line}{given}\r\n").as_bytes()).await;
        assert_eq!(status(&read_head(&mut stream).await), 403, "{line}");
    }
    assert!(registry.seen().is_empty() && foreign.seen().is_empty() && plain.seen().is_empty());
    let logged = logged(&running, Kind::Foreign);
    assert_eq!(logged.len(), 4);
    assert_eq!(logged[1].url, "evil.example:443");
    assert!(logged[1].refused.as_ref().unwrap().contains("evil.example:443"), "{logged:?}");
}

#[tokio::test]
async fn a_tunnel_is_for_the_scheme_of_its_registry() {
    let (secure, plain) = (registry().await, Registry::http(|_| ok("application/json", b"{}")).await);
    let (running, _) = start(&[&secure, &plain]).await;
    // Plain http to a registry of https.
    let mut stream = tunnel(&running, &secure.authority()).await;
    let request = format!("GET /x HTTP/1.1\r\nHost: {}\r\n\r\n", secure.authority());
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(status(&read_head(&mut stream).await), 403);
    // TLS to a registry of plain http.
    let as_https = plain.url.as_str().replace("http://127.0.0.1", "https://127.0.0.1");
    assert_eq!(get(&running, as_https.parse().unwrap()).await.0, 403);
    assert!(secure.seen().is_empty() && plain.seen().is_empty());
}

#[tokio::test]
async fn what_a_request_says_must_agree_with_its_tunnel() {
    let plain = Registry::http(|_| ok("application/json", b"{}")).await;
    let (running, _) = start(&[&plain]).await;
    let here = plain.authority();
    for (request, expected) in [
        (format!("GET /x HTTP/1.1\r\nHost: {here}\r\n\r\n"), 200),
        ("GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), 403),
        (format!("GET /x HTTP/1.1\r\nHost: {here}\r\nHost: evil.example\r\n\r\n"), 403),
        (format!("GET http://evil.example/x HTTP/1.1\r\nHost: {here}\r\n\r\n"), 403),
        ("GET /x HTTP/1.1\r\nHost: @\r\n\r\n".to_owned(), 403),
    ] {
        let mut stream = tunnel(&running, &here).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(status(&read_head(&mut stream).await), expected, "{request}");
    }
    assert_eq!(plain.seen().len(), 1);
}

#[tokio::test]
async fn hostile_lines_are_refused_and_nothing_breaks() {
    let registry = registry().await;
    let (running, _) = start(&[&registry]).await;
    let given = credentials(&running);
    let here = registry.authority();
    let long = "a".repeat(200_000);
    let lines = [
        "CONNECT".to_owned(),
        "CONNECT  HTTP/1.1".to_owned(),
        "CONNECT / HTTP/1.1".to_owned(),
        "CONNECT * HTTP/1.1".to_owned(),
        "CONNECT :443 HTTP/1.1".to_owned(),
        "CONNECT 127.0.0.1 HTTP/1.1".to_owned(),
        "CONNECT 127.0.0.1:0 HTTP/1.1".to_owned(),
        "CONNECT 127.0.0.1:99999999 HTTP/1.1".to_owned(),
        format!("CONNECT user@{here} HTTP/1.1"),
        format!("CONNECT {here}@evil.example:443 HTTP/1.1"),
        format!("CONNECT {here}:443 HTTP/1.1"),
        format!("CONNECT https://{here}/ HTTP/1.1"),
        format!("CONNECT {here} HTTP/9.9"),
        format!("CONNECT {here}"),
        "CONNECT [::1]:443 HTTP/1.1".to_owned(),
        "CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1".to_owned(),
        "CONNECT 2130706433:443 HTTP/1.1".to_owned(),
        "CONNECT localhost:443 HTTP/1.1".to_owned(),
        "CONNECT \0:443 HTTP/1.1".to_owned(),
        "CONNECT é:443 HTTP/1.1".to_owned(),
        format!("CONNECT {long}:443 HTTP/1.1"),
        format!("{long} {here} HTTP/1.1"),
        "GET file:///etc/passwd HTTP/1.1".to_owned(),
        format!("GET http://user:pass@{here}/ HTTP/1.1"),
        "GET / HTTP/1.1".to_owned(),
        "OPTIONS * HTTP/1.1".to_owned(),
        "PRI * HTTP/2.0".to_owned(),
        "\u{16}\u{3}\u{1}".to_owned(),
    ];
    for line in lines {
        let mut stream = raw(&running, format!("{line}\r\n{given}\r\n").as_bytes()).await;
        stream.shutdown().await.unwrap();
        let status = status(&read_head(&mut stream).await);
        let shown: String = line.chars().take(60).collect();
        assert!(status == 0 || (400..500).contains(&status), "{status}: {shown}");
    }
    assert!(registry.seen().is_empty());
    assert_eq!(get(&running, registry.url.clone()).await.0, 200);
}

#[tokio::test]
async fn hostile_bytes_in_a_tunnel_end_that_tunnel() {
    let registry = registry().await;
    let (running, _) = start(&[&registry]).await;
    let noise = crate::harness::noise(70_000);
    for bytes in [&b"\x16"[..], b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\0\x05hello", b"\0", &noise] {
        let mut stream = tunnel(&running, &registry.authority()).await;
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(crate::harness::PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    }
    assert!(registry.seen().is_empty());
    assert_eq!(get(&running, registry.url.clone()).await.0, 200);
}
