//! Which folder a package manager itself works on: guarding another one would leave what it does there unseen.
//! Does not ask the package manager, which would read settings of the project; what it would say was tried with
//! pnpm 9, 10 and 11, yarn 1 and 4, and bun 1.4.
//!
//! - pnpm: the nearest pnpm-workspace.yaml, else the nearest package.json.
//! - yarn 1: of the nearest package.json and those above, the first with `workspaces`, where it means the nearest.
//! - yarn 4: the nearest yarn.lock, else the uppermost package.json.
//! - bun: of those above the nearest package.json, the first with `workspaces`, where it means the nearest.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::compare::OF_THE_PROJECT;
use super::manager::{self, Kind};
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};
use crate::shell::decide::Refusal;

/// The manifests of a folder that belongs to a project; only pnpm reads the second and the third.
pub(crate) const MANIFESTS: [&str; 3] = ["package.json", "package.yaml", "package.json5"];

/// A variable that leads pnpm to another workspace.
const WORKSPACE_DIR: [&str; 2] = ["NPM_CONFIG_WORKSPACE_DIR", "npm_config_workspace_dir"];

/// The folder, if there is a project at all.
pub(crate) fn find(kind: Kind, folder: &Path, ignores_workspace: bool) -> Result<Option<PathBuf>, Refusal> {
    if kind == Kind::Npm {
        return Ok(manager::find_root(kind, folder));
    }
    let Some(nearest) = folder.ancestors().find(|place| has_manifest(kind, place)) else { return Ok(None) };
    if kind == Kind::Pnpm {
        // Also where it is to ignore the workspace: a question does not.
        for place in [Some(nearest), workspace_of_pnpm(folder)].into_iter().flatten() {
            refuse_fetched_first(place)?;
        }
    }
    let root = match kind {
        Kind::Npm | Kind::Pnpm if ignores_workspace => nearest,
        Kind::Npm | Kind::Pnpm => {
            if let Some(name) = WORKSPACE_DIR.iter().find(|name| std::env::var_os(name).is_some()) {
                let why = format!("{name} leads pnpm to another workspace");
                return Err(Refusal { why, instead: Some("the same without that variable".to_owned()) });
            }
            workspace_of_pnpm(folder).unwrap_or(nearest)
        }
        Kind::YarnClassic => {
            let listing = nearest.ancestors().find_map(|place| Some((place, workspaces(place)?)));
            match listing {
                Some((place, patterns)) if place == nearest || means(kind, place, &patterns, nearest)? => {
                    place
                }
                _ => nearest,
            }
        }
        Kind::Yarn => {
            let locked = folder.ancestors().find(|place| place.join("yarn.lock").exists());
            let uppermost = || folder.ancestors().filter(|place| has_manifest(kind, place)).last();
            locked.or_else(uppermost).unwrap_or(nearest)
        }
        Kind::Bun => {
            let above = nearest.ancestors().skip(1);
            match above.into_iter().find_map(|place| Some((place, workspaces(place)?))) {
                Some((place, patterns)) if means(kind, place, &patterns, nearest)? => place,
                _ => nearest,
            }
        }
    };
    if matches!(kind, Kind::Pnpm | Kind::YarnClassic | Kind::Bun) {
        stay_inside(kind, root)?;
    }
    Ok(Some(root.to_owned()))
}

fn has_manifest(kind: Kind, place: &Path) -> bool {
    let names = if kind == Kind::Pnpm { &MANIFESTS[..] } else { &MANIFESTS[..1] };
    names.iter().any(|name| place.join(name).is_file())
}

/// Every hidden name that the project's workspaces, and folders that it asks for, are said to have in their path;
/// `None` where that cannot be told.
pub(crate) fn hidden_names(root: &Path) -> Option<Vec<String>> {
    let mut patterns = workspaces(root).unwrap_or_default();
    patterns.extend(listed_for_pnpm(root).unwrap_or_default());
    patterns.extend(linked_folders(root));
    let mut names = Vec::new();
    for pattern in patterns {
        if pattern.contains("{.") || pattern.contains(",.") || pattern.contains("(.") {
            return None;
        }
        let hidden = pattern.split('/').filter(|part| part.starts_with('.') && *part != "." && *part != "..");
        for name in hidden {
            if name.contains(['*', '?', '[', '{', '(']) {
                return None;
            }
            names.push(name.to_owned());
        }
    }
    Some(names)
}

