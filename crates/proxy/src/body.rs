//! What a body is: unpacked within a limit, and a document or not. Believes no header about it.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use memmap2::MmapMut;
use serde::de::IgnoredAny;

/// One block of a tar archive (POSIX.1-1988, ustar).
const TAR_BLOCK: usize = 512;

/// Where a tar header keeps its checksum.
const TAR_CHECKSUM: std::ops::Range<usize> = 148..156;

/// The kinds of entry that a reader of tar does something with; the kind follows the checksum.
const TAR_KINDS: &[u8] = b"01234567gxADIKLMNSVX ";

/// How many times its own size deflate can stand for at most (a match of 258 bytes takes two bits at least).
const DEFLATE_RATIO: usize = 1032;

/// What is larger lies in pages of its own, which go back to the system with it: an allocator keeps them, and has a heap for
/// each thread that once had a large one.
const OWN_PAGES: usize = 128 << 10;

/// Why a body is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// Too long.
    #[error("the registry sent more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Silent.
    #[error("the registry sent nothing for {limit:?}")]
    Idle {
        /// The limit.
        limit: Duration,
    },
    /// Too slow.
    #[error("the registry's answer took longer than {limit:?}")]
    Slow {
        /// The limit.
        limit: Duration,
    },
    /// Cut short, or broken.
    #[error("the registry's answer broke off: {reason}")]
    Broken {
        /// Why.
        reason: String,
    },
    /// An encoding nobody asked for.
    #[error("the registry's answer is encoded as {encoding:?}, expected gzip, deflate or nothing")]
    Encoding {
        /// Which.
        encoding: String,
    },
}

/// How a body is packed (RFC 9110, section 8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Deflate,
}

impl Encoding {
    /// From the values of `Content-Encoding`; one encoding at most.
    pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Self, BodyError> {
        let text = values.map(String::from_utf8_lossy).collect::<Vec<_>>().join(",");
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            other => Err(BodyError::Encoding { encoding: other.chars().take(40).collect() }),
        }
    }
}

/// Unpacks all of a body. What is cut short or followed by something else is refused.
pub(crate) fn unpack(body: &Bytes, encoding: Encoding, limit: usize) -> Result<Bytes, BodyError> {
    match encoding {
        Encoding::Identity if body.len() > limit => Err(BodyError::TooLarge { limit }),
        Encoding::Identity => Ok(body.clone()),
        Encoding::Gzip => match unpack_at_once(body, limit) {
            Some(unpacked) => Ok(unpacked),
            None => read_all(MultiGzDecoder::new(body.as_ref()), limit),
        },
        Encoding::Deflate => {
            let mut decoder = ZlibDecoder::new(body.as_ref());
            let unpacked = read_all(&mut decoder, limit)?;
            if decoder.total_in() != body.len() as u64 {
                return Err(BodyError::Broken { reason: "something follows its end".to_owned() });
            }
            Ok(unpacked)
        }
    }
}

/// One gzip member that is as long as its end says, straight to where it stays: a stream has a window to copy from. None
/// for everything else, whatever is the matter with it.
fn unpack_at_once(packed: &[u8], limit: usize) -> Option<Bytes> {
    let decoder = GzDecoder::new(packed);
    decoder.header()?;
    // RFC 1952, section 2.3: CRC32 and ISIZE, which is the size modulo 2^32.
    let (deflated, [a, b, c, d, size @ ..]) = decoder.into_inner().split_last_chunk::<8>()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    if size > limit.min(deflated.len().saturating_mul(DEFLATE_RATIO)) {
        return None;
    }
    let checksum = u32::from_le_bytes([*a, *b, *c, *d]);
    if size < OWN_PAGES {
        let mut unpacked = vec![0; size];
        return inflate(deflated, checksum, &mut unpacked).then(|| unpacked.into());
    }
    let mut unpacked = MmapMut::map_anon(size).ok()?;
    inflate(deflated, checksum, &mut unpacked).then(|| Bytes::from_owner(unpacked))
}

