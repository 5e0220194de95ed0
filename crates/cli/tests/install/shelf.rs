//! The registry's side of a test: tarballs made of any manifest, put on the shelf with any announcement,
//! as somebody with a token can; and an honest `npm publish`.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use trust::Integrity;

use crate::harness::people::Person;
use crate::harness::proxy::{Request, Response, Upstream};
use crate::harness::world::World;

/// A tarball of these files, `package.json` first.
pub fn tarball(manifest: &Value, files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let manifest = manifest.to_string();
    for (path, content) in [("package.json", manifest.as_str())].iter().chain(files) {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(499_162_500);
        tar.append_data(&mut header, format!("package/{path}"), content.as_bytes()).expect("memory");
    }
    let mut gzip = tar.into_inner().expect("memory");
    gzip.flush().expect("memory");
    gzip.finish().expect("memory")
}

/// A package with one file.
pub fn plain(name: &str, version: &str, code: &str) -> Vec<u8> {
    tarball(&json!({"name": name, "version": version}), &[("index.js", code)])
}

/// Puts `tarball` on the shelf as `manifest` announces it, with the token of `person`.
pub fn put(world: &World, person: &Person, manifest: &Value, tarball: &[u8]) {
    let text = |field: &str| manifest[field].as_str().expect("a string").to_owned();
    let (name, version) = (text("name"), text("version"));
    let file = format!("{}-{version}.tgz", name.rsplit('/').next().expect("a part"));
    let mut announced = manifest.clone();
    let url = format!("{}{name}/-/{file}", world.registry());
    announced["dist"] = json!({"integrity": Integrity::of(tarball).to_string(), "tarball": url});
    let body = json!({
        "_id": name, "name": name, "dist-tags": {"latest": version}, "versions": {&version: announced},
        "_attachments": {&file: {"content_type": "application/octet-stream", "data": STANDARD.encode(tarball), "length": tarball.len()}},
    });
    let headers = vec![
        ("host".into(), world.registry().trim_start_matches("http://").trim_end_matches('/').into()),
        ("content-type".into(), "application/json".into()),
        ("authorization".into(), format!("Bearer {}", person.npm_token().trim())),
    ];
    let path = format!("/{}", name.replace('/', "%2f"));
    let request = Request { method: "PUT".into(), path, headers, body: body.to_string().into_bytes() };
    let answer = Upstream::at(world.registry()).ask(&request).expect("an answer");
    assert_eq!(answer.status, 201, "{name}@{version}: {}", String::from_utf8_lossy(&answer.body));
}

/// Puts a package of one file on the shelf, announced as it is, and returns its tarball.
pub fn stock(world: &World, name: &str, version: &str, code: &str) -> Vec<u8> {
    let tarball = plain(name, version, code);
    put(world, &world.person("alice"), &json!({"name": name, "version": version}), &tarball);
    tarball
}

/// What the real server answers, uncompressed, so that it can be changed on its way.
pub fn ask(upstream: &Upstream, request: &Request) -> Option<Response> {
    let mut request = request.clone();
    request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept-encoding"));
    upstream.ask(&request)
}
