//! What package managers say of their settings. Each answer costs a process, so it is kept for a while, in
//! `~/.3pm/answers`, readable by its owner only: as long as the program, the variables and the files that it was
//! made of are the same. An answer decides which hosts a run may reach and which settings are overruled, never
//! what is verified: one that is out of date leads to a refusal, and is then forgotten.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trust::digest::Hasher;
use url::Url;

use super::npm::{Npm, NpmRunError, QUESTION_LIMIT};
use super::project::{ProjectError, private_folder, read_bounded};
use super::settings::Settings;

/// How long an answer is good for, in seconds: what nobody thought of is asked anew within the hour.
const MAX_AGE: u64 = 60 * 60;

/// The largest file of settings, and the largest answer, that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// Answers that are kept.
const MAX_ANSWERS: usize = 64;

/// Files of settings of a project, in its folder and in those above.
const OF_PROJECTS: [&str; 5] = [".npmrc", "pnpm-workspace.yaml", ".yarnrc.yml", ".yarnrc", "bunfig.toml"];

/// Files of settings of a user, below the home.
const OF_USERS: [&str; 8] = [
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".bunfig.toml",
    ".config/pnpm/rc",
    ".config/pnpm/config.yaml",
    "Library/Preferences/pnpm/rc",
    "Library/Preferences/pnpm/config.yaml",
];

/// Variables that package managers take settings from begin with one of these, in either case.
const PREFIXES: [&str; 7] = ["npm_", "pnpm_", "yarn_", "bun_", "corepack_", "xdg_", "node_"];

/// And these others.
const VARIABLES: [&str; 4] = ["HOME", "PATH", "PREFIX", "USERPROFILE"];

/// Settings of npm that name files of settings.
const NAME_FILES: [&str; 2] = ["userconfig", "globalconfig"];

/// Something to ask a program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// Whom, by absolute path.
    pub(crate) program: &'a Path,
    /// What.
    pub(crate) words: &'a [&'a str],
    /// Where; `None` for nowhere in particular, where no project has a say.
    pub(crate) folder: Option<&'a Path>,
    /// It says the same whatever is set anywhere.
    pub(crate) always: bool,
}

/// The answers that are kept.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    folder: PathBuf,
    now: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    /// When it was asked, in Unix seconds.
    at: u64,
    /// Files, with the hash of their content; none for one that is not there.
    made_of: BTreeMap<PathBuf, Option<String>>,
    answer: String,
}

impl Answers {
    /// Those below 3pm's home, at `now` in Unix seconds.
    pub(crate) fn of(home: &Path, now: u64) -> Self {
        Self { folder: home.join("answers"), now }
    }

    /// The kept answer, or that of `ask`.
    pub(crate) async fn to<E>(
        &self,
        question: Question<'_>,
        ask: impl Future<Output = Result<String, E>>,
    ) -> Result<String, E> {
        let path = self.folder.join(format!("{}.json", question.key()));
        if let Some(stored) = self.read(&path) {
            return Ok(stored.answer);
        }
        let before = hashes(question.files());
        let answer = ask.await?;
        let mut made_of = hashes(files_named_in(&answer));
        made_of.extend(before);
        if let Err(error) = self.write(&path, &Stored { at: self.now, made_of, answer: answer.clone() }) {
            tracing::warn!(%error, "an answer of {} was not kept", question.program.display());
        }
        Ok(answer)
    }

