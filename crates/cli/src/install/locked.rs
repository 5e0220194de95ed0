//! npm's lockfile with what each entry's source is: read before npm runs, so that an entry that ties nothing to
//! its bytes gets nobody that far, and afterwards, because it names packages that did not come to this machine
//! (optional, for another platform) and that somebody else will install by it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use client::npm::NpmConfig;
use serde_json::Value;
use trust::{Integrity, PackageName};
use url::Url;

use super::assess::{Finding, Subject};
use super::entries::{Checked, Origin, Problem, Registries, Registry, Source, Tarball, check_entries};
use super::errors::FlowError;
use super::lockfile::{Entry, Lockfile, parse_lockfile};
use super::project::Project;
use crate::run_with::gate::{Placed, Releases, origin_of};

/// A tree, checked entry by entry.
#[derive(Debug)]
pub(crate) struct Locked {
    /// As it is written.
    pub(crate) lockfile: Lockfile,
    /// Where each entry comes from, or why it is refused.
    pub(crate) checked: Checked,
    /// The lockfile's text, and the project's manifest.
    made_of: (String, Value),
}

/// A tarball by name, version and hash.
pub(crate) type Known = (String, String, Integrity);

/// The hashes that a lockfile has for a release, by name and version.
pub(crate) type Pins = BTreeMap<(String, String), BTreeSet<Integrity>>;

impl Locked {
    /// Checks a lockfile's text beside the project's manifest. Asks nobody.
    pub(crate) fn check(
        text: String,
        manifest: Value,
        config: &NpmConfig,
        builtin: Option<&Url>,
    ) -> Result<Self, FlowError> {
        let lockfile = parse_lockfile(&text)?;
        let configured = Configured(config);
        let checked = check_entries(&lockfile, &manifest, &Registries { configured: &configured, builtin });
        Ok(Self { lockfile, checked, made_of: (text, manifest) })
    }

    /// The same for what lies in a project, if anything does. `before` was read there earlier, with the same
    /// configuration, and stands for as long as nothing was changed.
    pub(crate) fn read(
        root: &Path,
        config: &NpmConfig,
        builtin: Option<&Url>,
        before: Option<Self>,
    ) -> Result<Option<Self>, FlowError> {
        let project = Project { root: root.to_owned(), folder: root.to_owned() };
        let Some(text) = project.read_lockfile()? else { return Ok(None) };
        let made_of = (text, project.read_manifest()?);
        if let Some(same) = before.filter(|before| before.made_of == made_of) {
            return Ok(Some(same));
        }
        let (text, manifest) = made_of;
        Self::check(text, manifest, config, builtin).map(Some)
    }

    /// The entries as subjects; a link and the folder it leads to are one.
    pub(crate) fn subjects(&self) -> Vec<Subject> {
        self.subjects_that(|_, _| true)
    }

    fn subjects_that(&self, is_wanted: impl Fn(&Entry, &Result<Source, Problem>) -> bool) -> Vec<Subject> {
        let entries = self.lockfile.entries.values();
        let checked = entries.filter_map(|entry| Some((entry, self.checked.get(&entry.location)?)));
        let found =
            checked.filter(|(entry, source)| !(entry.link && source.is_ok()) && is_wanted(entry, source));
        let subjects = found.map(|(entry, source)| Subject {
            location: entry.location.clone(),
            name: entry.name.clone(),
            version: entry.version.clone(),
            manifest: entry.manifest.clone(),
            source: source.clone(),
        });
        subjects.collect()
    }

    /// What of it can be on record.
    pub(crate) fn releases(&self) -> Releases {
        let tarballs = self.checked.values().filter_map(|source| match source {
            Ok(Source::Tarball(tarball)) => Some((tarball.name.clone(), tarball.version.clone()?)),
            _ => None,
        });
        tarballs.collect()
    }

    /// What its tarballs hash to.
    pub(crate) fn pins(&self) -> Pins {
        let mut pins = Pins::new();
        for entry in self.lockfile.entries.values() {
            if let (Some(Ok(Source::Tarball(tarball))), Some(version)) =
                (self.checked.get(&entry.location), &entry.version)
            {
                let key = (tarball.name.to_string(), clean(version).to_owned());
                pins.entry(key).or_default().insert(tarball.integrity);
            }
        }
        pins
    }

    /// Those that are refused whatever anybody signed.
    pub(crate) fn refused(&self) -> Vec<Finding> {
        let refused = self.subjects_that(|_, source| source.is_err()).into_iter();
        refused.filter_map(|subject| Some(Finding::refused(subject.source.clone().err()?, subject))).collect()
    }

    /// What is still to be judged when the tarballs `known` were, and what lies below `root` was compared.
    pub(crate) fn rest(&self, root: &Path, known: &BTreeSet<Known>) -> Vec<Subject> {
        let is_there = |entry: &Entry| root.join(&entry.location).symlink_metadata().is_ok();
        self.subjects_that(|entry, source| match source {
            Err(_) => true,
            Ok(Source::Tarball(tarball)) => !known.contains(&release(entry, tarball)),
            Ok(Source::Own) => false,
            Ok(_) => !is_there(entry),
        })
    }

