//! `3pm dev`: brings the local world up, says what to type in which terminal, and holds it until somebody
//! ends it. Plays nothing by itself.

use std::pin::pin;

use tokio::io::AsyncReadExt as _;

use super::World;
use super::description::Description;
use super::people::{ATTACKER, MAINTAINERS, USER};
use super::sample;
use crate::args::DevArgs;
use crate::commands::interrupted;
use crate::context::Context;
use crate::errors::{Failure, Outcome};
use crate::exit;
use crate::output::{Page, write_stdout};
use crate::shell::quoted;

/// Runs the command.
pub(crate) async fn run_dev(context: &Context, _: DevArgs) -> Outcome {
    // One listener for the whole run: a signal between two of them would be lost.
    let mut interrupt = pin!(interrupted());
    let world = tokio::select! {
        world = World::bring_up(context) => world?,
        () = &mut interrupt => return Err(given_up()),
    };
    if context.output.is_json() {
        let line = serde_json::to_string(&world.description)?;
        write_stdout(&format!("{line}\n"));
    } else {
        context
            .output
            .result(&(), |page| introduce(&world.description, first_steps(&world.description), page));
    }
    hold(context, world, interrupt).await
}

/// Keeps the world up until a signal, or until standard input closes where a program reads us. Ending is
/// what was asked for, so it is fine.
pub(super) async fn hold(
    context: &Context,
    mut world: World,
    interrupt: impl Future<Output = ()>,
) -> Outcome {
    let broken = tokio::select! {
        error = world.broken() => Some(error),
        () = interrupt => None,
        () = input_closed(), if context.output.is_json() => None,
    };
    context.output.note("removing the local world");
    world.end().await?;
    match broken {
        Some(error) => Err(error.into()),
        None => Ok(exit::FINE),
    }
}

/// The command was interrupted before the world was up; it goes as it is dropped.
pub(super) fn given_up() -> Failure {
    Failure::new(
        exit::INTERRUPTED,
        "interrupted before the local world was up; nothing of it was left behind",
    )
}

/// Who types what, and why.
pub(super) type Step = (&'static str, String, &'static str);

/// What a person types next, for each role: `steps`.
pub(super) fn introduce(world: &Description, steps: Vec<Step>, page: &mut Page) {
    page.title("The local world is up, on loopback only. Ctrl-C ends it, and nothing stays.");
    page.gap();
    page.field("chain", format!("{}  (anvil, chain id {})", world.chain.rpc_url, world.chain.chain_id));
    page.field("npm registry", format!("{}  (Verdaccio)", world.registry.url));
    page.field("coordinator", &world.coordinator.url);
    page.field("folder", world.folder.display());
    page.gap();
    page.title("Three maintainers: open a terminal for each and paste its lines.");
    for name in MAINTAINERS {
        become_person(world, name, page);
    }
    page.gap();
    page.title("Then play the story.");
    for (who, command, why) in steps {
        page.line(&format!("  {who:<6} {command}"));
        page.aside(&format!("           # {why}"));
    }
    page.gap();
    page.title("Somebody who installs, and somebody with alice's stolen npm token:");
    become_person(world, USER, page);
    page.line(&format!("    cd \"$(mktemp -d)\" && npm init -y && 3pm install {}", sample::NAME));
    become_person(world, ATTACKER, page);
    page.line("    npm whoami        # alice");
}

/// One more release, after the demo has played: the name is claimed, the team is two of three.
pub(super) fn next_steps(world: &Description) -> Vec<Step> {
    let [alice, bob, carol] = MAINTAINERS;
    let name = sample::NAME;
    vec![
        (alice, format!("cd {}", world.sample.display()), "the package of the story"),
        (alice, "npm version 2.0.0 --no-git-tag-version && 3pm publish".into(), "signature 1 of 2"),
        (bob, "3pm pending".into(), "shows what waits for bob"),
        (
            carol,
            format!("3pm approve {name}@2.0.0 --diff"),
            "signature 2 of 2; the coordinator publishes to npm",
        ),
        (bob, format!("3pm status {name}@2.0.0"), "who signed what, and where it is"),
        (bob, format!("3pm verify {name}@2.0.0"), "what an install would be told"),
    ]
}

/// The whole story, in a world where nothing has happened.
pub(super) fn first_steps(world: &Description) -> Vec<Step> {
    let address = |name: &str| {
        world
            .people
            .get(name)
            .and_then(|person| person.address)
            .map(|address| address.to_string())
            .unwrap_or_default()
    };
    let [alice, bob, carol] = MAINTAINERS;
    let token = world.people.get(alice).and_then(|person| person.token_file.as_ref());
    let token = token.map(|path| path.display().to_string()).unwrap_or_default();
    let name = sample::NAME;
    vec![
        (alice, format!("cd {}", world.sample.display()), "a small package, ready"),
        (alice, "npm publish".into(), "as npm is today: one token decides"),
        (
            alice,
            format!("npm pkg set _3pm=3pm-verify-{}", address(alice).to_lowercase()),
            "proof of who may claim the name",
        ),
        (
            alice,
            "git commit -qam 'Name the claimant' && npm version 1.0.1 && npm publish".into(),
            "the proof, published",
        ),
        (
            alice,
            format!(
                "3pm register {name} --member {} --member {} --threshold 2",
                address(bob),
                address(carol)
            ),
            "claims it, and proposes the team: two of three",
        ),
        (bob, "3pm pending".into(), "shows the team change and its id"),
        (bob, "3pm approve ID".into(), "and now it takes two"),
        (
            alice,
            format!("3pm register-token {name} < {token}"),
            "the coordinator may publish what the team signed",
        ),
        (alice, "npm version 1.1.0 && 3pm publish".into(), "signature 1 of 2"),
        (
            carol,
            format!("3pm approve {name}@1.1.0 --diff"),
            "signature 2 of 2; the coordinator publishes to npm",
        ),
        (bob, format!("3pm status {name}@1.1.0"), "who signed what, and where it is"),
    ]
}

/// The lines that make a terminal this person's.
fn become_person(world: &Description, name: &str, page: &mut Page) {
    let Some(person) = world.people.get(name) else { return };
    page.gap();
    page.line(&format!("  {name}"));
    if let Some(folder) = own_folder() {
        page.line(&format!("    export PATH={}:\"$PATH\"", quoted(&folder)));
    }
    let variables = person.environment(&world.registry.url);
    let variables: Vec<String> =
        variables.into_iter().map(|(name, value)| format!("{name}={}", quoted(&value))).collect();
    page.line(&format!("    export {}", variables.join(" ")));
}

/// The folder of this binary, unless `3pm` is found by name already.
fn own_folder() -> Option<String> {
    let own = std::env::current_exe().ok()?;
    let found = super::parts::on_path("3pm").and_then(|path| path.canonicalize().ok());
    if found.is_some() && found == own.canonicalize().ok() {
        return None;
    }
    Some(own.parent()?.display().to_string())
}

async fn input_closed() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0_u8; 1024];
    while input.read(&mut ignored).await.is_ok_and(|length| length > 0) {}
}
