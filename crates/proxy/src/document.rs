//! Whether a body is a document, or something that could be unpacked. Believes no header about it.

use serde::de::IgnoredAny;

/// One block of a tar archive (POSIX.1-1988, ustar).
const TAR_BLOCK: usize = 512;

/// Where a tar header keeps its checksum.
const TAR_CHECKSUM: std::ops::Range<usize> = 148..156;

/// The kinds of entry that a reader of tar does something with; the kind follows the checksum.
const TAR_KINDS: &[u8] = b"01234567gxADIKLMNSVX ";

/// Bytes that are looked at together.
const CHUNK: usize = 4 << 10;

/// Whether it begins as a JSON object or array does, is text in UTF-8 all through, and cannot be read as an archive. Whether
/// it is JSON, is for whoever reads it to say: that is once, then.
pub(crate) fn is_document(body: &[u8]) -> bool {
    let start = body.iter().find(|byte| !is_blank(**byte));
    matches!(start, Some(b'{' | b'['))
        && !body.chunks(CHUNK).any(has_control)
        && std::str::from_utf8(body).is_ok()
        && !is_archive(body)
}

/// Whether there is a character that no JSON text has anywhere (RFC 8259, sections 2 and 7). Formats of archives other than
/// tar are full of them.
fn has_control(bytes: &[u8]) -> bool {
    // Without a way out before the end, so that many bytes are looked at in one instruction.
    bytes.iter().fold(false, |found, byte| found | (*byte < b' ' && !is_blank(*byte)))
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_begins_as_an_object_or_array_is_a_document() {
        let tab_and_lines = b"\t{\r\n\"a\": 1 }\n".as_slice();
        let long = [b"[\"".as_slice(), "é".repeat(CHUNK).as_bytes()].concat();
        for document in
            [&b"{}"[..], b" \n[1]", b"{\"versions\":{}}", "{\"é\":1}".as_bytes(), tab_and_lines, &long]
        {
            assert!(is_document(document), "{document:?}");
        }
        for other in [
            &b""[..],
            b" ",
            b"null",
            b"\"text\"",
            b"\xef\xbb\xbf{}",
            b"\x0c{}",
            b"package/package.json\0\0",
            b"\x1f\x8b\x08{}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\xc3",
        ] {
            assert!(!is_document(other), "{other:?}");
        }
    }

    #[test]
    fn no_control_character_is_in_a_document_wherever_it_is() {
        for control in (0..b' ').filter(|byte| !b"\t\n\r".contains(byte)) {
            for at in [1, 7, CHUNK - 1, CHUNK, 2 * CHUNK - 1] {
                let mut text = vec![b'x'; 2 * CHUNK];
                text[0] = b'{';
                assert!(is_document(&text));
                text[at] = control;
                assert!(!is_document(&text), "{control} {at}");
            }
        }
    }

    #[test]
    fn json_is_whole_and_nothing_follows_it() {
        for json in [&b"{}"[..], b"null", b" [1]\n", "\"é\"".as_bytes()] {
            assert!(is_json(json), "{json:?}");
        }
        for other in [&b""[..], b"{} trailing", b"{}{}", b"{\"a\":", b"{\"a\":\"\0\"}", b"\"\xff\""] {
            assert!(!is_json(other), "{other:?}");
        }
    }

    #[test]
    fn nesting_without_end_is_no_overflow() {
        assert!(!is_json(&vec![b'['; 1 << 20]));
        let deep = [vec![b'['; 1 << 20], vec![b']'; 1 << 20]].concat();
        assert!(is_json(&deep));
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
}
