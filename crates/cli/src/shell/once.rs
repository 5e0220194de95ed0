//! `npx` and its kin: commands that fetch a package, run it once and forget it. What can be said to `3pm exec` in
//! the same words becomes that; what the project has already is left to the real program, and so is everything
//! else where that program can be told to install nothing; the rest is refused. Starts nothing.

use std::ffi::OsString;

use super::Client;
use super::decide::{Decision, Here, Refusal, is_foreign};
use super::table::Does;
use super::words::Line;

/// What `3pm exec` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Once {
    /// The packages, where they are named apart from the command.
    pub(crate) packages: Vec<String>,
    /// The command, or the package that brings it.
    pub(crate) command: String,
    /// The command's own arguments.
    pub(crate) arguments: Vec<OsString>,
}

/// How one of these programs reads what stands in front of the command.
struct Manner {
    /// Flags that name a package.
    package: &'static [&'static str],
    /// Flags that change nothing for us. `--yes` agrees to a fetch, never to a warning of ours.
    empty: &'static [&'static str],
    /// Flags with which it installs nothing.
    never: &'static [&'static str],
    /// Whether its flags may also stand behind the command.
    scattered: bool,
    /// The flag that makes it install nothing.
    offline: Option<&'static str>,
    /// Whether a command that the project has is run from there.
    local: bool,
}

const NPX: Manner = Manner {
    package: &["-p", "--package"],
    empty: &["-y", "--yes", "-q", "--quiet", "-s", "--silent"],
    never: &["--no", "-n", "--no-install", "--yes=false", "--no-yes"],
    scattered: false,
    offline: Some("--no-install"),
    local: true,
};

const NPM_EXEC: Manner =
    Manner { package: &["--package"], scattered: true, offline: Some("--yes=false"), ..NPX };

const PNPM_DLX: Manner = Manner {
    package: &["--package"],
    empty: &["-s", "--silent"],
    never: &[],
    scattered: false,
    offline: None,
    local: false,
};

const YARN_DLX: Manner = Manner { package: &["-p", "--package"], empty: &["-q", "--quiet"], ..PNPM_DLX };

const BUNX: Manner = Manner {
    package: &["-p", "--package"],
    empty: &["--silent", "--verbose"],
    never: &["--no-install"],
    scattered: false,
    offline: Some("--no-install"),
    local: true,
};

/// Decides on `npx`, `pnpx` and `bunx`.
pub(super) fn decide(client: Client, arguments: &[OsString], here: &Here) -> Decision {
    let manner = match client {
        Client::Npx | Client::Npm => NPX,
        Client::Bunx | Client::Bun => BUNX,
        Client::Pnpx | Client::Pnpm => PNPM_DLX,
        Client::Yarn => YARN_DLX,
    };
    decide_by(client, &manner, &[], arguments, here)
}

/// Decides on `npm exec`, `pnpm dlx`, `yarn dlx`, `bun x` and on what creates projects; the subcommand stands at
/// this place.
pub(super) fn decide_in(
    client: Client,
    does: Does,
    arguments: &[OsString],
    at: usize,
    line: &Line,
    here: &Here,
) -> Decision {
    let behind = arguments.get(at + 1..).unwrap_or_default();
    let front: &[OsString] = arguments.get(..=at).unwrap_or(arguments);
    if does == Does::Creates {
        return create(client, arguments, front, behind, line);
    }
    let manner = match client {
        Client::Npm | Client::Npx => NPM_EXEC,
        Client::Pnpm | Client::Pnpx => PNPM_DLX,
        Client::Yarn => YARN_DLX,
        Client::Bun | Client::Bunx => BUNX,
    };
    decide_by(client, &manner, front, behind, here)
}

/// `front` is the subcommand with what stands in front of it; nothing for a program that has none.
fn decide_by(
    client: Client,
    manner: &Manner,
    front: &[OsString],
    behind: &[OsString],
    here: &Here,
) -> Decision {
    let whole = || front.iter().chain(behind).cloned().collect::<Vec<_>>();
    let offline = |flag: &str| {
        Decision::Pass(front.iter().cloned().chain([flag.into()]).chain(behind.iter().cloned()).collect())
    };
    let read = read(manner, behind);
    if read.never && !read.always {
        return Decision::Pass(whole());
    }
    let Some(command) = read.words.first().map(|word| word.to_string_lossy().into_owned()) else {
        // Help, a version, or a shell: nothing is fetched unless a package is named.
        return match (read.packages.is_empty(), manner.offline) {
            (true, _) => Decision::Pass(whole()),
            (false, Some(flag)) if !read.always => offline(flag),
            (false, _) => Decision::Refuse(unclear(client, "a package without a command")),
        };
    };
    // Flags in front of the subcommand are the package manager's own; `3pm exec` has no place for them.
    let odd = read.odd.clone().or_else(|| (front.len() > 1).then(|| front[0].to_string_lossy().into_owned()));
    if read.packages.is_empty() && manner.local && odd.is_none() && here.has_command(&command) {
        // bun looks in fewer folders than we did.
        return match client {
            Client::Bun | Client::Bunx => offline("--no-install"),
            _ => Decision::Pass(whole()),
        };
    }
    if let Some(odd) = odd {
        return match manner.offline {
            Some(flag) if !read.always => offline(flag),
            _ => Decision::Refuse(unclear(client, &odd)),
        };
    }
    let from = if read.packages.is_empty() { vec![command.clone()] } else { read.packages.clone() };
    if let Some(foreign) = from.iter().find(|package| !is_registry(package)) {
        return Decision::Refuse(Refusal::new(format!(
            "{foreign} comes from no registry; 3pm cannot check it"
        )));
    }
    let arguments = read.words.get(1..).unwrap_or_default().to_vec();
    Decision::Once(Once { packages: read.packages, command, arguments })
}

