//! What the lockfiles of pnpm, yarn and bun name of a registry: name, version, and the hash where one stands there.
//! Much of it does not come to this machine (other platforms), and somebody else will install by it.
//!
//! Decides nothing about what is installed here: that is compared, whatever a lockfile says. So an entry that is
//! written in some other way is passed over and is no error. What npm's says is `locked`'s matter.
//!
//! Formats: pnpm 6 to 9, yarn 1, yarn 2 and later, bun's text form; as pnpm 9 to 11, yarn 1 and 4, and bun 1.4 write
//! them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use trust::{Integrity, PackageName, Version};

use super::assess::Subject;
use super::entries::{Origin, Problem, Source, Tarball};
use super::locked::{Known, Pins, clean};
use super::lockfile::MAX_LOCKFILE_BYTES;
use super::project::read_bounded;
use crate::run_with::gate::Releases;
use crate::run_with::manager::Kind;

/// A release that a lockfile names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pinned {
    /// Its name, an alias resolved.
    pub(crate) name: PackageName,
    /// Its version.
    pub(crate) version: Version,
    /// The hash as it is written; yarn 4 has one of its own archives only.
    pub(crate) integrity: Option<String>,
}

impl Pinned {
    fn parse(name: &str, version: &str, integrity: Option<&str>) -> Option<Self> {
        let integrity = integrity.map(str::to_owned);
        Some(Self { name: name.parse().ok()?, version: clean(version).parse().ok()?, integrity })
    }

    /// Its hash, where there is one of the kind that counts.
    pub(crate) fn hash(&self) -> Option<Integrity> {
        self.integrity.as_ref()?.parse().ok()
    }

    /// Whether the registry is to be asked for it.
    pub(crate) fn needs_hash(&self) -> bool {
        self.hash().is_none() && self.has_two().is_none()
    }

    /// What to find out; `hash` is its own or the one that the registry announces.
    pub(crate) fn subject(&self, lockfile: &str, hash: Integrity) -> Subject {
        let tarball = Tarball {
            name: self.name.clone(),
            version: Some(self.version.clone()),
            integrity: hash,
            url: None,
            origin: Origin::Registry,
        };
        let source = self.has_two().map_or(Ok(Source::Tarball(tarball)), Err);
        Subject {
            location: format!("{lockfile}: {}@{}", self.name, self.version),
            name: self.name.to_string(),
            version: Some(self.version.to_string()),
            manifest: None,
            source,
        }
    }

    /// With two hashes either of the two is accepted.
    fn has_two(&self) -> Option<Problem> {
        let text = self.integrity.as_ref().filter(|text| text.matches("sha512-").count() > 1)?;
        Some(Problem {
            what: "integrity".to_owned(),
            expected: "exactly one sha512 of 64 bytes".to_owned(),
            received: trust::text::printable(text, 300),
        })
    }
}

/// Those of which no tarball was judged: not the one of its hash, or none at all where it has no hash.
pub(crate) fn open(pinned: BTreeSet<Pinned>, known: &BTreeSet<Known>) -> Vec<Pinned> {
    let versions: BTreeSet<(&str, &str)> =
        known.iter().map(|(name, version, _)| (name.as_str(), version.as_str())).collect();
    let is_known = |one: &Pinned| {
        let version = one.version.to_string();
        match one.hash() {
            Some(hash) => known.contains(&(one.name.to_string(), version, hash)),
            None => versions.contains(&(one.name.as_str(), version.as_str())) && one.has_two().is_none(),
        }
    };
    pinned.into_iter().filter(|one| !is_known(one)).collect()
}

/// What they hash to, where that stands there.
pub(crate) fn pins(kind: Kind, root: &Path) -> Pins {
    let mut pins = Pins::new();
    for one in read(kind, root).1 {
        if let Some(hash) = one.hash() {
            let key = (one.name.to_string(), clean(&one.version.to_string()).to_owned());
            pins.entry(key).or_default().insert(hash);
        }
    }
    pins
}

/// What of it can be on record.
pub(crate) fn releases(kind: Kind, root: &Path) -> Releases {
    read(kind, root).1.into_iter().map(|one| (one.name, one.version)).collect()
}

