//! Tarballs built in code: good ones, and ones that no honest tool makes.

use std::io::Write as _;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use serde_json::json;

/// A package of two files, as npm would pack it.
pub fn package(name: &str, version: &str, code: &str) -> Vec<u8> {
    let manifest =
        json!({ "name": name, "version": version, "main": "index.js", "license": "MIT" }).to_string();
    archive(&[("package/package.json", manifest.as_bytes()), ("package/index.js", code.as_bytes())])
}

/// A package that runs `script` when it is installed, with `count` files more than anybody reads, and one behind them.
pub fn package_of_many(name: &str, version: &str, script: &str, count: usize) -> Vec<u8> {
    let manifest =
        json!({ "name": name, "version": version, "scripts": { "postinstall": script } }).to_string();
    let paths: Vec<String> = (0..count).map(|index| format!("package/a/{index:03}.js")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("package/package.json", manifest.as_bytes())];
    files.extend(paths.iter().map(|path| (path.as_str(), &b"1;\n"[..])));
    files.push(("package/lib/z.js", b"module.exports = 'last';\n"));
    archive(&files)
}

/// A package whose archive has one more entry, at `path`.
pub fn package_with(name: &str, version: &str, path: &str) -> Vec<u8> {
    let manifest = json!({ "name": name, "version": version, "main": "index.js" }).to_string();
    archive(&[("package/package.json", manifest.as_bytes()), (path, b"escaped")])
}

/// A package whose tarball is exactly `bytes` long, because of a file that does not compress.
pub fn package_of_exact_size(name: &str, version: &str, bytes: usize) -> Vec<u8> {
    let manifest = json!({ "name": name, "version": version, "main": "index.js" }).to_string();
    let noise = noise(bytes);
    let build = |length: usize, extra: usize| {
        let files: [(&str, &[u8]); 2] =
            [("package/package.json", manifest.as_bytes()), ("package/noise", &noise[..length])];
        archive_with(GzBuilder::new().extra(vec![0; extra]).write(Vec::new(), Compression::none()), &files)
    };
    // What the formats add is nearly the same for nearly the same length; gzip's extra field fills the rest.
    let added = build(bytes - (1 << 16), 1).len() - (bytes - (1 << 16));
    let shorter = bytes - added - (1 << 11);
    let missing = bytes - build(shorter, 1).len();
    build(shorter, 1 + missing)
}

/// Bytes that do not compress (xorshift64).
fn noise(length: usize) -> Vec<u8> {
    let mut noise = Vec::with_capacity(length + 8);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while noise.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_le_bytes());
    }
    noise.truncate(length);
    noise
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    archive_with(GzEncoder::new(Vec::new(), Compression::default()), files)
}

fn archive_with(gzip: GzEncoder<Vec<u8>>, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(gzip);
    for (path, contents) in files {
        let mut header = tar::Header::new_ustar();
        // Written by hand, because the crate refuses the paths that matter here.
        let name = &mut header.as_old_mut().name;
        name.get_mut(..path.len()).expect("a short path").copy_from_slice(path.as_bytes());
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(499_162_500);
        header.set_cksum();
        tar.append(&header, *contents).expect("memory");
    }
    let mut gzip = tar.into_inner().expect("memory");
    gzip.flush().expect("memory");
    gzip.finish().expect("memory")
}
