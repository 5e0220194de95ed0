//! The local world: a chain, an npm registry, a coordinator and people with wallets, on loopback, in one
//! temporary folder, gone without a trace when its owner ends in whatever way. `3pm dev` holds it up,
//! `3pm demo` plays a story in it, and the end-to-end tests drive it. Nothing in here decides anything
//! about trust: it runs the same parts that a deployment runs.

mod coordinator;
mod demo;
mod deployment;
mod description;
mod dev;
mod error;
mod guard;
mod node;
mod parts;
mod people;
mod processes;
mod registry;
mod sample;

use std::path::Path;
use std::time::{Duration, Instant};

use client::http::Http;

pub(crate) use demo::run_demo;
pub(crate) use dev::run_dev;
use error::WorldError;
pub(crate) use guard::run_guard;

use description::{ChainDescription, Description, RegistryDescription};
use parts::Parts;
use processes::Processes;

use crate::context::Context;
use crate::errors::{Explain as _, Failure};
use crate::output::Output;

/// The world, up. Ends with [`World::end`], or when dropped, or when this process ends.
#[derive(Debug)]
pub(crate) struct World {
    /// Where everything is.
    pub(crate) description: Description,
    processes: Processes,
}

impl World {
    /// Brings everything up; what it takes to do so is installed in 3pm's home first.
    pub(crate) async fn bring_up(context: &Context) -> Result<Self, Failure> {
        let cache = context.home()?.join("world");
        Self::bring_up_from(&cache, context.output).await.while_doing("the local world did not come up")
    }

    async fn bring_up_from(cache: &Path, output: Output) -> Result<Self, WorldError> {
        let parts = parts::prepare(cache, output).await?;
        let http = Http::new().map_err(|error| WorldError::Http { reason: error.to_string() })?;
        let mut processes = Processes::start().await?;
        match Self::furnish(&mut processes, &parts, &http, output).await {
            Ok(description) => Ok(Self { description, processes }),
            Err(error) => {
                processes.end().await?;
                Err(error)
            }
        }
    }

    async fn furnish(
        processes: &mut Processes,
        parts: &Parts,
        http: &Http,
        output: Output,
    ) -> Result<Description, WorldError> {
        let folder = processes.folder().to_owned();
        output.note("starting the chain and the npm registry");
        let node = node::start(processes, parts, http).await?;
        let registry = registry::start(processes, parts, &folder.join("registry")).await?;
        output.note("deploying the contracts");
        let deployment = deployment::deploy(&node, &registry).await?;
        output.note("starting the coordinator");
        let place = coordinator::Place::choose(&folder)?;
        let configuration = deployment.configuration(&node, &registry, &place.url);
        let coordinator =
            coordinator::start(processes, http, &place, &node, &deployment, &configuration).await?;
        let people = people::settle(&folder.join("people"), http, &registry, &node, &configuration).await?;
        let sample = sample::write(&folder.join("sample")).await?;
        Ok(Description {
            pid: std::process::id(),
            logs: folder.join("logs"),
            sample,
            chain: ChainDescription {
                pid: node.pid,
                rpc_url: node.url.clone(),
                chain_id: node::CHAIN_ID,
                name_registry: deployment.name_registry,
                package_registry: deployment.package_registry,
                registrar: deployment.registrar,
                accounts: node.accounts.clone(),
            },
            registry: RegistryDescription { pid: registry.pid, url: registry.url.clone() },
            coordinator,
            people,
            folder,
        })
    }

    /// Waits until one of the programs ends, which it never should.
    pub(crate) async fn broken(&mut self) -> WorldError {
        let ended = self.processes.next_ended().await;
        WorldError::Ended { name: ended.name, status: ended.status }
    }

    /// Ends the programs and removes the folder.
    pub(crate) async fn end(self) -> Result<(), WorldError> {
        self.processes.end().await
    }
}

/// Reads a program's output until `find` makes something of one of its lines.
async fn wait_for_line<T>(
    processes: &mut Processes,
    name: &'static str,
    limit: Duration,
    find: impl Fn(&str) -> Option<T>,
) -> Result<T, WorldError> {
    let log = processes.log(name);
    let started = Instant::now();
    loop {
        let text = tokio::fs::read_to_string(&log).await.unwrap_or_default();
        if let Some(found) = text.lines().find_map(&find) {
            return Ok(found);
        }
        if let Some(ended) = processes.try_ended() {
            let said = processes.last_words(&ended.name).await;
            return Err(WorldError::Ended { name: ended.name, status: format!("{} ({said})", ended.status) });
        }
        if started.elapsed() > limit {
            return Err(WorldError::Silent { name, after: limit });
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
