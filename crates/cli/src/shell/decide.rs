//! What to do with a command line of a package manager: hand it on untouched, install behind the checks, run a
//! package once behind the checks, or refuse. Starts nothing and changes nothing.
//!
//! Fails closed: where a command line can be read in two ways, the one that installs counts; a subcommand that
//! is not in the table is refused, except where the program would run a script of that name, and then it is told
//! so (`yarn build` becomes `yarn run build`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Client;
use super::once::{self, Once};
use super::table::{Does, Table};
use super::words::{Line, Word, parse_line};

/// What to do.
#[derive(Debug, Clone)]
pub(crate) enum Decision {
    /// The real program gets these arguments.
    Pass(Vec<OsString>),
    /// The project's packages change.
    Install(Install),
    /// A command of a package that is not installed here runs.
    Once(Once),
    /// It would install what could not be checked.
    Refuse(Refusal),
}

/// An install.
#[derive(Debug, Clone)]
pub(crate) struct Install {
    /// The folder to go to first.
    pub(crate) folder: Option<PathBuf>,
    /// What the package manager is told.
    pub(crate) arguments: Vec<OsString>,
    /// Whether the project's tests run afterwards.
    pub(crate) then_test: bool,
}

/// Why not, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// A sentence.
    pub(crate) why: String,
    /// What to type instead.
    pub(crate) instead: Option<String>,
}

/// Where it was typed.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// Whether the environment makes installs global.
    pub(crate) global: bool,
}

impl Refusal {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), instead: None }
    }

    pub(super) fn instead(self, instead: impl Into<String>) -> Self {
        Self { instead: Some(instead.into()), ..self }
    }
}

impl Here {
    /// This process's folder and environment.
    pub(crate) fn current() -> std::io::Result<Self> {
        let is_set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
        let global = ["npm_config_global", "NPM_CONFIG_GLOBAL", "pnpm_config_global"];
        let location = ["npm_config_location", "NPM_CONFIG_LOCATION"];
        Ok(Self {
            folder: std::env::current_dir()?,
            global: global.iter().any(|name| is_set(name, "true"))
                || location.iter().any(|name| is_set(name, "global")),
        })
    }

    /// Whether a package that is installed here brings this command.
    pub(super) fn has_command(&self, command: &str) -> bool {
        let plain = !command.is_empty() && !command.starts_with('.') && !command.contains(['/', '\\']);
        plain && self.folder.ancestors().any(|place| place.join("node_modules/.bin").join(command).exists())
    }

    /// Whether the nearest package.json has a script of this name.
    fn has_script(&self, name: &str) -> bool {
        let manifest =
            self.folder.ancestors().map(|place| place.join("package.json")).find(|file| file.is_file());
        let text = manifest.and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&text)
            .is_ok_and(|manifest| manifest["scripts"][name].is_string())
    }
}

/// Decides.
pub(crate) fn decide(client: Client, arguments: &[OsString], here: &Here) -> Decision {
    let Some(table) = client.table() else { return once::decide(client, arguments, here) };
    if asks_for_help(table, arguments) {
        return Decision::Pass(arguments.to_vec());
    }
    let line = parse_line(table, arguments);
    let (does, at) = match find(table, &line.words, 0) {
        Found::Bare => (table.bare, arguments.len()),
        Found::Row { does, at } => (does, at),
        Found::Unknown(word) => return unknown(client, word, arguments, &line, here),
    };
    let behind = || line.words.iter().filter(|word| word.at > at);
    match does {
        Does::Nothing => Decision::Pass(arguments.to_vec()),
        Does::RunsInBun => run_in_bun(arguments, &line),
        Does::NothingUnless(flags) if !line.has(flags) => Decision::Pass(arguments.to_vec()),
        Does::NothingUnlessNamed if behind().count() == 0 => Decision::Pass(arguments.to_vec()),
        Does::NothingUnlessGit => match behind().find(|word| is_foreign(&word.text)) {
            None => Decision::Pass(arguments.to_vec()),
            Some(word) => Decision::Refuse(Refusal::new(format!(
                "{} would clone, install and build {}, which nobody checked",
                client.command(),
                word.text
            ))),
        },
        Does::RunsOnce | Does::Creates => once::decide_in(client, does, arguments, at, &line, here),
        Does::Unchecked(why) => Decision::Refuse(refused(client, arguments, at, why)),
        Does::InstallsAndTests(name) => install(client, table, arguments, &line, at, Some(name), here),
        Does::Installs | Does::Continues(_) if asks_which(client, arguments, at, &line) => {
            Decision::Refuse(chooser(client))
        }
        Does::Installs | Does::NothingUnless(_) | Does::NothingUnlessNamed | Does::Continues(_) => {
            install(client, table, arguments, &line, at, None, here)
        }
    }
}

