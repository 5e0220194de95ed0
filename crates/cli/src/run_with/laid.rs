//! Whether what a package manager left is where it was looked for. Whatever settings it followed: if packages came
//! and none lies in the project, or new ones lie beside it, the run is refused. Compares no file; that is `compare`.
//!
//! The steps, each with a test that breaks only it:
//! 1. A link into the project leads to something that was found, or to a folder that was the project's own before.
//! 2. No package appeared in a folder of the project itself.
//! 3. Where tarballs came, or the project asks for packages and the command installs them, some lie there.
//! 4. The root's own packages were not left behind while others were made anew.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::asked::name_of;
use super::compare::{OF_A_PACKAGE, OF_THE_PROJECT, is_elsewhere, sources_elsewhere};
use super::manager::Kind;
use super::tree::Tree;
use crate::shell::decide::Refusal;

/// What was so before the package manager ran.
#[derive(Debug)]
pub(crate) struct Before {
    /// The folders of the project that have a package.json.
    pub(crate) own: BTreeSet<PathBuf>,
    /// Whether the root had packages.
    pub(crate) had_packages: bool,
}

/// Words that make any package manager lay out the project's packages; so does none at all.
const INSTALLING: [&str; 9] = ["install", "i", "add", "a", "ci", "update", "up", "upgrade", "dedupe"];

/// Words that take packages away: what they leave is all that is to lie there.
const REMOVING: [&str; 6] = ["uninstall", "un", "remove", "rm", "r", "prune"];

/// Flags with which packages are looked at, and none is laid out.
const LOCKFILE_ONLY: [&str; 5] =
    ["--lockfile-only", "--package-lock-only", "--mode=update-lockfile", "--dry-run", "--check"];

/// Words that do the same.
const LOOKING: [&str; 5] = ["audit", "import", "patch", "generate-lock-entry", "generateLockEntry"];

/// Flags with which a part of a project is laid out, or nothing, up to an `=`.
const PARTIAL: [&str; 14] = [
    "--lockfile-only",
    "--package-lock-only",
    "--mode",
    "--dry-run",
    "--filter",
    "-F",
    "--filter-prod",
    "--workspace",
    "--workspaces",
    "-w",
    "--check",
    "--focus",
    "--global",
    "--help",
];

/// Flags with which all of it is laid out, but not all that it asks for.
const WITH_LESS: [&str; 5] = ["--omit", "--only", "--dev", "-D", "--no-save"];

/// npm's flags that leave a kind of dependency out.
const LEAVING_OUT: [&str; 4] = ["--omit", "--only", "--production", "--prod"];

/// What a command does to the folders of packages, by its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// None is touched: it writes a lockfile, or looks.
    Lockfile,
    /// What it leaves is all that is to lie there: a folder that it did not make is not wanted any more.
    Everything,
    /// That cannot be told.
    Untold,
}

/// What these words do.
pub(crate) fn effect(arguments: &[OsString]) -> Effect {
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let mut plain = words.iter().filter(|word| !word.starts_with('-'));
    let verb = plain.next().map_or("install", AsRef::as_ref);
    // `npm audit fix` installs.
    let is_looking = LOOKING.contains(&verb) && plain.all(|word| word != "fix");
    if is_looking || words.iter().any(|word| LOCKFILE_ONLY.contains(&word.as_ref())) {
        return Effect::Lockfile;
    }
    let is_whole = INSTALLING.contains(&verb) || REMOVING.contains(&verb);
    if is_whole && !has_flag(&words, &PARTIAL) { Effect::Everything } else { Effect::Untold }
}

/// Whether these words have npm leave out what is for developers, or another kind of dependency.
pub(crate) fn leaves_out(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    has_flag(&words, &LEAVING_OUT)
}

