//! The layout against what the compiler and the sources say, and each field and each impossible word alone.
//! That a node's words come out like the contracts' own reads is tested in `chain`, on a real node.

use std::collections::BTreeMap;

use alloy_primitives::{Address, keccak256};
use serde_json::Value;

use super::layout::{RECORDS, SEATS};
use super::*;

const NOW: u64 = 1_800_000_000;
const WINDOW: u64 = 1_209_600;

/// Slot and type of every variable of a contract, from the committed artefact.
fn variables(artefact: &str) -> BTreeMap<String, (U256, String)> {
    let artefact: Value = serde_json::from_str(artefact).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = artefact["storageLayout"].as_array().unwrap().iter().map(|entry| {
        assert_eq!(entry["offset"], 0, "{entry}");
        (text(&entry["label"]), (text(&entry["slot"]).parse().unwrap(), text(&entry["type"])))
    });
    entries.collect()
}

#[test]
fn the_mappings_are_where_the_compiler_put_them() {
    let names = variables(include_str!("../../../../contracts/artifacts/NameRegistry.json"));
    let packages = variables(include_str!("../../../../contracts/artifacts/PackageRegistry.json"));
    let check = |found: &BTreeMap<String, (U256, String)>, label: &str, slot: U256, kind: &str| {
        assert_eq!(found[label], (slot, kind.to_owned()), "{label}");
    };
    check(&names, "_names", NAMES, "mapping(bytes32 => struct NameRegistry.Name)");
    check(&names, "_seats", SEATS, "mapping(bytes32 => mapping(uint256 => struct NameRegistry.Seat[16]))");
    let kind = "mapping(bytes32 => mapping(bytes32 => struct PackageRegistry.Record))";
    check(&packages, "_records", RECORDS, kind);
    check(&packages, "_heads", HEADS, "mapping(bytes32 => struct PackageRegistry.Head)");
    check(&packages, "_flaggedUntil", FLAGGED_UNTIL, "mapping(bytes32 => mapping(bytes32 => uint256))");
}

/// The members of a struct in a source file, packed by Solidity's rule: into the current word while they fit.
fn packed(source: &str, name: &str) -> Vec<(String, u8, usize, usize)> {
    let (_, body) = source.split_once(&format!("struct {name} {{")).unwrap();
    let (body, _) = body.split_once('}').unwrap();
    let (mut word, mut used) = (0, 0);
    let mut members = vec![];
    for line in
        body.lines().map(|line| line.split("//").next().unwrap().trim()).filter(|line| !line.is_empty())
    {
        let (kind, member) = line.strip_suffix(';').unwrap().split_once(' ').unwrap();
        let size = match kind {
            "bool" => 1,
            "address" => 20,
            "bytes20" => 20,
            "bytes32" => 32,
            number => number.strip_prefix("uint").unwrap().parse::<usize>().unwrap() / 8,
        };
        if used + size > 32 {
            (word, used) = (word + 1, 0);
        }
        members.push((member.to_owned(), word, used, size));
        used += size;
    }
    members
}

