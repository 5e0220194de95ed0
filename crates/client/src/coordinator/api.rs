//! The documents of the coordinator's API, shared by both sides. Times are Unix seconds; numbers that may
//! not fit a JSON number are decimal strings. Endpoints, errors and examples: `docs/api.md`.

use alloy_primitives::{Address, B256, Bytes, U256};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use trust::legacy::LegacyVersion;
use trust::message;
use trust::{ContentHash, Integrity, Version};

/// Header of `POST /v1/proposals`: base64url (no padding) of a [`ProposalRequest`] as JSON.
pub const PROPOSAL_HEADER: &str = "3pm-proposal";

/// Most bytes of that header.
pub const MAX_PROPOSAL_HEADER_BYTES: usize = 16 << 10;

/// Most bytes of a tarball.
pub const MAX_TARBALL_BYTES: usize = 200 << 20;

/// A decimal string in JSON.
mod decimal {
    use alloy_primitives::U256;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &U256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
        let text = String::deserialize(deserializer)?;
        U256::from_str_radix(&text, 10).map_err(serde::de::Error::custom)
    }
}

/// `trust::message::Release` as the API writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// Exact name.
    pub package_name: String,
    /// Strict SemVer.
    pub version: String,
    /// `sha512-…` of the tarball.
    pub integrity: String,
    /// SHA-256 of the tarball.
    pub content_hash: B256,
    /// Commit, SHA-1 left-aligned; zero for none.
    pub git_sha: B256,
    /// Where it was built; empty for nowhere public.
    pub ci_run_url: String,
    /// The configuration it is signed under.
    pub epoch: u32,
    /// Unordered, used once.
    #[serde(with = "decimal")]
    pub nonce: U256,
    /// Last second at which it can be recorded.
    #[serde(with = "decimal")]
    pub deadline: U256,
}

impl From<Release> for message::Release {
    fn from(release: Release) -> Self {
        Self {
            packageName: release.package_name,
            version: release.version,
            integrity: release.integrity,
            contentHash: release.content_hash,
            gitSha: release.git_sha,
            ciRunUrl: release.ci_run_url,
            epoch: release.epoch,
            nonce: release.nonce,
            deadline: release.deadline,
        }
    }
}

impl From<message::Release> for Release {
    fn from(release: message::Release) -> Self {
        Self {
            package_name: release.packageName,
            version: release.version,
            integrity: release.integrity,
            content_hash: release.contentHash,
            git_sha: release.gitSha,
            ci_run_url: release.ciRunUrl,
            epoch: release.epoch,
            nonce: release.nonce,
            deadline: release.deadline,
        }
    }
}

/// `trust::message::Config` as the API writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Exact name.
    pub package_name: String,
    /// In the order of the signer bitmap.
    pub members: Vec<Address>,
    /// How many must sign.
    pub threshold: u8,
    /// Hours a release cools.
    pub release_delay_hours: u16,
    /// Hours the next change waits.
    pub config_delay_hours: u16,
    /// Days of silence before a recovery.
    pub recovery_days: u16,
    /// Who may start one; zero for nobody.
    pub guardian: Address,
    /// Root over the versions of before the claim.
    pub legacy_root: B256,
    /// The configuration this makes.
    pub epoch: u32,
    /// Last second at which it can be submitted.
    #[serde(with = "decimal")]
    pub deadline: U256,
}

impl From<Config> for message::Config {
    fn from(config: Config) -> Self {
        Self {
            packageName: config.package_name,
            members: config.members,
            threshold: config.threshold,
            releaseDelayHours: config.release_delay_hours,
            configDelayHours: config.config_delay_hours,
            recoveryDays: config.recovery_days,
            guardian: config.guardian,
            legacyRoot: config.legacy_root,
            epoch: config.epoch,
            deadline: config.deadline,
        }
    }
}

impl From<message::Config> for Config {
    fn from(config: message::Config) -> Self {
        Self {
            package_name: config.packageName,
            members: config.members,
            threshold: config.threshold,
            release_delay_hours: config.releaseDelayHours,
            config_delay_hours: config.configDelayHours,
            recovery_days: config.recoveryDays,
            guardian: config.guardian,
            legacy_root: config.legacyRoot,
            epoch: config.epoch,
            deadline: config.deadline,
        }
    }
}

