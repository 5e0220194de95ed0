//! Archives made to be misread, each refused for its own reason, and archives of every honest shape.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use scan::{Limits, Tarball, TarballError, read_file, read_tarball};

/// Builds tars no tar program would.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn package() -> Self {
        Self::default().file("package/package.json", br#"{"name":"a","version":"1.0.0"}"#)
    }

    fn entry(mut self, kind: u8, path: &str, mode: u32, size: u64, contents: &[u8]) -> Self {
        let mut header = [0_u8; 512];
        header[..path.len().min(100)].copy_from_slice(&path.as_bytes()[..path.len().min(100)]);
        header[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(contents);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, contents: &[u8]) -> Self {
        self.entry(b'0', path, 0o644, contents.len() as u64, contents)
    }

    fn pax(self, key: &str, value: &str) -> Self {
        let body = format!(" {key}={value}\n");
        let length = (1..).find(|length| format!("{length}").len() + body.len() == *length).unwrap();
        let record = format!("{length}{body}");
        self.entry(b'x', "pax", 0o644, record.len() as u64, record.as_bytes())
    }

    fn tar(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    fn read(self) -> Result<Tarball, TarballError> {
        read_tarball(&gzip(&self.tar()), &Limits::default())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn refused_path(archive: Archive, expected: &str) {
    match archive.read() {
        Err(TarballError::Path { reason, .. }) => assert_eq!(reason, expected),
        other => panic!("expected {expected:?}, got {other:?}"),
    }
}

#[test]
fn an_honest_archive_is_listed_as_npm_unpacks_it() {
    let tarball = Archive::default()
        .entry(b'5', "package/", 0o755, 0, b"")
        .file("package/package.json", b"\xef\xbb\xbf{\"name\":\"a\",\"version\":\"1.0.0\"}")
        .entry(b'0', "anything/bin/run", 0o755, 2, b"ok")
        .entry(b'\0', "package/old", 0o600, 3, b"old")
        .pax("path", &format!("package/{}", "d".repeat(200)))
        .file("package/short", b"long name")
        .read()
        .unwrap();
    let long = "d".repeat(200);
    let expected = ["bin/run", &long, "old", "package.json"];
    assert_eq!(tarball.files.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    assert_eq!((tarball.files["bin/run"].mode, tarball.files["old"].mode), (0o755, 0o644));
    assert_eq!(tarball.manifest.identity().unwrap().0.as_str(), "a");
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let with = |path: &str| Archive::package().file(path, b"x");
    refused_path(with("/etc/passwd"), "it is absolute");
    refused_path(with("package/../../x"), "it leads out of the package");
    refused_path(with("../x"), "it leads out of the package");
    refused_path(with("package/.."), "it leads out of the package");
    refused_path(with("package//x"), "it holds an empty or a dot component");
    refused_path(with("./package/x"), "it holds an empty or a dot component");
    refused_path(with("x"), "it lies beside the package's folder");
    refused_path(with("package/c:x"), "it names a drive");
    refused_path(with("package/a\\..\\b"), "it holds control, hidden or backslash characters");
    refused_path(with("package/a\nb"), "it holds control, hidden or backslash characters");
    refused_path(with("package/a\u{202e}b"), "it holds control, hidden or backslash characters");
    refused_path(Archive::package().pax("path", "package/../x").file("package/x", b""), "it leads out of the package");
    refused_path(Archive::package().entry(b'5', "../x", 0o755, 0, b""), "it leads out of the package");
    let long = format!("package/{}", "a/".repeat(600));
    refused_path(Archive::package().pax("path", &long).file("package/x", b""), "it is too long");
}

#[test]
fn two_entries_for_one_place_are_refused() {
    refused_path(Archive::package().file("package/package.json", b"{}"), "it is there twice");
    refused_path(Archive::package().file("other/package.json", b"{}"), "it is there twice");
    refused_path(Archive::package().file("package/a", b"").file("package/a/b", b""), "it is a file and a folder");
}

#[test]
fn links_devices_and_sparse_files_are_refused() {
    for (kind, expected) in [
        (b'1', "hard link"),
        (b'2', "symbolic link"),
        (b'3', "device"),
        (b'4', "device"),
        (b'6', "pipe"),
        (b'S', "sparse file"),
        (b'K', "long link"),
        (b'7', "special entry"),
        (b'V', "special entry"),
    ] {
        match Archive::package().entry(kind, "package/x", 0o644, 0, b"").read() {
            Err(TarballError::Kind { kind: found, .. }) => assert_eq!(found, expected),
            other => panic!("{}: {other:?}", char::from(kind)),
        }
    }
}

#[test]
fn extended_headers_that_change_what_is_read_are_refused() {
    for key in ["size", "linkpath", "GNU.sparse.map", "GNU.sparse.realsize", "hdrcharset"] {
        let archive = Archive::package().pax(key, "1").file("package/x", b"x");
        assert!(matches!(archive.read(), Err(TarballError::Extension { .. })), "{key}");
    }
    let global = Archive::default().entry(b'g', "g", 0o644, 16, b"16 path=p/other\n");
    assert!(matches!(global.read(), Err(TarballError::Extension { .. })));
    let record = " path=".to_owned() + &"x".repeat(70_000);
    let endless = Archive::package().entry(b'x', "pax", 0o644, record.len() as u64, record.as_bytes());
    assert!(matches!(endless.read(), Err(TarballError::Extension { .. })));
}

#[test]
fn files_that_are_not_whole_gzip_are_refused() {
    let check = |bytes: &[u8]| read_tarball(bytes, &Limits::default()).unwrap_err();
    let whole = gzip(&Archive::package().tar());
    assert_eq!(check(b""), TarballError::NotGzip);
    assert_eq!(check(b"<html>not found</html>"), TarballError::NotGzip);
    assert_eq!(check(&Archive::package().tar()), TarballError::NotGzip);
    for length in [10, whole.len() / 2, whole.len() - 1] {
        assert!(matches!(check(&whole[..length]), TarballError::Damaged { .. }), "{length}");
    }
    assert_eq!(check(&[whole.as_slice(), b"x"].concat()), TarballError::Trailing { found: 1 });
    let second = [whole.as_slice(), &whole].concat();
    assert_eq!(check(&second), TarballError::Trailing { found: whole.len() });
}

#[test]
fn tars_that_end_early_or_go_on_are_refused() {
    let tar = Archive::package().file("package/big", &[7; 2000]).tar();
    let cut = read_tarball(&gzip(&tar[..tar.len() - 1024 - 1024]), &Limits::default());
    assert!(matches!(cut, Err(TarballError::Damaged { .. })), "{cut:?}");
    let lying = Archive::package().entry(b'0', "package/x", 0o644, 5000, b"short");
    assert!(matches!(lying.read(), Err(TarballError::Damaged { .. })));
    let behind = [Archive::package().tar(), Archive::default().file("package/evil", b"x").0].concat();
    assert_eq!(read_tarball(&gzip(&behind), &Limits::default()).unwrap_err(), TarballError::AfterEnd);
}

#[test]
fn limits_stop_bombs_crowds_and_giants() {
    let bomb = gzip(&Archive::package().file("package/zeros", &vec![0; 4 << 20]).tar());
    let limits = Limits { unpacked: 1 << 20, ..Limits::default() };
    assert_eq!(read_tarball(&bomb, &limits).unwrap_err(), TarballError::Unpacked { limit: 1 << 20 });

    let mut crowd = Archive::package();
    for index in 0..20 {
        crowd = crowd.file(&format!("package/{index}"), b"");
    }
    let limits = Limits { entries: 20, ..Limits::default() };
    let result = read_tarball(&gzip(&crowd.tar()), &limits);
    assert_eq!(result.unwrap_err(), TarballError::Entries { limit: 20 });

    let limits = Limits { compressed: 10, ..Limits::default() };
    assert!(matches!(read_tarball(&bomb, &limits), Err(TarballError::Compressed { .. })));
}

#[test]
fn a_package_json_npm_could_not_use_is_refused() {
    assert_eq!(Archive::default().file("package/x", b"").read().unwrap_err(), TarballError::NoManifest);
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for manifest in ["", "{", "[]", "null", r#"{"name": 1}"#, nested.as_str()] {
        let archive = Archive::default().file("package/package.json", manifest.as_bytes());
        assert!(matches!(archive.read(), Err(TarballError::Manifest { .. })), "{manifest}");
    }
}

#[test]
fn one_file_is_read_within_its_bound() {
    let bytes = gzip(&Archive::package().file("package/a", b"0123456789").tar());
    let limits = Limits::default();
    assert_eq!(read_file(&bytes, "a", &limits, 4).unwrap().unwrap(), b"0123");
    assert_eq!(read_file(&bytes, "b", &limits, 4).unwrap(), None);
}

#[test]
fn diffs_name_every_path_and_hide_control_characters() {
    let old = Archive::package().file("package/a", b"1").file("package/b", b"1").file("package/c", b"1").read().unwrap();
    let new = Archive::package()
        .file("package/a", b"2")
        .entry(b'0', "package/b", 0o755, 1, b"1")
        .file("package/d", b"1")
        .read()
        .unwrap();
    let found = scan::diff(&old, &new);
    assert_eq!((found.added, found.removed, found.changed), (vec!["d".into()], vec!["c".into()], vec!["a".into(), "b".into()]));
    let shown = scan::text_diff(b"one\ntwo\n", b"one\n\x1b[2Jthree\n", 50).unwrap();
    assert!(shown.contains("-two") && shown.contains("+\u{fffd}[2Jthree"), "{shown}");
    assert!(scan::text_diff(b"", &[0xff, 0xfe], 50).is_none());
    assert!(scan::text_diff(b"", "x\n".repeat(100).as_bytes(), 5).unwrap().ends_with("… more lines follow\n"));
}

#[test]
fn digests_of_all_three_tiers_see_what_they_should() {
    let limits = Limits::default();
    let tar = Archive::package().file("package/a", b"1").tar();
    let fast = gzip(&tar);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&tar).unwrap();
    let best = encoder.finish().unwrap();
    assert_ne!(fast, best);
    assert_eq!(scan::tar_integrity(&fast, &limits), scan::tar_integrity(&best, &limits));
    let reordered = Archive::default().file("p/a", b"1").file("p/package.json", br#"{"name":"a","version":"1.0.0"}"#);
    let other = gzip(&reordered.tar());
    assert_ne!(scan::tar_integrity(&fast, &limits), scan::tar_integrity(&other, &limits));
    let digest = |bytes: &[u8]| scan::tree_digest(&read_tarball(bytes, &limits).unwrap());
    assert_eq!(digest(&fast), digest(&other));
    let changed = gzip(&Archive::package().file("package/a", b"2").tar());
    assert_ne!(digest(&fast), digest(&changed));
}
