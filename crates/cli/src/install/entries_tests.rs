//! Each rule broken by one entry, and the honest shapes npm writes.

use serde_json::json;

use super::super::lockfile::parse_lockfile;
use super::*;

#[derive(Debug)]
struct OneRegistry(Url);

impl Registry for OneRegistry {
    fn registry_url(&self, _: &PackageName) -> Url {
        self.0.clone()
    }
}

const HASH: &str =
    "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";

fn check(packages: Value, project: Value) -> Checked {
    let text = json!({"lockfileVersion": 3, "packages": packages}).to_string();
    let configured = OneRegistry("https://mirror.example/npm/".parse().unwrap());
    let builtin = "https://registry.example/".parse().unwrap();
    let registries = Registries { configured: &configured, builtin: Some(&builtin) };
    check_entries(&parse_lockfile(&text).unwrap(), &project, &registries)
}

/// One entry at `node_modules/a` of version 1.0.0 with these fields.
fn check_one(fields: Value) -> Result<Source, Problem> {
    let mut entry = json!({"version": "1.0.0", "resolved": "https://mirror.example/npm/a/-/a-1.0.0.tgz", "integrity": HASH});
    for (key, value) in fields.as_object().unwrap() {
        entry[key] = value.clone();
    }
    check(json!({"node_modules/a": entry}), json!({})).remove("node_modules/a").unwrap()
}

fn refused(result: Result<Source, Problem>, what: &str) {
    match result {
        Err(problem) => assert_eq!(problem.what, what, "{problem:?}"),
        Ok(source) => panic!("{what}: {source:?}"),
    }
}

