//! What npm has under a version: nothing, these bytes, or others. Its own word for the hash is not taken for theirs:
//! the bytes are fetched. Others are final at once only where npm announces others too; a body that differs alone may
//! be the page of somebody in between.

use client::http::HttpError;
use client::npm::{NpmError, Packument};
use trust::{Integrity, PackageName, TarballHashes, Version};

use super::{Obstacle, Outcome};
use crate::app::App;

/// Looks at the version in `packument`; `None` when it is not listed.
pub(super) async fn look(
    app: &App,
    packument: Option<&Packument>,
    (name, version): (&PackageName, &Version),
    signed: &TarballHashes,
) -> Result<Option<Outcome>, Obstacle> {
    let Some(packument) = packument else { return Ok(None) };
    let text = version.to_string();
    let described = packument.version(&text).map_err(|error| Obstacle::Npm(error.into()))?;
    let Some(described) = described else { return Ok(None) };
    let announced = described.integrity.as_deref().and_then(|text| text.parse::<Integrity>().ok());
    let announces_others = announced.filter(|announced| *announced != signed.integrity);
    let bytes = match (app.npm.fetch_tarball(&described.tarball).await, announces_others) {
        (Ok(bytes), _) => bytes,
        // Not even a tarball that nobody can have, or that is too large, makes it these bytes.
        (Err(error), Some(announced)) if is_refusal(&error) => return Ok(Some(hijacked(signed, &announced))),
        (Err(error), _) => return Err(Obstacle::Npm(error)),
    };
    let found = TarballHashes::of(&bytes);
    match (found == *signed, announces_others) {
        (true, None) => {
            let tagged = packument.dist_tags.iter().find(|(_, tagged)| **tagged == text);
            Ok(Some(Outcome::Published { tag: tagged.map(|(tag, _)| tag.clone()) }))
        }
        (true, Some(announced)) => Err(Obstacle::AnnouncesOthers { announced }),
        (false, Some(_)) => Ok(Some(hijacked(signed, &found.integrity))),
        (false, None) => {
            let is_package = is_package(bytes, name, version).await;
            Err(Obstacle::ServesOthers { signed: signed.integrity, found: found.integrity, is_package })
        }
    }
}

pub(super) fn hijacked(signed: &TarballHashes, found: &Integrity) -> Outcome {
    Outcome::Hijacked { reason: other_bytes(&signed.integrity, found) }
}

pub(super) fn other_bytes(signed: &Integrity, found: &Integrity) -> String {
    format!("npm has other bytes: expected {signed}, found {found}")
}

/// An answer, and not a tarball within the limit: not a server that is silent or in trouble.
fn is_refusal(error: &NpmError) -> bool {
    match error {
        NpmError::Http { source: HttpError::TooLarge { .. }, .. } => true,
        NpmError::Http { source, .. } => source.status().is_some_and(|status| (400..500).contains(&status)),
        _ => false,
    }
}

/// Whether somebody would install this: not so the page of a proxy.
async fn is_package(bytes: bytes::Bytes, name: &PackageName, version: &Version) -> bool {
    let read =
        tokio::task::spawn_blocking(move || scan::read_tarball(&bytes, &scan::Limits::default())).await;
    let Ok(Ok(tarball)) = read else { return false };
    tarball.manifest.name == name.as_str() && tarball.manifest.version == version.to_string()
}
