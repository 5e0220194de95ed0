//! `3pm run-with`: an install by any package manager, held to the same rule as `3pm install`. Start reading
//! at `flow`. This file ties it to the command line; it makes no verdict and no decision.

mod compare;
mod flow;
mod gate;
mod lists;
mod lookup;
mod manager;
mod plug;
mod process;
mod scripts;
mod tree;

use flow::{Order, RunError};

use crate::args::RunWithArgs;
use crate::context::Context;
use crate::errors::{Failure, Outcome};
use crate::exit::{self, ExitCode};
use crate::install::{self, report::Report};

/// Runs a package manager behind the gate.
pub(crate) async fn run(context: &Context, args: RunWithArgs) -> Outcome {
    let around = install::surroundings(context)?;
    let order = Order {
        command: args.manager.as_str().to_owned(),
        arguments: args.arguments,
        yes: args.yes,
        ignore_scripts: args.ignore_scripts,
        allow_project_code: args.allow_project_code,
    };
    let home = context.home()?;
    let report = flow::run(&order, &around, &home, &|| context.now(), &async |report: &Report| {
        install::ask(context, report).await
    })
    .await;
    match report {
        Ok(report) => install::finish(context, &around, Ok(report)),
        Err(RunError::Flow(error)) => install::finish(context, &around, Err(error)),
        Err(error) => Err(failure(error)),
    }
}

/// A sentence with its exit code and what to do next.
fn failure(error: RunError) -> Failure {
    let (code, hint): (ExitCode, Option<&str>) = match &error {
        RunError::Failed { status, .. } => (
            status.code().map_or(exit::UNKNOWN, ExitCode::from_package_manager),
            Some("the project was put back"),
        ),
        RunError::NotFound { .. } => (exit::USAGE, Some("install it, or check the PATH")),
        RunError::NoProject { .. } => (exit::USAGE, Some("go to a project, or make one: npm init")),
        RunError::ProjectCode { .. } => {
            (exit::NOT_POSSIBLE, Some("look at it, then repeat with --allow-project-code"))
        }
        RunError::Tree(_) => (exit::MISMATCH, None),
        _ => (exit::UNKNOWN, None),
    };
    let failure = Failure::from(error).code(code);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
