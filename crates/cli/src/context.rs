//! What commands share: the configuration, the clients made from it, the terminal. Each part is made when it
//! is first asked for, so that `install` works where no network is configured. Holds no key and no token.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use chain::{Chain, Head, PinnedCode, Reads};
use client::coordinator::CoordinatorClient;
use client::http::Http;
use client::npm::{NpmClient, NpmConfig};
use tempfile::TempDir;
use trust::policy::Policy;
use wallet::{RpcWallet, Session, Wallet};

use crate::args::GlobalArgs;
use crate::config::{Config, ConfigError, Network, Pin};
use crate::errors::{Explain as _, Failure};
use crate::exit;
use crate::freshness::{self, StoreError};
use crate::output::Output;
use crate::project_file;

/// Shared by everything one command does.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where words go.
    pub(crate) output: Output,
    /// Whether there is a person to ask.
    pub(crate) interactive: bool,
    handed_over: AtomicBool,
    chosen_network: Option<String>,
    config: OnceLock<Config>,
    http: OnceLock<Http>,
}

impl Context {
    /// For one run of the binary.
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        Self {
            output: Output::new(global.json, global.quiet, global.color),
            interactive: std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !in_ci,
            handed_over: AtomicBool::new(false),
            chosen_network: global.network.clone(),
            config: OnceLock::new(),
            http: OnceLock::new(),
        }
    }

    /// From now on a command of the user's stands where 3pm was typed: signals are its own.
    pub(crate) fn hand_over(&self) {
        self.handed_over.store(true, Ordering::Relaxed);
    }

    /// Whether one does.
    pub(crate) fn has_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Relaxed)
    }

    /// 3pm's folder: THREEPM_HOME, else `.3pm` in the user's home.
    pub(crate) fn home(&self) -> Result<PathBuf, Failure> {
        if let Some(home) = std::env::var_os("THREEPM_HOME").filter(|home| !home.is_empty()) {
            return std::path::absolute(&home).while_doing("THREEPM_HOME is not a path");
        }
        std::env::home_dir()
            .filter(|home| home.is_absolute())
            .map(|home| home.join(".3pm"))
            .ok_or_else(|| Failure::usage("3pm has no folder: neither THREEPM_HOME nor HOME is set"))
    }

    /// The network named on the command line.
    pub(crate) fn chosen_network(&self) -> Option<&str> {
        self.chosen_network.as_deref()
    }

    /// The configuration.
    pub(crate) fn config(&self) -> Result<&Config, Failure> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let environment = |name: &str| std::env::var(name).ok();
        let config = Config::load(&self.home()?, &environment, self.chosen_network())
            .map_err(unusable_configuration)?;
        Ok(self.config.get_or_init(|| config))
    }

    /// What to do about what is found: the user's rules, and those of the project around `folder`.
    pub(crate) fn policy(&self, folder: &Path) -> Result<Arc<Policy>, Failure> {
        let projects = project_file::load(folder)
            .map_err(|error| Failure::from(error).code(exit::USAGE).hint("docs/policy.md has every key"))?;
        Ok(Arc::new(Policy::new(self.config()?.file.policy.clone(), projects, self.now())))
    }

    /// The network, where one is configured.
    pub(crate) fn network_if_configured(&self) -> Result<Option<&Network>, Failure> {
        Ok(self.config()?.network.as_ref())
    }

    /// The network.
    pub(crate) fn network(&self) -> Result<&Network, Failure> {
        let config = self.config()?;
        config.network.as_ref().ok_or_else(|| {
            Failure::usage(format!("no trust network is configured: {} names none", config.path.display()))
                .hint("3pm init, or 3pm dev for a local world to try things in")
        })
    }

    /// The HTTP client.
    pub(crate) fn http(&self) -> Result<&Http, Failure> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = Http::new()?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Reads of the network's contracts, in the way and of the code that its entry says.
    pub(crate) fn chain(&self) -> Result<Chain, Failure> {
        self.pinned(self.unpinned_chain()?)
    }

    /// The same for a service: it begins no lower than what was seen, and remembers nothing of the names that strangers
    /// ask it about.
    pub(crate) fn chain_of_service(&self) -> Result<Chain, Failure> {
        let described = self.described()?;
        let past = freshness::past(&self.home()?, &described).map_err(unusable_memory)?;
        let chain = Chain::new(self.http()?.clone(), described);
        self.pinned(chain.with_floor(past.map_or(0, |past| past.block())))
    }

    fn pinned(&self, chain: Chain) -> Result<Chain, Failure> {
        let network = self.network()?;
        let Some(pin) = network.pin else { return Ok(chain) };
        let code = pinned_code(network, &pin)?;
        Ok(match network.reads {
            Reads::Calls => chain.with_code(code),
            Reads::Proofs => chain.with_proofs(code),
        })
    }

    /// Reads by call of whatever is at the network's addresses.
    pub(crate) fn unpinned_chain(&self) -> Result<Chain, Failure> {
        let described = self.described()?;
        let past = freshness::past(&self.home()?, &described).map_err(unusable_memory)?;
        let chain = Chain::new(self.http()?.clone(), described);
        Ok(match past {
            Some(past) => chain.with_past(past),
            None => chain,
        })
    }

    fn described(&self) -> Result<chain::Network, Failure> {
        let network = self.network()?;
        Ok(chain::Network {
            name: network.name.clone(),
            chain_id: network.chain_id,
            rpc_urls: network.rpc_urls.clone(),
            name_registry: network.name_registry,
            package_registry: network.package_registry,
        })
    }

    /// The block to read at, which no later run will fall behind.
    pub(crate) async fn head(&self, chain: &Chain) -> Result<Head, Failure> {
        let doing = format!("the chain of network {:?} cannot be read", chain.network().name);
        let head = chain
            .head(self.now())
            .await
            .while_doing(doing)
            .hint("check its rpcUrls in config.json, and that they answer")?;
        self.keep_seen(chain)?;
        Ok(head)
    }

    /// Remembers what was read, so that no later run believes less.
    pub(crate) fn keep_seen(&self, chain: &Chain) -> Result<(), Failure> {
        freshness::keep(&self.home()?, chain, self.now()).map_err(unusable_memory)
    }

    /// The connected wallet, where there is one. It is not asked whether it answers.
    pub(crate) fn wallet_session(&self) -> Result<Option<Session>, Failure> {
        Session::load(&self.home()?).hint("3pm wallet disconnect, then 3pm wallet connect --rpc URL")
    }

    /// The connected wallet.
    pub(crate) async fn wallet(&self) -> Result<Box<dyn Wallet>, Failure> {
        let session = self.wallet_session()?.ok_or_else(|| {
            Failure::usage("no wallet is connected").hint("3pm wallet connect --rpc URL of your signer")
        })?;
        match session {
            Session::Rpc { url, address } => {
                let wallet = RpcWallet::connect(self.http()?.clone(), url, Some(address));
                Ok(Box::new(
                    wallet
                        .await
                        .while_doing("the connected wallet does not answer")
                        .hint("start it, or 3pm wallet connect --rpc URL")?,
                ))
            }
        }
    }

    /// The coordinator of the network.
    pub(crate) fn coordinator(&self) -> Result<CoordinatorClient, Failure> {
        let network = self.network()?;
        let url = network.coordinator_url.clone().ok_or_else(|| {
            Failure::usage(format!("network {:?} has no coordinator", network.name))
                .hint(format!("3pm init --network {} --coordinator URL", network.name))
        })?;
        Ok(CoordinatorClient::new(self.http()?.clone(), url))
    }

    /// The npm registries as npm sees them in `folder`.
    pub(crate) async fn npm(&self, folder: &Path) -> Result<NpmClient, Failure> {
        let config =
            NpmConfig::load(folder).await.hint("check that `npm config list` works in this folder")?;
        Ok(NpmClient::new(self.http()?, config)?)
    }

    /// The npm registries of this user, whatever folder 3pm was started in.
    pub(crate) async fn npm_of_user(&self) -> Result<NpmClient, Failure> {
        let folder = self.temporary_folder()?;
        // Without a manifest here npm would look for a project in the folders above.
        std::fs::write(folder.path().join("package.json"), "{}")?;
        self.npm(folder.path()).await
    }

    /// A folder that goes when the command ends, Ctrl-C included.
    pub(crate) fn temporary_folder(&self) -> Result<TempDir, Failure> {
        tempfile::Builder::new().prefix("3pm-").tempdir().while_doing("a temporary folder cannot be made")
    }

    /// The time, Unix seconds.
    pub(crate) fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// The code this build reads, which is what the entry pins, or there is nothing to go on with.