/// Who signed and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignatureRequest {
    /// The member.
    pub signer: Address,
    /// ECDSA, or what the member's contract takes.
    pub signature: Bytes,
}

/// What goes into [`PROPOSAL_HEADER`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProposalRequest {
    /// The release.
    pub release: Release,
    /// Signer 1.
    pub signer: Address,
    /// Its signature.
    pub signature: Bytes,
}

/// Where a release proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProposalState {
    /// Waiting for signatures.
    Proposed,
    /// Enough signatures; anybody may submit.
    Signed,
    /// A record exists, not yet final or still cooling.
    Submitted,
    /// Active and final; on its way to npm.
    Active,
    /// On npm, byte for byte.
    Published,
    /// Its deadline passed without a record.
    Expired,
    /// It can no longer be recorded: nonce used, epoch over, signature withdrawn.
    Withdrawn,
    /// Stopped by a member, or revoked, before it was published.
    Vetoed,
    /// npm has other bytes under this version.
    Hijacked,
    /// It cannot go on; the reason says why.
    Failed,
}

impl ProposalState {
    /// Whether nothing will move it any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Proposed | Self::Signed | Self::Submitted | Self::Active)
    }
}

/// The tarball of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TarballInfo {
    /// SHA-512.
    pub integrity: Integrity,
    /// SHA-256.
    pub content_hash: ContentHash,
    /// Bytes.
    pub size: u64,
}

/// One signature of a proposal or change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectedSignature {
    /// The member.
    pub signer: Address,
    /// Its signature.
    pub signature: Bytes,
    /// When it arrived.
    pub at: u64,
}

/// How a release got to npm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NpmPublication {
    /// When we found it there.
    pub published_at: u64,
    /// The dist-tag it is under; none where somebody else put it there and no tag points to it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tag: Option<String>,
}

/// A release on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// The digest its signers sign.
    pub id: B256,
    /// Always `release`.
    pub kind: String,
    /// Where it stands.
    pub state: ProposalState,
    /// What is signed.
    pub release: Release,
    /// The bytes.
    pub tarball: TarballInfo,
    /// Signer 1.
    pub proposer: Address,
    /// Members at the release's epoch.
    pub members: Vec<Address>,
    /// How many must sign.
    pub threshold: u8,
    /// Who has.
    pub signatures: Vec<CollectedSignature>,
    /// When it arrived.
    pub created_at: u64,
    /// When its state last changed.
    pub updated_at: u64,
    /// The transaction that recorded it, as far as the chain showed it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transaction_hash: Option<B256>,
    /// The block that recorded it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub block_number: Option<u64>,
    /// How it got to npm.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub npm: Option<NpmPublication>,
    /// What somebody has to do before it goes on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attention: Option<String>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// `GET /v1/proposals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalList {
    /// Newest first.
    pub proposals: Vec<Proposal>,
}

/// A transaction somebody sent; a notice, never a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionRequest {
    /// The transaction.
    pub transaction_hash: B256,
}

/// `POST /v1/changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRequest {
    /// The next configuration.
    pub config: Config,
    /// A member of the current set.
    pub signer: Address,
    /// Its signature.
    pub signature: Bytes,
}

/// Where a team change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeState {
    /// Waiting for signatures of either set.
    Proposed,
    /// Both sets signed; anybody may submit.
    Signed,
    /// On chain, waiting out its delay.
    Submitted,
    /// It is the team now.
    Effective,
    /// Its deadline passed.
    Expired,
    /// Another change took its epoch.
    Superseded,
}

impl ChangeState {
    /// Whether nothing will move it any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Effective | Self::Expired | Self::Superseded)
    }
}

/// A team change on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The digest its signers sign.
    pub id: B256,
    /// Always `config`.
    pub kind: String,
    /// Where it stands.
    pub state: ChangeState,
    /// What is signed.
    pub config: Config,
    /// The members now.
    pub current_members: Vec<Address>,
    /// How many of them must sign.
    pub current_threshold: u8,
    /// Who has, of either set.
    pub signatures: Vec<CollectedSignature>,
    /// When it arrived.
    pub created_at: u64,
    /// When its state last changed.
    pub updated_at: u64,
}

/// `GET /v1/changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeList {
    /// Newest first.
    pub changes: Vec<Change>,
}

