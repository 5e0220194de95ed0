//! The project: its folder, and a private copy of its manifests in which npm resolves without touching
//! anything of the user's. Installs nothing.
//!
//! Why a copy: `npm install --package-lock-only` writes package.json and the lockfile before anybody has
//! looked at the result. The copy lies in a folder of mode 0700, below the project's own absolute path,
//! so that relative paths (`file:../beside`) mean the same there. Only manifests, the lockfile, `.npmrc`
//! and tarballs named by `file:` are copied.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::lockfile::MAX_LOCKFILE_BYTES;
use super::npm::{Npm, NpmRunError, QUESTION_LIMIT};
use crate::temporary::Temporary;

/// The largest package.json read; real ones have a few kilobytes.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

/// The largest tarball that a `file:` dependency may name.
const MAX_FILE_TARBALL_BYTES: u64 = 256 * 1024 * 1024;

/// How many folders are searched for the manifests of workspaces.
const MAX_FOLDERS: usize = 100_000;

/// The lockfiles, in the order npm prefers them.
const LOCKFILES: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];

/// A project on disk.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// Its folder, absolute.
    pub(crate) root: PathBuf,
    /// Where 3pm was started.
    pub(crate) folder: PathBuf,
}

/// The private copy.
#[derive(Debug)]
pub(crate) struct Mirror {
    holder: Temporary,
    project: Project,
    /// What was copied: the original's path and its bytes, `None` for the empty manifest of a project
    /// that has none yet.
    copied: BTreeMap<PathBuf, Option<Vec<u8>>>,
}

/// A file of the project that resolving changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Which file.
    pub(crate) path: PathBuf,
    /// Its bytes when it was copied, `None` when there was none.
    pub(crate) before: Option<Vec<u8>>,
    /// Its bytes now.
    pub(crate) after: Vec<u8>,
}

/// Why a project cannot be read or copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    /// A file cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than any such file should be.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// A manifest that is not JSON.
    #[error("{} is not JSON", path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// Too many folders to search for workspaces.
    #[error("{} has more than {MAX_FOLDERS} folders", path.display())]
    TooManyFolders {
        /// Where.
        path: PathBuf,
    },
    /// A dependency by absolute path: in the copy it would mean the original.
    #[error("the dependency {spec:?} of {} is an absolute path, expected one relative to the project", path.display())]
    AbsoluteDependency {
        /// Whose.
        path: PathBuf,
        /// The value.
        spec: String,
    },
    /// npm does not say where the project is.
    #[error(transparent)]
    Npm(#[from] NpmRunError),
    /// Resolving left no lockfile.
    #[error("npm resolved the packages but wrote no lockfile")]
    NoLockfile,
}

impl Project {
    /// The project that npm would work on when started in `folder`.
    pub(crate) async fn find(npm: &Npm, folder: &Path) -> Result<Self, ProjectError> {
        let folder = folder.canonicalize().map_err(|source| io(folder, source))?;
        let arguments: [OsString; 3] =
            ["prefix".into(), "--global=false".into(), "--location=project".into()];
        let answer = npm.run(&folder, &arguments, QUESTION_LIMIT).await?;
        let root = PathBuf::from(answer.stdout.trim());
        let root = root.canonicalize().map_err(|source| io(&root, source))?;
        Ok(Self { root, folder })
    }

    /// The lockfile npm would use.
    pub(crate) fn lockfile_path(&self) -> Option<PathBuf> {
        LOCKFILES.iter().map(|name| self.root.join(name)).find(|path| path.is_file())
    }

