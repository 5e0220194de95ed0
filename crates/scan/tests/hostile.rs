//! Archives made to be misread, each refused for its own reason. What npm does with each was tried with
//! npm 11 (node-tar 7.5); where a comment says so, npm unpacks something else than is listed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use scan::{EntryKind, HeaderProblem, Limits, PathProblem, TarballError, read_tarball, tar_integrity};
use support::{Archive, Header, MANIFEST, gzip, pax_record};

fn refused_path(archive: Archive, expected: PathProblem) {
    match archive.read() {
        Err(TarballError::Path { problem, .. }) => assert_eq!(problem, expected),
        other => panic!("expected {expected:?}, got {other:?}"),
    }
}

fn with(path: &str) -> Archive {
    Archive::package().file(path, b"x")
}

fn refused_header(archive: Archive, expected: HeaderProblem) {
    assert_eq!(archive.read().unwrap_err(), TarballError::Header { entry: 1, problem: expected });
}

#[test]
fn a_path_that_leads_out_of_the_package_is_refused() {
    refused_path(with("package/../../x"), PathProblem::Escapes);
    refused_path(with("../x"), PathProblem::Escapes);
    refused_path(with("package/.."), PathProblem::Escapes);
    refused_path(Archive::package().folder("../x"), PathProblem::Escapes);
    refused_path(Archive::package().pax("path", "package/../x").file("package/x", b""), PathProblem::Escapes);
    let prefixed = Header { prefix: b"package/..".to_vec(), ..Header::new(b'0', "x", 0) };
    refused_path(Archive::package().header(&prefixed, b""), PathProblem::Escapes);
}

#[test]
fn an_absolute_path_is_refused() {
    refused_path(with("/etc/passwd"), PathProblem::Absolute);
    refused_path(with("//server/share"), PathProblem::Absolute);
}

#[test]
fn a_drive_is_refused_because_npm_takes_it_off() {
    // npm writes `package/c:package.json` to package.json.
    refused_path(with("package/c:package.json"), PathProblem::Drive);
    refused_path(with("C:/x"), PathProblem::Drive);
}

#[test]
fn empty_and_dot_components_are_refused() {
    for path in ["package//x", "./package/x", "package/./x", "package/x/."] {
        refused_path(with(path), PathProblem::EmptyComponent);
    }
    refused_path(Archive::package().folder("package//"), PathProblem::EmptyComponent);
}

#[test]
fn a_file_beside_the_packages_folder_is_refused() {
    refused_path(with("x"), PathProblem::OutsideFolder);
}

#[test]
fn a_backslash_is_refused() {
    refused_path(with("package/a\\..\\b"), PathProblem::Backslash);
}

#[test]
fn control_and_hidden_characters_are_refused() {
    for path in
        ["package/a\nb", "package/a\u{1b}[2J", "package/a\u{7f}", "package/a\u{202e}b", "package/a\u{200b}"]
    {
        refused_path(with(path), PathProblem::Hidden);
    }
    // A NUL ends a name in the header, and cannot in a pax record.
    refused_path(Archive::package().pax("path", "package/a\0b").file("package/x", b""), PathProblem::Hidden);
    let long_name =
        Archive::package().entry(b'L', "././@LongLink", 0o644, b"package/a\0b\0").file("package/x", b"");
    refused_path(long_name, PathProblem::Hidden);
}

#[test]
fn a_name_that_windows_would_shorten_is_refused() {
    refused_path(with("package/package.json."), PathProblem::TrailingDot);
    refused_path(with("package/package.json "), PathProblem::TrailingDot);
    refused_path(with("package/lib./x"), PathProblem::TrailingDot);
}

#[test]
fn a_path_that_is_not_utf8_is_refused() {
    let latin = Header { name: b"package/caf\xe9".to_vec(), ..Header::new(b'0', "", 0) };
    refused_path(Archive::package().header(&latin, b""), PathProblem::NotUtf8);
}

#[test]
fn a_path_beyond_its_limit_is_refused() {
    let long = format!("package/{}", "a/".repeat(600));
    let found = long.len();
    let archive = Archive::package().pax("path", &long).file("package/x", b"");
    refused_path(archive, PathProblem::TooLong { found, limit: 1024 });
}

