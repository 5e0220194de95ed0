// Writes fixtures/signers.json: real assertions from Chromium's virtual authenticators and real signatures of
// ssh-keygen, over challenges bound to a signer's address. Needs Chromium, ssh-keygen, cc and OpenSSL's headers.
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { createServer } from 'node:http';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { concatHex, encodeAbiParameters, getCreate2Address, keccak256, numberToHex, toHex } from 'viem';

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts.map((p) => Buffer.from(p)))).digest();
const hex = (bytes) => '0x' + Buffer.from(bytes).toString('hex');
const bytesOf = (text) => Buffer.from(text.slice(2), 'hex');

// Any address will do: the Solidity tests put the clone's code there.
const signerOf = (label) => '0x' + keccak256(toHex(`3pm fixture signer ${label}`)).slice(-40);
const digestOf = (label) => keccak256(toHex(`3pm fixture digest ${label}`));
const challengeOf = (signer, digest) => bytesOf(keccak256(encodeAbiParameters(
  [{ type: 'address' }, { type: 'bytes32' }], [signer, digest])));

// Where a factory at this address would put the clone of a key: OpenZeppelin's minimal proxy (ERC-1167) with the
// key's words behind it, salt zero.
const factory = '0x' + '11'.repeat(20);
const implementations = { Passkey: '0x' + '22'.repeat(20), SshSk: '0x' + '33'.repeat(20) };
function cloneOf({ kind, x, y, relyingParty, need }) {
  const words = concatHex([x, y, relyingParty, numberToHex(need, { size: 32 })]);
  const bytecode = concatHex(['0x61', numberToHex(128 + 0x2d, { size: 2 }), '0x3d81600a3d39f3363d3d373d3d3d363d73',
    implementations[kind], '0x5af43d82803e903d91602b57fd5bf3', words]);
  return getCreate2Address({ from: factory, salt: numberToHex(0, { size: 32 }), bytecode }).toLowerCase();
}

// The contracts take low s only; authenticators give either.
function lowS(s) {
  const value = BigInt(hex(s));
  return value > ORDER / 2n ? { s: Buffer.from((ORDER - value).toString(16).padStart(64, '0'), 'hex'), high: true } : { s, high: false };
}

function fromDer(der) {
  const part = (at) => {
    const length = der[at + 1];
    const raw = der.subarray(at + 2, at + 2 + length);
    return [Buffer.concat([Buffer.alloc(32), raw]).subarray(-32), at + 2 + length];
  };
  const [r, next] = part(2);
  return { r, s: part(next)[0] };
}

function check(name, { x, y }, r, s, message) {
  const key = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: x.toString('base64url'), y: y.toString('base64url') }, format: 'jwk' });
  if (!verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, Buffer.concat([r, s]))) throw new Error(`${name}: does not verify`);
}

async function passkeys() {
  const server = createServer((_, answer) => answer.end('<!doctype html><title>3pm</title>')).listen(0, '127.0.0.1');
  await new Promise((ready) => server.once('listening', ready));
  const rpId = '3pm.localhost';
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  const found = [];
  try {
    for (const [label, options, verification] of [
      ['internal, verified', { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true }, 'required'],
      ['usb, verified', { protocol: 'ctap2', transport: 'usb', hasResidentKey: true, hasUserVerification: true, isUserVerified: true }, 'required'],
      ['usb, presence only', { protocol: 'ctap2', transport: 'usb', hasUserVerification: false }, 'discouraged'],
      ['u2f', { protocol: 'u2f', transport: 'usb' }, 'discouraged'],
      ['synced', { protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, defaultBackupEligibility: true, defaultBackupState: true }, 'required'],
    ]) {
      const page = await browser.newPage();
      const cdp = await page.context().newCDPSession(page);
      await cdp.send('WebAuthn.enable');
      await cdp.send('WebAuthn.addVirtualAuthenticator', { options: { automaticPresenceSimulation: true, ...options } });
      await page.goto(`http://${rpId}:${server.address().port}/`);
      const created = await page.evaluate(async ([rpId, verification]) => {
        const made = await navigator.credentials.create({ publicKey: { rp: { id: rpId, name: '3pm' }, challenge: new Uint8Array(32),
          user: { id: new Uint8Array([1]), name: 'a', displayName: 'a' }, pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
          authenticatorSelection: { userVerification: verification } } });
        return { id: Array.from(new Uint8Array(made.rawId)), key: Array.from(new Uint8Array(made.response.getPublicKey())) };
      }, [rpId, verification]);
      const spki = Buffer.from(created.key);
      const key = { x: spki.subarray(-64, -32), y: spki.subarray(-32) };
      // Until both a low and a high s were seen; bounded.
      const seen = new Set();
      for (let n = 0; n < 24 && seen.size < 2; n++) {
        const name = `${label} ${n}`;
        const signer = signerOf(name);
        const digest = digestOf(name);
        const challenge = challengeOf(signer, digest);
        const got = await page.evaluate(async ([rpId, verification, id, challenge]) => {
          const assertion = await navigator.credentials.get({ publicKey: { rpId, challenge: new Uint8Array(challenge), userVerification: verification,
            allowCredentials: [{ type: 'public-key', id: new Uint8Array(id) }] } });
          const { authenticatorData, clientDataJSON, signature } = assertion.response;
          return [authenticatorData, clientDataJSON, signature].map((part) => Array.from(new Uint8Array(part)));
        }, [rpId, verification, created.id, Array.from(challenge)]);
        const [data, client, der] = got.map((part) => Buffer.from(part));
        const { r, s: rawS } = fromDer(der);
        const { s, high } = lowS(rawS);
        if (seen.has(high)) continue;
        seen.add(high);
        check(name, key, r, rawS, Buffer.concat([data, sha256(client)]));
        const prefix = `{"type":"webauthn.get","challenge":"${challenge.toString('base64url')}"`;
        if (!client.toString().startsWith(prefix)) throw new Error(`${name}: clientDataJSON begins with something else`);
        found.push({ name: `${label}, ${high ? 'high' : 'low'} s`, kind: 'Passkey', signer, digest, x: hex(key.x), y: hex(key.y),
          relyingParty: hex(sha256(rpId)), need: data[32] & 5, rpId, authenticatorData: hex(data), clientDataJSON: client.toString(), signatureDer: hex(der),
          packed: hex(Buffer.concat([r, s, data.subarray(32, 37), client.subarray(prefix.length)])) });
      }
      await page.close();
    }
  } finally {
    await browser.close();
    server.close();
  }
  return found;
}

