//! Each step of `trust::verdict::judge` broken alone, from one arrangement in which everything is right.

#![allow(clippy::unwrap_used, reason = "tests")]

use alloy_primitives::{Address, B256, FixedBytes};
use serde_json::{Value, json};
use trust::legacy::{LegacyVersion, prove, root};
use trust::manifest::Manifest;
use trust::policy::{Action, Case, Known, Policy, Released};
use trust::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use trust::verdict::{Arrival, LegacyEvidence, Undecided, Verdict, judge};
use trust::{ContentHash, Integrity, PackageName, TarballHashes, Version};

const BYTES: &[u8] = b"the signed bytes";

/// Everything that one judgement looks at.
struct Scene {
    package: PackageRecord,
    release: ReleaseRecord,
    name: PackageName,
    version: Version,
    bytes: Vec<u8>,
    inside: Result<Manifest, String>,
    used: Option<Manifest>,
    published_at: Option<u64>,
    list: Option<Vec<LegacyVersion>>,
    proof: Option<(Integrity, Vec<B256>)>,
}

fn manifest(value: Value) -> Manifest {
    Manifest::parse(&value, false).unwrap()
}

impl Scene {
    fn verified() -> Self {
        let hashes = TarballHashes::of(BYTES);
        let members: Vec<Address> = (1..=3).map(Address::repeat_byte).collect();
        let honest = manifest(json!({"name": "left-pad", "version": "1.1.0", "dependencies": {"a": "1"}}));
        Self {
            package: PackageRecord {
                state: PackageState::Final,
                members: members.clone(),
                threshold: 2,
                release_delay_hours: 0,
                config_delay_hours: 0,
                recovery_days: 180,
                guardian: Address::ZERO,
                legacy_root: B256::ZERO,
                epoch: 1,
                claimed_at: 1_000,
                final_at: 1_000,
                retired_at: 0,
                pending_change: B256::ZERO,
                pending_ready_at: 0,
                recovery_pending: false,
            },
            release: ReleaseRecord {
                status: ReleaseStatus::Active,
                integrity: hashes.integrity,
                content_hash: hashes.content_hash,
                git_sha: FixedBytes::ZERO,
                published_at: 2_000,
                active_at: 2_000,
                epoch: 1,
                threshold: 2,
                signers: members[..2].to_vec(),
                flagged_until: 0,
            },
            name: "left-pad".parse().unwrap(),
            version: "1.1.0".parse().unwrap(),
            bytes: BYTES.to_vec(),
            inside: Ok(honest.clone()),
            used: Some(honest),
            published_at: Some(2_100),
            list: None,
            proof: None,
        }
    }

    /// A version of before the claim, with the whole list at hand.
    fn legacy() -> Self {
        let mut scene = Self::verified();
        let list: Vec<LegacyVersion> = ["1.0.0", "1.0.1", "1.1.0"]
            .iter()
            .map(|version| {
                let version: Version = version.parse().unwrap();
                let integrity = match version == scene.version {
                    true => Integrity::of(BYTES),
                    false => Integrity::of(version.to_string().as_bytes()),
                };
                LegacyVersion { version, integrity }
            })
            .collect();
        scene.package.legacy_root = root(&list);
        scene.list = Some(list);
        scene.published_at = Some(999);
        scene.unrecorded();
        scene
    }

    fn unrecorded(&mut self) {
        self.release.status = ReleaseStatus::None;
        self.release.integrity = Integrity::from_raw([0; 64]);
        self.release.content_hash = ContentHash(B256::ZERO);
        self.release.signers.clear();
    }

    fn judge(&self) -> Result<Verdict, Undecided> {
        let legacy = match (&self.proof, &self.list) {
            (Some((integrity, proof)), _) => LegacyEvidence::Proof { integrity: *integrity, proof },
            (None, Some(list)) => LegacyEvidence::List(list),
            (None, None) => LegacyEvidence::Missing,
        };
        let arrival = Arrival {
            name: &self.name,
            version: &self.version,
            hashes: TarballHashes::of(&self.bytes),
            inside: self.inside.as_ref().map_err(Clone::clone),
            used: self.used.as_ref(),
            published_at: self.published_at,
            legacy,
        };
        judge(&self.package, &self.release, &arrival)
    }
}

