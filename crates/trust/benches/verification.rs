//! What verifying a release costs beside the SHA-512 that npm computes of the same bytes anyway.
//! Results and command: docs/benchmarks.md.

use std::hint::black_box;

use alloy_primitives::{Address, B256, FixedBytes, U256};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trust::digest::Hasher;
use trust::manifest::Manifest;
use trust::message::{Domain, Release, signing_request};
use trust::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use trust::verdict::{Arrival, LegacyEvidence, Verdict, judge};
use trust::{PackageName, TarballHashes, Version};

fn verification(c: &mut Criterion) {
    let name: PackageName = "left-pad".parse().expect("a name");
    let version: Version = "1.0.0".parse().expect("a version");
    let manifest = Manifest::parse(&serde_json::json!({"name": "left-pad", "version": "1.0.0"}), false)
        .expect("a manifest");
    let domain = Domain { chain_id: 8453, verifying_contract: Address::repeat_byte(1) }.eip712();
    let mut group = c.benchmark_group("verification");
    for size in [50_000_usize, 1_000_000, 16_000_000] {
        let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let (package, release) = records(&bytes);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("plain sha512", size), &bytes, |b, bytes| {
            b.iter(|| {
                let mut hasher = Hasher::sha512();
                hasher.update(black_box(bytes));
                hasher.finish()
            });
        });
        group.bench_with_input(BenchmarkId::new("both hashes", size), &bytes, |b, bytes| {
            b.iter(|| TarballHashes::of(black_box(bytes)));
        });
        group.bench_with_input(BenchmarkId::new("hashes, digest, judgement", size), &bytes, |b, bytes| {
            b.iter(|| {
                let hashes = TarballHashes::of(black_box(bytes));
                let message = Release {
                    packageName: name.to_string(),
                    version: version.to_string(),
                    integrity: hashes.integrity.to_string(),
                    contentHash: hashes.content_hash.0,
                    gitSha: B256::ZERO,
                    ciRunUrl: String::new(),
                    epoch: 1,
                    nonce: U256::ZERO,
                    deadline: U256::from(1),
                };
                let digest = signing_request(&message, &domain).expect("a digest").digest;
                let arrival = Arrival {
                    name: &name,
                    version: &version,
                    hashes,
                    inside: Ok(&manifest),
                    used: Some(&manifest),
                    published_at: None,
                    legacy: LegacyEvidence::Missing,
                };
                let verdict = judge(&package, &release, &arrival).expect("a verdict");
                assert!(matches!(verdict, Verdict::Verified(_)));
                (digest, verdict)
            });
        });
    }
    group.finish();
}

fn records(bytes: &[u8]) -> (PackageRecord, ReleaseRecord) {
    let hashes = TarballHashes::of(bytes);
    let members = vec![Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3)];
    let release = ReleaseRecord {
        status: ReleaseStatus::Active,
        integrity: hashes.integrity,
        content_hash: hashes.content_hash,
        git_sha: FixedBytes::ZERO,
        published_at: 2,
        active_at: 2,
        epoch: 1,
        threshold: 2,
        signers: vec![Address::repeat_byte(1), Address::repeat_byte(2)],
        flagged_until: 0,
    };
    let package = PackageRecord {
        state: PackageState::Final,
        members,
        threshold: 2,
        release_delay_hours: 0,
        config_delay_hours: 0,
        recovery_days: 180,
        guardian: Address::ZERO,
        legacy_root: B256::ZERO,
        epoch: 1,
        claimed_at: 1,
        final_at: 1,
        retired_at: 0,
        pending_change: B256::ZERO,
        pending_ready_at: 0,
        recovery_pending: false,
    };
    (package, release)
}

criterion_group!(benches, verification);
criterion_main!(benches);
