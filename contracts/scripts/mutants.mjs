// Breaks the contracts one check at a time and expects the tests to notice: every mutant must be killed.
//
// A mutant is a contract built from a changed source and put in the place of the committed artefact; the tests
// deploy artefacts, so they need no rebuilding. It works on a copy in a temporary folder and changes nothing here.
// `npm run mutants` runs all; `npm run mutants -- 12 13` runs some by their number.
//
// Left out because nothing can tell it from the original: without `signer.code.length != 0` an account without code
// is asked as a wallet, and what is not there answers nothing. A precompile does answer, but none of them with
// ERC-1271's word to a question that begins with its selector.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const names = "NameRegistry.sol";
const packages = "PackageRegistry.sol";

/** file, what stands there (once), what the mutant has instead */
const mutants = [
  // The signature loop
  ["Signatures.sol", "if (signers >> members != 0) revert Errors.BadBitmap(signers, members);", ""],
  ["Signatures.sol", "signers >> members != 0", "signers >> members > 1"],
  ["Signatures.sol", "if (have < need)", "if (have + 1 < need)"],
  ["Signatures.sol", "if (have < need) revert Errors.TooFewSigners(have, need);", ""],
  ["Signatures.sol", "bits &= bits - 1", "bits >>= 1"],
  ["Signatures.sol", "if (walk.signed[i] == member) return;", "if (walk.signed[i] != member) return;"],
  ["Signatures.sol", "if (walk.signed[i] == member) return;", ""],
  ["Signatures.sol", "walk.signed[walk.known++] = member;", ""],
  ["Signatures.sol", "if (past > signatures.length) revert Errors.BadSignature(seat);", ""],
  ["Signatures.sol", "if (past > signatures.length)", "if (past > signatures.length + 1)"],
  ["Signatures.sol", "walk.read = past;", ""],
  ["Signatures.sol", "if (!isValid(member, walk.digest, signature)) revert Errors.BadSignature(seat);", ""],
  ["Signatures.sol", "if (walk.read != signatures.length)", "if (walk.read > signatures.length)"],
  ["Signatures.sol", "if (s > HALF_ORDER) return false;", ""],
  ["Signatures.sol", "s &= type(uint256).max >> 1;", ""],
  ["Signatures.sol", "v = 27 + (s >> 255);", "v = 27;"],
  ["Signatures.sol", "return recovered == signer && recovered != address(0);", "return recovered == signer;"],
  ["Signatures.sol", "return recovered == signer && recovered != address(0);", "return recovered != address(0);"],
  ["Signatures.sol", " && bytes3(head) != 0xef0100", ""],
  ["Signatures.sol", "and(and(ok, gt(returndatasize(), 31)), eq(mload(0), magic))", "and(ok, gt(returndatasize(), 31))"],
  ["Signatures.sol", "and(and(ok, gt(returndatasize(), 31)), eq(mload(0), magic))", "and(ok, eq(mload(0), magic))"],
  ["Signatures.sol", "and(and(ok, gt(returndatasize(), 31)), eq(mload(0), magic))", "and(gt(returndatasize(), 31), eq(mload(0), magic))"],
  ["Signatures.sol", "eq(mload(0), magic)", "eq(shr(224, mload(0)), shr(224, magic))"],
  // What is signed
  ["TypedData.sol", "block.chainid, verifyingContract", "uint256(31337), verifyingContract"],
  ["TypedData.sol", "block.chainid, verifyingContract", "block.chainid, address(0)"],
  // Claims
  [names, "if (!Signatures.isValid(registrar, digestOfRegistrarProof(commitment), registrarSignature)) {", "if (false) {"],
  [names, "if (!_isNpmSignature(c.packageName, version,", "if (false && !_isNpmSignature(c.packageName, version,"],
  [names, "if (c.members.length == 0) revert InvalidThreshold(c.threshold, 0);", ""],
  [names, "if (state > PackageState.Provisional) revert AlreadyClaimed();", ""],
  [names, "anchorBlock <= n.anchorBlock", "anchorBlock < n.anchorBlock"],
  [names, "n.anchorBlock = anchorBlock;", ""],
  [names, "keccak256(abi.encode(change, Anchor.blockHash(anchorBlock)))", "keccak256(abi.encode(change, bytes32(0)))"],
  ["Anchor.sol", "anchorBlock >= block.number", "anchorBlock > block.number"],
  ["Anchor.sol", "> WINDOW", "> WINDOW + 1"],
  ["Anchor.sol", "if (found == 0) revert Errors.StaleAnchor(anchorBlock);", ""],
  ["NpmSignature.sol", "if (uint256(s) > ORDER / 2 && uint256(s) < ORDER) s = bytes32(ORDER - uint256(s));", ""],
  [names, "block.timestamp < key.validFrom || ", ""],
  [names, " || block.timestamp >= key.validTo", ""],
  [names, "block.timestamp >= key.validTo", "block.timestamp > key.validTo"],
  // Configurations
  [names, "if (!Grammar.isName(c.packageName)) revert BadName(c.packageName);", ""],
  [names, "if (count > MAX_MEMBERS) revert TooManyMembers(count, MAX_MEMBERS);", ""],
  [names, "if (c.members[i] == address(0)) revert ZeroMember(i);", ""],
  [names, "if (c.members[i] == c.members[j]) revert DuplicateMember(c.members[i]);", ""],
  [names, "for (uint256 j; j < i; ++j) {", "for (uint256 j; j + 1 < i; ++j) {"],
  [names, "c.threshold > count || ", ""],
  [names, " || (c.threshold == 0 && count != 0)", ""],
  [names, "c.releaseDelayHours > MAX_RELEASE_DELAY_HOURS", "c.releaseDelayHours > MAX_RELEASE_DELAY_HOURS + 1"],
  [names, "c.configDelayHours > MAX_CONFIG_DELAY_HOURS", "c.configDelayHours > MAX_CONFIG_DELAY_HOURS + 1"],
  [names, "c.recoveryDays < MIN_RECOVERY_DAYS || ", ""],
  [names, " || c.recoveryDays > MAX_RECOVERY_DAYS", ""],
  [names, "if (c.deadline <= block.timestamp)", "if (c.deadline < block.timestamp)"],
  [names, "if (c.deadline > block.timestamp + MAX_DEADLINE_AHEAD) {", "if (c.deadline > block.timestamp + MAX_DEADLINE_AHEAD + 1) {"],
  [names, "Signatures.checkBitmap(signers, count, c.threshold);", "Signatures.checkBitmap(signers, count, 0);"],
  [names, "if ((signers >> i) & 1 == 1) Signatures.checkSeat(walk, i, c.members[i], signatures);", ""],
  [names, "_checkFinal(n);\n        _checkNext(n, c);", "_checkNext(n, c);"],
  [names, "_checkFinal(n);\n        _checkNext(n, c);", "_checkFinal(n);"],
  [names, "bytes32 change = _checkConfig(c, newSigners, newSignatures);", "bytes32 change = digestOf(c);"],
  [names, "if (isCancelled[change]) revert ChangeCancelled(change);", ""],
  [names, "if (n.pendingChange != 0 && !n.recoveryPending) revert ChangePending(n.pendingChange);", ""],
  [names, "_checkMembers(id, n, change, signers, n.threshold, signatures);", ""],
  [names, "_checkMembers(id, n, change, signers, n.threshold, signatures);", "_checkMembers(id, n, change, signers, 1, signatures);"],
  [names, "if (n.configDelayHours == 0) _apply(id, n, c);", "if (c.configDelayHours == 0) _apply(id, n, c);"],
  [names, "else _schedule(id, n, c, change, uint256(n.configDelayHours) * 1 hours);", "else _schedule(id, n, c, change, uint256(c.configDelayHours) * 1 hours);"],
  [names, "if (change != n.pendingChange) revert", "if (false) revert"],
  [names, "if (block.timestamp < n.pendingReadyAt) revert NotReady(n.pendingReadyAt);", ""],
  [names, "if (change != n.pendingChange || change == 0) revert", "if (change != n.pendingChange) revert"],
  [names, "if (change != n.pendingChange || change == 0) revert", "if (change == 0) revert"],
  [names, "recovery ? 1 : n.threshold", "1"],
  [names, "recovery ? 1 : n.threshold", "n.threshold"],
  [names, "if (!recovery) isCancelled[change] = true;", ""],
  [names, "_drop(id, n);\n        n.lastActAt = uint40(block.timestamp);", "n.lastActAt = uint40(block.timestamp);"],
  [names, "_drop(id, n);\n        n.lastActAt = uint40(block.timestamp);", "_drop(id, n);"],
  // Recovery
  [names, "if (guardian == address(0)) revert NoGuardian();", ""],
  [names, "if (!Signatures.isValid(guardian, change, guardianSignature)) revert BadClaimProof();", ""],
  [names, "_checkNext(n, c);\n        if (n.pendingChange != 0)", "if (n.pendingChange != 0)"],
  [names, "if (n.pendingChange != 0) revert ChangePending(n.pendingChange);\n        uint256 silentUntil", "uint256 silentUntil"],
  [names, "if (block.timestamp < silentUntil) revert NotReady(silentUntil);", ""],
  [names, "n.lastActAt + ACT_GRAIN + uint256(n.recoveryDays) * 1 days", "n.lastActAt + uint256(n.recoveryDays) * 1 days"],
  [names, "n.recoveryPending = true;", ""],
  [names, "_schedule(id, n, c, change, RECOVERY_WAIT);", "_schedule(id, n, c, change, RECOVERY_WAIT - 1);"],
  [names, "if (n.recoveryPending) _drop(id, n);\n        if (block", "if (block"],
  [names, "if (block.timestamp > n.lastActAt + ACT_GRAIN) n.lastActAt", "if (block.timestamp >= n.lastActAt + ACT_GRAIN) n.lastActAt"],
  [names, "if (block.timestamp > n.lastActAt + ACT_GRAIN) n.lastActAt = uint40(block.timestamp);", ""],
  // Authority for others
  [names, "TypedData.digest(msg.sender, structHash), 0);", "TypedData.digest(address(this), structHash), 0);"],
  [names, "TypedData.digest(msg.sender, structHash), signers, 1", "TypedData.digest(msg.sender, structHash), signers, 0"],
  [names, "releaseDelayHours = _authorize(walk, id, epoch, signers, signatures);\n        Signatures.end(walk, signatures);", "releaseDelayHours = _authorize(walk, id, epoch, signers, signatures);"],
  [names, "acts[i].signers, signatures);\n        }\n        Signatures.end(walk, signatures);", "acts[i].signers, signatures);\n        }"],
  [names, "_checkFinal(n);\n        if (epoch != n.epoch)", "if (epoch != n.epoch)"],
  [names, "if (epoch != n.epoch) revert WrongEpoch(epoch, n.epoch);", ""],
  [names, "_checkSeats(walk, id, n, signers, n.threshold, signatures);\n        _acted(id, n);", "_checkSeats(walk, id, n, signers, n.threshold - 1, signatures);\n        _acted(id, n);"],
  [names, "_acted(id, n);\n        return", "return"],
  [names, "_checkFinal(n);\n        _checkMembers(", "_checkMembers("],
  [names, "Signatures.checkBitmap(signers, n.members, need);", "Signatures.checkBitmap(signers, 16, need);"],
  [names, "if (bits & 1 == 1) Signatures.checkSeat(walk, seat, seats[seat].member, signatures);", "if (bits & 1 == 1 && seat != 1) Signatures.checkSeat(walk, seat, seats[seat].member, signatures);"],
  [names, "if (bits & 1 == 1) Signatures.checkSeat(walk, seat, seats[seat].member, signatures);", "if (bits & 1 == 1) Signatures.checkSeat(walk, seat, seats[0].member, signatures);"],
  [names, "if (state == PackageState.Retired) revert Retired();", ""],
  [names, "if (state == PackageState.Provisional) revert ClaimProvisional(n.finalAt);\n        if (state == PackageState.Retired)", "if (state == PackageState.Retired)"],
  // The registrar
  [names, "if (!Signatures.isValid(registrar, digest, signature)) revert BadSignature(0);", ""],
  [names, "++registrarNonce;", ""],
  [names, "if (!Signatures.isValid(next, digest, nextSignature)) revert BadSignature(1);", ""],
  [names, "if (delayed.validFrom < earliest) delayed.validFrom = earliest.toUint64();", ""],
  [names, "_npmKeys[keyIndex].validTo = 0;", ""],
  // Releases
  [packages, "if (rs.length != signers.length) revert BatchLength(rs.length, signers.length);", ""],
  [packages, "_checkDeadline(r.deadline, MAX_DEADLINE_AHEAD);\n        if (!Grammar.isVersion(r.version)) revert BadVersion(r.version);\n        _useNonce", "if (!Grammar.isVersion(r.version)) revert BadVersion(r.version);\n        _useNonce"],
  [packages, "if (!Grammar.isVersion(r.version)) revert BadVersion(r.version);\n        _useNonce", "_useNonce"],
  [packages, "_useNonce(id, r.nonce, r.epoch, signers);", ""],
  [packages, "if (record.settled != 0) revert VersionExists();", ""],
  [packages, "if (marks & USED != 0) revert NonceUsed(nonce);", ""],
  [packages, "if (marks & WITHDRAWN != 0) _checkNotWithdrawn(id, nonce, epoch, signers);", ""],
  [packages, "_marks[id][_groupOf(head)] = head.marks;", ""],
  [packages, "head.marks = _marks[id][_groupOf(nonce)];", "head.marks = 0;"],
  [packages, "if (nonce >= head.nextNonce) {", "{"],
  [packages, "++head.releases;", ""],
  [packages, "_setMark(id, head, nonce, USED);", ""],
  [packages, "(nonce & 63) * 2", "(nonce & 31) * 2"],
  [packages, "if (nonce > MAX_NONCE) revert NonceTooHigh(nonce);", ""],
  [packages, "(signers >> i) & 1 == 1 && isWithdrawn", "isWithdrawn"],
  [packages, "if (deadline <= block.timestamp)", "if (deadline < block.timestamp)"],
  [packages, "if (deadline > block.timestamp + ahead)", "if (deadline > block.timestamp + ahead + 1)"],
  [packages, "record.releaseDelayHours = delayHours.toUint8();", ""],
  // Revoke, withdraw, veto, flag
  [packages, "nameRegistry.authorize(id, r.epoch, signers, TypedData.hash(r), signatures);", ""],
  [packages, "if (record.settled > OPEN) revert AlreadySettled();", ""],
  [packages, "_checkDeadline(r.deadline, MAX_DEADLINE_AHEAD);\n        if (!Grammar.isVersion(r.version)) revert BadVersion(r.version);\n        nameRegistry", "if (!Grammar.isVersion(r.version)) revert BadVersion(r.version);\n        nameRegistry"],
  [packages, "if (!Grammar.isVersion(r.version)) revert BadVersion(r.version);\n        nameRegistry", "nameRegistry"],
  [packages, "if (isNonceUsed(id, nonce)) revert NonceUsed(nonce);", ""],
  [packages, "isWithdrawn[id][nonce][by[i]] = true;", ""],
  [packages, "_setMark(id, head, nonce, WITHDRAWN);", ""],
  [packages, "if (block.timestamp >= activeAt) revert NotCooling(activeAt);", ""],
  [packages, "if (block.timestamp >= activeAt)", "if (block.timestamp > activeAt)"],
  [packages, "record.settled = VETOED;", ""],
  [packages, "record.settled = REVOKED;", ""],
  [packages, "_checkDeadline(f.deadline, MAX_FLAG);", ""],
  [packages, "if (f.deadline > _flaggedUntil[id][versionHash]) _flaggedUntil", "_flaggedUntil"],
  [packages, "_open(id, versionHash);\n        _checkDeadline", "_checkDeadline"],
  [packages, "if (record.settled == 0) revert NoRecord();", ""],
  [packages, "if (record.settled != OPEN) revert AlreadySettled();", ""],
  [packages, "if (block.timestamp < _activeAt(record)) return Status.Cooling;", ""],
  [packages, "block.timestamp < _flaggedUntil[id][versionHash] ?", "block.timestamp <= _flaggedUntil[id][versionHash] ?"],
  ["SafetyRegistry.sol", "if (r.previous != current) revert WrongReport(r.previous, current);", ""],
  ["SafetyRegistry.sol", "if (!Signatures.isValid(scorer, digestOf(r), signature)) revert BadSignature(0);", ""],
  ["LockedToken.sol", "if (from != address(0)) --_balances[from];", ""],
  ["LockedToken.sol", "if (from == to) return;", ""],
];