/// Checks it.
pub(crate) fn check(
    kind: Kind,
    root: &Path,
    before: &Before,
    tree: &Tree,
    arrived: usize,
    arguments: &[OsString],
) -> Result<(), Refusal> {
    let refuse = |why: String, instead: &str| Err(Refusal { why, instead: Some(instead.to_owned()) });
    let command = kind.command();
    let settings = "look for settings that move packages, in .npmrc, pnpm-workspace.yaml, .yarnrc, .yarnrc.yml or bunfig.toml";
    // 1.
    let mut asked = sources_elsewhere(tree.own.iter(), &OF_THE_PROJECT);
    asked.extend(sources_elsewhere(tree.packages.iter().map(|package| &package.manifest), &OF_A_PACKAGE));
    for (place, target) in tree.outside.iter().filter(|(_, target)| target.is_relative()) {
        let name = name_of(place);
        if !before.own.contains(target) && !asked.contains_key(&name) {
            let (place, target) = (place.display(), target.display());
            return refuse(
                format!("{place} leads to {target}, which is no package that 3pm compares"),
                settings,
            );
        }
    }
    // 2.
    if kind != Kind::Npm
        && let Some(new) = tree.own_folders.iter().find(|folder| !before.own.contains(*folder))
    {
        let new = new.display();
        let why = format!("{command} put a package into {new}, which is no place that 3pm compares");
        return refuse(why, &format!("remove {new}, and {settings}"));
    }
    // 3.
    if kind == Kind::YarnClassic && root.join(".pnp.js").is_file() {
        return Err(super::places::no_plug_and_play());
    }
    let is_empty = tree.packages.is_empty();
    if is_empty && effect(arguments) != Effect::Lockfile {
        // Some are fetched to see that they do not belong on this machine.
        if arrived > 0 && !tree.own.iter().all(asks_for_optional_only) {
            let why = format!("{command} fetched packages, and none of them lies in {}", root.display());
            return refuse(why, settings);
        }
        if tree.outside.is_empty()
            && installs_all(arguments)
            && tree.own.first().is_some_and(asks_for_packages)
        {
            let why = format!(
                "{command} ended well, and no package lies in {}, which asks for some",
                root.display()
            );
            return refuse(why, settings);
        }
    }
    // 4.
    let is_left = before.had_packages && !tree.own_folders.is_empty() && !root.join("node_modules").is_dir();
    if kind != Kind::Npm && is_left && !is_empty && !super::plug::is_plugged(root) {
        let why = format!("{command} worked in another folder than {}", root.display());
        return refuse(why, "go to the folder that it is meant for");
    }
    Ok(())
}

fn installs_all(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let verb = words.iter().find(|word| !word.starts_with('-'));
    let is_partial = has_flag(&words, &PARTIAL) || has_flag(&words, &WITH_LESS);
    verb.is_none_or(|verb| INSTALLING.contains(&verb.as_ref())) && !is_partial
}

