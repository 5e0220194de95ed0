//! Paths inside a package: which are refused, and when two of them are one place. Touches no file system.

use std::collections::BTreeMap;

use trust::text::{is_hidden, printable};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{PathProblem, TarballError};

/// The path npm unpacks to: without its first component. `None` for the package's own folder.
pub(crate) fn unpacked_path(
    raw: &[u8],
    is_directory: bool,
    limit: usize,
) -> Result<Option<String>, TarballError> {
    let refused = |problem| {
        let path = printable(&String::from_utf8_lossy(raw), 200);
        Err(TarballError::Path { path, problem })
    };
    if raw.len() > limit {
        return refused(PathProblem::TooLong { found: raw.len(), limit });
    }
    let Ok(path) = std::str::from_utf8(raw) else { return refused(PathProblem::NotUtf8) };
    // A directory may end with one slash.
    let path = if is_directory { path.strip_suffix('/').unwrap_or(path) } else { path };
    if path.starts_with('/') {
        return refused(PathProblem::Absolute);
    }
    if path.contains('\\') {
        return refused(PathProblem::Backslash);
    }
    if path.chars().any(is_hidden) {
        return refused(PathProblem::Hidden);
    }
    for (depth, part) in path.split('/').enumerate() {
        match part.as_bytes() {
            b".." => return refused(PathProblem::Escapes),
            b"" | b"." => return refused(PathProblem::EmptyComponent),
            // Where a path begins, before npm strips the first component and after.
            [drive, b':', ..] if depth < 2 && drive.is_ascii_alphabetic() => {
                return refused(PathProblem::Drive);
            }
            [.., b'.' | b' '] => return refused(PathProblem::TrailingDot),
            _ => {}
        }
    }
    match path.split_once('/') {
        Some((_, rest)) => Ok(Some(rest.to_owned())),
        None if is_directory => Ok(None),
        None => refused(PathProblem::OutsideFolder),
    }
}

/// The files seen so far, by the place they take on a file system that folds case and composition.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<String, String>);

impl Places {
    /// Adds a file; refuses a place that is taken.
    pub(crate) fn add(&mut self, path: &str) -> Result<(), TarballError> {
        let refused = |problem| TarballError::Path { path: path.to_owned(), problem };
        match self.0.insert(place(path), path.to_owned()) {
            None => Ok(()),
            Some(before) if before == path => Err(refused(PathProblem::Twice)),
            Some(_) => Err(refused(PathProblem::TwiceFolded)),
        }
    }

    /// A file where a folder must be: what wins depends on who unpacks. In the order of places a file
    /// stands right before whatever lies below its name.
    pub(crate) fn check_folders(&self) -> Result<(), TarballError> {
        for ((above, path), (below, _)) in self.0.iter().zip(self.0.iter().skip(1)) {
            if below.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with(SEPARATOR)) {
                return Err(TarballError::Path { path: path.clone(), problem: PathProblem::FileAndFolder });
            }
        }
        Ok(())
    }
}

/// Stands for `/` in a place: the smallest character, which no path holds.
const SEPARATOR: char = '\0';

/// Case and composition folded.
fn place(path: &str) -> String {
    let with_separator = |c: char| if c == '/' { SEPARATOR } else { c };
    if path.is_ascii() {
        // Comes to the same as `folded`, without a look at its tables.
        return path.chars().map(|c| with_separator(c.to_ascii_lowercase())).collect();
    }
    folded(path).chars().map(with_separator).collect()
}

/// Upper case first: it unites what lower case alone keeps apart (`ſ` and `s`, `ß` and `SS`).
fn folded(path: &str) -> String {
    path.to_uppercase().to_lowercase().nfd().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_is_folded_as_everything_else_is() {
        let all: String = (0..128_u8).map(char::from).collect();
        let expected: String = folded(&all).chars().map(|c| if c == '/' { SEPARATOR } else { c }).collect();
        assert_eq!(place(&all), expected);
        assert_eq!(place("ſtraße/É"), "strasse\0e\u{301}");
    }
}
