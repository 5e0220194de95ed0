//! What lies on disk after a package manager unpacked, found and read without asking it: whatever its cache,
//! its store or its hidden lockfile believes, a package is the folder that it is. Before any script runs.
//!
//! Every folder below a `node_modules` is a package, a link or one of the few things that package managers put
//! there; anything else is refused. Compares nothing with what was checked; that is `compare`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use serde_json::Value;
use trust::text::printable;

use super::folder::list;
use super::plug;
use super::root::{MANIFESTS, hidden_names};
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};
use crate::install::transaction;

/// How deep folders may nest: more than any file system path allows.
const MAX_DEPTH: usize = 256;

/// How deep the project's own folders are searched for workspaces; what lies deeper is an error.
const MAX_OWN_DEPTH: usize = 64;

/// Packages on disk: the biggest trees have about 10,000.
const MAX_PACKAGES: usize = 200_000;

/// Where package managers keep the real folders that links lead to.
const STORES: [&str; 3] = [".pnpm", ".bun", ".store"];

/// Files that package managers keep in `node_modules` for themselves.
const OWN_FILES: [&str; 10] = [
    ".package-lock.json",
    ".package-map.json",
    ".modules.yaml",
    ".pnpm-workspace-state.json",
    ".pnpm-workspace-state-v1.json",
    ".yarn-integrity",
    ".yarn-state.yml",
    "lock.yaml",
    ".bun-tag",
    ".gitignore",
];

/// A package's folder.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// Relative to the project.
    pub(crate) location: PathBuf,
    /// The name of the folder, scope included; none where the place says nothing of the name.
    pub(crate) folder: Option<String>,
    /// Its package.json.
    pub(crate) manifest: Value,
    /// What it lies in.
    pub(crate) place: Place,
}

/// What a package lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its own folder, at its location.
    Folder,
    /// The same, in `.yarn/unplugged`, where yarn leaves a mark in it.
    Unplugged,
    /// A zip archive of yarn's.
    Archive {
        /// Which.
        file: PathBuf,
        /// Where in it, with a final slash.
        inside: String,
    },
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Packages.
    pub(crate) packages: Vec<Package>,
    /// Folders of the project itself that links lead to, and links that lead out of it, with their targets.
    pub(crate) outside: BTreeMap<PathBuf, PathBuf>,
    /// Commands that are linked, by name, with where.
    pub(crate) commands: Vec<(PathBuf, String)>,
    /// The project's own package.json files, its workspaces' included.
    pub(crate) own: Vec<Value>,
    /// The folders of the project that have one.
    pub(crate) own_folders: Vec<PathBuf>,
    /// Links to what a `node_modules` holds, with their targets in the project.
    pub(crate) linked: Vec<(PathBuf, PathBuf)>,
    /// What a table gives somebody under another name: his place, the name, the package.
    pub(crate) renamed: Vec<(PathBuf, String, String)>,
    /// Folders of the project that a table gives somebody: his place, the name, the folder.
    pub(crate) given: Vec<(PathBuf, String, PathBuf)>,
}

impl Tree {
    /// Where nothing was laid out anew.
    pub(crate) fn untouched(root: &Path) -> Self {
        Self { own: read_manifest(root, Path::new("")).into_iter().collect(), ..Self::default() }
    }
}

/// Why a tree is not one that a package manager left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    /// Something that no package manager puts there.
    #[error("{} is neither a package nor anything else that {what} holds", location.display())]
    Unknown {
        /// Where.
        location: PathBuf,
        /// What it lies in.
        what: &'static str,
    },
    /// A link to something that is not looked at.
    #[error("{} leads to {}, which is no place that 3pm compares", location.display(), target.display())]
    Astray {
        /// Which.
        location: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A folder without a package.json that can be read.
    #[error("{} has no package.json that can be read: {reason}", location.display())]
    NoManifest {
        /// Where.
        location: PathBuf,
        /// Why.
        reason: String,
    },
    /// A table of Plug'n'Play that is not as yarn writes it.
    #[error(
        "the table .pnp.cjs cannot be read as yarn writes it, so 3pm cannot tell which packages the project gets: {reason}"
    )]
    Table {
        /// What was expected and what was found.
        reason: String,
    },
    /// More than anybody installs.
    #[error("more than {MAX_PACKAGES} packages, or folders nested more than {MAX_DEPTH} deep")]
    TooMuch,
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Every `node_modules` of a project that is not inside a package, whether it is there yet or not: its own
/// and those of the folders with a package.json below it. Relative to the project.
pub(crate) fn module_folders(root: &Path) -> Result<Vec<PathBuf>, TreeError> {
    Ok(own_folders(root)?.into_iter().map(|folder| folder.join("node_modules")).collect())
}

