//! npm itself, with nothing but what a run tells it.

use std::io::Write as _;
use std::path::Path;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proxy::{Kind, Running};
use sha2::{Digest as _, Sha512};

use crate::harness::{Registry, logged, ok, reply, start};

/// A package of one file.
fn tarball(name: &str, content: &str) -> Vec<u8> {
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none()));
    let manifest = format!(r#"{{"name":"{name}","version":"1.0.0"}}"#);
    for (path, text) in [("package/package.json", manifest.as_str()), ("package/index.js", content)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let mut encoder = builder.into_inner().unwrap();
    encoder.flush().unwrap();
    encoder.finish().unwrap()
}

/// A registry of two packages: `good`, and one whose tarball the gate refuses.
async fn registry() -> Registry {
    Registry::https(|seen| {
        let host = seen.header("host").unwrap();
        let name = if seen.target.contains("bad") { "bad" } else { "good" };
        let bytes = tarball(name, if name == "bad" { "evil" } else { "module.exports = 1" });
        match seen.target.as_str() {
            "/good" | "/bad" => {
                let integrity = format!("sha512-{}", STANDARD.encode(Sha512::digest(&bytes)));
                let document = serde_json::json!({
                    "name": name,
                    "dist-tags": { "latest": "1.0.0" },
                    "versions": { "1.0.0": { "name": name, "version": "1.0.0", "dist": {
                        "tarball": format!("https://{host}/{name}/-/{name}-1.0.0.tgz"), "integrity": integrity,
                    } } },
                });
                ok("application/json", document.to_string().as_bytes())
            }
            "/good/-/good-1.0.0.tgz" | "/bad/-/bad-1.0.0.tgz" => ok("application/octet-stream", &bytes),
            _ => reply("404 Not Found", &[], b"{}"),
        }
    })
    .await
}

async fn npm(running: &Running, registry: &Registry, project: &Path, arguments: &[&str]) -> Output {
    std::fs::write(project.join("package.json"), "{}").unwrap();
    let home = project.join("home");
    std::fs::create_dir(&home).unwrap();
    let mut command = tokio::process::Command::new("npm");
    command.args(arguments).current_dir(project).env_clear();
    for name in ["PATH", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let proxy = running.url().as_str();
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "npm_config_https_proxy", "npm_config_proxy"] {
        command.env(name, proxy);
    }
    command
        .env("HOME", &home)
        .env("npm_config_noproxy", "3pm.invalid")
        .env("npm_config_cafile", running.ca_file())
        .env("npm_config_registry", registry.url.as_str())
        .env("npm_config_update_notifier", "false")
        .env("npm_config_audit", "false")
        .kill_on_drop(true);
    command.output().await.unwrap()
}

#[tokio::test]
async fn npm_installs_what_is_released() {
    let registry = registry().await;
    let (running, gate) = start(&[&registry]).await;
    let project = tempfile::tempdir().unwrap();
    let output = npm(&running, &registry, project.path(), &["install", "good"]).await;
    assert!(output.status.success(), "{output:?} {:?}", running.log());
    let installed = std::fs::read_to_string(project.path().join("node_modules/good/index.js")).unwrap();
    assert_eq!(installed, "module.exports = 1");
    let kinds: Vec<Kind> = gate.seen().iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, [Kind::Document, Kind::Tarball]);
    assert!(logged(&running, Kind::Foreign).is_empty());
}

#[tokio::test]
async fn npm_says_why_something_was_refused_and_installs_nothing() {
    let registry = registry().await;
    let (running, _) = start(&[&registry]).await;
    let project = tempfile::tempdir().unwrap();
    let output = npm(&running, &registry, project.path(), &["install", "good", "bad"]).await;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("3pm: pkg@1.0.0 is"), "{said}");
    assert!(!project.path().join("node_modules/bad").exists());
}