#[test]
fn every_field_is_where_the_source_packs_it() {
    let names = include_str!("../../../../contracts/src/NameRegistry.sol");
    let packages = include_str!("../../../../contracts/src/PackageRegistry.sol");
    let check = |source: &str, name: &str, fields: &[Field]| {
        let ours: Vec<_> = fields
            .iter()
            .map(|field| (field.name.to_owned(), field.word, field.below, field.bytes))
            .collect();
        assert_eq!(ours, packed(source, name), "{name}");
    };
    check(
        names,
        "Name",
        &[
            name::THRESHOLD,
            name::MEMBERS,
            name::RELEASE_DELAY_HOURS,
            name::CONFIG_DELAY_HOURS,
            name::RECOVERY_DAYS,
            name::EPOCH,
            name::FINAL_AT,
            name::LAST_ACT_AT,
            name::ANCHOR_BLOCK,
            name::RECOVERY_PENDING,
            name::GUARDIAN,
            name::PENDING_READY_AT,
            name::LEGACY_ROOT,
            name::PENDING_CHANGE,
        ],
    );
    check(names, "Seat", &[seat::MEMBER, seat::MEMBERS, seat::THRESHOLD]);
    check(packages, "Head", &[head::NEXT_NONCE, head::RELEASES, head::MARKS]);
    check(
        packages,
        "Record",
        &[
            record::SHA512_HI,
            record::SHA512_LO,
            record::CONTENT_HASH,
            record::RELEASE_DELAY_HOURS,
            record::SETTLED,
            record::EPOCH,
            record::SIGNERS,
            record::PUBLISHED_AT,
            record::GIT_SHA,
        ],
    );
    for (constant, value) in [("OPEN", OPEN), ("VETOED", VETOED), ("REVOKED", REVOKED)] {
        assert!(packages.contains(&format!("uint8 private constant {constant} = {value};")), "{constant}");
    }
    assert!(names.contains(&format!("uint256 public constant MAX_MEMBERS = {MAX_MEMBERS};")));
}

fn id() -> B256 {
    keccak256("left-pad")
}

fn version() -> B256 {
    keccak256("1.0.0")
}

fn member(seat: u8) -> Address {
    Address::repeat_byte(0xa0 | seat)
}

/// Words as the contracts would have them; written here by shifting, apart from how they are read.
#[derive(Clone)]
struct Words(BTreeMap<U256, U256>);

impl Words {
    fn set(&mut self, slot: U256, below: usize, value: U256) -> &mut Self {
        let word = self.0.entry(slot).or_default();
        *word |= value << (8 * below);
        self
    }

    fn clear(&mut self, slot: U256) -> &mut Self {
        self.0.insert(slot, U256::ZERO);
        self
    }

    fn storage(&self) -> ProvenStorage {
        ProvenStorage::unproven(self.0.clone())
    }
}

/// A team of three, two of whom must sign, at epoch 4, with every field different from every other.
fn team() -> Words {
    let mut words = Words(BTreeMap::new());
    let first = name_slot(id());
    words.set(first, 0, U256::from(2)).set(first, 1, U256::from(3)).set(first, 2, U256::from(24));
    words.set(first, 4, U256::from(720)).set(first, 6, U256::from(365)).set(first, 8, U256::from(4));
    words.set(first, 12, U256::from(NOW - 10)).set(first, 17, U256::from(NOW - 20));
    words.set(first, 22, U256::from(77)).set(first, 30, U256::from(1));
    let second = first + U256::from(1);
    words.set(second, 0, U256::from_be_slice(&[0x66; 20])).set(second, 20, U256::from(NOW + 99));
    words.set(first + U256::from(2), 0, U256::from_be_bytes([0x77; 32]));
    words.set(first + U256::from(3), 0, U256::from_be_bytes([0x88; 32]));
    for seat in 0..3_u8 {
        words.set(seat_slot(id(), 4, seat.into()), 0, U256::from_be_slice(member(seat).as_slice()));
    }
    words.set(seat_slot(id(), 4, 0), 20, U256::from(3)).set(seat_slot(id(), 4, 0), 21, U256::from(2));
    words
}

fn read_name(words: &Words) -> Result<PackageRecord, StorageError> {
    let storage = words.storage();
    StoredName::begin(id(), &storage)?.record(&storage, &ProvenHeader::unproven(NOW), WINDOW)
}

