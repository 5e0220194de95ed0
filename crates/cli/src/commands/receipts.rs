//! `3pm receipts`: what was installed on this machine, looked up again: who has a release that was taken back, stopped
//! or warned of since, or other bytes than those signed. Reads the chain, installs and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use trust::record::{ReleaseRecord, ReleaseStatus};
use trust::text::printable;
use trust::{PackageName, Version};

use crate::args::ReceiptsArgs;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit::{self, ExitCode};
use crate::install::assess::is_enrolled;
use crate::install::receipts::{self, Kept, KeptPackage};
use crate::output::{Page, counted, moment};

/// Names or releases in one call.
const BATCH: usize = 400;

type Key = (PackageName, Version);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    network: String,
    block: u64,
    projects: usize,
    packages: usize,
    /// Projects with a receipt whose folder is not there any more; not looked up.
    gone: Vec<PathBuf>,
    found: Vec<Found>,
}

/// A package of a project that is not what it was.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    project: PathBuf,
    /// When it was installed, in Unix seconds.
    installed_at: u64,
    name: String,
    version: String,
    integrity: Option<String>,
    /// What was said of it then.
    verdict_then: String,
    /// `Revoked`, `Vetoed`, `Mismatch` or `Flagged`.
    now: &'static str,
}

/// Looks them up.
pub(crate) async fn run(context: &Context, args: ReceiptsArgs) -> Outcome {
    let home = context.home()?;
    let mut kept = read(context, &home, &args.projects)?;
    let gone: Vec<PathBuf> =
        kept.iter().filter(|kept| !kept.project.is_dir()).map(|kept| kept.project.clone()).collect();
    kept.retain(|kept| kept.project.is_dir());

    let progress = context.output.progress("looking up what was installed");
    let chain = context.chain()?;
    let head = context.head(&chain).await?;
    let packages = || kept.iter().flat_map(|kept| &kept.packages);
    let names: BTreeSet<PackageName> = packages().filter_map(|package| package.name.parse().ok()).collect();
    let names: Vec<PackageName> = names.into_iter().collect();
    let mut enrolled: BTreeSet<PackageName> = BTreeSet::new();
    for names in names.chunks(BATCH) {
        let records = chain.packages(&head, names).await.while_doing("the chain cannot be read")?;
        enrolled.extend(
            names.iter().zip(records).filter(|(_, one)| is_enrolled(one)).map(|(name, _)| name.clone()),
        );
    }
    let keys: BTreeSet<Key> =
        packages().filter_map(key).filter(|(name, _)| enrolled.contains(name)).collect();
    let keys: Vec<Key> = keys.into_iter().collect();
    let mut releases: BTreeMap<Key, ReleaseRecord> = BTreeMap::new();
    for keys in keys.chunks(BATCH) {
        let records = chain.releases(&head, keys).await.while_doing("the chain cannot be read")?;
        releases.extend(keys.iter().cloned().zip(records));
    }
    context.keep_seen(&chain)?;
    drop(progress);

    let found: Vec<Found> = kept.iter().flat_map(|kept| changed(kept, &releases)).collect();
    let code = found.iter().map(|found| code_of(found.now)).max().unwrap_or(exit::FINE);
    let report = Report {
        network: chain.network().name.clone(),
        block: head.number,
        projects: kept.len(),
        packages: packages().count(),
        gone,
        found,
    };
    context.output.result(&report, |page| render(&report, page));
    Ok(code)
}

/// The receipts of these projects, or of all.
fn read(context: &Context, home: &Path, projects: &[PathBuf]) -> Result<Vec<Kept>, Failure> {
    if projects.is_empty() {
        let (kept, damaged) = receipts::all(home).while_doing("the receipts cannot be read")?;
        for error in damaged {
            context.output.warn(&crate::install::assess::chain_of(&error));
        }
        return Ok(kept);
    }
    let one = |project: &PathBuf| {
        let place = project.canonicalize().while_doing(format!("{} is no folder", project.display()))?;
        receipts::read(home, &place)?.ok_or_else(|| {
            Failure::usage(format!(
                "{} has no receipt: nothing was installed there with 3pm",
                place.display()
            ))
            .hint("3pm install there, or name no project for all of this machine")
        })
    };
    projects.iter().map(one).collect()
}

