//! `3pm shims`: writes and removes the programs that stand in front of the package managers, and says what the
//! PATH needs. Changes no PATH but that of later steps of a GitHub workflow, which is a file for that.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::args::{ShimsArgs, ShimsCommand};
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::output::Page;
use crate::shell::shims::{self, ShimError};

/// GitHub's file of folders that later steps have on their PATH.
const GITHUB_PATH: &str = "GITHUB_PATH";

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    folder: PathBuf,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    written: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_line: Option<String>,
    added_to_github_path: bool,
}

/// Runs it.
pub(crate) fn run(context: &Context, command: &ShimsCommand) -> Outcome {
    match command {
        ShimsCommand::Install(args) => install(context, &folder(context, args)?),
        ShimsCommand::Remove(args) => {
            let folder = folder(context, args)?;
            let removed = shims::remove(&folder)?;
            let report =
                Report { folder, written: vec![], removed, path_line: None, added_to_github_path: false };
            context.output.result(&report, |page| {
                page.good(if report.removed.is_empty() {
                    "there were no shims"
                } else {
                    "the shims are gone"
                });
                page.field("folder", report.folder.display());
            });
            Ok(exit::FINE)
        }
        ShimsCommand::Path(args) => {
            let folder = folder(context, args)?;
            let report = Report {
                folder,
                written: vec![],
                removed: vec![],
                path_line: None,
                added_to_github_path: false,
            };
            context.output.result(&report, |page| page.line(&report.folder.display().to_string()));
            Ok(exit::FINE)
        }
    }
}

fn folder(context: &Context, args: &ShimsArgs) -> Result<PathBuf, Failure> {
    match &args.dir {
        Some(folder) => std::path::absolute(folder).while_doing("--dir is not a path"),
        None => Ok(context.home()?.join(shims::FOLDER)),
    }
}

fn install(context: &Context, folder: &Path) -> Outcome {
    let threepm = shims::own_program().while_doing("3pm does not know where it lies")?;
    let written = shims::install(folder, &threepm).map_err(|error| match error {
        error @ ShimError::NotOurs { .. } => {
            Failure::from(error).code(exit::NOT_POSSIBLE).hint("3pm shims install --dir ANOTHER-FOLDER")
        }
        error => error.into(),
    })?;
    let github = std::env::var_os(GITHUB_PATH).filter(|file| !file.is_empty()).map(PathBuf::from);
    if let Some(file) = &github {
        announce(file, folder).while_doing(format!("{} cannot be written", file.display()))?;
    }
    let report = Report {
        path_line: Some(format!("export PATH=\"{}:$PATH\"", folder.display())),
        folder: folder.to_owned(),
        written,
        removed: vec![],
        added_to_github_path: github.is_some(),
    };
    context.output.result(&report, |page| render(&report, page));
    Ok(exit::FINE)
}

/// A line with the folder, unless there is one.
fn announce(file: &Path, folder: &Path) -> std::io::Result<()> {
    let known = std::fs::read_to_string(file).unwrap_or_default();
    let line = folder.display().to_string();
    if known.lines().any(|known| known == line) {
        return Ok(());
    }
    let end = if known.is_empty() || known.ends_with('\n') { "" } else { "\n" };
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)?
        .write_all(format!("{end}{line}\n").as_bytes())
}

fn render(report: &Report, page: &mut Page) {
    page.good(if report.written.is_empty() { "the shims are there already" } else { "the shims are there" });
    page.field("folder", report.folder.display());
    if report.added_to_github_path {
        page.field("path", "of later steps: added to GITHUB_PATH");
    }
    if let Some(line) = &report.path_line {
        page.next(line);
    }
    page.next("3pm doctor says whether they come before the package managers");
}