/// The folders of a project that have a package.json, the root first.
pub(crate) fn own_folders(root: &Path) -> Result<Vec<PathBuf>, TreeError> {
    let mut found = Vec::new();
    let hidden = hidden_names(root);
    search_own(root, Path::new(""), 0, hidden.as_deref(), &mut |folder| found.push(folder.to_owned()))?;
    Ok(found)
}

/// Reads what lies in all of them.
pub(crate) fn read_tree(root: &Path) -> Result<Tree, TreeError> {
    let mut tree = Tree::default();
    let real = root.canonicalize().map_err(|source| io(root, source))?;
    tree.own_folders = own_folders(root)?;
    for folder in tree.own_folders.clone() {
        let path = root.join(&folder).join("package.json");
        if let Ok(Some(bytes)) = read_bounded(&path, MAX_MANIFEST_BYTES)
            && let Ok(manifest) = serde_json::from_slice(&bytes)
        {
            tree.own.push(manifest);
        }
        let modules = folder.join("node_modules");
        if root.join(&modules).is_dir() {
            walk_modules(&Walk { root, real: &real }, &modules, 0, &mut tree)?;
        }
    }
    let is_looked_at = |target: &Path| {
        let modules = target.iter().position(|part| part == "node_modules").unwrap_or_default();
        let holder: PathBuf = target.iter().take(modules).collect();
        tree.own_folders.contains(&holder)
    };
    if let Some((location, target)) = tree.linked.iter().find(|(_, target)| !is_looked_at(target)) {
        return Err(TreeError::Astray { location: location.clone(), target: target.clone() });
    }
    // What a link makes part of the project has modules of its own, which are looked at, or it has none.
    let is_unseen = |target: &Path| {
        !tree.own_folders.iter().any(|folder| folder == target)
            && root.join(target).join("node_modules").is_dir()
    };
    let mut inside = tree.outside.iter().filter(|(_, target)| target.is_relative());
    if let Some((location, target)) = inside.find(|(_, target)| is_unseen(target)) {
        return Err(TreeError::Astray { location: location.clone(), target: target.clone() });
    }
    if plug::is_plugged(&real) {
        plug::read_table(&real, &mut tree)?;
    }
    Ok(tree)
}

#[derive(Debug)]
struct Walk<'a> {
    root: &'a Path,
    real: &'a Path,
}

/// Of hidden folders only those of these names are searched, or all but those that hold no project.
fn search_own(
    root: &Path,
    folder: &Path,
    depth: usize,
    hidden: Option<&[String]>,
    found: &mut impl FnMut(&Path),
) -> Result<(), TreeError> {
    if depth == 0 || MANIFESTS.iter().any(|name| root.join(folder).join(name).is_file()) {
        found(folder);
    }
    if depth >= MAX_OWN_DEPTH {
        return Err(TreeError::TooMuch);
    }
    for (name, kind) in list(&root.join(folder))? {
        let is_shown = !name.starts_with('.') || hidden.map_or(name != ".git", |names| names.contains(&name));
        if kind.is_dir() && name != "node_modules" && name != transaction::FOLDER && is_shown {
            search_own(root, &folder.join(name), depth + 1, hidden, found)?;
        }
    }
    Ok(())
}

/// One `node_modules`.
pub(crate) fn walk_nested(root: &Path, modules: &Path, tree: &mut Tree) -> Result<(), TreeError> {
    let real = root.canonicalize().map_err(|source| io(root, source))?;
    walk_modules(&Walk { root, real: &real }, modules, 1, tree)
}