const work = mkdtempSync(join(tmpdir(), "mutants-"));
const tests = join(work, "tests", "contracts");
const build = join(work, "build");
const forge = join(root, "node_modules", ".bin", "forge");

function copyTo(folder, parts) {
  for (const part of parts.filter((part) => existsSync(join(root, part)))) {
    cpSync(join(root, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
}

function forgeTest(...filter) {
  const env = { ...process.env, FOUNDRY_INVARIANT_RUNS: "8", FOUNDRY_FUZZ_RUNS: "32" };
  return spawnSync(forge, ["test", "--fail-fast", ...filter], { cwd: tests, encoding: "utf8", env });
}

/** Unit tests first: they take seconds. What they let live meets the adversary. Returns the output of a failure. */
function failure() {
  for (const filter of ["--no-match-contract", "--match-contract"]) {
    const others = filter === "--match-contract" ? "InvariantsTest" : "InvariantsTest|GasTest|TypedDataTest|SignersTest";
    const run = forgeTest(filter, others);
    if (run.status !== 0) return `${run.stdout}${run.stderr}`;
  }
  return undefined;
}

/** A registry's own source changes only that registry; what they share changes all of them. */
function artefacts(file) {
  const one = [names, packages, "SafetyRegistry.sol"].includes(file);
  const changed = one ? [file.replace(".sol", "")] : ["NameRegistry", "PackageRegistry", "SafetyRegistry"];
  execFileSync("node", ["scripts/artefact.mjs", "write", ...changed], { cwd: build, stdio: ["ignore", "ignore", "pipe"] });
}

try {
  copyTo(tests, ["src", "test", "bin", "artifacts", "foundry.toml", "snapshots", "out", "cache"]);
  copyTo(build, ["src", "bin", "scripts", "foundry.toml", "artifacts"]);
  cpSync(join(root, "..", "fixtures"), join(work, "tests", "fixtures"), { recursive: true });
  const broken = failure();
  if (broken !== undefined) throw new Error(`the tests fail without any mutant:\n${broken}`);

  const chosen = process.argv.slice(2).map(Number);
  let survivors = 0;
  for (const [index, [file, from, to]] of mutants.entries()) {
    if (chosen.length > 0 && !chosen.includes(index)) continue;
    const path = join(build, "src", file);
    const source = readFileSync(path, "utf8");
    const label = `${index} ${file}: ${from.replaceAll(/\s+/g, " ")} -> ${to.replaceAll(/\s+/g, " ") || "nothing"}`;
    if (source.split(from).length !== 2) throw new Error(`mutant ${label}: its text is not there exactly once`);
    writeFileSync(path, source.replace(from, () => to));
    artefacts(file);
    cpSync(join(build, "artifacts"), join(tests, "artifacts"), { recursive: true });
    const killed = failure() !== undefined;
    if (!killed) survivors += 1;
    process.stdout.write(`${killed ? "killed  " : "SURVIVED"} ${label}\n`);
    writeFileSync(path, source);
    cpSync(join(root, "artifacts"), join(build, "artifacts"), { recursive: true });
  }
  process.stdout.write(`${survivors} survived\n`);
  if (survivors > 0) process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true });
}
