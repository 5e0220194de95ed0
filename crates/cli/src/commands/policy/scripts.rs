//! Install scripts of what lies in a project, as its receipt has them, and approvals of them. Runs nothing, asks
//! nobody, and approves only bytes that were checked when they were installed.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use trust::Integrity;
use trust::policy::{Action, Approval, Line, Policy};

use crate::args::ApproveScriptsArgs;
use crate::config;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::install::decision::in_words;
use crate::install::project::read_bounded;
use crate::install::receipts::{self, Kept, KeptPackage};
use crate::output::Page;
use crate::project_file;

/// The largest 3pm.toml that is written to.
const MAX_BYTES: u64 = 1 << 20;

/// `3pm policy scripts`.
pub(super) fn list(context: &Context) -> Outcome {
    let folder = std::env::current_dir()?;
    let (policy, kept) = (context.policy(&folder)?, receipt(context, &folder)?);
    let rows: Vec<(&KeptPackage, Line)> =
        scripted(&kept).map(|package| (package, decide(&policy, package))).collect();
    let document: Vec<_> = rows
        .iter()
        .map(|(package, line)| {
            json!({
                "name": package.name, "version": package.version, "integrity": package.integrity,
                "scripts": package.scripts, "mayRun": line.action == Action::Allow, "decidedBy": line,
            })
        })
        .collect();
    context.output.result(&document, |page| render(page, &rows));
    Ok(exit::FINE)
}

fn render(page: &mut Page, rows: &[(&KeptPackage, Line)]) {
    if rows.is_empty() {
        page.line("no package here has install scripts");
        return;
    }
    page.title("Install scripts of what lies here");
    for (package, line) in rows {
        let version = package.version.as_deref().unwrap_or("(no version)");
        page.line(&format!("  {}@{version}  {}", package.name, in_words(line)));
        for script in &package.scripts {
            page.line(&format!("    {script}"));
        }
    }
    if let Some((package, _)) = rows.iter().find(|(_, line)| line.action != Action::Allow) {
        page.next(&format!("3pm policy approve {}", package.name));
    }
}

/// `3pm policy approve`.
pub(super) fn approve(context: &Context, args: &ApproveScriptsArgs) -> Outcome {
    let folder = std::env::current_dir()?;
    let kept = receipt(context, &folder)?;
    let mut approvals = Vec::new();
    for name in &args.packages {
        let meant: Vec<&KeptPackage> =
            scripted(&kept).filter(|package| package.name == name.as_str()).collect();
        if meant.is_empty() {
            return Err(Failure::usage(format!("{name} does not lie here, or has no install scripts"))
                .hint("3pm policy scripts lists those that have some"));
        }
        for package in meant {
            let integrity = integrity(package).ok_or_else(|| {
                Failure::usage(format!("{name} comes from no registry: there is no tarball to approve"))
            })?;
            approvals.push(Approval { package: name.clone(), version: package.version.clone(), integrity });
        }
    }
    let path = if args.user {
        approve_for_user(context, &approvals)?
    } else {
        approve_for_project(&folder, &kept, &approvals)?
    };
    let policy = reread(context, &folder)?;
    let still: Vec<Line> = approvals
        .iter()
        .map(|approval| policy.decide_script(approval.package.as_str(), Some(approval.integrity), false))
        .filter(|line| line.action != Action::Allow)
        .collect();
    let document = json!({"file": path, "approved": approvals, "stillHeldBack": still});
    context.output.result(&document, |page| {
        for approval in &approvals {
            let version = approval.version.as_deref().unwrap_or("(no version)");
            page.good(&format!("approved in {}: {}@{version}", path.display(), approval.package));
        }
        for line in &still {
            page.warn(&format!("  still {}", in_words(line)));
        }
        page.next(if still.is_empty() { "3pm install" } else { "3pm policy approve --user" });
    });
    Ok(exit::FINE)
}

fn approve_for_user(context: &Context, approvals: &[Approval]) -> Result<PathBuf, Failure> {
    let path = context.home()?.join(config::FILE);
    let mut file = config::read(&path)?;
    for approval in approvals {
        if !file.policy.approved_scripts.contains(approval) {
            file.policy.approved_scripts.push(approval.clone());
        }
    }
    file.store(&path)?;
    Ok(path)
}

/// Adds them at the end, so that everything a person wrote stays as it is.
fn approve_for_project(folder: &Path, kept: &Kept, approvals: &[Approval]) -> Result<PathBuf, Failure> {
    let place =
        folder.ancestors().find(|place| place.join(project_file::FILE).is_file() || **place == *kept.project);
    let path = place.unwrap_or(&kept.project).join(project_file::FILE);
    let bytes = read_bounded(&path, MAX_BYTES)?.unwrap_or_default();
    let mut text = String::from_utf8(bytes).while_doing(format!("{} is not text", path.display()))?;
    let unusable = |what: String| Failure::usage(format!("{} is not a policy: {what}", path.display()));
    let known = project_file::parse(&text).map_err(unusable)?.approved_scripts;
    for approval in approvals.iter().filter(|approval| !known.contains(approval)) {
        if !text.is_empty() {
            text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
        }
        text.push_str(&block(approval));
    }
    let written = project_file::parse(&text).map_err(|what| {
        let by_hand: String = approvals.iter().map(block).collect();
        unusable(what).hint(format!("add it by hand:\n{by_hand}"))
    })?;
    if !approvals.iter().all(|approval| written.approved_scripts.contains(approval)) {
        return Err(unusable("an approval at its end is not read back".to_owned()));
    }
    let parent = path.parent().unwrap_or(folder);
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(text.as_bytes())?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

fn block(approval: &Approval) -> String {
    // JSON's strings are TOML's.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let version = approval.version.as_deref().map(|version| format!("version = {}\n", quoted(version)));
    format!(
        "[[policy.approvedScripts]]\npackage = {}\n{}integrity = {}\n",
        quoted(approval.package.as_str()),
        version.unwrap_or_default(),
        quoted(&approval.integrity.to_string())
    )
}

/// The policy as it is now on disk.
fn reread(context: &Context, folder: &Path) -> Result<Policy, Failure> {
    let user = config::read(&context.home()?.join(config::FILE))?.policy;
    let projects = project_file::load(folder)?;
    Ok(Policy::new(user, projects, context.now()))
}

/// The receipt of the nearest project that has one.
fn receipt(context: &Context, folder: &Path) -> Result<Kept, Failure> {
    let home = context.home()?;
    let folder = folder.canonicalize()?;
    for place in folder.ancestors() {
        if let Some(kept) = receipts::read(&home, place).hint("run 3pm install again to write it anew")? {
            return Ok(kept);
        }
    }
    Err(Failure::usage("nothing was installed here with 3pm yet").hint("3pm install"))
}

fn scripted(kept: &Kept) -> impl Iterator<Item = &KeptPackage> {
    kept.packages.iter().filter(|package| !package.scripts.is_empty())
}

fn integrity(package: &KeptPackage) -> Option<Integrity> {
    package.integrity.as_ref()?.parse().ok()
}

fn decide(policy: &Policy, package: &KeptPackage) -> Line {
    let is_verified = matches!(package.verdict.as_str(), "Verified" | "Flagged");
    policy.decide_script(&package.name, integrity(package), is_verified)
}
