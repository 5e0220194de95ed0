//! Tarballs built in code: good ones, and ones that no honest tool makes.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

/// A package of two files, as npm would pack it.
pub fn package(name: &str, version: &str, code: &str) -> Vec<u8> {
    let manifest = json!({ "name": name, "version": version, "main": "index.js", "license": "MIT" }).to_string();
    archive(&[("package/package.json", manifest.as_bytes()), ("package/index.js", code.as_bytes())])
}

/// A package whose archive has one more entry, at `path`.
pub fn package_with(name: &str, version: &str, path: &str) -> Vec<u8> {
    let manifest = json!({ "name": name, "version": version, "main": "index.js" }).to_string();
    archive(&[("package/package.json", manifest.as_bytes()), (path, b"escaped")])
}

/// A package that is `bytes` long at least, because of a file that does not compress.
pub fn package_of_size(name: &str, version: &str, bytes: usize) -> Vec<u8> {
    let manifest = json!({ "name": name, "version": version, "main": "index.js" }).to_string();
    let mut noise = Vec::with_capacity(bytes);
    // xorshift64: all it must be is incompressible.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_le_bytes());
    }
    noise.truncate(bytes);
    archive_with(Compression::none(), &[("package/package.json", manifest.as_bytes()), ("package/noise", &noise)])
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    archive_with(Compression::default(), files)
}

fn archive_with(level: Compression, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), level));
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