#[test]
fn a_path_that_is_there_twice_is_refused() {
    refused_path(with("package/a").file("package/a", b"y"), PathProblem::Twice);
    // npm strips whatever comes first: the second of these wins.
    refused_path(Archive::package().file("other/package.json", b"{}"), PathProblem::Twice);
    refused_path(Archive::package().file("package/package.json", MANIFEST), PathProblem::Twice);
}

#[test]
fn paths_that_are_one_place_where_case_or_composition_is_folded_are_refused() {
    refused_path(with("package/README.md").file("package/readme.md", b""), PathProblem::TwiceFolded);
    refused_path(with("package/PACKAGE.JSON"), PathProblem::TwiceFolded);
    refused_path(with("package/caf\u{e9}").file("package/cafe\u{301}", b""), PathProblem::TwiceFolded);
    refused_path(with("package/\u{17f}x").file("package/sx", b""), PathProblem::TwiceFolded);
    assert!(with("package/lib/x").file("package/LIB/y", b"").read().is_ok());
}

#[test]
fn a_file_where_a_folder_must_be_is_refused() {
    refused_path(with("package/a").file("package/a/b", b""), PathProblem::FileAndFolder);
    refused_path(with("package/a/b").file("package/a", b""), PathProblem::FileAndFolder);
    refused_path(
        with("package/a").file("package/a-b", b"").file("package/A/b", b""),
        PathProblem::FileAndFolder,
    );
    assert!(with("package/a").file("package/a-b", b"").file("package/a.b/c", b"").read().is_ok());
}

#[test]
fn only_files_and_directories_are_accepted() {
    let check = |kind: u8, expected: EntryKind| match Archive::package()
        .entry(kind, "package/x", 0o644, b"")
        .read()
    {
        Err(TarballError::Kind { kind, path }) => assert_eq!((kind, path.as_str()), (expected, "package/x")),
        other => panic!("{}: {other:?}", char::from(kind)),
    };
    check(b'1', EntryKind::HardLink);
    check(b'2', EntryKind::SymbolicLink);
    check(b'3', EntryKind::Device);
    check(b'4', EntryKind::Device);
    check(b'6', EntryKind::Pipe);
    check(b'S', EntryKind::Sparse);
    check(b'K', EntryKind::LongLink);
    for special in *b"7ADIMNVXZ" {
        check(special, EntryKind::Special);
    }
}

#[test]
fn a_header_with_a_wrong_checksum_is_refused() {
    // npm skips such a header and reads the contents as headers.
    let bent = Header { checksum: Some(b"000000\0 ".to_vec()), ..Header::new(b'0', "package/x", 0) };
    refused_header(Archive::package().header(&bent, b""), HeaderProblem::Checksum);
    // Right, but without an end: npm goes on reading digits in the next field.
    let header = Header::new(b'0', "package/x", 0);
    let sum = header.bytes()[148..154].to_vec();
    let open = Header { checksum: Some([b"00", sum.as_slice()].concat()), ..header };
    refused_header(Archive::package().header(&open, b""), HeaderProblem::Checksum);
}

#[test]
fn a_text_field_that_goes_on_behind_its_end_is_refused() {
    let name = Header { name: b"package/x\0\nevil".to_vec(), ..Header::new(b'0', "", 0) };
    refused_header(Archive::package().header(&name, b""), HeaderProblem::Text);
    let prefix = Header { prefix: b"package\0y".to_vec(), ..Header::new(b'0', "x", 0) };
    refused_header(Archive::package().header(&prefix, b""), HeaderProblem::Text);
}

#[test]
fn a_size_that_is_not_octal_is_refused() {
    for size in [
        b"-0000000001\0".as_slice(),
        b"+0000000001\0",
        b"0000000001x\0",
        b"00000 00001\0",
        b"0x000000001\0",
        b"00000000008\0",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        b"           \0",
        b"\x80\0\0\0\0\0\0\0\0\0\0\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let lying = Header { size: size.to_vec(), ..Header::new(b'0', "package/x", 0) };
        refused_header(Archive::package().header(&lying, b"x"), HeaderProblem::Number);
    }
    let mode = Header { mode: "rwxr-xr-".into(), ..Header::new(b'0', "package/x", 0) };
    refused_header(Archive::package().header(&mode, b""), HeaderProblem::Number);
}

