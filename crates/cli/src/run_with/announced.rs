//! What the documents of a run say about tarballs: whose they are, which hash they have and where they lie. A document
//! is read once, for this and for the guess about what comes next ([`crate::install::foresight`]). A tree of a few
//! hundred packages has tens of thousands of versions in its documents, so little is kept of each.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use trust::Integrity;
use trust::text::printable;
use url::Url;

use super::gate::{Placed, decoded, origin_of};
use crate::install::locked::clean;

/// Addresses that are remembered.
const MAX_ANNOUNCED: usize = 2_000_000;

/// The hashes that a registry announces, by name and version.
pub(crate) type Announcements = HashMap<(String, String), BTreeSet<Integrity>>;

/// Text that lies in the document, unless something in it is escaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl std::borrow::Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A document about a package: all of its versions, or one.
#[derive(Debug, Deserialize)]
pub(crate) struct Document<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) versions: Option<HashMap<Text<'a>, Described<'a>>>,
    #[serde(borrow)]
    version: Option<Text<'a>>,
    #[serde(borrow)]
    dist: Option<Dist<'a>>,
    #[serde(borrow, rename = "dist-tags")]
    pub(crate) dist_tags: Option<&'a RawValue>,
}

/// One version in it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Described<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    version: Option<Text<'a>>,
    #[serde(borrow)]
    dist: Option<Dist<'a>>,
    #[serde(borrow)]
    pub(crate) dependencies: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) optional_dependencies: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) peer_dependencies: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) peer_dependencies_meta: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Dist<'a> {
    #[serde(borrow)]
    tarball: Option<Text<'a>>,
    #[serde(borrow)]
    integrity: Option<Text<'a>>,
}

/// What is behind an address, as a document of the registry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    /// The server, where that is one.
    host: Option<Arc<Url>>,
    /// Whose document said so.
    about: Arc<str>,
    /// Whose tarball it is.
    pub(crate) name: Arc<str>,
    /// Which version of it.
    pub(crate) version: Box<str>,
    /// The hash of it.
    pub(crate) integrity: Option<Integrity>,
}

/// Everything that was announced, by the path of its address.
#[derive(Debug, Default)]
pub(crate) struct Board {
    by_path: HashMap<Box<str>, Vec<Announced>>,
}

impl Described<'_> {
    /// The version that it says it is.
    pub(crate) fn version(&self) -> Option<&str> {
        self.version.as_ref().map(|version| &*version.0)
    }

    /// Where its tarball lies.
    pub(crate) fn tarball(&self) -> Option<&str> {
        self.dist.as_ref()?.tarball.as_ref().map(|tarball| &*tarball.0)
    }
}

