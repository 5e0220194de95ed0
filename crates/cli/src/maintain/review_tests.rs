//! Each step of a co-signer's review, broken alone: a coordinator that lies about one thing at a time.

use alloy_primitives::{Address, B256, FixedBytes, U256};
use client::coordinator::api::{self, MAX_NONCE_AHEAD, Proposal, ProposalState, TarballInfo};
use trust::message::{Domain, signing_request};
use trust::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use trust::{ContentHash, Integrity, TarballHashes};

use super::review::{OnChain, check_release, review_release};
use crate::args::Target;
use crate::errors::Failure;
use crate::exit;

const NOW: u64 = 1_800_000_000;

/// An npm tarball with one manifest.
pub(super) fn tarball(manifest: &str) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut archive = tar::Builder::new(gzip);
    for (path, contents) in
        [("package/package.json", manifest), ("package/index.js", "module.exports = 1;\n")]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, path, contents.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// Everything that goes into a review, all of it honest.
struct Story {
    bytes: Vec<u8>,
    proposal: Proposal,
    package: PackageRecord,
    release: ReleaseRecord,
    nonce_used: bool,
    asked: Target,
}

fn domain() -> Domain {
    Domain { chain_id: 31_337, verifying_contract: Address::repeat_byte(9) }
}

fn package() -> PackageRecord {
    PackageRecord {
        state: PackageState::Final,
        members: vec![Address::repeat_byte(1), Address::repeat_byte(2)],
        threshold: 2,
        release_delay_hours: 0,
        config_delay_hours: 0,
        recovery_days: 180,
        guardian: Address::ZERO,
        legacy_root: B256::ZERO,
        epoch: 3,
        claimed_at: 1,
        final_at: 1,
        retired_at: 0,
        pending_change: B256::ZERO,
        pending_ready_at: 0,
        recovery_pending: false,
    }
}

fn no_record() -> ReleaseRecord {
    ReleaseRecord {
        status: ReleaseStatus::None,
        integrity: Integrity::from_raw([0; 64]),
        content_hash: ContentHash(B256::ZERO),
        git_sha: FixedBytes::ZERO,
        published_at: 0,
        active_at: 0,
        epoch: 0,
        threshold: 0,
        signers: vec![],
        flagged_until: 0,
    }
}

