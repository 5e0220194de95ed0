//! Reads an npm tarball within limits, in memory. What is listed is what npm would unpack; whatever two
//! readers could understand differently is refused, because the reader that installs is not this one.
//!
//! Steps: 1. one gzip member and nothing behind it, 2. the tar's entries one by one, each judged before
//! the next is read, 3. only zeros after the end, 4. exactly one package.json that is a JSON object.
//!
//! Formats: RFC 1952 (gzip), POSIX pax and ustar, GNU long names; npm drops the first path component.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use alloy_primitives::{B256, keccak256};
use flate2::bufread::GzDecoder;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};
use trust::Integrity;
use trust::manifest::Manifest;
use trust::text::is_hidden;

/// Largest extended header (pax, GNU long name), in bytes; real ones have a few hundred.
const MAX_EXTENSION_BYTES: u64 = 64 << 10;

/// Largest package.json, in bytes; npm's largest have about 1 MB.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

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
}

impl Default for Limits {
    fn default() -> Self {
        Self { compressed: 256 << 20, unpacked: 1 << 30, entries: 100_000, path: 1024 }
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
    /// SHA-256 of the contents.
    pub sha256: B256,
}

/// What a tarball holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tarball {
    /// Path, as npm unpacks it, to file.
    pub files: BTreeMap<String, FileEntry>,
    /// The install-relevant part of its package.json.
    pub manifest: Manifest,
    /// All of its package.json.
    pub manifest_json: Value,
    /// Whether npm would compile it when no script says otherwise.
    pub has_binding_gyp: bool,
}

/// Why a tarball is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TarballError {
    /// More bytes than allowed.
    #[error("tarball has {found} bytes, expected at most {limit}")]
    Compressed {
        /// Its size.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Unpacks to more than allowed.
    #[error("tarball unpacks to more than {limit} bytes")]
    Unpacked {
        /// The limit.
        limit: u64,
    },
    /// Does not begin like gzip.
    #[error("not a gzip file")]
    NotGzip,
    /// Ends early, or was damaged.
    #[error("tarball is truncated or damaged: {reason}")]
    Damaged {
        /// What the reader says.
        reason: String,
    },
    /// Bytes behind the gzip member: another reader might read on.
    #[error("{found} bytes follow the gzip stream, expected none")]
    Trailing {
        /// How many.
        found: usize,
    },
    /// Something other than zeros behind the tar's end.
    #[error("data follows the end of the archive")]
    AfterEnd,
    /// Too many entries.
    #[error("archive has more than {limit} entries")]
    Entries {
        /// The limit.
        limit: usize,
    },
    /// A path that leads elsewhere, or that a terminal or file system could misread.
    #[error("path {path:?} is refused: {reason}")]
    Path {
        /// The path, made printable.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// Neither a file nor a directory.
    #[error("{path:?} is a {kind}, expected files and directories only")]
    Kind {
        /// The path, made printable.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// An extended header that changes how the next entry is read.
    #[error("extended header holds {key:?}, expected only path, times, owners and comments")]
    Extension {
        /// The key, made printable.
        key: String,
    },
    /// No package.json where npm looks for it.
    #[error("archive holds no package.json")]
    NoManifest,
    /// A package.json that npm could not read.
    #[error("package.json cannot be read: {reason}")]
    Manifest {
        /// Why.
        reason: String,
    },
}

/// Lists what npm would unpack from `bytes`.
pub fn read_tarball(bytes: &[u8], limits: &Limits) -> Result<Tarball, TarballError> {
    let mut files = BTreeMap::new();
    let mut manifest_bytes = None;
    walk(bytes, limits, |path, mode, contents| {
        let mut hasher = Sha256::new();
        let size = if path == "package.json" {
            let mut kept = Vec::new();
            let size = io::copy(&mut contents.take(MAX_MANIFEST_BYTES), &mut kept)?;
            hasher.update(&kept);
            manifest_bytes = Some(kept);
            size
        } else {
            io::copy(contents, &mut hasher)?
        };
        files.insert(path.to_owned(), FileEntry { mode, size, sha256: B256::from_slice(&hasher.finalize()) });
        Ok(true)
    })?;
    let manifest_bytes = manifest_bytes.ok_or(TarballError::NoManifest)?;
    let unreadable = |reason: String| TarballError::Manifest { reason };
    // npm drops a byte order mark.
    let text = manifest_bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&manifest_bytes);
    let manifest_json: Value = serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))?;
    let has_binding_gyp = files.contains_key("binding.gyp");
    let manifest =
        Manifest::parse(&manifest_json, has_binding_gyp).map_err(|error| unreadable(error.to_string()))?;
    Ok(Tarball { files, manifest, manifest_json, has_binding_gyp })
}

