//! Which folders of a project may stand in a package's place: its workspaces, under their own names, and what it
//! names by a path itself. A lockfile's word counts for nothing here. Reads manifests and settings, and no lockfile.
//!
//! - A workspace is what `workspaces` of the root mean, `packages` of pnpm-workspace.yaml, or `workspaces` of another
//!   workspace. A package.json that lies somewhere else in the project makes none, and says nothing for others.
//! - A path (`file:`, `link:`, `portal:`) is read from the folder of the manifest that has it; in overrides and
//!   resolutions, from the root. Folders that are named so belong to the project as well, and so does what they name.
//! - Where a workspace has the name that is asked for, every package manager takes it for that, whoever asks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::changes;
use super::compare::is_elsewhere;
use super::root;
use super::tree::{read_manifest, without_version};

/// Where a manifest asks for packages.
const ASKS: [&str; 4] = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// Where the root's manifest says what others get; pnpm's stand below its own name.
const OVERRIDES: [&str; 3] = ["/overrides", "/resolutions", "/pnpm/overrides"];

/// What a path begins with.
const PATHS: [&str; 3] = ["file:", "link:", "portal:"];

/// How deep overrides nest: more than anybody writes.
const MAX_DEPTH: usize = 16;

/// The project's own.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// The project, without links.
    root: PathBuf,
    /// Workspaces by folder, with their names; the root is one.
    workspaces: BTreeMap<PathBuf, String>,
    /// Folders that the project names by a path, by the name that it does it under.
    named: BTreeMap<String, BTreeSet<PathBuf>>,
    /// The manifests of all of these.
    manifests: BTreeMap<PathBuf, Value>,
}

impl Members {
    /// Those of the project at `root`; `folders` are all that have a package.json.
    pub(crate) fn of(root: &Path, folders: &[PathBuf]) -> Self {
        let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let mut members = Self { root: real, ..Self::default() };
        let own = read_manifest(root, Path::new("")).unwrap_or_default();
        let listed = root::listed_for_pnpm(root).unwrap_or_default();
        members.name_overridden(root, &own);
        let mut waiting = vec![PathBuf::new()];
        while let Some(folder) = waiting.pop() {
            if members.manifests.contains_key(&folder) {
                continue;
            }
            let manifest = read_manifest(root, &folder).unwrap_or_default();
            let is_workspace = folder.as_os_str().is_empty() || members.workspaces.contains_key(&folder);
            let mut patterns = root::workspaces_of(&manifest).filter(|_| is_workspace).unwrap_or_default();
            if folder.as_os_str().is_empty() {
                members.add_workspace(&folder, &manifest);
                patterns.extend(listed.iter().cloned());
            }
            let below = |inner: &&PathBuf| {
                inner.strip_prefix(&folder).is_ok_and(|path| root::is_listed(&patterns, path))
            };
            for inner in folders.iter().filter(below) {
                let manifest = read_manifest(root, inner).unwrap_or_default();
                members.add_workspace(inner, &manifest);
                waiting.push(inner.clone());
            }
            for (name, spec) in specs(&manifest) {
                waiting.extend(members.name(&folder, name, spec));
            }
            members.manifests.insert(folder, manifest);
        }
        members
    }

