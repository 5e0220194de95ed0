//! What was installed where: per project the packages that lie there, with the hash of each tarball and what
//! was said of it, so that a later revocation finds who has it. Kept in `~/.3pm/receipts`, one file for each
//! project, readable by its owner only. Decides nothing, and no verdict is ever taken from here.

use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use trust::digest::sha256;
use trust::text::printable;

use super::assess::{Finding, Outcome};
use super::entries::Source;
use super::project::{ProjectError, read_bounded};
use super::report::{End, Report};
use super::scripted::{Scripted, Scripting};

/// The biggest trees have about 10,000 packages.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Why a receipt is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiptError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(ProjectError),
    /// It is not what was written.
    #[error("{} is not a receipt", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where it goes wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// One project's packages at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kept {
    /// The project's folder.
    pub(crate) project: PathBuf,
    /// When, in Unix seconds.
    pub(crate) at: u64,
    /// The trust network's name; none when none was asked.
    pub(crate) network: Option<String>,
    /// The block that was read.
    pub(crate) block: Option<u64>,
    /// Every package that was compared, and every one that was only named.
    pub(crate) packages: Vec<KeptPackage>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct KeptPackage {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: Option<String>,
    /// The hash of its tarball; none for what comes from no registry.
    pub(crate) integrity: Option<String>,
    /// What was said of it.
    pub(crate) verdict: String,
    /// Its install scripts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scripts: Vec<String>,
}

/// Writes what an install came to; does nothing for one that installed nothing.
pub(crate) fn keep(home: &Path, report: &Report, now: u64) -> std::io::Result<Option<PathBuf>> {
    let End::Installed { scripts, .. } = &report.end else { return Ok(None) };
    let Some(project) = report.root.as_ref().and_then(|root| root.canonicalize().ok()) else {
        return Ok(None);
    };
    let path = path_of(home, &project);
    let kept = Kept {
        at: now,
        network: report.network.clone(),
        block: match (&report.assessment.head, &report.assessment.offline) {
            (Some(head), _) => Some(head.number),
            (None, offline) => offline.map(|since| since.block),
        },
        packages: report.assessment.findings.iter().filter_map(|finding| package(finding, scripts)).collect(),
        project,
    };
    let folder = path.parent().unwrap_or(home);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(&kept)?)?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(Some(path))
}

/// The receipt of a project; none where nothing was installed with 3pm.
pub(crate) fn read(home: &Path, project: &Path) -> Result<Option<Kept>, ReceiptError> {
    read_one(path_of(home, project))
}

fn read_one(path: PathBuf) -> Result<Option<Kept>, ReceiptError> {
    let bytes = read_bounded(&path, MAX_BYTES).map_err(ReceiptError::Unreadable)?;
    let read = |bytes: Vec<u8>| serde_json::from_slice(&bytes);
    bytes.map(read).transpose().map_err(|source| ReceiptError::Malformed { path, source })
}

/// Every receipt, and why one cannot be read.
pub(crate) fn all(home: &Path) -> std::io::Result<(Vec<Kept>, Vec<ReceiptError>)> {
    let files = match std::fs::read_dir(home.join("receipts")) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((vec![], vec![])),
        Err(error) => return Err(error),
    };
    let (mut kept, mut damaged) = (Vec::new(), Vec::new());
    for file in files {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match read_one(path) {
            Ok(one) => kept.extend(one),
            Err(error) => damaged.push(error),
        }
    }
    kept.sort_by(|a: &Kept, b: &Kept| a.project.cmp(&b.project));
    Ok((kept, damaged))
}

/// Where the receipt of a project lies.
pub(crate) fn path_of(home: &Path, project: &Path) -> PathBuf {
    let digest = sha256(project.as_os_str().as_encoded_bytes());
    home.join("receipts").join(format!("{}.json", hex::encode(digest)))
}

fn package(finding: &Finding, scripts: &Scripting) -> Option<KeptPackage> {
    let verdict = match &finding.outcome {
        Outcome::Own => return None,
        Outcome::Judged(verdict) => verdict.name().to_owned(),
        Outcome::NotAsked => "NotAsked".to_owned(),
        Outcome::Bundled(_) => "Bundled".to_owned(),
        Outcome::Elsewhere(what) => format!("not from a registry: {what}"),
        Outcome::Refused(_) | Outcome::Undecided(_) => "refused".to_owned(),
    };
    let integrity = match &finding.subject.source {
        Ok(Source::Tarball(tarball)) => Some(tarball.integrity),
        _ => None,
    };
    let subject = &finding.subject;
    let same = |one: &&Scripted| {
        one.name == subject.name && one.version == subject.version && one.integrity == integrity
    };
    let scripted = scripts.packages.iter().find(same);
    Some(KeptPackage {
        name: printable(&subject.name, 214),
        version: subject.version.clone(),
        integrity: integrity.map(|integrity| integrity.to_string()),
        verdict: printable(&verdict, 300),
        scripts: scripted.map(|scripted| scripted.scripts.clone()).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_project_has_its_own_file() {
        let home = Path::new("/h");
        assert_eq!(path_of(home, Path::new("/a")), path_of(home, Path::new("/a")));
        assert_ne!(path_of(home, Path::new("/a")), path_of(home, Path::new("/b")));
    }
}