#[test]
fn a_directory_with_contents_is_refused() {
    // npm takes its size for zero, and so unpacks the file that lies in its contents.
    let smuggled = Header::new(b'0', "package/evil", 0).bytes();
    refused_header(
        Archive::package().entry(b'5', "package/x/", 0o755, &smuggled),
        HeaderProblem::DirectoryContents,
    );
}

#[test]
fn a_file_that_is_named_like_a_directory_is_refused() {
    let smuggled = Header::new(b'0', "package/evil", 0).bytes();
    refused_header(Archive::package().file("package/x/", &smuggled), HeaderProblem::FileNamedDirectory);
}

#[test]
fn a_file_with_a_link_target_is_refused() {
    // npm skips its header and reads the contents as headers.
    let smuggled = Header::new(b'0', "package/evil", 0).bytes();
    let linked = Header { link: b"target".to_vec(), ..Header::new(b'0', "package/x", smuggled.len()) };
    refused_header(Archive::package().header(&linked, &smuggled), HeaderProblem::LinkTarget);
}

#[test]
fn extended_headers_that_change_what_is_read_are_refused() {
    for key in [
        "type",
        "linkpath",
        "charset",
        "hdrcharset",
        "GNU.sparse.map",
        "GNU.sparse.realsize",
        "SCHILY.realsize",
        "SCHILY.devpath",
        "",
    ] {
        let archive = Archive::package().pax(key, "1").file("package/x", b"x");
        assert_eq!(archive.read().unwrap_err(), TarballError::Extension { key: key.to_owned() });
    }
    let record = pax_record("path", "package/y");
    let twice =
        Archive::package().entry(b'x', "pax", 0o644, record.repeat(2).as_bytes()).file("package/x", b"");
    assert!(matches!(twice.read(), Err(TarballError::Extension { .. })));
    for key in ["path", "mtime"] {
        let global = Archive::default().entry(b'g', "g", 0o644, pax_record(key, "1").as_bytes());
        assert!(matches!(global.read(), Err(TarballError::Extension { .. })), "{key}");
    }
}

#[test]
fn a_size_that_an_extended_header_gives_otherwise_is_refused() {
    // npm takes this file for empty and reads its contents as headers.
    let smuggled = Header::new(b'0', "package/evil", 0).bytes();
    let other = Archive::package().pax("size", "0").file("package/x", &smuggled);
    let problem = HeaderProblem::OtherSize;
    assert_eq!(other.read().unwrap_err(), TarballError::Header { entry: 2, problem });
    for size in ["", "-1", "+1", "1e3", "0x1", "1.0", " 1"] {
        let archive = Archive::package().pax("size", size).file("package/x", b"x");
        assert_eq!(archive.read().unwrap_err(), TarballError::MalformedExtension, "{size:?}");
    }
    assert!(Archive::package().pax("size", "1").file("package/x", b"x").read().is_ok());
}

#[test]
fn malformed_extended_headers_are_refused() {
    let smuggling = pax_record("comment", &format!("x\n{}", pax_record("path", "package/evil")));
    for body in [
        "x",
        "12 comment=x",
        "99 comment=x\n",
        "5 comment=x\n",
        "0 comment=x\n",
        "-1 a=b\n",
        "+9 abc=x\n",
        "99999999999999999999 a=b\n",
        "12comment=xx\n",
        "8 nokey\n",
        "\0\0\0\0",
        // npm splits at line breaks, finds the inner record, and unpacks package/evil.
        smuggling.as_str(),
    ] {
        let archive = Archive::package().entry(b'x', "pax", 0o644, body.as_bytes()).file("package/x", b"x");
        assert_eq!(archive.read().unwrap_err(), TarballError::MalformedExtension, "{body:?}");
    }
}

#[test]
fn an_endless_extended_header_is_refused_before_it_is_read() {
    let found = (64 << 10) + 1;
    for kind in *b"xgL" {
        let archive = Archive::package().header(&Header::new(kind, "pax", found), b"");
        assert_eq!(
            archive.read().unwrap_err(),
            TarballError::LargeExtension { found: found as u64, limit: 64 << 10 }
        );
    }
}

