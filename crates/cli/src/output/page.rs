//! Lines for people. Colour only repeats what the words say.

use anstyle::{AnsiColor, Style};

/// Columns of the names in front of values.
const FIELD_WIDTH: usize = 12;

/// Text being put together, with colours that the stream takes out where nobody sees them.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// A plain line.
    pub(crate) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// An empty line.
    pub(crate) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A line that stands out.
    pub(crate) fn title(&mut self, line: &str) {
        self.styled(Style::new().bold(), line);
    }

    /// Something is as it should be.
    pub(crate) fn good(&mut self, line: &str) {
        self.styled(AnsiColor::Green.on_default().bold(), line);
    }

    /// Something deserves a look.
    pub(crate) fn warn(&mut self, line: &str) {
        self.styled(AnsiColor::Yellow.on_default().bold(), line);
    }

    /// Something is wrong.
    pub(crate) fn bad(&mut self, line: &str) {
        self.styled(AnsiColor::Red.on_default().bold(), line);
    }

    /// Something for those who look closer.
    pub(crate) fn aside(&mut self, line: &str) {
        self.styled(Style::new().dimmed(), line);
    }

    /// `name   value`, indented.
    pub(crate) fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(&format!("  {name:<FIELD_WIDTH$} {value}"));
    }

    /// A command to type next.
    pub(crate) fn next(&mut self, command: &str) {
        self.line(&format!("  next: {command}"));
    }

    /// With colour codes.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Without.
    #[cfg(test)]
    pub(crate) fn plain(&self) -> String {
        anstream::adapter::strip_str(&self.text).to_string()
    }

    fn styled(&mut self, style: Style, line: &str) {
        self.line(&format!("{style}{line}{style:#}"));
    }
}
