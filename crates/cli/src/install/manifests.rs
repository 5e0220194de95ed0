//! The manifest that was used beside the one in the signed bytes, both as npm reads them, so that what
//! npm itself rewrites on the way (bins, shortcuts, spellings) is no difference. It never lets `used`
//! carry more than the bytes do: each leniency is listed at [`comparable`].
//!
//! What npm rewrites: its `@npmcli/package-json` and `normalize-package-data`; tried with npm 11, by
//! `npm publish` and by raw uploads.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use trust::manifest::{INSTALL_SCRIPTS, Manifest, ManifestError};

/// A manifest inside a tarball, with what npm looks at beside it.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    /// The package.json.
    pub(crate) json: &'a Value,
    /// Every path of the tarball, the leading folder stripped.
    pub(crate) files: &'a BTreeSet<String>,
}

/// The manifest of the bytes and the one that was used, ready for `trust::verdict::judge`.
///
/// Leniencies, each because npm acts the same either way:
/// - `directories.bin` may be expanded into `bin` (npm does so when it publishes) or left out (then it
///   links nothing);
/// - a `binding.gyp` without scripts counts as an install script or not: npm decides by the file on disk;
/// - `engines` in the array form of npm's first years says nothing.
pub(crate) fn comparable(inside: &Inside<'_>, used: &Value) -> Result<(Manifest, Manifest), ManifestError> {
    let has_gyp = inside.files.contains("binding.gyp");
    let mut used = Manifest::parse(&as_npm_reads(used), false)?;
    let json = as_npm_reads(inside.json);
    let mut signed = Manifest::parse(&json, has_gyp)?;
    if signed.bin.is_empty() && !used.bin.is_empty() {
        signed.bin = directory_bins(inside);
    }
    if has_gyp && !declares_script(&json) {
        used.has_install_script = signed.has_install_script;
    }
    if !matches!(inside.json.get("engines"), None | Some(Value::Object(_) | Value::Null)) {
        used.engines.clear();
    }
    Ok((signed, used))
}

/// The manifest inside alone, for a tarball that nothing was resolved from.
pub(crate) fn read_inside(inside: &Inside<'_>) -> Result<Manifest, ManifestError> {
    Manifest::parse(&as_npm_reads(inside.json), inside.files.contains("binding.gyp"))
}

/// The commands a package declares: the files that npm makes executable and whose first line it may fix.
pub(crate) fn bin_files(inside: &Inside<'_>) -> BTreeSet<String> {
    let mut files: BTreeSet<String> =
        read_inside(inside).map(|manifest| manifest.bin.into_values().collect()).unwrap_or_default();
    files.extend(directory_bins(inside).into_values());
    files
}

/// The fields that decide an install, in the spelling npm gives them.
fn as_npm_reads(value: &Value) -> Value {
    let Some(object) = value.as_object() else { return value.clone() };
    let mut out = object.clone();
    if let Some(name) = object.get("name").and_then(Value::as_str) {
        out.insert("name".into(), json!(name.trim()));
    }
    if let Some(version) = object.get("version").and_then(Value::as_str) {
        out.insert("version".into(), json!(clean_version(version)));
    }
    for kind in ["dependencies", "optionalDependencies", "peerDependencies"] {
        if let Some(value) = object.get(kind) {
            out.insert(kind.into(), clean_dependencies(value));
        }
    }
    out.remove("bin");
    let bin = bins(object);
    if !bin.is_empty() {
        out.insert("bin".into(), Value::Object(bin));
    }
    Value::Object(out)
}

/// `v1.0.0`, `=1.0.0` and `1.0.0+build` are all published as 1.0.0.
fn clean_version(version: &str) -> &str {
    let version = version.trim().trim_start_matches(['=', 'v', ' ']);
    version.split_once('+').map_or(version, |(version, _)| version)
}