    /// The lockfile's text, or `None` when there is none.
    pub(crate) fn read_lockfile(&self) -> Result<Option<String>, ProjectError> {
        let Some(path) = self.lockfile_path() else { return Ok(None) };
        let bytes = read_bounded(&path, MAX_LOCKFILE_BYTES)?.unwrap_or_default();
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The project's package.json, an empty one when there is none.
    pub(crate) fn read_manifest(&self) -> Result<Value, ProjectError> {
        let path = self.root.join("package.json");
        match read_bounded(&path, MAX_MANIFEST_BYTES)? {
            Some(bytes) => parse_manifest(&path, &bytes),
            None => Ok(Value::Object(serde_json::Map::new())),
        }
    }
}

impl Mirror {
    /// Copies what resolving needs; `packages` are the arguments of the install.
    pub(crate) fn make(project: &Project, packages: &[String]) -> Result<Self, ProjectError> {
        let holder = private_folder()?;
        let mut mirror = Self { holder, project: project.clone(), copied: BTreeMap::new() };
        let root = project.root.clone();
        create_folder(&mirror.path_of(&project.folder))?;
        for name in LOCKFILES {
            mirror.copy(&root.join(name), MAX_LOCKFILE_BYTES)?;
        }
        mirror.copy(&root.join(".npmrc"), MAX_MANIFEST_BYTES)?;
        let mut specs = vec![];
        for package in packages {
            // `name@file:../x` names its source after the name.
            let spec = package.split_once("@file:").map_or(package.as_str(), |(_, path)| path);
            if is_path(spec) {
                specs.push((project.folder.clone(), spec.to_owned()));
            }
        }
        let manifest = mirror.copy(&root.join("package.json"), MAX_MANIFEST_BYTES)?;
        if manifest.is_none() {
            // Without one npm would look for a project further up, beyond the copy.
            let path = root.join("package.json");
            write(&mirror.path_of(&path), b"{}")?;
            mirror.copied.insert(path, None);
        }
        let mut folders = vec![root.clone()];
        let manifest = project.read_manifest()?;
        if manifest.get("workspaces").is_some() {
            folders.extend(folders_with_manifests(&root)?);
        }
        mirror.copy_manifests(folders, specs)?;
        Ok(mirror)
    }

    /// A copy with the project's settings and nothing else, for packages that are looked at by name.
    pub(crate) fn make_empty(project: &Project) -> Result<Self, ProjectError> {
        let root = project.root.clone();
        let mut mirror = Self {
            holder: private_folder()?,
            project: Project { folder: root.clone(), root: root.clone() },
            copied: BTreeMap::new(),
        };
        create_folder(&mirror.path_of(&root))?;
        mirror.copy(&root.join(".npmrc"), MAX_MANIFEST_BYTES)?;
        write(&mirror.path_of(&root.join("package.json")), b"{}")?;
        Ok(mirror)
    }

    /// The temporary folder that it lies in.
    pub(crate) fn holder(&self) -> &Path {
        self.holder.path()
    }

    /// Where npm is started: the copy of the folder in which 3pm was.
    pub(crate) fn folder(&self) -> PathBuf {
        self.path_of(&self.project.folder)
    }

    /// The copy as a project.
    pub(crate) fn as_project(&self) -> Project {
        Project { root: self.path_of(&self.project.root), folder: self.folder() }
    }

    /// Where the lockfile that npm wrote in the copy belongs in the project.
    pub(crate) fn original_lockfile_path(&self) -> Result<PathBuf, ProjectError> {
        let lockfile = self.as_project().lockfile_path().ok_or(ProjectError::NoLockfile)?;
        Ok(self.project.root.join(lockfile.file_name().unwrap_or_default()))
    }

    /// What resolving changed, and the lockfile's text; package.json files before the lockfile.
    pub(crate) fn changes(&self) -> Result<(Vec<Change>, String), ProjectError> {
        let copy = self.as_project();
        let lockfile = copy.lockfile_path().ok_or(ProjectError::NoLockfile)?;
        let bytes = read_bounded(&lockfile, MAX_LOCKFILE_BYTES)?.ok_or(ProjectError::NoLockfile)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let original = self.original_lockfile_path()?;
        let mut changes = Vec::new();
        for (path, before) in &self.copied {
            if path.file_name().is_some_and(|name| name == "package.json") {
                let after = read_bounded(&self.path_of(path), MAX_MANIFEST_BYTES)?.unwrap_or_default();
                if before.as_ref() != Some(&after) {
                    changes.push(Change { path: path.clone(), before: before.clone(), after });
                }
            }
        }
        let before = self.copied.get(&original).cloned().flatten();
        if before.as_ref() != Some(&bytes) {
            changes.push(Change { path: original, before, after: bytes });
        }
        Ok((changes, text))
    }

