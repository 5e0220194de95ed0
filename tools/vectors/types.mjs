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
  TokenHandover: { TokenHandover: fields('string packageName,string coordinator,bytes32 tokenHash,uint256 issuedAt,uint256 expiresAt') },
};

export const contractOf = (type) => ['Config', 'Cancel', 'RegistrarProof'].includes(type) ? 'NameRegistry' : 'PackageRegistry';

export function domainOf({ chainId, nameRegistry, packageRegistry }, type) {
  return {
    name: type === 'TokenHandover' ? '3pm coordinator' : '3pm',
    version: '1',
    chainId,
    verifyingContract: contractOf(type) === 'NameRegistry' ? nameRegistry : packageRegistry,
  };
}
