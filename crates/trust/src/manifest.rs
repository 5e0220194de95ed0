//! The part of a manifest that decides what gets installed and run, and its comparison.
//!
//! A registry may serve a manifest that differs from the `package.json` inside the tarball it names
//! (manifest confusion): same signed bytes, other dependencies. So the manifest a package manager used
//! is compared with the one in the bytes. Fields that neither install nor run anything are left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::{PackageName, Version};

/// The scripts npm runs when a package is installed.
pub const INSTALL_SCRIPTS: [&str; 3] = ["preinstall", "install", "postinstall"];

/// The install-relevant part of one manifest, normalised so that equal meaning is equal value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// `name`.
    pub name: String,
    /// `version`.
    pub version: String,
    /// `dependencies` without those that are also optional.
    pub dependencies: BTreeMap<String, String>,
    /// `optionalDependencies`.
    pub optional_dependencies: BTreeMap<String, String>,
    /// `peerDependencies`.
    pub peer_dependencies: BTreeMap<String, String>,
    /// Command name to file, without a leading `./`.
    pub bin: BTreeMap<String, String>,
    /// `os`.
    pub os: BTreeSet<String>,
    /// `cpu`.
    pub cpu: BTreeSet<String>,
    /// `engines`.
    pub engines: BTreeMap<String, String>,
    /// Whether npm would run something when it installs this.
    pub has_install_script: bool,
}

/// Why a value is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not a JSON object.
    #[error("manifest is not a JSON object")]
    NotAnObject,
    /// A field of another type than npm reads.
    #[error("manifest field {field:?} is {found}, expected {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// One difference between the manifest that was used and the one in the tarball.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field.
    pub field: &'static str,
    /// What the signed bytes say.
    pub expected: String,
    /// What was used.
    pub received: String,
}

impl Manifest {
    /// Reads a `package.json`, a version of a packument, or an entry of a lockfile's `packages`.
    ///
    /// `has_binding_gyp`: whether a `binding.gyp` lies beside it, for which npm compiles the package
    /// when no script says otherwise.
    pub fn parse(value: &Value, has_binding_gyp: bool) -> Result<Self, ManifestError> {
        let object = value.as_object().ok_or(ManifestError::NotAnObject)?;
        let get = |field| object.get(field).unwrap_or(&Value::Null);
        let name = text(get("name"), "name")?;
        let optional_dependencies = map(get("optionalDependencies"), "optionalDependencies")?;
        let mut dependencies = map(get("dependencies"), "dependencies")?;
        dependencies.retain(|name, _| !optional_dependencies.contains_key(name));
        let scripts = get("scripts");
        let declared = INSTALL_SCRIPTS
            .iter()
            .any(|script| scripts.get(script).and_then(Value::as_str).is_some_and(|body| !body.is_empty()));
        let says_no_gyp = get("gypfile") == &Value::Bool(false);
        Ok(Self {
            version: text(get("version"), "version")?,
            dependencies,
            optional_dependencies,
            peer_dependencies: map(get("peerDependencies"), "peerDependencies")?,
            bin: bin(get("bin"), &name)?,
            os: set(get("os"), "os")?,
            cpu: set(get("cpu"), "cpu")?,
            engines: lenient_map(get("engines")),
            has_install_script: declared
                || get("hasInstallScript") == &Value::Bool(true)
                || (has_binding_gyp && !says_no_gyp),
            name,
        })
    }

    /// The identity the manifest claims, when it is a valid one.
    #[must_use]
    pub fn identity(&self) -> Option<(PackageName, Version)> {
        Some((self.name.parse().ok()?, self.version.parse().ok()?))
    }

    /// How `used` differs from `self`, the manifest of the signed bytes; identity is not compared
    /// here, it is a verdict of its own.
    #[must_use]
    pub fn differences(&self, used: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut compare = |field, expected: String, received: String| {
            if expected != received {
                found.push(Difference { field, expected, received });
            }
        };
        compare("dependencies", json(&self.dependencies), json(&used.dependencies));
        compare("optionalDependencies", json(&self.optional_dependencies), json(&used.optional_dependencies));
        compare("peerDependencies", json(&self.peer_dependencies), json(&used.peer_dependencies));
        compare("bin", json(&self.bin), json(&used.bin));
        compare("os", json(&self.os), json(&used.os));
        compare("cpu", json(&self.cpu), json(&used.cpu));
        compare("engines", json(&self.engines), json(&used.engines));
        compare("install scripts", json(&self.has_install_script), json(&used.has_install_script));
        found
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn text(value: &Value, field: &'static str) -> Result<String, ManifestError> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        other => Err(ManifestError::Field { field, found: kind(other), expected: "a string" }),
    }
}

fn map(value: &Value, field: &'static str) -> Result<BTreeMap<String, String>, ManifestError> {
    let wrong = |found| ManifestError::Field { field, found, expected: "an object of strings" };
    match value {
        Value::Null => Ok(BTreeMap::new()),
        // Packages of npm's first years have empty lists where a map belongs; npm takes them for one.
        Value::Array(list) if list.is_empty() => Ok(BTreeMap::new()),
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) => Ok((key.clone(), text.clone())),
                other => Err(wrong(kind(other))),
            })
            .collect(),
        other => Err(wrong(kind(other))),
    }
}

