//! A spinner on standard error while something takes time. Shows nothing when nobody watches.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(120);

/// Ends, and leaves no trace, when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A spinner beside `text`, or nothing.
    pub(crate) fn new(text: &str, visible: bool) -> Self {
        let bar = if visible {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(Cow::Owned(text.to_owned()));
        if visible {
            bar.enable_steady_tick(TICK);
        }
        Self { bar }
    }

    /// Other words beside the spinner.
    pub(crate) fn say(&self, text: &str) {
        self.bar.set_message(Cow::Owned(text.to_owned()));
    }

    /// Text of somebody else's, above the spinner.
    pub(crate) fn show(&self, text: &str) {
        if !text.is_empty() {
            self.bar.suspend(|| super::write_stderr(text));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
