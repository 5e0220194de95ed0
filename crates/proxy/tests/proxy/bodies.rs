//! Bodies: what they are, how large, how slow, how whole.

use std::io::Write as _;
use std::time::Duration;

use proxy::Kind;

use crate::harness::{Registry, Step, client, get, noise, ok, reply, settings, start, start_with};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(2);
    header.set_cksum();
    builder.append_data(&mut header, "package/package.json", &b"{}"[..]).unwrap();
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn what_a_body_is_its_bytes_say_and_nothing_else() {
    let polyglot = {
        // One JSON string that is the header of a file, too, for who reads archives.
        let mut text = vec![b'x'; 1536];
        text[..6].copy_from_slice(b"{\"a\":\"");
        text[124..136].copy_from_slice(b"00000000777 ");
        text[156] = b'0';
        text[148..156].copy_from_slice(b"        ");
        let sum: u32 = text[..512].iter().map(|byte| u32::from(*byte)).sum();
        text[148..156].copy_from_slice(format!("{sum:07o} ").as_bytes());
        text.truncate(1534);
        text.extend_from_slice(b"\"}");
        text
    };
    let cases: Vec<(&str, Vec<u8>, Kind)> = vec![
        ("application/json", b"{}".to_vec(), Kind::Document),
        ("application/octet-stream", b" [1]".to_vec(), Kind::Document),
        ("text/html", b"{\"name\":\"x\"}".to_vec(), Kind::Document),
        ("application/json", gzip(&tar()), Kind::Tarball),
        ("application/json", tar(), Kind::Tarball),
        ("application/json", polyglot, Kind::Tarball),
        ("application/json", b"{\"a\":1}\0".to_vec(), Kind::Tarball),
        ("application/json", b"null".to_vec(), Kind::Tarball),
        // Whether it is whole is for the gate to say.
        ("application/json", b"{\"cut\":".to_vec(), Kind::Document),
        ("application/json", b"{\"a\":\"\x1f\"}".to_vec(), Kind::Tarball),
        ("application/json", Vec::new(), Kind::Tarball),
    ];
    let served: Vec<(&str, Vec<u8>)> = cases.iter().map(|(kind, body, _)| (*kind, body.clone())).collect();
    let registry = Registry::https(move |seen| {
        let (content_type, body) = &served[seen.target[1..].parse::<usize>().unwrap()];
        ok(content_type, body)
    })
    .await;
    let (running, gate) = start(&[&registry]).await;
    for (at, (content_type, body, expected)) in cases.iter().enumerate() {
        assert_eq!(get(&running, registry.at(&format!("/{at}"))).await, (200, body.clone().into()));
        assert_eq!(gate.seen().last().unwrap().0, *expected, "{content_type} {at}");
    }
}

