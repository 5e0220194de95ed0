//! `3pm demo`: plays the story of an attack, of a release that a team signs, and of the attack that then
//! fails, with the real npm and this same binary as commands. Each act checks what it shows; when one thing
//! is not as told the demo has failed.

mod acts;
mod stage;

use std::io;
use std::pin::pin;

use serde::Serialize;

use super::World;
use super::dev::{given_up, hold, introduce, next_steps};
use crate::args::DemoArgs;
use crate::commands::interrupted;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::output::Page;
use stage::{Act, Stage};

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Played<'a> {
    acts: &'a [Act],
    ok: bool,
}

/// Runs the command.
pub(crate) async fn run_demo(context: &Context, args: DemoArgs) -> Outcome {
    // One listener for the whole run: a signal between two of them would be lost.
    let mut interrupt = pin!(interrupted());
    context
        .output
        .note("3pm demo: a chain, an npm registry and a coordinator of your own, for a minute or two");
    let mut world = tokio::select! {
        world = World::bring_up(context) => world?,
        () = &mut interrupt => return Err(given_up()),
    };
    let played = {
        let executable = std::env::current_exe().while_doing("this program does not find its own file")?;
        let description = world.description.clone();
        let mut stage = Stage::new(&description, executable, writer(context));
        let broken = world.broken();
        tokio::select! {
            acts = acts::play(&mut stage) => Ok(acts),
            error = broken => Err(Failure::from(error)),
            () = &mut interrupt => Err(Failure::new(exit::INTERRUPTED, "interrupted; nothing of the demo was left behind")),
        }
    };
    let acts = match played {
        Ok(acts) => acts,
        Err(failure) => {
            world.end().await?;
            return Err(failure);
        }
    };
    let ok = acts.len() == acts::COUNT && acts.iter().all(|act| act.failed.is_none());
    context.output.result(&Played { acts: &acts, ok }, |page| summarise(&acts, page));
    if args.keep && ok {
        context.output.page(|page| {
            page.gap();
            introduce(&world.description, next_steps(&world.description), page);
        });
        hold(context, world, interrupt).await?;
    } else {
        world.end().await?;
    }
    match acts.iter().find_map(|act| act.failed.as_ref().map(|failed| (act.number, failed))) {
        None if ok => Ok(exit::FINE),
        None => Err(Failure::unknown("the demo ended before its last act")),
        Some((number, failed)) => {
            let first = failed.lines().next().unwrap_or_default();
            Err(Failure::unknown(format!("act {number} did not go as told: {first}")))
        }
    }
}

/// The table at the end.
fn summarise(acts: &[Act], page: &mut Page) {
    page.gap();
    page.title("What was shown");
    for act in acts {
        page.gap();
        let outcome = if act.failed.is_none() { "as told" } else { "NOT AS TOLD" };
        let line = format!("  Act {}  {:<58} {outcome:<12} {:>6.1} s", act.number, act.title, act.seconds);
        if act.failed.is_none() {
            page.good(&line)
        } else {
            page.bad(&line)
        }
        for shown in &act.shown {
            page.line(&format!("         ✓ {shown}"));
        }
        if let Some(failed) = act.failed.as_ref().and_then(|failed| failed.lines().next()) {
            page.line(&format!("         ✗ {failed}"));
        }
    }
    page.gap();
    page.next("3pm demo --keep      the same, and then it is yours to play with");
}

/// The story goes to standard output, unless that carries JSON or the person wants the result only.
fn writer(context: &Context) -> Box<dyn io::Write + Send> {
    if context.output.is_json() || context.output.is_quiet() {
        Box::new(io::sink())
    } else {
        Box::new(anstream::stdout())
    }
}