impl<'a> Document<'a> {
    /// Reads it: none when it has nothing to do with packages, such as a list of advisories or a ping; `Err` with a
    /// reason when it has and cannot be read, and when it is not JSON.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, String> {
        let reason = |error: serde_json::Error| printable(&error.to_string(), 200);
        match serde_json::from_slice(bytes) {
            Ok(document) => Ok(Some(document)),
            Err(error) => {
                let value: Value = serde_json::from_slice(bytes).map_err(|error| {
                    format!("expected JSON that can be read, received: {}", reason(error))
                })?;
                let about_package = value.get("versions").is_some() || value.get("dist").is_some();
                if about_package { Err(reason(error)) } else { Ok(None) }
            }
        }
    }

    /// The package that a document about one is about, as the answer to `path`; none where it is about none.
    pub(crate) fn subject(&self, path: &str) -> Result<Option<&str>, String> {
        let describes = self.versions.is_some() || self.dist.is_some();
        match &self.name {
            // Whoever asked for one package would take it for that one, whatever it calls itself.
            Some(Text(name)) if describes && !is_document_of(path, name) => {
                Err(format!("it is about {} and not about {}", printable(name, 214), printable(path, 300)))
            }
            Some(Text(name)) => Ok(Some(name)),
            None if describes => Err("it does not say which package it is about".to_owned()),
            None => Ok(None),
        }
    }

    /// The tarballs that it announces, each with the path of its address.
    pub(crate) fn announced(&self, subject: &str) -> Vec<(Box<str>, Announced)> {
        let about: Arc<str> = subject.into();
        let mut servers = Servers::default();
        let mut announced = Vec::with_capacity(self.versions.as_ref().map_or(1, HashMap::len));
        let mut add = |named: Option<&Text<'_>>, version: &Text<'_>, dist: Option<&Dist<'_>>| {
            let Some(Dist { tarball: Some(tarball), integrity }) = dist else { return };
            let Some((host, path)) = servers.split(&tarball.0) else { return };
            let same = named.is_none_or(|named| *named.0 == *about);
            let one = Announced {
                host,
                name: named.filter(|_| !same).map_or_else(|| Arc::clone(&about), |named| (*named.0).into()),
                about: Arc::clone(&about),
                version: (*version.0).into(),
                integrity: integrity.as_ref().and_then(|text| text.0.parse().ok()),
            };
            announced.push((path, one));
        };
        for (key, described) in self.versions.iter().flatten() {
            let version = described.version.as_ref().unwrap_or(key);
            add(described.name.as_ref(), version, described.dist.as_ref());
        }
        if let Some(version) = &self.version {
            add(None, version, self.dist.as_ref());
        }
        announced
    }
}

/// Splits addresses into server and path. Nearly all of a document begin alike, and parsing them is most of what reading
/// it takes.
#[derive(Debug, Default)]
struct Servers {
    /// How the last address began, up to its path.
    beginning: String,
    host: Option<Arc<Url>>,
}

impl Servers {
    /// The server, where it is one of http, and the path as [`Url::path`] has it; none for what is no address.
    fn split(&mut self, address: &str) -> Option<(Option<Arc<Url>>, Box<str>)> {
        let known =
            address.strip_prefix(&self.beginning).filter(|path| !self.beginning.is_empty() && is_plain(path));
        if let Some(path) = known {
            return Some((self.host.clone(), path.into()));
        }
        let url = Url::parse(address).ok()?;
        let host = origin_of(&url).map(Arc::new);
        if let Some(beginning) = address.strip_suffix(url.path()).filter(|_| is_plain(url.path())) {
            beginning.clone_into(&mut self.beginning);
            self.host.clone_from(&host);
        }
        Some((host, url.path().into()))
    }
}

/// Whether parsing leaves a path as it is: nothing in it is escaped, ends it or leads up.
fn is_plain(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~@+/".contains(&byte);
    path.starts_with('/') && path.bytes().all(is_plain) && !path.contains("/.")
}

impl Board {
    /// Adds what a document announces.
    pub(crate) fn add(&mut self, announced: Vec<(Box<str>, Announced)>) -> Result<(), String> {
        self.by_path.reserve(announced.len());
        for (path, one) in announced {
            if self.by_path.len() >= MAX_ANNOUNCED {
                return Err(format!("the registry announced more than {MAX_ANNOUNCED} tarballs"));
            }
            // Nearly always the only one.
            let there = self.by_path.entry(path).or_insert_with(|| Vec::with_capacity(1));
            if !there.contains(&one) {
                there.push(one);
            }
        }
        Ok(())
    }

    /// What is said of the tarball at this address; where nothing is, what is said of that path on other servers.
    pub(crate) fn at(&self, url: &Url) -> Vec<Announced> {
        let Some(all) = self.by_path.get(url.path()) else { return vec![] };
        let host = url.host_str().unwrap_or_default();
        let is_here =
            |one: &&Announced| one.host.as_ref().is_some_and(|there| there.host_str() == Some(host));
        let here: Vec<Announced> = all.iter().filter(is_here).cloned().collect();
        if here.is_empty() { all.clone() } else { here }
    }