fn has_flag(words: &[Cow<'_, str>], flags: &[&str]) -> bool {
    words.iter().any(|word| flags.contains(&word.split('=').next().unwrap_or(word)))
}

/// Whether no package is asked for that may not be missing.
fn asks_for_optional_only(manifest: &Value) -> bool {
    let of = |field: &str| manifest.get(field).and_then(Value::as_object);
    let is_optional = |name: &String| of("optionalDependencies").is_some_and(|them| them.contains_key(name));
    let fields = ["dependencies", "devDependencies", "peerDependencies"];
    fields.iter().filter_map(|field| of(field)).flat_map(|asked| asked.keys()).all(is_optional)
}

/// Whether there is a package that is neither optional nor from elsewhere.
fn asks_for_packages(manifest: &Value) -> bool {
    let of = |field: &str| manifest.get(field).and_then(Value::as_object);
    of("dependencies").is_some_and(|asked| {
        asked.iter().any(|(name, spec)| {
            let spec = spec.as_str().unwrap_or_default();
            let is_optional = of("optionalDependencies").is_some_and(|optional| optional.contains_key(name));
            !is_optional && !is_elsewhere(spec) && !spec.starts_with("workspace:")
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tree::{Package, Place};
    use super::*;

    fn tree(own: Value) -> Tree {
        Tree { own: vec![own], own_folders: vec![PathBuf::new()], ..Tree::default() }
    }

    fn with_package(mut tree: Tree) -> Tree {
        let package = Package {
            location: "node_modules/a".into(),
            folder: Some("a".into()),
            manifest: json!({"name": "a"}),
            place: Place::Folder,
        };
        tree.packages.push(package);
        tree
    }

    #[track_caller]
    fn verdict(tree: &Tree, arrived: usize, line: &str) -> Result<(), String> {
        let root = tempfile::tempdir().unwrap();
        let own = [PathBuf::new(), "lib".into()].into();
        let before = Before { own, had_packages: false };
        let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        check(Kind::Pnpm, root.path(), &before, tree, arrived, &arguments).map_err(|refusal| refusal.why)
    }

    #[test]
    fn where_packages_came_or_are_asked_for_some_lie_there() {
        let asks = || json!({"dependencies": {"a": "1"}});
        assert!(verdict(&tree(asks()), 1, "remove x").unwrap_err().contains("none of them lies"));
        assert!(verdict(&tree(asks()), 0, "install").unwrap_err().contains("asks for some"));
        assert_eq!(verdict(&with_package(tree(asks())), 1, "install"), Ok(()));
        for line in [
            "install --lockfile-only",
            "install --filter=web",
            "import",
            "remove a",
            "install --mode=update-lockfile",
        ] {
            assert_eq!(verdict(&tree(asks()), 0, line), Ok(()), "{line}");
        }
        assert_eq!(verdict(&tree(asks()), 1, "install --mode=update-lockfile"), Ok(()));
        let optional = json!({"dependencies": {"a": "1"}, "optionalDependencies": {"a": "1"}});
        assert_eq!(verdict(&tree(optional), 1, "install"), Ok(()));
        for manifest in [
            json!({}),
            json!({"devDependencies": {"a": "1"}}),
            json!({"dependencies": {"a": "1"}, "optionalDependencies": {"a": "1"}}),
            json!({"dependencies": {"a": "file:./a", "b": "workspace:*"}}),
        ] {
            assert_eq!(verdict(&tree(manifest.clone()), 0, "install"), Ok(()), "{manifest}");
        }
    }

    #[test]
    fn what_a_command_does_to_folders_is_told_by_its_words() {
        let check = |line: &str, expected: Effect| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(effect(&words), expected, "{line}");
        };
        for line in
            ["install --package-lock-only", "--lockfile-only install", "import", "audit", "add x --dry-run"]
        {
            check(line, Effect::Lockfile);
        }
        // Packages of these names, and a word that installs.
        for line in
            ["", "install", "ci --omit=dev", "add import", "install -D audit", "uninstall x", "--immutable"]
        {
            check(line, Effect::Everything);
        }
        for line in
            ["audit fix", "install --filter=web", "i -w a", "list", "rebuild", "install --mode=skip-build"]
        {
            check(line, Effect::Untold);
        }
    }

    #[test]
    fn words_that_leave_a_kind_of_dependency_out_are_known() {
        let check = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            leaves_out(&words)
        };
        for line in ["ci --omit=dev", "install --omit dev", "i --production", "--prod", "ci --only=prod"] {
            assert!(check(line), "{line}");
        }
        for line in ["ci", "install --omit-lockfile-registry-resolved", "add prod", "i -D only"] {
            assert!(!check(line), "{line}");
        }
    }

    #[test]
    fn nothing_new_lies_in_the_project_itself() {
        let mut laid = with_package(tree(json!({})));
        laid.own_folders.push("lib".into());
        assert_eq!(verdict(&laid, 1, "install"), Ok(()));
        laid.own_folders.push("new/a".into());
        assert!(verdict(&laid, 1, "install").unwrap_err().contains("new/a"));
    }

    #[test]
    fn links_lead_to_what_was_there_or_asked_for() {
        let mut laid = with_package(tree(json!({"dependencies": {"@s/asked": "link:./x"}})));
        laid.outside.insert("node_modules/lib".into(), "lib".into());
        laid.outside.insert("node_modules/@s/asked".into(), "x".into());
        assert_eq!(verdict(&laid, 1, "install"), Ok(()));
        laid.outside.insert("node_modules/b".into(), ".store/b".into());
        assert!(verdict(&laid, 1, "install").unwrap_err().contains(".store/b"));
    }

    #[test]
    fn packages_of_the_root_are_not_left_behind() {
        let root = tempfile::tempdir().unwrap();
        let before = Before { own: [PathBuf::new()].into(), had_packages: true };
        let laid = with_package(tree(json!({})));
        let of = || check(Kind::Pnpm, root.path(), &before, &laid, 1, &["install".into()]);
        assert!(of().is_err());
        std::fs::create_dir(root.path().join("node_modules")).unwrap();
        assert!(of().is_ok());
    }
}
