//! Bodies within limits, and what they are.

use std::io::Read as _;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt as _;
use serde::de::IgnoredAny;

use crate::Limits;

/// Why a body is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// Too long.
    #[error("the registry sent more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Too slow.
    #[error("the registry sent nothing for {seconds} s")]
    Idle {
        /// The limit.
        seconds: u64,
    },
    /// Cut short, or broken.
    #[error("the registry's answer broke off: {reason}")]
    Broken {
        /// Why.
        reason: String,
    },
    /// An encoding nobody asked for.
    #[error("the registry's answer is encoded as {encoding:?}, expected gzip or nothing")]
    Encoding {
        /// Which.
        encoding: String,
    },
}

/// Reads all of an answer's body, unpacked.
pub(crate) async fn read_answer(answer: reqwest::Response, limits: &Limits) -> Result<Bytes, BodyError> {
    let limit = limits.tarball.max(limits.document);
    let encoding = answer.headers().get(reqwest::header::CONTENT_ENCODING);
    let encoding =
        encoding.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase());
    let announced = answer.content_length();
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(BodyError::TooLarge { limit });
    }
    let mut body = BytesMut::new();
    let mut stream = answer.bytes_stream();
    loop {
        let next = tokio::time::timeout(limits.idle, stream.next()).await;
        let Some(chunk) = next.map_err(|_| BodyError::Idle { seconds: limits.idle.as_secs() })? else {
            break;
        };
        let chunk = chunk.map_err(|error| BodyError::Broken { reason: last_cause(&error) })?;
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    let body = body.freeze();
    match encoding.as_deref() {
        None | Some("" | "identity") => Ok(body),
        Some("gzip" | "x-gzip") => {
            let unpacked = tokio::task::spawn_blocking(move || unpack(&body, limit)).await;
            unpacked.unwrap_or_else(|error| Err(BodyError::Broken { reason: error.to_string() }))
        }
        Some(other) => Err(BodyError::Encoding { encoding: other.chars().take(40).collect() }),
    }
}

fn unpack(body: &[u8], limit: usize) -> Result<Bytes, BodyError> {
    let mut unpacked = Vec::new();
    let mut reader = MultiGzDecoder::new(body).take(limit as u64 + 1);
    reader.read_to_end(&mut unpacked).map_err(|error| BodyError::Broken { reason: error.to_string() })?;
    if unpacked.len() > limit { Err(BodyError::TooLarge { limit }) } else { Ok(unpacked.into()) }
}

/// Whether all of it is one JSON object or array, whatever its headers say.
pub(crate) fn is_document(body: &[u8]) -> bool {
    let start = body.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(start, Some(b'{' | b'[')) && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// What lies at the bottom of an error.
pub(crate) fn last_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    trust::text::printable(&cause.to_string(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_json_to_its_end_is_a_document() {
        for document in ["{}", " [1]\n", "{\"a\":{\"b\":[]}}"] {
            assert!(is_document(document.as_bytes()), "{document}");
        }
        for other in [
            &b"\x1f\x8b\x08"[..],
            b"",
            b"1",
            b"\"text\"",
            b"{} trailing",
            b"package/package.json\0\0",
            b"{\"a\":",
        ] {
            assert!(!is_document(other), "{other:?}");
        }
    }

    #[test]
    fn an_unpacked_body_has_a_limit() {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert_eq!(unpack(&bomb, 1 << 20).map(|bytes| bytes.len()), Ok(1 << 20));
        assert_eq!(unpack(&bomb, (1 << 20) - 1), Err(BodyError::TooLarge { limit: (1 << 20) - 1 }));
        assert!(unpack(&bomb[..bomb.len() - 9], 1 << 20).is_err());
    }
}
