//! Everything the binary prints goes through here: results to standard output, everything else to standard
//! error; colours only for a terminal that wants them; one JSON document with `--json`. Judges nothing, and
//! expects text of others to have gone through `trust::text::printable`.

mod moment;
mod page;
mod progress;

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;

pub(crate) use moment::moment;
pub(crate) use page::Page;
pub(crate) use progress::Progress;

use crate::errors::Failure;

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where a command's words go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// Decides once for the process.
    pub(crate) fn new(json: bool, quiet: bool, color: Color) -> Self {
        match color {
            // anstream itself looks at NO_COLOR, CLICOLOR and whether it writes to a terminal.
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
        Self { json, quiet }
    }

    /// Whether the result is to be one JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether remarks are silenced.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The result of a command: the document with `--json`, else the page.
    pub(crate) fn result<T: Serialize>(&self, document: &T, human: impl FnOnce(&mut Page)) {
        if self.json {
            let text = serde_json::to_string_pretty(document).unwrap_or_else(|error| {
                serde_json::json!({"error": {"message": error.to_string()}}).to_string()
            });
            write_stdout(&format!("{text}\n"));
        } else {
            let mut page = Page::default();
            human(&mut page);
            write_stdout(page.text());
        }
    }

    /// A remark on the way; silenced by `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            let mut page = Page::default();
            page.line(text);
            write_stderr(page.text());
        }
    }

    /// Several lines that a person needs while waiting; silenced by `--quiet`.
    pub(crate) fn page(&self, human: impl FnOnce(&mut Page)) {
        if !self.quiet {
            self.show(human);
        }
    }

    /// What a person is asked about next; never silenced.
    pub(crate) fn show(&self, human: impl FnOnce(&mut Page)) {
        let mut page = Page::default();
        human(&mut page);
        write_stderr(page.text());
    }

    /// Something a person must know although the command goes on; never silenced.
    pub(crate) fn warn(&self, text: &str) {
        let mut page = Page::default();
        page.warn(&format!("warning: {text}"));
        write_stderr(page.text());
    }

    /// How a command failed: a sentence on standard error, and the document with `--json`.
    pub(crate) fn failure(&self, failure: &Failure) {
        let mut page = Page::default();
        failure.render(&mut page);
        write_stderr(page.text());
        if self.json {
            self.result(&failure.document(), |_| {});
        }
    }

    /// Shows that something is going on, on a terminal; elsewhere nothing.
    pub(crate) fn progress(&self, text: &str) -> Progress {
        Progress::new(text, self.is_watched())
    }

    /// Whether somebody sees what is going on.
    pub(crate) fn is_watched(&self) -> bool {
        !self.quiet && !self.json && std::io::stderr().is_terminal()
    }
}

/// `1 package`, `2 packages`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Text to standard output. A reader that went away is no failure of ours.
pub(crate) fn write_stdout(text: &str) {
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Text to standard error.
pub(crate) fn write_stderr(text: &str) {
    let mut out = anstream::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
