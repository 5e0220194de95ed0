//! What lies on this machine's disk: 3pm's own folder and who may change it, and what interrupted runs left.
//! Removes nothing.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures_util::future::FutureExt as _;

use super::{Check, Finding};
use crate::config;
use crate::context::Context;

const AREA: &str = "on disk";

/// Bits of a mode that let others change, and let them read.
const OTHERS_WRITE: u32 = 0o022;
const OTHERS_READ: u32 = 0o044;

/// Younger folders may belong to a run that goes on.
const LEFT_OVER_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// 3pm's folder, this project, the folder for temporary files.
pub(super) fn checks(context: &Context) -> Vec<Check<'_>> {
    vec![async move { look(context) }.boxed()]
}

fn look(context: &Context) -> Vec<Finding> {
    let mut findings = match context.home() {
        Ok(home) => of_home(&home),
        Err(failure) => vec![Finding::fail(AREA, "3pm's folder", failure.sentence()).fix("set HOME")],
    };
    if let Ok(here) = std::env::current_dir() {
        findings.extend(here.ancestors().find_map(interrupted));
    }
    findings.extend(temporary(&std::env::temp_dir()));
    findings
}

/// What is in it decides which chain is believed, so nobody else may write there; sessions are nobody's to read.
fn of_home(home: &Path) -> Vec<Finding> {
    let Ok(found) = home.symlink_metadata() else {
        return vec![Finding::ok(AREA, "3pm's folder", format!("{} is not there yet", home.display()))];
    };
    let mut findings = Vec::new();
    let own = rustix::process::geteuid().as_raw();
    if home.metadata().is_ok_and(|home| home.uid() != own) {
        findings.push(
            Finding::fail(AREA, "3pm's folder", format!("{} belongs to somebody else", home.display()))
                .fix(format!("chown -R \"$(id -un)\" {}", home.display())),
        );
    }
    for (name, secret) in [("", false), (config::FILE, false), ("sessions", true)] {
        let path = if name.is_empty() { home.to_owned() } else { home.join(name) };
        let Ok(mode) = path.metadata().map(|found| found.mode()) else { continue };
        let shown = path.display();
        let fix = format!("chmod go-rwx {shown}");
        let label = if name.is_empty() { "3pm's folder" } else { name };
        if mode & OTHERS_WRITE != 0 {
            findings.push(Finding::fail(AREA, label, format!("others may change {shown}")).fix(fix));
        } else if mode & OTHERS_READ != 0 && (secret || name.is_empty()) {
            findings.push(Finding::warn(AREA, label, format!("others may read {shown}")).fix(fix));
        }
    }
    if findings.is_empty() {
        let link = if found.is_symlink() { ", through a link" } else { "" };
        findings.push(Finding::ok(AREA, "3pm's folder", format!("{}, yours alone{link}", home.display())));
    }
    findings
}

/// What an install set aside and did not put back.
fn interrupted(project: &Path) -> Option<Finding> {
    let folder = project.join(".3pm-install");
    let lock = std::fs::File::open(folder.join("lock")).ok()?;
    if lock.try_lock().is_err() {
        return Some(Finding::ok(AREA, "install", format!("one is running in {}", project.display())));
    }
    folder.join("journal.json").exists().then(|| {
        let says =
            format!("one was interrupted in {}; the next puts the project back first", project.display());
        Finding::warn(AREA, "install", says).fix(format!("cd {} && 3pm install", project.display()))
    })
}

/// Temporary folders of runs that were killed.
fn temporary(folder: &Path) -> Option<Finding> {
    let own = rustix::process::geteuid().as_raw();
    let now = SystemTime::now();
    let is_left = |entry: &std::fs::DirEntry| {
        let Ok(found) = entry.metadata() else { return false };
        let age = found.modified().ok().and_then(|at| now.duration_since(at).ok());
        found.is_dir() && found.uid() == own && age.is_some_and(|age| age > LEFT_OVER_AFTER)
    };
    let ours = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("3pm-");
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let left: Vec<_> =
        entries.filter(|entry| ours(entry) && is_left(entry)).map(|entry| entry.path()).collect();
    let first = left.first()?;
    let says = format!("{} folders of interrupted runs, such as {}", left.len(), first.display());
    let all: Vec<_> = left.iter().take(5).map(|path| path.display().to_string()).collect();
    Some(Finding::warn(AREA, "temporary files", says).fix(format!("rm -r {}", all.join(" "))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Level;
    use super::*;

    #[test]
    fn a_folder_that_others_may_change_fails_and_one_they_may_read_deserves_a_look() {
        let home = tempfile::tempdir().unwrap();
        for (mode, expected) in
            [(0o700, Level::Ok), (0o755, Level::Warn), (0o775, Level::Fail), (0o707, Level::Fail)]
        {
            std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(of_home(home.path())[0].level, expected, "{mode:o}");
        }
        assert_eq!(of_home(&home.path().join("nowhere"))[0].level, Level::Ok);
    }

    #[test]
    fn an_interrupted_install_is_told_from_a_running_one() {
        let project = tempfile::tempdir().unwrap();
        assert_eq!(interrupted(project.path()), None);
        let folder = project.path().join(".3pm-install");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("journal.json"), "{}").unwrap();
        let lock = std::fs::File::create(folder.join("lock")).unwrap();
        assert_eq!(interrupted(project.path()).unwrap().level, Level::Warn);
        lock.lock().unwrap();
        assert_eq!(interrupted(project.path()).unwrap().level, Level::Ok);
    }
}
