//! Every package on disk against the tarball that was checked for it, byte for byte, before any script runs.
//! This one comparison stands for all package managers: it does not matter whether the bytes came through the
//! proxy, out of a cache or lay there before.
//!
//! The steps, each with a test that breaks only it:
//! 1. A folder holds the package it is named after, unless a dependent asks for another one there (`npm:`).
//! 2. There is a checked tarball of that name and version, with the hash that the lockfile has for it: from this run,
//!    from an earlier one, or fetched now. Where the lockfile has none and nobody signs, one of an earlier run counts
//!    that has the hash which the registry of this project announces, since it may have come from another registry.
//! 3. All of its files are there, with its bytes, and no others.
//! 4. What comes from no registry, or was changed by a patch of the project, is named, for the policy to decide about.
//! 5. The project asks for each package, or one that is itself asked for, and something declares each command: what a
//!    registry's document added to a manifest is in nobody's bytes.
//! 6. Who asks for a package gets one of that name, through a link or a table as well; a folder of the project only
//!    where the project itself makes it one of that name (`members`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::B256;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use trust::digest::FileHasher;
use trust::policy::Policy;
use trust::text::printable;
use trust::{Integrity, PackageName};

use super::announced::Announcements;
use super::asked::{Asked, Found, Misplaced};
use super::changes::{self, Patches};
use super::commands;
use super::folder::Folder;
use super::gate::{Arrived, Gatekeeper};
use super::lists::Lists;
use super::members::Members;
use super::plug;
use super::tree::{self, Package, Place, Tree, TreeError, aliases, without_version};
use crate::install::assess::{Finding, Outcome, Subject, chain_of};
use crate::install::entries::{Problem, Source};
use crate::install::locked::{Pins, clean};
use crate::install::scripted::{Scripted, decide, install_scripts, install_scripts_in};
use crate::install::unpacked::{Files, Receipt};

/// Tarballs fetched at once.
const PARALLEL: usize = 8;

/// Documents fetched at once: small ones, of many names.
const DOCUMENTS: usize = 32;

/// Names asked about at once: the answers come in batches, so that few rounds are many times faster.
const ASKED_AT_ONCE: usize = 400;

/// What yarn leaves in a folder of `.yarn/unplugged` when it is complete.
const UNPLUGGED_MARK: &str = ".ready";

/// Where a project says what it wants.
pub(crate) const OF_THE_PROJECT: [&str; 5] =
    ["dependencies", "devDependencies", "optionalDependencies", "resolutions", "overrides"];

/// The same for a package: the rest counts for who works on it.
pub(crate) const OF_A_PACKAGE: [&str; 2] = ["dependencies", "optionalDependencies"];

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
    /// Where commands lie.
    pub(crate) commands: Vec<PathBuf>,
    /// Where links lie in place of packages.
    pub(crate) links: Vec<PathBuf>,
}

/// Where tarballs are looked for that did not come in this run.
struct Known<'a> {
    gate: &'a Gatekeeper,
    lists: &'a Lists,
    pins: &'a Pins,
}

/// A tarball that was checked, in this run or before.
#[derive(Debug, Clone)]
struct Candidate {
    integrity: Integrity,
    files: Arc<Files>,
}

