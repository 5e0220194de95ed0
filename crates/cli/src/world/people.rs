//! The people of the local world: three maintainers with wallets and npm accounts, an attacker who has
//! a wallet and a stolen npm token, and a user with nothing. Does not act for them.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use alloy_primitives::Address;
use client::http::Http;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use wallet::Session;

use super::WorldError;
use super::description::Person;
use super::node::Node;
use super::registry::{self, Registry};

/// The maintainers, in the order of anvil's accounts.
pub(crate) const MAINTAINERS: [&str; 3] = ["alice", "bob", "carol"];

/// Has anvil's account after the maintainers', her own npm account that may publish nothing, and an
/// npm configuration with the token she stole.
pub(crate) const ATTACKER: &str = "mallory";

/// Whose token was stolen.
pub(crate) const VICTIM: &str = "alice";

/// Installs packages; neither wallet nor npm account.
pub(crate) const USER: &str = "user";

/// Makes everybody's home under `folder`, each with the same `configuration`.
pub(crate) async fn settle(
    folder: &Path,
    http: &Http,
    registry: &Registry,
    node: &Node,
    configuration: &Value,
) -> Result<BTreeMap<String, Person>, WorldError> {
    let mut tokens = BTreeMap::new();
    for name in MAINTAINERS.into_iter().chain([ATTACKER]) {
        let password = random_password().map_err(|source| failed(folder, source))?;
        tokens.insert(name, registry::create_user(http, registry, name, &password).await?);
    }
    let mut people = BTreeMap::new();
    for (index, name) in MAINTAINERS.into_iter().chain([ATTACKER, USER]).enumerate() {
        let address = if name == USER { None } else { node.accounts.get(index).copied() };
        let uses = tokens.get(if name == ATTACKER { VICTIM } else { name });
        let person =
            furnish(&folder.join(name), registry, node, configuration, address, tokens.get(name), uses)
                .map_err(|source| failed(folder, source))?;
        people.insert(name.to_owned(), person);
    }
    Ok(people)
}

/// One home: configuration, wallet session, npm configuration with the token that is `used`.
fn furnish(
    home: &Path,
    registry: &Registry,
    node: &Node,
    configuration: &Value,
    address: Option<Address>,
    own: Option<&SecretString>,
    used: Option<&SecretString>,
) -> io::Result<Person> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    write_private(&home.join("config.json"), &serde_json::to_string_pretty(configuration)?)?;
    if let Some(address) = address {
        Session::Rpc { url: node.url.clone(), address }.store(home).map_err(io::Error::other)?;
    }
    let npm_configuration = home.join("npmrc");
    write_private(&npm_configuration, &npm_text(home, registry, used))?;
    let token_file = own
        .map(|token| {
            let path = home.join("npm-token");
            write_private(&path, token.expose_secret()).map(|()| path)
        })
        .transpose()?;
    Ok(Person { home: home.to_owned(), npm_configuration, address, token_file })
}

/// npm's configuration: this registry only, a cache that goes with the world, and no chatter.
fn npm_text(home: &Path, registry: &Registry, token: Option<&SecretString>) -> String {
    let mut text = format!(
        "registry={}\ncache={}\naudit=false\nfund=false\nupdate-notifier=false\n",
        registry.url,
        home.join("npm-cache").display()
    );
    if let Some(token) = token {
        let place = registry.url.as_str().trim_start_matches("http:");
        text.push_str(&format!("{place}:_authToken={}\n", token.expose_secret()));
    }
    text
}

/// Writes a file that only its owner reads.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn random_password() -> io::Result<SecretString> {
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(SecretString::from(hex::encode(bytes)))
}

fn failed(folder: &Path, source: io::Error) -> WorldError {
    WorldError::Folder { path: folder.to_owned(), source }
}
