//! `3pm intercept npm -- …`, and `3pm npm-intercept …` for aliases and shims: what installs something goes
//! through the checks, everything else becomes the real program at once. The short form is read before the
//! command line is, because every flag in it is the package manager's.

use std::ffi::{OsStr, OsString};

use crate::args::{
    Arguments, Command, ExecArgs, GlobalArgs, InterceptArgs, ManagerName, OwnArgs, QuestionArgs, RunWithArgs,
};
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit::{self, ExitCode};
use crate::output::Color;
use crate::run_with::{self, Typed};
use crate::shell::Client;
use crate::shell::decide::{Decision, Here, Install, Refusal, decide};
use crate::shell::program::{ProgramError, become_program};

/// Set to `off`, everything is handed on.
const SWITCH: &str = "THREEPM_INTERCEPT";

/// The code of a command that is not there, as shells say it.
const NOT_FOUND: i32 = 127;

/// What `3pm npm-intercept …` and its like stand for. Does not come back where nothing is installed.
pub(crate) fn short_form(words: &[OsString]) -> Option<Arguments> {
    let name = words.get(1)?.to_str()?;
    let client = Client::ALL.into_iter().find(|client| client.intercept() == name)?;
    let behind = words.get(2..).unwrap_or_default();
    let arguments = behind.strip_prefix(&[OsString::from("--")]).unwrap_or(behind).to_vec();
    let global = GlobalArgs { json: false, quiet: false, color: Color::Auto, network: None };
    if let Ok(here) = Here::current()
        && let Some(told) = handed_on(client, &arguments, &here)
    {
        let context = Context::new(&global);
        context.output.failure(&failure(become_program(client, &told)));
        std::process::exit(NOT_FOUND);
    }
    Some(Arguments { global, command: Command::Intercept(InterceptArgs { client, arguments }) })
}

/// Runs it.
pub(crate) async fn run(context: &Context, args: InterceptArgs) -> Outcome {
    let InterceptArgs { client, arguments } = args;
    let here = Here::current().while_doing("the current folder cannot be found")?;
    if let Some(told) = handed_on(client, &arguments, &here) {
        return Err(failure(become_program(client, &told)));
    }
    match decide(client, &arguments, &here) {
        Decision::Pass(told) => Err(failure(become_program(client, &told))),
        Decision::Refuse(refusal) => Err(refused(client, &arguments, refusal)),
        Decision::Once(once) => {
            let args = ExecArgs {
                package: once.packages,
                question: QuestionArgs::default(),
                ignore_scripts: false,
                command: once.command,
                arguments: once.arguments,
                typed: Typed::Theirs,
            };
            run_with::exec::run(context, args).await
        }
        Decision::Install(order) => {
            let then_test = order.then_test;
            let code = install(context, client, order).await?;
            if then_test && code == exit::FINE {
                return Err(failure(become_program(client, &["test".into()])));
            }
            Ok(code)
        }
    }
}

/// What the real program gets, where it gets it.
fn handed_on(client: Client, arguments: &[OsString], here: &Here) -> Option<Vec<OsString>> {
    if std::env::var_os(SWITCH).as_deref() == Some(OsStr::new("off")) {
        return Some(arguments.to_vec());
    }
    match decide(client, arguments, here) {
        Decision::Pass(told) => Some(told),
        _ => None,
    }
}

async fn install(context: &Context, client: Client, order: Install) -> Result<ExitCode, Failure> {
    if let Some(folder) = &order.folder {
        std::env::set_current_dir(folder).while_doing(format!("{} cannot be entered", folder.display()))?;
    }
    let manager = match client {
        Client::Npm | Client::Npx => ManagerName::Npm,
        Client::Pnpm | Client::Pnpx => ManagerName::Pnpm,
        Client::Yarn => ManagerName::Yarn,
        Client::Bun | Client::Bunx => ManagerName::Bun,
    };
    let args = RunWithArgs {
        manager,
        own: OwnArgs::default(),
        allow_project_code: false,
        arguments: order.arguments,
        typed: Typed::Theirs,
    };
    run_with::run(context, args).await
}

fn refused(client: Client, arguments: &[OsString], refusal: Refusal) -> Failure {
    let failure = Failure::not_possible(&refusal.why);
    let failure = match refusal.instead {
        Some(instead) => failure.hint(instead),
        None => failure,
    };
    let typed: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    failure.hint(format!("without the checks of 3pm: {SWITCH}=off {} {}", client.command(), typed.join(" ")))
}

fn failure(error: ProgramError) -> Failure {
    let hint = match &error {
        ProgramError::NotFound { .. } => "install it, or check the PATH: 3pm doctor",
        ProgramError::Loop { .. } => "look at what that file does, or take its folder off the PATH",
        ProgramError::Start { .. } => "look at the file; 3pm doctor",
    };
    Failure::from(error).code(ExitCode::of_program(NOT_FOUND)).hint(hint)
}
