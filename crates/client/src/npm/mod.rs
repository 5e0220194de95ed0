//! npm registries: npm's own configuration, what a registry says about a package, and how a version gets
//! there. No registry's address is written here; npm knows it.

mod config;
mod packument;
mod publish;
mod registry;

pub use config::{Credential, NpmConfig, NpmConfigError, Registry};
pub use packument::{Packument, PackumentError, PackumentVersion};
pub use publish::{PublishBody, PutOutcome, publish_body};
pub use registry::{LegacyVersions, NpmClient, NpmError, PublishAccess, TokenDetails};
