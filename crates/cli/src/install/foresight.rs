//! npm asks for the document of one package after the other, each time waiting for the answer. This guesses from every
//! document that passes which ones it will ask for next, and has them fetched in the meantime. A wrong guess costs a
//! request; what is right to install is decided elsewhere, by npm and by the checks.

use std::borrow::Borrow as _;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use client::npm::NpmClient;
use proxy::{Ahead, Asked, Early, Gate, Purpose, Ruling};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use trust::PackageName;

use super::npm_cache::{self, Kept};
use crate::run_with::announced::{Described, Document, Text};
use crate::run_with::gate::name_of_document;

/// Documents that are asked for ahead in one run: more than the biggest trees have.
const MAX_GUESSES: usize = 20_000;

/// What npm will want.
#[derive(Debug)]
pub(crate) struct Foresight {
    npm: NpmClient,
    cache: Option<PathBuf>,
    now: u64,
    early: OnceLock<Early>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In which form npm wants documents: as it asked for the first.
    accept: Option<String>,
    /// What was asked for, or will be, with the range that led there.
    begun: HashMap<PackageName, String>,
    /// What the project asks for, until the form is known.
    waiting: Vec<PackageName>,
}

impl Foresight {
    /// For a project with these manifests; what its `lockfile` names will not be asked for.
    pub(crate) fn new(npm: NpmClient, manifests: &[Value], lockfile: Option<&str>, now: u64) -> Self {
        let mut state = State::default();
        let locked = lockfile.map(locked_names);
        for name in locked.iter().flatten() {
            state.begun.insert(name.clone(), String::new());
        }
        for manifest in manifests.iter().filter(|_| locked.is_none()) {
            for field in ["dependencies", "devDependencies", "optionalDependencies"] {
                let asked = manifest.get(field).and_then(Value::as_object);
                for (name, spec) in asked.into_iter().flatten() {
                    let Some((name, range)) = target(name, spec) else { continue };
                    if !state.begun.contains_key(&name) {
                        state.begun.insert(name.clone(), range);
                        state.waiting.push(name);
                    }
                }
            }
        }
        let cache = npm.config().cache().map(PathBuf::from);
        Self { npm, cache, now, early: OnceLock::new(), state: Mutex::new(state) }
    }

    /// Whom to tell what is to be fetched.
    pub(crate) fn begin(&self, early: Early) {
        let _ = self.early.set(early);
    }

    /// How many packages it thinks there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().begun.len()
    }

    /// Looks at a document that passes: what is to be fetched now.
    pub(crate) fn see(&self, asked: &Asked, document: &Document<'_>) -> Vec<PackageName> {
        let Some(name) = name_of_document(asked.url.path()) else { return vec![] };
        let mut state = self.lock();
        let mut next = Vec::new();
        if asked.purpose == Purpose::Client {
            state.accept = state.accept.take().or_else(|| asked.accept.clone());
            next = std::mem::take(&mut state.waiting);
        }
        let range = state.begun.entry(name).or_default().clone();
        for (name, range) in needs(document, &range) {
            if state.begun.len() < MAX_GUESSES && !state.begun.contains_key(&name) {
                state.begun.insert(name.clone(), range);
                next.push(name);
            }
        }
        if state.accept.is_none() {
            state.waiting.append(&mut next);
        }
        next
    }

    /// Has documents fetched.
    pub(crate) fn fetch(&self, next: &[PackageName]) {
        if let Some(early) = self.early.get() {
            early.fetch(next.iter().filter_map(|name| self.ahead(name)));
        }
    }

    /// The request that npm will make; none where it will make none.
    fn ahead(&self, name: &PackageName) -> Option<Ahead> {
        let url = self.npm.package_url(name).ok()?;
        let kept = self.cache.as_ref().map_or(Kept::No, |cache| npm_cache::kept(cache, &url, self.now));
        let if_none_match = match kept {
            Kept::Fresh => return None,
            Kept::Stale { etag } => Some(etag),
            Kept::No => None,
        };
        let authorization = self.npm.config().authorization_for(&url).map(|value| value.into_header_value());
        Some(Ahead { url, authorization, accept: self.lock().accept.clone(), if_none_match })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A gate for a run that only resolves: nothing is unpacked, so there is nothing to judge yet.
impl Gate for Foresight {
    async fn tarball(&self, _: &Asked, _: Bytes) -> Ruling {
        Ruling::Release
    }

    async fn document(&self, asked: &Asked, bytes: Bytes) -> Ruling {
        if let Ok(Some(document)) = Document::parse(&bytes) {
            self.fetch(&self.see(asked, &document));
        }
        Ruling::Release
    }
}

/// The names in npm's lockfile.
fn locked_names(text: &str) -> HashSet<PackageName> {
    #[derive(Deserialize)]
    struct Lockfile<'a> {
        #[serde(borrow, default)]
        packages: HashMap<String, &'a RawValue>,
    }
    let lockfile: Lockfile<'_> = match serde_json::from_str(text) {
        Ok(lockfile) => lockfile,
        Err(_) => return HashSet::new(),
    };
    let names = lockfile.packages.keys().filter_map(|place| place.rsplit_once("node_modules/"));
    names.filter_map(|(_, name)| name.parse().ok()).collect()
}

