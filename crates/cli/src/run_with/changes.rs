//! What a project says about the packages of others, beside its own dependencies: which of them are patched, and
//! which names its settings bring in. Read from its manifest, settings and lockfile; all of it is the project's
//! word, and none of it makes bytes checked ones: what is patched is named, and the policy decides.
//!
//! Formats: `patchedDependencies` of pnpm 9 to 11 (as pnpm-lock.yaml repeats it) and of bun 1.4 (package.json), `patch:`
//! of yarn 4's lockfile, its own patches (`builtin<compat/…>`) included; `packageExtensions` of pnpm and yarn 4.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use trust::PackageName;
use trust::text::printable;

use super::members::last_name;
use super::tree::without_version;
use crate::install::lockfile::MAX_LOCKFILE_BYTES;
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};

/// Settings that are no JSON.
const SETTINGS: [&str; 2] = ["pnpm-workspace.yaml", ".yarnrc.yml"];

/// By name: the version where one is named, and by what it is changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Patches(BTreeMap<String, Vec<(Option<String>, String)>>);

impl Patches {
    /// Those of the project at `root`.
    pub(crate) fn read(root: &Path) -> Self {
        let text = |name: &str, limit: u64| {
            let bytes = read_bounded(&root.join(name), limit).ok().flatten().unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let mut patches = Self::default();
        patches.add_yarn(&text("yarn.lock", MAX_LOCKFILE_BYTES));
        patches.add_pnpm(&text("pnpm-lock.yaml", MAX_LOCKFILE_BYTES));
        let manifest: Value =
            serde_json::from_str(&text("package.json", MAX_MANIFEST_BYTES)).unwrap_or_default();
        let listed = manifest.get("patchedDependencies").and_then(Value::as_object);
        for (package, file) in listed.into_iter().flatten() {
            patches.add(package, file.as_str().unwrap_or_default());
        }
        patches
    }

    /// What changed this release on purpose.
    pub(crate) fn of(&self, name: &str, version: &str) -> Option<&str> {
        let found = self.0.get(name)?.iter().find(|(of, _)| of.as_deref().is_none_or(|of| of == version));
        found.map(|(_, what)| what.as_str())
    }

    /// `package` is `name`, `name@version` or `name@range`.
    fn add(&mut self, package: &str, what: &str) {
        let name = without_version(package);
        let version = package[name.len()..].trim_start_matches('@');
        // A range stands for whatever the package manager took it for.
        let version = version.parse::<trust::Version>().is_ok().then(|| version.to_owned());
        let what = format!("the registry's, changed by a patch of the project: {}", printable(what, 200));
        self.0.entry(name.to_owned()).or_default().push((version, what));
    }

    /// `  resolution: "name@patch:name@npm%3A1.0.0#./x.patch::version=1.0.0&hash=…"`.
    fn add_yarn(&mut self, text: &str) {
        let locators = text.lines().filter_map(|line| line.trim().strip_prefix("resolution:"));
        for locator in locators.map(|locator| locator.trim().trim_matches('"')) {
            let name = without_version(locator);
            let Some(reference) = locator[name.len()..].strip_prefix("@patch:") else { continue };
            let (source, bindings) = reference.rsplit_once("::").unwrap_or((reference, ""));
            let version = bindings.split('&').find_map(|binding| binding.strip_prefix("version="));
            let by = source.split_once('#').map_or(source, |(_, by)| by);
            self.add(&format!("{name}@{}", version.unwrap_or_default()), by);
        }
    }

    /// `patchedDependencies:`, then `  name@1.0.0:` with `    path: …` below, or all in one line.
    fn add_pnpm(&mut self, text: &str) {
        let lines = text.lines().skip_while(|line| line.trim_end() != "patchedDependencies:").skip(1);
        let keys = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
        for key in keys.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))) {
            let package = key.rsplit_once(':').map_or(key, |(package, _)| package).trim();
            self.add(package.trim_matches(['\'', '"']), "patchedDependencies");
        }
    }
}

/// Names that the project's settings put in another's place: every `npm:` of them.
pub(crate) fn replacements_in_settings(root: &Path) -> BTreeSet<String> {
    let words = words_of_settings(root);
    let targets = words.iter().filter_map(|word| word.strip_prefix("npm:"));
    targets.map(|target| without_version(target).to_owned()).collect()
}