    /// All are asked anew: something did not go as they say.
    pub(crate) fn forget(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "{} was not removed", self.folder.display());
        }
    }

    fn read(&self, path: &Path) -> Option<Stored> {
        let bytes = read_bounded(path, MAX_BYTES).ok()??;
        let stored: Stored = serde_json::from_slice(&bytes).ok()?;
        let is_young = stored.at <= self.now && self.now - stored.at < MAX_AGE;
        let is_same = || stored.made_of.iter().all(|(path, known)| hash(path) == *known);
        (is_young && is_same()).then_some(stored)
    }

    fn write(&self, path: &Path, stored: &Stored) -> std::io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut there: Vec<_> =
            std::fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path()).collect();
        if there.len() >= MAX_ANSWERS {
            there.sort_by_cached_key(|path| path.metadata().and_then(|found| found.modified()).ok());
            for old in &there[..=there.len() - MAX_ANSWERS] {
                std::fs::remove_file(old)?;
            }
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(stored)?)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Question<'_> {
    /// A name for what the answer depends on beside files.
    fn key(&self) -> String {
        let mut hasher = Hasher::sha256();
        let mut add = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        add(self.program.as_os_str().as_encoded_bytes());
        let program = self.program.metadata();
        let changed = program.as_ref().ok().and_then(|found| found.modified().ok());
        add(format!("{changed:?} {:?}", program.map(|found| found.len()).ok()).as_bytes());
        self.words.iter().for_each(|word| add(word.as_bytes()));
        // Projects without settings of their own all get the same answer.
        let place = self.folder.and_then(place_of_settings);
        add(place.unwrap_or(Path::new("")).as_os_str().as_encoded_bytes());
        let mut variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        variables.sort();
        for (name, value) in variables.into_iter().filter(|_| !self.always) {
            let shown = name.to_string_lossy();
            let lower = shown.to_ascii_lowercase();
            if VARIABLES.contains(&&*shown) || PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
                add(name.as_encoded_bytes());
                add(value.as_encoded_bytes());
            }
        }
        hex::encode(hasher.finish())
    }

    /// Whether a file of settings or a variable could say anything about `word`: lowercase, with nothing between its
    /// parts. Where none does, a package manager need not be asked for it.
    pub(crate) fn is_mentioned(&self, word: &str) -> bool {
        let in_file = |path: PathBuf| match read_bounded(&path, MAX_BYTES) {
            Ok(bytes) => bytes.is_some_and(|bytes| could_say(&String::from_utf8_lossy(&bytes), word)),
            Err(_) => true,
        };
        let in_variable = |(name, _): (OsString, OsString)| plain(&name.to_string_lossy()).contains(word);
        std::env::vars_os().any(in_variable) || self.files().into_iter().any(in_file)
    }

    /// Files that the answer may depend on, whether they are there or not.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = self.files_of_program();
        if self.always {
            return files;
        }
        let above = self.folder.into_iter().flat_map(Path::ancestors);
        files.extend(above.flat_map(|folder| OF_PROJECTS.map(|name| folder.join(name))));
        if let Some(home) = std::env::home_dir() {
            files.extend(OF_USERS.map(|name| home.join(name)));
        }
        if let Some(config) = std::env::var_os("XDG_CONFIG_HOME") {
            files.extend(["pnpm/rc", "pnpm/config.yaml"].map(|name| Path::new(&config).join(name)));
        }
        let names_file = |name: &OsString| {
            let name = name.to_string_lossy().to_ascii_lowercase();
            NAME_FILES.iter().any(|setting| name.ends_with(&format!("npm_config_{setting}")))
        };
        let named = std::env::vars_os().filter(|(name, _)| names_file(name));
        files.extend(named.map(|(_, path)| PathBuf::from(path)));
        files
    }

    /// npm's own, beside its `bin`, and that of the whole machine.
    fn files_of_program(&self) -> Vec<PathBuf> {
        let real = self.program.canonicalize().ok();
        let programs = [Some(self.program), real.as_deref()].into_iter().flatten();
        let prefixes = programs.filter_map(|program| program.parent()?.parent());
        prefixes.flat_map(|prefix| [prefix.join("npmrc"), prefix.join("etc/npmrc")]).collect()
    }
}

/// Whether a file of settings could say anything about `word`: by that name, however else a key can be written, or in
/// another file that it names.
fn could_say(text: &str, word: &str) -> bool {
    let text = plain(text);
    [word, "userconfig", "globalconfig", "\\", "${", "!!"].iter().any(|mark| text.contains(mark))
}

/// The same for every spelling of a setting.
fn plain(text: &str) -> String {
    text.to_ascii_lowercase().replace(['-', '_'], "")
}

/// Whether a project has settings of its own, here or above.
pub(crate) fn has_settings(folder: &Path) -> bool {
    place_of_settings(folder).is_some()
}

fn place_of_settings(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|place| OF_PROJECTS.iter().any(|name| place.join(name).exists()))
}