/// `engines` was an array in npm's first years and npm ignores such forms; so do we.
fn lenient_map(value: &Value) -> BTreeMap<String, String> {
    map(value, "engines").unwrap_or_default()
}

fn set(value: &Value, field: &'static str) -> Result<BTreeSet<String>, ManifestError> {
    let wrong = |found| ManifestError::Field { field, found, expected: "a string or an array of strings" };
    match value {
        Value::Null => Ok(BTreeSet::new()),
        Value::String(one) => Ok(BTreeSet::from([one.clone()])),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(kind(item))))
            .collect(),
        other => Err(wrong(kind(other))),
    }
}

/// `bin` as npm normalises it: a string names the package's own base name, a list each file's; paths lose
/// `./`.
fn bin(value: &Value, name: &str) -> Result<BTreeMap<String, String>, ManifestError> {
    let plain = |path: &str| path.trim_start_matches("./").trim_start_matches('/').to_owned();
    match value {
        Value::String(path) => {
            let base = name.split_once('/').map_or(name, |(_, base)| base);
            Ok(BTreeMap::from([(base.to_owned(), plain(path))]))
        }
        Value::Array(paths) => paths
            .iter()
            .map(|path| {
                let path = text(path, "bin")?;
                Ok((path.rsplit('/').next().unwrap_or_default().to_owned(), plain(&path)))
            })
            .collect(),
        other => Ok(map(other, "bin")?.into_iter().map(|(command, path)| (command, plain(&path))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Manifest {
        Manifest::parse(&value, false).unwrap()
    }

    #[test]
    fn spellings_npm_treats_alike_are_equal() {
        let signed = parse(json!({"name": "@a/tool", "version": "1.0.0", "bin": "./cli.js", "os": "linux",
            "dependencies": {"x": "1", "y": "2"}, "optionalDependencies": {"y": "2"},
            "scripts": {"postinstall": "node x.js", "test": "t"}}));
        let used =
            parse(json!({"name": "@a/tool", "version": "1.0.0", "bin": {"tool": "cli.js"}, "os": ["linux"],
            "dependencies": {"x": "1"}, "optionalDependencies": {"y": "2"}, "hasInstallScript": true}));
        assert_eq!(signed.differences(&used), []);
    }

    #[test]
    fn each_field_that_installs_or_runs_something_is_compared() {
        let signed = parse(json!({"name": "a", "version": "1.0.0"}));
        for (field, value) in [
            ("dependencies", json!({"extra": "1"})),
            ("optionalDependencies", json!({"extra": "1"})),
            ("peerDependencies", json!({"extra": "1"})),
            ("bin", json!({"ls": "x.js"})),
            ("os", json!(["linux"])),
            ("cpu", json!(["x64"])),
            ("engines", json!({"node": ">=1"})),
            ("scripts", json!({"preinstall": "x"})),
        ] {
            let used = parse(json!({"name": "a", "version": "1.0.0", field: value}));
            assert_eq!(signed.differences(&used).len(), 1, "{field}");
            assert_eq!(used.differences(&signed).len(), 1, "{field}");
        }
    }

    #[test]
    fn a_binding_gyp_counts_as_an_install_script() {
        let value = json!({"name": "a", "version": "1.0.0"});
        assert!(Manifest::parse(&value, true).unwrap().has_install_script);
        let value = json!({"name": "a", "version": "1.0.0", "gypfile": false});
        assert!(!Manifest::parse(&value, true).unwrap().has_install_script);
    }

    #[test]
    fn a_field_of_another_type_is_an_error_not_an_empty_field() {
        assert_eq!(Manifest::parse(&json!([]), false), Err(ManifestError::NotAnObject));
        for value in [
            json!({"dependencies": ["x"]}),
            json!({"dependencies": {"x": 1}}),
            json!({"os": 1}),
            json!({"name": 1}),
        ] {
            assert!(matches!(Manifest::parse(&value, false), Err(ManifestError::Field { .. })), "{value}");
        }
    }
}
