//! What passes, and how: methods, headers, redirects, credentials, tunnels.

use proxy::Kind;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{
    PATIENCE, Registry, Step, client, get, logged, noise, ok, read_head, reply, start, status, tunnel,
};

#[tokio::test]
async fn what_is_released_arrives_byte_for_byte() {
    let tarball = noise(300_000);
    let sent = tarball.clone();
    let registry = Registry::https(move |seen| match seen.target.as_str() {
        "/@s%2fn?x=%7B" => ok("application/json", br#"{"name":"@s/n"}"#),
        _ => ok("application/octet-stream", &sent),
    })
    .await;
    let (running, gate) = start(&[&registry]).await;
    assert_eq!(get(&running, registry.at("/@s%2fn?x=%7B")).await, (200, br#"{"name":"@s/n"}"#[..].into()));
    assert_eq!(get(&running, registry.at("/n/-/n-1.0.0.tgz")).await, (200, tarball.clone().into()));
    let seen = gate.seen();
    assert_eq!(seen[0].0, Kind::Document);
    assert_eq!(seen[1], (Kind::Tarball, "/n/-/n-1.0.0.tgz".to_owned(), tarball.into()));
    assert_eq!(gate.urls()[0], registry.at("/@s%2fn?x=%7B"));
    let log = running.log();
    assert_eq!((log[1].status, log[1].bytes, log[1].kind), (200, 300_000, Kind::Tarball));
    assert_eq!(log[0].url, registry.at("/@s%2fn").as_str());
    assert!(log.iter().all(|passed| passed.refused.is_none()));
}

#[tokio::test]
async fn of_a_refused_tarball_not_one_byte_arrives() {
    let body = [b"evil".as_slice(), &b"0123456789abcdef".repeat(4096)].concat();
    let registry = Registry::http(move |_| ok("application/octet-stream", &body)).await;
    let (running, _) = start(&[&registry]).await;
    let mut stream = tunnel(&running, &registry.authority()).await;
    let request =
        format!("GET /n.tgz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", registry.authority());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await.unwrap().unwrap();
    let text = String::from_utf8(all).unwrap();
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    assert!(text.ends_with("{\"error\":\"3pm: pkg@1.0.0 is\u{fffd}\u{fffd}evil ☠\"}"), "{text}");
    assert!(text.contains("npm-notice: 3pm: pkg@1.0.0 is??evil ?\r\n"), "{text}");
    assert!(!text.contains("0123456789abcdef"));
    assert_eq!(
        logged(&running, Kind::Tarball)[0].refused.as_deref(),
        Some("pkg@1.0.0 is\u{fffd}\u{fffd}evil ☠")
    );
}

#[tokio::test]
async fn a_document_can_be_refused_too() {
    let registry = Registry::https(|_| ok("application/json", b"{\"evil\":1}")).await;
    let (running, _) = start(&[&registry]).await;
    assert_eq!(get(&running, registry.at("/n")).await.0, 403);
    assert_eq!(logged(&running, Kind::Document)[0].status, 403);
}

#[tokio::test]
async fn a_gate_that_panics_has_refused() {
    let registry = Registry::https(|_| ok("application/octet-stream", b"panic and secret")).await;
    let (running, _) = start(&[&registry]).await;
    let (status, body) = get(&running, registry.at("/n.tgz")).await;
    assert_eq!(status, 403);
    assert!(!String::from_utf8_lossy(&body).contains("secret"));
}

#[tokio::test]
async fn nothing_arrives_before_the_gate_has_spoken() {
    let registry = Registry::http(|_| ok("application/octet-stream", b"please wait")).await;
    let (running, gate) = start(&[&registry]).await;
    let mut stream = tunnel(&running, &registry.authority()).await;
    let request = format!("GET /n.tgz HTTP/1.1\r\nHost: {}\r\n\r\n", registry.authority());
    stream.write_all(request.as_bytes()).await.unwrap();
    crate::harness::eventually("the gate is asked", || !gate.seen().is_empty()).await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), stream.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    gate.patience.add_permits(1);
    assert_eq!(status(&read_head(&mut stream).await), 200);
}

#[tokio::test]
async fn plain_http_passes_in_absolute_form_and_in_a_tunnel() {
    let registry = Registry::http(|_| ok("application/octet-stream", b"bytes")).await;
    let (running, gate) = start(&[&registry]).await;
    // reqwest sends the absolute form.
    assert_eq!(get(&running, registry.at("/a.tgz")).await, (200, b"bytes"[..].into()));
    let mut stream = tunnel(&running, &registry.authority()).await;
    for path in ["/b.tgz", "/c.tgz"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", registry.authority());
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(status(&read_head(&mut stream).await), 200);
        let mut body = [0; 5];
        stream.read_exact(&mut body).await.unwrap();
        assert_eq!(&body, b"bytes");
    }
    assert_eq!(gate.seen().len(), 3);
    assert_eq!(gate.urls()[2], registry.at("/c.tgz"));
}

#[tokio::test]
async fn nothing_is_published_and_only_advice_is_asked_for() {
    let registry = Registry::https(|seen| match seen.target.as_str() {
        "/-/npm/v1/security/audits" => ok("application/json", b"advice, they said"),
        _ => ok("application/json", br#"{"ok":true}"#),
    })
    .await;
    let (running, _) = start(&[&registry]).await;
    let check = async |method: Method, path: &str, body: usize, expected: u16| {
        let sent =
            client(&running).request(method.clone(), registry.at(path)).body(vec![b'x'; body]).send().await;
        assert_eq!(sent.unwrap().status().as_u16(), expected, "{method} {path}");
    };
    for path in ["/n", "/-/user/org.couchdb.user:x", "/-/npm/v1/security/advisories/bulk"] {
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
            check(method, path, 2, 403).await;
        }
    }
    check(Method::POST, "/n", 2, 403).await;
    check(Method::POST, "/-/npm/v1/tokens", 2, 403).await;
    check(Method::POST, "/-/npm/v1/security/../tokens", 2, 403).await;
    assert!(registry.seen().is_empty());
    check(Method::POST, "/-/npm/v1/security/advisories/bulk", 2000, 200).await;
    assert_eq!(registry.seen()[0].body, vec![b'x'; 2000]);
    check(Method::POST, "/-/npm/v1/security/audits", 2, 502).await;
    check(Method::POST, "/-/npm/v1/security/advisories/bulk", 65 << 10, 413).await;
    assert_eq!(registry.seen().len(), 2);
}

#[tokio::test]
async fn a_head_passes_without_a_body() {
    let registry = Registry::https(|_| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx-a: b\r\n\r\n".into())]
    })
    .await;
    let (running, gate) = start(&[&registry]).await;
    let answer = client(&running).head(registry.at("/n")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-a"].to_str().unwrap()), (200, "b"));
    assert!(gate.seen().is_empty());
}

#[tokio::test]
async fn a_registry_gets_the_whole_request_and_nothing_of_ours() {
    let registry = Registry::http(|_| ok("application/json", b"{}")).await;
    let (running, _) = start(&[&registry]).await;
    let request = client(&running)
        .get(registry.at("/n"))
        .header("accept", "application/vnd.npm.install-v1+json")
        .header("user-agent", "npm/11")
        .header("npm-session", "1")
        .header("range", "bytes=0-9")
        .header("connection", "x-hop")
        .header("x-hop", "1");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let seen = registry.seen().remove(0);
    assert_eq!(seen.header("accept"), Some("application/vnd.npm.install-v1+json"));
    assert_eq!(seen.header("user-agent"), Some("npm/11"));
    assert_eq!(seen.header("npm-session"), Some("1"));
    assert_eq!(seen.header("host"), Some(registry.authority().as_str()));
    for name in
        ["proxy-authorization", "proxy-connection", "range", "x-hop", "via", "x-forwarded-for", "forwarded"]
    {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn authorization_reaches_the_host_it_was_sent_to_and_no_other() {
    let other = Registry::https(|_| ok("application/octet-stream", b"bytes")).await;
    let to = other.at("/moved.tgz").to_string();
    let registry = Registry::https(move |seen| match seen.target.as_str() {
        "/moved.tgz" => reply("302 Found", &[("location", &to)], b""),
        _ => ok("application/json", b"{}"),
    })
    .await;
    let (running, _) = start(&[&registry, &other]).await;
    let client = client(&running);
    let with = |url| client.get(url).header("authorization", "Bearer token");
    assert_eq!(with(registry.at("/n")).send().await.unwrap().status(), 200);
    let moved = with(registry.at("/moved.tgz")).send().await.unwrap();
    assert_eq!(moved.status(), 302);
    assert_eq!(moved.headers()["location"].to_str().unwrap(), other.at("/moved.tgz").as_str());
    assert!(other.seen().is_empty(), "the package manager follows, not we");
    assert_eq!(get(&running, other.at("/moved.tgz")).await.0, 200);
    assert!(registry.seen().iter().all(|seen| seen.header("authorization") == Some("Bearer token")));
    assert!(other.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn a_redirect_to_a_foreign_host_is_refused_and_names_both() {
    let foreign = Registry::https(|_| ok("application/octet-stream", b"bytes")).await;
    let (to, host) = (foreign.at("/x.tgz").to_string(), foreign.authority());
    let location = to.clone();
    let registry = Registry::https(move |seen| {
        let location = match seen.target.as_str() {
            "/relative" => "/elsewhere",
            "/plain" => "http://127.0.0.1:9/x",
            "/file" => "file:///etc/passwd",
            "/broken" => "https://[",
            "/slashes" => "\\\\evil.example/x",
            "/none" => return reply("304 Not Modified", &[], b""),
            _ => &location,
        };
        reply("301 Moved", &[("location", location)], b"evil twin")
    })
    .await;
    let (running, gate) = start(&[&registry]).await;
    for path in ["/n.tgz", "/plain", "/file", "/broken", "/slashes"] {
        let (status, body) = get(&running, registry.at(path)).await;
        assert_eq!(status, 403, "{path}");
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains(&registry.authority()), "{text}");
        assert!(!text.contains("twin"), "{text}");
        if path == "/n.tgz" {
            assert!(text.contains(&host), "{text}");
        }
    }
    let (status, body) = get(&running, registry.at("/relative")).await;
    assert_eq!((status, body.len()), (301, 0));
    assert!(foreign.seen().is_empty() && gate.seen().is_empty());
    assert_eq!(logged(&running, Kind::Foreign).len(), 5);
}

#[tokio::test]
async fn two_places_in_one_redirect_are_none() {
    let registry =
        Registry::http(|_| reply("302 Found", &[("location", "/a"), ("location", "http://x.example/")], b""));
    let registry = registry.await;
    let (running, _) = start(&[&registry]).await;
    assert_eq!(get(&running, registry.at("/n")).await.0, 403);
}

#[tokio::test]
async fn not_modified_is_an_answer_to_who_asked_that_only() {
    let registry = Registry::https(|_| reply("304 Not Modified", &[("etag", "\"1\"")], b"")).await;
    let (running, gate) = start(&[&registry]).await;
    let asked =
        client(&running).get(registry.at("/n")).header("if-none-match", "\"1\"").send().await.unwrap();
    assert_eq!((asked.status().as_u16(), asked.headers()["etag"].to_str().unwrap()), (304, "\"1\""));
    assert_eq!(get(&running, registry.at("/n")).await.0, 502);
    assert!(gate.seen().is_empty());
}

#[tokio::test]
async fn odd_statuses_with_a_body_are_errors() {
    for status in ["203 Other", "206 Partial", "299 Odd", "407 Proxy"] {
        let registry = Registry::https(move |_| reply(status, &[], b"some of a tarball")).await;
        let (running, gate) = start(&[&registry]).await;
        assert_eq!(get(&running, registry.at("/n.tgz")).await.0, 502, "{status}");
        assert!(gate.seen().is_empty());
    }
    let registry = Registry::https(|_| vec![Step::Send(b"HTTP/1.1 204 Nothing\r\n\r\n".into())]).await;
    let (running, _) = start(&[&registry]).await;
    assert_eq!(get(&running, registry.at("/n")).await, (204, b""[..].into()));
}

#[tokio::test]
async fn what_comes_with_an_error_passes_when_it_is_json() {
    let registry = Registry::https(|seen| match seen.target.as_str() {
        "/json" => reply("404 Not Found", &[("npm-notice", "gone")], b"{\"error\":\"gone\"}"),
        "/huge" => reply("500 Oops", &[], &vec![b' '; 3 << 20]),
        _ => reply("404 Not Found", &[("content-type", "application/gzip")], b"\x1f\x8b\x08 tarball"),
    })
    .await;
    let (running, _) = start(&[&registry]).await;
    let answer = client(&running).get(registry.at("/json")).send().await.unwrap();
    assert_eq!(answer.headers()["npm-notice"].to_str().unwrap(), "gone");
    assert_eq!(answer.bytes().await.unwrap(), b"{\"error\":\"gone\"}"[..]);
    for (path, expected) in [("/n.tgz", 404), ("/huge", 500)] {
        let answer = client(&running).get(registry.at(path)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected);
        assert_eq!(answer.headers()["content-type"].to_str().unwrap(), "application/json");
        let said = format!("{} answered {expected}", registry.at(path));
        assert!(answer.text().await.unwrap().starts_with(&format!("{{\"error\":\"{said}")));
    }
}