/// Names that the project's settings mention at all: what they give to packages of others, those ask for without saying so.
pub(crate) fn names_in_settings(root: &Path, manifest: &Value) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = words_of_settings(root)
        .iter()
        .map(|word| without_version(word.trim_end_matches(':')).to_owned())
        .filter(|word| word.parse::<PackageName>().is_ok())
        .collect();
    let extensions = manifest.pointer("/pnpm/packageExtensions").and_then(Value::as_object);
    for extension in extensions.into_iter().flatten().filter_map(|(_, extension)| extension.as_object()) {
        let given = extension.values().filter_map(Value::as_object);
        names.extend(given.flat_map(|given| given.keys().cloned()));
    }
    names
}

/// What the project's settings give each name, whatever list it stands in: `name: spec`, `asker>name: spec`.
pub(crate) fn pairs_in_settings(root: &Path) -> Vec<(String, String)> {
    // Behind a name in quotes the colon is a word.
    let words: Vec<String> = words_of_settings(root).into_iter().filter(|word| word != ":").collect();
    let pairs = words.iter().zip(words.iter().skip(1));
    pairs.map(|(key, value)| (last_name(key.trim_end_matches(':')).to_owned(), value.clone())).collect()
}

fn words_of_settings(root: &Path) -> Vec<String> {
    let mut words = Vec::new();
    for file in SETTINGS {
        let Ok(Some(bytes)) = read_bounded(&root.join(file), MAX_MANIFEST_BYTES) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let all = text.split(|c: char| c.is_whitespace() || "\"'{},".contains(c));
        words.extend(all.filter(|word| !word.is_empty()).map(str::to_owned));
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn what_is_patched_is_read_from_where_each_package_manager_writes_it() {
        let yarn = "\"typescript@patch:typescript@npm%3A^5#optional!builtin<compat/typescript>\":\n  version: 5.4.5\n  resolution: \"typescript@patch:typescript@npm%3A5.4.5#optional!builtin<compat/typescript>::version=5.4.5&hash=5adc0c\"\n\n\"@s/a@patch:@s/a@npm%3A1.0.0#./a.patch\":\n  resolution: \"@s/a@patch:@s/a@npm%3A1.0.0#./a.patch::version=1.0.0&hash=1&locator=p%40workspace%3A.\"\n\n\"b@npm:1\":\n  resolution: \"b@npm:1.0.0\"\n";
        let pnpm = "lockfileVersion: '9.0'\n\npatchedDependencies:\n  '@s/c@1.0.0':\n    hash: abc\n    path: patches/c.patch\n  d: abcdef\n  e@^1: abcdef\n\nimporters:\n\n  .: {}\n";
        let bun = json!({"patchedDependencies": {"f@1.0.0": "patches/f.patch"}}).to_string();
        let folder = project(&[("yarn.lock", yarn), ("pnpm-lock.yaml", pnpm), ("package.json", &bun)]);
        let patches = Patches::read(folder.path());
        let found = |name: &str, version: &str| patches.of(name, version).is_some();
        assert!(patches.of("typescript", "5.4.5").unwrap().ends_with("optional!builtin<compat/typescript>"));
        assert!(patches.of("@s/a", "1.0.0").unwrap().ends_with(": ./a.patch"));
        assert!(found("@s/c", "1.0.0") && found("d", "7.0.0") && found("e", "1.2.0") && found("f", "1.0.0"));
        for (name, version) in [("typescript", "5.4.4"), ("@s/c", "1.0.1"), ("b", "1.0.0"), ("path", "1.0.0")]
        {
            assert!(!found(name, version), "{name}@{version}");
        }
        assert_eq!(Patches::read(project(&[]).path()), Patches::default());
    }

    #[test]
    fn settings_bring_in_names() {
        let pnpm =
            "overrides:\n  a: npm:b@1\npackageExtensions:\n  c@1:\n    dependencies:\n      '@s/d': '^1'\n";
        let yarn = "packageExtensions:\n  \"e@*\":\n    peerDependencies:\n      f: \"*\"\n";
        let folder = project(&[("pnpm-workspace.yaml", pnpm), (".yarnrc.yml", yarn)]);
        let manifest = json!({"pnpm": {"packageExtensions": {"g": {"dependencies": {"h": "1"}}}}});
        let names = names_in_settings(folder.path(), &manifest);
        assert!(["a", "@s/d", "f", "h"].iter().all(|name| names.contains(*name)), "{names:?}");
        assert!(!names.contains("g") && !names.contains("x"));
        assert_eq!(replacements_in_settings(folder.path()), ["b".to_owned()].into());
    }
}
