//! A command that `3pm exec` runs stands where 3pm was typed: its signals, its terminal and its code are its own.

use std::io::Read as _;
use std::process::{Child, Command};

use crate::desk::{Desk, ended};
use crate::harness::terminal;

/// A project that has these commands.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("package.json", r#"{"name": "p", "version": "1.0.0"}"#);
    let waits = "while :; do sleep 0.05; done";
    for (name, script) in [
        ("segv", "kill -SEGV $$".to_owned()),
        ("term", "kill -TERM $$".to_owned()),
        ("handles", format!("trap 'echo ended; exit 7' INT TERM\necho ready\n{waits}")),
        ("survives", format!("trap 'echo one more; sleep 3; exit 0' INT\necho ready\n{waits}")),
    ] {
        desk.program(&format!("node_modules/.bin/{name}"), &script);
    }
    desk
}

/// Waits until it is there.
fn ready(child: &mut Child) {
    let mut said = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"ready");
}

fn send(signal: &str, whom: &str) {
    let sent = Command::new("kill").args([signal, "--", whom]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_command_that_a_signal_ended_is_told_as_shells_tell_it() {
    let desk = desk();
    desk.types("3pm", &["exec", "segv"]).with(139, &[]);
    desk.types("3pm", &["npx-intercept", "term"]).with(143, &[]);
    desk.types("3pm", &["exec", "term"]).with(143, &[]);
}

#[test]
fn what_is_asked_of_3pm_is_asked_of_the_command() {
    let desk = desk();
    // Without a terminal: nobody else would tell it.
    for signal in ["-TERM", "-INT"] {
        let mut command = desk.command("setsid", &[env!("CARGO_BIN_EXE_3pm"), "exec", "handles"]);
        let mut child = command.spawn().unwrap();
        ready(&mut child);
        send(signal, &child.id().to_string());
        let ended = ended(child).with(7, &["ended"]);
        assert!(!ended.stderr.contains("interrupted"), "{ended:?}");
    }
}

#[test]
fn ctrl_c_at_a_terminal_is_the_commands_own() {
    let desk = desk();
    let threepm = env!("CARGO_BIN_EXE_3pm");
    for (name, code, said) in [("handles", 7, "ended"), ("survives", 0, "one more")] {
        let command = desk.command("setsid", &["--ctty", "--wait", threepm, "exec", name]);
        let (ended_with, printed) = terminal::typing(command, "ready", b"\x03");
        assert_eq!(ended_with, Some(code), "{name}: {printed}");
        assert_eq!(printed.matches(said).count(), 1, "{name}: {printed}");
        assert!(!printed.contains("interrupted"), "{name}: {printed}");
    }
}
