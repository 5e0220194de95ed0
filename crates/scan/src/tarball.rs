//! Reads an npm tarball within limits, in memory. What is listed is what npm would unpack (except that
//! npm renames `.gitignore`, see [`Tarball::files`]); whatever two readers could understand differently
//! is refused, because the reader that installs is not this one. Judges no contents.
//!
//! Steps: 1. one gzip member and nothing but zeros behind it, 2. the tar's entries one by one, each judged before
//! the next is read, 3. only zeros after the end, 4. exactly one package.json that is a JSON object.
//!
//! Formats: RFC 1952 (gzip), tar as in `archive`; npm drops the first path component.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write as _};

use alloy_primitives::B256;
use flate2::bufread::GzDecoder;
use serde::Serialize;
use serde_json::Value;
use trust::digest::FileHasher;
use trust::manifest::Manifest;
use trust::text::printable;

use crate::archive::{Archive, refusal};
use crate::error::TarballError;
use crate::path::{Places, unpacked_path};

/// Largest package.json, in bytes; npm's largest have about 1 MB, and reading one takes many times its size.
const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// What is unpacked at once, in bytes: as much as deflate looks back (RFC 1951, section 2).
const PIECE: usize = 32 << 10;

/// What an archive may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the tarball.
    pub compressed: usize,
    /// Bytes of the tar inside.
    pub unpacked: u64,
    /// Entries, directories and extended headers included.
    pub entries: usize,
    /// Bytes of a path.
    pub path: usize,
    /// Bytes of all paths together: they are kept in memory.
    pub paths: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { compressed: 256 << 20, unpacked: 1 << 30, entries: 100_000, path: 1024, paths: 32 << 20 }
    }
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// 0o755 when anybody may execute it, else 0o644: what npm keeps of a mode.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the contents.
    pub hash: B256,
}

/// What a tarball holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tarball {
    /// Path without its first component, to file. On disk npm gives `.gitignore` the name `.npmignore`, or
    /// leaves it out where the same folder has one; other package managers do not.
    pub files: BTreeMap<String, FileEntry>,
    /// The install-relevant part of its package.json.
    pub manifest: Manifest,
    /// All of its package.json.
    pub manifest_json: Value,
    /// Whether npm would compile it when no script says otherwise.
    pub has_binding_gyp: bool,
}

/// Lists what npm would unpack from `bytes`.
pub fn read_tarball(bytes: &[u8], limits: &Limits) -> Result<Tarball, TarballError> {
    let mut files = BTreeMap::new();
    let mut manifest_bytes = None;
    walk(bytes, limits, &mut |path, mode, size, contents| {
        let mut hasher = FileHasher::default();
        if path == "package.json" {
            if size > MAX_MANIFEST_BYTES {
                let limit = MAX_MANIFEST_BYTES;
                return Err(io::Error::other(TarballError::LargeManifest { found: size, limit }));
            }
            let mut kept = Vec::new();
            contents.read_to_end(&mut kept)?;
            hasher.write_all(&kept)?;
            manifest_bytes = Some(kept);
        } else {
            hash(contents, &mut hasher)?;
        }
        files.insert(path.to_owned(), FileEntry { mode, size, hash: hasher.finish() });
        Ok(true)
    })?;
    // 4.
    let manifest_bytes = manifest_bytes.ok_or(TarballError::NoManifest)?;
    // npm drops a byte order mark.
    let text = manifest_bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&manifest_bytes);
    let manifest_json: Value = serde_json::from_slice(text)
        .map_err(|error| TarballError::ManifestJson { reason: printable(&error.to_string(), 200) })?;
    let has_binding_gyp = files.contains_key("binding.gyp");
    let manifest = Manifest::parse(&manifest_json, has_binding_gyp)
        .map_err(|source| TarballError::Manifest { source })?;
    Ok(Tarball { files, manifest, manifest_json, has_binding_gyp })
}

/// The contents of one file, at most `limit` bytes of it; `None` when the archive does not hold it. See [`read_files`].
pub fn read_file(
    bytes: &[u8],
    path: &str,
    limits: &Limits,
    limit: u64,
) -> Result<Option<Vec<u8>>, TarballError> {
    let mut found = None;
    read_files(bytes, &BTreeSet::from([path]), limits, limit, &mut |_, kept| found = Some(kept))?;
    Ok(found)
}