/// Nobody's workspaces may lie outside of the root: what is installed there would not be seen.
fn stay_inside(kind: Kind, root: &Path) -> Result<(), Refusal> {
    let (file, patterns) = match kind {
        Kind::Pnpm => ("pnpm-workspace.yaml", listed_for_pnpm(root)?),
        _ => ("package.json", workspaces(root).unwrap_or_default()),
    };
    let leads_out = |pattern: &&String| {
        let pattern = pattern.trim_start_matches('!');
        let mut parts = Path::new(pattern).components();
        parts.any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) || pattern.contains("..")
    };
    match patterns.iter().find(|pattern| leads_out(pattern) || leads_through_link(root, pattern)) {
        None => Ok(()),
        Some(pattern) => Err(Refusal {
            why: format!(
                "{} has the workspace {pattern:?}, which can lie outside of the project; 3pm cannot check what is installed there",
                root.join(file).display()
            ),
            instead: Some(format!("take it out of {file}, or move the project's root up")),
        }),
    }
}

/// Whether a link on the way leads out of the project or into a hidden folder. Behind `**` nobody looks.
fn leads_through_link(root: &Path, pattern: &str) -> bool {
    let Ok(real) = root.canonicalize() else { return true };
    let is_unseen = |place: &Path| {
        place.canonicalize().is_ok_and(|target| {
            let inside = target.strip_prefix(&real).ok();
            let lexical = place.strip_prefix(root).unwrap_or(place);
            inside.is_none_or(|inside| {
                inside != lexical && inside.iter().any(|part| part.to_string_lossy().starts_with('.'))
            })
        })
    };
    let plain = |part: &&str| !part.is_empty() && *part != "." && !part.contains(['*', '?', '[', '{', '(']);
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let fixed: PathBuf = parts.iter().copied().take_while(plain).collect();
    let start = root.join(&fixed);
    let next_is_any = parts.get(fixed.iter().count()).is_some_and(|part| *part != "**");
    let mut children = std::fs::read_dir(&start).into_iter().flatten().flatten().filter(|_| next_is_any);
    is_unseen(&start)
        || children.any(|child| {
            child.file_type().is_ok_and(|kind| kind.is_symlink())
                && child.path().is_dir()
                && is_unseen(&child.path())
        })
}

/// `workspaces` of the package.json in this folder.
fn workspaces(place: &Path) -> Option<Vec<String>> {
    workspaces_of(&read_manifest(place)?)
}

