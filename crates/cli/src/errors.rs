//! A failure as a person needs it: what was being done, what went wrong and why, what was expected and what
//! came, and what to do next, each apart from the others. Never shows a backtrace; tokens and keys are in
//! types that do not print.

use std::error::Error;
use std::fmt;

use serde::Serialize;
use trust::text::printable;

use crate::exit::{self, ExitCode};
use crate::output::Page;

/// How much of one message is shown, in characters.
const MESSAGE_CHARS: usize = 600;

/// How many causes are shown; deeper ones say nothing to a person.
const MAX_CAUSES: usize = 6;

/// What a command comes to.
pub(crate) type Outcome = Result<ExitCode, Failure>;

/// Why a command did not do what it was asked. Any error turns into one with `?`.
#[derive(Debug)]
pub(crate) struct Failure {
    code: ExitCode,
    message: String,
    causes: Vec<String>,
    expected: Option<String>,
    found: Option<String>,
    hints: Vec<String>,
}

/// A failure as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    error: Details<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    message: &'a str,
    causes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'a str>,
    hints: &'a [String],
    exit_code: u8,
}

impl Failure {
    /// A failure with its exit code.
    pub(crate) fn new(code: ExitCode, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: printable(&message.to_string(), MESSAGE_CHARS),
            causes: vec![],
            expected: None,
            found: None,
            hints: vec![],
        }
    }

    /// It could not be found out.
    pub(crate) fn unknown(message: impl fmt::Display) -> Self {
        Self::new(exit::UNKNOWN, message)
    }

    /// The command line cannot be used.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(exit::USAGE, message)
    }

    /// It cannot be done as things stand.
    pub(crate) fn not_possible(message: impl fmt::Display) -> Self {
        Self::new(exit::NOT_POSSIBLE, message)
    }

    /// Something is not what was signed, or not what somebody said it was.
    pub(crate) fn mismatch(
        what: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        let mut failure = Self::new(exit::MISMATCH, what);
        failure.expected = Some(printable(&expected.to_string(), MESSAGE_CHARS));
        failure.found = Some(printable(&found.to_string(), MESSAGE_CHARS));
        failure
    }

    /// With what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(printable(&hint.to_string(), MESSAGE_CHARS));
        self
    }

    /// With what was being done in front; what stood there becomes the cause.
    #[must_use]
    pub(crate) fn while_doing(mut self, what: impl fmt::Display) -> Self {
        let inner = std::mem::replace(&mut self.message, printable(&what.to_string(), MESSAGE_CHARS));
        self.causes.insert(0, inner);
        self.causes.truncate(MAX_CAUSES);
        self
    }

    /// With another exit code.
    #[must_use]
    pub(crate) fn code(mut self, code: ExitCode) -> Self {
        self.code = code;
        self
    }

    /// Message and causes in one line.
    pub(crate) fn sentence(&self) -> String {
        std::iter::once(&self.message).chain(&self.causes).cloned().collect::<Vec<_>>().join(": ")
    }

    /// How the process ends.
    pub(crate) fn exit_code(&self) -> ExitCode {
        self.code
    }

    /// For people.
    pub(crate) fn render(&self, page: &mut Page) {
        page.bad(&format!("error: {}", self.message));
        for cause in &self.causes {
            page.line(&format!("  because {cause}"));
        }
        if let Some(expected) = &self.expected {
            page.line(&format!("  expected  {expected}"));
        }
        if let Some(found) = &self.found {
            page.line(&format!("  received  {found}"));
        }
        for hint in &self.hints {
            page.line(&format!("  next: {hint}"));
        }
    }

    /// For programs.
    pub(crate) fn document(&self) -> impl Serialize + '_ {
        Document {
            error: Details {
                message: &self.message,
                causes: &self.causes,
                expected: self.expected.as_deref(),
                found: self.found.as_deref(),
                hints: &self.hints,
                exit_code: self.code.number(),
            },
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut failure = Self::unknown(&error);
        let mut source = error.source();
        while let Some(cause) = source.filter(|_| failure.causes.len() < MAX_CAUSES) {
            let text = printable(&cause.to_string(), MESSAGE_CHARS);
            // Some libraries repeat the cause in the message.
            if failure.message != text && failure.causes.last() != Some(&text) {
                failure.causes.push(text);
            }
            source = cause.source();
        }
        failure
    }
}

/// What was being done and what to do next, beside an error.
pub(crate) trait Explain<T> {
    /// Names what was being done; the error becomes the cause.
    fn while_doing(self, what: impl fmt::Display) -> Result<T, Failure>;
    /// Adds what to do next.
    fn hint(self, hint: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Explain<T> for Result<T, E> {
    fn while_doing(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().while_doing(what))
    }

    fn hint(self, hint: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the chain cannot be read")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("http://127.0.0.1:1/ cannot be reached")]
    struct Inner;

    fn rendered(failure: &Failure) -> String {
        let mut page = Page::default();
        failure.render(&mut page);
        page.plain()
    }

    #[test]
    fn an_error_shows_its_causes_and_the_next_step_and_nothing_else() {
        let failure: Failure = Result::<(), _>::Err(Outer(Inner))
            .while_doing("the members of left-pad cannot be checked")
            .hint("check rpcUrls")
            .unwrap_err();
        assert_eq!(
            rendered(&failure),
            "error: the members of left-pad cannot be checked\n  because the chain cannot be read\n  \
             because http://127.0.0.1:1/ cannot be reached\n  next: check rpcUrls\n"
        );
        assert_eq!(failure.exit_code(), exit::UNKNOWN);
    }

    #[test]
    fn a_mismatch_shows_both_sides() {
        let failure = Failure::mismatch("the tarball is not the signed one", "sha512-a", "sha512-b");
        assert_eq!(
            rendered(&failure),
            "error: the tarball is not the signed one\n  expected  sha512-a\n  received  sha512-b\n"
        );
        let document = serde_json::to_value(failure.document()).unwrap();
        assert_eq!(document["error"]["exitCode"], 50);
        assert_eq!(document["error"]["expected"], "sha512-a");
    }

    #[test]
    fn what_a_server_wrote_cannot_move_the_cursor() {
        let failure = Failure::unknown("bad \u{1b}[2J\nerror: all is fine");
        assert_eq!(rendered(&failure), "error: bad \u{fffd}[2J\u{fffd}error: all is fine\n");
    }
}
