//! From the start of a run to its end.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use proxy::Settings;
use tokio::io::AsyncReadExt as _;

use crate::harness::{
    Memory, PATIENCE, Registry, Step, client, credentials, eventually, get, noise, ok, raw, settings, start,
    tunnel,
};

#[tokio::test]
async fn its_files_are_for_its_owner_and_hold_no_key() {
    let registry = Registry::https(|_| ok("application/json", b"{}")).await;
    let (running, _) = start(&[&registry]).await;
    let folder = running.ca_file().parent().unwrap().to_owned();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&running.ca_file()), 0o600);
    let text = std::fs::read_to_string(running.ca_file()).unwrap();
    assert!(!text.contains("PRIVATE"));
    assert_eq!(reqwest::Certificate::from_pem_bundle(text.as_bytes()).unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_listens_and_no_file_is_left_after_it_was_dropped() {
    let registry = Registry::http(|_| ok("application/json", b"{}")).await;
    let (running, _) = start(&[&registry]).await;
    let (address, folder) = (running.address(), running.ca_file().parent().unwrap().to_owned());
    let mut open = tunnel(&running, &registry.authority()).await;
    assert_eq!(get(&running, registry.url.clone()).await.0, 200);
    drop(running);
    assert!(!folder.exists());
    eventually("nothing listens", || std::net::TcpStream::connect(address).is_err()).await;
    let rest = tokio::time::timeout(PATIENCE, open.read_u8()).await.expect("the tunnel ends");
    assert!(rest.is_err());
}

#[tokio::test]
async fn stopping_waits_for_that() {
    let registry = Registry::http(|_| vec![Step::Pause(Duration::from_secs(60))]).await;
    let (running, _) = start(&[&registry]).await;
    let (address, folder) = (running.address(), running.ca_file().parent().unwrap().to_owned());
    let request =
        format!("GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n", registry.at("/slow"), credentials(&running));
    let _waiting = raw(&running, request.as_bytes()).await;
    eventually("the registry is asked", || !registry.seen().is_empty()).await;
    running.fetch_ahead([registry.at("/ahead")]);
    tokio::time::timeout(PATIENCE, running.stop()).await.expect("it does not wait for registries").unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!folder.exists());
}

#[tokio::test]
async fn two_hundred_at_once_are_all_served() {
    let registry = Registry::https(|seen| ok("application/octet-stream", seen.target.as_bytes())).await;
    let mut settings = settings(&[&registry]);
    settings.limits.connections = 64;
    settings.limits.in_flight = 16;
    let gate = Memory::new();
    let running = proxy::start(settings, gate.clone()).await.unwrap();
    let all = (0..200).map(|at| {
        // Each on a connection of its own.
        let (client, url) = (client(&running), registry.at(&format!("/{at}.tgz")));
        async move {
            let answer = client.get(url).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    });
    for (at, got) in futures_util::future::join_all(all).await.into_iter().enumerate() {
        assert_eq!(got, (200, format!("/{at}.tgz")));
    }
    assert_eq!((gate.seen().len(), running.log().len()), (200, 200));
}

#[tokio::test]
async fn a_client_that_goes_away_takes_nothing_with_it() {
    let body = noise(500_000);
    let registry = Registry::https(move |seen| match seen.target.as_str() {
        "/slow" => vec![Step::Pause(Duration::from_secs(60))],
        _ => ok("application/octet-stream", &body),
    })
    .await;
    let mut settings: Settings = settings(&[&registry]);
    settings.limits.in_flight = 2;
    let (running, _) = crate::harness::start_with(settings).await;
    for _ in 0..6 {
        let asking =
            client(&running).get(registry.at("/slow")).timeout(Duration::from_millis(150)).send().await;
        assert!(asking.is_err());
    }
    // Both places are free again, though the registry still says nothing.
    assert_eq!(get(&running, registry.at("/x.tgz")).await.1.len(), 500_000);
}

#[tokio::test]
async fn an_address_that_is_no_registry_is_an_error_that_hides_credentials() {
    let settings = Settings {
        registries: vec!["ftp://user:secret@registry.example/".parse().unwrap()],
        ..Settings::default()
    };
    assert!(!format!("{settings:?}").contains("secret"));
    let error = proxy::start(settings, Memory::new()).await.unwrap_err();
    assert!(error.to_string().contains("registry.example") && !error.to_string().contains("secret"));
}

#[tokio::test]
async fn roots_that_are_no_certificates_are_an_error() {
    let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    let settings = Settings { extra_roots: pem, ..Settings::default() };
    assert!(proxy::start(settings, Memory::new()).await.is_err());
}
