//! A packument: what a registry says about every version of a package. A version that cannot be read does
//! not hide the others; it is an error when it is asked for.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use trust::{PackageName, Version};
use url::Url;

/// Everything a registry says about one package.
#[derive(Debug, Clone)]
pub struct Packument {
    /// The name that was asked for, which the document repeats.
    pub name: PackageName,
    versions: BTreeMap<String, Value>,
    /// Tag to version.
    pub dist_tags: BTreeMap<String, String>,
    /// Version to publish time (RFC 3339), and `created`, `modified`.
    pub time: BTreeMap<String, String>,
    /// Names of the accounts that may publish.
    pub maintainers: Vec<String>,
}

/// One version, as the registry describes it.
#[derive(Debug, Clone)]
pub struct PackumentVersion {
    /// The manifest the registry serves, `dist` included.
    pub manifest: Value,
    /// Where the tarball is.
    pub tarball: Url,
    /// `dist.integrity`, unparsed.
    pub integrity: Option<String>,
    /// `dist.shasum`, SHA-1 in hex.
    pub shasum: Option<String>,
}

/// Why a packument is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackumentError {
    /// Not the document of this package.
    #[error("the registry's document for {expected} names {found:?}")]
    OtherName {
        /// What was asked for.
        expected: PackageName,
        /// What came.
        found: String,
    },
    /// A version without a tarball URL, or of another shape.
    #[error("the registry's description of {name}@{version} is malformed: {reason}")]
    Version {
        /// The package.
        name: PackageName,
        /// The version.
        version: String,
        /// What is wrong.
        reason: &'static str,
    },
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    name: String,
    #[serde(default)]
    versions: BTreeMap<String, Value>,
    #[serde(default, rename = "dist-tags")]
    dist_tags: BTreeMap<String, Value>,
    #[serde(default)]
    time: BTreeMap<String, Value>,
    #[serde(default)]
    maintainers: Value,
}

impl Packument {
    /// Reads the registry's document for `name`.
    pub fn parse(name: &PackageName, body: &[u8]) -> Result<Result<Self, PackumentError>, serde_json::Error> {
        let document: Document = serde_json::from_slice(body)?;
        if document.name != name.as_str() {
            let found = trust::text::printable(&document.name, 214);
            return Ok(Err(PackumentError::OtherName { expected: name.clone(), found }));
        }
        let texts = |map: BTreeMap<String, Value>| {
            map.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect()
        };
        let account = |value: &Value| {
            let name =
                value.get("name").and_then(Value::as_str).or_else(|| value.as_str()?.split(' ').next())?;
            Some(name.to_owned())
        };
        let maintainers = document.maintainers.as_array().into_iter().flatten().filter_map(account).collect();
        Ok(Ok(Self {
            name: name.clone(),
            versions: document.versions,
            dist_tags: texts(document.dist_tags),
            time: texts(document.time),
            maintainers,
        }))
    }

    /// Every version the document lists, in its spelling.
    pub fn version_names(&self) -> impl Iterator<Item = &str> {
        self.versions.keys().map(String::as_str)
    }

    /// Whether the document lists `version`.
    #[must_use]
    pub fn has(&self, version: &Version) -> bool {
        self.versions.contains_key(&version.to_string())
    }

    /// One version; `None` when the document does not list it.
    pub fn version(&self, version: &str) -> Result<Option<PackumentVersion>, PackumentError> {
        let Some(manifest) = self.versions.get(version) else { return Ok(None) };
        let malformed =
            |reason| PackumentError::Version { name: self.name.clone(), version: version.to_owned(), reason };
        let dist = manifest.get("dist").ok_or(malformed("no dist"))?;
        let text = |field: &str| dist.get(field).and_then(Value::as_str).map(str::to_owned);
        let tarball = text("tarball")
            .and_then(|url| Url::parse(&url).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or(malformed("dist.tarball is not an http or https URL"))?;
        let (integrity, shasum) = (text("integrity"), text("shasum"));
        Ok(Some(PackumentVersion { manifest: manifest.clone(), tarball, integrity, shasum }))
    }

    /// When the registry says `version` was published, Unix seconds.
    #[must_use]
    pub fn published_at(&self, version: &Version) -> Option<u64> {
        let time = self.time.get(&version.to_string())?;
        let parsed =
            time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339).ok()?;
        u64::try_from(parsed.unix_timestamp()).ok()
    }

    /// The version under `latest`, when it lists one.
    pub fn latest(&self) -> Result<Option<PackumentVersion>, PackumentError> {
        self.dist_tags.get("latest").map_or(Ok(None), |version| self.version(version))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(document: Value) -> Packument {
        Packument::parse(&"a".parse().unwrap(), document.to_string().as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_malformed_version_hides_no_other() {
        let packument = parse(json!({"name": "a", "versions": {
            "1.0.0": {"dist": {"tarball": "http://127.0.0.1/a-1.0.0.tgz", "integrity": "sha512-x"}},
            "2.0.0": {"dist": {"tarball": "file:///etc/passwd"}}, "3.0.0": 7}}));
        assert_eq!(packument.version("1.0.0").unwrap().unwrap().integrity.as_deref(), Some("sha512-x"));
        assert!(matches!(packument.version("2.0.0"), Err(PackumentError::Version { .. })));
        assert!(matches!(packument.version("3.0.0"), Err(PackumentError::Version { .. })));
        assert!(packument.version("4.0.0").unwrap().is_none());
        assert_eq!(packument.version_names().count(), 3);
    }

    #[test]
    fn a_document_of_another_package_is_refused() {
        let other = Packument::parse(&"a".parse().unwrap(), br#"{"name":"b"}"#).unwrap();
        assert!(matches!(other, Err(PackumentError::OtherName { .. })));
        assert!(Packument::parse(&"a".parse().unwrap(), b"[").is_err());
    }

    #[test]
    fn times_tags_and_maintainers_are_read() {
        let packument = parse(
            json!({"name": "a", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {"dist": {"tarball": "http://127.0.0.1/a-1.0.0.tgz"}}},
            "time": {"1.0.0": "2026-01-02T03:04:05.678Z", "1.0.1": "yesterday"}, "maintainers": [{"name": "mallory"}, "bob <b@x>"]}),
        );
        assert_eq!(packument.latest().unwrap().unwrap().tarball.path(), "/a-1.0.0.tgz");
        assert!(parse(json!({"name": "a"})).latest().unwrap().is_none());
        assert_eq!(packument.published_at(&"1.0.0".parse().unwrap()), Some(1_767_323_045));
        assert_eq!(packument.published_at(&"1.0.1".parse().unwrap()), None);
        assert_eq!(packument.maintainers, ["mallory", "bob"]);
    }
}