/// The patterns of workspaces in a manifest.
pub(crate) fn workspaces_of(manifest: &Value) -> Option<Vec<String>> {
    let listed = match manifest.get("workspaces")? {
        Value::Array(listed) => listed,
        described => described.get("packages")?.as_array()?,
    };
    Some(listed.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Settings with which pnpm would reach the network past 3pm, in its own spelling and in npm's.
const NETWORK: [&str; 8] =
    ["httpProxy", "httpsProxy", "proxy", "noProxy", "noproxy", "http-proxy", "https-proxy", "no-proxy"];

/// What pnpm fetches and lays out before it does anything else, a question included, from any host.
const FETCHED_FIRST: &str = "configDependencies";

fn workspace_of_pnpm(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|place| place.join("pnpm-workspace.yaml").is_file())
}

/// Whether a folder says so: in pnpm-workspace.yaml, or under `pnpm` in its manifest.
fn refuse_fetched_first(place: &Path) -> Result<(), Refusal> {
    listed_for_pnpm(place)?;
    let says = |name: &str| {
        if name == MANIFESTS[0] {
            let manifest = read_manifest(place).unwrap_or_default();
            return manifest.get("pnpm").is_some_and(|pnpm| pnpm.get(FETCHED_FIRST).is_some());
        }
        let bytes = read_bounded(&place.join(name), MAX_MANIFEST_BYTES).ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(FETCHED_FIRST)
    };
    match MANIFESTS.into_iter().find(|name| says(name)) {
        None => Ok(()),
        Some(name) => Err(no_fetched_first(&place.join(name))),
    }
}

fn no_fetched_first(file: &Path) -> Refusal {
    Refusal {
        why: format!(
            "{}: pnpm would fetch {FETCHED_FIRST} before anything is checked, and 3pm does not compare them",
            file.display()
        ),
        instead: Some(format!("take {FETCHED_FIRST} out of it")),
    }
}

/// Folders that the package.json in this folder asks for.
fn linked_folders(place: &Path) -> Vec<String> {
    let manifest = read_manifest(place).unwrap_or_default();
    let asked = OF_THE_PROJECT.iter().filter_map(|field| manifest.get(*field)?.as_object());
    let specs = asked.flat_map(|asked| asked.values()).filter_map(Value::as_str);
    let folder = |spec: &str| {
        ["file:", "link:", "portal:"].iter().find_map(|kind| spec.strip_prefix(kind)).map(str::to_owned)
    };
    specs.filter_map(folder).collect()
}

fn read_manifest(place: &Path) -> Option<Value> {
    let bytes = read_bounded(&place.join("package.json"), MAX_MANIFEST_BYTES).ok().flatten()?;
    serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes)).ok()
}

/// `packages` of pnpm-workspace.yaml, as far as it is written in the two ways that everybody writes it. Nothing that
/// 3pm could say to pnpm stands above that file.
pub(crate) fn listed_for_pnpm(root: &Path) -> Result<Vec<String>, Refusal> {
    let file = root.join("pnpm-workspace.yaml");
    let untold = |what: &str| Refusal {
        why: format!(
            "{}: {what}, so 3pm cannot tell which folders are workspaces of the project",
            file.display()
        ),
        instead: Some("write packages as a plain list, one path a line".to_owned()),
    };
    let bytes = read_bounded(&file, MAX_MANIFEST_BYTES).map_err(|error| untold(&error.to_string()))?;
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let mut listed = String::new();
    let (mut inside, mut is_first) = (false, true);
    for line in text.trim_start_matches('\u{feff}').lines() {
        let bare = line.trim_start();
        if bare.is_empty() || bare.starts_with('#') || line.trim_end() == "---" {
            continue;
        }
        // Its keys stand where a line begins, as they are.
        let is_odd = |key: &str| key == "<<" || key.contains('\\');
        let key = line.split_once(':').map(|(key, rest)| (key.trim_end().trim_matches(['"', '\'']), rest));
        if (is_first && bare.len() < line.len())
            || line.starts_with(['{', '?', '%', '!', '&', '*', '['])
            || key.is_some_and(|(key, _)| is_odd(key))
        {
            return Err(untold("it is written in an unusual way"));
        }
        is_first = false;
        if let Some((key, _)) = key.filter(|(key, _)| NETWORK.contains(key)) {
            return Err(Refusal {
                why: format!(
                    "{}: {key} would lead pnpm past 3pm, which could not check what comes",
                    file.display()
                ),
                instead: Some(format!(
                    "take {key} out of it; 3pm goes through the proxy of your HTTPS_PROXY"
                )),
            });
        }
        if key.is_some_and(|(key, _)| key == FETCHED_FIRST) {
            return Err(no_fetched_first(&file));
        }
        if let Some(("packages", rest)) = key {
            inside = true;
            listed.push_str(rest);
        } else if inside && line.starts_with([' ', '\t', '-', ']']) {
            listed.push_str(line);
        } else {
            inside = false;
        }
        listed.push('\n');
    }
    let mut patterns = Vec::new();
    for line in listed.lines() {
        let line = line.split(" #").next().unwrap_or(line);
        let words = line.split(|c: char| c.is_whitespace() || "\"',[]".contains(c));
        let words = words.filter(|word| !word.is_empty() && *word != "-" && !word.starts_with('#'));
        for word in words {
            let bare = line.trim_start().trim_start_matches(['-', '[', ' ']);
            if word.contains('\\') || bare.starts_with(['&', '*', '|', '>']) {
                return Err(untold("packages is written in an unusual way"));
            }
            patterns.push(word.to_owned());
        }
    }
    Ok(patterns)
}