/// The files of settings that npm names when it lists its settings.
fn files_named_in(answer: &str) -> Vec<PathBuf> {
    let listing = serde_json::from_str::<Map<String, Value>>(answer).unwrap_or_default();
    let named = NAME_FILES.iter().filter_map(|name| listing.get(*name)?.as_str());
    named.map(PathBuf::from).collect()
}

fn hashes(files: Vec<PathBuf>) -> BTreeMap<PathBuf, Option<String>> {
    files.into_iter().map(|path| (path.clone(), hash(&path))).collect()
}

/// A file's content, with the value of each `${VARIABLE}` in it.
fn hash(path: &Path) -> Option<String> {
    let bytes = read_bounded(path, MAX_BYTES).ok()??;
    let mut hasher = Hasher::sha256();
    hasher.update(&bytes);
    let text = String::from_utf8_lossy(&bytes);
    for (_, name) in text.split("${").skip(1).filter_map(|rest| Some((rest, rest.split_once('}')?.0))) {
        let value = std::env::var_os(name.trim_end_matches('?')).unwrap_or_default();
        hasher.update(value.as_encoded_bytes());
        hasher.update([0]);
    }
    Some(hex::encode(hasher.finish()))
}

/// What npm says in a project.
#[derive(Debug)]
pub(crate) struct NpmSays {
    /// Its settings there, and without the project.
    pub(crate) settings: Settings,
    /// The registry that it would use if nobody had configured any: the one whose address lockfiles carry, and
    /// which npm swaps for the configured one. 3pm itself knows no registry's address.
    pub(crate) builtin: Option<Url>,
}

