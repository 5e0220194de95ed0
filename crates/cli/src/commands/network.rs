//! `3pm network check`: whether the configured contracts are the ones this build was made for. An address
//! alone says nothing; code at an address cannot change, so this needs asking once.

use alloy_primitives::{Address, B256, keccak256};
use chain::deploy::{self, Step};
use chain::{Chain, Deployed, Head};
use serde::Serialize;

use crate::args::NetworkCommand;
use crate::config::Contract;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::networks_file::{self, Deployment};
use crate::output::Page;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    network: String,
    chain_id: u64,
    block: u64,
    name_registry: Address,
    package_registry: Address,
    /// `SafetyRegistry`, where there is one.
    safety_registry: Option<Contract>,
    /// `SignerFactory`, where there is one.
    signer_factory: Option<Contract>,
    pinned: bool,
    /// What the registrar changed since the deployment, where a networks file says what that was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    since: Vec<String>,
    #[serde(flatten)]
    deployed: Deployed,
}

/// Checks the network in use.
pub(crate) async fn run(context: &Context, command: NetworkCommand) -> Outcome {
    let NetworkCommand::Check { networks_file } = command;
    let configured = context.network()?;
    // What is pinned is compared here, by name; pinned reads would only say that something differs.
    let chain = context.unpinned_chain()?;
    let head = context.head(&chain).await?;
    let network = chain.network();
    let deployed = chain.deployment(&head).await.while_doing("the contracts cannot be read")?;

    let (names, packages) = deploy::expected_code(deployed.claim_window, network.name_registry)?;
    same("NameRegistry", names, deployed.name_registry_code_hash)?;
    same("PackageRegistry", packages, deployed.package_registry_code_hash)?;
    if let Some(pin) = &configured.pin {
        if pin.claim_window != deployed.claim_window {
            return Err(Failure::mismatch(
                "the deployment has another claim window than config.json pins",
                pin.claim_window,
                deployed.claim_window,
            ));
        }
        same("NameRegistry", pin.name_registry.unwrap_or(names), names)?;
        same("PackageRegistry", pin.package_registry.unwrap_or(packages), packages)?;
    }
    let [safety, factory] = deploy::independent()?;
    let safety_registry = check_independent(&chain, &head, &safety, configured.safety_registry).await?;
    let signer_factory = check_independent(&chain, &head, &factory, configured.signer_factory).await?;
    let own = deploy::package_registry_of(network.name_registry);
    if network.package_registry != own {
        return Err(Failure::mismatch(
            "PackageRegistry is not the one that NameRegistry made, and that it answers",
            own,
            network.package_registry,
        ));
    }
    if deployed.name_registry_of_packages != network.name_registry {
        return Err(Failure::mismatch(
            "PackageRegistry asks another NameRegistry",
            network.name_registry,
            deployed.name_registry_of_packages,
        ));
    }
    if let Some(origin) = &configured.registry_origin
        && origin.as_str().trim_end_matches('/') != deployed.registry_origin.trim_end_matches('/')
    {
        return Err(Failure::mismatch(
            "the deployment serves another npm registry",
            origin,
            &deployed.registry_origin,
        ));
    }
    let mut since = Vec::new();
    if let Some(path) = networks_file {
        let written = networks_file::deployment(&path, &network.name)?;
        written.check_addresses()?;
        let found = [
            (network.name_registry, deployed.name_registry_code_hash),
            (network.package_registry, deployed.package_registry_code_hash),
        ];
        let [names, packages] = found.map(|(address, code_hash)| Some(Contract { address, code_hash }));
        let there = [
            ("NameRegistry", names),
            ("PackageRegistry", packages),
            ("SafetyRegistry", safety_registry),
            ("SignerFactory", signer_factory),
        ];
        compare(&written, network.chain_id, &deployed, &there)?;
        since = changed_since(&written, &deployed);
    }
    let report = Report {
        network: network.name.clone(),
        chain_id: network.chain_id,
        block: head.number,
        name_registry: network.name_registry,
        package_registry: network.package_registry,
        safety_registry,
        signer_factory,
        pinned: configured.pin.is_some(),
        since,
        deployed,
    };
    context.output.result(&report, |page| render(&report, page));
    Ok(exit::FINE)
}

/// Everything that the file says beside `madeWith`, which [`Deployment::check_addresses`] holds against the addresses.
fn compare(
    written: &Deployment,
    chain_id: u64,
    deployed: &Deployed,
    there: &[(&str, Option<Contract>)],
) -> Result<(), Failure> {
    equal("chainId", written.chain_id, chain_id)?;
    equal("claimWindow", written.claim_window, deployed.claim_window)?;
    let origin = |text: &str| trust::text::printable(text.trim_end_matches('/'), 200);
    equal("registryOrigin", origin(&written.registry_origin), origin(&deployed.registry_origin))?;
    for (name, found) in there {
        let named = written.contract(name)?;
        let Some(found) = found else {
            return Err(Failure::mismatch(
                format!("the networks file's {name} is not on this chain"),
                named.address,
                "nothing",
            ));
        };
        equal(&format!("{name} address"), named.address, found.address)?;
        equal(&format!("{name} codeHash"), named.code_hash, found.code_hash)?;
    }
    Ok(())
}