/// Whether `patterns` of the folder `place` mean `folder`. yarn 1 knows no `./` and no slash at the end.
fn means(kind: Kind, place: &Path, patterns: &[String], folder: &Path) -> Result<bool, Refusal> {
    let relative = folder.strip_prefix(place).unwrap_or(folder);
    let path: Vec<&str> = relative.iter().filter_map(|part| part.to_str()).collect();
    let mut found = false;
    for pattern in patterns {
        let (denied, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, pattern.as_str()),
        };
        let plain = pattern.trim_start_matches("./").trim_end_matches('/');
        if kind == Kind::YarnClassic && plain != pattern {
            continue;
        }
        let alternatives = spread(plain).ok_or_else(|| Refusal {
            why: format!(
                "{} has the workspace {pattern:?}, and 3pm cannot tell whether it means {}",
                place.join("package.json").display(),
                folder.display()
            ),
            instead: Some(format!("go to {} first", place.display())),
        })?;
        let is_meant = alternatives.iter().any(|plain| {
            let parts: Vec<&str> = plain.split('/').filter(|part| *part != ".").collect();
            matches(&parts, &path)
        });
        if is_meant {
            found = !denied;
        }
    }
    Ok(found)
}

/// Whether patterns mean this folder, as a path below the one that has them. What is not understood of one stands for
/// one name: `@(a|b)` is as good as `*`.
pub(crate) fn is_listed(patterns: &[String], folder: &Path) -> bool {
    let path: Vec<&str> = folder.iter().filter_map(|part| part.to_str()).collect();
    let mut found = false;
    for pattern in patterns {
        let (denied, pattern) = match pattern.strip_prefix('!').filter(|rest| !rest.starts_with('(')) {
            Some(pattern) => (true, pattern),
            None => (false, pattern.as_str()),
        };
        let all = spread(pattern).unwrap_or_else(|| vec![pattern.to_owned()]);
        let is_meant = all.iter().any(|pattern| {
            let parts = pattern.split('/').filter(|part| !part.is_empty() && *part != ".");
            let is_odd = |part: &str| part.contains(['[', ']', '(', ')', '{', '}', '\\', '|']);
            let parts: Vec<&str> = parts.map(|part| if is_odd(part) { "*" } else { part }).collect();
            matches(&parts, &path)
        });
        found = if is_meant { !denied } else { found };
    }
    found
}

/// The patterns that one with `{a,b}` stands for; none where it is of a kind that is not understood.
fn spread(pattern: &str) -> Option<Vec<String>> {
    if pattern.contains(['[', ']', '(', ')', '!', '\\', '|']) {
        return None;
    }
    let Some(open) = pattern.find('{') else {
        return (!pattern.contains('}')).then(|| vec![pattern.to_owned()]);
    };
    let close = open + pattern[open..].find('}')?;
    let inner = &pattern[open + 1..close];
    if inner.contains('{') || inner.contains("..") || !inner.contains(',') {
        return None;
    }
    let mut all = Vec::new();
    for part in inner.split(',') {
        all.extend(spread(&format!("{}{part}{}", &pattern[..open], &pattern[close + 1..]))?);
    }
    Some(all)
}

/// A hidden name is meant only by a pattern that has its dot.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            matches(rest, path)
                || path.split_first().is_some_and(|(name, deeper)| {
                    !name.starts_with('.') && *name != "node_modules" && matches(pattern, deeper)
                })
        }
        (Some((part, rest)), Some((name, deeper))) => {
            let shown = !name.starts_with('.') || part.starts_with('.');
            shown && matches_name(part.as_bytes(), name.as_bytes()) && matches(rest, deeper)
        }
        _ => false,
    }
}

