// Breaks the contracts one check at a time and expects the tests to notice: every mutant must be killed.
//
// A mutant is a contract built from a changed source and put in the place of the committed artefact; the tests
// deploy artefacts, so they need no rebuilding. It works on a copy in a temporary folder and changes nothing here.
// `npm run mutants` runs all, one on each core; `npm run mutants -- --jobs 1 12 13` runs some by their number, one by one.
//
// Two are left out because nothing can tell them from the original. Without `signer.code.length != 0` an account without
// code is asked as a wallet, and what is not there answers nothing; a precompile does answer, but none of them with
// ERC-1271's word to a question that begins with its selector. Without `end == start` in the grammar an identifier of no
// characters goes on to the next line, where it is digits alone and no number.
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const names = "NameRegistry.sol";
const packages = "PackageRegistry.sol";
const signer = "signers/P256Signer.sol";
const factory = "signers/SignerFactory.sol";

/** Each field of a message, left out of its digest. */
function unsigned(contract, type, fields) {
  const source = readFileSync(join(root, "src", "TypedData.sol"), "utf8");
  const [encoded] = source.match(new RegExp(`abi\\.encode\\(\\s*${type},[^;]*;`));
  return fields.map((field) => {
    const at = encoded.search(new RegExp(`(?<=[\\s,])${field.replaceAll(/[.()]/g, "\\$&")}(?=[,)\\s])`));
    if (at < 0) throw new Error(`${type} has no field ${field}`);
    return ["TypedData.sol", encoded, `${encoded.slice(0, at)}uint256(0)${encoded.slice(at + field.length)}`, contract];
  });
}

/** The type string of a message, with its last field under another name. */
function otherType(contract, constant) {
  const source = readFileSync(join(root, "src", "TypedData.sol"), "utf8");
  const [declared] = source.match(new RegExp(`constant ${constant} =\\s*keccak256\\([^;]*;`));
  const at = declared.lastIndexOf(')"');
  return ["TypedData.sol", declared, `${declared.slice(0, at)}_${declared.slice(at)}`, contract];
}

/** Values that an event tells, each told as another. The keys of an event and the texts under them are not among these. */
function untrue(file, event, values) {
  const source = readFileSync(join(root, "src", file), "utf8");
  const [statement] = source.match(new RegExp(`emit ${event}\\([^;]*;`));
  return values.map(([value, other]) => {
    const at = statement.search(new RegExp(`(?<=[(\\s,])${value.replaceAll(/[.()*+[\]]/g, "\\$&")}(?=[,)\\s])`));
    if (at < 0) throw new Error(`${event} does not tell ${value}`);
    return [file, statement, `${statement.slice(0, at)}${other}${statement.slice(at + value.length)}`];
  });
}