#[tokio::test]
async fn an_encoded_body_is_unpacked_for_the_gate() {
    let document = br#"{"name":"x"}"#;
    let (packed, two) = (gzip(document), [gzip(b"{\"name\""), gzip(b":\"x\"}")].concat());
    let served = (packed.clone(), two);
    let registry = Registry::https(move |seen| match seen.target.as_str() {
        "/gzip" | "/gzip-all-the-same" => reply("200 OK", &[("content-encoding", "gzip")], &served.0),
        "/two" => reply("200 OK", &[("content-encoding", "gzip")], &served.1),
        "/deflate" => reply("200 OK", &[("content-encoding", "deflate")], &zlib(document)),
        "/twice.tgz" => reply("200 OK", &[("content-encoding", "gzip")], &gzip(&gzip(document))),
        _ => reply("200 OK", &[("content-encoding", "identity")], document),
    })
    .await;
    let (running, gate) = start(&[&registry]).await;
    // What is asked for, what the client takes, and whether it gets it packed.
    for (path, takes, is_packed) in [
        ("/gzip", "gzip, br", true),
        ("/gzip-all-the-same", "br", false),
        ("/two", "gzip", false),
        ("/deflate", "gzip", false),
        ("/identity", "gzip", false),
    ] {
        let request = client(&running).get(registry.at(path)).header("accept-encoding", takes);
        let answer = request.send().await.unwrap();
        let encoding = answer.headers().get("content-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(encoding, is_packed.then_some("gzip"), "{path}");
        let expected = if is_packed { packed.as_slice() } else { document };
        assert_eq!(answer.headers()["content-length"], expected.len().to_string());
        assert_eq!(answer.bytes().await.unwrap(), *expected);
        assert_eq!(gate.seen().last().unwrap(), &(Kind::Document, path.to_owned(), document[..].into()));
    }
    // No document: what was judged is what comes.
    let request = client(&running).get(registry.at("/twice.tgz")).header("accept-encoding", "gzip");
    let answer = request.send().await.unwrap();
    assert!(!answer.headers().contains_key("content-encoding"));
    assert_eq!(answer.bytes().await.unwrap(), gzip(document));
    assert_eq!(gate.seen().last().unwrap().0, Kind::Tarball);
    let asked: Vec<_> =
        registry.seen().iter().map(|seen| seen.header("accept-encoding").unwrap().to_owned()).collect();
    assert_eq!(asked, ["gzip", "identity", "gzip", "gzip", "gzip", "gzip"]);
}

/// Whatever the registry does at `/x`: the status, and that nothing of it reaches anybody.
async fn fails(reply: Vec<Step>, expected: u16, sentence: &str) {
    fails_within(Duration::from_millis(400), Duration::from_secs(300), reply, expected, sentence).await;
}

async fn fails_within(idle: Duration, total: Duration, reply: Vec<Step>, expected: u16, sentence: &str) {
    let registry = Registry::https(move |_| reply.clone()).await;
    let mut settings = settings(&[&registry]);
    settings.limits.idle = idle;
    settings.limits.total = total;
    let (running, gate) = start_with(settings).await;
    let (status, body) = get(&running, registry.at("/x")).await;
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(status, expected, "{text}");
    assert!(text.starts_with("{\"error\":\"3pm: ") && text.contains(sentence), "{text}");
    assert!(!text.contains("secret"), "{text}");
    assert!(gate.seen().is_empty());
}

fn head(lines: &str) -> Step {
    Step::Send(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n").into_bytes())
}

fn chunk(bytes: &[u8]) -> Step {
    Step::Send([format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
}

#[tokio::test]
async fn a_body_over_its_limit_is_an_error() {
    let many = vec![b'x'; (2 << 20) + 1];
    fails(vec![head("content-length: 99999999999")], 502, "more than 2097152 bytes").await;
    fails(ok("application/octet-stream", &many), 502, "more than 2097152 bytes").await;
    let chunks = vec![head("transfer-encoding: chunked"), chunk(&many), chunk(b"")];
    fails(chunks, 502, "more than 2097152 bytes").await;
    let endless =
        vec![head("transfer-encoding: chunked"), chunk(&many), Step::Pause(Duration::from_secs(300))];
    fails(endless, 502, "more than 2097152 bytes").await;
    let until_close = vec![head("connection: close"), Step::Send(many.clone()), Step::Close];
    fails(until_close, 502, "more than 2097152 bytes").await;
    fails(reply("200 OK", &[("content-encoding", "gzip")], &gzip(&many)), 502, "more than 2097152 bytes")
        .await;
    let document = [b"[\"".as_slice(), &vec![b'x'; 1 << 20], b"\"]"].concat();
    fails(ok("application/json", &document), 502, "more than 1048576 bytes").await;
}

#[tokio::test]
async fn a_body_of_just_its_limit_passes() {
    let (tarball, document) =
        (noise(2 << 20), [b"[\"".as_slice(), &vec![b'x'; (1 << 20) - 4], b"\"]"].concat());
    let (sent, said) = (tarball.clone(), document.clone());
    let registry = Registry::https(move |seen| match seen.target.as_str() {
        "/t" => ok("application/octet-stream", &sent),
        _ => ok("application/json", &said),
    })
    .await;
    let (running, _) = start(&[&registry]).await;
    assert_eq!(get(&running, registry.at("/t")).await, (200, tarball.into()));
    assert_eq!(get(&running, registry.at("/d")).await, (200, document.into()));
}

#[tokio::test]
async fn a_large_body_passes_and_several_do_at_once() {
    let body = noise(9 << 20);
    let sent = body.clone();
    let registry = Registry::https(move |_| ok("application/octet-stream", &sent)).await;
    let mut settings = settings(&[&registry]);
    settings.limits.tarball = 16 << 20;
    let (running, gate) = start_with(settings).await;
    // More than have a place at once.
    let all = (0..6).map(|at| get(&running, registry.at(&format!("/{at}.tgz"))));
    for (status, got) in futures_util::future::join_all(all).await {
        assert!(status == 200 && got == body);
    }
    assert_eq!(gate.seen().len(), 6);
}

#[tokio::test]
async fn a_slow_registry_is_an_error() {
    let long = Duration::from_secs(300);
    fails(vec![Step::Pause(long)], 504, "nothing for 400ms").await;
    fails(
        vec![head("content-length: 9"), Step::Send(b"secret".into()), Step::Pause(long)],
        504,
        "nothing for",
    )
    .await;
    // Never silent, and never done.
    let mut drops = vec![head("content-length: 99999")];
    for _ in 0..3000 {
        drops.extend([Step::Send(b"secret".into()), Step::Pause(Duration::from_millis(100))]);
    }
    fails_within(long, Duration::from_millis(1500), drops, 504, "longer than 1.5s").await;
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_an_error() {
    let sentence = "broke off";
    fails(vec![head("content-length: 99"), Step::Send(b"secret".into()), Step::Close], 502, sentence).await;
    let cut = vec![head("transfer-encoding: chunked"), chunk(b"secret"), Step::Close];
    fails(cut, 502, sentence).await;
    let packed = gzip(b"secret secret secret");
    for packed in [&packed[..packed.len() - 1], &packed[..4], &[packed.as_slice(), b"x"].concat(), b"secret"]
    {
        fails(reply("200 OK", &[("content-encoding", "gzip")], packed), 502, sentence).await;
    }
}

#[tokio::test]
async fn an_encoding_that_nobody_asked_for_is_an_error() {
    for encoding in ["br", "zstd", "gzip, gzip", "gzip, br", "x"] {
        fails(reply("200 OK", &[("content-encoding", encoding)], b"secret"), 502, "is encoded as").await;
    }
}

#[tokio::test]
async fn a_registry_that_speaks_no_http_is_an_error() {
    fails(vec![Step::Send(b"SSH-2.0-secret\r\n\r\n".into()), Step::Close], 502, "cannot be reached").await;
    fails(vec![Step::Close], 502, "cannot be reached").await;
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: secret\r\n".repeat(10_000));
    fails(vec![Step::Send(many.into_bytes())], 502, "cannot be reached").await;
}

#[tokio::test]
async fn a_kept_connection_that_the_registry_closes_is_asked_again_once() {
    let registry = Registry::http(|seen| match seen.target.as_str() {
        "/never" => vec![Step::Close],
        _ => ok("application/octet-stream", b"bytes"),
    });
    let registry = registry.await;
    let (running, _) = start(&[&registry]).await;
    let asked = || registry.seen().len();
    assert_eq!(get(&running, registry.at("/never")).await.0, 502);
    assert_eq!(asked(), 2);

    let closed = std::sync::atomic::AtomicBool::new(false);
    let registry = Registry::http(move |seen| {
        let is_first = seen.target == "/second" && !closed.swap(true, std::sync::atomic::Ordering::SeqCst);
        if is_first { vec![Step::Close] } else { ok("application/octet-stream", b"bytes") }
    });
    let registry = registry.await;
    let (running, _) = start(&[&registry]).await;
    for path in ["/first", "/second"] {
        assert_eq!(get(&running, registry.at(path)).await, (200, "bytes".into()), "{path}");
    }
    let targets: Vec<String> = registry.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/first", "/second", "/second"]);
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_an_error() {
    let registry = Registry::http(|_| vec![Step::Close]).await;
    let (running, _) = start(&[&registry]).await;
    let gone = registry.at("/x");
    drop(registry);
    crate::harness::eventually("it is gone", || {
        std::net::TcpStream::connect(gone.socket_addrs(|| None).unwrap()[0]).is_err()
    })
    .await;
    assert_eq!(get(&running, gone).await.0, 502);
}

#[tokio::test]
async fn a_registry_whose_certificate_nobody_knows_is_an_error() {
    let registry = Registry::https(|_| ok("application/json", b"{}")).await;
    let mut settings = settings(&[&registry]);
    settings.extra_roots = Vec::new();
    let (running, _) = start_with(settings).await;
    let (status, body) = get(&running, registry.at("/x")).await;
    assert_eq!(status, 502, "{body:?}");
    assert!(registry.seen().is_empty());
}
