//! The body of npm's publish request: one version, its manifest and the exact bytes of its tarball.
//! Sending it is `registry`'s matter; so is what the registry makes of it.
//!
//! Source of the shape: npm's libnpmpublish, and what Verdaccio and npm were seen to accept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use trust::{Integrity, PackageName, Version};
use url::Url;

/// A publish request, ready to be sent.
#[derive(Debug, Clone)]
pub struct PublishBody(pub(super) Vec<u8>);

/// What a registry made of a publish request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The version is new.
    Created,
    /// The registry has that version already, with whatever bytes, or is just writing it.
    AlreadyThere,
    /// The number is used up: the version is there with whatever bytes, or was and its publisher removed it.
    NumberUsed,
}

/// The request that publishes `tarball` under `tag`. `manifest` is the `package.json` inside the tarball, so
/// that what the registry serves is what was signed.
#[must_use]
pub fn publish_body(
    registry: &Url,
    (name, version): (&PackageName, &Version),
    manifest: &Value,
    tarball: &[u8],
    tag: &str,
    access: Option<&str>,
) -> PublishBody {
    let file = format!("{name}-{version}.tgz");
    let location = registry.join(&format!("{name}/-/{}-{version}.tgz", name.base()));
    let mut described = manifest.clone();
    if let Value::Object(fields) = &mut described {
        fields.insert("_id".into(), json!(format!("{name}@{version}")));
        fields.insert(
            "dist".into(),
            json!({
                "integrity": Integrity::of(tarball).to_string(),
                "shasum": hex(&Sha1::digest(tarball)),
                "tarball": location.map_or_else(|_| file.clone(), String::from),
            }),
        );
    }
    let body = json!({
        "_id": name.as_str(),
        "name": name.as_str(),
        "description": manifest.get("description").cloned().unwrap_or(Value::Null),
        "dist-tags": { tag: version.to_string() },
        "versions": { version.to_string(): described },
        "access": access,
        "_attachments": { file: {
            "content_type": "application/octet-stream",
            "data": STANDARD.encode(tarball),
            "length": tarball.len(),
        } },
    });
    PublishBody(body.to_string().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
