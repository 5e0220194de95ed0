//! A file of networks: what a deployer hands to others, so that they pin addresses and code in one step
//! (docs/networks.md). Written by `3pm deploy`, read by `3pm init`. Names no RPC and no coordinator: whom to ask
//! is each user's own choice, and never a stranger's.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;

use alloy_primitives::Address;
use chain::deploy::{self, Parameters, RegistryKey};
use serde::{Deserialize, Serialize};
use trust::text::printable;
use url::Url;

use crate::config::{Contract, NetworkEntry};
use crate::errors::{Explain as _, Failure};

/// A real one has less than a kilobyte for each network.
const MAX_BYTES: u64 = 1 << 20;

type Networks = BTreeMap<String, Deployment>;

/// One deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Deployment {
    /// EIP-155.
    pub(crate) chain_id: u64,
    /// The npm registry it serves.
    pub(crate) registry_origin: String,
    /// Seconds for which a claim is provisional.
    pub(crate) claim_window: u64,
    /// Every contract, by its name.
    pub(crate) contracts: BTreeMap<String, Contract>,
    /// What else it was made with: with that, the addresses follow from this build's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) made_with: Option<MadeWith>,
}

/// Arguments of a deployment that are not in its code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MadeWith {
    /// Who vouched for claims then.
    pub(crate) registrar: Address,
    /// The registry's signing keys then.
    pub(crate) npm_keys: Vec<RegistryKey>,
}

impl Deployment {
    /// Whether address and code of each contract are those that this build makes with these arguments. A file without
    /// them says only where something is, and that must fit together.
    pub(crate) fn check_addresses(&self) -> Result<(), Failure> {
        let Some(MadeWith { registrar, npm_keys }) = &self.made_with else { return self.check_pair() };
        let steps = deploy::plan(&Parameters {
            registry_origin: self.registry_origin.clone(),
            registrar: *registrar,
            claim_window: self.claim_window,
            npm_keys: npm_keys.iter().map(Into::into).collect(),
        })?;
        for step in steps {
            let named = self.contract(step.contract)?;
            let (expected, found) = ((step.address, step.code_hash), (named.address, named.code_hash));
            if expected != found {
                return Err(Failure::mismatch(
                    format!(
                        "the networks file's {} is not what its arguments make of this build's code",
                        step.contract
                    ),
                    format!("{} with code {}", expected.0, expected.1),
                    format!("{} with code {}", found.0, found.1),
                )
                .hint("take no network from this file: ask whoever deployed it"));
            }
        }
        Ok(())
    }

    /// Of the addresses alone this much is known: `NameRegistry` makes `PackageRegistry`.
    fn check_pair(&self) -> Result<(), Failure> {
        let (names, packages) = (self.contract("NameRegistry")?, self.contract("PackageRegistry")?);
        let own = deploy::package_registry_of(names.address);
        if packages.address == own {
            return Ok(());
        }
        let what = "the networks file's PackageRegistry is not the one that its NameRegistry makes";
        Err(Failure::mismatch(what, own, packages.address)
            .hint("take no network from this file: ask whoever deployed it"))
    }

    /// What the file says of one of the contracts: it must name all four.
    pub(crate) fn contract(&self, name: &str) -> Result<&Contract, Failure> {
        self.contracts
            .get(name)
            .ok_or_else(|| Failure::usage(format!("the networks file says nothing of {name}")))
    }

    /// Puts chain, addresses and code into an entry of config.json.
    pub(crate) fn describe(&self, entry: &mut NetworkEntry) -> Result<(), Failure> {
        self.check_addresses()?;
        let (names, packages) = (self.contract("NameRegistry")?, self.contract("PackageRegistry")?);
        entry.chain_id = Some(self.chain_id);
        entry.registry_origin = Some(Url::parse(&self.registry_origin).while_doing(format!(
            "the networks file's registryOrigin {:?} is not a URL",
            printable(&self.registry_origin, 80)
        ))?);
        entry.claim_window = Some(self.claim_window);
        (entry.name_registry, entry.name_registry_code_hash) = (Some(names.address), Some(names.code_hash));
        (entry.package_registry, entry.package_registry_code_hash) =
            (Some(packages.address), Some(packages.code_hash));
        entry.safety_registry = Some(*self.contract("SafetyRegistry")?);
        entry.signer_factory = Some(*self.contract("SignerFactory")?);
        Ok(())
    }
}

/// The deployment that the file gives for `name`.
pub(crate) fn deployment(path: &Path, name: &str) -> Result<Deployment, Failure> {
    let mut networks =
        read(path)?.ok_or_else(|| Failure::usage(format!("there is no networks file {}", path.display())))?;
    networks.remove(name).ok_or_else(|| {
        let known = networks.keys().map(|known| printable(known, 80)).collect::<Vec<_>>().join(", ");
        Failure::usage(format!("{} does not name network {name:?}", path.display()))
            .hint(format!("it names {known}; choose with --network"))
    })
}

/// Whether the file can take this deployment: one that is named is never written over.
pub(crate) fn check(path: &Path, name: &str, deployment: &Deployment) -> Result<(), Failure> {
    match read(path)?.unwrap_or_default().get(name) {
        Some(other) if other != deployment => {
            Err(Failure::not_possible(format!("{} names another deployment {name:?}", path.display()))
                .hint("choose another name with --network, or another file"))
        }
        _ => Ok(()),
    }
}

/// Adds the deployment to the file, which appears whole or not at all.
pub(crate) fn store(path: &Path, name: &str, deployment: Deployment) -> Result<(), Failure> {
    check(path, name, &deployment)?;
    let mut networks = read(path)?.unwrap_or_default();
    networks.insert(name.to_owned(), deployment);
    let mut text = serde_json::to_string_pretty(&networks)?;
    text.push('\n');
    let unwritable = || format!("{} cannot be written", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).while_doing(unwritable())?;
    file.write_all(text.as_bytes()).while_doing(unwritable())?;
    file.persist(path).map_err(|error| error.error).while_doing(unwritable())?;
    Ok(())
}

/// `None` where there is no file.
fn read(path: &Path) -> Result<Option<Networks>, Failure> {
    let unreadable = || format!("{} cannot be read", path.display());
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::from(error).while_doing(unreadable())),
    };
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text).while_doing(unreadable())?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Failure::usage(format!("{} has more than {MAX_BYTES} bytes", path.display())));
    }
    serde_json::from_slice(&text)
        .map(Some)
        .while_doing(format!("{} is not a file of networks", path.display()))
}