/// Reads what lies in a project, with the name of the file.
pub(crate) fn read(kind: Kind, root: &Path) -> (&'static str, BTreeSet<Pinned>) {
    let (file, parse): (_, fn(&str) -> Vec<Pinned>) = match kind {
        Kind::Npm => return ("package-lock.json", BTreeSet::new()),
        Kind::Pnpm => ("pnpm-lock.yaml", parse_pnpm),
        Kind::YarnClassic => ("yarn.lock", parse_yarn_classic),
        Kind::Yarn => ("yarn.lock", parse_yarn),
        Kind::Bun => ("bun.lock", parse_bun),
    };
    let bytes = read_bounded(&root.join(file), MAX_LOCKFILE_BYTES).ok().flatten().unwrap_or_default();
    (file, parse(&String::from_utf8_lossy(&bytes)).into_iter().collect())
}

/// `name` and what follows its `@`.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.char_indices().skip(1).find(|(_, c)| *c == '@')?.0;
    Some((&text[..at], &text[at + 1..]))
}

fn bare(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

/// `packages:`, then `  name@1.0.0:` with `    resolution: {integrity: …}` below; older ones begin with a slash.
fn parse_pnpm(text: &str) -> Vec<Pinned> {
    let lines = text.lines().skip_while(|line| line.trim_end() != "packages:").skip(1);
    let mut found = Vec::new();
    let mut key = "";
    for line in lines.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        if let Some(text) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            key = bare(text.trim_end().trim_end_matches(':')).trim_start_matches('/');
        } else if let Some(resolution) = line.trim_start().strip_prefix("resolution:") {
            let integrity =
                resolution.split_once("integrity: ").map(|(_, rest)| rest.split([',', '}']).next());
            let plain = key.split_once('(').map_or(key, |(plain, _)| plain);
            let pinned = split(plain).zip(integrity.flatten());
            found.extend(pinned.and_then(|((name, version), integrity)| {
                Pinned::parse(name, version, Some(bare(integrity)))
            }));
        }
    }
    found
}

/// `name@range, name@range:` with `  version "…"`, `  resolved "…"` and `  integrity …` below.
fn parse_yarn_classic(text: &str) -> Vec<Pinned> {
    let blocks = text.split("\n\n").map(|block| block.trim_start_matches('\n'));
    let one = |block: &str| {
        let mut lines = block.lines().filter(|line| !line.starts_with('#'));
        let header = lines.find(|line| !line.trim().is_empty())?;
        let first = bare(header.trim_end_matches(':').split(',').next()?);
        let (folder, range) = split(first)?;
        let name = range.strip_prefix("npm:").and_then(split).map_or(folder, |(name, _)| name);
        let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.trim().split_once(' ')).collect();
        let of = |field: &str| fields.iter().find(|(name, _)| *name == field).map(|(_, value)| bare(value));
        // Folders have no address, repositories another.
        of("resolved").filter(|address| address.contains("/-/") || !address.contains(".git"))?;
        Pinned::parse(name, of("version")?, of("integrity"))
    };
    blocks.filter_map(one).collect()
}

/// `  resolution: "name@npm:1.0.0"`.
fn parse_yarn(text: &str) -> Vec<Pinned> {
    let locators = text.lines().filter_map(|line| line.trim().strip_prefix("resolution:").map(bare));
    let one = |locator: &str| {
        let (name, reference) = split(locator)?;
        let version = reference.strip_prefix("npm:")?;
        Pinned::parse(name, version.split("::").next()?, None)
    };
    locators.filter_map(one).collect()
}

/// JSON with commas at the end of lists; `"packages": {"place": ["name@1.0.0", "address", {…}, "sha512-…"]}`.
fn parse_bun(text: &str) -> Vec<Pinned> {
    let Ok(lockfile) = serde_json::from_str::<Value>(&without_last_commas(text)) else { return vec![] };
    let entries = lockfile.get("packages").and_then(Value::as_object).into_iter().flatten();
    let one = |(_, entry): (&String, &Value)| {
        let (name, version) = split(entry.get(0)?.as_str()?)?;
        Pinned::parse(name, version, entry.as_array()?.last()?.as_str())
    };
    entries.filter_map(one).collect()
}