    /// Whether the project asks for what it asked for when the lockfile was written.
    pub(crate) fn is_asked_for_by(&self, project: &Value) -> bool {
        const ASKS: [&str; 5] =
            ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "workspaces"];
        let written = self.lockfile.root.manifest.as_ref();
        let asks = |value: &&Value| value.as_object().is_none_or(|asked| !asked.is_empty());
        ASKS.iter().all(|field| {
            let written = written.and_then(|written| written.get(*field)).filter(asks);
            written == project.get(*field).filter(asks)
        })
    }

    /// Whether everything that lies there, by name and version, is a tarball of this lockfile.
    pub(crate) fn holds(&self, present: &BTreeMap<(String, String), Integrity>) -> bool {
        let tarballs =
            self.lockfile.entries.values().filter_map(|entry| match self.checked.get(&entry.location)? {
                Ok(Source::Tarball(tarball)) => Some(release(entry, tarball)),
                _ => None,
            });
        let tarballs: BTreeSet<Known> = tarballs.collect();
        let mut present = present.iter();
        present.all(|((name, version), hash)| tarballs.contains(&(name.clone(), version.clone(), *hash)))
    }

    /// Whether one of the bundled packages at `locations` is in the tarball of `subject`.
    pub(crate) fn is_parent(&self, subject: &Subject, locations: &BTreeSet<String>) -> bool {
        let sources = locations.iter().filter_map(|location| self.checked.get(location));
        sources
            .into_iter()
            .any(|source| matches!(source, Ok(Source::Bundled { parent }) if *parent == subject.location))
    }

    /// Tarballs that are installed on every machine; with `less`, where npm leaves some kind of dependency out.
    pub(crate) fn needed(&self, less: bool) -> impl Iterator<Item = &Tarball> {
        self.checked.iter().filter_map(move |(location, source)| match source {
            Ok(Source::Tarball(tarball)) => {
                let entry = self.lockfile.entries.get(location)?;
                let is_plain = |manifest: &Value| {
                    ["dev", "devOptional", "peer"]
                        .iter()
                        .all(|kind| manifest.get(kind) != Some(&Value::Bool(true)))
                };
                let is_needed = !less || entry.manifest.as_ref().is_some_and(is_plain);
                (!entry.optional && is_needed).then_some(tarball)
            }
            _ => None,
        })
    }

    /// Tarballs that lie on another server than the registry they are asked for.
    pub(crate) fn places_elsewhere(&self) -> Vec<Placed> {
        let tarballs = self.checked.values().filter_map(|source| match source {
            Ok(Source::Tarball(tarball)) if matches!(tarball.origin, Origin::OtherHost(_)) => Some(Placed {
                name: tarball.name.to_string(),
                version: tarball.version.as_ref()?.to_string(),
                host: origin_of(tarball.url.as_ref()?)?,
            }),
            _ => None,
        });
        tarballs.collect()
    }

    /// Tarballs that npm did not install: optional, for another platform, or left out by its settings.
    pub(crate) fn left_out(&self, root: &Path) -> Vec<String> {
        let tarballs = self
            .checked
            .iter()
            .filter(|(_, source)| matches!(source, Ok(Source::Tarball(_))))
            .map(|(at, _)| at);
        tarballs.filter(|location| root.join(location).symlink_metadata().is_err()).cloned().collect()
    }
}

/// A tarball as an entry has it.
fn release(entry: &Entry, tarball: &Tarball) -> Known {
    let version = clean(entry.version.as_deref().unwrap_or_default());
    (tarball.name.to_string(), version.to_owned(), tarball.integrity)
}

/// Build metadata is not part of a published version.
pub(crate) fn clean(version: &str) -> &str {
    version.split_once('+').map_or(version, |(clean, _)| clean)
}

/// npm's configuration, as `entries` asks it.
#[derive(Debug)]
struct Configured<'a>(&'a NpmConfig);

