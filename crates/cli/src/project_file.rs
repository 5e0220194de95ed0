//! `3pm.toml`: what a project asks of everybody who installs it. Every one in the folder and above it counts, so that
//! none hides another; as they can only tighten, it does not matter who put them there. Decides nothing.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use trust::policy::Rules;
use trust::text::printable;

use crate::install::project::{ProjectError, read_bounded};

/// Its name.
pub(crate) const FILE: &str = "3pm.toml";

/// A real one has a few hundred bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Why a project's rules are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectFileError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ProjectError),
    /// It is not what it should be.
    #[error("{} is not a policy: {what}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where it goes wrong.
        what: String,
    },
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    policy: Rules,
}

/// The rules for `folder`, the nearest file first, each with its path.
pub(crate) fn load(folder: &Path) -> Result<Vec<(String, Rules)>, ProjectFileError> {
    let mut found = Vec::new();
    for place in folder.ancestors() {
        let path = place.join(FILE);
        let Some(bytes) = read_bounded(&path, MAX_BYTES)? else { continue };
        let malformed =
            |what: &str| ProjectFileError::Malformed { path: path.clone(), what: printable(what, 300) };
        let text = std::str::from_utf8(&bytes).map_err(|error| malformed(&error.to_string()))?;
        let rules = parse(text).map_err(|what| malformed(&what))?;
        let shown = path.strip_prefix(folder).unwrap_or(&path);
        found.push((printable(&shown.display().to_string(), 300), rules));
    }
    Ok(found)
}

/// The rules in `text`, or in words what is wrong and in which line.
pub(crate) fn parse(text: &str) -> Result<Rules, String> {
    let document: Document = toml::from_str(text).map_err(|error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map(|before| before.matches('\n').count() + 1);
        match line {
            Some(line) => format!("line {line}: {}", error.message()),
            None => error.message().to_owned(),
        }
    })?;
    Ok(document.policy)
}

#[cfg(test)]
mod tests {
    use trust::policy::{Action, Rule};

    use super::*;

    #[test]
    fn every_file_from_the_folder_upwards_counts() {
        let holder = tempfile::tempdir().unwrap();
        let inner = holder.path().join("packages/a");
        std::fs::create_dir_all(&inner).unwrap();
        assert!(load(&inner).unwrap().is_empty());
        std::fs::write(holder.path().join(FILE), "[policy]\nlegacy = \"deny\"\n").unwrap();
        std::fs::write(inner.join(FILE), "[policy]\nlegacy = \"allow\"\n").unwrap();
        let found = load(&inner).unwrap();
        let read: Vec<_> = found.iter().map(|(_, rules)| rules.legacy).collect();
        assert_eq!(read, [Some(Action::Allow), Some(Action::Deny)]);
        assert_eq!(found.first().map(|(path, _)| path.as_str()), Some(FILE));
    }

    #[test]
    fn the_whole_grammar_is_read() {
        let rules = parse(include_str!("../../../docs/policy-example.toml")).unwrap();
        assert_eq!(rules.required.len(), 2);
        assert_eq!(rules.minimum_release_age.map(trust::policy::Span::seconds), Some(259_200));
        assert_eq!(rules.exceptions.first().map(|exception| exception.rule), Some(Rule::YoungRelease));
        assert_eq!(rules.approved_scripts.len(), 1);
        assert!(rules.legacy.is_some() && rules.scripts.is_some() && rules.offline.is_some());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = parse("[policy]\nlegacy = \"deny\"\nunrecoded = \"deny\"\n").unwrap_err();
        assert!(wrong.starts_with("line 3: unknown field `unrecoded`"), "{wrong}");
        let wrong = parse("[policy]\nlegacy = \"refuse\"\n").unwrap_err();
        assert!(wrong.starts_with("line 2: ") && wrong.contains("refuse"), "{wrong}");
        assert!(parse("[polcy]\n").is_err());
        assert!(parse("[policy\n").is_err());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_a_file_that_is_not_there() {
        let holder = tempfile::tempdir().unwrap();
        std::fs::create_dir(holder.path().join(FILE)).unwrap();
        assert!(load(holder.path()).is_err());
        std::fs::remove_dir(holder.path().join(FILE)).unwrap();
        std::fs::write(holder.path().join(FILE), [0xff, 0xfe]).unwrap();
        assert!(matches!(load(holder.path()), Err(ProjectFileError::Malformed { .. })));
    }
}