/** file, what stands there (once), what the mutant has instead, the contract it changes where that is only one */
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
  // What is signed: the domain, then every field of every message
  ["TypedData.sol", "block.chainid, verifyingContract", "uint256(31337), verifyingContract"],
  ["TypedData.sol", "block.chainid, verifyingContract", "block.chainid, address(0)"],
  ...unsigned(names, "CONFIG", ["hash(c.packageName)", "keccak256(abi.encodePacked(c.members))", "c.threshold", "c.releaseDelayHours", "c.configDelayHours", "c.recoveryDays", "c.guardian", "c.legacyRoot", "c.epoch", "c.deadline"]),
  ...unsigned(names, "CANCEL", ["change"]),
  ...unsigned(names, "REGISTRAR_PROOF", ["commitment"]),
  ...unsigned(names, "REGISTRAR_ROTATION", ["registrar", "nonce"]),
  ...unsigned(names, "NPM_KEY_ADDITION", ["x", "y", "validFrom", "validTo", "nonce"]),
  ...unsigned(names, "NPM_KEY_REMOVAL", ["keyIndex", "nonce"]),
  ...unsigned(packages, "RELEASE", ["id", "versionHash", "keccak256(Integrity.spell(r.sha512Hi, r.sha512Lo))", "r.contentHash", "r.gitSha", "hash(r.ciRunUrl)", "r.epoch", "r.nonce", "r.deadline"]),
  ...unsigned(packages, "RELEASE_BATCH", ["keccak256(abi.encodePacked(releases))"]),
  ...unsigned(packages, "REVOCATION", ["hash(r.packageName)", "hash(r.version)", "r.reason", "hash(r.note)", "r.epoch", "r.deadline"]),
  ...unsigned(packages, "WITHDRAWAL", ["hash(packageName)", "nonce"]),
  ...unsigned(packages, "VETO", ["hash(packageName)", "hash(version)"]),
  ...unsigned(packages, "FLAG", ["hash(f.packageName)", "hash(f.version)", "hash(f.note)", "f.deadline"]),
  ...unsigned("SafetyRegistry.sol", "REPORT", ["hash(r.packageName)", "hash(r.version)", "keccak256(Integrity.spell(r.sha512Hi, r.sha512Lo))", "r.report", "hash(r.location)", "r.previous"]),
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
  // Authority for PackageRegistry
  [names, "return TypedData.digest(msg.sender, structHash);", "return TypedData.digest(address(this), structHash);"],
  [names, "_checkMembers(id, n, digest, signers, 1, signatures);", "_checkMembers(id, n, digest, signers, 0, signatures);"],
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
  [names, "if (!P256.isValidPublicKey(key.x, key.y)) revert NotOnCurve(key.x, key.y);", ""],
  [names, "if (keyIndex >= _npmKeys.length) revert NpmKeyNotValid(keyIndex);\n        _npmKeys", "_npmKeys"],
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
  // Text
  ["Grammar.sol", "b.length == 0 || ", ""],
  ["Grammar.sol", "b.length > MAX_NAME", "b.length > MAX_NAME + 1"],
  ["Grammar.sol", "slash < b.length && _isPart(b[1:slash])", "slash < b.length"],
  ["Grammar.sol", "_isPart(b[1:slash]) && _isPart(b[slash + 1:])", "_isPart(b[1:slash])"],
  ["Grammar.sol", 'if (b[0] == "." || b[0] == "_") return false;', ""],
  ["Grammar.sol", ' && hash != keccak256("node_modules")', ""],
  ["Grammar.sol", ' && hash != keccak256("favicon.ico")', ""],
  ["Grammar.sol", "b.length > MAX_VERSION", "b.length > MAX_VERSION + 1"],
  ["Grammar.sol", "if (part != 0 && _at(b, end) != DOT) return false;", ""],
  ["Grammar.sol", "if (!_isNumber(b, start, end)) return false;", ""],
  ["Grammar.sol", "if (_at(b, end) != DASH) return false;", ""],
  ["Grammar.sol", "if (_run(DIGITS, b, start) == end && !_isNumber(b, start, end)) return false;", ""],
  ["Grammar.sol", "return end == b.length;\n        }", "return true;\n        }"],
  ["Grammar.sol", "return !isPath && _run", "return _run"],
  ["Grammar.sol", "return !isPath && _run(NAME, part, 0) == part.length;", "return !isPath;"],
  ["Grammar.sol", "end == start + 1 || (end > start && _at(b, start) != ZERO)", "end > start"],
  // Signers for people without a wallet
  [signer, "if (signature.length < FIXED_BYTES) return REFUSED;", ""],
  [signer, "flags & k.need != k.need || ", ""],
  [signer, "flags & k.need != k.need", "flags & k.need == 0"],
  [signer, " || flags & MORE_DATA != 0", ""],
  [signer, "MORE_DATA = 0xC0", "MORE_DATA = 0x80"],
  [signer, "MORE_DATA = 0xC0", "MORE_DATA = 0x40"],
  [signer, "if (!shaped) return REFUSED;", ""],
  [signer, "abi.encodePacked(k.relyingParty, signature[64:FIXED_BYTES], messageHash)", "abi.encodePacked(signature[64:FIXED_BYTES], messageHash)"],
  [signer, "return valid ? this.isValidSignature.selector : REFUSED;", "return this.isValidSignature.selector;"],
  [signer, "abi.encode(address(this), digest)", "abi.encode(digest)"],
  [signer, "abi.encode(address(this), digest)", "abi.encode(address(this))"],
  ["signers/PasskeySigner.sol", "webauthn.get", "webauthn.create"],
  ["signers/PasskeySigner.sol", "'\"', rest", "rest"],
  ["signers/SshSkSigner.sol", "rest.length == 0", "true"],
  ["signers/SshSkSigner.sol", 'hex"33706d"', 'hex"33706e"'],
  [factory, "if (!P256.isValidPublicKey(key.x, key.y)) revert Errors.NotOnCurve(key.x, key.y);", ""],
  [factory, "if (key.need != 1 && key.need != 5) revert BadNeed(key.need);", ""],
  [factory, "if (signer.code.length != 0) return signer;", ""],
  // Whom NameRegistry answers: at each of its doors, and at the lock
  [names, "if (msg.sender != address(packageRegistry)) revert NotPackageRegistry(msg.sender, address(packageRegistry));", ""],
  [names, "Signatures.begin(_digestForPackages(structHash), 0)", "Signatures.begin(TypedData.digest(msg.sender, structHash), 0)"],
  [names, "Signatures.begin(_digestForPackages(structHash), acts.length", "Signatures.begin(TypedData.digest(msg.sender, structHash), acts.length"],
  [names, "bytes32 digest = _digestForPackages(structHash);", "bytes32 digest = TypedData.digest(msg.sender, structHash);"],
  // What was silent
  ["Anchor.sol", "if (ok && answer.length == 32)", "if (ok)", names],
  ["Anchor.sol", "answer.length == 32", "answer.length >= 32", names],
  ["LockedToken.sol", "if (from == address(0)) emit Locked(tokenId);", "emit Locked(tokenId);", names],
  [names, "n.pendingReadyAt = 0;\n        n.recoveryPending = false;\n    }", "n.recoveryPending = false;\n    }"],
  [names, "_acted(id, n);\n        if (n.configDelayHours == 0)", "if (n.configDelayHours == 0)"],
  // Casts
  [packages, "uint256(r.epoch).toUint24()", "uint24(r.epoch)"],
  [packages, "delayHours.toUint8()", "uint8(delayHours)"],
  [packages, "block.timestamp.toUint40()", "uint40(block.timestamp)"],
  [names, "(block.timestamp + claimWindow).toUint40()", "uint40(block.timestamp + claimWindow)"],
  [names, "(block.timestamp + wait).toUint40()", "uint40(block.timestamp + wait)"],
  [names, "earliest.toUint64()", "uint64(earliest)"],
  // Events: that they are there, and what they tell
  [names, "emit RegistrarChanged(registrar_);", ""],
  [names, "emit RegistrarChanged(next);", ""],
  [names, "emit RegistrarChanged(next);", "emit RegistrarChanged(msg.sender);"],
  [names, "emit NpmKeyAdded(_npmKeys.length, key.x, key.y, key.validFrom, key.validTo);", ""],
  ...untrue(names, "NpmKeyAdded", [["_npmKeys.length", "0"], ["key.x", "key.y"], ["key.validFrom", "0"], ["key.validTo", "type(uint64).max"]]),
  [names, "emit NpmKeyRemoved(keyIndex);", ""],
  [names, "emit NpmKeyRemoved(keyIndex);", "emit NpmKeyRemoved(0);"],
  ...untrue(names, "PackageClaimed", [["c.members", "new address[](0)"], ["c.threshold", "0"], ["c.legacyRoot", "bytes32(0)"], ["n.finalAt", "uint64(block.timestamp)"]]),
  ...untrue(names, "ConfigChanged", [["c.epoch", "1"], ["c.members", "new address[](0)"], ["c.threshold", "1"]]),
  ...untrue(names, "ChangeScheduled", [["change", "bytes32(0)"], ["n.pendingReadyAt", "uint64(block.timestamp)"], ["n.recoveryPending", "false"]]),
  ...untrue(names, "ChangeDropped", [["n.pendingChange", "bytes32(0)"]]),
  [names, "emit ChangeDropped(id, n.pendingChange);", ""],
  ["LockedToken.sol", "emit Transfer(from, to, tokenId);", "if (to != address(0)) emit Transfer(from, to, tokenId);", names],
  ...untrue(packages, "PackagePublished", [["r.sha512Hi", "r.sha512Lo"], ["r.contentHash", "r.gitSha"], ["r.gitSha", "bytes32(bytes20(r.gitSha))"], ["r.ciRunUrl", '""'], ["r.epoch", "0"], ["r.nonce", "0"], ["signers", "0"], ["uint64(block.timestamp + delayHours * 1 hours)", "uint64(block.timestamp)"]]),
  ...untrue(packages, "PackageRevoked", [["r.reason", "0"], ["r.note", '""']]),
  ...untrue(packages, "PackageVetoed", [["by", "new address[](0)"]]),
  ...untrue(packages, "PackageFlagged", [["by", "new address[](0)"], ["f.note", '""'], ["uint64(f.deadline)", "uint64(block.timestamp)"]]),
  ...untrue(packages, "SignatureWithdrawal", [["nonce", "0"], ["by", "new address[](0)"]]),
  ...untrue("SafetyRegistry.sol", "Reported", [["scorer", "msg.sender"], ["r.sha512Hi", "r.sha512Lo"], ["r.report", "r.previous"], ["r.location", '""']]),
  [factory, "emit SignerCreated(signer, kind, key);", ""],
  ...untrue(factory, "SignerCreated", [["signer", "address(this)"], ["kind", "Kind.Passkey"]]),
  // Types and the domain: whoever else makes these digests would make others
  ...["CONFIG", "CANCEL", "REGISTRAR_PROOF", "REGISTRAR_ROTATION", "NPM_KEY_ADDITION", "NPM_KEY_REMOVAL"].map((type) => otherType(names, type)),
  ...["RELEASE", "RELEASE_BATCH", "REVOCATION", "WITHDRAWAL", "VETO", "FLAG"].map((type) => otherType(packages, type)),
  otherType("SafetyRegistry.sol", "REPORT"),
  otherType(undefined, "DOMAIN"),
  ["TypedData.sol", 'keccak256("3pm")', 'keccak256("3pn")'],
  ["TypedData.sol", 'keccak256("1")', 'keccak256("2")'],
  // The spelling of a sha512
  ["Integrity.sol", '"sha512-"', '"sha384-"', packages],
  ["Integrity.sol", 'bytes22(third), "=="', 'bytes22(third), "="', packages],
  ["Integrity.sol", "first, second, bytes22(third)", "second, first, bytes22(third)", packages],
  ["Integrity.sol", "x + 102 * LANES", "x + 101 * LANES", packages],
  ["Integrity.sol", "x + 76 * LANES", "x + 75 * LANES", packages],
  ["Integrity.sol", "x + 66 * LANES", "x + 65 * LANES", packages],
  ["Integrity.sol", "3 * slash", "2 * slash", packages],
];