/// Hands the contents of these files to `visit`, at most `limit` bytes of each, in one pass. What follows the last of
/// them is not read: for bytes that [`read_tarball`] accepted.
pub fn read_files(
    bytes: &[u8],
    paths: &BTreeSet<&str>,
    limits: &Limits,
    limit: u64,
    visit: &mut dyn FnMut(&str, Vec<u8>),
) -> Result<(), TarballError> {
    let mut missing = paths.len();
    if missing == 0 {
        return Ok(());
    }
    walk(bytes, limits, &mut |path, _, _, contents| {
        if !paths.contains(path) {
            return Ok(true);
        }
        let mut kept = Vec::new();
        contents.take(limit).read_to_end(&mut kept)?;
        visit(path, kept);
        missing = missing.saturating_sub(1);
        Ok(missing > 0)
    })
}

/// Takes path, mode, size and contents of a file; says whether to go on.
type Visit<'a> = dyn FnMut(&str, u32, u64, &mut dyn BufRead) -> io::Result<bool> + 'a;

/// Steps 1 to 3.
fn walk(bytes: &[u8], limits: &Limits, visit: &mut Visit<'_>) -> Result<(), TarballError> {
    let unpacked = BufReader::with_capacity(PIECE, unpack(bytes, limits)?);
    let mut archive = Archive::new(unpacked, limits.entries);
    let (mut places, mut left) = (Places::default(), limits.paths);
    // 2.
    while let Some(entry) = archive.next_entry()? {
        let Some(path) = unpacked_path(&entry.path, entry.is_directory, limits.path)? else { continue };
        if entry.is_directory {
            continue;
        }
        left = left.checked_sub(path.len()).ok_or(TarballError::Paths { limit: limits.paths })?;
        places.add(&path)?;
        let mode = if entry.mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let size = entry.size;
        if !archive.read_contents(&entry, &mut |contents| visit(&path, mode, size, contents))? {
            return Ok(());
        }
    }
    places.check_folders()?;
    // 3. Whatever follows the end, up to the end of the gzip member, is zeros.
    let mut rest = archive.into_inner();
    loop {
        let piece = rest.fill_buf().map_err(refusal)?;
        match piece.len() {
            0 => return rest.into_inner().finish(),
            count if piece.iter().all(|byte| *byte == 0) => rest.consume(count),
            _ => return Err(TarballError::AfterEnd),
        }
    }
}

/// Adds all of it to a hash.
fn hash(contents: &mut dyn BufRead, hasher: &mut FileHasher) -> io::Result<()> {
    loop {
        let piece = contents.fill_buf()?;
        if piece.is_empty() {
            return Ok(());
        }
        hasher.write_all(piece)?;
        let count = piece.len();
        contents.consume(count);
    }
}

/// Step 1: the tar inside, with a bomb stopped at the limit.
pub(crate) fn unpack<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Unpacked<'a>, TarballError> {
    if bytes.len() > limits.compressed {
        return Err(TarballError::Compressed { found: bytes.len(), limit: limits.compressed });
    }
    if !bytes.starts_with(&GZIP) {
        return Err(TarballError::NotGzip);
    }
    Ok(Unpacked { inner: GzDecoder::new(bytes), left: limits.unpacked, limit: limits.unpacked })
}

/// How a gzip member begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The bytes inside one gzip member.
#[derive(Debug)]
pub(crate) struct Unpacked<'a> {
    inner: GzDecoder<&'a [u8]>,
    left: u64,
    limit: u64,
}

impl Unpacked<'_> {
    /// Refuses what lies behind the member; zeros are padding, which tarballs of npm's first years have.
    pub(crate) fn finish(self) -> Result<(), TarballError> {
        match self.inner.into_inner() {
            rest if rest.iter().all(|byte| *byte == 0) => Ok(()),
            rest if rest.starts_with(&GZIP) => Err(TarballError::SecondMember { found: rest.len() }),
            rest => Err(TarballError::Trailing { found: rest.len() }),
        }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or_else(|| io::Error::other(TarballError::Unpacked { limit: self.limit }))?;
        Ok(count)
    }
}
