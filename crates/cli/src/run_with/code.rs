//! What a project makes a package manager execute while it fetches, so before anything is checked: yarn's plugins
//! and `exec:`, bun's scanner. Whoever wants that says `--allow-project-code`. Runs nothing and decides nothing.
//!
//! yarn reads its settings as YAML, which writes one thing in many ways; here the words count, wherever they stand,
//! and what could hide them. Tried with yarn 4.18.

use std::path::Path;

use serde_json::Value;

use super::manager::Kind;
use super::places::{not_the_users, scanner_of_bun};
use crate::install::lockfile::MAX_LOCKFILE_BYTES;
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};

/// The settings of yarn 2 and later, in the folder where it is started and in every one above.
pub(crate) const SETTINGS: &str = ".yarnrc.yml";

/// How a dependency is made by a script of the project.
const EXEC: &str = "exec:";

/// What settings and the lockfile of the project at `root` make it execute, started in `folder`.
pub(crate) fn of_settings(kind: Kind, root: &Path, folder: &Path) -> Option<String> {
    match kind {
        Kind::Bun => scanner_of_bun(&[root, folder]),
        Kind::Yarn => {
            let mut places = not_the_users(folder);
            let of_settings = places
                .find_map(|place| of_file(&place.join(SETTINGS), MAX_MANIFEST_BYTES, &["plugins", EXEC]));
            of_settings.or_else(|| of_file(&root.join("yarn.lock"), MAX_LOCKFILE_BYTES, &[EXEC]))
        }
        Kind::Npm | Kind::Pnpm | Kind::YarnClassic => None,
    }
}

/// What the manifest of one of its folders makes it execute.
pub(crate) fn of_manifest(kind: Kind, folder: &Path) -> Option<String> {
    let file = folder.join("package.json");
    let bytes = read_bounded(&file, MAX_MANIFEST_BYTES).transpose().filter(|_| kind == Kind::Yarn)?;
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let manifest: Result<Value, _> = serde_json::from_str(text.trim_start_matches('\u{feff}'));
    match manifest {
        Ok(manifest) if !has_script(&manifest) => None,
        Ok(_) => Some(format!(
            "{}: a dependency is made by a script (exec:), which yarn would run before anything is checked",
            file.display()
        )),
        Err(_) => Some(format!("{} cannot be read, so 3pm cannot tell what yarn would run", file.display())),
    }
}

fn has_script(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim_start().starts_with(EXEC),
        Value::Array(values) => values.iter().any(has_script),
        Value::Object(fields) => fields.values().any(has_script),
        _ => false,
    }
}

/// One of `words` in a file of yarn's, as code of the project.
fn of_file(file: &Path, limit: u64, words: &[&str]) -> Option<String> {
    match find_word(file, limit, words) {
        Ok(word) => word.map(|word| {
            format!("{} has {word}, which yarn would run before anything is checked", file.display())
        }),
        Err(why) => {
            Some(format!("{why}, so 3pm cannot tell whether yarn would load plugins or run a script (exec:)"))
        }
    }
}

/// One of `words` in a file; why not, where it cannot be read or a backslash could write any word otherwise.
pub(crate) fn find_word<'a>(file: &Path, limit: u64, words: &[&'a str]) -> Result<Option<&'a str>, String> {
    let bytes = read_bounded(file, limit).map_err(|_| format!("{} cannot be read", file.display()))?;
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
    for line in lines.filter(|line| !line.trim_start().starts_with('#')) {
        if let Some(word) = words.iter().find(|word| has_word(line, word)) {
            return Ok(Some(word));
        }
        if line.contains('\\') {
            return Err(format!("{} has a backslash", file.display()));
        }
    }
    Ok(None)
}

/// Whether it stands there by itself, and not as a part of another word or of a path.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_-/.".contains(c);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next().filter(|_| !word.ends_with(':'));
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a project with this file, started in `packages/a`.
    fn said(kind: Kind, file: &str, text: &str) -> Option<String> {
        let holder = tempfile::tempdir().unwrap();
        let (root, folder) = (holder.path().join("p"), holder.path().join("p/packages/a"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(root.join(file), text).unwrap();
        of_settings(kind, &root, &folder).or_else(|| of_manifest(kind, &root))
    }

    #[test]
    fn plugins_of_yarn_are_code_of_the_project_however_they_are_written() {
        for text in [
            "nodeLinker: node-modules\nplugins:\n  - ./x.cjs\n",
            "\"plugins\":\n  - ./x.cjs\n",
            "'plugins' : [./x.cjs]\n",
            "  plugins:\n  - ./x.cjs\n",
            "{nodeLinker: pnp, plugins: [./x.cjs]}\n",
            "? plugins\n: - ./x.cjs\n",
            "? !!str\n  plugins\n: [./x.cjs]\n",
            "x: &a plugins\n*a : [./x.cjs]\n",
            "\"pl\\u0075gins\": [./x.cjs]\n",
            "nodeLinker: pnp\rplugins: [./x.cjs]\r",
        ] {
            for file in [".yarnrc.yml", "packages/a/.yarnrc.yml", "../.yarnrc.yml"] {
                let said = said(Kind::Yarn, file, text).unwrap_or_default();
                assert!(said.contains("plugins"), "{file} {text}: {said}");
            }
            assert_eq!(said(Kind::Pnpm, ".yarnrc.yml", text), None);
        }
        for text in [
            "# plugins:\nnodeLinker: pnp\n",
            "packageExtensions:\n  eslint-plugins@*:\n    dependencies: {a: 1}\n",
        ] {
            assert_eq!(said(Kind::Yarn, ".yarnrc.yml", text), None, "{text}");
        }
    }

    #[test]
    fn a_script_that_makes_a_package_is_code_of_the_project_wherever_it_is_named() {
        for (file, text) in [
            ("package.json", r#"{"dependencies": {"x": "exec:./x.js"}}"#),
            ("package.json", r#"{"dependencies": {"x": "\u0065xec:./x.js"}}"#),
            ("package.json", r#"{"resolutions": {"x": " exec:./x.js"}}"#),
            ("package.json", "{"),
            (".yarnrc.yml", "catalog:\n  x: exec:./x.js\n"),
            (
                "yarn.lock",
                "\"x@npm:1\":\n  version: 0.0.0\n  resolution: \"x@exec:./x.js#./x.js::locator=p\"\n",
            ),
            ("yarn.lock", "\"x@npm:1\":\n  resolution: \"x@\\x65xec:./x.js\"\n"),
        ] {
            assert!(said(Kind::Yarn, file, text).is_some(), "{file} {text}");
        }
        let fine = "__metadata:\n  version: 8\n\n\"exec@npm:1\":\n  resolution: \"exec@npm:1.0.0\"\n";
        assert_eq!(said(Kind::Yarn, "yarn.lock", fine), None);
        assert_eq!(said(Kind::Yarn, "package.json", r#"{"scripts": {"a": "npm exec: x"}}"#), None);
    }
}
