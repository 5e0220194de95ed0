//! What is fetched once for several, and what is fetched before anybody asks.

use std::io::Write as _;
use std::time::Duration;

use proxy::{Ahead, Kind, Purpose};

use crate::harness::{
    Registry, Step, client, eventually, get, noise, ok, reply, settings, start, start_with,
};

#[tokio::test]
async fn two_who_ask_for_the_same_at_the_same_time_share_it() {
    let registry = Registry::https(|_| {
        let mut steps = vec![Step::Pause(Duration::from_millis(300))];
        steps.extend(ok("application/octet-stream", b"bytes"));
        steps
    })
    .await;
    let (running, gate) = start(&[&registry]).await;
    let url = registry.at("/n.tgz");
    let all = futures_util::future::join_all((0..8).map(|_| get(&running, url.clone()))).await;
    assert!(all.iter().all(|got| *got == (200, b"bytes"[..].into())));
    assert_eq!((registry.seen().len(), gate.seen().len(), running.log().len()), (1, 1, 8));
    // It is not kept: the next one is a request of its own.
    assert_eq!(get(&running, url.clone()).await.0, 200);
    assert_eq!(registry.seen().len(), 2);
}

#[tokio::test]
async fn who_sends_other_credentials_shares_nothing() {
    let registry = Registry::https(|seen| {
        let mut steps = vec![Step::Pause(Duration::from_millis(300))];
        steps.extend(ok(
            "application/octet-stream",
            seen.header("authorization").unwrap_or("nobody").as_bytes(),
        ));
        steps
    })
    .await;
    let (running, _) = start(&[&registry]).await;
    let client = client(&running);
    let ask = |token: &'static str| {
        let request = client.get(registry.at("/n.tgz")).header("authorization", token);
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    assert_eq!(futures_util::future::join_all([ask("a"), ask("b")]).await, ["a", "b"]);
}

#[tokio::test]
async fn what_was_fetched_ahead_is_handed_out_once() {
    let registry = Registry::https(|_| ok("application/octet-stream", b"bytes")).await;
    let (running, gate) = start(&[&registry]).await;
    let urls: Vec<_> = (0..50).map(|at| registry.at(&format!("/{at}.tgz"))).collect();
    running.fetch_ahead(urls.clone());
    eventually("all were judged", || gate.seen().len() == 50).await;
    assert!(gate.purposes().iter().all(|purpose| *purpose == Purpose::Ahead));
    assert!(running.log().is_empty(), "nobody asked");
    for url in &urls {
        assert_eq!(get(&running, url.clone()).await, (200, b"bytes"[..].into()));
    }
    assert!(running.log().iter().all(|passed| passed.ahead && passed.kind == Kind::Tarball));
    assert_eq!(registry.seen().len(), 50);
    assert_eq!(get(&running, urls[0].clone()).await.0, 200);
    assert_eq!((registry.seen().len(), gate.purposes()[50]), (51, Purpose::Client));
}

#[tokio::test]
async fn what_was_fetched_ahead_packed_is_for_who_reads_that() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(b"{\"name\":\"x\"}").unwrap();
    let packed = encoder.finish().unwrap();
    let served = packed.clone();
    let registry = Registry::https(move |seen| match seen.header("accept-encoding") {
        Some("gzip") => reply("200 OK", &[("content-encoding", "gzip")], &served),
        _ => ok("application/json", b"{\"name\":\"x\"}"),
    })
    .await;
    let (running, gate) = start(&[&registry]).await;
    running.fetch_ahead([registry.at("/a"), registry.at("/b")]);
    eventually("both were judged", || gate.seen().len() == 2).await;
    let answer =
        client(&running).get(registry.at("/a")).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.bytes().await.unwrap(), packed);
    assert_eq!(get(&running, registry.at("/b")).await, (200, b"{\"name\":\"x\"}"[..].into()));
    let ahead: Vec<bool> = running.log().iter().map(|passed| passed.ahead).collect();
    assert_eq!((ahead, registry.seen().len()), (vec![true, false], 3));
}

#[tokio::test]
async fn who_asks_while_it_is_being_fetched_ahead_waits_for_that() {
    let registry = Registry::https(|_| {
        let mut steps = vec![Step::Pause(Duration::from_millis(400))];
        steps.extend(ok("application/octet-stream", b"bytes"));
        steps
    })
    .await;
    let (running, _) = start(&[&registry]).await;
    running.fetch_ahead([registry.at("/n.tgz")]);
    eventually("it is under way", || !registry.seen().is_empty()).await;
    assert_eq!(get(&running, registry.at("/n.tgz")).await, (200, b"bytes"[..].into()));
    assert_eq!(registry.seen().len(), 1);
    assert!(running.log()[0].ahead);
}