function sshKeys() {
  const folder = mkdtempSync(join(tmpdir(), '3pm-signers-'));
  const found = [];
  try {
    const provider = join(folder, 'sk.so');
    execFileSync('cc', ['-shared', '-fPIC', '-Wno-deprecated-declarations', '-o', provider, new URL('./sk-provider.c', import.meta.url).pathname, '-lcrypto']);
    for (const [label, options] of [['presence', []], ['verified', ['-O', 'verify-required']]]) {
      const file = join(folder, label);
      execFileSync('ssh-keygen', ['-q', '-t', 'ecdsa-sk', '-w', provider, '-N', '', '-f', file, ...options], { stdio: 'pipe' });
      const seen = new Set();
      for (let n = 0; n < 24 && seen.size < 2; n++) {
        const name = `ssh ${label} ${n}`;
        const signer = signerOf(name);
        const digest = digestOf(name);
        const challenge = challengeOf(signer, digest);
        // By file: asked for a PIN, ssh-keygen would take it from the standard input.
        const message = join(folder, 'message');
        writeFileSync(message, challenge);
        rmSync(`${message}.sig`, { force: true });
        execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', '3pm', '-O', 'hashalg=sha256', '-f', file, message],
          { input: '0000\n', stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, SSH_SK_PROVIDER: provider } });
        const armored = readFileSync(`${message}.sig`, 'utf8');
        const blob = Buffer.from(armored.replace(/-----[^-]+-----/g, ''), 'base64');
        // SSH strings: a 4-byte length and the bytes.
        const reader = (bytes, at) => () => { const n = bytes.readUInt32BE(at); const part = bytes.subarray(at + 4, at + 4 + n); at += 4 + n; return part; };
        const next = reader(blob, 10);
        const publicKey = next();
        next(); next(); next();
        const signature = next();
        const keyPart = reader(publicKey, 0);
        keyPart(); keyPart();
        const point = keyPart();
        const application = keyPart();
        const signaturePart = reader(signature, 0);
        const type = signaturePart();
        const numbers = signaturePart();
        const tail = signature.subarray(8 + type.length + numbers.length);
        const numberPart = reader(numbers, 0);
        const pad = (part) => Buffer.concat([Buffer.alloc(32), part]).subarray(-32);
        const r = pad(numberPart());
        const rawS = pad(numberPart());
        const { s, high } = lowS(rawS);
        if (seen.has(high)) continue;
        seen.add(high);
        const key = { x: point.subarray(1, 33), y: point.subarray(33) };
        const string = (part) => { const head = Buffer.alloc(4); head.writeUInt32BE(part.length); return Buffer.concat([head, Buffer.from(part)]); };
        const signed = Buffer.concat([Buffer.from('SSHSIG'), string('3pm'), string(''), string('sha256'), string(sha256(challenge))]);
        check(name, key, r, rawS, Buffer.concat([sha256(application), tail, sha256(signed)]));
        found.push({ name: `ssh ${label}, ${high ? 'high' : 'low'} s`, kind: 'SshSk', signer, digest, x: hex(key.x), y: hex(key.y),
          relyingParty: hex(sha256(application)), need: tail[0] & 5, application: application.toString(), armored,
          packed: hex(Buffer.concat([r, s, tail])) });
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return found;
}

const cases = [...await passkeys(), ...sshKeys()].map((made) => ({ ...made, clone: cloneOf(made) }));
writeFileSync(new URL('../../fixtures/signers.json', import.meta.url), JSON.stringify({
  source: 'Chromium (virtual authenticators) and ssh-keygen (software security key), written by tools/signers/make.mjs', factory, implementations, cases }, null, 2) + '\n');
console.log(`${cases.length} signatures: ${cases.map((c) => c.name).join('; ')}`);