/// Whether all of `deflated`, and nothing else, fills `unpacked`, which has this checksum.
fn inflate(deflated: &[u8], checksum: u32, unpacked: &mut [u8]) -> bool {
    let mut inflate = Decompress::new(false);
    let status = inflate.decompress(deflated, unpacked, FlushDecompress::Finish);
    let mut sum = Crc::new();
    sum.update(unpacked);
    matches!(status, Ok(Status::StreamEnd))
        && inflate.total_in() == deflated.len() as u64
        && inflate.total_out() == unpacked.len() as u64
        && sum.sum() == checksum
}

fn read_all(reader: impl Read, limit: usize) -> Result<Bytes, BodyError> {
    let mut unpacked = Vec::new();
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| BodyError::Broken { reason: error.to_string() })?;
    if unpacked.len() > limit { Err(BodyError::TooLarge { limit }) } else { Ok(unpacked.into()) }
}

/// Whether all of it is one JSON object or array in UTF-8, and nothing that could be unpacked besides.
pub(crate) fn is_document(body: &[u8]) -> bool {
    let start = body.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(start, Some(b'{' | b'['))
        && std::str::from_utf8(body).is_ok()
        && serde_json::from_slice::<IgnoredAny>(body).is_ok()
        && !is_archive(body)
}

/// Whether all of it is one JSON value.
pub(crate) fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok() && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// Whether some block of it is the header of a tar entry. Readers take archives that are not compressed, and
/// npm's skips blocks that are no headers; and the name of an entry may as well begin a JSON text.
fn is_archive(body: &[u8]) -> bool {
    // Whoever starts with a header takes kinds that nobody knows for files; who skips blocks, does not.
    body.chunks_exact(TAR_BLOCK).enumerate().any(|(at, block)| {
        let kind = block.get(TAR_CHECKSUM.end);
        (at == 0 || kind.is_some_and(|kind| TAR_KINDS.contains(kind))) && has_tar_checksum(block)
    })
}

fn has_tar_checksum(block: &[u8]) -> bool {
    let Some(field) = block.get(TAR_CHECKSUM) else { return false };
    // As the most lenient reader does: spaces first, then digits for as long as they last.
    let digits = field.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let digits: Vec<u8> = digits.iter().copied().take_while(|byte| matches!(byte, b'0'..=b'7')).collect();
    if digits.is_empty() {
        return false;
    }
    let said = digits.iter().fold(0_i64, |sum, digit| sum * 8 + i64::from(digit - b'0'));
    // The checksum counts its own field as spaces, and some count bytes as signed.
    let blank = |at: usize, byte: u8| if TAR_CHECKSUM.contains(&at) { b' ' } else { byte };
    let bytes = || block.iter().enumerate().map(|(at, byte)| blank(at, *byte));
    said == bytes().map(i64::from).sum::<i64>()
        || said == bytes().map(|byte| i64::from(byte.cast_signed())).sum::<i64>()
}

