//! What a release changes, for a person to read before signing. File names come from a tarball that was
//! read within limits; their lists are complete in `--json` and in a dry run, and cut where a question follows them.

use scan::{Limits, Tarball, diff, read_file, text_diff};
use serde::Serialize;
use serde_json::Value;
use trust::Integrity;
use trust::manifest::INSTALL_SCRIPTS;
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

/// Longest value of a manifest that is shown. What is equal on both sides is left out before.
const SHOWN_VALUE: usize = 4000;

/// One field of the manifest that installs or runs something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManifestChange {
    /// Which.
    pub(crate) field: String,
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
    /// What the registry has under this number, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) taken: Option<String>,
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
    /// How many files changed whose lines were asked for and are not among them.
    pub(crate) lines_left_out: usize,
}

/// The changed lines of one file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FileLines {
    /// Which.
    pub(crate) path: String,
    /// In unified form, cut; or why there are none.
    pub(crate) text: String,
}

/// Compares `tarball` (whose bytes are `bytes`) with `base`; with the changed lines of the files whose path begins with
/// `lines_under`.
pub(crate) fn compare(base: &Base, tarball: &Tarball, bytes: &[u8], lines_under: Option<&str>) -> Comparison {
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
    let mut manifest: Vec<ManifestChange> = found
        .map(|trusted| trusted.tarball.manifest.differences(&tarball.manifest))
        .unwrap_or_default()
        .into_iter()
        .map(|difference| manifest_change(difference.field, &difference.expected, &difference.received))
        .collect();
    manifest.extend(changed_scripts(found.map(|trusted| &trusted.tarball), tarball));
    let asked: Vec<&File> = match (found, lines_under) {
        (Some(_), Some(under)) => files
            .iter()
            .filter(|file| file.change != FileChange::Same && file.path.starts_with(under))
            .collect(),
        _ => vec![],
    };
    let lines: Vec<FileLines> = found.map_or_else(Vec::new, |trusted| {
        let shown = asked.iter().take(SHOWN_DIFFS);
        let text = |file: &File| lines_of(&trusted.bytes, bytes, file);
        shown.map(|file| FileLines { path: file.path.clone(), text: text(file) }).collect()
    });
    let lines_left_out = asked.len().saturating_sub(lines.len());
    Comparison {
        base: found
            .map(|trusted| BaseReport { version: trusted.version.to_string(), verdict: trusted.verdict }),
        skipped: base.skipped.iter().map(|text| printable(text, 300)).collect(),
        taken: base.taken.clone().filter(|there| *there != Integrity::of(bytes).to_string()),
        removed: tree.map(|tree| tree.removed).unwrap_or_default(),
        files,
        manifest,
        install_script: tarball.manifest.has_install_script,
        lines,
        lines_left_out,
    }
}

/// What the scripts that npm runs at an install say, where they say something else.
fn changed_scripts(base: Option<&Tarball>, tarball: &Tarball) -> Vec<ManifestChange> {
    let text = |tarball: &Tarball, name: &str| {
        tarball.manifest_json.pointer(&format!("/scripts/{name}")).and_then(Value::as_str).map(str::to_owned)
    };
    INSTALL_SCRIPTS
        .iter()
        .map(|name| (name, base.and_then(|base| text(base, name)), text(tarball, name)))
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| {
            let shown = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
            manifest_change(&format!("{name} script"), &shown(before), &shown(after))
        })
        .collect()
}

/// Without what is equal on both sides, so that an entry at the end of a long list is not cut off.
fn manifest_change(field: &str, before: &str, after: &str) -> ManifestChange {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (before, after) = match (parsed(before), parsed(after)) {
        (Some(Value::Object(mut old)), Some(Value::Object(mut new))) => {
            let known = old.clone();
            old.retain(|key, value| new.get(key) != Some(value));
            new.retain(|key, value| known.get(key) != Some(value));
            (Value::Object(old).to_string(), Value::Object(new).to_string())
        }
        _ => (before.to_owned(), after.to_owned()),
    };
    ManifestChange {
        field: field.to_owned(),
        before: printable(&before, SHOWN_VALUE),
        after: printable(&after, SHOWN_VALUE),
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
    /// For people; `whole` where no question follows.
    pub(crate) fn render(&self, page: &mut Page, whole: bool) {
        let most = if whole { usize::MAX } else { SHOWN_FILES };
        match &self.base {
            Some(base) => page.title(&format!("Against {} ({})", base.version, base.verdict)),
            None => page.title("No lower version is Verified or Legacy here: every file is new to you"),
        }
        if let Some(taken) = &self.taken {
            page.warn(&format!("  the registry already has this version, with {taken}"));
            page.warn("  where that is not the sha512 above, somebody else published it: this one could never follow");
        }
        if let Some(taken) = &self.taken {
            page.warn(&format!("  the registry already has other bytes under this number: {taken}"));
            page.warn(
                "  somebody else published them, and npm never takes these instead: choose a higher version",
            );
        }
        for skipped in &self.skipped {
            page.warn(&format!("  passed over {skipped}"));
        }
        if self.base.is_none() {
            for file in self.files.iter().take(most) {
                page.line(&format!("  {:>9}  {}", size(file.size), file.path));
            }
            more(page, self.files.len().saturating_sub(most));
        } else {
            self.render_changes(page, most);
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
        if self.lines_left_out > 0 {
            page.gap();
            page.warn(&format!(
                "  … and the lines of {} more changed files; name a folder: --diff=PATH",
                self.lines_left_out
            ));
        }
    }

    fn render_changes(&self, page: &mut Page, most: usize) {
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
        for line in lines.iter().take(most) {
            page.line(line);
        }
        more(page, lines.len().saturating_sub(most));
        let same = self.files.iter().filter(|file| file.change == FileChange::Same).count();
        match same {
            0 => {}
            1 => page.aside("  1 other file is as it was"),
            same => page.aside(&format!("  {same} other files are as they were")),
        }
    }
}

fn more(page: &mut Page, left: usize) {
    if left > 0 {
        page.warn(&format!("  … and {left} more; all of them with --dry-run"));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_new_is_not_lost_behind_what_stayed() {
        let mut dependencies: serde_json::Map<String, Value> =
            (0..1000).map(|index| (format!("dependency-{index:04}"), json!("^1.0.0"))).collect();
        let before = Value::Object(dependencies.clone()).to_string();
        dependencies.insert("zz-payload".to_owned(), json!("*"));
        dependencies.insert("dependency-0500".to_owned(), json!("^2.0.0"));
        let change = manifest_change("dependencies", &before, &Value::Object(dependencies).to_string());
        assert_eq!(change.before, r#"{"dependency-0500":"^1.0.0"}"#);
        assert_eq!(change.after, r#"{"dependency-0500":"^2.0.0","zz-payload":"*"}"#);
    }
}
