//! Spans of time as people write them: `3 days`, `72h`, `90 minutes`. Knows no months, which have no length.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

/// Nobody means more, and sums with it stay far from overflow.
const MAX_DAYS: u64 = 36_500;

/// A span of time, whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

/// Why a text is not a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not a span of time, expected a whole number and minutes, hours or days, as in \"3 days\" or \"72h\""
)]
pub struct SpanError {
    found: String,
}

impl Span {
    /// A span of so many seconds.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Its length.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError { found: text.chars().take(40).collect() };
        let text_trimmed = text.trim();
        let split = text_trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(text_trimmed.len());
        let (number, unit) = text_trimmed.split_at(split);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = match unit.trim() {
            "m" | "minute" | "minutes" => MINUTE,
            "h" | "hour" | "hours" => HOUR,
            "d" | "day" | "days" => DAY,
            "" if number == 0 => DAY,
            _ => return Err(wrong()),
        };
        let seconds = number.checked_mul(unit).filter(|seconds| seconds / DAY <= MAX_DAYS);
        seconds.map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Span {
    /// In the largest unit that it is a whole number of, else rounded down to minutes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.0 {
            seconds if seconds % DAY == 0 && seconds > 0 => (seconds / DAY, "day"),
            seconds if seconds % HOUR == 0 && seconds > 0 => (seconds / HOUR, "hour"),
            seconds => (seconds / MINUTE, "minute"),
        };
        let plural = if number == 1 { "" } else { "s" };
        write!(f, "{number} {unit}{plural}")
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_in_units_of_fixed_length() {
        for (text, seconds, written) in [
            ("3 days", 259_200, "3 days"),
            ("72h", 259_200, "3 days"),
            (" 1 hour ", 3_600, "1 hour"),
            ("90 minutes", 5_400, "90 minutes"),
            ("0", 0, "0 minutes"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.seconds(), span.to_string().as_str()), (seconds, written), "{text}");
            assert_eq!(span.to_string().parse(), Ok(span));
        }
    }

    #[test]
    fn what_has_no_fixed_length_or_no_unit_or_no_end_is_no_span() {
        for text in ["", "3", "days", "-1 days", "1 month", "1.5h", "99999999 days", "99999999999999999999 d"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
