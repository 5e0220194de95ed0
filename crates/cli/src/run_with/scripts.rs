//! The second phase: install scripts, after everything on disk was compared. Each package manager decides by
//! its own rules which packages may run theirs; it is asked to rebuild, which fetches nothing. Without the
//! proxy, its certificate authority and 3pm's own variables. Where nothing may run, nothing is started; yarn 4, whose
//! rebuilding is an install, is held to what was compared (`rebuild`).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::flow::RunError;
use super::manager::{Kind, Manager, find_program};
use super::orphan::Book;
use super::process::{self, Words};
use super::rebuild::{self, Laid, Variables};
use crate::install::scripted::Scripted;

/// Compiling native code takes its time.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// The project's own scripts, in the order of an install.
const LIFE_CYCLE: [&str; 4] = ["preinstall", "install", "postinstall", "prepare"];

/// Where they run.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The project.
    pub(crate) root: &'a Path,
    /// The folder in which it was installed.
    pub(crate) folder: &'a Path,
    /// What stood in the package manager's environment in the first phase.
    pub(crate) told: &'a Variables,
    /// Its own package.json files, the root's first.
    pub(crate) own: &'a [Value],
    /// Whether the command runs the project's own scripts as well.
    pub(crate) runs_own: bool,
    /// Where processes are noted.
    pub(crate) book: &'a Book,
}

/// Runs what the package manager would have run of what the policy allows; says in words what that was.
pub(crate) async fn run(
    manager: &Manager,
    place: &Place<'_>,
    scripted: &[Scripted],
    words: Words,
) -> Result<String, RunError> {
    let Place { root, folder, told, own, runs_own, book } = *place;
    let go = async |program: &Path, arguments: &[&str], rest: &[String]| -> Result<(), RunError> {
        let rest = rest.iter().map(OsString::from);
        let mut arguments: Vec<OsString> = arguments.iter().map(OsString::from).chain(rest).collect();
        let is_own = program == manager.program;
        let (quiet, at) = match manager.kind {
            Kind::Yarn if is_own => {
                // The project's own scripts are those of its root.
                let at = if arguments == ["rebuild"] { folder } else { root };
                (rebuild::variables(root, folder), at)
            }
            kind => {
                let mut quiet = kind.own_program();
                // It looks where it put things.
                let places = kind.overruled(root, root);
                quiet.extend(places.variables.into_iter().filter(|_| is_own));
                arguments.splice(0..0, places.front.into_iter().filter(|_| is_own));
                (quiet, root)
            }
        };
        let process::Ended { status, words, .. } =
            process::run_scripts(program, &arguments, at, &quiet, words, LIMIT, book).await?;
        if status.success() {
            return Ok(());
        }
        let command =
            format!("{} {}", manager.kind.command(), arguments.join(&OsString::from(" ")).display());
        Err(RunError::Failed { command, status, words })
    };
    let allowed = Allowed::of(scripted);
    let npm = || {
        let npm = find_program("npm", root, Path::new("/nonexistent"));
        npm.ok_or_else(|| RunError::NotFound { command: "npm".to_owned() })
    };
    // Workspaces are linked, and built as packages are; yarn 4 builds the root with the rest.
    let is_yarn = manager.kind == Kind::Yarn;
    let mut built = own.iter().skip(usize::from(!is_yarn));
    let nothing_to_build = scripted.is_empty()
        && built.all(|manifest| declared(manifest).is_empty())
        && !(is_yarn && root.join("binding.gyp").exists());
    let of_these = ["rebuild", "--ignore-scripts=false", "--"];
    match (manager.kind, &allowed) {
        (_, Allowed::Nothing) => {}
        // Nothing to ask for.
        _ if nothing_to_build => {}
        // Without a name it would rebuild everything.
        (Kind::Pnpm, Allowed::Some { names, .. }) if names.is_empty() => {}
        // npm's are `npm_scripts`' matter.
        (Kind::Npm, _) => {}
        (Kind::Pnpm, Allowed::Everything) => go(&manager.program, &["rebuild", "--pending"], &[]).await?,
        (Kind::Pnpm, Allowed::Some { names, .. }) => go(&manager.program, &["rebuild"], names).await?,
        // Builds what is to be built, the project's own included.
        (Kind::Yarn, Allowed::Everything) => {
            rebuild::check_settings(manager, root, folder, told).await?;
            let laid = Laid::read(root)?;
            go(&manager.program, &["rebuild"], &[]).await?;
            laid.check(root)?;
            return Ok("yarn ran the install scripts it allows.".to_owned());
        }
        // Whatever names it is given, it builds all that was never built.
        (Kind::Yarn, Allowed::Some { .. }) => {}
        // Neither of the two has a command for it; both leave a tree that npm can read.
        (Kind::YarnClassic, Allowed::Everything) => {
            go(&npm()?, &["rebuild", "--ignore-scripts=false"], &[]).await?
        }
        (Kind::YarnClassic, Allowed::Some { folders, .. }) => go(&npm()?, &of_these, folders).await?,
        (Kind::Bun, allowed) => {
            let folders: Vec<String> =
                trusted(root, own).into_iter().filter(|folder| allowed.holds(folder)).collect();
            if !folders.is_empty() {
                go(&npm()?, &of_these, &folders).await?;
            }
        }
    }
    let root_scripts = own.first().filter(|_| runs_own).map(declared).unwrap_or_default();
    for script in &root_scripts {
        go(&manager.program, &["run", script], &[]).await?;
    }
    let command = manager.kind.command();
    let of_packages = match allowed {
        Allowed::Nothing => format!("{command} ran no install scripts of packages"),
        Allowed::Some { .. } if is_yarn => {
            format!(
                "{command} cannot run some install scripts without the others, so it ran none of packages"
            )
        }
        Allowed::Some { .. } => format!("{command} ran those install scripts that the policy allows"),
        Allowed::Everything => format!("{command} ran the install scripts it allows"),
    };
    Ok(match root_scripts.len() {
        0 => format!("{of_packages}."),
        count => format!("{of_packages}, and {count} of the project."),
    })
}