#[tokio::test]
async fn a_refusal_ahead_is_a_refusal() {
    let registry = Registry::https(|_| ok("application/octet-stream", b"evil")).await;
    let (running, gate) = start(&[&registry]).await;
    running.fetch_ahead([registry.at("/n.tgz")]);
    eventually("it is judged", || !gate.seen().is_empty()).await;
    assert_eq!(get(&running, registry.at("/n.tgz")).await.0, 403);
    assert_eq!(registry.seen().len(), 1);
}

#[tokio::test]
async fn what_failed_ahead_is_fetched_again() {
    let registry = Registry::https(|seen| match seen.header("user-agent") {
        None => reply("503 Busy", &[], b"{}"),
        Some(_) => ok("application/octet-stream", b"bytes"),
    })
    .await;
    let (running, _) = start(&[&registry]).await;
    running.fetch_ahead([registry.at("/n.tgz")]);
    eventually("it was tried", || !registry.seen().is_empty()).await;
    let answer =
        client(&running).get(registry.at("/n.tgz")).header("user-agent", "npm").send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), b"bytes"[..]);
    assert!(!running.log()[0].ahead);
}

#[tokio::test]
async fn what_is_held_has_a_limit() {
    let body = noise(100 << 10);
    let registry = Registry::https(move |_| ok("application/octet-stream", &body)).await;
    let mut settings = settings(&[&registry]);
    settings.limits.held = 1 << 20;
    let (running, gate) = start_with(settings).await;
    running.fetch_ahead((0..100).map(|at| registry.at(&format!("/{at}.tgz"))));
    // Ten of 100 KiB fit into 1 MiB, less what is kept free for one on its way.
    eventually("some came", || gate.seen().len() >= 5).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let fetched = registry.seen().len();
    assert!((5..=12).contains(&fetched), "{fetched}");
    // All are served all the same, and the rest follows as room appears.
    for at in 0..100 {
        assert_eq!(get(&running, registry.at(&format!("/{at}.tgz"))).await.1.len(), 100 << 10);
    }
    let ahead = running.log().iter().filter(|passed| passed.ahead).count();
    assert!(ahead >= 5, "{ahead}");
}

#[tokio::test]
async fn what_the_client_has_at_hand_makes_room_for_the_next() {
    let body = [b"laid out ", noise(100 << 10).as_slice()].concat();
    let registry = Registry::https(move |_| ok("application/octet-stream", &body)).await;
    let mut settings = settings(&[&registry]);
    settings.limits.held = 1 << 20;
    let (running, gate) = start_with(settings).await;
    let at = |number: usize| registry.at(&format!("/{number}.tgz"));
    running.fetch_ahead((0..100).map(at));
    eventually("all were judged, though nobody asks", || gate.seen().len() == 100).await;
    // Whoever asks all the same gets it: what is left of the last, and anew what had to go.
    for number in (0..100).rev() {
        assert_eq!(get(&running, at(number)).await.0, 200);
    }
    let log = running.log();
    let ahead = log.iter().filter(|passed| passed.ahead).count();
    assert!((1..=10).contains(&ahead), "{ahead} of 100 KiB in 1 MiB");
    assert!(!log[99].ahead, "the first is the first to go");
}

#[tokio::test]
async fn what_is_larger_than_the_room_is_not_held() {
    let body = noise(1500 << 10);
    let registry = Registry::https(move |_| ok("application/octet-stream", &body)).await;
    let mut settings = settings(&[&registry]);
    settings.limits.held = 1 << 20;
    let (running, gate) = start_with(settings).await;
    running.fetch_ahead([registry.at("/large.tgz"), registry.at("/next.tgz"), registry.at("/last.tgz")]);
    // The room of one that does not fit is free for the next.
    eventually("all were judged", || gate.seen().len() == 3).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(get(&running, registry.at("/large.tgz")).await.1.len(), 1500 << 10);
    assert!(!running.log()[0].ahead);
}

