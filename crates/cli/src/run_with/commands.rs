//! Commands in `node_modules/.bin` that lie there from before: whether each is a link to the file that the package
//! declares for it. Where a package manager made them in this run, nobody else had a hand in them.
//!
//! Looks at links only, as npm makes them; anything else is not one of these.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::tree::read_manifest;

/// Whether all of them are.
pub(crate) fn are_declared(root: &Path, commands: &[PathBuf]) -> bool {
    let Ok(real) = root.canonicalize() else { return false };
    commands.iter().all(|place| is_declared(&real, place).unwrap_or(false))
}

fn is_declared(root: &Path, place: &Path) -> Option<bool> {
    let path = root.join(place);
    if !path.symlink_metadata().ok()?.is_symlink() {
        return None;
    }
    let target = path.canonicalize().ok()?;
    let package = package_of(target.strip_prefix(root).ok()?)?;
    let manifest = read_manifest(root, &package).ok()?;
    let command = place.file_name()?.to_str()?;
    let file = match manifest.get("bin")? {
        Value::String(file) => {
            let name = manifest.get("name")?.as_str()?;
            (name.rsplit('/').next() == Some(command)).then_some(file)?
        }
        Value::Object(commands) => {
            let named = commands.iter().find(|(name, _)| name.rsplit('/').next() == Some(command));
            named?.1.as_str()?
        }
        _ => return None,
    };
    Some(root.join(package).join(file).canonicalize().ok()? == target)
}

/// The folder of the package that a file belongs to.
fn package_of(file: &Path) -> Option<PathBuf> {
    let parts: Vec<_> = file.iter().collect();
    let at = parts.iter().rposition(|part| *part == "node_modules")?;
    let is_scoped = parts.get(at + 1)?.to_str()?.starts_with('@');
    let end = at + if is_scoped { 3 } else { 2 };
    (parts.len() > end).then(|| parts[..end].iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_link_to_the_file_that_its_package_declares() {
        let holder = tempfile::tempdir().unwrap();
        let root = holder.path();
        for (package, bin) in [("a", r#"{"a": "./cli.js"}"#), ("@s/b", r#""cli.js""#)] {
            let folder = root.join("node_modules").join(package);
            std::fs::create_dir_all(&folder).unwrap();
            let manifest = format!(r#"{{"name": "{package}", "bin": {bin}}}"#);
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
        for (name, target) in [
            ("a", None),
            ("a", Some("../a/other.js")),
            ("a", Some("../@s/b/cli.js")),
            ("a", Some("../../own.js")),
            ("a", Some("../a/gone.js")),
            ("c", Some("../a/cli.js")),
        ] {
            assert!(!check(name, target), "{name} {target:?}");
        }
    }
}