const work = mkdtempSync(join(tmpdir(), "mutants-"));
const forge = join(root, "node_modules", ".bin", "forge");
const { values: options, positionals } = parseArgs({
  options: { jobs: { type: "string", default: `${availableParallelism()}` } },
  allowPositionals: true,
});

/** Runs a program to its end. */
function run(program, words, folder, env = process.env) {
  return new Promise((ended, failed) => {
    const child = spawn(program, words, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    child.once("error", failed);
    child.once("close", (status) => ended({ status, output }));
  });
}

/** A copy of everything: the tests, which deploy what is in its artefacts, and the sources that these are built from. */
class Workshop {
  constructor(number) {
    const folder = join(work, `${number}`);
    this.tests = join(folder, "tests", "contracts");
    this.build = join(folder, "build");
    this.#copy(this.tests, ["src", "test", "bin", "artifacts", "foundry.toml", "snapshots", "out", "cache"]);
    this.#copy(this.build, ["src", "bin", "scripts", "foundry.toml", "artifacts"]);
    cpSync(join(root, "..", "fixtures"), join(folder, "tests", "fixtures"), { recursive: true });
  }

  #copy(folder, parts) {
    for (const part of parts.filter((part) => existsSync(join(root, part)))) {
      cpSync(join(root, part), join(folder, part), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  }

  /** With what another has compiled already. */
  takeCompiled(other) {
    for (const part of ["out", "cache"]) {
      rmSync(join(this.tests, part), { recursive: true, force: true });
      cpSync(join(other.tests, part), join(this.tests, part), { recursive: true });
    }
  }

  async #test(filter, more = {}) {
    const env = { ...process.env, FOUNDRY_INVARIANT_RUNS: "8", FOUNDRY_FUZZ_RUNS: "32", FORGE_SNAPSHOT_CHECK: "false", ...more };
    const { status, output } = await run(forge, ["test", "--fail-fast", ...filter], this.tests, env);
    return status === 0 ? undefined : output;
  }

  /**
   * Unit tests and the vectors first: they take seconds. What they let live meets forge's encoder, then the adversary.
   * Returns the output of a failure.
   */
  async failure() {
    const last = ["TypedDataTest", "InvariantsTest"];
    const filters = [["--no-match-contract", [...last, "GasTest"].join("|")], ...last.map((test) => ["--match-contract", test])];
    for (const filter of filters) {
      const output = await this.#test(filter);
      if (output !== undefined) return output;
    }
    return undefined;
  }

  /**
   * The grammar's own tests read the library and not an artefact: what lives above is put before them, too. Where they
   * are compiled is theirs alone, or all the others would be compiled again after it.
   */
  async #grammarFailure(source) {
    const path = join(this.tests, "src", "Grammar.sol");
    const original = readFileSync(path, "utf8");
    writeFileSync(path, source);
    const apart = { FOUNDRY_OUT: "out/grammar", FOUNDRY_CACHE_PATH: "cache/grammar" };
    const output = await this.#test(["--match-contract", "GrammarTest"], apart);
    writeFileSync(path, original);
    return output;
  }

  /**
   * A contract's own source changes that contract, what the registries share changes all of them. The tests deploy
   * NameRegistry, which creates PackageRegistry: what changes one is built into the other's artefact, or it is an error.
   */
  async #artefacts(file, only) {
    const name = (only ?? file).replace(/^signers\//, "").replace(".sol", "");
    const pair = ["NameRegistry", "PackageRegistry"];
    const shared = pair.includes(name) ? pair : [...pair, "SafetyRegistry"];
    const changed = file.startsWith("signers/") ? ["SignerFactory"] : name === "SafetyRegistry" ? [name] : shared;
    const { status, output } = await run("node", ["scripts/artefact.mjs", "write", ...changed], this.build);
    if (status !== 0) throw new Error(output);
    const [made, committed] = [this.build, root].map((folder) => readFileSync(join(folder, "artifacts", `${changed[0]}.json`), "utf8"));
    if (JSON.parse(made).bytecode === JSON.parse(committed).bytecode) throw new Error(`nothing of ${changed[0]} is changed`);
  }

  /** Whether the tests notice it. */
  async kills([file, from, to, only]) {
    const path = join(this.build, "src", file);
    const source = readFileSync(path, "utf8");
    if (source.split(from).length !== 2) throw new Error("its text is not there exactly once");
    const mutant = source.replace(from, () => to);
    writeFileSync(path, mutant);
    await this.#artefacts(file, only);
    cpSync(join(this.build, "artifacts"), join(this.tests, "artifacts"), { recursive: true });
    const noticed = (file === "Grammar.sol" ? await this.#grammarFailure(mutant) : undefined) ?? (await this.failure());
    writeFileSync(path, source);
    cpSync(join(root, "artifacts"), join(this.build, "artifacts"), { recursive: true });
    return noticed !== undefined;
  }
}

try {
  const chosen = positionals.map(Number);
  const waiting = [...mutants.keys()].filter((index) => chosen.length === 0 || chosen.includes(index));
  const first = new Workshop(0);
  const broken = await first.failure();
  if (broken !== undefined) throw new Error(`the tests fail without any mutant:\n${broken}`);
  let survivors = 0;
  const labour = async (workshop) => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      const [file, from, to] = mutants[index];
      const label = `${index} ${file}: ${from.replaceAll(/\s+/g, " ")} -> ${to.replaceAll(/\s+/g, " ") || "nothing"}`;
      const killed = await workshop.kills(mutants[index]).catch((error) => {
        throw new Error(`mutant ${label}: ${error.message}`);
      });
      if (!killed) survivors += 1;
      process.stdout.write(`${killed ? "killed  " : "SURVIVED"} ${label}\n`);
    }
  };
  const others = Array.from({ length: Math.min(Number(options.jobs), waiting.length) - 1 }, (_, at) => {
    const workshop = new Workshop(at + 1);
    workshop.takeCompiled(first);
    return workshop;
  });
  await Promise.all([first, ...others].map(labour));
  process.stdout.write(`${survivors} survived\n`);
  if (survivors > 0) process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true });
}