/// What lies at the bottom of an error.
pub(crate) fn last_cause(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_whole_objects_and_arrays_are_documents() {
        for document in [&b"{}"[..], b" \n[1]", b"{\"versions\":{}}", "{\"é\":1}".as_bytes()] {
            assert!(is_document(document), "{document:?}");
        }
        for other in [
            &b""[..],
            b"null",
            b"\"text\"",
            b"{} trailing",
            b"{}{}",
            b"\xef\xbb\xbf{}",
            b"package/package.json\0\0",
            b"\x1f\x8b\x08{}",
            b"{\"a\":",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\0\"}",
        ] {
            assert!(!is_document(other), "{other:?}");
        }
    }

    #[test]
    fn nesting_without_end_is_no_overflow() {
        assert!(!is_document(&vec![b'['; 1 << 20]));
        let deep = [vec![b'['; 1 << 20], vec![b']'; 1 << 20]].concat();
        assert!(is_document(&deep));
    }

    /// A JSON text of printable characters only, whose block at `at` is the header of a tar entry.
    fn json_and_tar(at: usize) -> Vec<u8> {
        let mut text = vec![b'x'; at + TAR_BLOCK];
        text[0..6].copy_from_slice(b"{\"a\":\"");
        text.extend_from_slice(&[b' '; TAR_BLOCK - 2]);
        text.extend_from_slice(b"\"}");
        let block = &mut text[at..at + TAR_BLOCK];
        block[100..108].copy_from_slice(b"0000644 ");
        block[124..136].copy_from_slice(b"00000000777 ");
        block[156] = b'0';
        block[TAR_CHECKSUM].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[TAR_CHECKSUM].copy_from_slice(format!("{sum:07o} ").as_bytes());
        text
    }

    #[test]
    fn a_json_text_that_is_an_archive_too_is_no_document() {
        for at in [0, TAR_BLOCK, 5 * TAR_BLOCK] {
            let mut text = json_and_tar(at);
            assert!(is_json(&text));
            assert!(!is_document(&text), "{at}");
            text[at + 200] = b'y';
            assert!(is_document(&text), "{at}");
        }
    }

    #[test]
    fn the_archive_of_the_last_test_is_one() {
        let text = json_and_tar(0);
        let mut archive = tar::Archive::new(text.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.size(), 0o777);
    }

    #[test]
    fn an_unpacked_body_has_a_limit() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
        let bomb = Bytes::from(encoder.finish().unwrap());
        let unpacked = |limit| unpack(&bomb, Encoding::Gzip, limit).map(|bytes| bytes.len());
        assert_eq!(unpacked(1 << 20), Ok(1 << 20));
        assert_eq!(unpacked((1 << 20) - 1), Err(BodyError::TooLarge { limit: (1 << 20) - 1 }));
        assert!(unpack(&bomb.slice(..bomb.len() - 9), Encoding::Gzip, 1 << 20).is_err());
    }

    #[test]
    fn one_member_is_unpacked_at_once_and_everything_else_as_a_stream() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let pack = |text: &[u8]| {
            let header = flate2::GzBuilder::new().filename("name").comment("comment").extra("extra");
            let mut encoder = header.write(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let packed = pack(&text);
        let limit = text.len();
        assert_eq!(unpack_at_once(&packed, limit).unwrap(), text);
        assert_eq!(unpack_at_once(&pack(b""), 0).unwrap(), b"".as_slice());
        assert_eq!(unpack_at_once(&pack(&text[..5]), 5).unwrap(), &text[..5]);
        assert_eq!(unpack_at_once(&packed, limit - 1), None);
        let end = packed.len();
        // Each byte of the checksum and of the size, the body, the header, and the end.
        for at in (end - 8..end).chain([end / 2, 0, 2]) {
            let mut other = packed.clone();
            other[at] ^= 1;
            assert_eq!(unpack_at_once(&other, limit), None, "{at}");
            assert!(unpack(&other.into(), Encoding::Gzip, limit).is_err(), "{at}");
        }
        for cut in [0, 5, 20, end - 8, end - 1] {
            assert_eq!(unpack_at_once(&packed[..cut], limit), None, "{cut}");
        }
        let both = Bytes::from([packed.clone(), packed].concat());
        assert_eq!(unpack_at_once(&both, 2 * limit), None);
        assert_eq!(unpack(&both, Encoding::Gzip, 2 * limit).unwrap(), [text.clone(), text].concat());
    }

    #[test]
    fn what_follows_a_packed_body_is_not_ignored() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(b"{}").unwrap();
        let mut packed = encoder.finish().unwrap();
        assert_eq!(unpack(&packed.clone().into(), Encoding::Deflate, 9), Ok(Bytes::from_static(b"{}")));
        packed.push(0);
        assert!(unpack(&packed.into(), Encoding::Deflate, 9).is_err());
    }

    #[test]
    fn one_encoding_is_read_and_no_other() {
        let check = |values: &[&str], expected: Option<Encoding>| {
            let values = values.iter().map(|value| value.as_bytes());
            assert_eq!(Encoding::parse(values).ok(), expected);
        };
        check(&[], Some(Encoding::Identity));
        check(&["Identity"], Some(Encoding::Identity));
        check(&[" GZIP "], Some(Encoding::Gzip));
        check(&["deflate"], Some(Encoding::Deflate));
        check(&["br"], None);
        check(&["gzip, gzip"], None);
        check(&["gzip", "br"], None);
    }
}
