//! After `kill -9` nobody is left to end the package manager that was running: the next run in that project does,
//! before it puts the project back. A note in 3pm's own folder says which process it was and when that started, so
//! that no other process of the same number is meant; a project cannot write one. Where the system does not tell
//! when a process started (it is read from `/proc`), nothing is noted and nothing ended.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use trust::digest::sha256;

/// How long a process that was killed may take to go.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// The largest note: two numbers.
const MAX_NOTE_BYTES: u64 = 64;

/// Where the note about a project lies.
#[derive(Debug)]
pub(crate) struct Book {
    path: PathBuf,
}

/// A note, as long as the process runs.
#[derive(Debug)]
pub(crate) struct Noted<'a> {
    book: &'a Book,
}

impl Book {
    /// The one for the project at `root`, in 3pm's folder `home`.
    pub(crate) fn of(home: &Path, root: &Path) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let digest = sha256(root.as_os_str().as_encoded_bytes());
        Self { path: home.join("running").join(hex::encode(digest)) }
    }

    /// Notes the leader of a process group. One that cannot be noted runs all the same.
    pub(crate) fn note(&self, leader: u32) -> Option<Noted<'_>> {
        let started = started(leader)?;
        let folder = self.path.parent()?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
        std::fs::write(&self.path, format!("{leader} {started}")).ok()?;
        Some(Noted { book: self })
    }

    /// Ends the group that is noted, if that process is still the one. Only for whoever holds the project's lock.
    pub(crate) fn end_what_was_left(&self) {
        let noted = crate::install::project::read_bounded(&self.path, MAX_NOTE_BYTES).ok().flatten();
        let noted = noted.and_then(|bytes| String::from_utf8(bytes).ok());
        let numbers = noted.as_deref().and_then(|text| text.split_once(' '));
        let Some((Ok(leader), Ok(then))) = numbers.map(|(a, b)| (a.parse::<u32>(), b.parse::<u64>())) else {
            return;
        };
        let Some(group) = i32::try_from(leader).ok().filter(|leader| *leader > 1).and_then(Pid::from_raw)
        else {
            return;
        };
        if started(leader) == Some(then) && kill_process_group(group, Signal::KILL).is_ok() {
            let begun = Instant::now();
            while started(leader) == Some(then) && begun.elapsed() < KILL_LIMIT {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.book.path);
    }
}

/// When a process started, in ticks since the machine did; none for one that is gone or a zombie.
fn started(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is a name in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.nth(18)?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").process_group(0).spawn().unwrap()
    }

    #[test]
    fn what_was_noted_is_ended_and_what_only_has_its_number_is_not() {
        let home = tempfile::tempdir().unwrap();
        let book = Book::of(home.path(), home.path());
        let (mut left, mut other) = (sleeper(), sleeper());
        std::mem::forget(book.note(left.id()));
        if !book.path.exists() {
            return; // No `/proc` here.
        }
        book.end_what_was_left();
        assert!(left.try_wait().unwrap().is_some() && !book.path.exists());
        std::fs::write(&book.path, format!("{} 1", other.id())).unwrap();
        book.end_what_was_left();
        assert!(other.try_wait().unwrap().is_none());
        for text in ["", "1 1", "0 0", "x y", "-1 5", "99999999999 1"] {
            std::fs::write(&book.path, text).unwrap();
            book.end_what_was_left();
        }
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_note_goes_with_its_process() {
        let home = tempfile::tempdir().unwrap();
        let book = Book::of(home.path(), home.path());
        let noted = book.note(std::process::id());
        assert_eq!(noted.is_some(), book.path.exists());
        drop(noted);
        assert!(!book.path.exists());
    }
}
