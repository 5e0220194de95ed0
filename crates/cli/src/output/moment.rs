//! Times for people, in UTC.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Unix seconds as `2026-01-02 03:04 UTC`.
pub(crate) fn moment(seconds: u64) -> String {
    let text = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|at| at.format(&Rfc3339).ok());
    match text {
        Some(text) if text.len() == 20 => format!("{} {} UTC", &text[..10], &text[11..16]),
        _ => format!("second {seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_readable_and_any_number_is_one() {
        assert_eq!(moment(1_767_323_045), "2026-01-02 03:04 UTC");
        assert_eq!(moment(0), "1970-01-01 00:00 UTC");
        assert_eq!(moment(u64::MAX), format!("second {}", u64::MAX));
        assert_eq!(moment(400_000_000_000), "second 400000000000");
    }
}
