// The typed messages as contracts.md writes them, for viem. Written by hand: this is the third opinion, beside
// Rust and Solidity.
const fields = (text) => text.split(',').map((field) => { const [type, name] = field.trim().split(' '); return { name, type }; });
const Release = fields('string packageName,string version,string integrity,bytes32 contentHash,bytes32 gitSha,string ciRunUrl,uint32 epoch,uint256 nonce,uint256 deadline');

export const types = {
  Config: { Config: fields('string packageName,address[] members,uint8 threshold,uint16 releaseDelayHours,uint16 configDelayHours,uint16 recoveryDays,address guardian,bytes32 legacyRoot,uint32 epoch,uint256 deadline') },
  Cancel: { Cancel: fields('bytes32 change') },
  RegistrarProof: { RegistrarProof: fields('bytes32 commitment') },
  Release: { Release },
  ReleaseBatch: { ReleaseBatch: fields('Release[] releases'), Release },
  Revocation: { Revocation: fields('string packageName,string version,uint8 reason,string note,uint32 epoch,uint256 deadline') },
  Withdrawal: { Withdrawal: fields('string packageName,uint256 nonce') },
  Veto: { Veto: fields('string packageName,string version') },
  Flag: { Flag: fields('string packageName,string version,string note,uint256 deadline') },
  RegistrarRotation: { RegistrarRotation: fields('address registrar,uint256 nonce') },
  NpmKeyAddition: { NpmKeyAddition: fields('bytes32 x,bytes32 y,uint64 validFrom,uint64 validTo,uint256 nonce') },
  NpmKeyRemoval: { NpmKeyRemoval: fields('uint256 keyIndex,uint256 nonce') },
  Report: { Report: fields('string packageName,string version,string integrity,bytes32 report,string location,bytes32 previous') },
  TokenHandover: { TokenHandover: fields('string packageName,string coordinator,bytes32 tokenHash,uint256 issuedAt,uint256 expiresAt') },
};

const ofNames = ['Config', 'Cancel', 'RegistrarProof', 'RegistrarRotation', 'NpmKeyAddition', 'NpmKeyRemoval'];
export const contractOf = (type) => ofNames.includes(type) ? 'NameRegistry' : type === 'Report' ? 'SafetyRegistry' : 'PackageRegistry';

export function domainOf({ chainId, nameRegistry, packageRegistry, safetyRegistry }, type) {
  return {
    name: type === 'TokenHandover' ? '3pm coordinator' : '3pm',
    version: '1',
    chainId,
    verifyingContract: { NameRegistry: nameRegistry, PackageRegistry: packageRegistry, SafetyRegistry: safetyRegistry }[contractOf(type)],
  };
}
