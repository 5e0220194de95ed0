//! Lockfiles as npm writes them, and as an attacker would.

use serde_json::json;

use super::*;

fn parse(value: Value) -> Result<Lockfile, LockfileError> {
    parse_lockfile(&value.to_string())
}

fn packages(value: Value) -> Result<Lockfile, LockfileError> {
    parse(json!({"lockfileVersion": 3, "packages": value}))
}

#[test]
fn version_3_gives_every_folder_with_its_real_name() {
    let lockfile = packages(json!({
        "": {"name": "app", "dependencies": {"mine": "npm:real@^1"}},
        "node_modules/mine": {"name": "real", "version": "1.0.0", "resolved": "https://registry.example/real/-/real-1.0.0.tgz",
            "integrity": "sha512-x", "dependencies": {"@s/b": "2"}, "optional": true},
        "node_modules/mine/node_modules/@s/b": {"version": "2.0.0", "inBundle": true},
        "packages/tool": {"version": "0.1.0"},
        "node_modules/tool": {"resolved": "packages/tool", "link": true},
        "../beside": {"version": "1.0.0"},
    }))
    .unwrap();
    assert_eq!(lockfile.root.requirements["mine"], "npm:real@^1");
    let mine = lockfile.entries.get("node_modules/mine").unwrap();
    assert_eq!((mine.folder.as_deref(), mine.name.as_str(), mine.optional), (Some("mine"), "real", true));
    let bundled = lockfile.entries.get("node_modules/mine/node_modules/@s/b").unwrap();
    assert_eq!((bundled.folder.as_deref(), bundled.in_bundle), (Some("@s/b"), true));
    assert!(lockfile.entries.get("node_modules/tool").unwrap().link);
    let workspace = lockfile.entries.get("packages/tool").unwrap();
    assert_eq!((workspace.folder.as_deref(), workspace.name.as_str()), (None, "tool"));
    assert_eq!(lockfile.entries.len(), 5);
}

#[test]
fn version_1_is_flattened_and_its_aliases_and_sources_are_read() {
    let lockfile = parse(json!({"lockfileVersion": 1, "dependencies": {
        "a": {"version": "1.0.0", "resolved": "https://registry.example/a/-/a-1.0.0.tgz", "integrity": "sha512-x",
            "requires": {"b": "npm:c@2"}, "dependencies": {"b": {"version": "npm:c@2.0.0", "bundled": true}}},
        "@s/g": {"version": "git+https://forge.example/s/g.git#0123456789012345678901234567890123456789", "from": "s/g"},
    }}))
    .unwrap();
    let b = lockfile.entries.get("node_modules/a/node_modules/b").unwrap();
    assert_eq!((b.name.as_str(), b.version.as_deref(), b.in_bundle), ("c", Some("2.0.0"), true));
    assert_eq!(b.manifest, None);
    let g = lockfile.entries.get("node_modules/@s/g").unwrap();
    assert_eq!(g.version, None);
    assert!(g.resolved.as_deref().unwrap().starts_with("git+https"));
}

#[test]
fn version_2_is_read_from_packages_as_npm_7_and_later_do() {
    let lockfile = parse(json!({"lockfileVersion": 2,
        "packages": {"": {}, "node_modules/a": {"version": "1.0.0"}},
        "dependencies": {"evil": {"version": "6.6.6"}}}))
    .unwrap();
    assert_eq!(lockfile.entries.len(), 1);
    assert_eq!(lockfile.entries["node_modules/a"].name, "a");
}

#[test]
fn a_path_that_means_something_else_than_it_shows_is_refused() {
    for location in [
        "node_modules/../../etc",
        "node_modules/a/../b",
        "node_modules//a",
        "node_modules/a/",
        "node_modules/",
        "node_modules/a/b",
        "node_modules/@s",
        "node_modules/@s/b/c",
        "node_modules/.bin",
        "/etc/passwd",
        "C:/x",
        "node_modules\\a",
        "a/./node_modules/b",
        "a/../node_modules/b",
        "node_modules/a\u{0}",
        "node_modules/a\u{202e}b",
        ".",
        "..",
        "packages//a",
        "packages/node_modules",
        "packages/.git",
    ] {
        let result = packages(json!({location: {"version": "1.0.0"}}));
        assert!(matches!(result, Err(LockfileError::Location { .. })), "{location:?}: {result:?}");
    }
    for folder in ["../a", "a/node_modules/b", "", ".bin", "@s"] {
        let result = parse(json!({"lockfileVersion": 1, "dependencies": {folder: {"version": "1.0.0"}}}));
        assert!(matches!(result, Err(LockfileError::Location { .. })), "{folder:?}: {result:?}");
    }
}

#[test]
fn fields_of_another_type_are_refused_not_skipped() {
    for entry in [
        json!([]),
        json!({"version": 1}),
        json!({"integrity": ["sha512-x"]}),
        json!({"resolved": {}}),
        json!({"inBundle": "true"}),
        json!({"link": 1}),
        json!({"name": 7}),
        json!({"dependencies": ["a"]}),
        json!({"dependencies": {"a": 1}}),
    ] {
        let result = packages(json!({"node_modules/a": entry}));
        assert!(matches!(result, Err(LockfileError::Field { .. })), "{result:?}");
    }
}

#[test]
fn only_the_three_versions_of_npm_are_read() {
    for version in [json!(0), json!(4), json!("3"), json!(null), json!(2.5), json!(-1)] {
        let result = parse(json!({"lockfileVersion": version, "packages": {}}));
        assert!(matches!(result, Err(LockfileError::Version { .. })), "{version}");
    }
    assert!(matches!(parse_lockfile("{"), Err(LockfileError::Json(_))));
    assert!(matches!(parse_lockfile(&"[".repeat(100_000)), Err(LockfileError::Json(_))));
    assert!(matches!(parse(json!({"lockfileVersion": 3})), Err(LockfileError::Field { .. })));
    assert!(matches!(parse(json!({"lockfileVersion": 3, "packages": []})), Err(LockfileError::Field { .. })));
}

#[test]
fn more_entries_than_any_tree_has_are_refused() {
    let many: Map<String, Value> =
        (0..=MAX_ENTRIES).map(|n| (format!("node_modules/p{n}"), json!({}))).collect();
    assert!(matches!(packages(Value::Object(many)), Err(LockfileError::TooMany { .. })));
}