impl Story {
    fn honest() -> Self {
        Self::of(tarball(r#"{"name": "left-pad", "version": "1.3.1"}"#))
    }

    fn of(bytes: Vec<u8>) -> Self {
        let hashes = TarballHashes::of(&bytes);
        let package = package();
        let release = api::Release {
            package_name: "left-pad".into(),
            version: "1.3.1".into(),
            integrity: hashes.integrity.to_string(),
            content_hash: hashes.content_hash.0,
            git_sha: B256::ZERO,
            ci_run_url: String::new(),
            epoch: package.epoch,
            nonce: U256::from(7),
            deadline: U256::from(NOW + 3600),
        };
        let proposal = Proposal {
            id: B256::ZERO,
            kind: "release".into(),
            state: ProposalState::Proposed,
            release,
            tarball: TarballInfo {
                integrity: hashes.integrity,
                content_hash: hashes.content_hash,
                size: bytes.len() as u64,
            },
            proposer: package.members[0],
            members: package.members.clone(),
            threshold: package.threshold,
            signatures: vec![],
            created_at: NOW,
            updated_at: NOW,
            transaction_hash: None,
            block_number: None,
            npm: None,
            attention: None,
            reason: None,
        };
        let asked = Target::Release("left-pad".parse().unwrap(), "1.3.1".parse().unwrap());
        let mut story = Self { bytes, proposal, package, release: no_record(), nonce_used: false, asked };
        story.sign_anew();
        story
    }

    /// Makes the id fit whatever the release says now.
    fn sign_anew(&mut self) {
        let release = trust::message::Release::from(self.proposal.release.clone());
        self.proposal.id = signing_request(&release, &domain().eip712()).unwrap().digest;
    }

    fn review(&self) -> Result<(), Failure> {
        let chain = OnChain {
            domain: domain(),
            package: &self.package,
            release: &self.release,
            nonce_used: self.nonce_used,
            next_nonce: U256::from(5),
        };
        let checked = check_release(&self.asked, &self.proposal, &chain, NOW)?;
        review_release(checked, &self.proposal, &self.bytes).map(|_| ())
    }

    #[track_caller]
    fn refused(&self, code: exit::ExitCode, part: &str) {
        let failure = self.review().expect_err(part);
        assert!(failure.sentence().contains(part), "{:?} should say {part:?}", failure.sentence());
        assert_eq!(failure.exit_code(), code, "{}", failure.sentence());
    }
}

#[test]
fn an_honest_proposal_passes() {
    Story::honest().review().unwrap();
    let story = Story::honest();
    for asked in [Target::Id(story.proposal.id), Target::Package("left-pad".parse().unwrap())] {
        Story { asked, ..Story::honest() }.review().unwrap();
    }
}

#[test]
fn step_1_another_proposal_than_asked_for() {
    for asked in ["left-pad@1.3.2", "right-pad@1.3.1", "right-pad", &B256::repeat_byte(1).to_string()] {
        let story = Story { asked: asked.parse().unwrap(), ..Story::honest() };
        story.refused(exit::MISMATCH, "another proposal");
    }
    let mut story = Story::honest();
    story.proposal.kind = "config".into();
    story.refused(exit::MISMATCH, "another kind");
}

#[test]
fn step_2_an_id_that_is_not_the_digest() {
    let mut story = Story::honest();
    story.proposal.release.ci_run_url = "https://ci.example/other".into();
    story.refused(exit::MISMATCH, "not the digest");
}

#[test]
fn step_3_another_team_than_on_chain() {
    let mut story = Story::honest();
    story.proposal.members.pop();
    story.refused(exit::MISMATCH, "another team");

    let mut story = Story::honest();
    story.proposal.threshold = 1;
    story.refused(exit::MISMATCH, "another team");

    let mut story = Story::honest();
    story.package.epoch = 4;
    story.refused(exit::NOT_POSSIBLE, "team 3 of left-pad, the team on chain is 4");

    for (state, part) in [
        (PackageState::None, "not registered"),
        (PackageState::Provisional, "provisional"),
        (PackageState::Retired, "given up"),
    ] {
        let mut story = Story::honest();
        story.package.state = state;
        story.refused(exit::NOT_POSSIBLE, part);
    }
}

#[test]
fn step_4_what_can_no_longer_be_recorded() {
    let mut story = Story::honest();
    story.release.status = ReleaseStatus::Revoked;
    story.refused(exit::NOT_POSSIBLE, "recorded on chain already");

    let story = Story { nonce_used: true, ..Story::honest() };
    story.refused(exit::NOT_POSSIBLE, "nonce 7 of left-pad is used");

    let mut story = Story::honest();
    story.proposal.release.nonce = U256::from(5 + MAX_NONCE_AHEAD);
    story.sign_anew();
    story.review().unwrap();
    story.proposal.release.nonce += U256::ONE;
    story.sign_anew();
    story.refused(exit::MISMATCH, "nonce of left-pad@1.3.1 is far beyond");

    for (deadline, part) in [(NOW, "has passed"), (NOW + 31 * 24 * 3600, "more than 30 days")] {
        let mut story = Story::honest();
        story.proposal.release.deadline = U256::from(deadline);
        story.sign_anew();
        story.refused(exit::NOT_POSSIBLE, part);
    }
}

#[test]
fn step_5_bytes_that_are_not_the_ones_in_the_release() {
    let mut story = Story::honest();
    story.bytes = tarball(r#"{"name": "left-pad", "version": "1.3.1", "evil": true}"#);
    story.refused(exit::MISMATCH, "sha512");

    let mut story = Story::honest();
    story.proposal.release.content_hash = B256::repeat_byte(1);
    story.sign_anew();
    story.refused(exit::MISMATCH, "sha256");

    let mut story = Story::honest();
    story.proposal.tarball.size += 1;
    story.refused(exit::MISMATCH, "size announced");

    let mut story = Story::honest();
    story.proposal.tarball.integrity = Integrity::of(b"other");
    story.refused(exit::MISMATCH, "sha512 announced");

    let mut story = Story::honest();
    story.proposal.tarball.content_hash = ContentHash::of(b"other");
    story.refused(exit::MISMATCH, "sha256 announced");
}

#[test]
fn step_6_a_tarball_of_something_else_or_of_nothing() {
    Story::of(tarball(r#"{"name": "left-pad", "version": "9.9.9"}"#))
        .refused(exit::MISMATCH, "another package or version");
    Story::of(tarball(r#"{"name": "right-pad", "version": "1.3.1"}"#))
        .refused(exit::MISMATCH, "another package or version");
    Story::of(b"not a tarball".to_vec()).refused(exit::MISMATCH, "cannot be read");
    let mut cut = tarball(r#"{"name": "left-pad", "version": "1.3.1"}"#);
    cut.truncate(cut.len() / 2);
    Story::of(cut).refused(exit::MISMATCH, "cannot be read");
}
