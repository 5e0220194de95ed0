//! Where a package stands on chain, and whether somebody may act for it. Reads at one block.

use alloy_primitives::Address;
use chain::{Chain, Head};
use trust::PackageName;
use trust::record::{PackageRecord, PackageState};

use crate::context::Context;
use crate::errors::{Explain as _, Failure};
use crate::output::moment;

/// A package at one block.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// The block.
    pub(crate) head: Head,
    /// The package.
    pub(crate) package: PackageRecord,
}

/// Reads it.
pub(crate) async fn read(context: &Context, chain: &Chain, name: &PackageName) -> Result<Standing, Failure> {
    let head = context.head(chain).await?;
    let package =
        chain.package(&head, name).await.while_doing(format!("{name} cannot be looked up on chain"))?;
    Ok(Standing { head, package })
}

/// Only a final claim can act.
pub(crate) fn require_final(name: &PackageName, package: &PackageRecord) -> Result<(), Failure> {
    match package.state {
        PackageState::Final => Ok(()),
        PackageState::None => {
            Err(Failure::not_possible(format!("{name} is not registered"))
                .hint(format!("3pm register {name}")))
        }
        PackageState::Provisional => Err(Failure::not_possible(format!(
            "the claim of {name} is provisional until {}; nothing can be recorded before that",
            moment(package.final_at)
        ))),
        PackageState::Retired => Err(Failure::not_possible(format!(
            "{name} was given up by its members at {}",
            moment(package.retired_at)
        ))),
    }
}

/// Only a member can sign.
pub(crate) fn require_member(
    name: &PackageName,
    members: &[Address],
    address: Address,
) -> Result<(), Failure> {
    if members.contains(&address) {
        return Ok(());
    }
    let list: Vec<String> = members.iter().map(ToString::to_string).collect();
    Err(Failure::not_possible(format!(
        "{address} is not a member of {name}; members are {}",
        list.join(", ")
    ))
    .hint("connect a member's wallet: 3pm wallet connect --rpc URL --address 0x…"))
}

/// The state in words.
pub(crate) fn describe(package: &PackageRecord) -> String {
    match package.state {
        PackageState::None => "not registered".to_owned(),
        PackageState::Provisional => format!("claimed, provisional until {}", moment(package.final_at)),
        PackageState::Final => format!("registered since {}", moment(package.claimed_at)),
        PackageState::Retired => format!("given up at {}", moment(package.retired_at)),
    }
}
