//! Text that somebody else wrote, made safe to print. Does not judge what it says.

/// `text` without control characters, bidirectional overrides and zero-width characters, cut to
/// `max_chars`. What was removed shows as U+FFFD, so that a gap is seen.
#[must_use]
pub fn printable(text: &str, max_chars: usize) -> String {
    let mut out: String =
        text.chars().take(max_chars).map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(max_chars).is_some() {
        out.push('…');
    }
    out
}

/// Control, format and layout characters that let printed text lie about itself.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\u{200b}", 80), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
        assert_eq!(printable("line\nline", 80), "line\u{fffd}line");
        assert_eq!(printable("naïve 日本", 80), "naïve 日本");
        assert_eq!(printable("abcdef", 3), "abc…");
    }
}