fn key(package: &KeptPackage) -> Option<Key> {
    Some((package.name.parse().ok()?, package.version.as_ref()?.parse().ok()?))
}

/// What is not as it was, or as it is signed.
fn changed<'a>(
    kept: &'a Kept,
    releases: &'a BTreeMap<Key, ReleaseRecord>,
) -> impl Iterator<Item = Found> + 'a {
    kept.packages.iter().filter_map(|package| {
        let record = releases.get(&key(package)?)?;
        Some(Found {
            project: kept.project.clone(),
            installed_at: kept.at,
            name: package.name.clone(),
            version: package.version.clone()?,
            integrity: package.integrity.clone(),
            verdict_then: package.verdict.clone(),
            now: standing(package, record)?,
        })
    })
}

fn standing(package: &KeptPackage, record: &ReleaseRecord) -> Option<&'static str> {
    let signed = record.integrity.to_string();
    match record.status {
        ReleaseStatus::Revoked => Some("Revoked"),
        ReleaseStatus::Vetoed => Some("Vetoed"),
        ReleaseStatus::None => None,
        // What lies there may have come before anybody signed.
        _ if package.integrity.as_ref().is_some_and(|installed| *installed != signed) => Some("Mismatch"),
        ReleaseStatus::Flagged => Some("Flagged"),
        ReleaseStatus::Active | ReleaseStatus::Cooling => None,
    }
}

fn code_of(now: &str) -> ExitCode {
    match now {
        "Revoked" => exit::REVOKED,
        "Vetoed" => exit::VETOED,
        "Mismatch" => exit::MISMATCH,
        _ => exit::FLAGGED,
    }
}

fn render(report: &Report, page: &mut Page) {
    for found in &report.found {
        page.bad(&format!(
            "{}: {}@{}",
            found.now,
            printable(&found.name, 214),
            printable(&found.version, 100)
        ));
        page.field("project", found.project.display());
        page.field(
            "installed",
            format!("{}, {} then", moment(found.installed_at), printable(&found.verdict_then, 100)),
        );
    }
    let asked = format!(
        "{} of {}, looked up on {} at block {}",
        counted(report.packages, "package"),
        counted(report.projects, "project"),
        report.network,
        report.block
    );
    match report.found.first() {
        None => page.good(&format!("{asked}: none was taken back, stopped or warned of")),
        Some(found) => {
            page.line(&asked);
            page.next(&format!(
                "cd {} && 3pm update {}",
                found.project.display(),
                printable(&found.name, 214)
            ));
        }
    }
    for project in &report.gone {
        page.aside(&format!("{} is not there any more", project.display()));
    }
}

#[cfg(test)]
mod tests {
    use trust::Integrity;

    use super::*;

    #[test]
    fn what_is_worse_than_it_was_is_found() {
        let package = |integrity: Option<Integrity>| KeptPackage {
            name: "a".to_owned(),
            version: Some("1.0.0".to_owned()),
            integrity: integrity.map(|integrity| integrity.to_string()),
            verdict: "Verified".to_owned(),
            scripts: vec![],
        };
        let (good, other) = (Integrity::of(b"good"), Integrity::of(b"other"));
        let check = |status, installed: Option<Integrity>, expected: Option<&str>| {
            let record = ReleaseRecord {
                status,
                integrity: good,
                content_hash: trust::ContentHash::of(b"good"),
                git_sha: alloy_primitives::FixedBytes::ZERO,
                published_at: 1,
                active_at: 1,
                epoch: 0,
                threshold: 1,
                signers: vec![],
                flagged_until: 0,
            };
            assert_eq!(standing(&package(installed), &record), expected, "{status:?}");
        };
        check(ReleaseStatus::Active, Some(good), None);
        check(ReleaseStatus::Active, Some(other), Some("Mismatch"));
        check(ReleaseStatus::Active, None, None);
        check(ReleaseStatus::Flagged, Some(good), Some("Flagged"));
        check(ReleaseStatus::Flagged, Some(other), Some("Mismatch"));
        check(ReleaseStatus::Revoked, Some(good), Some("Revoked"));
        check(ReleaseStatus::Vetoed, None, Some("Vetoed"));
        check(ReleaseStatus::None, Some(other), None);
    }
}
