//! A terminal with somebody at it who agrees to everything: commands that ask do so here as they do for people.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// How a question ends that is answered with yes or no.
const QUESTION: &str = "[y/N] ";

/// Runs a command at a terminal, says yes whenever it asks, and returns its exit code and what it printed.
pub fn run(command: Command) -> (Option<i32>, String) {
    typing(command, QUESTION, b"y\n")
}

/// The same, typing `keys` whenever it has printed `question`.
pub fn typing(mut command: Command, question: &str, keys: &[u8]) -> (Option<i32>, String) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let terminal = openpt(flags).expect("a terminal");
    grantpt(&terminal).expect("a terminal");
    unlockpt(&terminal).expect("a terminal");
    let name = ptsname(&terminal, Vec::new()).expect("a terminal's name");
    // Not the terminal of this process.
    let no_control = OpenptFlags::NOCTTY.bits().cast_signed();
    let line = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(no_control)
        .open(std::ffi::OsStr::from_bytes(name.as_bytes()))
        .expect("a terminal");
    let same = || Stdio::from(line.try_clone().expect("a terminal"));
    let mut child = command.stdin(same()).stdout(same()).stderr(same()).spawn().expect("a program");
    // The end of what is printed is seen once nobody holds the line any more.
    drop((command, line));
    let mut terminal = File::from(terminal);
    let (mut said, mut answered, mut piece) = (String::new(), 0, [0_u8; 4096]);
    while let Ok(length) = terminal.read(&mut piece)
        && length > 0
    {
        said.push_str(&String::from_utf8_lossy(&piece[..length]));
        while said.matches(question).count() > answered {
            terminal.write_all(keys).expect("an answer");
            answered += 1;
        }
    }
    (child.wait().expect("it ends").code(), said)
}
