//! A whole body: as it came, and unpacked within a limit.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::pages::Pages;

/// How many times its own size deflate can stand for at most (a match of 258 bytes takes two bits at least).
const DEFLATE_RATIO: usize = 1032;

/// The head of a gzip member that has nothing but what every one has (RFC 1952, section 2.3): ID1, ID2, CM, FLG.
const PLAIN: [u8; 4] = [0x1f, 0x8b, 8, 0];

/// What follows it before what is packed: MTIME, XFL, OS.
const PLAIN_REST: usize = 6;

/// What is larger is unpacked into [`Pages`].
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

/// A whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Unpacked.
    pub(crate) bytes: Bytes,
    /// As it came, where that is one plain gzip member: whoever unpacks it gets `bytes`, and nothing else.
    pub(crate) gzip: Option<Bytes>,
}

impl From<Bytes> for Whole {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, gzip: None }
    }
}

/// How large it says it is, unpacked.
pub(crate) fn said_size(body: &[u8], encoding: Encoding) -> Option<usize> {
    match encoding {
        Encoding::Gzip => body.last_chunk::<4>().and_then(|size| u32::from_le_bytes(*size).try_into().ok()),
        Encoding::Identity | Encoding::Deflate => None,
    }
}

/// Unpacks all of a body. What is cut short or followed by something else is refused.
pub(crate) fn unpack(
    body: &Bytes,
    encoding: Encoding,
    limit: usize,
    pages: &Pages,
) -> Result<Whole, BodyError> {
    match encoding {
        Encoding::Identity if body.len() > limit => Err(BodyError::TooLarge { limit }),
        Encoding::Identity => Ok(body.clone().into()),
        Encoding::Gzip => match unpack_at_once(body, limit, pages) {
            Some(bytes) => Ok(Whole { bytes, gzip: Some(body.clone()) }),
            None => read_all(MultiGzDecoder::new(body.as_ref()), limit).map(Whole::from),
        },
        Encoding::Deflate => {
            let mut decoder = ZlibDecoder::new(body.as_ref());
            let unpacked = read_all(&mut decoder, limit)?;
            if decoder.total_in() != body.len() as u64 {
                return Err(BodyError::Broken { reason: "something follows its end".to_owned() });
            }
            Ok(unpacked.into())
        }
    }
}

