//! `3pm completions`: what a shell needs to complete commands. Installs nothing.

use clap::CommandFactory as _;

use crate::args::{Arguments, CompletionsArgs};
use crate::errors::Outcome;
use crate::exit;
use crate::output::write_stdout;

/// Prints the script.
pub(crate) fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "3pm", &mut script);
    write_stdout(&String::from_utf8_lossy(&script));
    Ok(exit::FINE)
}