/// Compares a whole tree. `pins` has the hashes of its lockfile: of a release that is there, no other tarball counts.
pub(crate) async fn compare_tree(
    root: &Path,
    tree: Tree,
    gate: &Gatekeeper,
    lists: &Lists,
    pins: &Pins,
) -> Result<Compared, TreeError> {
    let mut compared = Compared::default();
    let mut candidates: BTreeMap<Key, Vec<Candidate>> = BTreeMap::new();
    for arrived in gate.arrived() {
        add(&mut candidates, &arrived, pins);
    }
    let own_sources = sources_elsewhere(tree.own.iter(), &OF_THE_PROJECT);
    let mut names = aliases(tree.own.iter());
    for (place, target) in tree.outside.iter().filter(|(_, target)| target.is_absolute()) {
        let what = format!("a link to {}", printable(&target.display().to_string(), 200));
        compared.findings.push(elsewhere(place, &what));
        compared.scripted.extend(scripted_outside(place, target, &gate.sources().policy));
    }
    let mut asked = Asked::default();
    for folder in &tree.own_folders {
        if let Ok(manifest) = tree::read_manifest(root, folder) {
            asked.add(folder, &manifest, true);
        }
    }
    for (place, target) in &tree.outside {
        compared.links.push(place.clone());
        match target.is_absolute() {
            true => asked.lies(place.clone(), None),
            false => asked.leads(place.clone(), target.clone()),
        }
    }
    let own_names = names.clone();
    let replacements = changes::replacements_in_settings(root);
    let patches = Patches::read(root);
    let (mut linked_commands, mut links) = (tree.commands, tree.linked);
    let mut present: Vec<(String, PathBuf)> = Vec::new();
    let mut other: Vec<(Package, String)> = Vec::new();
    let mut level = tree.packages;
    while !level.is_empty() {
        for package in &level {
            asked.add(&package.location, &package.manifest, false);
            let name = identity(&package.manifest).0;
            present.push((package.folder.clone().unwrap_or_else(|| name.clone()), package.location.clone()));
            asked.lies(package.location.clone(), Some(name));
        }
        for (folder, targets) in aliases(level.iter().map(|package| &package.manifest)) {
            names.entry(folder).or_default().extend(targets);
        }
        find_missing(&level, &own_sources, &mut candidates, &Known { gate, lists, pins }).await;
        let (inside, results) = {
            let (root, candidates) = (root.to_owned(), candidates.clone());
            let work = tokio::task::spawn_blocking(move || {
                let results = compare_all(&root, &level, &candidates);
                let mut inside = Tree::default();
                for (package, result) in level.iter().zip(&results) {
                    if let Ok(found) = result {
                        packages_inside(&root, package, &found.files, &mut inside)?;
                    }
                }
                Ok::<_, TreeError>((inside, level.into_iter().zip(results).collect::<Vec<_>>()))
            });
            match work.await {
                Ok(done) => done?,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        };
        for (package, result) in results {
            compared.receipt.installed += 1;
            compared.scripted.extend(scripted(&package, result.as_ref().ok(), gate));
            for bundled in result.iter().flat_map(|found| bundled_in(&package, &found.files)) {
                asked.lies(bundled, None);
            }
            match result {
                Ok(found) => settle(&package, &found, &names, &mut compared),
                Err(reason) => other.push((package, reason)),
            }
        }
        linked_commands.extend(inside.commands);
        links.extend(inside.linked);
        for (place, target) in inside.outside {
            if target.is_absolute() || !tree.own_folders.contains(&target) {
                return Err(TreeError::Astray { location: place, target });
            }
            compared.links.push(place.clone());
            asked.leads(place, target);
        }
        level = inside.packages;
    }
    // 5.
    asked.add_roots(own_names.values().flatten().chain(&replacements).cloned());
    asked.add_roots(changes::names_in_settings(root, tree.own.first().unwrap_or(&Value::Null)));
    let reached = asked.reached(&present);
    for (name, location) in present.iter().filter(|(name, _)| !reached.contains(name)) {
        let what = "neither the project nor a package that it leads to asks for it";
        compared.findings.push(named_elsewhere(name, location, what));
    }
    for (place, command) in linked_commands {
        // A link shows whose it is; of what else a package manager writes there, the name has to do.
        let is_known = match commands::is_link(root, &place) {
            true => commands::is_declared(root, &place),
            false => asked.commands.contains(&command) || asked.any_command,
        };
        if !is_known {
            return Err(TreeError::Unknown { location: place, what: "the commands of these packages" });
        }
        compared.commands.push(place);
    }
    // 6.
    compared.links.extend(links.iter().map(|(place, _)| place.clone()));
    asked.follow(links)?;
    // 4.
    for (package, reason) in other {
        let (identified, version) = identity(&package.manifest);
        let name = package.folder.as_deref().unwrap_or(&identified);
        let said = own_sources.get(name).map(String::as_str);
        let said = said.or_else(|| asked.elsewhere(name, &package.location));
        compared.findings.push(match said.or_else(|| patches.of(&identified, &version)) {
            Some(spec) => named_elsewhere(name, &package.location, &printable(spec, 200)),
            None => {
                let expected = format!("the files of the checked tarball of {identified}@{version}");
                wrong(&package, "files on disk", &expected, &reason)
            }
        });
    }
    let members = Members::of(root, &tree.own_folders);
    let said_names = aliases(members.manifests());
    let said_sources = sources_elsewhere(members.manifests(), &OF_THE_PROJECT);
    let replaced = |name: &str, found: &str| {
        said_names.get(name).is_some_and(|names| names.contains(found))
            || said_sources.contains_key(name)
            || replacements.contains(found)
    };
    let misplaced = asked.misplaced(&tree.renamed, replaced).into_iter();
    let misplaced = misplaced.chain(asked.misled(&tree.given, &members));
    compared.findings.extend(misplaced.map(in_anothers_place));
    for (name, place) in asked.idle(&members) {
        let what = "a folder of the project, and neither the project nor a package asks for it there";
        compared.findings.push(named_elsewhere(&name, place, what));
    }
    Ok(compared)
}

/// The same for a folder outside of the project, which is linked and not compared.
fn scripted_outside(place: &Path, target: &Path, policy: &Policy) -> Option<Scripted> {
    let manifest = tree::read_manifest(target, Path::new("")).ok()?;
    let mut scripts = install_scripts_in(target, &manifest);
    // npm runs this one as well.
    let prepare = manifest.pointer("/scripts/prepare").and_then(Value::as_str);
    scripts.extend(prepare.map(|text| format!("prepare: {}", printable(text, 200))));
    let (name, version) = identity(&manifest);
    let decided_by = decide(policy, None, &name, None);
    let location = place.to_owned();
    let scripted = Scripted { name, version: Some(version), location, integrity: None, scripts, decided_by };
    (!scripted.scripts.is_empty()).then_some(scripted)
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

/// What it means that a package is the one that was checked.
fn settle(
    package: &Package,
    found: &Candidate,
    names: &BTreeMap<String, BTreeSet<String>>,
    compared: &mut Compared,
) {
    let (name, version) = identity(&package.manifest);
    compared.receipt.compared += 1;
    compared.present.insert((name.clone(), version.clone()), found.integrity);
    // 1.
    let asked_for = package
        .folder
        .as_ref()
        .is_none_or(|folder| *folder == name || names.get(folder).is_some_and(|names| names.contains(&name)));
    if !asked_for {
        let expected = format!(
            "the package {}: nothing asks for another one there",
            package.folder.as_deref().unwrap_or_default()
        );
        compared.findings.push(wrong(package, "identity", &expected, &format!("{name}@{version}")));
    }
}

/// Step 2: for every package that did not come in this run.
async fn find_missing(
    packages: &[Package],
    sources: &BTreeMap<String, String>,
    candidates: &mut BTreeMap<Key, Vec<Candidate>>,
    known: &Known<'_>,
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
    stream::iter(&names)
        .map(|name| known.gate.is_enrolled(name))
        .buffer_unordered(ASKED_AT_ONCE)
        .count()
        .await;
    let announced = ask_what_is_announced(&missing, known).await;
    let found: Vec<(Key, Vec<Candidate>)> = stream::iter(missing)
        .map(|key| {
            let announced = announced.get(&key);
            async move {
                let found = find_one(&key, known, announced).await;
                (key, found)
            }
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    candidates.extend(found);
}

/// What documents of this run announce, and those that are fetched now: of names that nobody signs, where an earlier run
/// saw a tarball and neither the lockfile nor what the registry said then tells whether that one is meant.
async fn ask_what_is_announced(missing: &BTreeSet<Key>, known: &Known<'_>) -> Announcements {
    let Known { gate, lists, pins } = known;
    let mut announced = gate.announcements(missing);
    if gate.sources().npm.is_offline() {
        return announced;
    }
    let mut unsaid: BTreeSet<PackageName> = BTreeSet::new();
    for key in missing.iter().filter(|key| !pins.contains_key(*key)) {
        let Ok(name) = key.0.parse::<PackageName>() else { continue };
        if announced.contains_key(key) || lists.read(&name, &key.1).is_empty() {
            continue;
        }
        match lists.announced(&name, &key.1, &gate.registry_of(&name)) {
            Some(integrity) => drop(announced.entry(key.clone()).or_default().insert(integrity)),
            None => drop(unsaid.insert(name)),
        }
    }
    if unsaid.is_empty() {
        return announced;
    }
    let asked = stream::iter(&unsaid).map(|name| async move {
        if !gate.is_enrolled(name).await {
            gate.ask_about(name).await;
        }
    });
    asked.buffer_unordered(DOCUMENTS).count().await;
    for (key, hashes) in gate.announcements(missing) {
        announced.entry(key).or_default().extend(hashes);
    }
    announced
}

async fn find_one(key: &Key, known: &Known<'_>, announced: Option<&BTreeSet<Integrity>>) -> Vec<Candidate> {
    let Known { gate, lists, pins } = known;
    let Ok(name) = key.0.parse::<PackageName>() else { return vec![] };
    // Bytes that an earlier run saw are as good as new ones where nobody signs; what is signed is judged anew.
    if !gate.is_enrolled(&name).await {
        let mut known = lists.read(&name, &key.1);
        let is_meant = |integrity: &Integrity| match (pins.get(key), announced) {
            (Some(hashes), _) | (None, Some(hashes)) => hashes.contains(integrity),
            // Nobody can be asked which of them it is.
            (None, None) => gate.sources().npm.is_offline(),
        };
        known.retain(|(integrity, _)| is_meant(integrity));
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
        if let Some((url, bytes)) = gate.at_hand(&name, &key.1, pins.get(key)).await {
            return Ok(gate.judge(&url, bytes).await);
        }
        let packument = npm.fetch_packument(&name).await.map_err(|error| chain_of(&error))?;
        let described = packument.and_then(|packument| packument.version(&key.1).ok().flatten());
        let url = described.ok_or("the registry does not know this version")?.tarball;
        let bytes = npm.fetch_tarball(&url).await.map_err(|error| chain_of(&error))?;
        Ok::<_, String>(gate.judge(&url, bytes).await)
    };
    let mut candidates = BTreeMap::new();
    if let Ok(arrived) = fetched.await {
        add(&mut candidates, &arrived, pins);
    }
    candidates.remove(key).unwrap_or_default()
}

fn add(candidates: &mut BTreeMap<Key, Vec<Candidate>>, arrived: &Arrived, pins: &Pins) {
    let subject = &arrived.finding.subject;
    if let (Some(files), Some(version)) = (&arrived.files, &subject.version) {
        let candidate = Candidate { integrity: arrived.integrity, files: Arc::clone(files) };
        let key = (subject.name.clone(), clean(version).to_owned());
        if is_pinned(pins, &key, &candidate.integrity) {
            candidates.entry(key).or_default().push(candidate);
        }
    }
}

/// Whether the lockfile has this hash for a release, or none.
fn is_pinned(pins: &Pins, key: &Key, integrity: &Integrity) -> bool {
    pins.get(key).is_none_or(|hashes| hashes.contains(integrity))
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
    let mut reason = "no tarball of that name and version, with the lockfile's hash, was checked".to_owned();
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
    if let Some(opened) = Folder::open(folder).map_err(|error| chain_of(&error))? {
        compare_opened(opened, files, mark, &mut missing)?;
    }
    // A bundled package may have been replaced by one that lies further up.
    match missing.into_iter().find(|path| !path.starts_with("node_modules/")) {
        Some(path) => Err(format!("{} is in the checked tarball, but not on disk", printable(path, 200))),
        None => Ok(()),
    }
}

/// What is there, against the list; takes what it finds from `missing`.
fn compare_opened<'a>(
    mut folder: Folder,
    files: &'a Files,
    mark: Option<&str>,
    missing: &mut BTreeSet<&'a str>,
) -> Result<(), String> {
    let mut open = vec![(String::new(), folder.list().map_err(|error| chain_of(&error))?)];
    while let Some((inner, entries)) = open.pop() {
        for (name, kind) in entries {
            let path = if inner.is_empty() { name } else { format!("{inner}/{name}") };
            let shown = || printable(&path, 200);
            let is_mark = mark == Some(path.as_str()) && folder.has_empty_file(&path);
            if is_of_another(&path, files) || (is_mark && !files.contains_key(&path)) {
                continue;
            }
            if kind.is_dir() {
                let entries = folder.list_inside(&path).map_err(|error| chain_of(&error))?;
                open.push((path, entries));
            } else if kind.is_symlink() {
                return Err(format!("{} is a symbolic link that the tarball does not have", shown()));
            } else if !kind.is_file() {
                return Err(format!("{} is neither a file nor a folder", shown()));
            } else {
                let (listed, file) = find_file(&path, files)
                    .ok_or_else(|| format!("{} is not in the checked tarball", shown()))?;
                let hash =
                    folder.file(&path).and_then(hash).map_err(|error| format!("{}: {error}", shown()))?;
                if hash != file.hash && Some(hash) != file.fixed {
                    return Err(format!("{} differs from the checked tarball", shown()));
                }
                missing.remove(listed);
            }
        }
    }
    Ok(())
}

/// The same for a package in an archive.
fn compare_archive(file: &Path, inside: &str, files: &Files) -> Result<(), String> {
    let found = plug::read_archive(file, inside)?;
    let mut missing: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    for (path, hash) in &found {
        let shown = || printable(path, 200);
        let (listed, file) =
            find_file(path, files).ok_or_else(|| format!("{} is not in the checked tarball", shown()))?;
        if *hash != file.hash && Some(*hash) != file.fixed {
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
/// commands that the package manager links there: in its own `node_modules`, and in those of what it bundles. A
/// folder of that name anywhere else is part of the package, whatever it holds.
fn is_of_another(path: &str, files: &Files) -> bool {
    let mut at = 0;
    while let Some(inside) = path[at..].strip_prefix("node_modules/") {
        if inside == ".bin" || inside.starts_with(".bin/") {
            let own = format!("{}node_modules/.bin/", &path[..at]);
            return !files.keys().any(|file| file.starts_with(&own));
        }
        let Some(name) = inside_name(inside) else { return false };
        let end = path.len() - inside.len() + name.len();
        if !files.contains_key(&format!("{}/package.json", &path[..end])) {
            return true;
        }
        at = path.len().min(end + 1);
    }
    false
}

/// The package of a path below a `node_modules`: `name` or `@scope/name`, when it is all there.
fn inside_name(inside: &str) -> Option<&str> {
    let mut ends = inside.match_indices('/').map(|(at, _)| at).chain([inside.len()]);
    let first = ends.next()?;
    if inside.starts_with('@') { ends.next().map(|at| &inside[..at]) } else { Some(&inside[..first]) }
}

/// What a package's own `node_modules` holds that its tarball did not bring, and that of each package which it
/// bundles.
fn packages_inside(root: &Path, package: &Package, files: &Files, tree: &mut Tree) -> Result<(), TreeError> {
    if matches!(package.place, Place::Archive { .. }) {
        return Ok(());
    }
    let mut open = vec![package.location.join("node_modules")];
    while let Some(modules) = open.pop() {
        if !root.join(&modules).is_dir() {
            continue;
        }
        let mut inside = Tree::default();
        tree::walk_nested(root, &modules, &mut inside)?;
        for inner in inside.packages {
            let path = inner.location.strip_prefix(&package.location).unwrap_or(&inner.location);
            if files.contains_key(&format!("{}/package.json", path.display())) {
                open.push(inner.location.join("node_modules"));
            } else {
                tree.packages.push(inner);
            }
        }
        tree.commands.extend(inside.commands);
        tree.linked.extend(inside.linked);
        tree.outside.extend(inside.outside);
    }
    Ok(())
}

/// The places of the packages that a tarball brings in the package's own `node_modules`.
fn bundled_in(package: &Package, files: &Files) -> Vec<PathBuf> {
    let names = files.keys().filter_map(|path| {
        let inside = path.strip_prefix("node_modules/")?.strip_suffix("/package.json")?;
        (inside_name(inside) == Some(inside)).then(|| package.location.join("node_modules").join(inside))
    });
    names.collect()
}

/// Name and version as a package.json says them.
pub(crate) fn identity(manifest: &Value) -> Key {
    let text =
        |field: &str| manifest.get(field).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let version = text("version");
    let version = version.trim_start_matches(['=', 'v', ' ']);
    (text("name"), clean(version).to_owned())
}

/// Folders whose package comes from no registry, with what asks for it.
pub(crate) fn sources_elsewhere<'a>(
    manifests: impl Iterator<Item = &'a Value>,
    fields: &[&str],
) -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    for manifest in manifests {
        for field in fields {
            let Some(Value::Object(specs)) = manifest.get(*field) else { continue };
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

fn hash(mut file: File) -> std::io::Result<B256> {
    let mut hasher = FileHasher::default();
    std::io::copy(&mut file, &mut hasher)?;
    Ok(hasher.finish())
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

fn in_anothers_place(misplaced: Misplaced) -> Finding {
    let Misplaced { asker, name, found } = misplaced;
    let asker = if asker.as_os_str().is_empty() { "the project".into() } else { asker.display().to_string() };
    let (called, received) = match found {
        Found::Package(found) => (found.clone(), printable(&found, 214)),
        Found::Folder(folder) => {
            let folder = folder.display();
            let said = format!("the project's folder {folder}, which nothing but a lockfile puts there");
            (name.clone(), printable(&said, 300))
        }
    };
    let problem = Problem {
        what: printable(&format!("identity, for {asker}"), 300),
        expected: printable(&format!("a package called {name}: that is what it asks for"), 300),
        received,
    };
    let subject = subject(Path::new(&asker), printable(&called, 214), None, Err(problem.clone()));
    Finding::new(subject, Outcome::Refused(problem))
}

/// From no registry, or from nobody knows where.
fn named_elsewhere(name: &str, location: &Path, what: &str) -> Finding {
    let source = Ok(Source::File { path: what.to_owned() });
    let subject = subject(location, printable(name, 214), None, source);
    Finding::new(subject, Outcome::Elsewhere(what.to_owned()))
}

/// The same, called what its folder is called.
fn elsewhere(location: &Path, what: &str) -> Finding {
    let shown = location.to_string_lossy();
    named_elsewhere(shown.rsplit_once("node_modules/").map_or(&*shown, |(_, name)| name), location, what)
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