fn without_last_commas(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let (mut in_text, mut escaped) = (false, false);
    for character in text.chars() {
        if !in_text && matches!(character, ']' | '}') && plain.trim_end().ends_with(',') {
            plain.truncate(plain.trim_end().len() - 1);
        }
        plain.push(character);
        in_text ^= character == '"' && !escaped;
        escaped = in_text && character == '\\' && !escaped;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(found: &[Pinned]) -> Vec<String> {
        found
            .iter()
            .map(|one| format!("{} {} {}", one.name, one.version, one.integrity.as_deref().unwrap_or("-")))
            .collect()
    }

    #[test]
    fn what_comes_from_a_registry_is_read_out_of_every_lockfile() {
        let pnpm = "lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n      x:\n        version: 1.0.0\n\npackages:\n\n  '@s/a@1.0.0':\n    resolution: {integrity: sha512-a}\n    os: [sunos]\n\n  b@2.0.0-rc.1:\n    resolution: {integrity: sha512-b, tarball: http://h/b.tgz}\n\n  /c@1.0.0(d@1.0.0):\n    resolution: {integrity: sha512-c}\n\n  d@file:../d:\n    resolution: {directory: ../d, type: directory}\n\n  e@https://h/e.tgz:\n    resolution: {integrity: sha512-e, tarball: https://h/e.tgz}\n\nsnapshots:\n\n  f@1.0.0: {}\n";
        assert_eq!(
            shown(&parse_pnpm(pnpm)),
            ["@s/a 1.0.0 sha512-a", "b 2.0.0-rc.1 sha512-b", "c 1.0.0 sha512-c"]
        );
        let classic = "# yarn lockfile v1\n\n\n\"@s/a@^1.0.0\", \"@s/a@1\":\n  version \"1.0.0\"\n  resolved \"http://h/@s/a/-/a-1.0.0.tgz#00\"\n  integrity sha512-a\n  dependencies:\n    b \"1\"\n\n\"al@npm:b@1\":\n  version \"1.1.0\"\n  resolved \"http://h/b/-/b-1.1.0.tgz#00\"\n\n\"g@git://h/g.git\":\n  version \"1.0.0\"\n  resolved \"git://h/g.git#00\"\n\n\"f@file:./f\":\n  version \"1.0.0\"\n";
        assert_eq!(shown(&parse_yarn_classic(classic)), ["@s/a 1.0.0 sha512-a", "b 1.1.0 -"]);
        let yarn = "__metadata:\n  version: 8\n\n\"@s/a@npm:1\":\n  version: 1.0.0\n  resolution: \"@s/a@npm:1.0.0\"\n  conditions: os=sunos\n\n\"p@workspace:.\":\n  resolution: \"p@workspace:.\"\n\n\"b@npm:1\":\n  resolution: \"b@npm:1.0.0::__archiveUrl=x\"\n";
        assert_eq!(shown(&parse_yarn(yarn)), ["@s/a 1.0.0 -", "b 1.0.0 -"]);
        let bun = r#"{"packages": {"@s/a": ["@s/a@1.0.0", "", {"os": "sunos",}, "sha512-a"], "al": ["b@1.0.0", "", {}, "sha512-,}"], "g": ["g@git+ssh://h/g#0", {}, "x"], "w": ["w@workspace:w"],},}"#;
        assert_eq!(shown(&parse_bun(bun)), ["@s/a 1.0.0 sha512-a", "b 1.0.0 sha512-,}"]);
        assert!(parse_bun("{").is_empty() && parse_pnpm("").is_empty() && parse_yarn_classic("a").is_empty());
    }

    #[test]
    fn what_was_judged_is_known_by_its_hash_or_else_by_its_version() {
        let hash = Integrity::of(b"a");
        let known = BTreeSet::from([("a".to_owned(), "1.0.0".to_owned(), hash)]);
        let of = |version: &str, text: Option<String>| {
            let pinned = Pinned::parse("a", version, text.as_deref()).unwrap();
            open(BTreeSet::from([pinned]), &known).is_empty()
        };
        assert!(
            of("1.0.0", Some(hash.to_string()))
                && of("1.0.0", None)
                && of("1.0.0", Some("sha1-x".to_owned()))
        );
        let other = Integrity::of(b"b");
        assert!(!of("1.0.1", None) && !of("1.0.0", Some(other.to_string())));
        let text = format!("{hash} {other}");
        assert!(!of("1.0.0", Some(text.clone())));
        let two = Pinned::parse("a", "1.0.0", Some(&text)).unwrap();
        assert_eq!(two.subject("l", hash).source.unwrap_err().expected, "exactly one sha512 of 64 bytes");
    }
}