    /// The manifests of `folders`, of every folder they name by path, and of `specs`, paths by their own
    /// folder.
    fn copy_manifests(
        &mut self,
        mut folders: Vec<PathBuf>,
        mut specs: Vec<(PathBuf, String)>,
    ) -> Result<(), ProjectError> {
        let mut seen = BTreeSet::new();
        loop {
            while let Some((folder, spec)) = specs.pop() {
                let relative = spec.trim_start_matches("file:").trim_start_matches("link:");
                if relative.starts_with('/') || relative.starts_with('~') {
                    return Err(ProjectError::AbsoluteDependency { path: folder.join("package.json"), spec });
                }
                let target = lexical(&folder.join(relative));
                if target.is_dir() {
                    folders.push(target);
                } else {
                    self.copy(&target, MAX_FILE_TARBALL_BYTES)?;
                }
            }
            let Some(folder) = folders.pop() else { return Ok(()) };
            if !seen.insert(folder.clone()) {
                continue;
            }
            create_folder(&self.path_of(&folder))?;
            let path = folder.join("package.json");
            let Some(bytes) = self.copy(&path, MAX_MANIFEST_BYTES)? else { continue };
            let manifest = parse_manifest(&path, &bytes)?;
            specs.extend(path_specs(&manifest).into_iter().map(|spec| (folder.clone(), spec)));
        }
    }

    /// Copies one file, if it is there and not yet copied, and returns its bytes.
    fn copy(&mut self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ProjectError> {
        if let Some(known) = self.copied.get(path) {
            return Ok(known.clone());
        }
        let Some(bytes) = read_bounded(path, limit)? else { return Ok(None) };
        let copy = self.path_of(path);
        if let Some(parent) = copy.parent() {
            create_folder(parent)?;
        }
        write(&copy, &bytes)?;
        self.copied.insert(path.to_owned(), Some(bytes.clone()));
        Ok(Some(bytes))
    }

    fn path_of(&self, original: &Path) -> PathBuf {
        let below: PathBuf =
            original.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        self.holder.path().join(below)
    }
}

/// A temporary folder.
pub(crate) fn private_folder() -> Result<Temporary, ProjectError> {
    Temporary::new().map_err(|source| io(&std::env::temp_dir(), source))
}

/// A file's bytes, `None` when there is none, an error past the limit.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ProjectError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io(path, source)),
    };
    // In one piece, where its length is what it says; the rest is for seeing that it ends there.
    let length = file.metadata().map_err(|source| io(path, source))?.len().min(limit);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(32));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|source| io(path, source))?;
    if bytes.len() as u64 > limit {
        return Err(ProjectError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(Some(bytes))
}

fn parse_manifest(path: &Path, bytes: &[u8]) -> Result<Value, ProjectError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|source| ProjectError::Manifest { path: path.to_owned(), source })
}

/// Every folder below `root` with a package.json: what a pattern of `workspaces` can name.
fn folders_with_manifests(root: &Path) -> Result<Vec<PathBuf>, ProjectError> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    let mut count = 0_usize;
    while let Some(folder) = open.pop() {
        count += 1;
        if count > MAX_FOLDERS {
            return Err(ProjectError::TooManyFolders { path: root.to_owned() });
        }
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name == "package.json" {
                found.push(folder.clone());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && name != "node_modules"
                && name != ".git"
            {
                open.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// The values of a manifest's dependencies and overrides that are paths.
fn path_specs(manifest: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let kinds = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "overrides"];
    let mut open: Vec<&Value> = kinds.iter().filter_map(|kind| manifest.get(kind)).collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(object) => open.extend(object.values()),
            Value::String(spec) if is_path(spec.trim()) => found.push(spec.trim().to_owned()),
            _ => {}
        }
    }
    found
}

fn is_path(spec: &str) -> bool {
    let prefixed = ["file:", "link:", "./", "../", "/", "~/"].iter().any(|prefix| spec.starts_with(prefix));
    prefixed || matches!(spec, "." | "..") || (!spec.contains(':') && is_tarball_file(spec))
}

fn is_tarball_file(spec: &str) -> bool {
    [".tgz", ".tar.gz", ".tar"].iter().any(|end| spec.ends_with(end))
}

/// `a/b/../c` as `a/c`, without asking the disk: npm resolves paths the same way.
fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

