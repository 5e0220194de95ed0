//! A proxy that runs: where it is, what its clients must know, what it did, and its end. Its files hold
//! certificates only.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom as _;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::DropGuard;
use url::Url;

use crate::ahead::{self, Store};
use crate::authority::Authority;
use crate::judge::judge;
use crate::log::{Log, Passed};
use crate::origins::Origins;
use crate::relay::Relay;
use crate::server::{self, Credentials, Server, Tasks};
use crate::upstream::Upstream;
use crate::{Ahead, Early, Gate, ProxyError, Settings};

/// The user that package managers are told to be.
const USER: &str = "3pm";

/// A proxy that runs. Dropping it closes every connection and takes its files away; [`Running::stop`] also
/// waits for that.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    /// With the credentials: never printed.
    url: Secret,
    folder: TempDir,
    relay: Arc<Relay>,
    tasks: Tasks,
    _end: DropGuard,
    runtime: Handle,
}

struct Secret(Url);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("redacted")
    }
}

impl Running {
    /// Where it listens, with this run's credentials: for the environment of a package manager, and never
    /// for a log, a message or a list of arguments.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url.0
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of this run's authority (PEM). A package manager needs no other one: every host that it may
    /// reach over TLS is reached through here. One that opens a connection for each request reads the file each time.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Every request so far, in the order in which they were answered.
    #[must_use]
    pub fn log(&self) -> Vec<Passed> {
        self.relay.log.all()
    }

    /// Fetches before the package manager asks: in parallel, through the gate, as far as there is room
    /// ([`crate::Limits::held`]). Each is handed out once; what fails is fetched again when it is asked for.
    pub fn fetch_ahead(&self, wanted: impl IntoIterator<Item = impl Into<Ahead>>) {
        let wanted = wanted.into_iter().map(Into::into).collect();
        self.tasks.spawn_on(&self.runtime, ahead::fetch_ahead(Arc::clone(&self.relay), wanted));
    }

    /// The same for whoever does not hold this, such as the gate.
    #[must_use]
    pub fn early(&self) -> Early {
        let relay = Arc::downgrade(&self.relay);
        Early { relay, tasks: self.tasks.clone(), runtime: self.runtime.clone() }
    }

    /// Closes everything, and returns when nothing listens and no file is left.
    pub async fn stop(self) -> std::io::Result<()> {
        self.tasks.stop().await;
        let Self { folder, .. } = self;
        folder.close()
    }
}

pub(crate) async fn start<G: Gate>(settings: Settings, gate: Arc<G>) -> Result<Running, ProxyError> {
    let origins = Origins::parse(&settings.registries)?;
    let authority = Authority::new(&origins.hosts(), settings.now)?;
    let folder = private_folder(settings.folder.clone().unwrap_or_else(std::env::temp_dir))?;
    write_private(&folder.path().join("authority.pem"), authority.pem().as_bytes())?;
    let secret = random_secret()?;
    let relay = Arc::new(Relay {
        judge: judge(gate),
        upstream: Upstream::new(&settings)?,
        origins,
        whole: settings.whole,
        limits: settings.limits,
        log: Log::default(),
        store: Store::new(settings.limits.held),
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let url = Url::parse(&format!("http://{USER}:{secret}@{address}/")).map_err(std::io::Error::other)?;
    let tasks = Tasks::default();
    let server = Server {
        relay: Arc::clone(&relay),
        authority,
        credentials: Credentials::new(USER, &secret),
        tasks: tasks.clone(),
    };
    let runtime = Handle::current();
    tasks.spawn_on(&runtime, server::serve(listener, Arc::new(server)));
    let end = tasks.end_on_drop();
    Ok(Running { address, url: Secret(url), folder, relay, tasks, _end: end, runtime })
}

/// 192 bits that fit into a URL as they are.
fn random_secret() -> Result<String, ProxyError> {
    let mut bytes = [0_u8; 24];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| ProxyError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn private_folder(parent: PathBuf) -> std::io::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt as _;
    let only_owner = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("3pm-proxy-").permissions(only_owner).tempdir_in(parent)
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}