/// One plain gzip member that is as long as its end says, straight to where it stays: a stream has a window to copy from.
/// None for everything else, whatever is the matter with it.
fn unpack_at_once(packed: &[u8], limit: usize, pages: &Pages) -> Option<Bytes> {
    // RFC 1952, section 2.3: CRC32 and ISIZE, which is the size modulo 2^32, are the end.
    let (member, [a, b, c, d, size @ ..]) = packed.split_last_chunk::<8>()?;
    let deflated = member.strip_prefix(&PLAIN)?.get(PLAIN_REST..)?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    if size > limit.min(deflated.len().saturating_mul(DEFLATE_RATIO)) {
        return None;
    }
    let checksum = u32::from_le_bytes([*a, *b, *c, *d]);
    if size < OWN_PAGES {
        let mut unpacked = vec![0; size];
        return inflate(deflated, checksum, &mut unpacked).then(|| unpacked.into());
    }
    pages.filled(size, |unpacked| inflate(deflated, checksum, unpacked))
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
    fn an_unpacked_body_has_a_limit() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
        let bomb = Bytes::from(encoder.finish().unwrap());
        let pages = Pages::default();
        let unpack = |body: &Bytes, limit| unpack(body, Encoding::Gzip, limit, &pages);
        let unpacked = |limit| unpack(&bomb, limit).map(|whole| whole.bytes.len());
        assert_eq!(unpacked(1 << 20), Ok(1 << 20));
        assert_eq!(unpacked((1 << 20) - 1), Err(BodyError::TooLarge { limit: (1 << 20) - 1 }));
        assert!(unpack(&bomb.slice(..bomb.len() - 9), 1 << 20).is_err());
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn ungzip(packed: &[u8], limit: usize) -> Result<Whole, BodyError> {
        unpack(&Bytes::copy_from_slice(packed), Encoding::Gzip, limit, &Pages::default())
    }

    #[test]
    fn one_plain_member_may_go_on_as_it_came() {
        for size in [0, 5, OWN_PAGES - 1, OWN_PAGES, 3 * OWN_PAGES] {
            let text: Vec<u8> = (0..=u8::MAX).cycle().take(size).collect();
            let packed = gzip(&text);
            let whole = ungzip(&packed, size).unwrap();
            assert_eq!((whole.bytes, whole.gzip), (text.into(), Some(packed.into())), "{size}");
        }
    }

    #[test]
    fn nothing_else_goes_on_as_it_came() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = gzip(&text);
        assert_eq!(ungzip(&packed, text.len() - 1), Err(BodyError::TooLarge { limit: text.len() - 1 }));
        let end = packed.len();
        // Each byte of the checksum and of the size, the body, the magic number, the method, and the end.
        for at in (end - 8..end).chain([end / 2, 0, 1, 2]) {
            let mut other = packed.clone();
            other[at] ^= 1;
            assert!(ungzip(&other, text.len()).is_err(), "{at}");
        }
        for cut in [0, 5, 12, 20, end - 8, end - 1] {
            assert!(ungzip(&packed[..cut], text.len()).is_err(), "{cut}");
        }
        // Each bit of the flags: what follows them may be the name of a file to somebody.
        for bit in 0..8 {
            let mut other = packed.clone();
            other[3] ^= 1 << bit;
            assert_eq!(ungzip(&other, text.len()).ok().and_then(|whole| whole.gzip), None, "{bit}");
        }
        // These mean something; not everybody need read them alike.
        let header = flate2::GzBuilder::new().filename("name").comment("comment").extra("extra");
        let mut named = header.write(Vec::new(), flate2::Compression::fast());
        named.write_all(&text).unwrap();
        let two = [packed.clone(), packed].concat();
        for (odd, expected) in [(named.finish().unwrap(), text.clone()), (two, [text.clone(), text].concat())]
        {
            assert_eq!(ungzip(&odd, expected.len()), Ok(Bytes::from(expected).into()));
        }
    }

    /// A member that says this about itself, whatever is in it.
    fn member(deflated: &[u8], unpacked: &[u8]) -> Vec<u8> {
        let mut sum = Crc::new();
        sum.update(unpacked);
        let size = u32::try_from(unpacked.len()).unwrap();
        [&PLAIN, &[0; PLAIN_REST][..], deflated, &sum.sum().to_le_bytes(), &size.to_le_bytes()].concat()
    }

    #[test]
    fn what_an_earlier_body_left_is_in_no_later_one() {
        let pages = Pages::default();
        let unpack = |packed: Vec<u8>| unpack(&packed.into(), Encoding::Gzip, OWN_PAGES, &pages);
        let before = vec![b's'; OWN_PAGES];
        drop(unpack(gzip(&before)).unwrap());
        // One stored block (RFC 1951, section 3.2.4) of the first thousand bytes, with the checksum of all.
        let stored = [&[1, 0xe8, 0x03, 0x17, 0xfc][..], &[b'x'; 1000]].concat();
        let all = [&[b'x'; 1000][..], &before[1000..]].concat();
        assert!(unpack(member(&stored, &all)).is_err());
        assert_eq!(unpack(member(&stored, &all[..1000])).unwrap().bytes, all[..1000]);
    }

    /// What Node.js, in which most package managers run, makes of members: their lengths come before them, each in four
    /// bytes; what it refuses is None.
    fn gunzipped_by_node(members: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
        const SCRIPT: &str = "const all = require('fs').readFileSync(0); const out = [];
            for (let at = 0; at < all.length; ) {
                const end = at + 4 + all.readUInt32LE(at);
                let got = null;
                try { got = require('zlib').gunzipSync(all.subarray(at + 4, end)) } catch {}
                const length = Buffer.alloc(4); length.writeInt32LE(got ? got.length : -1);
                out.push(length, got ?? Buffer.alloc(0)); at = end;
            }
            process.stdout.write(Buffer.concat(out));";
        let mut input = Vec::new();
        for member in members {
            input.extend_from_slice(&u32::try_from(member.len()).unwrap().to_le_bytes());
            input.extend_from_slice(member);
        }
        let mut node = std::process::Command::new("node");
        node.args(["-e", SCRIPT]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut node = node.spawn().unwrap();
        let mut stdin = node.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
        let output = node.wait_with_output().unwrap();
        writer.join().unwrap();
        let (mut rest, mut all) = (output.stdout.as_slice(), Vec::new());
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(i32::from_le_bytes(*length)).ok();
            let (bytes, after) = after.split_at(length.unwrap_or(0));
            all.push(length.map(|_| bytes.to_vec()));
            rest = after;
        }
        all
    }

    /// A document goes on packed, so whoever unpacks it must get what was judged. Streams that are broken in one to three
    /// bits, and then given the checksum and size of what they mean here, are refused there or mean the same.
    #[test]
    fn what_goes_on_packed_means_the_same_to_node() {
        let text: String = (0..60)
            .map(|at| format!(r#""{at}.0.{}":{{"dist":{{"integrity":"sha512-{:x}"}}}},"#, at % 7, at * 7919))
            .collect();
        let levels = [0, 1, 6, 9].map(flate2::Compression::new);
        let streams = levels.map(|level| {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        });
        // xorshift, so that every run does the same.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut members = Vec::new();
        for at in 0..12_000 {
            let mut stream = streams[at % streams.len()].clone();
            for _ in 0..=random(3) {
                // Half of them where the codes are described.
                let within = if random(2) == 0 { 80.min(stream.len()) } else { stream.len() };
                stream[random(within)] ^= 1 << random(8);
            }
            let (mut decoder, mut unpacked) = (Decompress::new(false), vec![0; 64 << 10]);
            let status = decoder.decompress(&stream, &mut unpacked, FlushDecompress::Finish);
            if matches!(status, Ok(Status::StreamEnd)) && decoder.total_in() == stream.len() as u64 {
                unpacked.truncate(usize::try_from(decoder.total_out()).unwrap());
                members.push(member(&stream, &unpacked));
            }
        }
        let ours: Vec<Option<Whole>> = members.iter().map(|packed| ungzip(packed, 64 << 10).ok()).collect();
        assert!(
            ours.iter().flatten().filter(|whole| whole.gzip.is_some()).count() > 1000,
            "{}",
            members.len()
        );
        let nodes = gunzipped_by_node(&members);
        assert_eq!(nodes.len(), members.len());
        assert!(nodes.iter().flatten().count() > 1000);
        for ((ours, nodes), member) in ours.iter().zip(&nodes).zip(&members) {
            if let (Some(Whole { bytes, gzip: Some(gzip) }), Some(nodes)) = (ours, nodes) {
                assert_eq!((bytes, gzip), (&Bytes::from(nodes.clone()), &Bytes::from(member.clone())));
            }
        }
    }

    #[test]
    fn what_follows_a_packed_body_is_not_ignored() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(b"{}").unwrap();
        let mut packed = encoder.finish().unwrap();
        let unpack =
            |packed: &[u8]| unpack(&Bytes::copy_from_slice(packed), Encoding::Deflate, 9, &Pages::default());
        assert_eq!(unpack(&packed), Ok(Bytes::from_static(b"{}").into()));
        packed.push(0);
        assert!(unpack(&packed).is_err());
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