/// What stands behind the subcommand.
#[derive(Debug, Default)]
struct Read {
    packages: Vec<String>,
    words: Vec<OsString>,
    /// The first flag that `3pm exec` does not have.
    odd: Option<String>,
    never: bool,
    always: bool,
}

fn read(manner: &Manner, behind: &[OsString]) -> Read {
    let mut read = Read::default();
    let mut at = 0;
    while let Some(argument) = behind.get(at) {
        let text = argument.to_string_lossy();
        at += 1;
        if text == "--" {
            read.words.extend(behind.get(at..).unwrap_or_default().iter().cloned());
            break;
        }
        if !text.starts_with('-') || text == "-" {
            read.words.push(argument.clone());
            if !manner.scattered {
                read.words.extend(behind.get(at..).unwrap_or_default().iter().cloned());
                break;
            }
            continue;
        }
        let (name, value) =
            text.split_once('=').map_or((text.as_ref(), None), |(name, value)| (name, Some(value)));
        read.always |= matches!(name, "-y" | "--yes") && value != Some("false");
        if manner.never.contains(&text.as_ref()) {
            read.never = true;
        } else if manner.package.contains(&name) {
            let next = || behind.get(at).map(|next| next.to_string_lossy().into_owned());
            read.packages.extend(value.map(str::to_owned).or_else(next));
            at += usize::from(value.is_none());
        } else if !manner.empty.contains(&text.as_ref()) {
            read.odd = read.odd.or_else(|| Some(text.into_owned()));
        }
    }
    read
}

/// `npm init x`, `pnpm create x` and so on: `create-x`, run once.
fn create(
    client: Client,
    arguments: &[OsString],
    front: &[OsString],
    behind: &[OsString],
    line: &Line,
) -> Decision {
    let read = read(&Manner { scattered: client == Client::Npm, ..NPX }, behind);
    let in_workspace = client == Client::Npm && line.has(&["w", "workspace", "ws", "workspaces"]);
    let Some(word) = read.words.first().map(|word| word.to_string_lossy().into_owned()) else {
        if in_workspace {
            return Decision::Refuse(
                Refusal::new("npm init of a workspace also installs")
                    .instead("npm init in the workspace's folder, then npm install"),
            );
        }
        return Decision::Pass(arguments.to_vec());
    };
    let odd = read.odd.or_else(|| (front.len() > 1).then(|| front[0].to_string_lossy().into_owned()));
    if let Some(odd) = odd {
        let refusal = unclear(client, &odd);
        return Decision::Refuse(match client {
            Client::Npm => refusal.instead("npm create NAME -- and then the flags of the package"),
            _ => refusal,
        });
    }
    match creator(client, &word) {
        Some(command) if read.packages.is_empty() => Decision::Once(Once {
            packages: vec![],
            command,
            arguments: read.words.get(1..).unwrap_or_default().to_vec(),
        }),
        _ => Decision::Refuse(Refusal::new(format!(
            "{word} is no template from a registry; 3pm cannot check it"
        ))),
    }
}

/// The package that creates `word`.
fn creator(client: Client, word: &str) -> Option<String> {
    let is_scope = word.starts_with('@') && !word.contains(['/', ':']);
    if !is_scope && !is_registry(word) {
        return None;
    }
    let at = word.char_indices().skip(1).find(|(_, letter)| *letter == '@').map_or(word.len(), |(at, _)| at);
    let (name, version) = word.split_at(at);
    let prefixed = |name: &str| match client {
        Client::Pnpm | Client::Pnpx if name.starts_with("create-") => Some(name.to_owned()),
        Client::Npm | Client::Npx => Some(format!("create-{name}")),
        // yarn and bun do not agree on what this is.
        _ if name.starts_with("create-") => None,
        _ => Some(format!("create-{name}")),
    };
    let created = match name.strip_prefix('@').map(|rest| rest.split_once('/')) {
        None => prefixed(name)?,
        Some(None) => format!("{name}/create"),
        Some(Some((scope, name))) => format!("@{scope}/{}", prefixed(name)?),
    };
    Some(format!("{created}{version}"))
}

/// A name, with or without a version, that a registry is asked for.
fn is_registry(spec: &str) -> bool {
    let at = spec.char_indices().skip(1).find(|(_, letter)| *letter == '@').map_or(spec.len(), |(at, _)| at);
    let name = spec.get(..at).unwrap_or_default();
    name.parse::<trust::PackageName>().is_ok() && !is_foreign(spec) && !spec.starts_with('.')
}

fn unclear(client: Client, what: &str) -> Refusal {
    Refusal::new(format!("{} with {what} cannot be run behind the checks", client.command()))
        .instead("3pm exec [--package PACKAGE] COMMAND [ARGUMENT…]")
}
