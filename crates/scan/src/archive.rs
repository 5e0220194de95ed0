//! The tar layer: one header at a time, each judged before the next byte is believed. It accepts only
//! what every reader in use (node-tar, libarchive, tar-stream) reads the same way; a header that one of
//! them would skip, or measure differently, is refused, because the contents behind it would then be
//! read as headers. Knows nothing of packages.
//!
//! Formats: POSIX ustar and pax, GNU long names. No links, no sparse files, no base-256 numbers (a file
//! that needs one is past every limit).

use std::io::{self, BufRead, Read as _};

use trust::text::printable;

use crate::error::{EntryKind, HeaderProblem, TarballError};

const BLOCK: usize = 512;

/// Largest extended header (pax, GNU long name), in bytes; real ones have a few hundred.
pub(crate) const MAX_EXTENSION_BYTES: u64 = 64 << 10;

/// A file or directory, before its contents.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As written, with the folder that npm strips.
    pub(crate) path: Vec<u8>,
    pub(crate) is_directory: bool,
    pub(crate) mode: u32,
    pub(crate) size: u64,
}

/// Reads entries from the bytes of a tar.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    reader: R,
    limit: usize,
    count: usize,
}

impl<R: BufRead> Archive<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, count: 0 }
    }

    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    /// The next file or directory; `None` at the end of the archive.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, TarballError> {
        let mut extension = Extension::default();
        loop {
            let Some(block) = self.read_block()? else { return Ok(None) };
            if self.count >= self.limit {
                return Err(TarballError::Entries { limit: self.limit });
            }
            let entry = self.count;
            let header = Header::parse(&block).map_err(|problem| TarballError::Header { entry, problem })?;
            self.count = self.count.saturating_add(1);
            match header.kind {
                b'x' => extension.add_pax(&self.read_extension(header.size)?, false)?,
                b'g' => extension.add_pax(&self.read_extension(header.size)?, true)?,
                b'L' => {
                    let mut path = self.read_extension(header.size)?;
                    while path.pop_if(|byte| *byte == 0).is_some() {}
                    extension.path = Some(path);
                }
                b'\0' | b'0' | b'5' => {
                    if extension.size.is_some_and(|size| size != header.size) {
                        return Err(TarballError::Header { entry, problem: HeaderProblem::OtherSize });
                    }
                    let path = extension.path.unwrap_or(header.path);
                    let is_directory = header.kind == b'5';
                    return Ok(Some(Entry { path, is_directory, mode: header.mode, size: header.size }));
                }
                other => {
                    let path = String::from_utf8_lossy(&extension.path.unwrap_or(header.path)).into_owned();
                    return Err(TarballError::Kind { path: printable(&path, 200), kind: kind_of(other) });
                }
            }
        }
    }

    /// Hands the contents of `entry` to `visit`; whether to go on. Whatever it leaves is read and dropped.
    pub(crate) fn read_contents(
        &mut self,
        entry: &Entry,
        visit: &mut dyn FnMut(&mut dyn BufRead) -> io::Result<bool>,
    ) -> Result<bool, TarballError> {
        let mut contents = (&mut self.reader).take(entry.size);
        if !visit(&mut contents).map_err(refusal)? {
            return Ok(false);
        }
        skip(&mut contents).map_err(refusal)?;
        if contents.limit() > 0 {
            let inside = printable(&String::from_utf8_lossy(&entry.path), 200);
            return Err(TarballError::Truncated { inside });
        }
        self.skip_padding(entry.size)?;
        Ok(true)
    }

    /// One header block; `None` for a block of zeros, or where the archive stops without one.
    fn read_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarballError> {
        let (mut block, mut read) = ([0; BLOCK], 0_usize);
        while let Some(rest) = block.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest).map_err(refusal)? {
                0 if read == 0 => return Ok(None),
                0 => return Err(TarballError::Truncated { inside: "a header".to_owned() }),
                count => read = read.saturating_add(count),
            }
        }
        Ok(block.iter().any(|byte| *byte != 0).then_some(block))
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, TarballError> {
        if size > MAX_EXTENSION_BYTES {
            return Err(TarballError::LargeExtension { found: size, limit: MAX_EXTENSION_BYTES });
        }
        let mut bytes = Vec::new();
        (&mut self.reader).take(size).read_to_end(&mut bytes).map_err(refusal)?;
        if (bytes.len() as u64) < size {
            return Err(TarballError::Truncated { inside: "an extended header".to_owned() });
        }
        self.skip_padding(size)?;
        Ok(bytes)
    }

    fn skip_padding(&mut self, size: u64) -> Result<(), TarballError> {
        let padding = size.next_multiple_of(BLOCK as u64).saturating_sub(size);
        let mut rest = (&mut self.reader).take(padding);
        skip(&mut rest).map_err(refusal)?;
        match rest.limit() {
            0 => Ok(()),
            _ => Err(TarballError::Truncated { inside: "the padding of an entry".to_owned() }),
        }
    }
}

struct Header {
    path: Vec<u8>,
    kind: u8,
    mode: u32,
    size: u64,
}

