//! Every package on disk against the tarball that was checked for it, byte for byte, before any script runs.
//! This one comparison stands for all package managers: it does not matter whether the bytes came through the
//! proxy, out of a cache or lay there before.
//!
//! The steps, each with a test that breaks only it:
//! 1. A folder holds the package it is named after, unless a dependent asks for another one there (`npm:`).
//! 2. There is a checked tarball of that name and version: from this run, from an earlier one, or fetched now.
//! 3. All of its files are there, with its bytes, and no others.
//! 4. What comes from no registry is named, for the policy to decide about.
//! 5. Something that lies there asks for each package, and declares each command: what a registry's document
//!    added to a manifest is in nobody's bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use alloy_primitives::B256;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use trust::text::printable;
use trust::{Integrity, PackageName};

use super::gate::{Arrived, Gatekeeper};
use super::lists::Lists;
use super::plug;
use super::tree::{self, Package, Place, Tree, TreeError, aliases, list, without_version};
use crate::install::assess::{Finding, Outcome, Subject, chain_of};
use crate::install::entries::{Problem, Source};
use crate::install::locked::clean;
use crate::install::scripted::{Scripted, decide, install_scripts};
use crate::install::unpacked::{Files, Receipt};

/// Tarballs fetched at once.
const PARALLEL: usize = 8;

/// Names asked about at once: the answers come in batches, so that few rounds are many times faster.
const ASKED_AT_ONCE: usize = 400;

/// What yarn leaves in a folder of `.yarn/unplugged` when it is complete.
const UNPLUGGED_MARK: &str = ".ready";

/// Name and version.
type Key = (String, String);

/// What a tree came to.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// How much was compared.
    pub(crate) receipt: Receipt,
    /// Everything that is wrong, or comes from no registry.
    pub(crate) findings: Vec<Finding>,
    /// The tarballs that lie there, by name and version.
    pub(crate) present: BTreeMap<Key, Integrity>,
    /// Packages with install scripts.
    pub(crate) scripted: Vec<Scripted>,
}

/// A tarball that was checked, in this run or before.
#[derive(Debug, Clone)]
struct Candidate {
    integrity: Integrity,
    files: Arc<Files>,
}

