//! What lies on disk, held against who asks for it. A lockfile or a registry's document says what a package manager
//! lays where; neither is in anybody's bytes. The manifests are, and they were compared. Reads no file.
//!
//! - The project asks for each package, or one that is itself asked for; something that lies there declares each command.
//! - Who asks for a package gets one of that name, unless he or the project itself names another one for it. So
//!   what an unsigned package says of a name counts for that package alone.
//! - He gets a folder of the project only where he or the project itself names it, or where it is a workspace of that
//!   name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::compare::{identity, is_elsewhere};
use super::members::Members;
use super::tree::{TreeError, without_version};

/// Everybody who asks, and what lies where.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// What the project itself asks for.
    roots: BTreeSet<String>,
    /// Every command that is declared.
    pub(crate) commands: BTreeSet<String>,
    /// One declares a whole folder of commands.
    pub(crate) any_command: bool,
    /// By folder, what each asks for.
    askers: BTreeMap<PathBuf, BTreeMap<String, String>>,
    /// By folder, the package that lies there; none where it is the project's own or comes from no registry.
    located: BTreeMap<PathBuf, Option<String>>,
    /// By place, the folder that a link there leads to.
    links: BTreeMap<PathBuf, PathBuf>,
    /// By place, the folder of the project that a link there leads to.
    own: BTreeMap<PathBuf, PathBuf>,
}

/// A package in another's place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misplaced {
    /// Who asks.
    pub(crate) asker: PathBuf,
    /// For what.
    pub(crate) name: String,
    /// What he gets.
    pub(crate) found: Found,
}

/// What somebody gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The package called so.
    Package(String),
    /// A folder of the project.
    Folder(PathBuf),
}