    /// Their manifests, the root's first.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &Value> {
        self.manifests.values()
    }

    /// Whether this workspace has this name, or the project itself names the folder for it.
    pub(crate) fn has(&self, name: &str, folder: &Path) -> bool {
        self.workspaces.get(folder).is_some_and(|own| own == name) || self.is_named(name, folder)
    }

    /// Whether `folder` is what `asker` means who asks for `name` with `spec`.
    pub(crate) fn is_meant(&self, asker: &Path, name: &str, spec: &str, folder: &Path) -> bool {
        let leads_there =
            |base: &Path, path: &str| self.resolve(base, path).is_some_and(|found| found == folder);
        if self.is_named(name, folder) || path_of(spec).is_some_and(|path| leads_there(asker, path)) {
            return true;
        }
        let Some(own) = self.workspaces.get(folder).filter(|_| !is_elsewhere(spec)) else { return false };
        let said = spec.strip_prefix("workspace:").or_else(|| spec.strip_prefix("npm:")).unwrap_or_default();
        // yarn 4 reads a path from the root, pnpm from who asks.
        let is_path = || leads_there(Path::new(""), said) || leads_there(asker, said);
        own == name || without_version(said) == own || (spec.starts_with("workspace:") && is_path())
    }

    fn is_named(&self, name: &str, folder: &Path) -> bool {
        self.named.get(name).is_some_and(|folders| folders.contains(folder))
    }

    fn add_workspace(&mut self, folder: &Path, manifest: &Value) {
        let last = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let name =
            manifest.get("name").and_then(Value::as_str).map(str::to_owned).or(last).unwrap_or_default();
        // pnpm links what is built of it, where it is told to.
        let built = manifest.pointer("/publishConfig/directory").and_then(Value::as_str);
        if let Some(built) = built.and_then(|built| self.resolve(folder, built)) {
            self.workspaces.insert(built, name.clone());
        }
        self.workspaces.insert(folder.to_owned(), name);
    }

    /// Notes the folder that a path in the manifest of `base` leads to.
    fn name(&mut self, base: &Path, name: &str, spec: &str) -> Option<PathBuf> {
        let folder = self.resolve(base, path_of(spec)?)?;
        self.named.entry(name.to_owned()).or_default().insert(folder.clone());
        Some(folder)
    }

    fn name_overridden(&mut self, root: &Path, own: &Value) {
        let mut found = Vec::new();
        for place in OVERRIDES {
            overridden(own.pointer(place).unwrap_or(&Value::Null), None, 0, &mut found);
        }
        found.extend(changes::pairs_in_settings(root));
        for (name, spec) in found {
            // npm's word for what the project itself asks for.
            let asked = spec.strip_prefix('$').and_then(|asked| specs(own).find(|(name, _)| *name == asked));
            let spec = asked.map_or(spec.as_str(), |(_, spec)| spec);
            self.name(Path::new(""), &name, spec);
        }
    }

    /// Where a path leads from a folder of the project, if it stays in it.
    fn resolve(&self, base: &Path, path: &str) -> Option<PathBuf> {
        // yarn 4 adds whose it is.
        let path = path.split("::").next().unwrap_or(path);
        let whole = lexical(&self.root.join(base).join(path))?;
        let real = whole.canonicalize().unwrap_or(whole);
        real.strip_prefix(&self.root).ok().map(Path::to_owned)
    }
}

/// The path that a spec names, as it is written.
pub(crate) fn path_of(spec: &str) -> Option<&str> {
    let named = PATHS.iter().find_map(|kind| spec.strip_prefix(kind));
    named.or_else(|| Some(spec).filter(|spec| spec.starts_with(['.', '/'])))
}

fn specs(manifest: &Value) -> impl Iterator<Item = (&str, &str)> {
    let asked = ASKS.iter().filter_map(|field| manifest.get(*field)?.as_object()).flatten();
    asked.filter_map(|(name, spec)| Some((name.as_str(), spec.as_str()?)))
}

/// Every name that overrides give a spec, whoever it is for.
fn overridden(value: &Value, above: Option<&str>, depth: usize, found: &mut Vec<(String, String)>) {
    for (key, value) in value.as_object().into_iter().flatten().filter(|_| depth < MAX_DEPTH) {
        let name = above.filter(|_| key == ".").unwrap_or_else(|| last_name(key));
        match value.as_str() {
            Some(spec) => found.push((name.to_owned(), spec.to_owned())),
            None => overridden(value, Some(name), depth + 1, found),
        }
    }
}

/// Whose dependency it is goes before: `a>b`, `a/b`, `**/@s/b`.
pub(crate) fn last_name(key: &str) -> &str {
    let key = key.rsplit('>').next().unwrap_or(key);
    let Some(at) = without_version(key).rfind('/') else { return without_version(key) };
    let from = key[..at].rfind('/').map_or(0, |at| at + 1);
    let from = if key[from..].starts_with('@') { from } else { at + 1 };
    without_version(&key[from..])
}

