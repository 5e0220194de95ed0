//! `3pm coordinator serve`: reads the settings and runs the coordinator until it is told to end. What a
//! coordinator does is in its own crate.

use std::time::Duration;

use client::http::public;
use client::npm::NpmConfig;
use coordinator::{RegistrarSettings, Settings};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::interrupted;
use crate::args::{CoordinatorCommand, ServeArgs};
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;

/// Where the key that seals npm tokens may come from; never from an argument.
const KEY_VARIABLE: &str = "THREEPM_COORDINATOR_KEY";

/// What is logged when THREEPM_LOG says nothing.
const DEFAULT_LOG: &str = "info,sqlx=warn,hyper=warn,reqwest=warn";

/// Bounds of the pause between two looks at the chain, in seconds.
const POLL_SECONDS: std::ops::RangeInclusive<f64> = 0.05..=600.0;

/// `serve`.
pub(crate) async fn run(context: &Context, command: CoordinatorCommand) -> Outcome {
    let CoordinatorCommand::Serve(args) = command;
    serve(context, *args).await
}

async fn serve(context: &Context, args: ServeArgs) -> Outcome {
    start_log(context);
    let network = context.network()?;
    let chain = context.chain_of_service()?;
    if !POLL_SECONDS.contains(&args.poll_seconds) {
        return Err(Failure::usage(format!("--poll-seconds is {}, expected 0.05 to 600", args.poll_seconds)));
    }
    let registrar = match (args.registrar_rpc_url, args.registrar_address) {
        (None, None) => None,
        (Some(rpc_url), Some(address)) => Some(RegistrarSettings { rpc_url, address }),
        _ => return Err(Failure::usage("--registrar-rpc-url and --registrar-address go together")),
    };
    let npm = match &network.registry_origin {
        Some(origin) => NpmConfig::for_registry(origin.clone(), None),
        None => NpmConfig::load(&std::env::current_dir()?)
            .await
            .hint("name the registry: 3pm init --registry-origin URL")?,
    };
    let listener = TcpListener::bind(args.listen)
        .await
        .while_doing(format!("{} cannot be listened on", args.listen))
        .hint("choose another with --listen")?;
    let address = listener.local_addr()?;
    let public_url = match args.public_url {
        Some(url) => url,
        None => Url::parse(&format!("http://{address}/"))?,
    };
    let settings = Settings {
        data_dir: args.data,
        chain,
        confirmations: network.confirmations,
        npm,
        registrar,
        vault_key: std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty()).map(SecretString::from),
        public_url: public_url.clone(),
        poll_interval: Duration::from_secs_f64(args.poll_seconds),
        max_tarball_bytes: client::coordinator::api::MAX_TARBALL_BYTES,
    };
    tracing::info!(%address, public_url = %public(&public_url), network = network.name, "coordinator starts");
    coordinator::serve(settings, listener, interrupted()).await.while_doing("the coordinator ended")?;
    tracing::info!("coordinator ended");
    Ok(exit::FINE)
}

/// To standard error; one JSON object a line with `--json`.
fn start_log(context: &Context) {
    let filter = std::env::var("THREEPM_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new(DEFAULT_LOG));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second subscriber in one process is a test's; the first stays.
    let _ = if context.output.is_json() {
        subscriber.json().try_init()
    } else {
        subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
}
