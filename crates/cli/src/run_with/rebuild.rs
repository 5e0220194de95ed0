//! The second phase of yarn 4, which has no command for scripts alone: `yarn rebuild` resolves, fetches and lays out as
//! an install does, without the proxy and the gate. So what it leaves must be what was compared.
//!
//! The steps, each with a test that breaks only it:
//! 1. Every setting is what it was in the first phase, in yarn's own words. A project's settings may be made of
//!    variables, and some of those are there in one phase only.
//! 2. It runs where the first phase ran, has no network, and takes no archive but the one of the lockfile's checksum.
//! 3. Its lockfile, its table and its list of what lies where are the same afterwards, to the byte.
//!
//! Does not decide whether it runs, which is `scripts`' to say, and does not look at what scripts wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use alloy_primitives::B256;
use serde_json::Value;
use trust::digest::sha256;
use trust::text::printable;

use super::code;
use super::flow::{QUESTION_LIMIT, RunError};
use super::manager::{Kind, Manager};
use super::places::not_the_users;
use super::process;
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};
use crate::shell::decide::Refusal;

/// What yarn writes of what it lays out.
const WRITTEN: [&str; 6] = [
    "yarn.lock",
    ".pnp.cjs",
    ".pnp.data.json",
    ".pnp.loader.mjs",
    "node_modules/.yarn-state.yml",
    "node_modules/.package-map.json",
];

/// The largest of them: a line or two for each package.
const MAX_WRITTEN: u64 = 256 << 20;

/// How a setting is made of a variable, and how that could be written otherwise.
const OF_VARIABLES: [&str; 2] = ["${", "\\"];

/// All settings, but for those of more than one value, of which this one says what is laid out.
const QUESTIONS: [&[&str]; 2] =
    [&["config", "--json"], &["config", "get", "supportedArchitectures", "--json"]];

/// Variables of a package manager.
pub(crate) type Variables = Vec<(&'static str, OsString)>;

/// What stands in its environment in the second phase.
pub(crate) fn variables(root: &Path, folder: &Path) -> Variables {
    let mut variables = Kind::Yarn.own_program();
    variables.extend(Kind::Yarn.overruled(root, folder).variables);
    variables.extend(Kind::Yarn.without_network().0.map(|(name, value)| (name, value.into())));
    variables
}

/// Step 1. `told` was in its environment in the first phase.
pub(crate) async fn check_settings(
    yarn: &Manager,
    root: &Path,
    folder: &Path,
    told: &Variables,
) -> Result<(), RunError> {
    let is_made = |place: &Path| match read_bounded(&place.join(code::SETTINGS), MAX_MANIFEST_BYTES) {
        Ok(None) => false,
        Ok(Some(bytes)) => {
            let text = String::from_utf8_lossy(&bytes);
            OF_VARIABLES.iter().any(|mark| text.contains(mark))
        }
        Err(_) => true,
    };
    if !not_the_users(folder).any(is_made) {
        return Ok(());
    }
    let now = variables(root, folder);
    let [all, more] = QUESTIONS;
    let ask = async |words: &[&str], variables: &Variables| {
        let answer = process::ask(&yarn.program, words, folder, variables, QUESTION_LIMIT).await?;
        Ok::<_, RunError>(read_settings(&answer))
    };
    let (before, after, more_before, more_after) =
        tokio::try_join!(ask(all, told), ask(all, &now), ask(more, told), ask(more, &now))?;
    let ours: BTreeSet<String> = told.iter().chain(&now).filter_map(|(name, _)| setting(name)).collect();
    let differs = before
        .keys()
        .chain(after.keys())
        .find(|key| !ours.contains(*key) && before.get(*key) != after.get(*key))
        .map(String::as_str)
        .or_else(|| (more_before != more_after).then_some("supportedArchitectures"));
    let Some(name) = differs else { return Ok(()) };
    let shown = |settings: &BTreeMap<String, Value>| {
        printable(&settings.get(name).map(Value::to_string).unwrap_or_default(), 200)
    };
    Err(RunError::Unchecked(Refusal {
        why: format!(
            "yarn's setting {} was {} when packages were fetched and compared, and is {} where scripts run",
            printable(name, 100),
            shown(&before),
            shown(&after)
        ),
        instead: Some(format!("take the variable out of it in {}", code::SETTINGS)),
    }))
}

/// One setting a line, with its value; of another answer the answer.
fn read_settings(answer: &str) -> BTreeMap<String, Value> {
    let lines = answer.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let one = |value: Value| match (value["key"].as_str(), value.get("effective")) {
        (Some(key), effective) => (key.to_owned(), effective.cloned().unwrap_or_default()),
        (None, _) => (String::new(), value),
    };
    lines.map(one).collect()
}

/// `fooBar` of `YARN_FOO_BAR`.
fn setting(variable: &str) -> Option<String> {
    let mut words = variable.strip_prefix("YARN_")?.split('_').map(str::to_ascii_lowercase);
    let mut name = words.next()?;
    for word in words {
        let (first, rest) = word.split_at(word.len().min(1));
        name.push_str(&first.to_ascii_uppercase());
        name.push_str(rest);
    }
    Some(name)
}

/// What yarn wrote of what it laid out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Laid(BTreeMap<&'static str, Option<B256>>);

impl Laid {
    /// As it is now.
    pub(crate) fn read(root: &Path) -> Result<Self, RunError> {
        let mut written = BTreeMap::new();
        for name in WRITTEN {
            let bytes = read_bounded(&root.join(name), MAX_WRITTEN).map_err(|_| changed(root, name))?;
            written.insert(name, bytes.map(sha256));
        }
        Ok(Self(written))
    }

    /// Step 3.
    pub(crate) fn check(&self, root: &Path) -> Result<(), RunError> {
        let now = Self::read(root)?;
        let differs = WRITTEN.iter().find(|name| self.0.get(*name) != now.0.get(*name));
        differs.map_or(Ok(()), |name| Err(changed(root, name)))
    }
}

fn changed(root: &Path, name: &str) -> RunError {
    RunError::Unchecked(Refusal {
        why: format!(
            "{} is not what it was when it was compared: yarn laid packages out anew to run scripts",
            root.join(name).display()
        ),
        instead: Some("the same with --ignore-scripts; the project was put back".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_yarns_is_named_after_its_setting() {
        assert_eq!(setting("YARN_HTTPS_CA_FILE_PATH").as_deref(), Some("httpsCaFilePath"));
        assert_eq!(setting("YARN_X").as_deref(), Some("x"));
        assert_eq!(setting("HTTPS_PROXY"), None);
    }

    #[test]
    fn settings_are_read_as_yarn_says_them() {
        let said = "{\"key\":\"a\",\"effective\":1,\"source\":\"x\"}\nwords\n{\"key\":\"b\"}\n";
        let expected = [("a".to_owned(), serde_json::json!(1)), ("b".to_owned(), Value::Null)];
        assert_eq!(read_settings(said), BTreeMap::from(expected));
        assert_ne!(read_settings("{\"os\":[\"0\"]}"), read_settings("{\"os\":[\"linux\"]}"));
    }

    #[test]
    fn whatever_yarn_wrote_anew_is_found() {
        for name in WRITTEN {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir(root.path().join("node_modules")).unwrap();
            let laid = Laid::read(root.path()).unwrap();
            laid.check(root.path()).unwrap();
            std::fs::write(root.path().join(name), "").unwrap();
            let error = laid.check(root.path()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            let laid = Laid::read(root.path()).unwrap();
            std::fs::write(root.path().join(name), "other").unwrap();
            assert!(laid.check(root.path()).is_err(), "{name}");
        }
    }
}