/// A word of the command line, as the table knows it.
enum Found<'a> {
    /// There is none.
    Bare,
    /// This one, at this place among the arguments.
    Row { does: Does, at: usize },
    /// None that the table knows.
    Unknown(&'a Word),
}

/// The subcommand. Of words in doubt and the first certain one, the one with most at stake counts.
fn find<'a>(table: &Table, words: &'a [Word], from: usize) -> Found<'a> {
    let mut worst: Option<(Does, usize)> = None;
    let mut unknown = None;
    for (index, word) in words.iter().enumerate().skip(from) {
        match look_up(table, &words[index..]) {
            None => unknown = Some(word),
            Some((Does::Continues(skipped), length)) => match find(table, words, index + length + skipped) {
                Found::Row { does, at } => worst = Some(worse(worst, (does, at))),
                Found::Bare => worst = Some(worse(worst, (Does::Installs, word.at))),
                Found::Unknown(inner) => unknown = Some(inner),
            },
            Some((does, _)) => worst = Some(worse(worst, (does, word.at))),
        }
        if word.certain {
            break;
        }
    }
    match (worst, unknown) {
        (Some((does, at)), _) => Found::Row { does, at },
        (None, Some(word)) => Found::Unknown(word),
        (None, None) => Found::Bare,
    }
}

fn worse(known: Option<(Does, usize)>, other: (Does, usize)) -> (Does, usize) {
    known.filter(|(does, _)| stake(*does) >= stake(other.0)).unwrap_or(other)
}

fn stake(does: Does) -> u8 {
    match does {
        Does::Nothing => 0,
        Does::RunsInBun => 1,
        Does::NothingUnless(_) | Does::NothingUnlessNamed | Does::NothingUnlessGit => 2,
        Does::Creates => 3,
        Does::RunsOnce => 4,
        Does::Continues(_) | Does::Installs => 5,
        Does::InstallsAndTests(_) => 6,
        Does::Unchecked(_) => 7,
    }
}

/// The longest row that these words begin with, and how many words it has; else what an abbreviation could mean
/// at worst.
fn look_up(table: &Table, words: &[Word]) -> Option<(Does, usize)> {
    let first = if table.abbreviates { kebab(&words.first()?.text) } else { words.first()?.text.clone() };
    let fits = |name: &str| {
        let mut parts = name.split(' ');
        parts.next() == Some(first.as_str())
            && parts.zip(1..).all(|(part, index)| words.get(index).is_some_and(|word| word.text == part))
    };
    let names = || table.rows.iter().flat_map(|(names, does)| names.iter().map(move |name| (*name, *does)));
    let length = |name: &str| name.split(' ').count();
    let exact = names().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| length(name));
    if exact.is_some() || !table.abbreviates || first.is_empty() {
        return exact.map(|(name, does)| (does, length(name)));
    }
    let meant = names().filter(|(name, _)| length(name) == 1 && name.starts_with(&first));
    meant.map(|(_, does)| (does, 1)).max_by_key(|(does, _)| stake(*does))
}