fn matches_name(part: &[u8], name: &[u8]) -> bool {
    match part.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|at| matches_name(rest, &name[at..])),
        Some((b'?', rest)) => !name.is_empty() && matches_name(rest, &name[1..]),
        Some((letter, rest)) => name.first() == Some(letter) && matches_name(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes files, then asks from `from`; a root as a path below the holder, or why not.
    fn check(kind: Kind, files: &[(&str, &str)], from: &str, expected: Result<&str, &str>) {
        let holder = tempfile::tempdir().unwrap();
        let base = holder.path().canonicalize().unwrap();
        for (path, text) in files {
            let path = base.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::create_dir_all(base.join(from)).unwrap();
        let found = find(kind, &base.join(from), false);
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                let found = found.expect("a project");
                let found = found.strip_prefix(&base).unwrap().display().to_string();
                assert_eq!(found, expected, "{kind:?} {files:?}");
            }
            (Err(refusal), Err(words)) => assert!(refusal.why.contains(words), "{kind:?}: {}", refusal.why),
            (found, _) => panic!("{kind:?} {files:?}: {found:?}"),
        }
    }

    fn listing(patterns: &str) -> String {
        format!(r#"{{"workspaces": {patterns}}}"#)
    }

    #[test]
    fn the_workspace_of_pnpm_stands_above_a_stray_lockfile() {
        let pnpm = |files: &[(&str, &str)], from, expected| check(Kind::Pnpm, files, from, expected);
        let member = [("p/package.json", "{}"), ("p/a/package.json", "{}"), ("p/a/pnpm-lock.yaml", "")];
        let with = |text| [&member[..], &[("p/pnpm-workspace.yaml", text)]].concat();
        pnpm(&member, "p/a", Ok("p/a"));
        // A lockfile alone makes no workspace.
        pnpm(&[member[0], member[1], ("p/pnpm-lock.yaml", "")], "p/a", Ok("p/a"));
        pnpm(&with("packages:\n  - a\n"), "p/a", Ok("p"));
        pnpm(&with("packages: ['a', \"b/**\"]\nstoreDir: ../store\n"), "p/a", Ok("p"));
        pnpm(&with(""), "p/a/deeper", Ok("p"));
        pnpm(&with("packages:\n- a\n- '../b'\n"), "p/a", Err("outside of the project"));
        pnpm(&with("packages: [a, /b]\n"), "p/a", Err("outside of the project"));
        for unusual in [
            "packages: *all\n",
            "{packages: [a]}\n",
            "packages: [\"\\x2e./b\"]\n",
            "packages: |\n  a\n",
            "  packages:\n  - ../b\n",
            "\"pack\\x61ges\": [../b]\n",
            "!!str packages: [../b]\n",
            "x: &x {packages: [../b]}\n<<: *x\n",
        ] {
            pnpm(&with(unusual), "p/a", Err("unusual"));
        }
        pnpm(&[("p/package.yaml", "name: p\n")], "p/a", Ok("p"));
        for key in ["httpProxy", "\"noProxy\" ", "https-proxy"] {
            let text = format!("---\npackages: [a]\n{key}: x\n");
            pnpm(&[&member[..], &[("p/pnpm-workspace.yaml", &text)]].concat(), "p/a", Err("past 3pm"));
        }
        pnpm(&with("catalog:\n  proxy: ^1\npackages: [a]\n"), "p/a", Ok("p"));
        let dependencies = r#"{"pnpm": {"configDependencies": {"x": "1.0.0"}}}"#;
        pnpm(&with("packages: [a]\nconfigDependencies:\n  x: 1.0.0\n"), "p/a", Err("before anything"));
        for (file, text) in [
            ("p/package.json", dependencies),
            ("p/a/package.json", dependencies),
            ("p/package.yaml", "pnpm:\n  configDependencies: {}\n"),
        ] {
            pnpm(&[&with("")[..], &[(file, text)]].concat(), "p/a", Err("before anything"));
        }
    }

    #[test]
    fn a_workspace_of_yarn_1_belongs_to_the_first_package_json_above_that_lists_any() {
        for (patterns, expected) in [
            (r#"["a"]"#, "p"),
            (r#"{"packages": ["*"]}"#, "p"),
            (r#"["**"]"#, "p"),
            (r#"["{a,b}"]"#, "p"),
            (r#"["b"]"#, "p/a"),
            (r#"["*", "!a"]"#, "p/a"),
            (r#"["./a"]"#, "p/a"),
            (r#"["a/"]"#, "p/a"),
        ] {
            let above = listing(patterns);
            let files =
                [("p/package.json", above.as_str()), ("p/a/package.json", "{}"), ("p/a/yarn.lock", "")];
            check(Kind::YarnClassic, &files, "p/a", Ok(expected));
        }
        let (above, between) = (listing(r#"["q/a"]"#), listing(r#"["b"]"#));
        let files =
            [("package.json", above.as_str()), ("q/package.json", &between), ("q/a/package.json", "{}")];
        check(Kind::YarnClassic, &files, "q/a", Ok("q/a"));
        let odd = listing(r#"["@(a|b)"]"#);
        check(
            Kind::YarnClassic,
            &[("package.json", &odd), ("a/package.json", "{}")],
            "a",
            Err("cannot tell"),
        );
        let out = listing(r#"["../c"]"#);
        check(Kind::YarnClassic, &[("p/package.json", &out)], "p", Err("outside of the project"));
    }

    #[test]
    fn a_workspace_of_bun_belongs_to_whoever_above_lists_it() {
        for (patterns, expected) in
            [(r#"["a"]"#, "p"), (r#"["./a/"]"#, "p"), (r#"["*", "!a"]"#, "p/a"), (r#"["b"]"#, "p/a")]
        {
            let above = listing(patterns);
            let files =
                [("p/package.json", above.as_str()), ("p/a/package.json", "{}"), ("p/a/bun.lock", "")];
            check(Kind::Bun, &files, "p/a", Ok(expected));
        }
        let (above, between) = (listing(r#"["q", "q/a"]"#), listing(r#"["b"]"#));
        let files =
            [("package.json", above.as_str()), ("q/package.json", &between), ("q/a/package.json", "{}")];
        check(Kind::Bun, &files, "q/a", Ok("q/a"));
        check(Kind::Bun, &files, "q", Ok(""));
    }

    #[test]
    fn yarn_4_goes_by_its_lockfile_and_else_to_the_top() {
        let files = [("p/package.json", "{}"), ("p/a/package.json", "{}")];
        check(Kind::Yarn, &files, "p/a", Ok("p"));
        check(Kind::Yarn, &[files[0], files[1], ("p/a/yarn.lock", "")], "p/a", Ok("p/a"));
        check(Kind::Yarn, &[files[0], files[1], ("p/yarn.lock", "")], "p/a", Ok("p"));
    }

    #[test]
    fn hidden_folders_with_workspaces_are_known_by_name() {
        let names = |patterns: &str| {
            let holder = tempfile::tempdir().unwrap();
            std::fs::write(holder.path().join("package.json"), listing(patterns)).unwrap();
            hidden_names(holder.path())
        };
        assert_eq!(names(r#"["a", "./b"]"#), Some(vec![]));
        assert_eq!(names(r#"["a/.tools/*", ".github"]"#), Some(vec![".tools".into(), ".github".into()]));
        assert_eq!(names(r#"[".*/a"]"#), None);
        assert_eq!(names(r#"["{.a,b}"]"#), None);
        let holder = tempfile::tempdir().unwrap();
        let asks = r#"{"devDependencies": {"x": "file:./.tools/x", "y": "link:../.out", "z": "^1"}}"#;
        std::fs::write(holder.path().join("package.json"), asks).unwrap();
        assert_eq!(hidden_names(holder.path()), Some(vec![".tools".into(), ".out".into()]));
    }
}