impl Registry for Configured<'_> {
    fn registry_url(&self, name: &PackageName) -> Url {
        self.0.registry_for(name).url
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn integrity(of: &str) -> Integrity {
        Integrity::of(of.as_bytes())
    }

    fn entry(name: &str, host: &str) -> Value {
        json!({"version": "1.0.0", "resolved": format!("https://{host}/{name}/-/{name}-1.0.0.tgz"),
            "integrity": integrity(name).to_string()})
    }

    /// `a` with a bundled package, `b` for another platform, on another server, `c` from a repository.
    fn lockfile() -> Value {
        let mut b = entry("b", "files.example");
        b["optional"] = json!(true);
        json!({"lockfileVersion": 3, "packages": {
            "": {"dependencies": {"a": "1", "c": "git+https://git.example/c.git"}, "optionalDependencies": {"b": "1"}},
            "node_modules/a": entry("a", "registry.example"),
            "node_modules/a/node_modules/inside": {"version": "1.0.0", "inBundle": true},
            "node_modules/b": b,
            "node_modules/c": {"version": "1.0.0", "resolved": format!("git+https://git.example/c.git#{}", "0".repeat(40))},
        }})
    }

    fn check(lockfile: &Value) -> Locked {
        let url = "https://registry.example/".parse().unwrap();
        Locked::check(lockfile.to_string(), json!({}), &NpmConfig::for_registry(url, None), None).unwrap()
    }

    fn locked() -> Locked {
        check(&lockfile())
    }

    #[test]
    fn what_neither_came_nor_lies_there_is_still_to_be_judged() {
        let locked = locked();
        let root = tempfile::tempdir().unwrap();
        let rest = |known: &[&str]| -> Vec<String> {
            let known =
                known.iter().map(|name| ((*name).to_owned(), "1.0.0".to_owned(), integrity(name))).collect();
            locked.rest(root.path(), &known).into_iter().map(|subject| subject.name).collect()
        };
        assert_eq!(rest(&[]), ["a", "inside", "b", "c"]);
        assert_eq!(rest(&["a", "b"]), ["inside", "c"]);
        for there in ["a/node_modules/inside", "b", "c"] {
            std::fs::create_dir_all(root.path().join("node_modules").join(there)).unwrap();
        }
        // That something lies in its folder does not make a tarball a judged one.
        assert_eq!(rest(&[]), ["a", "b"]);
        assert_eq!(locked.left_out(root.path()), Vec::<String>::new());
        std::fs::remove_dir(root.path().join("node_modules/b")).unwrap();
        assert_eq!(locked.left_out(root.path()), ["node_modules/b"]);
    }

    #[test]
    fn what_was_read_earlier_stands_until_the_lockfile_or_the_manifest_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, value: &Value| {
            std::fs::write(folder.path().join(name), value.to_string()).unwrap();
        };
        let config = NpmConfig::for_registry("https://registry.example/".parse().unwrap(), None);
        let read =
            |before: Option<Locked>| Locked::read(folder.path(), &config, None, before).unwrap().unwrap();
        let mut lockfile = lockfile();
        write("package.json", &json!({}));
        write("package-lock.json", &lockfile);
        let first = read(None);
        let entries: Vec<_> = first.checked.keys().cloned().collect();
        let second = read(Some(first));
        assert_eq!(second.checked.keys().cloned().collect::<Vec<_>>(), entries);
        // Another lockfile.
        lockfile["packages"]["node_modules/a"]["integrity"] = json!(integrity("other").to_string());
        write("package-lock.json", &lockfile);
        let third = read(Some(second));
        let pinned = |locked: &Locked| locked.pins()[&("a".to_owned(), "1.0.0".to_owned())].clone();
        assert_eq!(pinned(&third), [integrity("other")].into());
        // Another manifest.
        write("package.json", &json!({"name": "p"}));
        let fourth = read(Some(third));
        assert_eq!(fourth.made_of.1, json!({"name": "p"}));
    }

    #[test]
    fn what_every_machine_gets_is_needed_and_of_a_part_what_is_for_users() {
        let mut lockfile = lockfile();
        lockfile["packages"]["node_modules/d"] = entry("d", "registry.example");
        lockfile["packages"]["node_modules/d"]["dev"] = json!(true);
        let locked = check(&lockfile);
        let needed = |less| locked.needed(less).map(|tarball| tarball.name.as_str()).collect::<Vec<_>>();
        assert_eq!(needed(false), ["a", "d"]);
        assert_eq!(needed(true), ["a"]);
    }

    #[test]
    fn tarballs_on_another_server_are_known_by_their_release() {
        let places = locked().places_elsewhere();
        let host = "https://files.example/".parse().unwrap();
        assert_eq!(places, [Placed { name: "b".to_owned(), version: "1.0.0".to_owned(), host }]);
    }

    #[test]
    fn only_what_the_lockfile_names_is_its_tree() {
        let locked = locked();
        let present = |hash: Integrity| BTreeMap::from([(("a".to_owned(), "1.0.0".to_owned()), hash)]);
        assert!(locked.holds(&present(integrity("a"))));
        assert!(!locked.holds(&present(integrity("other"))));
    }

    #[test]
    fn a_project_that_asks_for_something_else_is_not_the_one_of_the_lockfile() {
        let locked = locked();
        let asks = json!({"name": "p", "dependencies": {"c": "git+https://git.example/c.git", "a": "1"},
            "optionalDependencies": {"b": "1"}, "devDependencies": {}});
        assert!(locked.is_asked_for_by(&asks));
        for (field, value) in [
            ("dependencies", json!({"a": "1"})),
            ("devDependencies", json!({"d": "1"})),
            ("optionalDependencies", json!({})),
            ("workspaces", json!(["packages/*"])),
        ] {
            let mut other = asks.clone();
            other[field] = value;
            assert!(!locked.is_asked_for_by(&other), "{field}");
        }
    }
}