/// What the policy lets run.
#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    /// All that the package manager would.
    Everything,
    /// These, and of them all copies that lie there.
    Some {
        /// By name.
        names: Vec<String>,
        /// By folder, `./` before it.
        folders: Vec<String>,
    },
    /// Nothing.
    Nothing,
}

impl Allowed {
    fn of(scripted: &[Scripted]) -> Self {
        if scripted.iter().all(Scripted::may_run) {
            return Self::Everything;
        }
        let folder = |package: &Scripted| format!("./{}", package.location.display());
        let folders: Vec<String> = scripted.iter().filter(|package| package.may_run()).map(folder).collect();
        // A name stands for every version of it, so one that may not run holds back the others.
        let held: BTreeSet<&str> = scripted
            .iter()
            .filter(|package| !package.may_run())
            .map(|package| package.name.as_str())
            .collect();
        let names: BTreeSet<&str> = scripted
            .iter()
            .map(|package| package.name.as_str())
            .filter(|name| !held.contains(name))
            .collect();
        if folders.is_empty() {
            return Self::Nothing;
        }
        Self::Some { names: names.into_iter().map(str::to_owned).collect(), folders }
    }

    fn holds(&self, folder: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Some { folders, .. } => folders.iter().any(|allowed| allowed == folder),
            Self::Nothing => false,
        }
    }
}

/// bun runs scripts only of what the project trusts.
fn trusted(root: &Path, own: &[Value]) -> Vec<String> {
    let names =
        own.first().and_then(|manifest| manifest.get("trustedDependencies")).and_then(Value::as_array);
    let names = names.map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str);
    let folders = names
        .filter(|name| name.parse::<trust::PackageName>().is_ok())
        .map(|name| format!("./node_modules/{name}"));
    folders.filter(|folder| root.join(folder).is_dir()).collect()
}

fn declared(manifest: &Value) -> Vec<&'static str> {
    let scripts = manifest.get("scripts");
    let has = |name: &str| {
        scripts
            .and_then(|scripts| scripts.get(name))
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    LIFE_CYCLE.into_iter().filter(|name| has(name)).collect()
}

#[cfg(test)]
mod tests {
    use trust::policy::{Action, Line, Origin, Rule};

    use super::*;

    fn package(name: &str, location: &str, action: Action) -> Scripted {
        let decided_by = Line { rule: Rule::Scripts, origin: Origin::User, action, because: None };
        Scripted {
            name: name.into(),
            version: None,
            location: location.into(),
            integrity: None,
            scripts: vec![],
            decided_by,
        }
    }

    #[test]
    fn one_copy_that_may_not_run_holds_back_all_that_its_name_means() {
        let fine = package("a", "node_modules/a", Action::Allow);
        let other = package("b", "node_modules/b", Action::Allow);
        let held = package("a", "node_modules/b/node_modules/a", Action::Deny);
        assert_eq!(Allowed::of(&[]), Allowed::Everything);
        assert_eq!(Allowed::of(&[fine.clone(), other.clone()]), Allowed::Everything);
        assert_eq!(Allowed::of(std::slice::from_ref(&held)), Allowed::Nothing);
        let some = Allowed::of(&[fine, other, held]);
        let folders = ["./node_modules/a", "./node_modules/b"].map(str::to_owned).to_vec();
        assert_eq!(some, Allowed::Some { names: vec!["b".into()], folders });
        assert!(some.holds("./node_modules/b") && !some.holds("./node_modules/b/node_modules/a"));
    }
}
