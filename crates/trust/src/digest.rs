//! SHA-256 and SHA-512 (FIPS 180-4) for what others hash too, and BLAKE3 for what stays here: whether a file is the
//! one that was seen before. Of bytes at once or as they come.
//!
//! The first two by `ring`, which is here for TLS anyway: without the processor's instructions for SHA-256 it takes
//! about half of the time of `sha2`, which the tests keep as the second opinion. BLAKE3 needs no such instructions.

use std::{fmt, io};

use alloy_primitives::{B256, FixedBytes};
use ring::digest::{Context, SHA256, SHA512};

/// SHA-256 of these bytes.
#[must_use]
pub fn sha256(bytes: impl AsRef<[u8]>) -> B256 {
    let mut hasher = Hasher::sha256();
    hasher.update(bytes);
    hasher.finish()
}

/// A hash of bytes that come in parts; `BYTES` is the length of the result.
#[derive(Clone)]
pub struct Hasher<const BYTES: usize>(Context);

impl Hasher<32> {
    /// A SHA-256 of nothing yet.
    #[must_use]
    pub fn sha256() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Hasher<64> {
    /// A SHA-512 of nothing yet.
    #[must_use]
    pub fn sha512() -> Self {
        Self(Context::new(&SHA512))
    }
}

impl<const BYTES: usize> Hasher<BYTES> {
    /// The bytes that follow.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// The hash of all of them.
    #[must_use]
    pub fn finish(self) -> FixedBytes<BYTES> {
        FixedBytes::from_slice(self.0.finish().as_ref())
    }
}

impl<const BYTES: usize> fmt::Debug for Hasher<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(self.0.algorithm()).finish()
    }
}

impl<const BYTES: usize> io::Write for Hasher<BYTES> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// BLAKE3 of a file whose bytes come in parts. No record, no signature and no other program has it: what is kept of it
/// is 3pm's own.
#[derive(Debug, Clone, Default)]
pub struct FileHasher(blake3::Hasher);

impl FileHasher {
    /// The hash of all of them.
    #[must_use]
    pub fn finish(&self) -> B256 {
        B256::from(*self.0.finalize().as_bytes())
    }
}

impl io::Write for FileHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same of bytes that are all here.
#[must_use]
pub fn of_file(bytes: impl AsRef<[u8]>) -> B256 {
    B256::from(*blake3::hash(bytes.as_ref()).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use sha2::Digest as _;

    use super::*;

    #[test]
    fn they_are_those_of_another_implementation_at_every_length_and_in_any_parts() {
        let bytes: Vec<u8> = (0..700_u32).map(|n| (n * n % 251) as u8).collect();
        for length in 0..bytes.len() {
            let (head, tail) = bytes[..length].split_at(length / 3);
            let (mut short, mut long) = (Hasher::sha256(), Hasher::sha512());
            for part in [head, tail] {
                short.write_all(part).expect("a hash takes everything");
                long.update(part);
            }
            assert_eq!(sha256(&bytes[..length]), short.clone().finish());
            assert_eq!(short.finish()[..], sha2::Sha256::digest(&bytes[..length])[..]);
            assert_eq!(long.finish()[..], sha2::Sha512::digest(&bytes[..length])[..]);
        }
    }

    #[test]
    fn a_file_has_one_hash_in_whatever_parts_it_comes() {
        // Of the test vectors of its authors: as many bytes of 0 to 250, again and again.
        let bytes: Vec<u8> = (0..2048_u32).map(|n| (n % 251) as u8).collect();
        for (length, expected) in [
            (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
            (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
            (1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
            (2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"),
        ] {
            let (head, tail) = bytes[..length].split_at(length / 3);
            let mut hasher = FileHasher::default();
            hasher.write_all(head).expect("a hash takes everything");
            hasher.write_all(tail).expect("a hash takes everything");
            assert_eq!(format!("{:x}", hasher.finish()), expected, "{length}");
            assert_eq!(of_file(&bytes[..length]), hasher.finish(), "{length}");
        }
    }
}