#[test]
fn what_is_not_gzip_is_refused() {
    let check = |bytes: &[u8]| read_tarball(bytes, &Limits::default()).unwrap_err();
    assert_eq!(check(b""), TarballError::NotGzip);
    assert_eq!(check(b"\x1f"), TarballError::NotGzip);
    assert_eq!(check(b"<html>not found</html>"), TarballError::NotGzip);
    // npm takes a bare tar.
    assert_eq!(check(&Archive::package().tar()), TarballError::NotGzip);
}

#[test]
fn a_truncated_or_damaged_gzip_stream_is_refused() {
    let whole = Archive::package().file("package/x", &(0..=255).collect::<Vec<u8>>()).tgz();
    for length in 2..whole.len() {
        let cut = read_tarball(&whole[..length], &Limits::default());
        assert!(matches!(cut, Err(TarballError::Gzip { .. })), "{length}: {cut:?}");
    }
    let mut checksum = whole.clone();
    let at = checksum.len() - 8;
    checksum[at] ^= 1;
    assert!(matches!(read_tarball(&checksum, &Limits::default()), Err(TarballError::Gzip { .. })));
}

#[test]
fn a_second_gzip_member_is_refused() {
    let first = Archive::package().tgz();
    for second in [Archive::default().file("package/evil", b"x").tgz(), gzip(b"")] {
        let both = [first.as_slice(), &second].concat();
        let expected = TarballError::SecondMember { found: second.len() };
        assert_eq!(read_tarball(&both, &Limits::default()).unwrap_err(), expected);
        assert_eq!(tar_integrity(&both, &Limits::default()).unwrap_err(), expected);
    }
}

#[test]
fn bytes_behind_the_gzip_stream_are_refused() {
    for behind in [b"x".as_slice(), b"\0\0\0x"] {
        let bytes = [&Archive::package().tgz(), behind].concat();
        let found = behind.len();
        assert_eq!(read_tarball(&bytes, &Limits::default()).unwrap_err(), TarballError::Trailing { found });
    }
}

#[test]
fn an_archive_that_ends_inside_an_entry_is_refused() {
    let contents = 512 + 30;
    let tar = Archive::package().file("package/big", &vec![7; contents]).0;
    let last = tar.len();
    let check = |length: usize, expected: &str| match read_tarball(&gzip(&tar[..length]), &Limits::default())
    {
        Err(TarballError::Truncated { inside }) => assert_eq!(inside, expected, "{length}"),
        other => panic!("{length}: {other:?}"),
    };
    for missing in [1, 512 - 30] {
        check(last - missing, "the padding of an entry");
    }
    for missing in [512 - 29, 1024] {
        check(last - missing, "package/big");
    }
    for missing in [1025, 1024 + 511] {
        check(last - missing, "a header");
    }
    // Without any mark of its end an archive is whole to everybody.
    assert!(read_tarball(&gzip(&tar), &Limits::default()).is_ok());
    let lying = Archive::package().header(&Header::new(b'0', "package/x", 5000), b"short");
    assert_eq!(lying.read().unwrap_err(), TarballError::Truncated { inside: "package/x".into() });
    let extension = Archive::package().header(&Header::new(b'x', "pax", 2000), b"12 comment=x\n").0;
    let cut = read_tarball(&gzip(&extension), &Limits::default()).unwrap_err();
    assert_eq!(cut, TarballError::Truncated { inside: "an extended header".into() });
}

#[test]
fn data_behind_the_end_of_the_archive_is_refused() {
    let evil = Archive::default().file("package/evil", b"x");
    for zeros in [512, 1024, 4096] {
        // After a single block of zeros npm goes on.
        let tar = [Archive::package().0, vec![0; zeros], evil.0.clone()].concat();
        assert_eq!(read_tarball(&gzip(&tar), &Limits::default()).unwrap_err(), TarballError::AfterEnd);
    }
    let padded = [Archive::package().0, vec![0; 10_240]].concat();
    assert!(read_tarball(&gzip(&padded), &Limits::default()).is_ok());
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let bomb = Archive::package().file("package/zeros", &vec![0; 4 << 20]).tgz();
    let limits = Limits { unpacked: 1 << 20, ..Limits::default() };
    assert_eq!(read_tarball(&bomb, &limits).unwrap_err(), TarballError::Unpacked { limit: 1 << 20 });
    assert_eq!(tar_integrity(&bomb, &limits).unwrap_err(), TarballError::Unpacked { limit: 1 << 20 });
    // Zeros behind the end count as well.
    let tail = gzip(&[Archive::package().0, vec![0; 4 << 20]].concat());
    assert_eq!(read_tarball(&tail, &limits).unwrap_err(), TarballError::Unpacked { limit: 1 << 20 });
}