/// The contents of one file, at most `limit` bytes of it; `None` when the archive does not hold it.
pub fn read_file(bytes: &[u8], path: &str, limits: &Limits, limit: u64) -> Result<Option<Vec<u8>>, TarballError> {
    let mut found = None;
    walk(bytes, limits, |at, _, contents| {
        if at != path {
            return Ok(true);
        }
        let mut kept = Vec::new();
        contents.take(limit).read_to_end(&mut kept)?;
        found = Some(kept);
        Ok(false)
    })?;
    Ok(found)
}

/// SHA-512 of the tar inside: the second tier of comparing two packings, for when only gzip differs.
pub fn tar_integrity(bytes: &[u8], limits: &Limits) -> Result<Integrity, TarballError> {
    let mut unpacked = Vec::new();
    let mut reader = Bounded { inner: GzDecoder::new(bytes), left: limits.unpacked, over: false };
    if let Err(error) = reader.read_to_end(&mut unpacked) {
        return Err(if reader.over { TarballError::Unpacked { limit: limits.unpacked } } else { damaged(&error) });
    }
    Ok(Integrity::of(&unpacked))
}

/// A digest over sorted (path, mode, contents): the third tier, for when order and times differ too.
#[must_use]
pub fn tree_digest(tarball: &Tarball) -> B256 {
    let mut lines = String::new();
    for (path, entry) in &tarball.files {
        lines.push_str(&format!("{path}\0{:o}\0{:x}\n", entry.mode, entry.sha256));
    }
    keccak256(lines)
}

type Visit<'a> = dyn FnMut(&str, u32, &mut dyn Read) -> io::Result<bool> + 'a;

/// Steps 1 to 3. `visit` gets path, mode and contents of each file, and says whether to go on.
fn walk(
    bytes: &[u8],
    limits: &Limits,
    mut visit: impl FnMut(&str, u32, &mut dyn Read) -> io::Result<bool>,
) -> Result<(), TarballError> {
    if bytes.len() > limits.compressed {
        return Err(TarballError::Compressed { found: bytes.len(), limit: limits.compressed });
    }
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(TarballError::NotGzip);
    }
    let mut reader = Bounded { inner: GzDecoder::new(bytes), left: limits.unpacked, over: false };
    match walk_entries(&mut reader, limits, &mut visit) {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(_) if reader.over => return Err(TarballError::Unpacked { limit: limits.unpacked }),
        Err(error) => return Err(error),
    }
    // 3. Whatever follows the end, up to the end of the gzip member, is zeros.
    let mut block = [0_u8; 8192];
    loop {
        match reader.read(&mut block) {
            Ok(0) => break,
            Ok(count) if block.iter().take(count).all(|byte| *byte == 0) => {}
            Ok(_) => return Err(TarballError::AfterEnd),
            Err(_) if reader.over => return Err(TarballError::Unpacked { limit: limits.unpacked }),
            Err(error) => return Err(damaged(&error)),
        }
    }
    match reader.inner.into_inner() {
        [] => Ok(()),
        rest => Err(TarballError::Trailing { found: rest.len() }),
    }
}

/// Step 2; whether the end of the archive was reached.
fn walk_entries(reader: &mut dyn Read, limits: &Limits, visit: &mut Visit<'_>) -> Result<bool, TarballError> {
    let mut archive = Archive::new(reader);
    let mut seen = BTreeSet::new();
    let mut long_path: Option<Vec<u8>> = None;
    // Raw: what an extended header means is decided here, and not by a library's leniency.
    for (index, entry) in archive.entries().map_err(|error| damaged(&error))?.raw(true).enumerate() {
        if index >= limits.entries {
            return Err(TarballError::Entries { limit: limits.entries });
        }
        let mut entry = entry.map_err(|error| damaged(&error))?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::XHeader => {
                if let Some(path) = pax_path(&read_extension(&mut entry)?, false)? {
                    long_path = Some(path);
                }
                continue;
            }
            EntryType::XGlobalHeader => {
                pax_path(&read_extension(&mut entry)?, true)?;
                continue;
            }
            EntryType::GNULongName => {
                let mut path = read_extension(&mut entry)?;
                while path.last() == Some(&0) {
                    path.pop();
                }
                long_path = Some(path);
                continue;
            }
            _ => {}
        }
        let raw = long_path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let path = String::from_utf8(raw).map_err(|error| TarballError::Path {
            path: trust::text::printable(&String::from_utf8_lossy(error.as_bytes()), 200),
            reason: "not UTF-8",
        })?;
        match kind {
            EntryType::Regular => {}
            EntryType::Directory => {
                unpacked_path(path.trim_end_matches('/'), limits, true)?;
                continue;
            }
            other => return Err(TarballError::Kind { path: trust::text::printable(&path, 200), kind: name(other) }),
        }
        let path = unpacked_path(&path, limits, false)?;
        let refused = |reason| TarballError::Path { path: path.clone(), reason };
        if !seen.insert(path.clone()) {
            return Err(refused("it is there twice"));
        }
        let mode = entry.header().mode().map_err(|error| damaged(&error))?;
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let size = entry.header().entry_size().map_err(|error| damaged(&error))?;
        if path == "package.json" && size > MAX_MANIFEST_BYTES {
            return Err(TarballError::Manifest { reason: format!("it has {size} bytes") });
        }
        let mut contents = Counted { inner: &mut entry, count: 0 };
        let go_on = visit(&path, mode, &mut contents).map_err(|error| damaged(&error))?;
        if !go_on {
            return Ok(false);
        }
        io::copy(&mut contents, &mut io::sink()).map_err(|error| damaged(&error))?;
        if contents.count != size {
            return Err(TarballError::Damaged { reason: format!("{path} ends after {} of {size} bytes", contents.count) });
        }
    }
    // A file where a folder must be: what wins depends on who unpacks.
    for path in &seen {
        let mut parent = path.as_str();
        while let Some((above, _)) = parent.rsplit_once('/') {
            if seen.contains(above) {
                return Err(TarballError::Path { path: above.to_owned(), reason: "it is a file and a folder" });
            }
            parent = above;
        }
    }
    Ok(true)
}

