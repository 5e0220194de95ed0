//! Commands in `node_modules/.bin`: whether each is a link to the file that the package it leads into declares for it,
//! in the bytes that were compared. A package manager makes them by what a registry's document says, and it makes
//! them once; those that lay there before can be anybody's.
//!
//! Looks at links only, as npm, yarn and bun make them; what pnpm writes is a program of its own, and none of these.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::tree::read_manifest;
use crate::install::manifests::{bins, plain_path};

/// Whether all of them are.
pub(crate) fn are_declared(root: &Path, commands: &[PathBuf]) -> bool {
    commands.iter().all(|place| is_link(root, place) && is_declared(root, place))
}

/// Whether it is a link.
pub(crate) fn is_link(root: &Path, place: &Path) -> bool {
    root.join(place).symlink_metadata().is_ok_and(|found| found.is_symlink())
}

/// Whether this link leads to what a package declares under its name. The file need not be there: some is built.
pub(crate) fn is_declared(root: &Path, place: &Path) -> bool {
    let Ok(real) = root.canonicalize() else { return false };
    let target = || -> Option<PathBuf> {
        let path = real.join(place);
        let parent = path.parent()?.canonicalize().ok()?;
        let target = plain(&parent.join(std::fs::read_link(&path).ok()?))?;
        let target = target.canonicalize().unwrap_or(target);
        target.strip_prefix(&real).ok().map(Path::to_owned)
    };
    let Some(target) = target() else { return false };
    let Some(command) = place.file_name().and_then(|name| name.to_str()) else { return false };
    // A folder inside a package can have a package.json as well.
    let mut packages = target.ancestors().skip(1);
    packages.any(|package| declares(&real, package, command, &target).unwrap_or(false))
}

fn declares(root: &Path, package: &Path, command: &str, target: &Path) -> Option<bool> {
    let manifest = read_manifest(root, package).ok()?;
    let leads_there = |file: &str| {
        let file = package.join(file);
        file == target || root.join(file).canonicalize().is_ok_and(|real| real == root.join(target))
    };
    let is_named = bins(manifest.as_object()?).get(command).and_then(Value::as_str).is_some_and(leads_there);
    let folder = manifest.pointer("/directories/bin").and_then(Value::as_str);
    let is_in_folder = || folder.is_some_and(|folder| target.starts_with(package.join(plain_path(folder))));
    Some(is_named || is_in_folder() && target.file_name().is_some_and(|name| name == command))
}

/// Without `.` and `..`.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => found.pop().then_some(())?,
            Component::CurDir => {}
            part => found.push(part),
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_link_to_the_file_that_its_package_declares() {
        let holder = tempfile::tempdir().unwrap();
        let root = holder.path();
        for (package, bin) in [
            ("a", r#""bin": {"a": "./cli.js", "built": "dist/built.js"}"#),
            ("@s/b", r#""bin": "cli.js""#),
            ("c", r#""directories": {"bin": "./tools"}"#),
            ("e", r#""bin": ["./tools/../cli.js"]"#),
        ] {
            let folder = root.join("node_modules").join(package);
            std::fs::create_dir_all(folder.join("tools")).unwrap();
            std::fs::write(folder.join("tools/c"), "").unwrap();
            let manifest = format!(r#"{{"name": "{package}", {bin}}}"#);
            std::fs::write(folder.join("package.json"), manifest).unwrap();
            std::fs::write(folder.join("cli.js"), "").unwrap();
            std::fs::write(folder.join("other.js"), "").unwrap();
        }
        std::fs::write(root.join("own.js"), "").unwrap();
        std::fs::create_dir(root.join("node_modules/.bin")).unwrap();
        let check = |name: &str, target: Option<&str>| {
            let place = Path::new("node_modules/.bin").join(name);
            let _ = std::fs::remove_file(root.join(&place));
            match target {
                Some(target) => std::os::unix::fs::symlink(target, root.join(&place)).unwrap(),
                None => std::fs::write(root.join(&place), "#!/bin/sh\n").unwrap(),
            }
            are_declared(root, &[place])
        };
        assert!(check("a", Some("../a/cli.js")) && check("b", Some("../@s/b/cli.js")));
        assert!(check("built", Some("../a/dist/built.js")) && check("c", Some("../c/tools/c")));
        assert!(check("cli.js", Some("../e/cli.js")));
        for (name, target) in [
            ("a", None),
            ("a", Some("../a/other.js")),
            ("a", Some("../@s/b/cli.js")),
            ("a", Some("../../own.js")),
            ("a", Some("../a/gone.js")),
            ("e", Some("../e/cli.js")),
            ("other.js", Some("../e/other.js")),
            ("c", Some("../a/cli.js")),
            ("d", Some("../c/tools/c")),
            ("other.js", Some("../c/other.js")),
            ("c", Some("../a/tools/c")),
        ] {
            assert!(!check(name, target), "{name} {target:?}");
        }
    }
}