/// `POST /v1/claims`: a claim for which the registrar is asked to vouch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRequest {
    /// The Config at epoch 0.
    pub config: Config,
    /// Signatures of its own members.
    pub signatures: Vec<SignatureRequest>,
    /// A recent block, at most 8,191 blocks old.
    pub anchor_block: u64,
    /// Every version that exists, under `config.legacyRoot`.
    pub legacy_versions: Vec<LegacyVersion>,
}

/// The registrar's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimApproval {
    /// What it signed.
    pub commitment: B256,
    /// Its signature over `RegistrarProof`.
    pub registrar_signature: Bytes,
    /// Its address.
    pub registrar: Address,
}

/// `GET /v1/packages/{name}/legacy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyList {
    /// The root over them.
    pub root: B256,
    /// Every version of before the claim.
    pub versions: Vec<LegacyVersion>,
}

/// `GET /v1/packages/{name}/legacy/{version}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyProof {
    /// The version.
    pub version: Version,
    /// Its hash.
    pub integrity: Integrity,
    /// Siblings from leaf to root.
    pub proof: Vec<B256>,
}

/// `trust::message::TokenHandover` as the API writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenHandover {
    /// Exact name.
    pub package_name: String,
    /// The coordinator's public URL: a message for one means nothing to another.
    pub coordinator: String,
    /// SHA-256 of the token.
    pub token_hash: B256,
    /// When it was signed.
    #[serde(with = "decimal")]
    pub issued_at: U256,
    /// Until when it may be used; minutes, not hours.
    #[serde(with = "decimal")]
    pub expires_at: U256,
}

impl From<TokenHandover> for message::TokenHandover {
    fn from(handover: TokenHandover) -> Self {
        Self {
            packageName: handover.package_name,
            coordinator: handover.coordinator,
            tokenHash: handover.token_hash,
            issuedAt: handover.issued_at,
            expiresAt: handover.expires_at,
        }
    }
}

impl From<message::TokenHandover> for TokenHandover {
    fn from(handover: message::TokenHandover) -> Self {
        Self {
            package_name: handover.packageName,
            coordinator: handover.coordinator,
            token_hash: handover.tokenHash,
            issued_at: handover.issuedAt,
            expires_at: handover.expiresAt,
        }
    }
}

/// How far beyond the next nonce a proposal's may lie: room for alternatives, none for exhausting the range.
pub const MAX_NONCE_AHEAD: u64 = 1_000;

/// Longest time a hand-over message may be valid, in seconds.
pub const MAX_HANDOVER_SECONDS: u64 = 600;

/// `POST /v1/packages/{name}/token`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRequest {
    /// The npm token. Debug does not show it.
    #[serde(serialize_with = "expose")]
    pub token: SecretString,
    /// What the member signed.
    pub handover: TokenHandover,
    /// The member.
    pub signer: Address,
    /// Its signature.
    pub signature: Bytes,
}

fn expose<S: Serializer>(token: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose_secret())
}

/// What the coordinator says about a package's npm token. Never the token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenStatus {
    /// Whether there is one.
    pub stored: bool,
    /// Whose it is on npm.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub npm_user: Option<String>,
    /// The member who handed it over.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handed_over_by: Option<Address>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stored_at: Option<u64>,
    /// When npm ends it, where npm tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<u64>,
    /// Whether npm said that its account may publish the package.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub publish_access: Option<TokenAccess>,
}

/// What npm said of a token's account when it was handed over. One that may not publish is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenAccess {
    /// It may publish the package.
    Confirmed,
    /// npm does not tell.
    Unknown,
}

/// The newest block the coordinator has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthHead {
    /// Block number.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
    /// Block time.
    pub timestamp: u64,
}

/// `GET /v1/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok` or `degraded`.
    pub status: String,
    /// Of the software.
    pub version: String,
    /// EIP-155.
    pub chain_id: u64,
    /// The contracts it serves.
    pub name_registry: Address,
    /// The contracts it serves.
    pub package_registry: Address,
    /// Absent when the chain cannot be read.
    pub head: Option<HealthHead>,
    /// The registrar whose signature it can ask for.
    pub registrar: Option<Address>,
    /// `none`: it runs in no enclave.
    pub attestation: String,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

/// An error document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:3pm:problem:<slug>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of problem.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// This one.
    pub detail: String,
}
