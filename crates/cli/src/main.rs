//! The `3pm` binary: reads the command line, runs the command, ends with its code.

mod args;
mod commands;
mod config;
mod context;
mod errors;
mod exit;
mod freshness;
mod install;
mod maintain;
mod networks_file;
mod output;
mod project_file;
mod prompt;
mod run_with;
mod shell;
mod temporary;
mod world;

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if let Some(arguments) = commands::short_form(&words) {
        return commands::run(arguments).into();
    }
    let arguments = match args::Arguments::try_parse_from(args::own_first(words.clone())) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && args::asks_for_json(&words) => {
            let failure = args::usage_failure(&error);
            output::Output::new(true, false, output::Color::Auto).failure(&failure);
            return failure.exit_code().into();
        }
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE } else { exit::FINE }.into();
        }
    };
    commands::run(arguments).into()
}
