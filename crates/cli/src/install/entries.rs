//! What a lockfile's entries say about where each package comes from, checked before anything is fetched.
//! Goes nowhere and asks nobody: what the chain says of the bytes comes after.
//!
//! The rules, each with a test that breaks only it:
//! 1. A tarball has exactly one sha512. npm accepts the second of two hashes, so a list protects nothing.
//! 2. `inBundle` replaces a hash only where there is neither `resolved` nor `integrity`, and only below a
//!    package that comes as a tarball: the folder is then part of that tarball's bytes.
//! 3. A folder holds the package it is named after, unless a dependent asks for another one there.
//! 4. `resolved` on the registry does not name another package than the entry.
//! 5. A git dependency names one commit.
//! 6. A folder outside `node_modules` is a workspace or the target of a link, and has no source of its own. Who asks the
//!    registry for a package gets one of these only where it is a workspace, or the project names a path for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use trust::text::printable;
use trust::{Integrity, PackageName, Version};
use url::Url;

use super::lockfile::{Entry, Lockfile};
use crate::run_with::members::path_of;
use crate::run_with::root::{is_listed, workspaces_of};

/// Where an entry's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a tarball")]
pub(crate) enum Source {
    /// A tarball with one sha512.
    Tarball(Tarball),
    /// A commit of a git repository.
    Git {
        /// Where, for a person; no credentials.
        repository: String,
    },
    /// A tarball or a folder on this machine that npm copies.
    File {
        /// The path as written.
        path: String,
    },
    /// A workspace, or a link to a folder of the project itself.
    Own,
    /// A folder outside the project, or a link to it.
    Outside {
        /// The path.
        target: String,
    },
    /// Inside the tarball of the entry at `parent`.
    Bundled {
        /// That entry's location.
        parent: String,
    },
}

/// A tarball entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tarball {
    /// Whose it is, an alias resolved.
    pub(crate) name: PackageName,
    /// `None` when it is not strict SemVer, so that nobody can have signed it.
    pub(crate) version: Option<Version>,
    /// The one hash that npm will enforce.
    pub(crate) integrity: Integrity,
    /// Where npm will fetch it; `None` when the lockfile leaves that to the registry.
    pub(crate) url: Option<Url>,
    /// Who serves it.
    pub(crate) origin: Origin,
}

/// Who serves a tarball.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Origin {
    /// The registry that npm is configured to ask for this name.
    Registry,
    /// Another host, though the dependent asked the registry: a mirror, or dependency confusion.
    OtherHost(String),
    /// A URL that a dependent names.
    Url(String),
}

/// Why an entry is refused, whatever anybody signed. There is no policy for these: npm would install
/// something that nothing ties to what was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// What is wrong, in words.
    pub(crate) what: String,
    /// What should be there.
    pub(crate) expected: String,
    /// What is there.
    pub(crate) received: String,
}

/// Which registry serves a name, and which host stands for it in lockfiles written elsewhere.
#[derive(Debug)]
pub(crate) struct Registries<'a> {
    /// The configured registry of a name.
    pub(crate) configured: &'a dyn Registry,
    /// npm's built-in registry: npm swaps it for the configured one when it meets it in `resolved`.
    pub(crate) builtin: Option<&'a Url>,
}

/// The registry configured for a name.
pub(crate) trait Registry: std::fmt::Debug {
    /// Its URL.
    fn registry_url(&self, name: &PackageName) -> Url;
}

/// One entry with what its source is, or why it is refused.
pub(crate) type Checked = BTreeMap<String, Result<Source, Problem>>;

/// Checks every entry of `lockfile`; `project` is the project's own package.json.
pub(crate) fn check_entries(lockfile: &Lockfile, project: &Value, registries: &Registries<'_>) -> Checked {
    let specs = specs_by_location(lockfile, project);
    let linked: BTreeSet<&str> = lockfile
        .entries
        .values()
        .filter(|entry| entry.link)
        .filter_map(|entry| entry.resolved.as_deref())
        .collect();
    lockfile
        .entries
        .values()
        .map(|entry| {
            let specs = specs.get(entry.location.as_str()).map_or(&[][..], Vec::as_slice);
            let source = match &entry.folder {
                _ if entry.link => check_link(entry, specs, project, lockfile),
                None => check_folder(entry, &linked),
                Some(folder) => check_package(entry, folder, specs, project, lockfile, registries),
            };
            (entry.location.clone(), source)
        })
        .collect()
}