#[test]
fn a_crowd_of_entries_is_refused() {
    let mut crowd = Archive::package();
    let empty = Header::new(b'5', "package/", 0).bytes();
    for _ in 0..100_000 {
        crowd.0.extend_from_slice(&empty);
    }
    assert_eq!(crowd.read().unwrap_err(), TarballError::Entries { limit: 100_000 });
    // Exactly the limit passes. Directories and extended headers count: they cost time too.
    let limits = Limits { entries: 3, ..Limits::default() };
    let three = with("package/a").file("package/b", b"").tgz();
    assert_eq!(read_tarball(&three, &limits).unwrap().files.len(), 3);
    let folders = Archive::package().folder("package/a/").folder("package/b/").folder("package/c/").tgz();
    assert_eq!(read_tarball(&folders, &limits).unwrap_err(), TarballError::Entries { limit: 3 });
    let extended = Archive::package().pax("comment", "1").pax("comment", "2").file("package/x", b"").tgz();
    assert_eq!(read_tarball(&extended, &limits).unwrap_err(), TarballError::Entries { limit: 3 });
}

#[test]
fn paths_that_would_fill_the_memory_are_refused() {
    let limits = Limits { paths: 20, ..Limits::default() };
    let archive = Archive::package().file("package/long-name", b"").tgz();
    assert_eq!(read_tarball(&archive, &limits).unwrap_err(), TarballError::Paths { limit: 20 });
}

#[test]
fn a_tarball_beyond_its_limit_is_refused_before_it_is_unpacked() {
    let limits = Limits { compressed: 10, ..Limits::default() };
    assert_eq!(
        read_tarball(&[0; 11], &limits).unwrap_err(),
        TarballError::Compressed { found: 11, limit: 10 }
    );
}

#[test]
fn an_archive_without_package_json_is_refused() {
    for path in ["package/x", "package/lib/package.json", "package/Package.json"] {
        assert_eq!(
            Archive::default().file(path, MANIFEST).read().unwrap_err(),
            TarballError::NoManifest,
            "{path}"
        );
    }
    assert_eq!(
        Archive::default().folder("package/package.json/").read().unwrap_err(),
        TarballError::NoManifest
    );
    assert_eq!(Archive::default().read().unwrap_err(), TarballError::NoManifest);
}

#[test]
fn a_package_json_that_is_not_json_is_refused() {
    let nested = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let bytes: [&[u8]; 6] = [b"", b"{", b"{} {}", b"{\"a\":\"\xff\"}", b"\xff\xfe{\0}\0", nested.as_bytes()];
    for manifest in bytes {
        let archive = Archive::default().file("package/package.json", manifest);
        assert!(matches!(archive.read(), Err(TarballError::ManifestJson { .. })), "{manifest:?}");
    }
}

#[test]
fn a_package_json_npm_could_not_use_is_refused() {
    for manifest in ["[]", "null", "\"a\"", r#"{"name": 1}"#, r#"{"dependencies": 1}"#] {
        let archive = Archive::default().file("package/package.json", manifest.as_bytes());
        assert!(matches!(archive.read(), Err(TarballError::Manifest { .. })), "{manifest}");
    }
}

#[test]
fn a_giant_package_json_is_refused_before_it_is_read() {
    let found = (4 << 20) + 1;
    let archive = Archive::default().header(&Header::new(b'0', "package/package.json", found), b"{}");
    assert_eq!(
        archive.read().unwrap_err(),
        TarballError::LargeManifest { found: found as u64, limit: 4 << 20 }
    );
}