/// The verdict after one thing was bent.
fn verdict(scene: fn() -> Scene, bend: impl FnOnce(&mut Scene)) -> &'static str {
    let mut scene = scene();
    bend(&mut scene);
    scene.judge().unwrap().name()
}

fn undecided(scene: fn() -> Scene, bend: impl FnOnce(&mut Scene)) -> Undecided {
    let mut scene = scene();
    bend(&mut scene);
    scene.judge().unwrap_err()
}

#[test]
fn with_everything_right_the_release_is_verified_and_names_its_signers() {
    match Scene::verified().judge().unwrap() {
        Verdict::Verified(verified) => {
            assert_eq!(verified.signers(), [Address::repeat_byte(1), Address::repeat_byte(2)]);
            assert_eq!((verified.threshold(), verified.epoch(), verified.published_at()), (2, 1, 2_000));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(verdict(Scene::legacy, |_| ()), "Legacy");
}

#[test]
fn step_1_a_name_without_a_final_claim_is_not_enrolled() {
    for state in [PackageState::None, PackageState::Provisional] {
        assert_eq!(verdict(Scene::verified, |scene| scene.package.state = state), "NotEnrolled");
    }
    let retired = |scene: &mut Scene| scene.package.state = PackageState::Retired;
    assert_eq!(verdict(Scene::verified, retired), "Verified");
    let retired_unrecorded = |scene: &mut Scene| {
        scene.package.state = PackageState::Retired;
        scene.unrecorded();
    };
    assert_eq!(verdict(Scene::verified, retired_unrecorded), "NotEnrolled");
    // From the claim to the end of the name the team would have signed it.
    let published_at = |at| {
        verdict(Scene::verified, |scene| {
            retired_unrecorded(scene);
            (scene.package.claimed_at, scene.package.retired_at) = (1_000, 9_000);
            scene.published_at = at;
        })
    };
    for (at, expected) in [
        (Some(999), "NotEnrolled"),
        (Some(1_000), "Unrecorded"),
        (Some(8_999), "Unrecorded"),
        (Some(9_000), "NotEnrolled"),
        (None, "NotEnrolled"),
    ] {
        assert_eq!(published_at(at), expected, "{at:?}");
    }
}

#[test]
fn step_2_what_was_taken_back_or_still_cools_is_said_first() {
    for (status, expected) in [
        (ReleaseStatus::Revoked, "Revoked"),
        (ReleaseStatus::Vetoed, "Vetoed"),
        (ReleaseStatus::Cooling, "Cooling"),
    ] {
        // Even with the right bytes, and even for wrong ones.
        assert_eq!(verdict(Scene::verified, |scene| scene.release.status = status), expected);
        let tampered = |scene: &mut Scene| {
            scene.release.status = status;
            scene.bytes = b"other".to_vec();
        };
        assert_eq!(verdict(Scene::verified, tampered), expected);
    }
}

#[test]
fn step_3_other_bytes_are_a_mismatch_whichever_hash_differs() {
    assert_eq!(verdict(Scene::verified, |scene| scene.bytes.push(0)), "Mismatch");
    let other = Integrity::of(b"other");
    assert_eq!(verdict(Scene::verified, |scene| scene.release.integrity = other), "Mismatch");
    let other = ContentHash::of(b"other");
    assert_eq!(verdict(Scene::verified, |scene| scene.release.content_hash = other), "Mismatch");
}

#[test]
fn step_4_a_record_with_fewer_distinct_signers_than_its_threshold_is_not_believed() {
    let impossible = |error: Undecided| matches!(error, Undecided::ImpossibleRecord { .. });
    assert!(impossible(undecided(Scene::verified, |scene| scene.release.signers.truncate(1))));
    assert!(impossible(undecided(Scene::verified, |scene| scene.release.signers.clear())));
    assert!(impossible(undecided(Scene::verified, |scene| scene.release.threshold = 0)));
    let twice = |scene: &mut Scene| scene.release.signers = vec![Address::repeat_byte(1); 2];
    assert!(impossible(undecided(Scene::verified, twice)));
}

#[test]
fn step_5_without_a_record_or_a_legacy_root_the_version_is_unrecorded() {
    assert_eq!(verdict(Scene::verified, Scene::unrecorded), "Unrecorded");
}

#[test]
fn step_5_a_legacy_version_needs_proof_bytes_and_a_publish_time_before_the_claim() {
    // A proof is as good as the list.
    let with_proof = |scene: &mut Scene| {
        let list = scene.list.take().unwrap();
        scene.proof = Some((Integrity::of(BYTES), prove(&list, &scene.version).unwrap()));
    };
    assert_eq!(verdict(Scene::legacy, with_proof), "Legacy");
    // Other bytes under a legacy version.
    assert_eq!(verdict(Scene::legacy, |scene| scene.bytes.push(0)), "Mismatch");
    // Published after the claim, or at its very second: a claimant could have prepaid it.
    assert_eq!(verdict(Scene::legacy, |scene| scene.published_at = Some(1_000)), "Unrecorded");
    // A version that the list proves absent.
    assert_eq!(verdict(Scene::legacy, |scene| scene.version = "9.9.9".parse().unwrap()), "Unrecorded");
}

#[test]
fn step_5_what_nobody_proved_is_undecided_and_never_a_verdict() {
    let missing = undecided(Scene::legacy, |scene| scene.list = None);
    assert!(matches!(missing, Undecided::NoLegacyEvidence { .. }));
    let no_time = undecided(Scene::legacy, |scene| scene.published_at = None);
    assert!(matches!(no_time, Undecided::NoPublishTime { .. }));
    let shortened = undecided(Scene::legacy, |scene| scene.list.as_mut().unwrap().truncate(2));
    assert!(matches!(shortened, Undecided::BadLegacyEvidence { .. }));
    let forged = undecided(Scene::legacy, |scene| {
        let list = scene.list.take().unwrap();
        scene.proof = Some((Integrity::of(b"forged"), prove(&list, &scene.version).unwrap()));
    });
    assert!(matches!(forged, Undecided::BadLegacyEvidence { .. }));
}

#[test]
fn step_6_another_packages_tarball_under_this_name_is_a_mismatch() {
    for (name, version) in [("right-pad", "1.1.0"), ("left-pad", "1.1.1"), ("Left-pad", "1.1.0")] {
        for scene in [Scene::verified as fn() -> Scene, Scene::legacy] {
            let bent = |scene: &mut Scene| {
                let other = manifest(json!({"name": name, "version": version, "dependencies": {"a": "1"}}));
                scene.inside = Ok(other.clone());
                scene.used = Some(other);
            };
            assert_eq!(verdict(scene, bent), "Mismatch", "{name}@{version}");
        }
    }
}

#[test]
fn step_6_bytes_that_cannot_be_read_are_undecided() {
    let unreadable = undecided(Scene::verified, |scene| scene.inside = Err("\u{1b}[2Jnot gzip".to_owned()));
    assert!(matches!(&unreadable, Undecided::Unreadable { reason, .. } if !reason.contains('\u{1b}')));
}

#[test]
fn step_7_a_manifest_that_adds_something_to_the_signed_one_is_a_mismatch() {
    for scene in [Scene::verified as fn() -> Scene, Scene::legacy] {
        let added = |scene: &mut Scene| {
            let dependencies = json!({"a": "1", "evil": "1"});
            scene.used =
                Some(manifest(json!({"name": "left-pad", "version": "1.1.0", "dependencies": dependencies})));
        };
        assert_eq!(verdict(scene, added), "Mismatch");
        // A bare tarball: nobody used another manifest.
        assert_ne!(verdict(scene, |scene| scene.used = None), "Mismatch");
    }
}

#[test]
fn a_flag_keeps_its_warning_and_never_hides_other_bytes() {
    let flagged = |scene: &mut Scene| {
        scene.release.status = ReleaseStatus::Flagged;
        scene.release.flagged_until = 9_000;
    };
    assert_eq!(verdict(Scene::verified, flagged), "Flagged");
    let tampered = |scene: &mut Scene| {
        flagged(scene);
        scene.bytes.push(0);
    };
    assert_eq!(verdict(Scene::verified, tampered), "Mismatch");
}

#[test]
fn verdicts_read_the_same_in_json() {
    let verified = serde_json::to_value(Scene::verified().judge().unwrap()).unwrap();
    let signers = [Address::repeat_byte(1), Address::repeat_byte(2)];
    let expected = json!({"verdict": "verified", "signers": signers, "threshold": 2, "epoch": 1,
        "gitSha": FixedBytes::<20>::ZERO, "publishedAt": 2_000});
    assert_eq!(verified, expected);
    let mut scene = Scene::verified();
    scene.release.status = ReleaseStatus::Flagged;
    scene.release.flagged_until = 9;
    let flagged = serde_json::to_value(scene.judge().unwrap()).unwrap();
    assert_eq!(
        (&flagged["verdict"], &flagged["until"], &flagged["threshold"]),
        (&json!("flagged"), &json!(9), &json!(2))
    );
    scene.release.status = ReleaseStatus::Cooling;
    assert_eq!(
        serde_json::to_value(scene.judge().unwrap()).unwrap(),
        json!({"verdict": "cooling", "activeAt": 2_000})
    );
}

fn decided(rules: Value, verdict: &Verdict) -> Action {
    let case = Case {
        name: "left-pad",
        known: Known::Judged(verdict),
        from_registry: true,
        released: Released::At(0),
    };
    Policy::new(serde_json::from_value(rules).unwrap(), vec![], 1).decide(&case).action
}

#[test]
fn no_policy_lets_a_mismatch_or_a_release_that_was_taken_back_through() {
    let lenient = json!({
        "notEnrolled": "allow", "legacy": "allow", "unrecorded": "allow", "flagged": "allow", "nonRegistry": "allow",
        "exceptions": [{"rule": "unrecorded", "package": "*", "until": "2099-12-31"}],
    });
    let act = |bend: fn(&mut Scene)| {
        let mut scene = Scene::verified();
        bend(&mut scene);
        decided(lenient.clone(), &scene.judge().unwrap())
    };
    assert_eq!(act(|_| ()), Action::Allow);
    assert_eq!(act(|scene| scene.bytes.push(0)), Action::Deny);
    assert_eq!(act(|scene| scene.release.status = ReleaseStatus::Revoked), Action::Deny);
    assert_eq!(act(|scene| scene.release.status = ReleaseStatus::Vetoed), Action::Deny);
    assert_eq!(act(|scene| scene.release.status = ReleaseStatus::Cooling), Action::Deny);
    assert_eq!(act(Scene::unrecorded), Action::Allow);
}

#[test]
fn what_is_signed_is_allowed_and_required_and_what_nobody_signed_is_not() {
    let mut scene = Scene::verified();
    let required = json!({"required": ["left-pad"]});
    assert_eq!(decided(required.clone(), &scene.judge().unwrap()), Action::Allow);
    scene.release.status = ReleaseStatus::Flagged;
    scene.release.flagged_until = 9;
    assert_eq!(decided(required.clone(), &scene.judge().unwrap()), Action::Warn);
    let mut scene = Scene::verified();
    scene.unrecorded();
    assert_eq!(decided(json!({}), &scene.judge().unwrap()), Action::Deny);
    assert_eq!(decided(json!({"unrecorded": "allow"}), &scene.judge().unwrap()), Action::Allow);
    let both = json!({"unrecorded": "allow", "required": ["left-pad"]});
    assert_eq!(decided(both, &scene.judge().unwrap()), Action::Deny);
}