    /// The hashes of `wanted`, as documents about them say; versions without build metadata.
    pub(crate) fn hashes<'a>(&self, wanted: impl IntoIterator<Item = &'a (String, String)>) -> Announcements {
        let wanted: HashSet<(&str, &str)> =
            wanted.into_iter().map(|(name, version)| (name.as_str(), clean(version))).collect();
        let mut hashes = Announcements::new();
        if wanted.is_empty() {
            return hashes;
        }
        for one in self.by_path.values().flatten().filter(|one| one.about == one.name) {
            let version = clean(&one.version);
            if let Some(integrity) = one.integrity.filter(|_| wanted.contains(&(&*one.name, version))) {
                hashes.entry((one.name.to_string(), version.to_owned())).or_default().insert(integrity);
            }
        }
        hashes
    }

    /// Where tarballs lie.
    pub(crate) fn places(&self) -> Vec<Placed> {
        let place = |one: &Announced| {
            let host = Url::clone(one.host.as_deref()?);
            Some(Placed { name: one.name.to_string(), version: one.version.to_string(), host })
        };
        self.by_path.values().flatten().filter_map(place).collect()
    }
}

/// Whether a document about `name` may be the answer to `path`: `…/name`, or `…/name/version`.
fn is_document_of(path: &str, name: &str) -> bool {
    let path = decoded(path.trim_end_matches('/'));
    let ends_with =
        |path: &str| path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/'));
    ends_with(&path) || path.rsplit_once('/').is_some_and(|(parent, _)| ends_with(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_as_they_are_parsed() {
        let mut servers = Servers::default();
        for address in [
            "https://registry.example/a/-/a-1.0.0.tgz",
            "https://registry.example/@s/b/-/b-1.0.0-rc.1+x.tgz",
            "https://registry.example/@s%2fb/-/b-1.0.0.tgz",
            "https://registry.example/a/../b/-/b.tgz",
            "https://registry.example/a/%2E%2e/b.tgz",
            "https://registry.example/a/.",
            "https://registry.example/a?query#fragment",
            "https://registry.example/a b",
            "https://registry.example/é",
            "https://registry.example/a\\b",
            "https://registry.example\\a/b",
            "https://registry.example:8080/a",
            "https://registry.example",
            "https://registry.example.other/a",
            "HTTPS://REGISTRY.example/a",
            "https://registry.example:443/a",
            "https://user:secret@registry.example/a",
            "https://user:secret@registry.example/b",
            "https:registry.example/a",
            "http://registry.example/a",
            "file:///a/b",
            "file:///a/c",
            "data:/a",
        ] {
            let url = Url::parse(address).unwrap();
            let (host, path) = servers.split(address).unwrap();
            assert_eq!((host.as_deref(), &*path), (origin_of(&url).as_ref(), url.path()), "{address}");
        }
        assert_eq!(servers.split("a/b"), None);
    }

    const OF_A: &str = r#"{"name": "a", "dist-tags": {"latest": "2.0.0"}, "versions": {
        "1.0.0": {"dist": {"tarball": "https:\/\/registry.example\/a\/-\/a-1.0.0.tgz", "integrity": "HASH"}},
        "2.0.0": {"version": "2.0.0+x", "dist": {"tarball": "https://other.example/a/-/a-1.0.0.tgz", "integrity": "none"}},
        "3.0.0": {"name": "b", "dist": {"tarball": "https://registry.example/b/-/b-3.0.0.tgz", "integrity": "HASH"}},
        "4.0.0": {"dist": {"tarball": "no address"}},
        "5.0.0": {}
    }}"#;

    fn board() -> (Board, Integrity) {
        let integrity = Integrity::of(b"bytes");
        let text = OF_A.replace("HASH", &integrity.to_string());
        let document = Document::parse(text.as_bytes()).unwrap().unwrap();
        let mut board = Board::default();
        // Twice, as when two ask for it.
        for _ in 0..2 {
            board.add(document.announced(document.subject("/a").unwrap().unwrap())).unwrap();
        }
        (board, integrity)
    }

    #[test]
    fn what_is_said_of_an_address_is_found_there_and_else_on_other_servers() {
        let (board, integrity) = board();
        let at = |url: &str| {
            let found = board.at(&url.parse().unwrap());
            let shown = |one: &Announced| {
                format!("{} {} {}", one.name, one.version, one.integrity == Some(integrity))
            };
            let mut found: Vec<String> = found.iter().map(shown).collect();
            found.sort();
            found
        };
        assert_eq!(at("https://registry.example/a/-/a-1.0.0.tgz"), ["a 1.0.0 true"]);
        assert_eq!(at("https://other.example/a/-/a-1.0.0.tgz"), ["a 2.0.0+x false"]);
        assert_eq!(at("https://third.example/a/-/a-1.0.0.tgz"), ["a 1.0.0 true", "a 2.0.0+x false"]);
        assert_eq!(at("https://registry.example/b/-/b-3.0.0.tgz"), ["b 3.0.0 true"]);
        assert!(at("https://registry.example/a/-/a-4.0.0.tgz").is_empty());
        let places: BTreeSet<String> = board.places().iter().map(|place| place.host.to_string()).collect();
        assert_eq!(Vec::from_iter(places), ["https://other.example/", "https://registry.example/"]);
    }

    #[test]
    fn only_a_document_about_a_package_says_which_hash_it_has() {
        let (board, integrity) = board();
        let key = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let wanted = [key("a", "1.0.0+build"), key("a", "2.0.0"), key("a", "9.0.0"), key("b", "3.0.0")];
        let expected = Announcements::from([(key("a", "1.0.0"), [integrity].into())]);
        assert_eq!(board.hashes(&wanted), expected);
        assert!(board.hashes(&[]).is_empty());
    }

    #[test]
    fn what_is_about_a_package_must_be_readable_and_about_the_right_one() {
        let read = |text: &str| -> Result<Option<String>, String> {
            match Document::parse(text.as_bytes())? {
                Some(document) => Ok(document.subject("/a")?.map(str::to_owned)),
                None => Ok(None),
            }
        };
        assert_eq!(read("{}"), Ok(None));
        assert_eq!(read("[1]"), Ok(None));
        assert_eq!(read(r#"{"name": 1, "ok": true}"#), Ok(None), "neither versions nor a tarball");
        assert_eq!(read(r#"{"name": "b"}"#), Ok(Some("b".into())), "describes nothing");
        assert_eq!(read(r#"{"name": "\u0061", "versions": {}}"#), Ok(Some("a".into())));
        for text in [
            r#"{"name": "a", "versions": {"1.0.0": {"version": 1}}}"#,
            r#"{"name": "a", "versions": {}, "versions": {}}"#,
            r#"{"name": "a", "versions": {"1.0.0": {"dependencies": {}, "dependencies": {}}}}"#,
            r#"{"name": "a", "version": "1.0.0", "dist": []}"#,
            r#"{"name": "b", "versions": {}}"#,
            r#"{"name": "b", "dist": {}}"#,
            r#"{"versions": {}}"#,
            // No JSON, whatever it is about: the proxy looks at how a document begins.
            r#"{"ok": true"#,
            r#"{"ok": true} x"#,
            r#"{"ok": true}{}"#,
            r#"{"ok": {"#,
            r#"{ok}"#,
            "[1, 2",
            // Too deep for whoever wants to see what it is about.
            &[r#"{"name": 1, "ok": "#, &"[".repeat(200), &"]".repeat(200), "}"].concat(),
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_document_is_about_what_was_asked_for() {
        for (path, name) in [
            ("/ms", "ms"),
            ("/@a%2fb", "@a/b"),
            ("/npm/private/@a/b", "@a/b"),
            ("/ms/2.1.3", "ms"),
            ("/ms/latest", "ms"),
        ] {
            assert!(is_document_of(path, name), "{path} {name}");
        }
        for (path, name) in [("/ms", "s"), ("/ms", "other"), ("/@a%2fb", "b2"), ("/a/b/c", "a")] {
            assert!(!is_document_of(path, name), "{path} {name}");
        }
    }
}