#[test]
fn a_name_comes_out_field_by_field() {
    let expected = PackageRecord {
        state: PackageState::Final,
        members: (0..3).map(member).collect(),
        threshold: 2,
        release_delay_hours: 24,
        config_delay_hours: 720,
        recovery_days: 365,
        guardian: Address::repeat_byte(0x66),
        legacy_root: B256::repeat_byte(0x77),
        epoch: 4,
        claimed_at: NOW - 10 - WINDOW,
        final_at: NOW - 10,
        retired_at: 0,
        pending_change: B256::repeat_byte(0x88),
        pending_ready_at: NOW + 99,
        recovery_pending: true,
    };
    assert_eq!(read_name(&team()).unwrap(), expected);

    // The slots that are asked for are the slots that are needed.
    let words = team();
    let name = StoredName::begin(id(), &words.storage()).unwrap();
    assert_eq!(name.slots().len(), 6);
    for slot in [vec![name_slot(id())], name.slots()].concat() {
        let mut words = team();
        words.0.remove(&slot);
        assert_eq!(read_name(&words), Err(StorageError::Missing { slot }));
    }
}

#[test]
fn a_name_is_what_its_times_and_seats_make_it() {
    let first = name_slot(id());
    let mut free = Words(BTreeMap::new());
    free.clear(first);
    assert_eq!(read_name(&free).unwrap(), PackageRecord::unclaimed());
    assert!(StoredName::begin(id(), &free.storage()).unwrap().slots().is_empty());

    let at = |time: u64| {
        let storage = team().storage();
        let record = StoredName::begin(id(), &storage).unwrap();
        record.record(&storage, &ProvenHeader::unproven(time), WINDOW).unwrap().state
    };
    assert_eq!((at(NOW - 11), at(NOW - 10)), (PackageState::Provisional, PackageState::Final));

    let mut retired = team();
    retired.clear(first).set(first, 8, U256::from(5)).set(first, 12, U256::from(NOW - 10));
    retired.set(first, 17, U256::from(NOW - 1));
    let record = read_name(&retired).unwrap();
    assert_eq!((record.state, record.retired_at, record.epoch), (PackageState::Retired, NOW - 1, 5));
    assert!(record.members.is_empty());
}

/// `bend` makes words that the pinned code never stores.
#[track_caller]
fn impossible_name(bend: impl FnOnce(&mut Words)) {
    let mut words = team();
    bend(&mut words);
    let result = read_name(&words);
    assert!(matches!(result, Err(StorageError::Impossible { what: "name", .. })), "{result:?}");
}

#[test]
fn a_name_that_the_code_never_stores_is_refused() {
    let (first, seat) = (name_slot(id()), seat_slot(id(), 4, 0));
    impossible_name(|words| {
        words.set(first, 0, U256::from(4));
    });
    impossible_name(|words| {
        words.set(first, 1, U256::from(16));
    });
    impossible_name(|words| {
        words.set(seat, 20, U256::from(4));
    });
    impossible_name(|words| {
        words.set(seat, 21, U256::from(1));
    });
    // Final before the window could have passed since 1970.
    impossible_name(|words| {
        words.clear(first).set(first, 0, U256::from(2)).set(first, 1, U256::from(3));
        words.set(first, 8, U256::from(4)).set(first, 12, U256::from(9));
    });
}

/// A release of that team: seats 0 and 2 signed, it cools for 24 hours.
fn release(published_at: u64, settled: u64, flagged_until: u64) -> Words {
    let mut words = team();
    let first = record_slot(id(), version());
    for (word, byte) in [(0, 0x11), (1, 0x22), (2, 0x33)] {
        words.set(first + U256::from(word), 0, U256::from_be_bytes([byte; 32]));
    }
    let meta = first + U256::from(3);
    words.set(meta, 0, U256::from(24)).set(meta, 1, U256::from(settled)).set(meta, 2, U256::from(4));
    words.set(meta, 5, U256::from(0b101)).set(meta, 7, U256::from(published_at));
    words.set(meta, 12, U256::from_be_slice(&[0x44; 20]));
    words.set(mapping_slot(version(), mapping_slot(id(), FLAGGED_UNTIL)), 0, U256::from(flagged_until));
    words
}

fn read_release(words: &Words) -> Result<ReleaseRecord, StorageError> {
    let storage = words.storage();
    let release = StoredRelease::begin(id(), version(), &storage)?;
    release.record(&storage, &storage, &ProvenHeader::unproven(NOW))
}

