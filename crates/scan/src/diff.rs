//! How two packages differ. The lists are complete; text is shown within bounds, for a person to read.

use serde::Serialize;

use crate::Tarball;

/// Paths that differ between two packages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TreeDiff {
    /// Only in the new one.
    pub added: Vec<String>,
    /// Only in the old one.
    pub removed: Vec<String>,
    /// In both, with other contents or another mode.
    pub changed: Vec<String>,
}

/// The paths in which `new` differs from `old`.
#[must_use]
pub fn diff(old: &Tarball, new: &Tarball) -> TreeDiff {
    let mut found = TreeDiff::default();
    for (path, entry) in &new.files {
        match old.files.get(path) {
            None => found.added.push(path.clone()),
            Some(before) if before.hash != entry.hash || before.mode != entry.mode => {
                found.changed.push(path.clone());
            }
            Some(_) => {}
        }
    }
    found.removed = old.files.keys().filter(|path| !new.files.contains_key(*path)).cloned().collect();
    found
}

/// Longest line that is shown, in characters; minified files have one line.
const MAX_LINE_CHARS: usize = 400;

/// The changed lines between two texts in unified form, at most `max_lines` of them; `None` when either
/// is not UTF-8. Tabs become spaces; what else a terminal would obey becomes U+FFFD.
#[must_use]
pub fn text_diff(old: &[u8], new: &[u8], max_lines: usize) -> Option<String> {
    let (old, new) = (std::str::from_utf8(old).ok()?, std::str::from_utf8(new).ok()?);
    let mut out = String::new();
    let differences =
        similar::TextDiff::configure().timeout(std::time::Duration::from_secs(2)).diff_lines(old, new);
    let mut lines = 0_usize;
    for hunk in differences.unified_diff().context_radius(2).iter_hunks() {
        for line in hunk.to_string().lines() {
            if lines == max_lines {
                out.push_str("… more lines follow\n");
                return Some(out);
            }
            out.push_str(&trust::text::printable(&line.replace('\t', "    "), MAX_LINE_CHARS));
            out.push('\n');
            lines = lines.saturating_add(1);
        }
    }
    Some(out)
}