fn walk_modules(walk: &Walk<'_>, modules: &Path, depth: usize, tree: &mut Tree) -> Result<(), TreeError> {
    if depth > MAX_DEPTH || tree.packages.len() > MAX_PACKAGES {
        return Err(TreeError::TooMuch);
    }
    for (name, kind) in list(&walk.root.join(modules))? {
        let place = modules.join(&name);
        if name == ".bin" && kind.is_dir() {
            check_commands(walk, &place, tree)?;
        } else if STORES.contains(&name.as_str()) && kind.is_dir() {
            walk_store(walk, &place, depth, tree)?;
        } else if name.starts_with('.') {
            if !kind.is_file() || !OWN_FILES.contains(&name.as_str()) {
                return Err(TreeError::Unknown { location: place, what: "node_modules" });
            }
        } else if name.starts_with('@') && kind.is_dir() {
            for (inner, kind) in list(&walk.root.join(&place))? {
                walk_one(walk, &place.join(&inner), format!("{name}/{inner}"), kind, depth, tree)?;
            }
        } else {
            walk_one(walk, &place, name, kind, depth, tree)?;
        }
    }
    Ok(())
}

/// A package, or a link to one.
fn walk_one(
    walk: &Walk<'_>,
    place: &Path,
    name: String,
    kind: FileType,
    depth: usize,
    tree: &mut Tree,
) -> Result<(), TreeError> {
    let path = walk.root.join(place);
    if kind.is_symlink() {
        let target = path.canonicalize().map_err(|source| io(&path, source))?;
        let inside = target.strip_prefix(walk.real).ok();
        // What lies in a `node_modules` of the project is found there by itself.
        let found_elsewhere =
            inside.is_some_and(|inside| inside.components().any(|part| part.as_os_str() == "node_modules"));
        match inside.filter(|_| found_elsewhere) {
            Some(inside) => tree.linked.push((place.to_owned(), inside.to_owned())),
            None => {
                tree.outside.insert(place.to_owned(), inside.map_or(target.clone(), Path::to_owned));
            }
        }
        return Ok(());
    }
    if !kind.is_dir() {
        return Err(TreeError::Unknown { location: place.to_owned(), what: "node_modules" });
    }
    let manifest = read_manifest(walk.root, place)?;
    tree.packages.push(Package {
        location: place.to_owned(),
        folder: Some(name),
        manifest,
        place: Place::Folder,
    });
    // Packages inside this one, bundled or not, are sorted out when its files are compared.
    let _ = depth;
    Ok(())
}

/// `.pnpm/<id>/node_modules/…`, `.bun/<id>/node_modules/…`, `.store/<id>/package`.
fn walk_store(walk: &Walk<'_>, store: &Path, depth: usize, tree: &mut Tree) -> Result<(), TreeError> {
    for (name, kind) in list(&walk.root.join(store))? {
        let place = store.join(&name);
        if name == "node_modules" && kind.is_dir() {
            walk_modules(walk, &place, depth + 1, tree)?;
        } else if kind.is_dir() {
            for (inner, kind) in list(&walk.root.join(&place))? {
                let place = place.join(&inner);
                match inner.as_str() {
                    "node_modules" if kind.is_dir() => walk_modules(walk, &place, depth + 1, tree)?,
                    "package" if kind.is_dir() => {
                        let manifest = read_manifest(walk.root, &place)?;
                        let package =
                            Package { location: place, folder: None, manifest, place: Place::Folder };
                        tree.packages.push(package);
                    }
                    _ => return Err(TreeError::Unknown { location: place, what: "a store of packages" }),
                }
            }
        } else if !OWN_FILES.contains(&name.as_str()) {
            return Err(TreeError::Unknown { location: place, what: "a store of packages" });
        }
    }
    Ok(())
}