const DAY: u64 = 24 * 3600;

#[test]
fn a_release_comes_out_field_by_field() {
    let words = release(NOW - DAY, OPEN, NOW + 7);
    let expected = ReleaseRecord {
        status: ReleaseStatus::Flagged,
        integrity: Integrity::from_words(B256::repeat_byte(0x11), B256::repeat_byte(0x22)),
        content_hash: ContentHash(B256::repeat_byte(0x33)),
        git_sha: FixedBytes([0x44; 20]),
        published_at: NOW - DAY,
        active_at: NOW,
        epoch: 4,
        threshold: 2,
        signers: vec![member(0), member(2)],
        flagged_until: NOW + 7,
    };
    assert_eq!(read_release(&words).unwrap(), expected);

    let stored = StoredRelease::begin(id(), version(), &words.storage()).unwrap();
    assert_eq!((stored.package_slots().len(), stored.name_slots().len()), (4, 2));
    for slot in [vec![release_slot(id(), version())], stored.package_slots(), stored.name_slots()].concat() {
        let mut words = words.clone();
        words.0.remove(&slot);
        assert_eq!(read_release(&words), Err(StorageError::Missing { slot }));
    }
}

#[test]
fn a_release_has_the_status_that_ranks_highest() {
    use ReleaseStatus::{Active, Cooling, Flagged, Revoked, Vetoed};
    let status = |published_at, settled, flagged_until| {
        read_release(&release(published_at, settled, flagged_until)).unwrap().status
    };
    assert_eq!(status(NOW - DAY + 1, OPEN, NOW + 1), Cooling);
    assert_eq!(status(NOW - DAY, OPEN, NOW + 1), Flagged);
    assert_eq!(status(NOW - DAY, OPEN, NOW), Active);
    assert_eq!(status(NOW, VETOED, NOW + 1), Vetoed);
    assert_eq!(status(NOW, REVOKED, NOW + 1), Revoked);
}

#[test]
fn without_a_record_there_is_a_status_and_nothing_else() {
    let meta = release_slot(id(), version());
    for (settled, expected) in [(0, ReleaseStatus::None), (REVOKED, ReleaseStatus::Revoked)] {
        let mut words = Words(BTreeMap::new());
        words.clear(meta).set(meta, 1, U256::from(settled));
        assert_eq!(read_release(&words).unwrap(), without_record(expected));
        let stored = StoredRelease::begin(id(), version(), &words.storage()).unwrap();
        assert!(stored.package_slots().is_empty() && stored.name_slots().is_empty());
    }
}

#[test]
fn a_release_that_the_code_never_stores_is_refused() {
    let meta = release_slot(id(), version());
    let seat = seat_slot(id(), 4, 0);
    let impossible = |words: &Words| {
        let result = read_release(words);
        assert!(matches!(result, Err(StorageError::Impossible { what: "release", .. })), "{result:?}");
    };
    impossible(&release(NOW, 0, 0));
    impossible(&release(NOW, 4, 0));
    for settled in [OPEN, VETOED] {
        let mut words = Words(BTreeMap::new());
        impossible(words.clear(meta).set(meta, 1, U256::from(settled)));
    }
    // A signer beyond the last seat.
    impossible(release(NOW, OPEN, 0).set(meta, 5, U256::from(0b1101)));
    // An epoch without seats, with too many, with a threshold above the signers or of zero.
    impossible(release(NOW, OPEN, 0).clear(seat));
    impossible(release(NOW, OPEN, 0).set(seat, 20, U256::from(16)));
    impossible(release(NOW, OPEN, 0).set(seat, 21, U256::from(1)));
    impossible(release(NOW, OPEN, 0).clear(seat).set(seat, 20, U256::from(3)));
    let flag = mapping_slot(version(), mapping_slot(id(), FLAGGED_UNTIL));
    impossible(release(NOW, OPEN, 0).set(flag, 8, U256::from(1)));
}
