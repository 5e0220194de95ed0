//! A command line that cannot be used, as a failure like every other: for programs that asked for JSON. People get
//! clap's own words, which this does not change.

use std::ffi::OsString;

use clap::error::ErrorKind;

use crate::errors::Failure;

/// Whether JSON was asked for; what stands behind `--` is for another program.
pub(crate) fn asks_for_json(words: &[OsString]) -> bool {
    words.iter().skip(1).take_while(|word| *word != "--").any(|word| word == "--json")
}

/// What clap says: the first paragraph is the matter, the others say how it is meant.
pub(crate) fn usage_failure(error: &clap::Error) -> Failure {
    // There clap prints a whole help page, or every command.
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    ) {
        return Failure::usage("no command was given").hint("3pm --help");
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let failure = Failure::usage(first.strip_prefix("error: ").unwrap_or(&first));
    paragraphs
        .filter(|part| !part.is_empty())
        .fold(failure, |failure, part| failure.hint(part.strip_prefix("tip: ").unwrap_or(&part)))
}
