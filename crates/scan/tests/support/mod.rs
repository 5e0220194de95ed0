//! Builds tars no tar program would. Knows nothing of what is refused.
#![allow(dead_code, clippy::unwrap_used, reason = "tests, each of which uses its part")]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use scan::{Limits, Tarball, TarballError, read_tarball};

pub(crate) const MANIFEST: &[u8] = br#"{"name":"a","version":"1.0.0"}"#;

/// One header, field by field.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) mode: String,
    pub(crate) size: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) magic: [u8; 8],
    pub(crate) prefix: Vec<u8>,
    /// What the checksum field holds; the right one when `None`.
    pub(crate) checksum: Option<Vec<u8>>,
}

impl Header {
    pub(crate) fn new(kind: u8, name: &str, size: usize) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            mode: "0000644\0".into(),
            size: format!("{size:011o}\0").into(),
            kind,
            link: Vec::new(),
            magic: *b"ustar\x0000",
            prefix: Vec::new(),
            checksum: None,
        }
    }

    pub(crate) fn bytes(&self) -> [u8; 512] {
        let mut block = [0_u8; 512];
        let mut put = |at: usize, most: usize, field: &[u8]| {
            assert!(field.len() <= most, "{field:?}");
            block[at..at + field.len()].copy_from_slice(field);
        };
        put(0, 100, &self.name);
        put(100, 8, self.mode.as_bytes());
        put(108, 8, b"0000000\0");
        put(116, 8, b"0000000\0");
        put(124, 12, &self.size);
        put(136, 12, b"00000000000\0");
        put(148, 8, b"        ");
        put(156, 1, &[self.kind]);
        put(157, 100, &self.link);
        put(257, 8, &self.magic);
        put(345, 155, &self.prefix);
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let checksum = self.checksum.clone().unwrap_or_else(|| format!("{sum:06o}\0 ").into_bytes());
        block[148..156].copy_from_slice(&[0; 8]);
        block[148..148 + checksum.len()].copy_from_slice(&checksum);
        block
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Archive(pub(crate) Vec<u8>);

impl Archive {
    pub(crate) fn package() -> Self {
        Self::default().file("package/package.json", MANIFEST)
    }

    pub(crate) fn header(mut self, header: &Header, contents: &[u8]) -> Self {
        self.0.extend_from_slice(&header.bytes());
        self.0.extend_from_slice(contents);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn entry(self, kind: u8, path: &str, mode: u32, contents: &[u8]) -> Self {
        let header = Header { mode: format!("{mode:07o}\0"), ..Header::new(kind, path, contents.len()) };
        self.header(&header, contents)
    }

    pub(crate) fn file(self, path: &str, contents: &[u8]) -> Self {
        self.entry(b'0', path, 0o644, contents)
    }

    pub(crate) fn folder(self, path: &str) -> Self {
        self.entry(b'5', path, 0o755, b"")
    }

    pub(crate) fn pax(self, key: &str, value: &str) -> Self {
        self.entry(b'x', "PaxHeader", 0o644, pax_record(key, value).as_bytes())
    }

    pub(crate) fn tar(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    pub(crate) fn tgz(self) -> Vec<u8> {
        gzip(&self.tar())
    }

    pub(crate) fn read(self) -> Result<Tarball, TarballError> {
        read_tarball(&self.tgz(), &Limits::default())
    }
}

pub(crate) fn pax_record(key: &str, value: &str) -> String {
    let body = format!(" {key}={value}\n");
    let length = (1..).find(|length: &usize| length.to_string().len() + body.len() == *length).unwrap();
    format!("{length}{body}")
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
