// Writes fixtures/vectors/{typed-data,legacy,hashes}.json with viem and node:crypto. The order of the cases and
// every value in them is fixed, so that a second run changes nothing.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { concatHex, encodeAbiParameters, hashTypedData, keccak256, toHex } from 'viem';
import { contractOf, domainOf, types } from './types.mjs';

const domain = { chainId: 31337, nameRegistry: '0x' + '1a'.repeat(20), packageRegistry: '0x' + '2b'.repeat(20),
  safetyRegistry: '0x' + '3c'.repeat(20) };
const word = (byte) => '0x' + byte.toString(16).padStart(2, '0').repeat(32);
const account = (byte) => '0x' + byte.toString(16).padStart(2, '0').repeat(20);
const integrity = (text) => 'sha512-' + createHash('sha512').update(text).digest('base64');
const MAX = (2n ** 256n - 1n).toString();

// Text that goes wrong in one encoder or another. No lone surrogates: they are no UTF-8.
const hostile = ['', ' ', 'plain', '"quoted"', "it's", 'back\\slash', 'line\nfeed', 'tab\t', '\u0000', '\u001b[2J', '\u202eevil',
  '\u200b', 'ü', '日本語', '👩‍👩‍👧', '{"a":1}', '${jndi}', '%00', '</script>', 'a'.repeat(31), 'a'.repeat(32), 'a'.repeat(33)];

const config = (over) => ({ packageName: 'left-pad', members: [account(1)], threshold: 1, releaseDelayHours: 0, configDelayHours: 0,
  recoveryDays: 180, guardian: account(0), legacyRoot: word(0), epoch: 0, deadline: '1800000000', ...over });
const release = (over) => ({ packageName: 'left-pad', version: '1.0.0', integrity: integrity('bytes'), contentHash: word(7), gitSha: word(9),
  ciRunUrl: 'https://ci.example/1', epoch: 1, nonce: '0', deadline: '1800000000', ...over });

const messages = [
  ...[config(), config({ members: Array.from({ length: 16 }, (_, i) => account(i + 1)), threshold: 16, releaseDelayHours: 168,
    configDelayHours: 720, recoveryDays: 365, guardian: account(255), legacyRoot: word(255), epoch: 4294967295, deadline: MAX }),
    config({ members: [], threshold: 0, epoch: 3 }), config({ packageName: '@scope/name' })].map((m) => ['Config', m]),
  ...hostile.map((text) => ['Config', config({ packageName: text })]),
  ...[word(0), word(1), word(255)].map((change) => ['Cancel', { change }]),
  ...[word(0), word(1), word(255)].map((commitment) => ['RegistrarProof', { commitment }]),
  ...[release(), release({ packageName: '@scope/name', version: '1.0.0-rc.1', ciRunUrl: '', gitSha: word(0), epoch: 4294967295, nonce: '18446744073709551614', deadline: MAX }),
    release({ nonce: MAX }), release({ ciRunUrl: 'x'.repeat(10_000) })].map((m) => ['Release', m]),
  ...hostile.map((text) => ['Release', release({ packageName: text, version: text, ciRunUrl: text })]),
  ['ReleaseBatch', { releases: [] }],
  ['ReleaseBatch', { releases: [release()] }],
  ['ReleaseBatch', { releases: [release(), release({ packageName: 'other', nonce: '5' }), release({ ciRunUrl: '\u0000"' })] }],
  ...hostile.map((text) => ['Revocation', { packageName: text, version: text, reason: 255, note: text, epoch: 1, deadline: '1800000000' }]),
  ...['0', '7', MAX].map((nonce) => ['Withdrawal', { packageName: 'left-pad', nonce }]),
  ...hostile.map((text) => ['Veto', { packageName: text, version: text }]),
  ...hostile.map((text) => ['Flag', { packageName: text, version: text, note: text, deadline: MAX }]),
  ...['0', '7', MAX].map((nonce) => ['RegistrarRotation', { registrar: account(5), nonce }]),
  ...['0', '7', MAX].map((nonce) => ['NpmKeyAddition', { x: word(1), y: word(255), validFrom: 0, validTo: 4102444800, nonce }]),
  ...['0', '7', MAX].map((nonce) => ['NpmKeyRemoval', { keyIndex: nonce, nonce: '1' }]),
  ...hostile.map((text) => ['Report', { packageName: text, version: text, integrity: integrity(text), report: word(4), location: text, previous: word(0) }]),
];
const handovers = hostile.map((text) => ['TokenHandover', { packageName: text, coordinator: text, tokenHash: word(3), issuedAt: '1', expiresAt: MAX }]);