fn equal<T: PartialEq + std::fmt::Display>(field: &str, written: T, found: T) -> Result<(), Failure> {
    if written == found {
        return Ok(());
    }
    Err(Failure::mismatch(
        format!("the networks file's {field} is another than this network's"),
        written,
        found,
    ))
}

/// The registrar may hand over, add keys and end them; each shows on chain, and none is an error.
fn changed_since(written: &Deployment, now: &Deployed) -> Vec<String> {
    let Some(then) = &written.made_with else { return vec![] };
    let mut since = Vec::new();
    if then.registrar != now.registrar {
        since.push(format!("the registrar was {}, and handed over to {}", then.registrar, now.registrar));
    }
    for (index, key) in now.npm_keys.iter().enumerate() {
        match then.npm_keys.get(index) {
            None => since.push(format!("npm key {index} was added: {}", key.x)),
            Some(known) if known != key => since.push(format!("npm key {index} was ended: {}", key.x)),
            Some(_) => {}
        }
    }
    since
}

fn same(what: &str, expected: B256, found: B256) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    Err(Failure::mismatch(format!("the code of {what} is not the one this build expects"), expected, found)
        .hint("do not use this network: check its addresses in config.json"))
}

/// A contract that knows no other: where it is configured, else where every deployment has it, if it is there.
async fn check_independent(
    chain: &Chain,
    head: &Head,
    step: &Step,
    configured: Option<Contract>,
) -> Result<Option<Contract>, Failure> {
    if let Some(Contract { code_hash, .. }) = configured {
        same(&format!("{} that config.json pins", step.contract), step.code_hash, code_hash)?;
    }
    let address = configured.map_or(step.address, |contract| contract.address);
    let code = chain.code_at(head, address).await?;
    if code.is_empty() && configured.is_none() {
        return Ok(None);
    }
    let code_hash = keccak256(&code);
    same(&format!("{} at {address}", step.contract), step.code_hash, code_hash)?;
    Ok(Some(Contract { address, code_hash }))
}

fn render(report: &Report, page: &mut Page) {
    let Report { deployed, .. } = report;
    page.good(&format!("network {}: the contracts are the ones this build expects", report.network));
    page.field("chain", format!("{}, block {}", report.chain_id, report.block));
    page.field("names", report.name_registry);
    page.field("code hash", deployed.name_registry_code_hash);
    page.field("packages", report.package_registry);
    page.field("code hash", deployed.package_registry_code_hash);
    for (what, contract) in [("safety", report.safety_registry), ("signers", report.signer_factory)] {
        match contract {
            Some(Contract { address, code_hash }) => {
                page.field(what, address);
                page.field("code hash", code_hash);
            }
            None => page.field(what, "not deployed here"),
        }
    }
    page.field("registry", trust::text::printable(&deployed.registry_origin, 200));
    page.field("registrar", deployed.registrar);
    page.field("claims", format!("provisional for {} seconds", deployed.claim_window));
    for (index, key) in deployed.npm_keys.iter().enumerate() {
        page.field(&format!("npm key {index}"), format!("{} {}", key.x, key.y));
        page.field("", format!("valid from {} to {} (Unix seconds)", key.valid_from, key.valid_to));
    }
    if deployed.npm_keys.is_empty() {
        page.field("npm keys", "none: no claim by npm's own signature");
    }
    for change in &report.since {
        page.warn(&format!("since the deployment: {change}"));
    }
    if !report.pinned {
        page.next(&format!(
            "3pm init --network {} --claim-window {} pins this code",
            report.network, deployed.claim_window
        ));
    }
}

#[cfg(test)]
mod tests {
    use chain::deploy::RegistryKey;

    use super::*;
    use crate::networks_file::MadeWith;

    #[test]
    fn what_the_registrar_did_since_is_said() {
        let key = |word: u8, valid_to| RegistryKey {
            x: B256::repeat_byte(word),
            y: B256::repeat_byte(word),
            valid_from: 1,
            valid_to,
        };
        let written = |made_with| Deployment {
            chain_id: 1,
            registry_origin: "http://registry.example/".to_owned(),
            claim_window: 1,
            contracts: std::collections::BTreeMap::new(),
            made_with,
        };
        let then = MadeWith { registrar: Address::repeat_byte(1), npm_keys: vec![key(1, 9), key(2, 9)] };
        let mut now = Deployed {
            registrar: Address::repeat_byte(1),
            registry_origin: String::new(),
            claim_window: 1,
            npm_keys: then.npm_keys.clone(),
            name_registry_of_packages: Address::ZERO,
            name_registry_code_hash: B256::ZERO,
            package_registry_code_hash: B256::ZERO,
        };
        let told = written(Some(then));
        assert_eq!(changed_since(&told, &now), Vec::<String>::new());
        now.registrar = Address::repeat_byte(2);
        now.npm_keys = vec![key(1, 0), key(2, 9), key(3, 9)];
        let since = changed_since(&told, &now);
        assert_eq!(since.len(), 3, "{since:?}");
        assert!(since[1].starts_with("npm key 0 was ended") && since[2].starts_with("npm key 2 was added"));
        assert_eq!(changed_since(&written(None), &now), Vec::<String>::new());
    }
}