/// Which package a dependency means, and in which range; none where that is none of a registry.
fn target(name: &str, spec: &Value) -> Option<(PackageName, String)> {
    let spec = spec.as_str()?.trim();
    let (name, range) = match spec.strip_prefix("npm:") {
        None => (name, spec),
        Some(alias) => match alias.char_indices().skip(1).find(|(_, letter)| *letter == '@') {
            Some((at, _)) => (alias.get(..at)?, alias.get(at + 1..)?),
            None => (alias, ""),
        },
    };
    (!range.contains([':', '/'])).then_some((name.parse().ok()?, range.to_owned()))
}

/// What the version asks for that npm will choose for `range`.
fn needs(document: &Document<'_>, range: &str) -> Vec<(PackageName, String)> {
    let Some(chosen) = choose(document, range) else { return vec![] };
    let dependencies = read(chosen.dependencies);
    let optional = read(chosen.optional_dependencies);
    let (peers, meta) = (read(chosen.peer_dependencies), read(chosen.peer_dependencies_meta));
    let is_optional =
        |name: &str| meta.get(name).and_then(|meta| meta.get("optional")) == Some(&Value::Bool(true));
    let peers = peers.iter().filter(|(name, _)| !is_optional(name));
    let all = dependencies.iter().chain(&optional).chain(peers);
    all.filter_map(|(name, spec)| target(name, spec)).collect()
}

/// An object of a document; empty where it is something else.
fn read(raw: Option<&RawValue>) -> BTreeMap<String, Value> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// Nearly as npm chooses: a tag, that very version, the newest where it fits, else the highest of the same line.
fn choose<'a>(document: &'a Document<'_>, range: &str) -> Option<&'a Described<'a>> {
    let versions = document.versions.as_ref()?;
    let tags = read(document.dist_tags);
    let tagged = |tag: &str| tags.get(tag).and_then(Value::as_str);
    if let Some(found) = tagged(range).and_then(|tagged| versions.get(tagged)).or_else(|| versions.get(range))
    {
        return Some(found);
    }
    let latest = tagged("latest");
    let Some(line) = line_of(range) else { return versions.get(latest?) };
    let fits = |version: &str| parse(version).is_some_and(|numbers| numbers.starts_with(&line));
    if let Some(latest) = latest.filter(|latest| fits(latest)) {
        return versions.get(latest);
    }
    let numbers = |version: &Text<'_>| parse(version.borrow());
    let fitting = versions.iter().filter(|(version, _)| fits((*version).borrow()));
    fitting.max_by_key(|(version, _)| numbers(version)).map(|(_, found)| found)
}