/// Lists and texts become maps, values that are not text go, and `user/repository` names its host.
fn clean_dependencies(value: &Value) -> Value {
    let listed = |items: &mut dyn Iterator<Item = &str>| {
        let mut map = Map::new();
        for item in items.map(str::trim).filter(|item| !item.is_empty()) {
            let at =
                item.char_indices().skip(1).find(|(_, c)| matches!(c, '@' | '>' | '<' | '=' | ' ' | ':'));
            let (name, spec) = item.split_at(at.map_or(item.len(), |(at, _)| at));
            let spec = spec.trim();
            map.insert(name.to_owned(), json!(spec.strip_prefix('@').unwrap_or(spec)));
        }
        Value::Object(map)
    };
    match value {
        Value::Array(items) => listed(&mut items.iter().filter_map(Value::as_str)),
        Value::String(text) => listed(&mut text.split([' ', '\t', '\r', '\n', ','])),
        Value::Object(object) => object
            .iter()
            .filter_map(|(name, spec)| Some((name.clone(), json!(clean_spec(spec.as_str()?)))))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// npm writes GitHub's shortcut out: `user/repository` is `github:user/repository`.
fn clean_spec(spec: &str) -> String {
    let shortcut = spec.split('#').next().unwrap_or(spec);
    let mut parts = shortcut.split('/');
    let is_name = |part: Option<&str>| {
        part.is_some_and(|part| {
            !part.is_empty()
                && !part.starts_with(['.', '@', '~'])
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        })
    };
    if is_name(parts.next()) && is_name(parts.next()) && parts.next().is_none() {
        format!("github:{spec}")
    } else {
        spec.to_owned()
    }
}

/// The commands that a manifest declares, each with the file it runs: as npm puts it into documents and `.bin`.
pub(crate) fn bins(object: &Map<String, Value>) -> Map<String, Value> {
    let pairs: Vec<(String, &str)> = match object.get("bin") {
        Some(Value::String(path)) => {
            let name = object.get("name").and_then(Value::as_str).unwrap_or("");
            vec![(name.to_owned(), path.as_str())]
        }
        Some(Value::Array(paths)) => {
            paths.iter().filter_map(Value::as_str).map(|path| (base(path).to_owned(), path)).collect()
        }
        Some(Value::Object(map)) => {
            map.iter().filter_map(|(command, path)| Some((command.clone(), path.as_str()?))).collect()
        }
        _ => Vec::new(),
    };
    let mut bin = Map::new();
    for (command, path) in pairs {
        let command = plain_path(&command);
        let path = plain_path(path);
        if !command.is_empty() && !path.is_empty() {
            bin.insert(base(&command).to_owned(), json!(path));
        }
    }
    bin
}

/// `./a/../b\c` is `b/c`: a path as if the package's folder were the root.
pub(crate) fn plain_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\', ':']) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Every file below `directories.bin`, by its own name.
fn directory_bins(inside: &Inside<'_>) -> std::collections::BTreeMap<String, String> {
    let directory = inside.json.get("directories").and_then(|value| value.get("bin")).and_then(Value::as_str);
    let Some(directory) = directory.map(plain_path).filter(|_| inside.json.get("bin").is_none()) else {
        return std::collections::BTreeMap::new();
    };
    let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    inside
        .files
        .iter()
        .filter(|path| path.starts_with(&prefix))
        .filter(|path| !path[prefix.len()..].split('/').any(|part| part.starts_with('.')))
        .map(|path| (base(path).to_owned(), path.clone()))
        .collect()
}

fn declares_script(json: &Value) -> bool {
    let scripts = json.get("scripts");
    INSTALL_SCRIPTS.iter().any(|script| {
        scripts
            .and_then(|scripts| scripts.get(script))
            .and_then(Value::as_str)
            .is_some_and(|body| !body.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `used` passes for a tarball with this package.json and these files beside it.
    fn differences(inside: Value, files: &[&str], used: Value) -> Vec<&'static str> {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        let (signed, used) = comparable(&Inside { json: &inside, files: &files }, &used).unwrap();
        signed.differences(&used).into_iter().map(|difference| difference.field).collect()
    }

    #[test]
    fn what_npm_rewrites_between_the_tarball_and_the_lockfile_is_no_difference() {
        for (inside, used) in [
            (json!({"name": "@s/a", "bin": "./cli.js"}), json!({"bin": {"a": "cli.js"}})),
            (
                json!({"name": "a", "bin": {"x": "./bin/../cli.js", "y": "/cli.js"}}),
                json!({"bin": {"x": "cli.js", "y": "cli.js"}}),
            ),
            (json!({"name": "a", "bin": ["./tools/cli.js"]}), json!({"bin": {"cli.js": "tools/cli.js"}})),
            (
                json!({"name": "a", "bin": {"../evil": "cli.js", "ok": ""}}),
                json!({"bin": {"evil": "cli.js"}}),
            ),
            (json!({"name": "a", "bin": {}}), json!({})),
            (
                json!({"dependencies": ["plain", "b@1", "c >=2"]}),
                json!({"dependencies": {"plain": "", "b": "1", "c": ">=2"}}),
            ),
            (json!({"dependencies": "plain, @s/b@1"}), json!({"dependencies": {"plain": "", "@s/b": "1"}})),
            (json!({"dependencies": {"a": "1", "odd": 1}}), json!({"dependencies": {"a": "1"}})),
            (
                json!({"dependencies": {"x": "user/repo#main"}}),
                json!({"dependencies": {"x": "github:user/repo#main"}}),
            ),
            (json!({"dependencies": {"x": " ^1 "}}), json!({"dependencies": {"x": " ^1 "}})),
            (json!({"engines": ["node >= 0.6"]}), json!({"engines": {"node": ">= 0.6"}})),
            (json!({"engines": ["node >= 0.6"]}), json!({"engines": ["node >= 0.6"]})),
            (json!({"os": "linux", "optionalDependencies": {}}), json!({"os": ["linux"]})),
        ] {
            assert_eq!(differences(inside.clone(), &[], used.clone()), [""; 0], "{inside} {used}");
            assert_eq!(differences(inside.clone(), &[], inside.clone()), [""; 0], "{inside}");
        }
    }

    #[test]
    fn directories_bin_may_be_expanded_or_left_out_but_not_changed() {
        let inside = json!({"name": "a", "directories": {"bin": "./tools"}});
        let files = ["tools/t1", "tools/t2.js", "tools/.hidden", "other"];
        let differences = |used| differences(inside.clone(), &files, used);
        assert_eq!(differences(json!({"bin": {"t1": "tools/t1", "t2.js": "tools/t2.js"}})), [""; 0]);
        assert_eq!(differences(json!({})), [""; 0]);
        assert_eq!(differences(json!({"bin": {"ls": "tools/t1"}})), ["bin"]);
        assert_eq!(differences(json!({"bin": {"other": "other"}})), ["bin"]);
    }

    #[test]
    fn a_binding_gyp_is_npms_to_see_but_a_declared_script_is_not_hidden() {
        let gyp = ["binding.gyp"];
        assert_eq!(differences(json!({}), &gyp, json!({"hasInstallScript": true})), [""; 0]);
        assert_eq!(differences(json!({}), &gyp, json!({})), [""; 0]);
        assert_eq!(differences(json!({"gypfile": false}), &gyp, json!({})), [""; 0]);
        let declared = json!({"scripts": {"postinstall": "node x.js"}});
        assert_eq!(differences(declared.clone(), &gyp, json!({})), ["install scripts"]);
        assert_eq!(differences(declared, &[], json!({"hasInstallScript": true})), [""; 0]);
        assert_eq!(differences(json!({}), &[], json!({"hasInstallScript": true})), ["install scripts"]);
    }

    #[test]
    fn what_the_bytes_do_not_carry_is_a_difference() {
        let inside =
            json!({"name": "a", "version": "1.0.0", "dependencies": {"b": "1"}, "bin": {"a": "cli.js"}});
        for (field, used) in [
            ("dependencies", json!({"dependencies": {"b": "1", "extra": "1"}, "bin": {"a": "cli.js"}})),
            ("dependencies", json!({"dependencies": {"b": "user/b"}, "bin": {"a": "cli.js"}})),
            (
                "optionalDependencies",
                json!({"dependencies": {"b": "1"}, "optionalDependencies": {"extra": "1"}, "bin": {"a": "cli.js"}}),
            ),
            ("bin", json!({"dependencies": {"b": "1"}, "bin": {"a": "cli.js", "ls": "cli.js"}})),
            ("bin", json!({"dependencies": {"b": "1"}, "bin": {"a": "other.js"}})),
            ("bin", json!({"dependencies": {"b": "1"}})),
        ] {
            assert_eq!(differences(inside.clone(), &[], used.clone()), [field], "{used}");
        }
    }

    #[test]
    fn versions_are_read_as_npm_publishes_them() {
        for version in ["1.0.0", "v1.0.0", "=1.0.0", " 1.0.0 ", "1.0.0+build.5"] {
            let json = json!({"name": " a ", "version": version});
            let manifest = read_inside(&Inside { json: &json, files: &BTreeSet::new() }).unwrap();
            assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("a", "1.0.0"), "{version:?}");
        }
    }

    #[test]
    fn the_files_npm_may_touch_are_the_declared_commands_only() {
        let json = json!({"name": "a", "bin": {"x": "./cli.js"}});
        let files = BTreeSet::from(["cli.js".to_owned(), "other.js".to_owned()]);
        assert_eq!(bin_files(&Inside { json: &json, files: &files }), BTreeSet::from(["cli.js".to_owned()]));
    }
}
