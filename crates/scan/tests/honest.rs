//! Archives of every honest shape, one file of them, how two of them differ, and digests of packings.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use scan::{Limits, read_file, read_files, read_tarball};
use support::{Archive, Header, MANIFEST};

#[test]
fn every_honest_shape_is_listed_as_npm_unpacks_it() {
    let (long, longer) = ("d".repeat(200), "e".repeat(150));
    let tarball = Archive::default()
        .entry(b'g', "pax_global_header", 0o644, support::pax_record("comment", "commit").as_bytes())
        .folder("package/")
        .folder("package/bin")
        .file("package/package.json", b"\xef\xbb\xbf{\"name\":\"a\",\"version\":\"1.0.0\"}")
        .entry(b'0', "anything/bin/run", 0o755, b"ok")
        .entry(b'0', "package/group", 0o610, b"ok")
        .entry(b'\0', "package/old", 0o600, b"old")
        .pax("path", &format!("package/{long}"))
        .file("package/short", b"long name")
        .entry(b'L', "././@LongLink", 0o644, format!("package/{longer}\0").as_bytes())
        .file("package/short", b"gnu")
        .pax("SCHILY.xattr.user.x", "1")
        .header(&Header { prefix: b"package/pre".to_vec(), ..Header::new(b'0', "fix", 1) }, b"x")
        .header(
            &Header { magic: *b"ustar  \0", prefix: b"no prefix".to_vec(), ..Header::new(b'0', "p/gnu", 1) },
            b"x",
        )
        .read()
        .unwrap();
    let expected = ["bin/run", &long, &longer, "gnu", "group", "old", "package.json", "pre/fix"];
    assert_eq!(tarball.files.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    let mode = |path: &str| tarball.files[path].mode;
    assert_eq!((mode("bin/run"), mode("group"), mode("old")), (0o755, 0o755, 0o644));
    assert_eq!(tarball.files["old"].size, 3);
    assert_eq!(tarball.manifest.identity().unwrap().0.as_str(), "a");
    assert!(!tarball.has_binding_gyp);
    assert!(Archive::package().file("package/binding.gyp", b"{}").read().unwrap().has_binding_gyp);
}

#[test]
fn zeros_behind_the_gzip_stream_are_the_padding_of_old_tarballs() {
    let padded = [Archive::package().tgz(), vec![0; 7919]].concat();
    assert_eq!(read_tarball(&padded, &Limits::default()), Archive::package().read());
}

#[test]
fn of_two_equal_keys_the_last_counts_as_it_does_for_npm() {
    let manifest = br#"{"name":"a","version":"1.0.0","dependencies":{"x":"1"},"dependencies":{"y":"1"}}"#;
    let tarball = Archive::default().file("package/package.json", manifest).read().unwrap();
    assert_eq!(tarball.manifest.dependencies.keys().collect::<Vec<_>>(), ["y"]);
}

#[test]
fn one_file_is_read_within_its_bound() {
    let bytes = Archive::package().file("package/a", b"0123456789").tgz();
    let limits = Limits::default();
    assert_eq!(read_file(&bytes, "a", &limits, 4).unwrap().unwrap(), b"0123");
    assert_eq!(read_file(&bytes, "a", &limits, 100).unwrap().unwrap(), b"0123456789");
    assert_eq!(read_file(&bytes, "b", &limits, 4).unwrap(), None);
}

#[test]
fn several_files_are_read_in_one_pass_that_ends_with_the_last() {
    let archive =
        Archive::package().file("package/a", b"1").file("package/b", b"2").file("package/c", b"345");
    let bytes = archive.entry(b'2', "package/link", 0o644, b"").tgz();
    let read = |paths: &[&str]| {
        let mut found = Vec::new();
        let paths = paths.iter().copied().collect();
        let ended = read_files(&bytes, &paths, &Limits::default(), 2, &mut |path, kept| {
            found.push((path.to_owned(), kept));
        });
        (found, ended.is_ok())
    };
    assert_eq!(read(&["c", "a"]), (vec![("a".into(), b"1".to_vec()), ("c".into(), b"34".to_vec())], true));
    assert_eq!(read(&["a", "d"]), (vec![("a".into(), b"1".to_vec())], false), "it came to the link");
    assert_eq!(read(&[]), (vec![], true));
}

#[test]
fn a_diff_names_every_path_and_a_mode_counts() {
    let old = Archive::package()
        .file("package/a", b"1")
        .file("package/b", b"1")
        .file("package/c", b"1")
        .read()
        .unwrap();
    let new = Archive::package()
        .file("package/a", b"2")
        .entry(b'0', "package/b", 0o755, b"1")
        .file("package/d", b"1")
        .read()
        .unwrap();
    let found = scan::diff(&old, &new);
    assert_eq!((found.added, found.removed), (vec!["d".into()], vec!["c".into()]));
    assert_eq!(found.changed, ["a", "b"]);
    assert_eq!(scan::diff(&old, &old), scan::TreeDiff::default());
}

#[test]
fn a_text_diff_is_bounded_and_cannot_drive_the_terminal() {
    let shown = scan::text_diff(b"one\n\ttwo\n", b"one\n\x1b[2Jthree\n", 50).unwrap();
    assert!(shown.contains("-    two") && shown.contains("+\u{fffd}[2Jthree"), "{shown}");
    assert!(scan::text_diff(b"", &[0xff, 0xfe], 50).is_none());
    assert!(
        scan::text_diff(b"", "x\n".repeat(100).as_bytes(), 5).unwrap().ends_with("… more lines follow\n")
    );
    let long = scan::text_diff(b"", &[b'x'; 10_000], 5).unwrap();
    assert!(long.chars().count() < 500, "{long}");
    assert_eq!(scan::text_diff(b"same", b"same", 5).unwrap(), "");
}

#[test]
fn digests_of_all_three_tiers_see_what_they_should() {
    let limits = Limits::default();
    let tar = Archive::package().file("package/a", b"1").tar();
    let fast = support::gzip(&tar);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&tar).unwrap();
    let best = encoder.finish().unwrap();
    assert_ne!(fast, best);
    assert_eq!(scan::tar_integrity(&fast, &limits), scan::tar_integrity(&best, &limits));
    assert_eq!(scan::tar_integrity(&fast, &limits).unwrap(), trust::Integrity::of(&tar));
    let other = Archive::default().file("p/a", b"1").file("p/package.json", MANIFEST).tgz();
    assert_ne!(scan::tar_integrity(&fast, &limits), scan::tar_integrity(&other, &limits));
    let digest = |bytes: &[u8]| scan::tree_digest(&read_tarball(bytes, &limits).unwrap());
    assert_eq!(digest(&fast), digest(&other));
    let contents = Archive::package().file("package/a", b"2").tgz();
    let path = Archive::package().file("package/b", b"1").tgz();
    let mode = Archive::package().entry(b'0', "package/a", 0o755, b"1").tgz();
    for changed in [contents, path, mode] {
        assert_ne!(digest(&fast), digest(&changed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever one byte is turned into, the answer is the same list or a refusal, and never a panic. The same
    /// list comes only of bytes that mean nothing: time, flags and system in the gzip header, and the five
    /// bits of padding behind the header of a stored block.
    #[test]
    fn a_bent_byte_never_changes_the_list(at in 0_usize..4096, with in 1_u8..=255) {
        let tar = Archive::package().file("package/a", &[7; 700]).pax("path", "package/b").file("package/x", b"b").tar();
        let mut stored = GzEncoder::new(Vec::new(), Compression::none());
        stored.write_all(&tar).unwrap();
        let whole = stored.finish().unwrap();
        let before = read_tarball(&whole, &Limits::default()).unwrap();
        let mut bent = whole.clone();
        let at = at % bent.len();
        bent[at] ^= with;
        if let Ok(after) = read_tarball(&bent, &Limits::default()) {
            let is_padding = with & 0b111 == 0;
            prop_assert!((3..10).contains(&at) || is_padding, "byte {at}");
            prop_assert_eq!(before, after);
        }
    }

    /// Any tar at all, in a sound gzip member: an answer, and never a panic.
    #[test]
    fn any_bytes_as_a_tar_get_an_answer(blocks in proptest::collection::vec(any::<(u16, u8)>(), 0..40)) {
        let mut tar = Archive::package().pax("path", "package/b").file("package/x", b"b").folder("package/c/").tar();
        let length = tar.len();
        for (at, byte) in blocks {
            tar[usize::from(at) % length] = byte;
        }
        if let Ok(tarball) = read_tarball(&support::gzip(&tar), &Limits::default()) {
            prop_assert!(tarball.files.keys().all(|path| !path.starts_with('/') && !path.contains("..")));
        }
    }
}