/// Whether two addresses lead to the same server.
pub(crate) fn same_host(one: &Url, other: &Url) -> bool {
    one.host() == other.host() && one.port_or_known_default() == other.port_or_known_default()
}

/// A host for a person to read: no credentials, no query.
pub(crate) fn shown_host(url: &Url) -> String {
    let host = printable(url.host_str().unwrap_or("nowhere"), 100);
    url.port().map_or(host.clone(), |port| format!("{host}:{port}"))
}

fn problem(what: &str, expected: &str, received: &str) -> Problem {
    Problem { what: what.to_owned(), expected: expected.to_owned(), received: printable(received, 200) }
}

fn check_package(
    entry: &Entry,
    folder: &str,
    specs: &[&str],
    project: &Value,
    lockfile: &Lockfile,
    registries: &Registries<'_>,
) -> Result<Source, Problem> {
    if entry.in_bundle && entry.resolved.is_none() && entry.integrity.is_none() {
        return check_bundled(entry, lockfile);
    }
    let name: PackageName = entry.name.parse().map_err(|error: trust::name::NameError| {
        problem("name", "a package name", &format!("{}: {error}", entry.name))
    })?;
    if entry.name != folder && !is_asked_for(folder, &entry.name, specs, project) {
        return Err(problem(
            &format!("folder {folder}"),
            &format!("the package {folder}: nothing asks for another one there"),
            &format!("the package {}", entry.name),
        ));
    }
    match entry.resolved.as_deref() {
        Some(resolved) if is_git(resolved) => check_git(resolved),
        Some(resolved) if resolved.starts_with("file:") => {
            if let Some(integrity) = &entry.integrity {
                check_integrity(Some(integrity))?;
            }
            Ok(Source::File { path: printable(&resolved[5..], 200) })
        }
        resolved => check_tarball(entry, name, resolved, specs, registries).map(Source::Tarball),
    }
}

/// Rules 1 and 4.
fn check_tarball(
    entry: &Entry,
    name: PackageName,
    resolved: Option<&str>,
    specs: &[&str],
    registries: &Registries<'_>,
) -> Result<Tarball, Problem> {
    let integrity = check_integrity(entry.integrity.as_deref())?;
    let version = entry.version.as_deref().ok_or_else(|| problem("version", "a version", "none"))?;
    let version = version.parse().ok();
    let Some(resolved) = resolved else {
        return Ok(Tarball { name, version, integrity, url: None, origin: Origin::Registry });
    };
    let mut url = match Url::parse(resolved) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() => url,
        _ => return Err(problem("resolved", "an http(s), git or file address", resolved)),
    };
    let registry = registries.configured.registry_url(&name);
    if registries.builtin.is_some_and(|builtin| builtin.host_str() == url.host_str()) {
        url = moved_to(&registry, &url);
    }
    let origin = if specs.iter().any(|spec| spec.starts_with("http:") || spec.starts_with("https:")) {
        Origin::Url(shown_host(&url))
    } else if url.origin() == registry.origin() {
        check_tarball_path(&url, &name)?;
        Origin::Registry
    } else {
        Origin::OtherHost(shown_host(&url))
    };
    Ok(Tarball { name, version, integrity, url: Some(url), origin })
}

fn check_integrity(integrity: Option<&str>) -> Result<Integrity, Problem> {
    let text = integrity.unwrap_or("");
    text.parse().map_err(|error: trust::hashes::IntegrityError| {
        let received = if text.is_empty() { "none".to_owned() } else { format!("{text} ({error})") };
        problem("integrity", "exactly one sha512 of 64 bytes", &received)
    })
}

/// Rule 4: npm's registries serve `…/<name>/-/<file>.tgz`; other layouts say nothing, and the package.json
/// on disk is compared later in any case.
fn check_tarball_path(url: &Url, name: &PackageName) -> Result<(), Problem> {
    let path = url.path().replace("%2f", "/").replace("%2F", "/").replace("%40", "@");
    let Some((before, _)) = path.split_once("/-/") else { return Ok(()) };
    let names_it =
        before.strip_suffix(name.as_str()).and_then(|rest| rest.strip_suffix('/')).is_some_and(|rest| {
            // `/@scope/a` is not the package `a`.
            name.scope().is_some() || !rest.rsplit('/').next().is_some_and(|last| last.starts_with('@'))
        });
    if names_it { Ok(()) } else { Err(problem("resolved", &format!("a tarball of {name}"), &path)) }
}

