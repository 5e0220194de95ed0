//! How long versions have been out, for policies with a minimum release age. What was signed was recorded on chain,
//! with the time of its block; of everything else only the registry says when it came, and is believed. Decides
//! nothing; what nobody says is `Unknown`.

use std::collections::{HashMap, HashSet};

use client::npm::NpmClient;
use futures_util::{StreamExt as _, stream};
use trust::policy::Released;
use trust::verdict::Verdict;
use trust::{PackageName, Version};

use super::assess::{Finding, Outcome};
use super::entries::Source;

/// Documents fetched at once. The ones with times in them are the long ones.
const PARALLEL: usize = 8;

/// Looks up when each of `findings` was released.
pub(crate) async fn look_up(findings: &mut [Finding], npm: &NpmClient) {
    let mut asked: HashMap<PackageName, HashSet<Version>> = HashMap::new();
    for finding in findings.iter_mut() {
        match &finding.outcome {
            Outcome::Judged(Verdict::Verified(release) | Verdict::Flagged { release, .. }) => {
                finding.released = Released::At(release.published_at());
            }
            Outcome::Judged(_) | Outcome::NotAsked => {
                finding.released = Released::Unknown;
                if let Some((name, version)) = key(finding) {
                    asked.entry(name).or_default().insert(version);
                }
            }
            _ => {}
        }
    }
    let times: Vec<HashMap<_, _>> = stream::iter(asked)
        .map(|(name, versions)| async move {
            let packument = npm.fetch_packument(&name).await.ok().flatten();
            let time_of = |version: Version| {
                let at = packument.as_ref()?.published_at(&version)?;
                Some(((name.clone(), version), at))
            };
            versions.into_iter().filter_map(time_of).collect()
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let times: HashMap<(PackageName, Version), u64> = times.into_iter().flatten().collect();
    for finding in findings.iter_mut().filter(|finding| finding.released == Released::Unknown) {
        if let Some(at) = key(finding).and_then(|key| times.get(&key)) {
            finding.released = Released::At(*at);
        }
    }
}

fn key(finding: &Finding) -> Option<(PackageName, Version)> {
    let Ok(Source::Tarball(tarball)) = &finding.subject.source else { return None };
    Some((tarball.name.clone(), tarball.version.clone()?))
}