impl Header {
    fn parse(block: &[u8; BLOCK]) -> Result<Self, HeaderProblem> {
        let field = |from: usize, length: usize| {
            block.get(from..).and_then(|rest| rest.get(..length)).unwrap_or_default()
        };
        // 1. The checksum, over the block with its own field as spaces.
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let checksum = field(148, 8);
        let counted = sum(block).saturating_sub(sum(checksum)).saturating_add(sum(&[b' '; 8]));
        if octal(checksum, true) != Some(counted) {
            return Err(HeaderProblem::Checksum);
        }
        // 2. Names end where they end.
        let mut path = text(field(0, 100))?.to_vec();
        if field(257, 8) == b"ustar\x0000" {
            // Where byte 475 is zero, node-tar keeps times behind a prefix of 130.
            let prefix = text(field(345, if field(475, 1) == [0] { 130 } else { 155 }))?;
            if !prefix.is_empty() {
                path = [prefix, b"/", &path].concat();
            }
        }
        let size = octal(field(124, 12), false).ok_or(HeaderProblem::Number)?;
        let kind = field(156, 1).first().copied().unwrap_or_default();
        // 3. What would make another reader go on elsewhere than behind `size` bytes.
        match kind {
            b'\0' | b'0' if path.last() == Some(&b'/') => return Err(HeaderProblem::FileNamedDirectory),
            b'5' if size > 0 => return Err(HeaderProblem::DirectoryContents),
            b'\0' | b'0' | b'5' | b'L' if field(157, 100).iter().any(|byte| *byte != 0) => {
                return Err(HeaderProblem::LinkTarget);
            }
            _ => {}
        }
        let mode = octal(field(100, 8), false).and_then(|mode| u32::try_from(mode).ok());
        Ok(Self { path, kind, mode: mode.ok_or(HeaderProblem::Number)?, size })
    }
}

/// Bytes up to the first NUL, with nothing but NULs behind it.
fn text(field: &[u8]) -> Result<&[u8], HeaderProblem> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let (text, rest) = field.split_at(end);
    if rest.iter().all(|byte| *byte == 0) { Ok(text) } else { Err(HeaderProblem::Text) }
}

/// Spaces, octal digits, then only NULs and spaces; `closed`: at least one of these, because node-tar
/// reads past the field without.
fn octal(field: &[u8], closed: bool) -> Option<u64> {
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let field = field.get(start..)?;
    let digits = field.iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    let (digits, end) = field.split_at_checked(digits)?;
    if digits.is_empty() || (closed && end.is_empty()) || end.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(8)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

/// Reads to the end, and drops it.
fn skip(reader: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let count = reader.fill_buf()?.len();
        if count == 0 {
            return Ok(());
        }
        reader.consume(count);
    }
}

/// What extended headers say of the next file.
#[derive(Debug, Default)]
struct Extension {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extension {
    /// Adds the records `length key=value\n` of a pax header. Keys that change where or how much is read
    /// (type, linkpath, GNU.sparse) are refused, a size that repeats the header's is not: npm writes it. A
    /// global header may hold comments only. A line break inside a value is refused: node-tar would read
    /// another record behind it.
    fn add_pax(&mut self, mut rest: &[u8], global: bool) -> Result<(), TarballError> {
        let (mut path, mut size) = (None, None);
        while !rest.is_empty() {
            let (key, value, after) = split_record(rest).ok_or(TarballError::MalformedExtension)?;
            match key {
                b"path" if !global && path.is_none() => path = Some(value.to_vec()),
                b"size" if !global && size.is_none() => {
                    size = Some(decimal(value).ok_or(TarballError::MalformedExtension)?);
                }
                b"comment" => {}
                key if !global && says_nothing_of_contents(key) => {}
                key => {
                    return Err(TarballError::Extension {
                        key: printable(&String::from_utf8_lossy(key), 80),
                    });
                }
            }
            rest = after;
        }
        self.path = path.or(self.path.take());
        self.size = size.or(self.size);
        Ok(())
    }
}

/// Key and value of the first record, and what follows it.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(bytes.get(..space)?)?).ok()?;
    let (record, after) = bytes.split_at_checked(length)?;
    let record = record.get(space.checked_add(1)?..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=').filter(|_| !record.contains(&b'\n'))?;
    Some((record.get(..equals)?, record.get(equals.checked_add(1)?..)?, after))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok()
}

fn says_nothing_of_contents(key: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 6] = [
        b"SCHILY.xattr.",
        b"SCHILY.acl.",
        b"LIBARCHIVE.xattr.",
        b"RHT.security.",
        b"MSWINDOWS.",
        b"NODETAR.",
    ];
    matches!(
        key,
        b"mtime"
            | b"atime"
            | b"ctime"
            | b"uid"
            | b"gid"
            | b"uname"
            | b"gname"
            | b"LIBARCHIVE.creationtime"
            | b"SCHILY.dev"
            | b"SCHILY.ino"
            | b"SCHILY.nlink"
            | b"SCHILY.fflags"
    ) || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

fn kind_of(kind: u8) -> EntryKind {
    match kind {
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::SymbolicLink,
        b'3' | b'4' => EntryKind::Device,
        b'6' => EntryKind::Pipe,
        b'S' => EntryKind::Sparse,
        b'K' => EntryKind::LongLink,
        _ => EntryKind::Special,
    }
}

/// A refusal that travelled through `Read`, or else what the gzip reader says.
pub(crate) fn refusal(error: io::Error) -> TarballError {
    error
        .downcast::<TarballError>()
        .unwrap_or_else(|error| TarballError::Gzip { reason: printable(&error.to_string(), 200) })
}