/// npm takes `installTest` for `install-test`.
fn kebab(text: &str) -> String {
    let mut kebab = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii_uppercase() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

/// `--version`, `--help`, or words and then `--help`.
fn asks_for_help(table: &Table, arguments: &[OsString]) -> bool {
    let Some((last, words)) = arguments.split_last() else { return false };
    let plain = |word: &OsString| word.to_str().is_some_and(|word| !word.starts_with('-'));
    match last.to_str() {
        Some("--version" | "-v") => words.is_empty(),
        Some("--help" | "-h") => {
            let first =
                words.first().map(|word| Word { text: word.to_string_lossy().into(), at: 0, certain: true });
            let does = first.map(|word| look_up(table, &[word]).map(|(does, _)| does));
            let runs = matches!(does, Some(None | Some(Does::RunsOnce | Does::Creates | Does::RunsInBun)));
            words.iter().all(plain) && !runs
        }
        _ => false,
    }
}

fn unknown(client: Client, word: &Word, arguments: &[OsString], line: &Line, here: &Here) -> Decision {
    match client {
        Client::Bun => run_in_bun(arguments, line),
        Client::Yarn => {
            let mut told = arguments.to_vec();
            told.insert(word.at, "run".into());
            Decision::Pass(told)
        }
        Client::Pnpm if here.has_script(&word.text) || here.has_command(&word.text) => {
            Decision::Pass(arguments.to_vec())
        }
        _ => Decision::Refuse(Refusal::new(format!(
            "{} {} is nothing that 3pm knows, so it cannot say whether it installs anything",
            client.command(),
            word.text
        ))),
    }
}

/// bun fetches what a program imports where there is no node_modules; here it may not.
fn run_in_bun(arguments: &[OsString], line: &Line) -> Decision {
    let end = line.words.get(1).or(line.words.first()).map_or(usize::MAX, |word| word.at);
    let flags = line.flags.iter().filter(|flag| flag.at < end);
    if flags.clone().any(|flag| !flag.denied && (flag.name == "i" || flag.name == "install")) {
        return Decision::Refuse(
            Refusal::new("bun would fetch and run packages that nobody checked")
                .instead("3pm run-with bun -- install, then the same without -i or --install"),
        );
    }
    if arguments.is_empty() {
        return Decision::Pass(vec![]);
    }
    Decision::Pass(std::iter::once("--no-install".into()).chain(arguments.iter().cloned()).collect())
}

/// Whether somebody is to choose at the terminal, which a package manager behind the checks does not have.
fn asks_which(client: Client, arguments: &[OsString], at: usize, line: &Line) -> bool {
    let command = arguments.get(at).map(|word| word.to_string_lossy()).unwrap_or_default();
    match client {
        Client::Pnpm | Client::Yarn | Client::Bun => {
            line.has(&["i", "interactive"])
                || ["upgrade-interactive", "upgradeInteractive"].contains(&command.as_ref())
        }
        Client::Npm | Client::Npx | Client::Pnpx | Client::Bunx => false,
    }
}

fn chooser(client: Client) -> Refusal {
    let why =
        format!("{} would ask at the terminal, which it does not have behind the checks", client.command());
    Refusal::new(why).instead(match client {
        Client::Yarn => "name the packages: yarn up NAME, with yarn 1: yarn upgrade NAME --latest",
        Client::Bun | Client::Bunx => "name the packages: bun update NAME --latest",
        _ => "name the packages: pnpm update NAME --latest",
    })
}

fn refused(client: Client, arguments: &[OsString], at: usize, why: &str) -> Refusal {
    let command = arguments.get(at).map(|word| word.to_string_lossy()).unwrap_or_default();
    let refusal = Refusal::new(format!("{} {command} {why}; 3pm cannot check that", client.command()));
    match (client, command.as_ref()) {
        (Client::Npm, "audit") => {
            refusal.instead("npm audit, then npm update or npm install PACKAGE@VERSION")
        }
        (Client::Bun, "init") => refusal.instead("npm init, then bun add PACKAGE"),
        (Client::Yarn, "global") => refusal.instead("yarn dlx PACKAGE, which runs it once, checked"),
        _ => refusal,
    }
}

fn install(
    client: Client,
    table: &Table,
    arguments: &[OsString],
    line: &Line,
    at: usize,
    plain_name: Option<&str>,
    here: &Here,
) -> Decision {
    let outside = line.flags.iter().any(|flag| {
        let elsewhere =
            !matches!(flag.name.as_str(), "location" | "L") || flag.value.as_deref() != Some("project");
        table.outside.contains(&flag.name.as_str()) && !flag.is_off() && elsewhere
    });
    if outside || here.global {
        return Decision::Refuse(
            Refusal::new(format!(
                "{} would install outside of a project; 3pm cannot check that",
                client.command()
            ))
            .instead("3pm exec PACKAGE runs a command of a package once, checked"),
        );
    }
    let around = |name: &str| table.around.contains(&name) || name.starts_with("config.");
    if let Some(flag) = line.flags.iter().find(|flag| around(&flag.name)) {
        return Decision::Refuse(Refusal::new(format!(
            "--{} would lead {} around the checks",
            flag.name,
            client.command()
        )));
    }
    if let Some(flag) = line.flags.iter().find(|flag| flag.name == "ignore-scripts" && flag.is_off()) {
        return Decision::Refuse(
            Refusal::new(format!("--{} would run scripts before anything is checked", flag.name))
                .instead("the same without it: scripts run once everything was checked"),
        );
    }
    let mut told = arguments.to_vec();
    if let (Some(name), Some(word)) = (plain_name, told.get_mut(at)) {
        *word = name.into();
    }
    let folder = match folder_of(table, arguments, line, here) {
        Ok(None) => None,
        Ok(Some((folder, flag, width))) => {
            told.drain(flag..flag + width);
            Some(folder)
        }
        Err(refusal) => return Decision::Refuse(refusal),
    };
    Decision::Install(Install { folder, arguments: told, then_test: plain_name.is_some() })
}

/// The folder that a flag names, the flag's place, and how many arguments it takes up.
fn folder_of(
    table: &Table,
    arguments: &[OsString],
    line: &Line,
    here: &Here,
) -> Result<Option<(PathBuf, usize, usize)>, Refusal> {
    let mut flags = line.flags.iter().filter(|flag| table.folder.contains(&flag.name.as_str()));
    let Some(flag) = flags.next() else { return Ok(None) };
    let written = |index: usize| arguments.get(index).map(PathBuf::from);
    let (named, width) = match &flag.value {
        Some(value) => (Some(PathBuf::from(value)), 1),
        None => (written(flag.at + 1), 2),
    };
    let folder = named.map(|named| here.folder.join(named));
    let folder = folder.filter(|folder| folder.join("package.json").is_file() && flags.next().is_none());
    let paths = line.words.iter().any(|word| is_path(&word.text));
    match folder {
        Some(folder) if !paths => Ok(Some((folder, flag.at, width))),
        _ => Err(Refusal::new(format!("--{} names no project that 3pm could check", flag.name))
            .instead("go to the project's folder first")),
    }
}

/// A package that comes from no registry: a git repository, a URL. A path is none of these.
pub(super) fn is_foreign(text: &str) -> bool {
    if is_path(text) || text.starts_with('-') {
        return false;
    }
    let (name, rest) = match text.char_indices().skip(1).find(|(_, letter)| *letter == '@') {
        Some((at, _)) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    };
    let scoped = name.starts_with('@') && name.matches('/').count() == 1;
    let named = if scoped { !name.contains(':') } else { !name.contains(['/', ':']) };
    let spec = rest.strip_prefix("npm:").unwrap_or(rest);
    !named || (spec.contains([':', '/']) && !spec.starts_with('@'))
}

fn is_path(text: &str) -> bool {
    let file = Path::new(text).extension().is_some_and(|end| end == "tgz" || end == "tar" || end == "gz");
    text == "."
        || text == ".."
        || text.starts_with("./")
        || text.starts_with("../")
        || text.starts_with(['/', '~'])
        || (file && !text.contains(':'))
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