/// Commands are links into the project, or small programs that the package manager writes.
fn check_commands(walk: &Walk<'_>, folder: &Path, tree: &mut Tree) -> Result<(), TreeError> {
    for (name, kind) in list(&walk.root.join(folder))? {
        let place = folder.join(&name);
        let path = walk.root.join(&place);
        let fine = if kind.is_symlink() {
            // A command whose file is missing leads nowhere.
            path.canonicalize().map_or(true, |target| target.starts_with(walk.real))
        } else {
            kind.is_file()
        };
        if !fine {
            return Err(TreeError::Unknown { location: place, what: "a folder of commands" });
        }
        tree.commands.push((place, name));
    }
    Ok(())
}

pub(crate) fn read_manifest(root: &Path, place: &Path) -> Result<Value, TreeError> {
    let no = |reason: String| TreeError::NoManifest {
        location: place.to_owned(),
        reason: printable(&reason, 200),
    };
    let bytes = read_bounded(&root.join(place).join("package.json"), MAX_MANIFEST_BYTES);
    let bytes =
        bytes.map_err(|error| no(error.to_string()))?.ok_or_else(|| no("there is none".to_owned()))?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(|error| no(error.to_string()))
}

/// Which other packages a folder may hold than the one it is named after: every `"folder": "npm:other@…"`
/// of the project's and the packages' own files.
pub(crate) fn aliases<'a>(manifests: impl Iterator<Item = &'a Value>) -> BTreeMap<String, BTreeSet<String>> {
    let mut aliases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for manifest in manifests {
        for field in [
            "dependencies",
            "devDependencies",
            "optionalDependencies",
            "peerDependencies",
            "overrides",
            "resolutions",
            "pnpm",
        ] {
            if let Some(value) = manifest.get(field) {
                collect_aliases(value, 0, &mut aliases);
            }
        }
    }
    aliases
}

fn collect_aliases(value: &Value, depth: usize, aliases: &mut BTreeMap<String, BTreeSet<String>>) {
    let Some(object) = value.as_object().filter(|_| depth < 16) else { return };
    for (key, value) in object {
        match value.as_str().and_then(|spec| spec.strip_prefix("npm:")) {
            Some(target) => {
                let folder = without_version(key.rsplit('/').next().map_or(key.as_str(), |last| {
                    if key.contains('@')
                        && key.rsplit_once('/').is_some_and(|(scope, _)| {
                            scope.rsplit('/').next().is_some_and(|scope| scope.starts_with('@'))
                        })
                    {
                        key.as_str()
                    } else {
                        last
                    }
                }));
                aliases.entry(folder.to_owned()).or_default().insert(without_version(target).to_owned());
            }
            None => collect_aliases(value, depth + 1, aliases),
        }
    }
}

/// `name` of `name@range`; the first character may be the scope's.
pub(crate) fn without_version(spec: &str) -> &str {
    spec.char_indices().skip(1).find(|(_, c)| *c == '@').map_or(spec, |(at, _)| &spec[..at])
}

