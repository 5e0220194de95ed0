// The committed vectors against viem and node:crypto: `node --test check.mjs`.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { hashTypedData, keccak256, concatHex } from 'viem';
import { contractOf, domainOf, types } from './types.mjs';

const read = (name) => JSON.parse(readFileSync(new URL(`../../fixtures/vectors/${name}.json`, import.meta.url), 'utf8'));
const vectors = read('typed-data');

for (const type of Object.keys(types)) {
  test(`${type} digests are what viem computes`, () => {
    const cases = [...vectors.cases, ...vectors.coordinatorCases].filter((one) => one.type === type);
    assert.ok(cases.length > 0, `no case of ${type}`);
    for (const { message, digest, contract } of cases) {
      assert.equal(contract, contractOf(type));
      assert.equal(hashTypedData({ domain: domainOf(vectors.domain, type), types: types[type], primaryType: type, message }), digest);
    }
  });
}

test('no two messages have one digest', () => {
  const digests = [...vectors.cases, ...vectors.coordinatorCases].map((one) => one.digest);
  assert.equal(new Set(digests).size, digests.length);
});

test('legacy proofs lead from every leaf to its root', () => {
  for (const { root, versions } of read('legacy').lists) {
    for (const { leaf, proof } of versions) {
      assert.equal(proof.reduce((node, sibling) => keccak256(concatHex(node < sibling ? [node, sibling] : [sibling, node])), leaf), root);
    }
  }
});

test('hashes are what node:crypto computes', () => {
  for (const { bytes, integrity, sha512Hi, sha512Lo, contentHash } of read('hashes').hashes) {
    const raw = Buffer.from(bytes.slice(2), 'hex');
    const sha512 = createHash('sha512').update(raw).digest();
    assert.equal(integrity, `sha512-${sha512.toString('base64')}`);
    assert.equal(sha512Hi + sha512Lo.slice(2), `0x${sha512.toString('hex')}`);
    assert.equal(contentHash, `0x${createHash('sha256').update(raw).digest('hex')}`);
  }
});
