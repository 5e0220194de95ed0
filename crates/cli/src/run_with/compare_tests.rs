use serde_json::json;
use trust::digest::of_file;

use super::*;
use crate::install::unpacked::FileOnDisk;
use crate::run_with::tree::Place;

fn files(list: &[(&str, &str)]) -> Files {
    let entry = |(path, text): &(&str, &str)| {
        let hash = of_file(text);
        ((*path).to_owned(), FileOnDisk { hash, fixed: None })
    };
    list.iter().map(entry).collect()
}

fn on_disk(list: &[(&str, &str)]) -> tempfile::TempDir {
    let holder = tempfile::tempdir().unwrap();
    for (path, text) in list {
        let path = holder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    holder
}

const LIST: &[(&str, &str)] = &[("package.json", "{}"), ("lib/a.js", "a"), (".npmignore", "x")];

#[test]
fn the_same_files_are_the_same_also_where_a_name_was_not_rewritten() {
    assert_eq!(compare_files(on_disk(LIST).path(), &files(LIST), None), Ok(()));
    let kept = [("package.json", "{}"), ("lib/a.js", "a"), (".gitignore", "x")];
    assert_eq!(compare_files(on_disk(&kept).path(), &files(LIST), None), Ok(()));
}

#[test]
fn another_byte_one_file_more_one_less_or_a_link_is_a_difference() {
    let changed = [("package.json", "{}"), ("lib/a.js", "b"), (".npmignore", "x")];
    assert!(
        compare_files(on_disk(&changed).path(), &files(LIST), None).unwrap_err().contains("lib/a.js differs")
    );
    let more = [("package.json", "{}"), ("lib/a.js", "a"), (".npmignore", "x"), ("lib/evil.js", "")];
    assert!(
        compare_files(on_disk(&more).path(), &files(LIST), None).unwrap_err().contains("evil.js is not in")
    );
    let less = [("package.json", "{}"), (".npmignore", "x")];
    assert!(compare_files(on_disk(&less).path(), &files(LIST), None).unwrap_err().contains("not on disk"));
    let linked = on_disk(&less);
    std::fs::create_dir(linked.path().join("lib")).unwrap();
    std::os::unix::fs::symlink("../package.json", linked.path().join("lib/a.js")).unwrap();
    assert!(compare_files(linked.path(), &files(LIST), None).unwrap_err().contains("symbolic link"));
}

#[test]
fn a_pipe_is_no_file_and_nobody_waits_for_it() {
    let list = [("package.json", "{}"), ("empty.js", "")];
    let disk = on_disk(&list);
    assert_eq!(compare_files(disk.path(), &files(&list), None), Ok(()));
    std::fs::remove_file(disk.path().join("empty.js")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(disk.path().join("empty.js")).status().unwrap();
    assert!(made.success());
    let difference = compare_files(disk.path(), &files(&list), None).unwrap_err();
    assert!(difference.contains("empty.js is neither a file nor a folder"), "{difference}");
}

#[test]
fn a_package_managers_own_mark_is_empty_and_at_its_place() {
    let check = |extra: (&str, &str), mark: Option<&str>| {
        let list = [LIST, &[extra]].concat();
        compare_files(on_disk(&list).path(), &files(LIST), mark)
    };
    assert_eq!(check((".ready", ""), Some(".ready")), Ok(()));
    assert!(check((".ready", ""), None).is_err());
    assert!(check((".ready", "x"), Some(".ready")).is_err());
    assert!(check(("lib/.ready", ""), Some(".ready")).is_err());
}

#[test]
fn bundled_packages_are_part_of_the_bytes_and_others_inside_are_not() {
    let list = [
        ("package.json", "{}"),
        ("node_modules/b/package.json", "{\"name\":\"b\"}"),
        ("node_modules/b/b.js", "b"),
    ];
    let disk = on_disk(&[
        ("package.json", "{}"),
        ("node_modules/b/package.json", "{\"name\":\"b\"}"),
        ("node_modules/b/b.js", "b"),
        ("node_modules/c/package.json", "{\"name\":\"c\"}"),
        ("node_modules/.bin/c", "#!/bin/sh"),
    ]);
    assert_eq!(compare_files(disk.path(), &files(&list), None), Ok(()));
    std::fs::write(disk.path().join("node_modules/b/evil.js"), "").unwrap();
    assert!(compare_files(disk.path(), &files(&list), None).is_err());
    // A bundled one that was hoisted away is no loss.
    std::fs::remove_dir_all(disk.path().join("node_modules/b")).unwrap();
    assert_eq!(compare_files(disk.path(), &files(&list), None), Ok(()));
    let package =
        Package { location: ".".into(), folder: Some("a".into()), manifest: json!({}), place: Place::Folder };
    let mut inside = Tree::default();
    packages_inside(disk.path(), &package, &files(&list), &mut inside).unwrap();
    assert_eq!(inside.packages.len(), 1);
}

#[test]
fn a_folder_of_modules_where_no_package_manager_makes_one_is_part_of_the_package() {
    for place in [
        "lib/node_modules/x/index.js",
        "lib/node_modules/.bin/x",
        "node_modules/.bins/x",
        "node_modules/b/lib/node_modules/x/x.js",
    ] {
        let list = [LIST, &[("node_modules/b/package.json", "{}")]].concat();
        let disk = on_disk(&[&list[..], &[(place, "evil")]].concat());
        let package = Package {
            location: "".into(),
            folder: Some("a".into()),
            manifest: json!({}),
            place: Place::Folder,
        };
        let compared = compare_files(disk.path(), &files(&list), None);
        let walked = packages_inside(disk.path(), &package, &files(&list), &mut Tree::default());
        assert!(compared.is_err() || walked.is_err(), "{place}");
    }
}

#[test]
fn packages_inside_a_bundled_one_are_looked_at_too() {
    let list = [("package.json", "{}"), ("node_modules/b/package.json", "{}")];
    let more = ("node_modules/b/node_modules/c/package.json", r#"{"name": "c"}"#);
    let disk = on_disk(&[&list[..], &[more]].concat());
    assert_eq!(compare_files(disk.path(), &files(&list), None), Ok(()));
    for place in [Place::Folder, Place::Unplugged] {
        let package = Package { location: "".into(), folder: Some("a".into()), manifest: json!({}), place };
        let mut inside = Tree::default();
        packages_inside(disk.path(), &package, &files(&list), &mut inside).unwrap();
        let found: Vec<_> =
            inside.packages.iter().map(|package| package.location.display().to_string()).collect();
        assert_eq!(found, ["node_modules/b/node_modules/c"]);
    }
}

#[test]
fn what_comes_from_no_registry_is_told_by_how_it_is_asked_for() {
    for spec in [
        "github:a/b",
        "a/b",
        "a/b#v1",
        "git+ssh://git@h/a.git",
        "file:../x",
        "link:x",
        "https://h/x.tgz",
        "./x",
        "portal:x",
    ] {
        assert!(is_elsewhere(spec), "{spec}");
    }
    for spec in
        ["^1.0.0", "latest", "npm:a@1", "npm:@a/b@1", "1.x || 2.x", "workspace:*", "catalog:", "*", "@a/b"]
    {
        assert!(!is_elsewhere(spec), "{spec}");
    }
}

#[test]
fn versions_are_compared_as_they_are_published() {
    assert_eq!(
        identity(&json!({"name": " a ", "version": "v1.0.0+b"})),
        ("a".to_owned(), "1.0.0".to_owned())
    );
}