fn create_folder(path: &Path) -> Result<(), ProjectError> {
    std::fs::create_dir_all(path).map_err(|source| io(path, source))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ProjectError> {
    std::fs::write(path, bytes).map_err(|source| io(path, source))
}

fn io(path: &Path, source: std::io::Error) -> ProjectError {
    ProjectError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
        let holder = tempfile::tempdir().unwrap();
        let base = holder.path().canonicalize().unwrap();
        let root = base.join("app");
        std::fs::create_dir(&root).unwrap();
        for (path, text) in files {
            let path = lexical(&root.join(path));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        (holder, Project { root: root.clone(), folder: root })
    }

    fn exists(mirror: &Mirror, path: &str) -> bool {
        lexical(&mirror.as_project().root.join(path)).exists()
    }

    #[test]
    fn the_copy_has_manifests_and_named_tarballs_and_nothing_else() {
        let (_holder, project) = project(&[
            (
                "package.json",
                r#"{"workspaces": ["packages/*"], "dependencies": {"x": "file:../beside", "t": "file:./t.tgz", "r": "^1"}}"#,
            ),
            ("package-lock.json", "{}"),
            (".npmrc", "save-exact=true"),
            ("packages/a/package.json", r#"{"name": "a", "dependencies": {"deep": "../../deep"}}"#),
            ("packages/a/index.js", "code"),
            ("deep/package.json", "{}"),
            ("node_modules/r/package.json", "{}"),
            ("../beside/package.json", r#"{"dependencies": {"further": "file:../further"}}"#),
            ("../beside/secret", "secret"),
            ("../further/package.json", "{}"),
            ("t.tgz", "bytes"),
            ("src/main.js", "code"),
        ]);
        let mirror = Mirror::make(&project, &[]).unwrap();
        for path in [
            "package.json",
            "package-lock.json",
            ".npmrc",
            "packages/a/package.json",
            "deep/package.json",
            "../beside/package.json",
            "../further/package.json",
            "t.tgz",
        ] {
            assert!(exists(&mirror, path), "{path}");
        }
        for path in ["packages/a/index.js", "node_modules", "../beside/secret", "src"] {
            assert!(!exists(&mirror, path), "{path}");
        }
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(mirror.holder.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn only_what_resolving_changed_is_written_back_and_the_lockfile_comes_last() {
        let (_holder, project) = project(&[("package.json", "{}"), ("package-lock.json", "old")]);
        let mirror = Mirror::make(&project, &[]).unwrap();
        assert_eq!(mirror.changes().unwrap(), (vec![], "old".to_owned()));
        let copy = mirror.as_project().root;
        std::fs::write(copy.join("package-lock.json"), "new").unwrap();
        std::fs::write(copy.join("package.json"), "{\"a\":1}").unwrap();
        let (changes, text) = mirror.changes().unwrap();
        let paths: Vec<_> = changes
            .iter()
            .map(|change| change.path.strip_prefix(&project.root).unwrap().to_owned())
            .collect();
        assert_eq!(paths, [PathBuf::from("package.json"), PathBuf::from("package-lock.json")]);
        assert_eq!((changes[1].before.as_deref(), text.as_str()), (Some(&b"old"[..]), "new"));
        assert_eq!(std::fs::read(project.root.join("package-lock.json")).unwrap(), b"old");
    }

    #[test]
    fn a_folder_without_a_manifest_gets_one_in_the_copy_so_that_npm_looks_no_further() {
        let (_holder, project) = project(&[]);
        let mirror = Mirror::make(&project, &["left-pad@1".into()]).unwrap();
        assert!(exists(&mirror, "package.json"));
        assert!(matches!(mirror.changes(), Err(ProjectError::NoLockfile)));
        assert!(!project.root.join("package.json").exists());
    }

    #[test]
    fn what_cannot_be_copied_faithfully_is_refused() {
        let (_holder, absolute) =
            project(&[("package.json", r#"{"dependencies": {"x": "file:/somewhere"}}"#)]);
        assert!(matches!(Mirror::make(&absolute, &[]), Err(ProjectError::AbsoluteDependency { .. })));
        let (_holder, broken) = project(&[("package.json", "{")]);
        assert!(matches!(Mirror::make(&broken, &[]), Err(ProjectError::Manifest { .. })));
        let (_holder, large) = project(&[("package.json", &" ".repeat(5 * 1024 * 1024))]);
        assert!(matches!(Mirror::make(&large, &[]), Err(ProjectError::TooLarge { .. })));
    }

    #[test]
    fn paths_are_told_from_packages() {
        for spec in ["file:x", "./x", "../x", "..", "link:x", "/x", "sub/x.tgz"] {
            assert!(is_path(spec), "{spec}");
        }
        for spec in [
            "left-pad",
            "@s/a@1",
            "user/repo",
            "https://registry.example/x.tgz",
            "npm:a@1",
            "git+ssh://x/y",
            "^1.0.0",
        ] {
            assert!(!is_path(spec), "{spec}");
        }
    }
}
