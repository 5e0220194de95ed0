//! The local world's coordinator: this same binary as `3pm coordinator serve`, with its database and files
//! under the world's folder. Its registrar signs through the development node: no key in the process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::coordinator::CoordinatorClient;
use client::http::Http;
use serde_json::Value;
use url::Url;

use super::WorldError;
use super::deployment::Deployment;
use super::description::CoordinatorDescription;
use super::node::{Node, free_port};
use super::people::write_private;
use super::processes::Processes;

/// The name it is started under.
pub(crate) const NAME: &str = "coordinator";

/// Migrations and the first look at the chain take well under a second.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Looks at the chain often, because a person waits.
const POLL_SECONDS: &str = "0.5";

/// Where it will be.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// With a final slash.
    pub(crate) url: Url,
    port: u16,
    home: PathBuf,
    data: PathBuf,
}

impl Place {
    /// A free port, and folders under `folder`.
    pub(crate) fn choose(folder: &Path) -> Result<Self, WorldError> {
        let no_port = || WorldError::NoPort { name: NAME };
        let port = free_port().ok_or_else(no_port)?;
        let url = Url::parse(&format!("http://127.0.0.1:{port}/")).map_err(|_| no_port())?;
        let folder = folder.join("coordinator");
        Ok(Self { url, port, home: folder.join("home"), data: folder.join("data") })
    }
}

/// Starts it and waits until it is healthy.
pub(crate) async fn start(
    processes: &mut Processes,
    http: &Http,
    place: &Place,
    node: &Node,
    deployment: &Deployment,
    configuration: &Value,
) -> Result<CoordinatorDescription, WorldError> {
    let failed = |source| WorldError::Folder { path: place.home.clone(), source };
    std::fs::create_dir_all(&place.home).map_err(failed)?;
    write_private(&place.home.join("config.json"), &configuration.to_string()).map_err(failed)?;
    let arguments: Vec<String> = [
        ("--listen", format!("127.0.0.1:{}", place.port)),
        ("--data", place.data.display().to_string()),
        ("--public-url", place.url.to_string()),
        ("--registrar-rpc-url", node.url.to_string()),
        ("--registrar-address", deployment.registrar.to_string()),
        ("--poll-seconds", POLL_SECONDS.to_owned()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    let arguments = [vec!["coordinator".to_owned(), "serve".to_owned()], arguments].concat();
    let environment = BTreeMap::from([("THREEPM_HOME".to_owned(), place.home.display().to_string())]);
    let executable = std::env::current_exe().map_err(|source| WorldError::OwnExecutable { source })?;
    let pid = processes.run(NAME, executable, arguments.clone(), environment).await?;
    let client = CoordinatorClient::new(http.clone(), place.url.clone());
    let started = Instant::now();
    while let Err(error) = client.health().await {
        if let Some(ended) = processes.try_ended() {
            let said = processes.last_words(&ended.name).await;
            return Err(WorldError::Ended { name: ended.name, status: format!("{} ({said})", ended.status) });
        }
        if started.elapsed() > START_LIMIT {
            return Err(WorldError::NotStarted { name: NAME.into(), reason: error.to_string() });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(CoordinatorDescription {
        pid,
        url: place.url.clone(),
        home: place.home.clone(),
        data: place.data.clone(),
        arguments,
    })
}
