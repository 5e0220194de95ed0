//! A package manager's command line taken apart, so far as it takes to know which subcommand it names. The
//! programs disagree on what follows an unknown flag (its value, or the next word), so such a word is *doubtful*
//! and both readings are kept; what becomes of them is for `decide`. Knows no subcommand.

use std::ffi::OsString;

use super::table::Table;

/// Something that is no flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// It, as far as it is text.
    pub(crate) text: String,
    /// Its place among the arguments.
    pub(crate) at: usize,
    /// Whether it is a word by every reading.
    pub(crate) certain: bool,
}

/// A flag, without its dashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flag {
    /// Its name, without `no-` in front.
    pub(crate) name: String,
    /// What stands behind `=`.
    pub(crate) value: Option<String>,
    /// Whether `no-` stands in front.
    pub(crate) denied: bool,
    /// Its place among the arguments.
    pub(crate) at: usize,
}

/// A command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The words in front of `--` and behind it.
    pub(crate) words: Vec<Word>,
    /// The flags in front of `--`.
    pub(crate) flags: Vec<Flag>,
}

impl Line {
    /// Whether one of these flags is there and not denied.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.flags.iter().any(|flag| names.contains(&flag.name.as_str()) && !flag.is_off())
    }
}

impl Flag {
    /// `--no-x` and `--x=false` say that x is off.
    pub(crate) fn is_off(&self) -> bool {
        self.denied != (self.value.as_deref() == Some("false"))
    }
}

/// Takes it apart.
pub(crate) fn parse_line(table: &Table, arguments: &[OsString]) -> Line {
    let mut line = Line::default();
    // Set once a flag that takes a value is followed by another flag: from there on the programs may count
    // differently from us, and no word is certain.
    let mut astray = false;
    let mut doubtful = false;
    let mut at = 0;
    while let Some(argument) = arguments.get(at) {
        let text = argument.to_string_lossy();
        let dashes = text.len() - text.trim_start_matches('-').len();
        if dashes >= 2 && dashes == text.len() {
            let rest = arguments.iter().enumerate().skip(at + 1);
            line.words.extend(rest.map(|(at, word)| Word {
                text: word.to_string_lossy().into_owned(),
                at,
                certain: !doubtful && !astray,
            }));
            break;
        }
        if dashes == 0 || text.len() == 1 {
            line.words.push(Word { text: text.into_owned(), at, certain: !doubtful && !astray });
            doubtful = false;
            at += 1;
            continue;
        }
        let flags = parse_flag(table, &text, at);
        let takes = flags.last().is_some_and(|flag| {
            flag.value.is_none() && !flag.denied && table.with_value.contains(&flag.name.as_str())
        });
        let known = flags.iter().all(|flag| {
            flag.denied || flag.value.is_some() || table.without_value.contains(&flag.name.as_str())
        });
        line.flags.extend(flags);
        doubtful = false;
        if takes {
            match arguments.get(at + 1).map(|next| next.to_string_lossy()) {
                Some(next) if next.starts_with('-') => astray = true,
                Some(next) if astray => {
                    line.words.push(Word { text: next.into_owned(), at: at + 1, certain: false });
                    at += 1;
                }
                Some(_) => at += 1,
                None => {}
            }
        } else if !known {
            doubtful = true;
        }
        at += 1;
    }
    line
}

/// One argument that starts with a dash: a flag, or letters that each are one.
fn parse_flag(table: &Table, text: &str, at: usize) -> Vec<Flag> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let short = !name.starts_with("--");
    let mut name = name.trim_start_matches('-');
    if short && name.len() > 1 && !is_known(table, name) && name.chars().all(|c| table.letters.contains(c)) {
        return name
            .chars()
            .map(|letter| Flag { name: letter.to_string(), value: value.clone(), denied: false, at })
            .collect();
    }
    let mut denied = false;
    while let Some(rest) = name.strip_prefix("no-").filter(|_| !is_known(table, name)) {
        (name, denied) = (rest, !denied);
    }
    vec![Flag { name: whole_name(table, name), value, denied, at }]
}

/// Some programs take the beginning of a flag for the flag: what could be one that matters is that one.
fn whole_name(table: &Table, name: &str) -> String {
    let matters = table.folder.iter().chain(table.outside).chain(table.around);
    let whole = matters.copied().find(|whole| name.len() > 1 && whole.starts_with(name));
    whole.filter(|_| !is_known(table, name)).unwrap_or(name).to_owned()
}

fn is_known(table: &Table, name: &str) -> bool {
    [table.with_value, table.without_value, table.folder, table.outside, table.around]
        .iter()
        .any(|names| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::Client;

    fn line(text: &str) -> Line {
        let arguments: Vec<OsString> = text.split_whitespace().map(Into::into).collect();
        parse_line(Client::Npm.table().unwrap(), &arguments)
    }

    /// Words, those in doubt with a question mark.
    fn words(text: &str) -> Vec<String> {
        line(text).words.iter().map(|w| format!("{}{}", w.text, if w.certain { "" } else { "?" })).collect()
    }

    #[test]
    fn a_value_is_no_word_and_what_follows_an_unknown_flag_is_in_doubt() {
        assert_eq!(words("--prefix web install"), ["install"]);
        assert_eq!(words("--prefix=web install x"), ["install", "x"]);
        assert_eq!(words("--save-dev install x"), ["install", "x"]);
        assert_eq!(words("--unheard-of install x"), ["install?", "x"]);
        assert_eq!(words("--no-unheard-of install"), ["install"]);
        assert_eq!(words("-- install --x"), ["install", "--x"]);
        assert_eq!(words("--tag --prefix install"), ["install?"]);
    }

    #[test]
    fn flags_are_found_however_they_are_written() {
        let names = |text: &str| -> Vec<String> { line(text).flags.iter().map(|f| f.name.clone()).collect() };
        assert_eq!(
            names("-gD --global -global --glob --no-global"),
            ["g", "D", "global", "global", "global", "global"]
        );
        assert_eq!(names("--nopr=x"), ["noproxy"]);
        assert!(line("--global").has(&["global"]) && line("--global=true").has(&["global"]));
        assert!(!line("--no-global").has(&["global"]) && !line("--global=false").has(&["global"]));
    }
}
