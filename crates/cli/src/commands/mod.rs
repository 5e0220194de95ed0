//! One file per command, and what runs them: a runtime, a deadline for nobody but the steps themselves, and
//! Ctrl-C, which drops the running command; everything it holds (temporary folders, children, locks) cleans
//! up as it is dropped. `dev`, `demo` and `coordinator` end in their own orderly way instead.

mod approve;
mod completions;
mod coordinator;
mod deploy;
mod doctor;
mod hook;
mod init;
mod intercept;
mod network;
mod pending;
mod policy;
mod publish;
mod receipts;
mod register;
mod register_token;
mod shims;
mod status;
mod submit;
mod team;
mod wallet;

pub(crate) use intercept::short_form;
use tokio::runtime::{Builder, Runtime};

use crate::args::{Arguments, Command};
use crate::context::Context;
use crate::errors::{Failure, Outcome};
use crate::exit::{self, ExitCode};
use crate::{install, run_with, world};

/// Runs what was typed.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let context = Context::new(&arguments.global);
    let runtime = match runtime_for(&arguments.command) {
        Ok(runtime) => runtime,
        Err(error) => {
            context.output.failure(&error.into());
            return exit::UNKNOWN;
        }
    };
    let outcome = runtime.block_on(run_until_interrupted(&context, arguments.command));
    // A thread that still waits for a key press must not keep the process.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|failure| {
        context.output.failure(&failure);
        failure.exit_code()
    })
}

/// What runs beside the command itself, such as the proxy, waits most of the time, and what takes long has threads of its
/// own: one thread wakes up where its last work lies in the caches. The coordinator serves many at once.
fn runtime_for(command: &Command) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if !matches!(command, Command::Coordinator(_)) {
        builder.worker_threads(1);
    }
    builder.enable_all().build()
}

async fn run_until_interrupted(context: &Context, command: Command) -> Outcome {
    if matches!(command, Command::Dev(_) | Command::Demo(_) | Command::Coordinator(_) | Command::WorldGuard) {
        return dispatch(context, command).await;
    }
    let signs = matches!(
        command,
        Command::Register(_)
            | Command::RegisterToken(_)
            | Command::Team(_)
            | Command::Publish(_)
            | Command::Approve(_)
            | Command::Submit(_)
            | Command::Deploy(_)
    );
    tokio::select! {
        outcome = dispatch(context, command) => outcome,
        () = interrupted_before_handing_over(context) => {
            let failure = Failure::new(exit::INTERRUPTED, "interrupted; nothing half done was left on this machine");
            Err(if signs { failure.hint("what was signed or sent before stands: 3pm status PACKAGE") } else { failure })
        }
    }
}

async fn dispatch(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Install(args) => run_with::run_install(context, args).await,
        Command::Verify(args) => install::run_verify(context, args).await,
        Command::RunWith(args) => run_with::run(context, args).await,
        Command::Ci(args) => run_with::run_managed(context, run_with::Intent::Exactly, args).await,
        Command::Add(args) => run_with::run_managed(context, run_with::Intent::Add, args).await,
        Command::Update(args) => run_with::run_managed(context, run_with::Intent::Update, args).await,
        Command::Exec(args) => run_with::exec::run(context, args).await,
        Command::Demo(args) => world::run_demo(context, args).await,
        Command::Dev(args) => world::run_dev(context, args).await,
        Command::WorldGuard => Ok(world::run_guard().await.map(|()| exit::FINE)?),
        Command::Completions(args) => completions::run(&args),
        Command::Deploy(args) => deploy::run(context, args).await,
        Command::Network(command) => network::run(context, command).await,
        Command::Policy(command) => policy::run(context, command).await,
        Command::Receipts(args) => receipts::run(context, args).await,
        Command::Doctor(_) => doctor::run(context).await,
        Command::Intercept(args) => intercept::run(context, args).await,
        Command::Shims(command) => shims::run(context, &command),
        Command::Init(args) => init::run(context, args).await,
        Command::Wallet(command) => wallet::run(context, command).await,
        Command::Register(args) => register::run(context, args).await,
        Command::RegisterToken(args) => register_token::run(context, args).await,
        Command::Team(command) => team::run(context, command).await,
        Command::Publish(args) => publish::run(context, args).await,
        Command::Pending(args) => pending::run(context, args).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Approve(args) => approve::run(context, args).await,
        Command::Submit(args) => submit::run(context, args).await,
        Command::Coordinator(command) => coordinator::run(context, command).await,
    }
}

/// What is sent once a command of the user's runs is that command's.
async fn interrupted_before_handing_over(context: &Context) {
    loop {
        interrupted().await;
        if !context.has_handed_over() {
            return;
        }
    }
}

/// Ctrl-C, or a polite request to end.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