/// Asks npm all of it at once.
pub(crate) async fn ask_npm(npm: &Npm, root: &Path, answers: &Answers) -> Result<NpmSays, ProjectError> {
    const LISTING: [&str; 5] = ["config", "list", "--json", "--workspaces=false", "--loglevel=error"];
    const REGISTRY: [&str; 3] = ["config", "get", "registry"];
    let empty = private_folder()?;
    // Without one npm would look for a project further up.
    std::fs::write(empty.path().join("package.json"), "{}")
        .map_err(|source| ProjectError::Io { path: empty.path().to_owned(), source })?;
    let listing = LISTING.map(OsString::from);
    let run = async |npm: &Npm, folder: &Path, arguments: &[OsString]| {
        Ok::<_, NpmRunError>(npm.run(folder, arguments, QUESTION_LIMIT).await?.stdout)
    };
    let question = |words, folder| Question { program: npm.program(), words, folder, always: false };
    let project = answers.to(question(&LISTING, Some(root)), run(npm, root, &listing));
    // Where the project has no settings, it says the same there.
    let user = async {
        match has_settings(root) {
            true => {
                let asked = run(npm, empty.path(), &listing);
                Ok(Some(answers.to(question(&LISTING, None), asked).await?))
            }
            false => Ok(None),
        }
    };
    let builtin = async {
        // Neither exists; npm refuses one file for both.
        let nowhere = NAME_FILES.map(|name| {
            let mut flag = OsString::from(format!("--{name}="));
            flag.push(empty.path().join(name));
            flag
        });
        let arguments: Vec<OsString> = REGISTRY.map(OsString::from).into_iter().chain(nowhere).collect();
        let blind = npm.clone().without_settings();
        let always = Question { always: true, ..question(&REGISTRY, None) };
        answers.to(always, run(&blind, empty.path(), &arguments)).await
    };
    let (project, user, builtin) = tokio::try_join!(project, user, builtin)?;
    let read = |text: &str| {
        serde_json::from_str(text).map_err(|source| NpmRunError::Answer { command: "config", source })
    };
    let settings = Settings::new(read(&project)?, read(user.as_deref().unwrap_or(&project))?);
    Ok(NpmSays { settings, builtin: Url::parse(builtin.trim()).ok() })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Case {
        holder: tempfile::TempDir,
        asked: Cell<u32>,
        folder: &'static str,
    }

    impl Case {
        fn new() -> Self {
            let holder = tempfile::tempdir().unwrap();
            for folder in ["project", "beside"] {
                std::fs::create_dir(holder.path().join(folder)).unwrap();
            }
            std::fs::write(holder.path().join("npm"), "1").unwrap();
            Self { holder, asked: Cell::new(0), folder: "project" }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.holder.path().join(name), text).unwrap();
        }

        /// Asks at `now`; returns how often the program was asked so far.
        async fn ask(&self, now: u64) -> u32 {
            let (program, folder) = (self.holder.path().join("npm"), self.holder.path().join(self.folder));
            let words = &["config", "list"];
            let question = Question { program: &program, words, folder: Some(&folder), always: false };
            let user = self.holder.path().join("userrc");
            let answer = async {
                self.asked.set(self.asked.get() + 1);
                Ok::<_, NpmRunError>(serde_json::json!({"userconfig": user}).to_string())
            };
            let answers = Answers::of(self.holder.path(), now);
            assert!(answers.to(question, answer).await.unwrap().contains("userrc"));
            self.asked.get()
        }
    }

    #[tokio::test]
    async fn an_answer_is_kept_for_a_while() {
        let case = Case::new();
        assert_eq!(case.ask(1000).await, 1);
        assert_eq!(case.ask(1000 + MAX_AGE - 1).await, 1);
        assert_eq!(case.ask(1000 + MAX_AGE).await, 2);
        // A clock that went back.
        assert_eq!(case.ask(999).await, 3);
        Answers::of(case.holder.path(), 1000).forget();
        assert_eq!(case.ask(1000).await, 4);
    }

    #[tokio::test]
    async fn it_is_asked_anew_when_anything_that_it_is_made_of_changes() {
        let case = Case::new();
        assert_eq!(case.ask(1).await, 1);
        let files = ["project/.npmrc", "project/.yarnrc.yml", ".npmrc", "userrc", "npm"];
        for (before, file) in (1..).zip(files) {
            assert_eq!(case.ask(1).await, before, "{file}");
            case.write(file, "registry=${THREEPM_NOWHERE}\nlonger");
            assert_eq!(case.ask(1).await, before + 1, "{file}");
        }
        std::fs::remove_file(case.holder.path().join("project/.npmrc")).unwrap();
        assert_eq!(case.ask(1).await, 7);
    }

    #[tokio::test]
    async fn projects_without_settings_share_an_answer_and_others_do_not() {
        let mut case = Case::new();
        assert_eq!(case.ask(1).await, 1);
        case.folder = "beside";
        assert_eq!(case.ask(1).await, 1);
        case.write("project/.npmrc", "registry=http://r.example/");
        assert_eq!(case.ask(1).await, 2);
        case.folder = "project";
        assert_eq!(case.ask(1).await, 3);
        assert_eq!(case.ask(1).await, 3);
    }

    #[test]
    fn a_setting_is_mentioned_however_it_is_written() {
        for text in [
            "lockfile-dir=../x",
            "lockfileDir: ../x",
            "LOCKFILE_DIR = x",
            "\"lockfile\\u002ddir\" = x",
            "${LEFT}file-dir=x",
            "userconfig=./other",
            "global-config=./other",
            "? !!binary bG9ja2ZpbGVEaXI=",
        ] {
            assert!(could_say(text, "lockfiledir"), "{text}");
        }
        assert!(!could_say("registry=https://registry.example/\nlockfile=true\n", "lockfiledir"));
    }

    #[test]
    fn a_project_is_seen_to_mention_it() {
        let case = Case::new();
        let (program, folder) = (case.holder.path().join("npm"), case.holder.path().join("project"));
        let question = Question { program: &program, words: &[], folder: Some(&folder), always: false };
        case.write(".npmrc", "mentioned-here = 1");
        assert!(question.is_mentioned("mentionedhere"));
        // What depends on nothing reads nothing of a project.
        assert!(!Question { always: true, ..question }.is_mentioned("mentionedhere"));
    }

    #[tokio::test]
    async fn a_damaged_one_is_none_and_there_are_never_many() {
        let case = Case::new();
        case.ask(1).await;
        let folder = case.holder.path().join("answers");
        let kept = std::fs::read_dir(&folder).unwrap().flatten().next().unwrap().path();
        std::fs::write(&kept, "{").unwrap();
        assert_eq!(case.ask(1).await, 2);
        for number in 0..2 * MAX_ANSWERS {
            case.write(&format!("answers/{number}.json"), "{}");
        }
        std::fs::remove_file(&kept).unwrap();
        case.ask(1).await;
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), MAX_ANSWERS);
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