#[tokio::test]
async fn what_needed_credentials_is_for_who_has_the_same() {
    let registry = Registry::https(|seen| {
        ok("application/octet-stream", seen.header("authorization").unwrap_or("nobody").as_bytes())
    })
    .await;
    let (running, gate) = start(&[&registry]).await;
    let (private, public) = (registry.at("/private.tgz"), registry.at("/public.tgz"));
    let authorization = Some("Bearer token".to_owned().into());
    running
        .fetch_ahead([Ahead { authorization, ..Ahead::from(private.clone()) }, Ahead::from(public.clone())]);
    eventually("both were judged", || gate.seen().len() == 2).await;
    let client = client(&running);
    let ask = async |url: &url::Url, token: Option<&str>| {
        let mut request = client.get(url.clone());
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        request.send().await.unwrap().text().await.unwrap()
    };
    assert_eq!(ask(&private, None).await, "nobody");
    assert_eq!(ask(&private, Some("Bearer other")).await, "Bearer other");
    assert_eq!(registry.seen().len(), 4);
    assert_eq!(ask(&private, Some("Bearer token")).await, "Bearer token");
    // What needs none is the same for everybody.
    assert_eq!(ask(&public, Some("Bearer token")).await, "nobody");
    assert_eq!(registry.seen().len(), 4);
}

#[tokio::test]
async fn what_has_several_forms_is_for_who_asks_for_that_form() {
    let registry =
        Registry::https(|seen| ok("application/json", format!("{:?}", [seen.header("accept")]).as_bytes()))
            .await;
    let (running, gate) = start(&[&registry]).await;
    let url = registry.at("/left-pad");
    running.early().fetch([Ahead { accept: Some("short".into()), ..Ahead::from(url.clone()) }]);
    eventually("it was judged", || gate.seen().len() == 1).await;
    let client = client(&running);
    let ask =
        async |form: &str| client.get(url.clone()).header("accept", form).send().await.unwrap().status();
    assert_eq!(ask("long").await, 200);
    assert_eq!(registry.seen().len(), 2);
    assert_eq!(ask("short").await, 200);
    assert_eq!(registry.seen().len(), 2);
    assert_eq!(running.log().iter().map(|passed| passed.ahead).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn who_has_an_answer_already_is_told_that_it_is_the_same() {
    let registry = Registry::https(|seen| match seen.header("if-none-match") {
        Some("\"old\"") => reply("304 Not Modified", &[("etag", "\"old\"")], b""),
        _ => ok("application/json", b"{}"),
    })
    .await;
    let (running, _) = start(&[&registry]).await;
    let [same, other] = ["/same", "/other"].map(|path| registry.at(path));
    let known = |url: &url::Url| Ahead { if_none_match: Some("\"old\"".into()), ..Ahead::from(url.clone()) };
    running.early().fetch([known(&same), known(&other)]);
    eventually("both were fetched", || registry.seen().len() == 2).await;
    let client = client(&running);
    let ask = async |url: &url::Url, name: &str, value: &str| {
        let request = client.get(url.clone()).header(name, value).header("accept", "*/*");
        request.send().await.unwrap().status().as_u16()
    };
    // With a date beside it, which counts for nothing.
    let both = client.get(same.clone()).header("if-none-match", "\"old\"").header("if-modified-since", "x");
    assert_eq!(both.send().await.unwrap().status(), 304);
    assert_eq!(registry.seen().len(), 2);
    // Another one, one by date, and none at all get answers of their own.
    assert_eq!(ask(&other, "if-none-match", "\"new\"").await, 200);
    assert_eq!(ask(&other, "if-modified-since", "x").await, 200);
    assert_eq!(ask(&other, "x-nothing", "").await, 200);
    assert_eq!(registry.seen().len(), 5);
}

#[tokio::test]
async fn nothing_is_fetched_early_when_the_run_is_over() {
    let registry = Registry::https(|_| ok("application/json", b"{}")).await;
    let (running, _) = start(&[&registry]).await;
    let early = running.early();
    running.stop().await.unwrap();
    early.fetch([Ahead::from(registry.at("/left-pad"))]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(registry.seen().is_empty());
}

#[tokio::test]
async fn nothing_foreign_is_fetched_ahead() {
    let (registry, foreign) = (
        Registry::https(|_| ok("application/octet-stream", b"bytes")).await,
        Registry::https(|_| ok("application/octet-stream", b"bytes")).await,
    );
    let mut settings = settings(&[&registry]);
    settings.extra_roots.extend_from_slice(&foreign.roots);
    // One after the other.
    settings.limits.in_flight = 1;
    let (running, gate) = start_with(settings).await;
    running.fetch_ahead([foreign.at("/a.tgz"), registry.at("/b.tgz")]);
    eventually("the other is judged", || !gate.seen().is_empty()).await;
    assert!(foreign.seen().is_empty());
}