/// What npm makes of its built-in registry's address: the configured registry's host and path in front.
fn moved_to(registry: &Url, url: &Url) -> Url {
    let mut moved = registry.clone();
    let prefix = registry.path().trim_end_matches('/').to_owned();
    moved.set_path(&format!("{prefix}{}", url.path()));
    moved.set_query(url.query());
    moved
}

/// Rule 2.
fn check_bundled(entry: &Entry, lockfile: &Lockfile) -> Result<Source, Problem> {
    let mut location = entry.location.as_str();
    while let Some(at) = location.rfind("/node_modules/") {
        location = &location[..at];
        match lockfile.entries.get(location) {
            Some(parent) if parent.in_bundle && parent.integrity.is_none() => {}
            Some(parent) if parent.integrity.is_some() => {
                return Ok(Source::Bundled { parent: location.to_owned() });
            }
            _ => break,
        }
    }
    Err(problem("inBundle", "a parent that comes as a tarball", "no such parent"))
}

/// Rule 5.
fn check_git(resolved: &str) -> Result<Source, Problem> {
    let (repository, commit) = resolved.rsplit_once('#').unwrap_or((resolved, ""));
    if !matches!(commit.len(), 40 | 64) || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(problem("git dependency", "one commit after '#'", resolved));
    }
    let shown = match Url::parse(repository) {
        Ok(url) => format!("{}{}#{}", shown_host(&url), printable(url.path(), 120), &commit[..12]),
        Err(_) => {
            format!("{}#{}", printable(repository.rsplit('@').next().unwrap_or(""), 120), &commit[..12])
        }
    };
    Ok(Source::Git { repository: shown })
}

/// Rule 6, for links.
fn check_link(
    entry: &Entry,
    specs: &[&str],
    project: &Value,
    lockfile: &Lockfile,
) -> Result<Source, Problem> {
    let target = entry.resolved.as_deref().unwrap_or("");
    if entry.integrity.is_some() || entry.in_bundle {
        return Err(problem("link", "a folder and nothing else", "a hash beside it"));
    }
    match lockfile.entries.get(target) {
        Some(folder) if folder.folder.is_none() && !folder.link => {}
        _ => return Err(problem("link", "a folder that the lockfile lists", target)),
    }
    let source = place_of(target);
    // What nobody asks for any more npm takes away.
    if source == Source::Own && !specs.is_empty() && !is_the_projects_word(entry, specs, project, lockfile) {
        let name = entry.folder.as_deref().unwrap_or_default();
        let expected = format!("a workspace, or a folder that the project names for {name} itself");
        return Err(problem("link", &expected, target));
    }
    Ok(source)
}

/// Whether the project means this folder: as a workspace, or by a path. Which path, and what the folder's package is
/// called, shows only where it lies: that is compared.
fn is_the_projects_word(entry: &Entry, specs: &[&str], project: &Value, lockfile: &Lockfile) -> bool {
    let folder = entry.folder.as_deref().unwrap_or_default();
    let target = Path::new(entry.resolved.as_deref().unwrap_or_default());
    let is_workspace = workspaces_of(project).is_some_and(|patterns| is_listed(&patterns, target));
    let own = lockfile.entries.values().filter(|entry| entry.folder.is_none() && !entry.link);
    let by_folders = own.filter_map(|entry| entry.requirements.get(folder)).map(String::as_str);
    let by_root = KINDS.iter().filter_map(|kind| project.get(kind)?.get(folder)?.as_str());
    let said = specs.iter().copied().chain(by_folders).chain(by_root);
    is_workspace || said.chain(override_specs(project, folder)).any(|spec| path_of(spec).is_some())
}

/// Rule 6, for what links point to.
fn check_folder(entry: &Entry, linked: &BTreeSet<&str>) -> Result<Source, Problem> {
    if entry.resolved.is_some() || entry.integrity.is_some() || entry.in_bundle {
        return Err(problem(
            "folder of the project",
            "no source of its own",
            entry.resolved.as_deref().unwrap_or("a hash"),
        ));
    }
    if !linked.contains(entry.location.as_str()) {
        return Err(problem("folder of the project", "a link to it", "none"));
    }
    Ok(place_of(&entry.location))
}