impl Asked {
    /// What the package in `folder` asks for and declares.
    pub(crate) fn add(&mut self, folder: &Path, manifest: &Value, is_own: bool) {
        let fields = ["dependencies", "optionalDependencies", "peerDependencies", "devDependencies"];
        let specs = self.askers.entry(folder.to_owned()).or_default();
        for field in fields.iter().filter(|field| is_own || **field != "devDependencies") {
            for (name, spec) in manifest.get(*field).and_then(Value::as_object).into_iter().flatten() {
                specs.entry(name.clone()).or_insert_with(|| spec.as_str().unwrap_or_default().to_owned());
            }
        }
        if is_own {
            self.roots.extend(specs.iter().flat_map(|(name, spec)| names_of(name, spec)));
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

    /// The project asks for these as well.
    pub(crate) fn add_roots(&mut self, names: impl IntoIterator<Item = String>) {
        self.roots.extend(names);
    }

    /// Every name that the project asks for, or a package that is asked for itself. One that nobody but itself and its
    /// like ask for is none of them. `present`: the names that packages lie under, and where.
    pub(crate) fn reached(&self, present: &[(String, PathBuf)]) -> BTreeSet<String> {
        let mut places: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
        for (name, location) in present {
            places.entry(name).or_default().push(location);
        }
        let mut reached = self.roots.clone();
        let mut waiting: Vec<String> = reached.iter().cloned().collect();
        while let Some(name) = waiting.pop() {
            let askers = places.get(name.as_str()).into_iter().flatten();
            let specs = askers.filter_map(|location| self.askers.get(*location)).flatten();
            for asked in specs.flat_map(|(name, spec)| names_of(name, spec)) {
                if reached.insert(asked.clone()) {
                    waiting.push(asked);
                }
            }
        }
        reached
    }

    /// What lies in a folder.
    pub(crate) fn lies(&mut self, folder: PathBuf, package: Option<String>) {
        self.located.insert(folder, package);
    }

    /// A link to a folder of the project.
    pub(crate) fn leads(&mut self, place: PathBuf, folder: PathBuf) {
        self.lies(place.clone(), None);
        self.own.insert(place, folder);
    }

    /// Links stand for what they lead to, which has to be a package that was compared.
    pub(crate) fn follow(&mut self, links: Vec<(PathBuf, PathBuf)>) -> Result<(), TreeError> {
        let mut followed = Vec::with_capacity(links.len());
        for (location, target) in links {
            let Some(package) = self.located.get(&target) else {
                return Err(TreeError::Astray { location, target });
            };
            followed.push((location.clone(), package.clone()));
            self.links.insert(location, target);
        }
        self.located.extend(followed);
        Ok(())
    }

    /// Whoever gets another package than he asks for. `replaced` says whether the project itself names the second
    /// for the first; `table` is what a table gives somebody, where there is one.
    pub(crate) fn misplaced(
        &self,
        table: &[(PathBuf, String, String)],
        replaced: impl Fn(&str, &str) -> bool,
    ) -> Vec<Misplaced> {
        let by_folder = self.askers.iter().flat_map(|(asker, specs)| {
            let found = move |name: &String| Some((asker, name.clone(), self.resolve(asker, name)?));
            specs.keys().filter_map(found)
        });
        let by_table = table.iter().map(|(asker, name, found)| (asker, name.clone(), found.clone()));
        let is_other = |(asker, name, found): &(&PathBuf, String, String)| {
            let spec = self.askers.get(*asker).and_then(|specs| specs.get(name)).map(String::as_str);
            let is_said = spec.is_some_and(|spec| {
                is_elsewhere(spec)
                    || spec.strip_prefix("npm:").is_some_and(|target| without_version(target) == found)
            });
            name != found && !is_said && !replaced(name, found)
        };
        let all = by_folder.chain(by_table).filter(is_other);
        let found = |(asker, name, found): (&PathBuf, String, String)| Misplaced {
            asker: asker.clone(),
            name,
            found: Found::Package(found),
        };
        all.map(found).collect()
    }

    /// Whoever gets a folder of the project, and it is not the one that he means. `table` is what a table gives somebody.
    pub(crate) fn misled(&self, table: &[(PathBuf, String, PathBuf)], members: &Members) -> Vec<Misplaced> {
        // Most projects have no folder that anybody could get.
        let askers = self.askers.iter().filter(|_| !self.own.is_empty());
        let by_folder = askers.flat_map(|(asker, specs)| {
            specs
                .keys()
                .filter_map(move |name| Some((asker, name, self.own.get(&self.place_of(asker, name)?)?)))
        });
        // A table also names everybody for himself.
        let by_table = table.iter().filter(|(asker, _, folder)| asker != folder);
        let by_table = by_table.map(|(asker, name, folder)| (asker, name, folder));
        let is_other = |(asker, name, folder): &(&PathBuf, &String, &PathBuf)| {
            let spec = self.askers.get(*asker).and_then(|specs| specs.get(*name));
            !members.is_meant(asker, name, spec.map_or("", String::as_str), folder)
        };
        let found = |(asker, name, folder): (&PathBuf, &String, &PathBuf)| Misplaced {
            asker: asker.clone(),
            name: name.clone(),
            found: Found::Folder(folder.clone()),
        };
        by_folder.chain(by_table).filter(is_other).map(found).collect()
    }

    /// Links to folders of the project that nobody asks for: their names, and where they lie.
    pub(crate) fn idle(&self, members: &Members) -> Vec<(String, &Path)> {
        if self.own.is_empty() {
            return Vec::new();
        }
        let places = |(asker, specs): (&PathBuf, &BTreeMap<String, String>)| {
            specs.keys().filter_map(|name| self.place_of(asker, name)).collect::<Vec<_>>()
        };
        let used: BTreeSet<PathBuf> = self.askers.iter().flat_map(places).collect();
        let idle = self.own.iter().filter(|(place, _)| !used.contains(*place));
        let named = idle.map(|(place, folder)| (name_of(place), place.as_path(), folder));
        named
            .filter(|(name, _, folder)| !members.has(name, folder))
            .map(|(name, place, _)| (name, place))
            .collect()
    }

    /// From where else than a registry the package called `name` at `location` was asked for, where all say so who get
    /// that one. What a package says of a name counts for nobody else.
    pub(crate) fn elsewhere(&self, name: &str, location: &Path) -> Option<&str> {
        let mut said = None;
        for (asker, specs) in &self.askers {
            let Some(spec) = specs.get(name) else { continue };
            let place = self.place_of(asker, name);
            let place = place.as_ref().map(|place| self.links.get(place).unwrap_or(place));
            // Where a table stands for folders, all who ask for that name are taken to get it.
            if place.is_some_and(|place| place != location) {
                continue;
            }
            if !is_elsewhere(spec) {
                return None;
            }
            said = Some(spec.as_str());
        }
        said
    }

    /// The package that `name` means in the folder `from`.
    fn resolve(&self, from: &Path, name: &str) -> Option<String> {
        self.located.get(&self.place_of(from, name)?).cloned().flatten()
    }

    /// Where it lies: in the nearest `node_modules` upwards.
    fn place_of(&self, from: &Path, name: &str) -> Option<PathBuf> {
        let folders =
            from.ancestors().filter(|folder| folder.file_name().is_none_or(|last| last != "node_modules"));
        let mut places = folders.map(|folder| folder.join("node_modules").join(name));
        places.find(|place| self.located.contains_key(place))
    }
}

/// The name that what lies at a place below a `node_modules` is found by.
pub(crate) fn name_of(place: &Path) -> String {
    let parts: Vec<_> = place.iter().map(|part| part.to_string_lossy()).collect();
    match parts.as_slice() {
        [.., scope, name] if scope.starts_with('@') => format!("{scope}/{name}"),
        [.., name] => name.to_string(),
        [] => String::new(),
    }
}

/// The name that a package is asked for by, and the one that it has where that is another.
fn names_of(name: &str, spec: &str) -> impl Iterator<Item = String> {
    let target = spec.strip_prefix("npm:").map(|target| without_version(target).to_owned());
    std::iter::once(name.to_owned()).chain(target)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_and_declared_is_read_from_the_manifests_on_disk() {
        let mut asked = Asked::default();
        let mut add = |manifest: Value, is_own| asked.add(Path::new(""), &manifest, is_own);
        add(json!({"name": "app", "devDependencies": {"a": "1"}, "bin": "./x.js"}), true);
        add(
            json!({"name": "@s/b", "dependencies": {"c": "1"}, "devDependencies": {"d": "1"}, "bin": {"e": "e.js"}}),
            false,
        );
        add(json!({"name": "@s/f", "bin": "f.js", "peerDependencies": {"g": "*"}}), false);
        assert_eq!(asked.reached(&[]), ["a"].map(str::to_owned).into());
        assert_eq!(asked.commands, ["app", "e", "f"].map(str::to_owned).into());
        assert!(!asked.any_command);
        asked.add(Path::new(""), &json!({"directories": {"bin": "./tools"}}), false);
        assert!(asked.any_command);
    }

    #[test]
    fn who_is_asked_for_by_himself_alone_is_not_asked_for() {
        let mut asked = Asked::default();
        let mut present = Vec::new();
        asked.add(Path::new(""), &json!({"dependencies": {"a": "1", "mine": "npm:c@1"}}), true);
        for (name, asks) in [
            ("a", json!({"b": "1"})),
            ("b", json!({"a": "1"})),
            ("c", json!({"d": "npm:e@1"})),
            ("e", json!({})),
            ("evil", json!({"evil": "*"})),
            ("odd", json!({"even": "*"})),
            ("even", json!({"odd": "*"})),
        ] {
            let location = Path::new("node_modules").join(name);
            asked.add(&location, &json!({ "dependencies": asks }), false);
            present.push((name.to_owned(), location));
        }
        let reached = asked.reached(&present);
        assert_eq!(reached, ["a", "b", "c", "d", "e", "mine"].map(str::to_owned).into());
    }

    /// The project asks for `a`, which asks for `b`; `other` lies where `b` is looked for.
    #[track_caller]
    fn check(a: &str, b: &str, manifest: Value, expected: &[&str]) {
        let mut asked = Asked::default();
        asked.add(Path::new(""), &json!({"dependencies": {"a": "1"}}), true);
        asked.add(Path::new(a), &manifest, false);
        asked.lies(a.into(), Some("a".to_owned()));
        asked.lies(b.into(), Some("other".to_owned()));
        // What a package says of a name counts for itself.
        asked.add(Path::new("node_modules/other"), &json!({"dependencies": {"b": "npm:other@1"}}), false);
        let found = asked.misplaced(&[], |_, _| false);
        let found: Vec<String> =
            found.iter().map(|one| format!("{} {}", one.asker.display(), one.name)).collect();
        assert_eq!(found, expected, "{a} {b}");
        assert_eq!(asked.misplaced(&[], |name, found| (name, found) == ("b", "other")), []);
    }

    #[test]
    fn who_asks_for_a_package_gets_one_of_that_name_wherever_it_lies() {
        let asks = || json!({"dependencies": {"b": "^1"}});
        check("node_modules/a", "node_modules/b", asks(), &["node_modules/a b"]);
        check("node_modules/a", "node_modules/a/node_modules/b", asks(), &["node_modules/a b"]);
        let store = "node_modules/.pnpm/a@1/node_modules";
        check(&format!("{store}/a"), &format!("{store}/b"), asks(), &[&format!("{store}/a b")]);
        check("node_modules/a", "node_modules/c/node_modules/b", asks(), &[]);
        check(
            "node_modules/a",
            "node_modules/b",
            json!({"peerDependencies": {"b": "1"}}),
            &["node_modules/a b"],
        );
        check("node_modules/a", "node_modules/b", json!({"dependencies": {"b": "npm:other@1"}}), &[]);
        check("node_modules/a", "node_modules/b", json!({"dependencies": {"b": "file:../x"}}), &[]);
        check("node_modules/a", "node_modules/b", json!({"devDependencies": {"b": "1"}}), &[]);
    }

    #[test]
    fn what_a_package_says_of_a_name_counts_for_nobody_else() {
        let own = Path::new("node_modules/p/node_modules/b");
        let (shared, p) = (Path::new("node_modules/b"), Path::new("node_modules/p"));
        let mut asked = Asked::default();
        asked.add(p, &json!({"dependencies": {"b": "file:x"}}), false);
        asked.lies(p.into(), Some("p".to_owned()));
        asked.lies(shared.into(), Some("b".to_owned()));
        assert_eq!(asked.elsewhere("b", shared), Some("file:x"));
        // The same folder is meant by somebody who wants it from the registry.
        asked.add(Path::new("node_modules/q"), &json!({"dependencies": {"b": "^1"}}), false);
        assert_eq!(asked.elsewhere("b", shared), None);
        asked.lies(own.into(), Some("b".to_owned()));
        assert_eq!((asked.elsewhere("b", shared), asked.elsewhere("b", own)), (None, Some("file:x")));
    }

    #[test]
    fn a_link_stands_for_the_package_that_it_leads_to() {
        let mut asked = Asked::default();
        asked.add(Path::new(""), &json!({"dependencies": {"b": "1"}}), true);
        asked.lies("node_modules/.pnpm/x@1/node_modules/x".into(), Some("x".to_owned()));
        let link = |target: &str| vec![("node_modules/b".into(), PathBuf::from(target))];
        assert!(asked.follow(link("node_modules/.pnpm/x@1/node_modules/x/lib")).is_err());
        asked.follow(link("node_modules/.pnpm/x@1/node_modules/x")).unwrap();
        let found = asked.misplaced(&[], |_, _| false);
        let found_as = Found::Package("x".into());
        assert_eq!(found, [Misplaced { asker: "".into(), name: "b".into(), found: found_as }]);
    }

    #[test]
    fn what_a_table_gives_somebody_counts_as_well() {
        let mut asked = Asked::default();
        asked.add(Path::new("a.zip"), &json!({"dependencies": {"b": "1", "c": "npm:other@1"}}), false);
        let gives = |name: &str| vec![(PathBuf::from("a.zip"), name.to_owned(), "other".to_owned())];
        assert_eq!(asked.misplaced(&gives("b"), |_, _| false).len(), 1);
        assert_eq!(asked.misplaced(&gives("c"), |_, _| false).len(), 0);
    }
}