fn read_extension(entry: &mut impl Read) -> Result<Vec<u8>, TarballError> {
    let mut bytes = Vec::new();
    entry.take(MAX_EXTENSION_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
    if bytes.len() as u64 > MAX_EXTENSION_BYTES {
        return Err(TarballError::Extension { key: "more than 64 KiB".to_owned() });
    }
    Ok(bytes)
}

/// The `path` of a pax header. Keys that change where or how much is read (size, linkpath, GNU.sparse) are
/// refused; a global header may hold comments only.
fn pax_path(extension: &[u8], global: bool) -> Result<Option<Vec<u8>>, TarballError> {
    let mut path = None;
    for record in tar::PaxExtensions::new(extension) {
        let record = record.map_err(|error| damaged(&error))?;
        let key = String::from_utf8_lossy(record.key_bytes()).into_owned();
        match key.as_str() {
            "comment" => {}
            "path" if !global => path = Some(record.value_bytes().to_vec()),
            "mtime" | "atime" | "ctime" | "uid" | "gid" | "uname" | "gname" if !global => {}
            key if !global && (key.starts_with("SCHILY.") || key.starts_with("LIBARCHIVE.") || key.starts_with("NODETAR.")) => {}
            key => return Err(TarballError::Extension { key: trust::text::printable(key, 80) }),
        }
    }
    Ok(path)
}

/// The path npm unpacks to: without its first component.
fn unpacked_path(path: &str, limits: &Limits, directory: bool) -> Result<String, TarballError> {
    let refused = |reason| Err(TarballError::Path { path: trust::text::printable(path, 200), reason });
    if path.len() > limits.path {
        return refused("it is too long");
    }
    if path.starts_with('/') {
        return refused("it is absolute");
    }
    if path.chars().any(|c| is_hidden(c) || c == '\\') {
        return refused("it holds control, hidden or backslash characters");
    }
    if path.split('/').any(|part| part == "..") {
        return refused("it leads out of the package");
    }
    if path.split('/').any(|part| part.is_empty() || part == ".") {
        return refused("it holds an empty or a dot component");
    }
    // `c:` is a drive to some readers, which drop it.
    if path.split('/').any(|part| matches!(part.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic())) {
        return refused("it names a drive");
    }
    match path.split_once('/') {
        Some((_, rest)) => Ok(rest.to_owned()),
        None if directory => Ok(String::new()),
        None => refused("it lies beside the package's folder"),
    }
}

fn name(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "symbolic link",
        EntryType::Link => "hard link",
        EntryType::Char | EntryType::Block => "device",
        EntryType::Fifo => "pipe",
        EntryType::GNUSparse => "sparse file",
        EntryType::GNULongLink => "long link",
        _ => "special entry",
    }
}

fn damaged(error: &io::Error) -> TarballError {
    TarballError::Damaged { reason: trust::text::printable(&error.to_string(), 200) }
}

/// Stops a bomb at the limit.
struct Bounded<R> {
    inner: R,
    left: u64,
    over: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => {
                self.left = left;
                Ok(count)
            }
            None => {
                self.over = true;
                Err(io::Error::other("over the limit"))
            }
        }
    }
}

/// Knows how much was read: an archive that ends early gives short contents, not an error.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count = self.count.saturating_add(count as u64);
        Ok(count)
    }
}
