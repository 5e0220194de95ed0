//! The dist-tag that a release gets on npm: `publishConfig.tag`, else `latest` for a stable version above every one
//! that has a record or existed before the claim, wherever those are on their way to npm.
//!
//! Versions that a thief put on npm do not count: they would keep `latest` from moving.

use std::sync::Arc;

use chain::{Chain, Head};
use client::npm::Packument;
use serde_json::Value;
use trust::record::ReleaseStatus;
use trust::{PackageName, Version};

use super::Obstacle;
use crate::app::App;
use crate::legacy;

pub(super) async fn choose(
    app: &Arc<App>,
    head: &Head,
    name: &PackageName,
    version: &Version,
    packument: Option<&Packument>,
    manifest: &Value,
) -> Result<String, Obstacle> {
    if let Some(tag) = manifest["publishConfig"]["tag"].as_str().filter(|tag| !tag.is_empty()) {
        return Ok(tag.to_owned());
    }
    if !version.is_stable() {
        return Ok(prerelease_tag(version));
    }
    let package = app.chain.package(head, name).await?;
    let legacy = legacy::find(app, name, &package).await.map_err(Obstacle::Legacy)?;
    let listed = packument.into_iter().flat_map(Packument::version_names);
    let listed = listed.filter_map(|text| text.parse().ok()).collect();
    let mut others = recorded(&app.chain, head, name, listed, |status| status != ReleaseStatus::None).await?;
    // npm lists these later, perhaps: what is recorded is on its way there, or there and not visible yet.
    let under_way = app.store.versions_under_way(name).await.map_err(Obstacle::Store)?;
    let goes_on =
        |status| matches!(status, ReleaseStatus::Active | ReleaseStatus::Flagged | ReleaseStatus::Cooling);
    others.extend(recorded(&app.chain, head, name, under_way, goes_on).await?);
    others.extend(legacy.into_iter().map(|entry| entry.version));
    Ok(if is_newest(version, &others) { "latest" } else { "backport" }.to_owned())
}

/// Those of `versions` whose record has a status that `counts`.
async fn recorded(
    chain: &Chain,
    head: &Head,
    name: &PackageName,
    versions: Vec<Version>,
    counts: impl Fn(ReleaseStatus) -> bool,
) -> Result<Vec<Version>, Obstacle> {
    let keys: Vec<_> = versions.into_iter().map(|version| (name.clone(), version)).collect();
    let records = chain.releases(head, &keys).await?;
    let counted = keys.into_iter().zip(records).filter(|(_, record)| counts(record.status));
    Ok(counted.map(|((_, version), _)| version).collect())
}

/// Whether no stable one of the others is above it.
fn is_newest(version: &Version, others: &[Version]) -> bool {
    others.iter().filter(|other| other.is_stable()).all(|other| other <= version)
}

/// `rc` of `2.0.0-rc.1`; `next` when the first identifier is no word.
fn prerelease_tag(version: &Version) -> String {
    let text = version.to_string();
    let identifier = text.split_once('-').and_then(|(_, pre)| pre.split('.').next()).unwrap_or_default();
    let word = identifier.starts_with(|c: char| c.is_ascii_alphabetic() && c != 'v' && c != 'x')
        && identifier.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if word && identifier != "latest" { identifier.to_owned() } else { "next".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pre_release_is_tagged_by_its_first_word() {
        let check = |version: &str, expected: &str| {
            assert_eq!(prerelease_tag(&version.parse().unwrap()), expected, "{version}");
        };
        check("1.0.0-rc.1", "rc");
        check("1.0.0-beta", "beta");
        check("1.0.0-0", "next");
        check("1.0.0-v1", "next");
        check("1.0.0-latest.1", "next");
    }

    #[test]
    fn the_newest_is_above_every_stable_one() {
        let check = |others: &[&str], expected: bool| {
            let others: Vec<Version> = others.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(is_newest(&"2.0.0".parse().unwrap(), &others), expected, "{others:?}");
        };
        check(&[], true);
        check(&["1.9.9", "2.0.0", "3.0.0-rc.1"], true);
        check(&["1.9.9", "2.0.1"], false);
    }
}
