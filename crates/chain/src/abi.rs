//! The contracts' ABI, from the artefacts that `contracts/` generates and commits.

#![allow(missing_docs, clippy::too_many_arguments, unreachable_pub, missing_debug_implementations)]

pub mod names {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        NameRegistry,
        "../../contracts/artifacts/NameRegistry.json"
    );
}

pub mod packages {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        PackageRegistry,
        "../../contracts/artifacts/PackageRegistry.json"
    );
}

pub mod safety {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        SafetyRegistry,
        "../../contracts/artifacts/SafetyRegistry.json"
    );
}

pub mod factory {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        SignerFactory,
        "../../contracts/artifacts/SignerFactory.json"
    );
}

alloy_sol_types::sol! {
    /// ERC-1271.
    interface Erc1271 {
        function isValidSignature(bytes32 hash, bytes signature) external view returns (bytes4);
    }
}