/// The numbers that all versions of a range share, `[1]` for `^1.2.3`; none where the newest fits.
fn line_of(range: &str) -> Option<Vec<u64>> {
    let last = range.rsplit("||").next()?.trim();
    let bare = last.trim_start_matches(['^', '~', '=', 'v', ' ']);
    if last.starts_with(['>', '<']) || !bare.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let first = bare.split([' ', '-', '+']).next()?;
    let numbers: Vec<u64> = first.split('.').map_while(|part| part.parse().ok()).collect();
    let shared = match (last.starts_with('^'), last.starts_with('~')) {
        // The first that is not zero.
        (true, _) => numbers.iter().position(|number| *number != 0).map_or(numbers.len(), |at| at + 1),
        (_, true) => numbers.len().min(2),
        _ => numbers.len(),
    };
    numbers.get(..shared).map(<[u64]>::to_vec)
}

/// The three numbers of a version that is no prerelease.
fn parse(version: &str) -> Option<[u64; 3]> {
    let plain = version.split('+').next()?;
    let mut parts = plain.split('.').map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asks(document: &str, range: &str) -> Vec<(PackageName, String)> {
        needs(&Document::parse(document.as_bytes()).unwrap().unwrap(), range)
    }

    #[test]
    fn the_version_that_npm_will_choose_is_guessed() {
        let document = json!({
            "dist-tags": {"latest": "2.1.0", "next": "3.0.0-rc.1"},
            "versions": {
                "0.3.1": {"dependencies": {"v0-3-1": "*"}}, "1.2.0": {"dependencies": {"v1-2-0": "*"}},
                "1.10.0": {"dependencies": {"v1-10-0": "*"}}, "1.11.0-rc.1": {"dependencies": {"v1-11-0": "*"}},
                "2.1.0": {"dependencies": {"v2-1-0": "*"}}, "3.0.0-rc.1": {"dependencies": {"v3-0-0": "*"}},
            },
        })
        .to_string();
        for (range, expected) in [
            ("", "v2-1-0"),
            ("*", "v2-1-0"),
            ("^1.2.0", "v1-10-0"),
            ("~1.2.0", "v1-2-0"),
            ("1.x", "v1-10-0"),
            ("1", "v1-10-0"),
            ("1.2.0", "v1-2-0"),
            ("^0.3.0", "v0-3-1"),
            ("^1 || ^2", "v2-1-0"),
            (">=1", "v2-1-0"),
            ("next", "v3-0-0"),
            ("2.1.0", "v2-1-0"),
        ] {
            let names: Vec<_> = asks(&document, range).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, [expected.parse().unwrap()], "{range}");
        }
        assert!(asks(&document, "^9").is_empty());
    }

    #[test]
    fn what_a_version_needs_is_what_npm_will_ask_a_registry_for() {
        let document = json!({"dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {
            "dependencies": {"a": "1", "fork": "git+https://forge.example/a.git", "short": "user/repo", "here": "file:x"},
            "devDependencies": {"never": "1"}, "optionalDependencies": {"b": "^2"},
            "peerDependencies": {"c": "3", "d": "4"}, "peerDependenciesMeta": {"d": {"optional": true}},
        }}});
        let mut found = asks(&document.to_string(), "");
        found.push(target("alias", &json!("npm:@s/real@^5")).unwrap());
        found.push(target("alias", &json!("npm:real")).unwrap());
        let found: Vec<_> = found.iter().map(|(name, range)| format!("{name} {range}")).collect();
        assert_eq!(found, ["a 1", "b ^2", "c 3", "@s/real ^5", "real "]);
    }

    #[test]
    fn what_the_lockfile_names_is_not_asked_for() {
        let lockfile =
            json!({"packages": {"": {}, "node_modules/a": {}, "node_modules/a/node_modules/@s/b": {}}});
        let mut names: Vec<_> =
            locked_names(&lockfile.to_string()).into_iter().map(|name| name.to_string()).collect();
        names.sort();
        assert_eq!(names, ["@s/b", "a"]);
        assert!(locked_names("{").is_empty());
    }
}