/// Compares a whole tree.
pub(crate) async fn compare_tree(
    root: &Path,
    tree: Tree,
    gate: &Gatekeeper,
    lists: &Lists,
) -> Result<Compared, TreeError> {
    let mut compared = Compared::default();
    let mut candidates: BTreeMap<Key, Vec<Candidate>> = BTreeMap::new();
    for arrived in gate.arrived() {
        add(&mut candidates, &arrived);
    }
    let mut sources = sources_elsewhere(tree.own.iter());
    let mut names = aliases(tree.own.iter());
    for (place, target) in &tree.outside {
        if target.is_absolute() {
            let what = format!("a link to {}", printable(&target.display().to_string(), 200));
            compared.findings.push(elsewhere(place, &what));
        }
    }
    for (place, what) in &tree.changed {
        compared.findings.push(elsewhere(place, what));
    }
    let mut asked = Asked::default();
    tree.own.iter().for_each(|manifest| asked.add(manifest, true));
    let mut commands = tree.commands;
    let mut present: Vec<(Option<String>, std::path::PathBuf)> = Vec::new();
    let mut level = tree.packages;
    while !level.is_empty() {
        for package in &level {
            asked.add(&package.manifest, false);
            present.push((package.folder.clone(), package.location.clone()));
        }
        sources.extend(sources_elsewhere(level.iter().map(|package| &package.manifest)));
        for (folder, targets) in aliases(level.iter().map(|package| &package.manifest)) {
            names.entry(folder).or_default().extend(targets);
        }
        find_missing(&level, &sources, &mut candidates, gate, lists).await;
        let (nested, linked, results) = {
            let (root, candidates) = (root.to_owned(), candidates.clone());
            let work = tokio::task::spawn_blocking(move || {
                let results = compare_all(&root, &level, &candidates);
                let (mut nested, mut linked) = (Vec::new(), Vec::new());
                for (package, result) in level.iter().zip(&results) {
                    if let Ok(found) = result {
                        let inside = packages_inside(&root, package, &found.files)?;
                        nested.extend(inside.packages);
                        linked.extend(inside.commands);
                    }
                }
                Ok::<_, TreeError>((nested, linked, level.into_iter().zip(results).collect::<Vec<_>>()))
            });
            match work.await {
                Ok(done) => done?,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        };
        for (package, result) in results {
            compared.receipt.installed += 1;
            compared.scripted.extend(scripted(&package, result.as_ref().ok(), gate));
            settle(&package, result, &sources, &names, &mut compared);
        }
        commands.extend(linked);
        level = nested;
    }
    // 5.
    asked.packages.extend(names.values().flatten().cloned());
    asked.packages.extend(tree::replacements_in_settings(root));
    for (folder, location) in present {
        if folder.is_some_and(|folder| !asked.packages.contains(&folder)) {
            compared.findings.push(elsewhere(&location, "nothing that lies here asks for it"));
        }
    }
    for (place, command) in commands {
        if !asked.commands.contains(&command) && !asked.any_command {
            return Err(TreeError::Unknown { location: place, what: "the commands of these packages" });
        }
    }
    Ok(compared)
}

/// Its install scripts, where it has some, and whether they may run.
fn scripted(package: &Package, found: Option<&Candidate>, gate: &Gatekeeper) -> Option<Scripted> {
    let has_binding = found.is_some_and(|found| found.files.contains_key("binding.gyp"));
    let scripts = install_scripts(&package.manifest, has_binding);
    if scripts.is_empty() {
        return None;
    }
    let (name, version) = identity(&package.manifest);
    let integrity = found.map(|found| found.integrity);
    let arrived = integrity.and_then(|integrity| gate.arrived_as(&name, &version, integrity));
    let finding = arrived.as_ref().map(|arrived| &arrived.finding);
    let decided_by = decide(&gate.sources().policy, finding, &name, integrity);
    let (location, version) = (package.location.clone(), Some(version));
    Some(Scripted { name, version, location, integrity, scripts, decided_by })
}

/// What one package's comparison means.
fn settle(
    package: &Package,
    result: Result<Candidate, String>,
    sources: &BTreeMap<String, String>,
    names: &BTreeMap<String, BTreeSet<String>>,
    compared: &mut Compared,
) {
    let (name, version) = identity(&package.manifest);
    match result {
        Ok(found) => {
            compared.receipt.compared += 1;
            compared.present.insert((name.clone(), version.clone()), found.integrity);
            // 1.
            let asked_for = package.folder.as_ref().is_none_or(|folder| {
                *folder == name || names.get(folder).is_some_and(|names| names.contains(&name))
            });
            if !asked_for {
                let expected = format!(
                    "the package {}: nothing asks for another one there",
                    package.folder.as_deref().unwrap_or_default()
                );
                compared.findings.push(wrong(package, "identity", &expected, &format!("{name}@{version}")));
            }
        }
        // 4.
        Err(reason) => match package.folder.as_ref().and_then(|folder| sources.get(folder)) {
            Some(spec) => compared.findings.push(elsewhere(&package.location, spec)),
            None => {
                let expected = format!("the files of the checked tarball of {name}@{version}");
                compared.findings.push(wrong(package, "files on disk", &expected, &reason));
            }
        },
    }
}

/// Step 2: for every package that did not come in this run.
async fn find_missing(
    packages: &[Package],
    sources: &BTreeMap<String, String>,
    candidates: &mut BTreeMap<Key, Vec<Candidate>>,
    gate: &Gatekeeper,
    lists: &Lists,
) {
    let mut missing: BTreeSet<Key> = BTreeSet::new();
    for package in packages {
        let key = identity(&package.manifest);
        let is_elsewhere = package.folder.as_ref().is_some_and(|folder| sources.contains_key(folder));
        if !candidates.contains_key(&key) && !is_elsewhere {
            missing.insert(key);
        }
    }
    let names: BTreeSet<PackageName> = missing.iter().filter_map(|(name, _)| name.parse().ok()).collect();
    stream::iter(&names).map(|name| gate.is_enrolled(name)).buffer_unordered(ASKED_AT_ONCE).count().await;
    let found: Vec<(Key, Vec<Candidate>)> = stream::iter(missing)
        .map(|key| async move {
            let found = find_one(&key, gate, lists).await;
            (key, found)
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    candidates.extend(found);
}

async fn find_one(key: &Key, gate: &Gatekeeper, lists: &Lists) -> Vec<Candidate> {
    let Ok(name) = key.0.parse::<PackageName>() else { return vec![] };
    // Bytes that an earlier run saw are as good as new ones where nobody signs; what is signed is judged anew.
    if !gate.is_enrolled(&name).await {
        let known = lists.read(&name, &key.1);
        if !known.is_empty() {
            let mut candidates = Vec::with_capacity(known.len());
            for (integrity, files) in known {
                gate.keep_known(&name, &key.1, integrity, Arc::clone(&files)).await;
                candidates.push(Candidate { integrity, files });
            }
            return candidates;
        }
    }
    let npm = &gate.sources().npm;
    let fetched = async {
        let packument = npm.fetch_packument(&name).await.map_err(|error| chain_of(&error))?;
        let described = packument.and_then(|packument| packument.version(&key.1).ok().flatten());
        let url = described.ok_or("the registry does not know this version")?.tarball;
        let bytes = npm.fetch_tarball(&url).await.map_err(|error| chain_of(&error))?;
        Ok::<_, String>(gate.judge(&url, bytes).await)
    };
    let mut candidates = BTreeMap::new();
    if let Ok(arrived) = fetched.await {
        add(&mut candidates, &arrived);
    }
    candidates.remove(key).unwrap_or_default()
}

fn add(candidates: &mut BTreeMap<Key, Vec<Candidate>>, arrived: &Arrived) {
    let subject = &arrived.finding.subject;
    if let (Some(files), Some(version)) = (&arrived.files, &subject.version) {
        let candidate = Candidate { integrity: arrived.integrity, files: Arc::clone(files) };
        let key = (subject.name.clone(), clean(version).to_owned());
        candidates.entry(key).or_default().push(candidate);
    }
}

/// Step 3 for many, on as many threads as there are processors.
fn compare_all(
    root: &Path,
    packages: &[Package],
    candidates: &BTreeMap<Key, Vec<Candidate>>,
) -> Vec<Result<Candidate, String>> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let size = packages.len().div_ceil(threads).max(1);
    let chunks = packages.chunks(size);
    std::thread::scope(|scope| {
        let running: Vec<_> = chunks
            .map(|chunk| {
                scope.spawn(move || {
                    chunk.iter().map(|package| compare_one(root, package, candidates)).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut results = Vec::with_capacity(packages.len());
        for thread in running {
            results.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    })
}

fn compare_one(
    root: &Path,
    package: &Package,
    candidates: &BTreeMap<Key, Vec<Candidate>>,
) -> Result<Candidate, String> {
    let key = identity(&package.manifest);
    let known = candidates.get(&key).map_or(&[][..], Vec::as_slice);
    let mut reason = "no tarball of that name and version was checked".to_owned();
    for candidate in known {
        let compared = match &package.place {
            Place::Folder => compare_files(&root.join(&package.location), &candidate.files, None),
            Place::Unplugged => {
                compare_files(&root.join(&package.location), &candidate.files, Some(UNPLUGGED_MARK))
            }
            Place::Archive { file, inside } => compare_archive(file, inside, &candidate.files),
        };
        match compared {
            Ok(()) => return Ok(candidate.clone()),
            Err(difference) => reason = difference,
        }
    }
    Err(reason)
}

/// Every file of a folder against a list, both ways. Folders of other packages are theirs; `mark` is the name of an
/// empty file that the package manager leaves.
pub(crate) fn compare_files(folder: &Path, files: &Files, mark: Option<&str>) -> Result<(), String> {
    let mut missing: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    let mut open = vec![String::new()];
    while let Some(inner) = open.pop() {
        for (name, kind) in list(&folder.join(&inner)).map_err(|error| chain_of(&error))? {
            let path = if inner.is_empty() { name.clone() } else { format!("{inner}/{name}") };
            let shown = || printable(&path, 200);
            let is_mark = mark == Some(path.as_str()) && is_empty(&folder.join(&path));
            if is_of_another(&path, files) || (is_mark && !files.contains_key(&path)) {
                continue;
            }
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_symlink() {
                return Err(format!("{} is a symbolic link that the tarball does not have", shown()));
            } else {
                let (listed, file) = find_file(&path, files)
                    .ok_or_else(|| format!("{} is not in the checked tarball", shown()))?;
                let sha256 = hash(&folder.join(&path)).map_err(|error| format!("{}: {error}", shown()))?;
                if sha256 != file.sha256 && Some(sha256) != file.fixed {
                    return Err(format!("{} differs from the checked tarball", shown()));
                }
                missing.remove(listed);
            }
        }
    }
    // A bundled package may have been replaced by one that lies further up.
    match missing.into_iter().find(|path| !path.starts_with("node_modules/")) {
        Some(path) => Err(format!("{} is in the checked tarball, but not on disk", printable(path, 200))),
        None => Ok(()),
    }
}

fn is_empty(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == 0)
}

/// The same for a package in an archive.
fn compare_archive(file: &Path, inside: &str, files: &Files) -> Result<(), String> {
    let found = plug::read_archive(file, inside)?;
    let mut missing: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    for (path, sha256) in &found {
        let shown = || printable(path, 200);
        let (listed, file) =
            find_file(path, files).ok_or_else(|| format!("{} is not in the checked tarball", shown()))?;
        if *sha256 != file.sha256 && Some(*sha256) != file.fixed {
            return Err(format!("{} differs from the checked tarball", shown()));
        }
        missing.remove(listed);
    }
    match missing.into_iter().find(|path| !path.starts_with("node_modules/")) {
        Some(path) => {
            Err(format!("{} is in the checked tarball, but not in the archive", printable(path, 200)))
        }
        None => Ok(()),
    }
}

/// The list is written as npm leaves it; the others keep `.gitignore`, which npm renames.
fn find_file<'a>(
    path: &str,
    files: &'a Files,
) -> Option<(&'a str, &'a crate::install::unpacked::FileOnDisk)> {
    let renamed = || {
        let folder =
            path.strip_suffix(".gitignore").filter(|folder| folder.is_empty() || folder.ends_with('/'))?;
        Some(format!("{folder}.npmignore"))
    };
    files
        .get_key_value(path)
        .or_else(|| files.get_key_value(renamed()?.as_str()))
        .map(|(path, file)| (path.as_str(), file))
}

/// Whether a path below a package belongs to a package inside it that did not come in its tarball, or to the
/// commands that the package manager links there.
fn is_of_another(path: &str, files: &Files) -> bool {
    let Some(inside) = inside_modules(path) else { return false };
    inside.starts_with(".bin") && !files.keys().any(|file| file.starts_with("node_modules/.bin/"))
        || inside_name(inside).is_some_and(|name| {
            let at = path.len() - inside.len() + name.len();
            !files.contains_key(&format!("{}/package.json", &path[..at]))
        })
}

/// What follows the last `node_modules/` of a path.
fn inside_modules(path: &str) -> Option<&str> {
    let at = path.rfind("node_modules/")?;
    (at == 0 || path[..at].ends_with('/')).then(|| &path[at + "node_modules/".len()..])
}

/// The package of a path below a `node_modules`: `name` or `@scope/name`, when it is all there.
fn inside_name(inside: &str) -> Option<&str> {
    let mut ends = inside.match_indices('/').map(|(at, _)| at).chain([inside.len()]);
    let first = ends.next()?;
    if inside.starts_with('@') { ends.next().map(|at| &inside[..at]) } else { Some(&inside[..first]) }
}

/// The packages in a package's own `node_modules` that its tarball did not bring.
fn packages_inside(root: &Path, package: &Package, files: &Files) -> Result<Tree, TreeError> {
    let modules = package.location.join("node_modules");
    if package.place != Place::Folder || !root.join(&modules).is_dir() {
        return Ok(Tree::default());
    }
    let mut inside = Tree::default();
    tree::walk_nested(root, &modules, &mut inside)?;
    let prefix = package.location.as_path();
    inside.packages.retain(|inner| {
        let path = inner.location.strip_prefix(prefix).unwrap_or(&inner.location);
        !files.contains_key(&format!("{}/package.json", path.display()))
    });
    Ok(inside)
}

/// Name and version as a package.json says them.
pub(crate) fn identity(manifest: &Value) -> Key {
    let text =
        |field: &str| manifest.get(field).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let version = text("version");
    let version = version.trim_start_matches(['=', 'v', ' ']);
    (text("name"), clean(version).to_owned())
}

/// What the manifests on disk ask for and declare.
#[derive(Debug, Default)]
struct Asked {
    packages: BTreeSet<String>,
    commands: BTreeSet<String>,
    /// One declares a whole folder of commands.
    any_command: bool,
}

impl Asked {
    fn add(&mut self, manifest: &Value, is_own: bool) {
        let fields = ["dependencies", "optionalDependencies", "peerDependencies", "devDependencies"];
        for field in fields.iter().filter(|field| is_own || **field != "devDependencies") {
            if let Some(Value::Object(asked)) = manifest.get(*field) {
                self.packages.extend(asked.keys().cloned());
            }
        }
        match manifest.get("bin") {
            Some(Value::Object(commands)) => {
                let plain = commands.keys().filter_map(|command| command.rsplit('/').next());
                self.commands.extend(plain.map(str::to_owned));
            }
            Some(Value::String(_)) => {
                let name = identity(manifest).0;
                self.commands.extend(name.rsplit('/').next().map(str::to_owned));
            }
            Some(Value::Array(_)) => self.any_command = true,
            _ => {}
        }
        self.any_command |= manifest.pointer("/directories/bin").is_some();
    }
}

/// Folders whose package comes from no registry, with what asks for it.
pub(crate) fn sources_elsewhere<'a>(manifests: impl Iterator<Item = &'a Value>) -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    for manifest in manifests {
        for field in ["dependencies", "devDependencies", "optionalDependencies", "resolutions", "overrides"] {
            let Some(Value::Object(specs)) = manifest.get(field) else { continue };
            for (folder, spec) in specs {
                if let Some(spec) = spec.as_str().filter(|spec| is_elsewhere(spec)) {
                    sources.insert(without_version(folder).to_owned(), printable(spec, 200));
                }
            }
        }
    }
    sources
}

pub(crate) fn is_elsewhere(spec: &str) -> bool {
    let prefixes = [
        "file:",
        "link:",
        "portal:",
        "git+",
        "git:",
        "git@",
        "github:",
        "gitlab:",
        "bitbucket:",
        "gist:",
        "http:",
        "https:",
        "ssh:",
        "exec:",
        "./",
        "../",
        "/",
    ];
    let shortcut = spec.split('#').next().unwrap_or(spec);
    let is_shortcut = shortcut.split('/').count() == 2
        && !shortcut.starts_with('@')
        && shortcut.split('/').all(|part| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        });
    prefixes.iter().any(|prefix| spec.starts_with(prefix)) || is_shortcut
}

fn hash(path: &Path) -> std::io::Result<B256> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher)?;
    Ok(B256::from_slice(&hasher.finalize()))
}

fn subject(
    location: &Path,
    name: String,
    version: Option<String>,
    source: Result<Source, Problem>,
) -> Subject {
    Subject {
        location: printable(&location.display().to_string(), 300),
        name,
        version,
        manifest: None,
        source,
    }
}

fn elsewhere(location: &Path, what: &str) -> Finding {
    let source = Ok(Source::File { path: what.to_owned() });
    let subject = subject(location, printable(&location.display().to_string(), 300), None, source);
    Finding::new(subject, Outcome::Elsewhere(what.to_owned()))
}

fn wrong(package: &Package, what: &str, expected: &str, received: &str) -> Finding {
    let (name, version) = identity(&package.manifest);
    let location = printable(&package.location.display().to_string(), 300);
    let problem = Problem {
        what: format!("{what} at {location}"),
        expected: printable(expected, 300),
        received: printable(received, 300),
    };
    let version = Some(printable(&version, 100)).filter(|version| !version.is_empty());
    let subject = subject(&package.location, printable(&name, 214), version, Err(problem.clone()));
    Finding::new(subject, Outcome::Refused(problem))
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