fn io(path: &Path, source: std::io::Error) -> TreeError {
    TreeError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn package(root: &Path, place: &str, name: &str) {
        let folder = root.join(place);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("package.json"), json!({"name": name, "version": "1.0.0"}).to_string())
            .unwrap();
    }

    fn project() -> (tempfile::TempDir, PathBuf) {
        let holder = tempfile::tempdir().unwrap();
        let root = holder.path().canonicalize().unwrap();
        fs::write(root.join("package.json"), "{}").unwrap();
        (holder, root)
    }

    fn locations(tree: &Tree) -> Vec<String> {
        tree.packages.iter().map(|package| package.location.display().to_string()).collect()
    }

    #[test]
    fn packages_are_found_wherever_a_package_manager_puts_them() {
        let (_holder, root) = project();
        package(&root, "node_modules/a", "a");
        package(&root, "node_modules/@s/b", "@s/b");
        package(&root, "node_modules/.pnpm/c@1.0.0/node_modules/c", "c");
        package(&root, "node_modules/.store/d-npm-1/package", "d");
        package(&root, "packages/w", "w");
        package(&root, "packages/w/node_modules/e", "e");
        std::os::unix::fs::symlink(".pnpm/c@1.0.0/node_modules/c", root.join("node_modules/c")).unwrap();
        std::os::unix::fs::symlink("../packages/w", root.join("node_modules/w")).unwrap();
        fs::write(root.join("node_modules/.package-lock.json"), "{}").unwrap();
        let tree = read_tree(&root).unwrap();
        let expected = [
            "node_modules/.pnpm/c@1.0.0/node_modules/c",
            "node_modules/.store/d-npm-1/package",
            "node_modules/@s/b",
            "node_modules/a",
            "packages/w/node_modules/e",
        ];
        assert_eq!(locations(&tree), expected);
        assert_eq!(tree.outside.keys().collect::<Vec<_>>(), [Path::new("node_modules/w")]);
        assert_eq!(tree.own.len(), 2);
        assert_eq!(module_folders(&root).unwrap().len(), 2);
    }

    #[test]
    fn whatever_else_lies_there_is_refused() {
        for (what, put) in [
            ("a hidden folder", "node_modules/.evil/index.js"),
            ("a hidden file", "node_modules/.evil.js"),
            ("a file", "node_modules/evil.js"),
            ("a file in a scope", "node_modules/@s/evil.js"),
            ("a folder without a package.json", "node_modules/evil/index.js"),
            ("a file in a store", "node_modules/.pnpm/evil.js"),
            ("a folder in a store", "node_modules/.pnpm/a@1/evil/index.js"),
            ("a folder of commands", "node_modules/.bin/evil/index.js"),
        ] {
            let (_holder, root) = project();
            let path = root.join(put);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
            assert!(read_tree(&root).is_err(), "{what}");
        }
    }

    #[test]
    fn a_link_to_a_folder_where_nobody_looks_is_one_without_modules() {
        let (_holder, root) = project();
        package(&root, ".hidden/x", "x");
        fs::create_dir(root.join("node_modules")).unwrap();
        std::os::unix::fs::symlink("../.hidden/x", root.join("node_modules/x")).unwrap();
        assert_eq!(read_tree(&root).unwrap().outside.len(), 1);
        package(&root, ".hidden/x/node_modules/y", "y");
        assert!(matches!(read_tree(&root), Err(TreeError::Astray { .. })));
        fs::write(root.join("package.json"), r#"{"dependencies": {"x": "file:./.hidden/x"}}"#).unwrap();
        assert_eq!(locations(&read_tree(&root).unwrap()), [".hidden/x/node_modules/y"]);
    }

    #[test]
    fn a_link_out_of_the_project_is_named_and_a_command_may_not_be_one() {
        let (_holder, root) = project();
        let other = tempfile::tempdir().unwrap();
        package(other.path(), "x", "x");
        fs::create_dir_all(root.join("node_modules/.bin")).unwrap();
        std::os::unix::fs::symlink(other.path().join("x"), root.join("node_modules/x")).unwrap();
        let tree = read_tree(&root).unwrap();
        assert_eq!(tree.outside.len(), 1);
        std::os::unix::fs::symlink(other.path().join("x/package.json"), root.join("node_modules/.bin/x"))
            .unwrap();
        assert!(read_tree(&root).is_err());
    }

    #[test]
    fn aliases_are_read_from_every_place_that_makes_them() {
        let manifests = [
            json!({"dependencies": {"mine": "npm:ms@^2", "plain": "^1"}, "devDependencies": {"@s/mine": "npm:@t/other@1"}}),
            json!({"overrides": {"a": {"b@1": "npm:c@2"}}, "resolutions": {"**/d": "npm:e@1"}}),
        ];
        let found = aliases(manifests.iter());
        let of =
            |folder: &str| found.get(folder).map(|names| names.iter().cloned().collect::<Vec<_>>().join(" "));
        assert_eq!(of("mine").as_deref(), Some("ms"));
        assert_eq!(of("@s/mine").as_deref(), Some("@t/other"));
        assert_eq!(of("b").as_deref(), Some("c"));
        assert_eq!(of("d").as_deref(), Some("e"));
        assert_eq!(of("plain"), None);
    }
}