fn origin(result: Result<Source, Problem>) -> Origin {
    match result {
        Ok(Source::Tarball(tarball)) => tarball.origin,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_1_a_tarball_has_exactly_one_sha512() {
    assert!(matches!(check_one(json!({})), Ok(Source::Tarball(_))));
    for integrity in [
        json!(null),
        json!(""),
        json!(format!("{HASH} {HASH}")),
        json!(format!("{HASH} sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=")),
        json!("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
        json!(format!("{HASH}?x")),
        json!("sha512-AAAA"),
    ] {
        refused(check_one(json!({"integrity": integrity})), "integrity");
    }
    refused(check_one(json!({"version": null})), "version");
}

#[test]
fn rule_2_in_bundle_counts_only_without_a_source_and_below_a_tarball() {
    // With a source it is an entry like any other, hash and all.
    refused(check_one(json!({"inBundle": true, "integrity": null})), "integrity");
    assert!(matches!(check_one(json!({"inBundle": true})), Ok(Source::Tarball(_))));
    // Without one it needs a parent.
    refused(check_one(json!({"inBundle": true, "integrity": null, "resolved": null})), "inBundle");
    let parent = json!({"version": "1.0.0", "resolved": "https://mirror.example/npm/p/-/p-1.0.0.tgz", "integrity": HASH});
    let bundled = json!({"version": "1.0.0", "inBundle": true});
    let checked = check(
        json!({"node_modules/p": parent, "node_modules/p/node_modules/b": bundled,
            "node_modules/p/node_modules/b/node_modules/c": bundled}),
        json!({}),
    );
    let expected = Ok(Source::Bundled { parent: "node_modules/p".into() });
    assert_eq!(checked["node_modules/p/node_modules/b"], expected);
    assert_eq!(checked["node_modules/p/node_modules/b/node_modules/c"], expected);
    let checked = check(
        json!({"packages/w": {"version": "1.0.0"}, "node_modules/w": {"link": true, "resolved": "packages/w"},
            "packages/w/node_modules/b": bundled}),
        json!({}),
    );
    refused(checked["packages/w/node_modules/b"].clone(), "inBundle");
}

#[test]
fn rule_3_a_folder_holds_another_package_only_where_a_dependent_asks_for_it() {
    let alias = json!({"name": "real", "version": "1.0.0", "integrity": HASH});
    let at = |project| check(json!({"node_modules/a": alias}), project).remove("node_modules/a").unwrap();
    refused(at(json!({})), "folder a");
    refused(at(json!({"dependencies": {"a": "^1.0.0"}})), "folder a");
    refused(at(json!({"dependencies": {"a": "npm:other@1"}})), "folder a");
    refused(at(json!({"dependencies": {"b": "npm:real@1"}})), "folder a");
    refused(at(json!({"dependencies": {"a": "npm:realistic@1"}})), "folder a");
    assert!(at(json!({"dependencies": {"a": "npm:real@^1"}})).is_ok());
    assert!(at(json!({"devDependencies": {"a": "npm:real"}})).is_ok());
    assert!(at(json!({"overrides": {"x": {"a@1": "npm:real@1"}}})).is_ok());
    assert!(at(json!({"overrides": {"a": {".": "npm:real@1"}}})).is_ok());
    assert!(at(json!({"overrides": {"a": "$b"}, "dependencies": {"b": "npm:real@1"}})).is_ok());
    refused(at(json!({"overrides": {"b": "npm:real@1"}})), "folder a");
}

#[test]
fn rule_3_the_dependent_must_be_one_that_finds_that_folder() {
    let alias = json!({"name": "@s/real", "version": "1.0.0", "integrity": HASH});
    let asks = json!({"version": "1.0.0", "integrity": HASH, "dependencies": {"a": "npm:@s/real@1"}});
    let checked = check(json!({"node_modules/d": asks, "node_modules/a": alias}), json!({}));
    assert!(checked["node_modules/a"].is_ok());
    // The same dependent finds its own copy, so nobody asks for the one above.
    let checked = check(
        json!({"node_modules/d": asks, "node_modules/d/node_modules/a": alias, "node_modules/a": alias}),
        json!({}),
    );
    assert!(checked["node_modules/d/node_modules/a"].is_ok());
    refused(checked["node_modules/a"].clone(), "folder a");
}

#[test]
fn rule_4_resolved_names_the_package_of_the_entry() {
    refused(check_one(json!({"resolved": "https://mirror.example/npm/evil/-/evil-1.0.0.tgz"})), "resolved");
    refused(check_one(json!({"resolved": "https://registry.example/evil/-/evil-1.0.0.tgz"})), "resolved");
    refused(
        check_one(json!({"resolved": "https://mirror.example/npm/@s/a/-/a-1.0.0.tgz?x=/a/-/"})),
        "resolved",
    );
    refused(check_one(json!({"resolved": "ftp://mirror.example/a.tgz"})), "resolved");
    refused(check_one(json!({"resolved": "a/-/a.tgz"})), "resolved");
    assert_eq!(origin(check_one(json!({"resolved": null}))), Origin::Registry);
    assert_eq!(
        origin(check_one(json!({"resolved": "https://mirror.example/npm/download/a/1.0.0"}))),
        Origin::Registry
    );
    let scoped = json!({"node_modules/@s/a": {"version": "1.0.0", "integrity": HASH,
        "resolved": "https://mirror.example/npm/@s%2fa/-/a-1.0.0.tgz"}});
    assert_eq!(origin(check(scoped, json!({})).remove("node_modules/@s/a").unwrap()), Origin::Registry);
}

#[test]
fn a_tarball_of_another_host_is_named_and_the_builtin_registry_stands_for_the_configured_one() {
    let other = check_one(
        json!({"resolved": "https://user:secret@elsewhere.example:8443/a/-/a-1.0.0.tgz?token=secret"}),
    );
    assert_eq!(origin(other), Origin::OtherHost("elsewhere.example:8443".into()));
    match check_one(json!({"resolved": "https://registry.example/a/-/a-1.0.0.tgz"})) {
        Ok(Source::Tarball(tarball)) => {
            assert_eq!(tarball.origin, Origin::Registry);
            assert_eq!(tarball.url.unwrap().as_str(), "https://mirror.example/npm/a/-/a-1.0.0.tgz");
        }
        other => panic!("{other:?}"),
    }
    let entry = json!({"version": "1.0.0", "resolved": "https://mirror.example/x.tgz", "integrity": HASH});
    let project = json!({"dependencies": {"a": "https://mirror.example/x.tgz"}});
    let checked = check(json!({"node_modules/a": entry}), project);
    assert_eq!(origin(checked["node_modules/a"].clone()), Origin::Url("mirror.example".into()));
}

#[test]
fn rule_5_a_git_dependency_names_one_commit() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for address in [
        "git+ssh://git@forge.example/u/r.git",
        "git+https://user:secret@forge.example/u/r.git",
        "git@forge.example:u/r.git",
    ] {
        match check_one(json!({"resolved": format!("{address}#{commit}"), "integrity": null})) {
            Ok(Source::Git { repository }) => {
                assert!(
                    repository.contains("forge.example") && repository.ends_with("#0123456789ab"),
                    "{repository}"
                );
                assert!(!repository.contains("secret"));
            }
            other => panic!("{address}: {other:?}"),
        }
        refused(
            check_one(json!({"resolved": format!("{address}#main"), "integrity": null})),
            "git dependency",
        );
        refused(check_one(json!({"resolved": address, "integrity": null})), "git dependency");
    }
}

#[test]
fn rule_6_folders_of_the_project_have_no_source_and_are_linked() {
    let link = json!({"link": true, "resolved": "packages/a"});
    let project = || json!({"workspaces": ["packages/*"], "dependencies": {"a": "1"}});
    let with = |folder: Value| check(json!({"node_modules/a": link, "packages/a": folder}), project());
    let good = with(json!({"version": "1.0.0"}));
    assert_eq!(good["packages/a"], Ok(Source::Own));
    assert_eq!(good["node_modules/a"], Ok(Source::Own));
    refused(
        with(json!({"resolved": "https://mirror.example/x.tgz"}))["packages/a"].clone(),
        "folder of the project",
    );
    refused(with(json!({"integrity": HASH}))["packages/a"].clone(), "folder of the project");
    refused(check(json!({"packages/a": {}}), json!({}))["packages/a"].clone(), "folder of the project");
    refused(check(json!({"node_modules/a": link}), json!({}))["node_modules/a"].clone(), "link");
    refused(check(json!({"node_modules/a": {"link": true}}), json!({}))["node_modules/a"].clone(), "link");
    let into = check(
        json!({"node_modules/a": {"link": true, "resolved": "node_modules/b"}, "node_modules/b": {"version": "1.0.0", "integrity": HASH}}),
        json!({}),
    );
    refused(into["node_modules/a"].clone(), "link");
    let outside = check(
        json!({"node_modules/a": {"link": true, "resolved": "../a"}, "../a": {"version": "1.0.0"}}),
        json!({}),
    );
    assert_eq!(outside["node_modules/a"], Ok(Source::Outside { target: "../a".into() }));
}

#[test]
fn rule_6_a_lockfile_alone_puts_no_folder_in_a_packages_place() {
    let link = json!({"link": true, "resolved": "lib"});
    let asker = json!({"version": "1.0.0", "integrity": HASH, "dependencies": {"a": "^1.0.0"}});
    let with = |project: Value| {
        let packages = json!({"node_modules/asker": asker, "node_modules/a": link, "lib": {"name": "a", "version": "1.0.0"}});
        check(packages, project).remove("node_modules/a").unwrap()
    };
    refused(with(json!({"dependencies": {"asker": "1"}})), "link");
    refused(with(json!({"dependencies": {"asker": "1", "a": "1"}})), "link");
    refused(with(json!({"workspaces": ["packages/*"]})), "link");
    for said in [
        json!({"workspaces": ["lib"]}),
        json!({"workspaces": {"packages": ["l*"]}}),
        json!({"dependencies": {"a": "file:./lib"}}),
        json!({"devDependencies": {"a": "./lib"}}),
        json!({"overrides": {"asker": {"a": "file:./lib"}}}),
        json!({"overrides": {"a": "$b"}, "dependencies": {"b": "file:lib"}}),
    ] {
        assert_eq!(with(said.clone()), Ok(Source::Own), "{said}");
    }
    // Nobody asks for it any more.
    let left = check(json!({"node_modules/a": link, "lib": {"version": "1.0.0"}}), json!({}));
    assert_eq!(left["node_modules/a"], Ok(Source::Own));
}

#[test]
fn a_version_nobody_can_sign_is_kept_apart() {
    match check_one(json!({"version": "1.0.0+build"})) {
        Ok(Source::Tarball(tarball)) => assert_eq!(tarball.version, None),
        other => panic!("{other:?}"),
    }
    refused(check_one(json!({"name": "../evil"})), "name");
}