fn pinned_code(network: &Network, pin: &Pin) -> Result<PinnedCode, Failure> {
    let code = chain::deploy::pinned_code(pin.claim_window, network.name_registry)?;
    let own = chain::deploy::package_registry_of(network.name_registry);
    if network.package_registry != own {
        // Another with the same code records nothing: NameRegistry does not answer it.
        return Err(Failure::mismatch(
            format!("network {:?} has a PackageRegistry that its NameRegistry did not make", network.name),
            own,
            network.package_registry,
        )
        .hint("check the addresses in config.json"));
    }
    for (contract, pinned, ours) in [
        ("NameRegistry", pin.name_registry, code.name_registry),
        ("PackageRegistry", pin.package_registry, code.package_registry),
    ] {
        if let Some(pinned) = pinned.filter(|pinned| *pinned != ours) {
            return Err(Failure::mismatch(
                format!("network {:?} pins code of {contract} that this build does not know", network.name),
                pinned,
                ours,
            )
            .hint("use the 3pm that was made for this deployment, or check the entry in config.json"));
        }
    }
    Ok(code)
}

fn unusable_memory(error: StoreError) -> Failure {
    let hint = error.hint();
    Failure::from(error).hint(hint)
}

fn unusable_configuration(error: ConfigError) -> Failure {
    let hint = match &error {
        ConfigError::Unreadable { .. } | ConfigError::Unwritable { .. } => None,
        ConfigError::Malformed { .. } => Some("mend the file, or move it away and run 3pm init".to_owned()),
        ConfigError::Variable { variable, .. } => Some(format!("mend or unset {variable}")),
        ConfigError::UnknownNetwork { .. } => {
            Some("name one of these, or add yours with 3pm init --network NAME".to_owned())
        }
        ConfigError::Incomplete { name, .. } => Some(format!(
            "3pm init --network {name} --rpc-url URL --name-registry 0x… --package-registry 0x…"
        )),
        ConfigError::Unpinned { name, .. } => {
            Some(format!("3pm init --network {name} --claim-window SECONDS, as 3pm network check shows it"))
        }
        ConfigError::OtherChain { .. } => Some("give the other chain a name of its own".to_owned()),
    };
    let failure = Failure::from(error).code(exit::USAGE);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