/// Without `.` and `..`, whatever is a link.
fn lexical(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => plain.pop().then_some(())?,
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run_with::tree::own_folders;

    fn project(files: &[(&str, Value)]) -> tempfile::TempDir {
        let holder = tempfile::tempdir().unwrap();
        for (path, manifest) in files {
            let path = holder.path().join(path).join("package.json");
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, manifest.to_string()).unwrap();
        }
        holder
    }

    fn members(holder: &tempfile::TempDir) -> Members {
        Members::of(holder.path(), &own_folders(holder.path()).unwrap())
    }

    /// A package asks for `lib` with `^1.0.0`, or as `spec` says; the folder `lib` has that name.
    #[track_caller]
    fn check(root: Value, asker: (&str, &str), expected: bool) {
        let shown = root.to_string();
        let holder =
            project(&[("", root), ("lib", json!({"name": "lib"})), ("other", json!({"name": "other"}))]);
        let found = members(&holder).is_meant(Path::new(asker.0), "lib", asker.1, Path::new("lib"));
        assert_eq!(found, expected, "{shown} {asker:?}");
    }

    #[test]
    fn a_folder_stands_in_a_packages_place_where_the_project_says_so() {
        let package = ("node_modules/asker", "^1.0.0");
        check(json!({}), package, false);
        check(json!({"dependencies": {"lib": "^1.0.0"}}), package, false);
        check(json!({"workspaces": ["packages/*"]}), package, false);
        check(json!({"dependencies": {"lib": "file:./other"}}), package, false);
        check(json!({"dependencies": {"x": "file:./lib"}}), package, false);
        check(json!({"overrides": {"lib": "npm:other@1"}}), package, false);
        for said in [
            json!({"workspaces": ["lib"]}),
            json!({"workspaces": {"packages": ["./l*/"]}}),
            json!({"workspaces": ["@(lib|other)"]}),
            json!({"dependencies": {"lib": "file:./lib"}}),
            json!({"devDependencies": {"lib": "link:lib"}}),
            json!({"overrides": {"asker": {"lib@1": "file:lib"}}}),
            json!({"overrides": {"lib": {".": "file:lib"}}}),
            json!({"overrides": {"lib": "$x"}, "dependencies": {"x": "file:lib"}}),
            json!({"resolutions": {"asker/lib": "portal:./lib"}}),
            json!({"pnpm": {"overrides": {"asker@1>lib": "link:./lib"}}}),
        ] {
            check(said, package, true);
        }
    }

    #[test]
    fn who_asks_names_a_folder_for_himself() {
        for (asker, spec, expected) in [
            ("", "file:./lib", true),
            ("", "link:lib", true),
            ("other", "portal:../lib", true),
            ("other", "file:./lib", false),
            ("", "file:./other", false),
            ("", "workspace:*", false),
            ("", "git+https://host/lib.git", false),
            ("", "user/lib", false),
        ] {
            check(json!({}), (asker, spec), expected);
        }
        let works = || json!({"workspaces": ["lib", "other"]});
        for (asker, spec, expected) in [
            ("other", "workspace:*", true),
            ("other", "workspace:../lib", true),
            ("other", "workspace:lib", true),
            ("other", "*", true),
            ("other", "user/lib", false),
            ("other", "https://host/lib.tgz", false),
        ] {
            check(works(), (asker, spec), expected);
        }
    }

    #[test]
    fn a_manifest_that_is_no_members_says_nothing_for_others() {
        let lib = || ("lib", json!({"name": "lib"}));
        let sly = json!({"name": "sly", "workspaces": ["../lib"], "dependencies": {"lib": "file:../lib"}});
        let holder = project(&[("", json!({})), lib(), ("sly", sly.clone())]);
        let asks =
            |members: &Members| members.is_meant(Path::new("node_modules/a"), "lib", "1", Path::new("lib"));
        assert!(!asks(&members(&holder)));
        let holder = project(&[("", json!({"dependencies": {"sly": "file:sly"}})), lib(), ("sly", sly)]);
        assert!(asks(&members(&holder)));
    }

    #[test]
    fn workspaces_have_their_own_names_and_those_of_pnpm_and_of_workspaces_are_found() {
        let nested = json!({"name": "@s/a", "workspaces": ["inner"], "publishConfig": {"directory": "dist"}});
        let files = [
            ("", json!({"name": "app"})),
            ("packages/a", nested),
            ("packages/a/inner", json!({"name": "i"})),
        ];
        let holder = project(&files);
        std::fs::write(
            holder.path().join("pnpm-workspace.yaml"),
            "packages:\n  - packages/*\noverrides:\n  'x>@s/y': 'link:./packages'\n",
        )
        .unwrap();
        let members = members(&holder);
        for (name, folder) in [
            ("app", ""),
            ("@s/a", "packages/a"),
            ("@s/a", "packages/a/dist"),
            ("i", "packages/a/inner"),
            ("@s/y", "packages"),
        ] {
            assert!(members.has(name, Path::new(folder)), "{name} {folder}");
        }
        assert!(!members.has("a", Path::new("packages/a")) && !members.has("x", Path::new("packages")));
    }

    #[test]
    fn whose_dependency_it_is_goes_before_the_name() {
        for (key, name) in [
            ("a", "a"),
            ("@s/a@1", "@s/a"),
            ("x>a@1", "a"),
            ("x@1>@s/a", "@s/a"),
            ("**/a", "a"),
            ("x/@s/a", "@s/a"),
            ("@s/x/a@npm:1", "a"),
            ("@s/x/@t/a", "@t/a"),
        ] {
            assert_eq!(last_name(key), name, "{key}");
        }
    }
}
