//! What a contract said when it refused, in words: the error's name and its arguments.

use alloy_primitives::hex;
use alloy_sol_types::SolInterface;

use crate::abi::names::NameRegistry::NameRegistryErrors;
use crate::abi::packages::PackageRegistry::PackageRegistryErrors;

/// `Error(string)` and `Panic(uint256)`, which Solidity has of its own.
const ERROR: [u8; 4] = hex!("08c379a0");
const PANIC: [u8; 4] = hex!("4e487b71");

/// The reason in `data`: a custom error of ours, a `require` text, or the raw selector.
#[must_use]
pub fn revert_reason(data: &[u8]) -> String {
    if let Ok(error) = PackageRegistryErrors::abi_decode(data) {
        return words(&format!("{error:?}"));
    }
    if let Ok(error) = NameRegistryErrors::abi_decode(data) {
        return words(&format!("{error:?}"));
    }
    let solidity = data.get(..4).is_some_and(|selector| selector == ERROR || selector == PANIC);
    if let Some(reason) = alloy_sol_types::decode_revert_reason(data).filter(|_| solidity) {
        return trust::text::printable(&reason, 300);
    }
    match data.get(..4) {
        Some(selector) => format!("unknown error {}", alloy_primitives::Bytes::copy_from_slice(selector)),
        None => "no reason given".to_owned(),
    }
}

/// `TooFewSigners(TooFewSigners { have: 1, need: 2 })` as `TooFewSigners(have: 1, need: 2)`.
fn words(debug: &str) -> String {
    let Some((name, rest)) = debug.split_once('(') else { return debug.to_owned() };
    let arguments = rest.strip_suffix(')').unwrap_or(rest);
    let arguments = arguments.strip_prefix(name).unwrap_or(arguments).trim();
    let inner = arguments.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or("").trim();
    if inner.is_empty() { name.to_owned() } else { trust::text::printable(&format!("{name}({inner})"), 300) }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use alloy_sol_types::SolError as _;

    use super::*;
    use crate::abi::packages::PackageRegistry;

    #[test]
    fn custom_errors_come_with_their_arguments() {
        let error = PackageRegistry::TooFewSigners { have: U256::from(1), need: U256::from(2) };
        assert_eq!(revert_reason(&error.abi_encode()), "TooFewSigners(have: 1, need: 2)");
        assert_eq!(revert_reason(&PackageRegistry::VersionExists {}.abi_encode()), "VersionExists");
    }

    #[test]
    fn anything_else_is_named_as_far_as_it_can_be() {
        assert_eq!(revert_reason(&[1, 2, 3, 4, 5]), "unknown error 0x01020304");
        assert_eq!(revert_reason(&[]), "no reason given");
    }
}