fn place_of(location: &str) -> Source {
    if location.starts_with("..") {
        Source::Outside { target: printable(location, 200) }
    } else {
        Source::Own
    }
}

/// Rule 3: whether a dependent asks for `name` in the folder `folder`: by `npm:name@…`, by a source
/// that is not the registry (what its package is called shows only after fetching), or by an override.
fn is_asked_for(folder: &str, name: &str, specs: &[&str], project: &Value) -> bool {
    let asks = |spec: &str| alias_name(spec).is_some_and(|alias| alias == name) || is_source(spec);
    specs.iter().any(|spec| asks(spec)) || override_specs(project, folder).iter().any(|spec| asks(spec))
}

/// `real` of `npm:real@range`.
fn alias_name(spec: &str) -> Option<&str> {
    let rest = spec.trim().strip_prefix("npm:")?;
    Some(match rest.rfind('@') {
        Some(at) if at > 0 => &rest[..at],
        _ => rest,
    })
}

/// Whether a dependency's value names a source instead of versions on the registry.
fn is_source(spec: &str) -> bool {
    let spec = spec.trim();
    spec.contains("://")
        || [
            "git@",
            "git+",
            "github:",
            "gitlab:",
            "bitbucket:",
            "gist:",
            "file:",
            "link:",
            "./",
            "../",
            "/",
            "~/",
        ]
        .iter()
        .any(|prefix| spec.starts_with(prefix))
        || (spec.contains('/') && !spec.starts_with("npm:") && !spec.starts_with("workspace:"))
}

fn is_git(resolved: &str) -> bool {
    resolved.starts_with("git+")
        || resolved.starts_with("git:")
        || resolved.starts_with("git@")
        || ["github:", "gitlab:", "bitbucket:", "gist:"].iter().any(|prefix| resolved.starts_with(prefix))
}

/// Every value that the project's `overrides` give for `folder`, `$reference`s resolved.
fn override_specs<'a>(project: &'a Value, folder: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut open: Vec<&Value> = project.get("overrides").into_iter().collect();
    while let Some(Value::Object(overrides)) = open.pop() {
        for (key, value) in overrides {
            let name = match key.rfind('@') {
                Some(at) if at > 0 => &key[..at],
                _ => key.as_str(),
            };
            match value {
                Value::Object(inner) => {
                    if name == folder {
                        found.extend(inner.get(".").and_then(Value::as_str));
                    }
                    open.push(value);
                }
                Value::String(spec) if name == folder => found.push(spec),
                _ => {}
            }
        }
    }
    for spec in &mut found {
        if let Some(reference) = spec.strip_prefix('$') {
            *spec = KINDS.iter().find_map(|kind| project.get(kind)?.get(reference)?.as_str()).unwrap_or(spec);
        }
    }
    found
}

const KINDS: [&str; 4] = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// What every dependent asks for, by the location that node's resolution gives it.
fn specs_by_location<'a>(lockfile: &'a Lockfile, project: &'a Value) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut specs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut note = |from: &str, name: &str, spec: &'a str| {
        if let Some(location) = resolve(lockfile, from, name) {
            specs.entry(location).or_default().push(spec);
        }
    };
    for kind in KINDS {
        for (name, spec) in project.get(kind).and_then(Value::as_object).into_iter().flatten() {
            if let Some(spec) = spec.as_str() {
                note("", name, spec);
            }
        }
    }
    for entry in lockfile.entries.values().filter(|entry| !entry.link) {
        for (name, spec) in &entry.requirements {
            note(&entry.location, name, spec);
        }
    }
    specs
}

/// Where node finds `name` from the folder `from`: the nearest `node_modules` upwards.
fn resolve<'a>(lockfile: &'a Lockfile, from: &str, name: &str) -> Option<&'a str> {
    let mut folder = from;
    loop {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        if let Some((location, _)) = lockfile.entries.get_key_value(&format!("{prefix}node_modules/{name}")) {
            return Some(location);
        }
        if folder.is_empty() {
            return None;
        }
        folder = folder.rfind('/').map_or("", |at| &folder[..at]);
        if folder.ends_with("..") {
            return None;
        }
    }
}

#[cfg(test)]
#[path = "entries_tests.rs"]
mod tests;
