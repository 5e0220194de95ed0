//! What is listed equals what the real npm unpacks: for folders that npm packs, for archives of shapes
//! that other tools made, and for random ones. Offline; no script runs.
//!
//! npm changes one thing on the way: `.gitignore` becomes `.npmignore`, unless the folder has one. That is
//! expected here as npm does it, and as nothing else.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use scan::{FileEntry, Limits, Tarball, read_tarball};
use support::{Archive, Header, pax_record};

type Tree = BTreeMap<String, FileEntry>;

fn npm(folder: &Path, home: &Path, arguments: &[&str]) -> String {
    let output = Command::new("npm")
        .args(arguments)
        .current_dir(folder)
        .env("HOME", home)
        .env("npm_config_userconfig", home.join("npmrc"))
        .env("npm_config_cache", home.join("cache"))
        .env("npm_config_registry", "http://127.0.0.1:9/")
        .env("npm_config_offline", "true")
        .env("npm_config_ignore_scripts", "true")
        .env("npm_config_audit", "false")
        .env("npm_config_fund", "false")
        .env("npm_config_update_notifier", "false")
        .output()
        .unwrap();
    assert!(output.status.success(), "npm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the real npm makes of these tarballs, each of which names its package `p<index>`.
fn unpacked(tarballs: &[Vec<u8>]) -> Vec<Tree> {
    let folder = tempfile::tempdir().unwrap();
    let (project, home) = (folder.path().join("project"), folder.path().join("home"));
    std::fs::create_dir_all(&project).unwrap();
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(project.join("package.json"), r#"{"private":true}"#).unwrap();
    let mut arguments = vec!["install".to_owned(), "--no-package-lock".to_owned()];
    for (index, bytes) in tarballs.iter().enumerate() {
        std::fs::write(project.join(format!("{index}.tgz")), bytes).unwrap();
        arguments.push(format!("./{index}.tgz"));
    }
    npm(&project, &home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    (0..tarballs.len())
        .map(|index| {
            let mut tree = Tree::new();
            collect(&project.join(format!("node_modules/p{index}")), "", &mut tree);
            tree
        })
        .collect()
}

fn collect(folder: &Path, prefix: &str, tree: &mut Tree) {
    for item in std::fs::read_dir(folder).unwrap() {
        let item = item.unwrap();
        let path = format!("{prefix}{}", item.file_name().into_string().unwrap());
        let kind = item.file_type().unwrap();
        if kind.is_dir() {
            collect(&item.path(), &format!("{path}/"), tree);
            continue;
        }
        assert!(kind.is_file(), "{path}");
        let contents = std::fs::read(item.path()).unwrap();
        let mode = if item.metadata().unwrap().permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        let hash = trust::digest::of_file(&contents);
        tree.insert(path, FileEntry { mode, size: contents.len() as u64, hash });
    }
}

fn as_npm_names_them(tarball: &Tarball) -> Tree {
    let mut tree = Tree::new();
    for (path, entry) in &tarball.files {
        let folder =
            path.strip_suffix(".gitignore").filter(|folder| folder.is_empty() || folder.ends_with('/'));
        match folder.map(|folder| format!("{folder}.npmignore")) {
            None => tree.insert(path.clone(), entry.clone()),
            Some(renamed) if tarball.files.contains_key(&renamed) => None,
            Some(renamed) => tree.insert(renamed, entry.clone()),
        };
    }
    tree
}

fn listed(bytes: &[u8]) -> Tree {
    as_npm_names_them(&read_tarball(bytes, &Limits::default()).unwrap())
}

fn package(index: usize) -> String {
    format!(r#"{{"name":"p{index}","version":"1.0.0"}}"#)
}

#[test]
fn a_folder_that_npm_packed_is_listed_as_npm_unpacks_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    let write = |path: &str, contents: &[u8]| {
        let path = source.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    };
    let deep = format!("lib/{}/{}.js", "d".repeat(120), "f".repeat(140));
    write("package.json", b"\xef\xbb\xbf{\"name\":\"p0\",\"version\":\"1.0.0\",\"bin\":\"cli\",\"bundleDependencies\":[\"inner\"],\"dependencies\":{\"inner\":\"1\"}}");
    write("cli", b"#!/usr/bin/env node\n");
    write("lib/empty", b"");
    write("lib/binary", &(0..=255).cycle().take(5000).collect::<Vec<u8>>());
    write("lib/na\u{ef}ve \u{65e5}\u{672c} (1).js", b"x");
    write("lib/.hidden", b"x");
    write("lib/executable", b"#!/bin/sh\n");
    write("lib/a:b", b"x");
    write(&deep, b"deep");
    write("node_modules/inner/package.json", br#"{"name":"inner","version":"1.0.0"}"#);
    write("node_modules/inner/.gitignore", b"nothing\n");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(source.join("lib/executable"), executable).unwrap();

    npm(&source, folder.path(), &["pack"]);
    let bytes = std::fs::read(source.join("p0-1.0.0.tgz")).unwrap();
    let tarball = read_tarball(&bytes, &Limits::default()).unwrap();
    assert!(
        tarball.files.contains_key(&deep) && tarball.files.contains_key("node_modules/inner/package.json")
    );
    assert_eq!(tarball.files["lib/executable"].mode, 0o755);
    let [on_disk] = unpacked(&[bytes]).try_into().unwrap();
    let mut expected = as_npm_names_them(&tarball);
    // npm makes a declared command executable, whatever its mode in the archive is.
    expected.get_mut("cli").unwrap().mode = 0o755;
    assert_eq!(on_disk, expected);
}

#[test]
fn archives_of_every_honest_shape_are_listed_as_npm_unpacks_them() {
    let start = |index: usize| Archive::default().file("package/package.json", package(index).as_bytes());
    let long = "l".repeat(180);
    let tarballs: Vec<Vec<u8>> = vec![
        // Directory entries, modes, and any first component.
        start(0)
            .folder("package/")
            .folder("package/lib/")
            .entry(b'5', "package/closed", 0o000, b"")
            .entry(b'0', "package/closed/unreadable", 0o000, b"x")
            .entry(b'0', "other/lib/group", 0o410, b"x")
            .entry(b'\0', "package/old", 0o644, b"x")
            .tgz(),
        // Extended headers: pax, pax of a whole repository, GNU.
        start(1)
            .entry(b'g', "pax_global_header", 0o644, pax_record("comment", "c0ffee").as_bytes())
            .pax("path", &format!("package/{long}"))
            .file("package/short", b"pax")
            .pax("mtime", "1.5")
            .pax("SCHILY.dev", "7")
            .file("package/after", b"x")
            .entry(b'L', "././@LongLink", 0o644, format!("package/gnu/{long}\0").as_bytes())
            .file("package/short", b"gnu")
            .tgz(),
        // A prefix, and one that is none.
        start(2)
            .header(&Header { prefix: b"package/pre".to_vec(), ..Header::new(b'0', "fix", 1) }, b"x")
            .header(
                &Header { magic: *b"ustar  \0", prefix: b"none".to_vec(), ..Header::new(b'0', "p/gnu", 1) },
                b"x",
            )
            .header(
                &Header {
                    prefix: [b"package/".as_slice(), &[b'q'; 145]].concat(),
                    ..Header::new(b'0', "fix", 1)
                },
                b"x",
            )
            .tgz(),
        // Ignore files in either order, and one alone.
        start(3)
            .file("package/.gitignore", b"git first")
            .file("package/.npmignore", b"npm second")
            .file("package/a/.npmignore", b"npm first")
            .file("package/a/.gitignore", b"git second")
            .file("package/b/.gitignore", b"git alone")
            .file("package/b/not.gitignore", b"x")
            .tgz(),
        // No mark of the end, and far too much of it.
        support::gzip(&start(4).file("package/x", b"x").0),
        support::gzip(&[start(5).file("package/x", b"x").0, vec![0; 20_480]].concat()),
        // Padding behind the gzip stream.
        [start(6).tgz(), vec![0; 1000]].concat(),
    ];
    for (index, on_disk) in unpacked(&tarballs).into_iter().enumerate() {
        assert_eq!(on_disk, listed(&tarballs[index]), "p{index}");
    }
}

/// Small enough to be read, good enough to mix shapes.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// An archive of entries that are each a little odd; some make it refused.
fn random(dice: &mut Dice, index: usize) -> Vec<u8> {
    let mut archive = Archive::default().file("package/package.json", package(index).as_bytes());
    for entry in 0..=dice.roll(6) {
        let name = match dice.roll(10) {
            0 => format!("package/{}", "n".repeat(120)),
            1 => "package/.gitignore".to_owned(),
            2 => "package/.npmignore".to_owned(),
            3 => format!("package/a/x:{entry}"),
            4 => format!("package/a/../{entry}"),
            5 => format!("./package/{entry}"),
            _ => format!("package/{}/{entry}", ["a", "b", "a/b"][dice.roll(3) as usize]),
        };
        let contents: Vec<u8> = (0..dice.roll(1200)).map(|_| dice.roll(256) as u8).collect();
        let mut header = Header::new(b'0', name.get(..100).unwrap_or(&name), contents.len());
        header.mode = format!("{:07o}\0", dice.roll(0o1000));
        match dice.roll(24) {
            0 => header.kind = b'5',
            1 => header.kind = b"\x0012L7"[dice.roll(5) as usize],
            2 => header.link = b"target".to_vec(),
            3 => header.prefix = b"package/p".to_vec(),
            4 => header.magic = *b"ustar  \0",
            5 => header
                .name
                .extend_from_slice(b"\0\nx".get(..100 - header.name.len().min(97)).unwrap_or_default()),
            6 => header.size = format!("{:>11} ", format!("{:o}", contents.len())).into_bytes(),
            7 => header.checksum = Some(b"0000000\0".to_vec()),
            8 => header.name.push(b'/'),
            _ => {}
        }
        if name.len() > 100 || dice.roll(8) == 0 {
            archive = archive.pax(["path", "path", "path", "comment", "size"][dice.roll(5) as usize], &name);
        }
        header.name.truncate(100);
        archive = archive.header(&header, &contents);
    }
    archive.tgz()
}

#[test]
fn random_archives_that_are_accepted_are_listed_as_npm_unpacks_them() {
    let mut dice = Dice(0x3b9a_ca07_1f2e_3d4c);
    let (mut accepted, mut refused) = (Vec::new(), 0);
    while accepted.len() < 150 {
        let bytes = random(&mut dice, accepted.len());
        match read_tarball(&bytes, &Limits::default()) {
            Ok(_) => accepted.push(bytes),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50, "{refused}");
    for (index, on_disk) in unpacked(&accepted).into_iter().enumerate() {
        assert_eq!(on_disk, listed(&accepted[index]), "p{index}");
    }
}
