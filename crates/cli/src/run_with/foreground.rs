//! A command that stands where 3pm was typed: it has the terminal and its signals, and 3pm ends as it does. What is
//! asked of 3pm alone (by `kill`, by a CI that ends a job) is asked of it. Decides nothing, and stops nothing by itself.

use std::os::unix::process::ExitStatusExt as _;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::context::Context;
use crate::exit::ExitCode;

/// What shells add to a signal's number.
const OF_SIGNAL: i32 = 128;

/// Runs it to its end, whatever is typed meanwhile.
pub(crate) async fn run(context: &Context, command: &mut Command) -> std::io::Result<ExitCode> {
    // Handled rather than ignored, which the command would inherit.
    let (mut interrupt, mut quit) = (signal(SignalKind::interrupt())?, signal(SignalKind::quit())?);
    let (mut hangup, mut terminate) = (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
    // What is typed at a terminal gets to the command anyway; without one, whoever sends it means the command.
    let has_terminal = std::fs::File::open("/dev/tty").is_ok();
    context.hand_over();
    let mut child = command.spawn()?;
    let status = loop {
        let signal = tokio::select! {
            status = child.wait() => break status?,
            _ = terminate.recv() => Signal::TERM,
            _ = interrupt.recv() => Signal::INT,
            _ = hangup.recv() => Signal::HUP,
            _ = quit.recv() => Signal::QUIT,
        };
        // An id is only there while the child has not been waited for, so it cannot be somebody else's.
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid.filter(|_| signal == Signal::TERM || !has_terminal) {
            let _ = kill_process(pid, signal);
        }
    };
    let code = status.code().or_else(|| status.signal().map(|signal| OF_SIGNAL + signal));
    Ok(ExitCode::of_program(code.unwrap_or(1)))
}