const digested = ([type, message]) => ({ type, contract: contractOf(type), message,
  digest: hashTypedData({ domain: domainOf(domain, type), types: types[type], primaryType: type, message }) });

// The leaves and the tree of trust::legacy, written again.
const leaf = ({ version, integrity }) => {
  const raw = '0x' + Buffer.from(integrity.slice(7), 'base64').toString('hex');
  return keccak256(keccak256(encodeAbiParameters([{ type: 'string' }, { type: 'bytes32' }, { type: 'bytes32' }],
    [version, raw.slice(0, 66), '0x' + raw.slice(66)])));
};
const parent = (a, b) => keccak256(concatHex(a < b ? [a, b] : [b, a]));
function tree(versions) {
  let layer = versions.map(leaf).sort();
  const layers = [layer];
  while (layer.length > 1) {
    const next = [];
    for (let i = 0; i < layer.length; i += 2) next.push(i + 1 < layer.length ? parent(layer[i], layer[i + 1]) : layer[i]);
    layers.push(layer = next);
  }
  return layers;
}
function proofOf(layers, node) {
  const proof = [];
  let index = layers[0].indexOf(node);
  for (const layer of layers.slice(0, -1)) {
    const sibling = layer[index ^ 1];
    if (sibling) proof.push(sibling);
    index >>= 1;
  }
  return proof;
}
const lists = [1, 2, 3, 5, 8, 13].map((count) => {
  const versions = Array.from({ length: count }, (_, i) => ({ version: i % 3 ? `1.${i}.0` : `2.0.0-rc.${i}`, integrity: integrity(`${count}/${i}`) }));
  const layers = tree(versions);
  return { root: layers.at(-1)[0], versions: versions.map((entry) => ({ ...entry, leaf: leaf(entry), proof: proofOf(layers, leaf(entry)) })) };
});

const hashes = ['', 'abc', 'x'.repeat(1000), '\u0000\u0001'].map((text) => {
  const sha512 = createHash('sha512').update(text).digest();
  return { bytes: toHex(text), integrity: integrity(text), sha512Hi: toHex(sha512.subarray(0, 32)), sha512Lo: toHex(sha512.subarray(32)),
    contentHash: toHex(createHash('sha256').update(text).digest()) };
});

// One case a line: a reader that pays for memory (Solidity) takes them one by one.
const lines = (value) => Array.isArray(value) ? `[\n${value.map((one) => JSON.stringify(one)).join(',\n')}\n]` : JSON.stringify(value);
const write = (name, value) => writeFileSync(new URL(`../../fixtures/vectors/${name}.json`, import.meta.url),
  `{\n${Object.entries(value).map(([key, part]) => `${JSON.stringify(key)}: ${lines(part)}`).join(',\n')}\n}\n`);
const source = 'written by tools/vectors/make.mjs with viem and node:crypto';
write('typed-data', { source, domain, cases: messages.map(digested), coordinatorCases: handovers.map(digested) });
write('legacy', { source, lists });
write('hashes', { source, hashes });
console.log(`${messages.length + handovers.length} messages, ${lists.length} lists, ${hashes.length} hashes`);
