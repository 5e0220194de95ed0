//! What a release changes, for a person to read before signing. File names come from a tarball that was
//! read within limits; their lists are complete in `--json` and cut on the screen.

use scan::{Limits, Tarball, diff, read_file, text_diff};
use serde::Serialize;
use trust::text::printable;

use super::base::{Base, BaseReport};
use crate::output::Page;

/// Lines of file names on the screen.
const SHOWN_FILES: usize = 60;

/// Files whose lines are shown with `--diff`.
const SHOWN_DIFFS: usize = 30;

/// Lines of one file's difference.
const SHOWN_LINES: usize = 120;

/// Largest file whose lines are compared.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// One file of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct File {
    /// As npm unpacks it.
    pub(crate) path: String,
    /// Bytes.
    pub(crate) size: u64,
    /// Against the base.
    pub(crate) change: FileChange,
}

/// How a file stands to the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FileChange {
    /// Not in the base.
    Added,
    /// Other contents or mode.
    Changed,
    /// As it was.
    Same,
}

/// One field of the manifest that installs or runs something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManifestChange {
    /// Which.
    pub(crate) field: &'static str,
    /// In the base.
    pub(crate) before: String,
    /// In the release.
    pub(crate) after: String,
}

/// A release against its base.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Comparison {
    /// What it is compared with; `None`: nothing lower is Verified or Legacy.
    pub(crate) base: Option<BaseReport>,
    /// Lower versions that were passed over, and why.
    pub(crate) skipped: Vec<String>,
    /// Every file of the release.
    pub(crate) files: Vec<File>,
    /// Files only the base has.
    pub(crate) removed: Vec<String>,
    /// What installs or runs otherwise than in the base.
    pub(crate) manifest: Vec<ManifestChange>,
    /// Whether npm would run something when it installs this.
    pub(crate) install_script: bool,
    /// Changed lines, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lines: Vec<FileLines>,
}

/// The changed lines of one file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FileLines {
    /// Which.
    pub(crate) path: String,
    /// In unified form, cut; or why there are none.
    pub(crate) text: String,
}

/// Compares `tarball` (whose bytes are `bytes`) with `base`.
pub(crate) fn compare(base: &Base, tarball: &Tarball, bytes: &[u8], with_lines: bool) -> Comparison {
    let found = base.found.as_ref();
    let tree = found.map(|trusted| diff(&trusted.tarball, tarball));
    let change = |path: &str| match &tree {
        None => FileChange::Added,
        Some(tree) if tree.added.iter().any(|added| added == path) => FileChange::Added,
        Some(tree) if tree.changed.iter().any(|changed| changed == path) => FileChange::Changed,
        Some(_) => FileChange::Same,
    };
    let files: Vec<File> = tarball
        .files
        .iter()
        .map(|(path, entry)| File { path: path.clone(), size: entry.size, change: change(path) })
        .collect();
    let manifest = found
        .map(|trusted| trusted.tarball.manifest.differences(&tarball.manifest))
        .unwrap_or_default()
        .into_iter()
        .map(|difference| ManifestChange {
            field: difference.field,
            before: printable(&difference.expected, 300),
            after: printable(&difference.received, 300),
        })
        .collect();
    let lines = match found {
        Some(trusted) if with_lines => files
            .iter()
            .filter(|file| file.change != FileChange::Same)
            .take(SHOWN_DIFFS)
            .map(|file| FileLines { path: file.path.clone(), text: lines_of(&trusted.bytes, bytes, file) })
            .collect(),
        _ => vec![],
    };
    Comparison {
        base: found
            .map(|trusted| BaseReport { version: trusted.version.to_string(), verdict: trusted.verdict }),
        skipped: base.skipped.iter().map(|text| printable(text, 300)).collect(),
        removed: tree.map(|tree| tree.removed).unwrap_or_default(),
        files,
        manifest,
        install_script: tarball.manifest.has_install_script,
        lines,
    }
}

fn lines_of(old: &[u8], new: &[u8], file: &File) -> String {
    let limits = Limits::default();
    if file.size > MAX_TEXT_BYTES {
        return format!("{} bytes, too large to show", file.size);
    }
    let read = |bytes: &[u8]| read_file(bytes, &file.path, &limits, MAX_TEXT_BYTES).ok().flatten();
    let (before, after) = (read(old).unwrap_or_default(), read(new).unwrap_or_default());
    text_diff(&before, &after, SHOWN_LINES).unwrap_or_else(|| "not text".to_owned())
}

impl Comparison {
    /// For people.
    pub(crate) fn render(&self, page: &mut Page) {
        match &self.base {
            Some(base) => page.title(&format!("Against {} ({})", base.version, base.verdict)),
            None => page.title("Nothing lower is Verified or Legacy: every file is new to you"),
        }
        for skipped in &self.skipped {
            page.warn(&format!("  passed over {skipped}"));
        }
        if self.base.is_none() {
            for file in self.files.iter().take(SHOWN_FILES) {
                page.line(&format!("  {:>9}  {}", size(file.size), file.path));
            }
            more(page, self.files.len());
        } else {
            self.render_changes(page);
        }
        if self.install_script {
            page.warn("  it runs a script when it is installed");
        }
        for change in &self.manifest {
            page.warn(&format!("  {} change", change.field));
            page.line(&format!("      before  {}", change.before));
            page.line(&format!("      after   {}", change.after));
        }
        for file in &self.lines {
            page.gap();
            page.title(&format!("  {}", file.path));
            for line in file.text.lines() {
                page.line(&format!("  {line}"));
            }
        }
    }

    fn render_changes(&self, page: &mut Page) {
        let changed = self.files.iter().filter(|file| file.change != FileChange::Same);
        let mut lines: Vec<String> = changed
            .map(|file| {
                let mark = if file.change == FileChange::Added { '+' } else { '~' };
                format!("  {mark} {:>9}  {}", size(file.size), file.path)
            })
            .collect();
        lines.extend(self.removed.iter().map(|path| format!("  - {:>9}  {path}", "")));
        if lines.is_empty() {
            page.line("  no file differs");
        }
        for line in lines.iter().take(SHOWN_FILES) {
            page.line(line);
        }
        more(page, lines.len());
        let same = self.files.iter().filter(|file| file.change == FileChange::Same).count();
        match same {
            0 => {}
            1 => page.aside("  1 other file is as it was"),
            same => page.aside(&format!("  {same} other files are as they were")),
        }
    }
}

fn more(page: &mut Page, total: usize) {
    if total > SHOWN_FILES {
        page.warn(&format!("  … and {} more; all of them with --json", total - SHOWN_FILES));
    }
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
