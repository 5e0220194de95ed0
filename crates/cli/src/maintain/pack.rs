//! Packs a folder as `npm pack` does, scripts included, because that is what npm itself would publish.
//! Publishes nothing.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use client::coordinator::api::MAX_TARBALL_BYTES;
use serde_json::Value;
use trust::Version;
use trust::text::printable;

use crate::errors::{Explain as _, Failure};
use crate::install::npm::Npm;

/// `prepack` and `prepare` may build the whole project.
const PACK_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Largest package.json that is read before packing.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// The tarball of `folder`, made in `destination`.
pub(crate) async fn pack(folder: &Path, destination: &Path) -> Result<Bytes, Failure> {
    let npm = Npm::find(folder).hint("install Node.js, which brings npm")?;
    let arguments: Vec<OsString> =
        vec!["pack".into(), "--loglevel=error".into(), "--pack-destination".into(), destination.into()];
    npm.run(folder, &arguments, PACK_LIMIT).await.while_doing("the package cannot be packed")?;
    // npm's own answer cannot be told from what scripts print; the folder was empty before.
    let mut packed: Vec<_> = std::fs::read_dir(destination)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "tgz"))
        .collect();
    match (packed.pop(), packed.len()) {
        (Some(path), 0) => read_tarball_file(&path),
        (_, others) => Err(Failure::unknown(format!("npm pack left {} tarballs, expected one", others + 1))),
    }
}

/// The bytes of a tarball that is packed already.
pub(crate) fn read_tarball_file(path: &Path) -> Result<Bytes, Failure> {
    let doing = || format!("{} cannot be read", path.display());
    let file = std::fs::File::open(path).while_doing(doing())?;
    let mut bytes = Vec::new();
    file.take(MAX_TARBALL_BYTES as u64 + 1).read_to_end(&mut bytes).while_doing(doing())?;
    if bytes.len() > MAX_TARBALL_BYTES {
        return Err(Failure::not_possible(format!(
            "{} has more than {} MB, which no coordinator takes",
            path.display(),
            MAX_TARBALL_BYTES >> 20
        )));
    }
    Ok(bytes.into())
}

/// Refuses a folder that is no package, or one that says it must not be published, before its scripts run.
pub(crate) fn check_folder(folder: &Path) -> Result<(), Failure> {
    let path = folder.join("package.json");
    let mut text = String::new();
    std::fs::File::open(&path)
        .and_then(|file| file.take(MAX_MANIFEST_BYTES).read_to_string(&mut text))
        .while_doing(format!("{} is no package", folder.display()))
        .hint("go to the package's folder, or name it: 3pm publish FOLDER")?;
    let manifest: Value =
        serde_json::from_str(&text).while_doing(format!("{} is not JSON", path.display()))?;
    check_publishable(&manifest)
}

/// The dist-tag that npm will have it under, as the coordinator decides it: whoever signs may read what moves `latest`.
pub(crate) fn tag_in_words(manifest: &Value) -> String {
    let configured =
        manifest.pointer("/publishConfig/tag").and_then(Value::as_str).filter(|tag| !tag.is_empty());
    let version =
        manifest.get("version").and_then(Value::as_str).and_then(|text| text.parse::<Version>().ok());
    match (configured, version) {
        (Some(tag), _) => format!("{}, by publishConfig in package.json", printable(tag, 80)),
        (None, Some(version)) if version.is_stable() => {
            "latest, where no higher version is recorded".to_owned()
        }
        (None, _) => "one of its own, as a prerelease".to_owned(),
    }
}

/// `"private": true` means what it says.
pub(crate) fn check_publishable(manifest: &Value) -> Result<(), Failure> {
    if manifest.get("private") == Some(&Value::Bool(true)) {
        return Err(Failure::not_possible("package.json says \"private\": true")
            .hint("remove it to publish this package"));
    }
    for field in ["name", "version"] {
        if manifest.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(Failure::not_possible(format!("package.json has no {field}")));
        }
    }
    Ok(())
}
