//! A tarball's files as they will lie on disk, and what is kept of a comparison with them.
//!
//! File modes are not compared: without another byte, an executable bit runs nothing new. Names that npm
//! rewrites while unpacking (`.gitignore`) and the first line of commands that it rewrites (`\r\n`) are
//! expected as npm writes them, and as nothing else.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use serde::Serialize;

/// The files of a tarball as npm leaves them on disk.
pub(crate) type Files = BTreeMap<String, FileOnDisk>;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileOnDisk {
    /// BLAKE3 of its bytes in the tarball.
    pub(crate) hash: B256,
    /// BLAKE3 after npm took `\r` from its first line; for commands that have one.
    pub(crate) fixed: Option<B256>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    /// Packages on disk.
    pub(crate) installed: usize,
    /// Of these, compared file by file with a checked tarball.
    pub(crate) compared: usize,
    /// Entries that npm did not install: optional, for another platform, or left out by its settings.
    pub(crate) left_out: Vec<String>,
}

/// The files of a tarball as they will lie on disk. `bins` are the commands, with the hash that npm's
/// rewriting of their first line would give.
pub(crate) fn files_on_disk(tarball: &BTreeMap<String, B256>, fixed: &BTreeMap<String, B256>) -> Files {
    let mut files = Files::new();
    for (path, hash) in tarball {
        let on_disk =
            match path.strip_suffix(".gitignore").filter(|folder| folder.is_empty() || folder.ends_with('/'))
            {
                // npm renames it, unless a `.npmignore` came before: then it leaves it out. Both at once is
                // ambiguous here, so the file that is named `.npmignore` must be the one of the tarball.
                Some(folder) if tarball.contains_key(&format!("{folder}.npmignore")) => continue,
                Some(folder) => format!("{folder}.npmignore"),
                None => path.clone(),
            };
        files.insert(on_disk, FileOnDisk { hash: *hash, fixed: fixed.get(path).copied() });
    }
    files
}

/// What npm makes of a command whose first line ends in `\r\n`; `None` when it leaves it alone.
pub(crate) fn fixed_first_line(bytes: &[u8]) -> Option<Vec<u8>> {
    // npm looks at the first 2048 bytes, then rewrites the file as UTF-8 text.
    let window = bytes.get(..2048).unwrap_or(bytes);
    let end = window.iter().position(|byte| *byte == b'\n')?;
    if !bytes.starts_with(b"#!") || end < 4 || bytes.get(end - 1) != Some(&b'\r') {
        return None;
    }
    let mut fixed = bytes[..end - 1].to_vec();
    fixed.extend_from_slice(&bytes[end..]);
    Some(String::from_utf8_lossy(&fixed).into_owned().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_first_line_in_the_windows_manner_is_rewritten() {
        let fixed =
            |text: &str| fixed_first_line(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(fixed("#!/bin/sh\r\na\r\n").as_deref(), Some("#!/bin/sh\na\r\n"));
        assert_eq!(fixed("#!/bin/sh\na\r\n"), None);
        assert_eq!(fixed("a\r\n"), None);
        assert_eq!(fixed("#!/bin/sh\r"), None);
        assert_eq!(fixed(&format!("#!{}\r\n", "x".repeat(3000))), None);
    }
}
