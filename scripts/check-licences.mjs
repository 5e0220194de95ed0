// Every crate and npm package this project builds or tests with carries a licence from the list below,
// and every crate comes from the default index. Does not look up advisories: that needs a network
// (`cargo deny check advisories`, see CONTRIBUTING.md).
import { execFileSync } from 'node:child_process';
import { readFileSync, existsSync } from 'node:fs';

// Shipped: linked into the binary. Permissive only.
const shipped = new Set(['MIT', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception', 'BSD-2-Clause', 'BSD-3-Clause',
  'ISC', 'Zlib', '0BSD', 'CC0-1.0', 'Unicode-3.0', 'Unlicense', 'BSL-1.0', 'MIT-0', 'CDLA-Permissive-2.0',
  'MPL-2.0', 'OpenSSL']);
// Development only: run beside the tests, never shipped.
const development = new Set([...shipped, 'LGPL-3.0', 'LGPL-3.0-only', 'BlueOak-1.0.0', 'Python-2.0', 'CC-BY-4.0',
  'CC-BY-3.0', 'WTFPL', 'Artistic-2.0']);

// Packages whose manifest predates the `license` field; read by hand.
const readByHand = { memorystream: 'MIT', 'qrcode-terminal': 'Apache-2.0' };

// An SPDX expression holds when one side of each OR and both sides of each AND do. `/` is cargo's old OR.
function allowed(expression, list) {
  const tokens = expression.replaceAll('/', ' OR ').match(/\(|\)|[^\s()]+/g) ?? [];
  let at = 0;
  const any = () => { let ok = all(); while (tokens[at] === 'OR') { at++; const right = all(); ok ||= right; } return ok; };
  const all = () => { let ok = one(); while (tokens[at] === 'AND') { at++; const right = one(); ok &&= right; } return ok; };
  const one = () => {
    if (tokens[at] === '(') { at++; const ok = any(); at++; return ok; }
    let id = tokens[at++] ?? '';
    if (tokens[at] === 'WITH') { id += ` WITH ${tokens[at + 1]}`; at += 2; }
    return list.has(id);
  };
  return any() && at === tokens.length;
}

const problems = [];
let crates = 0;
const metadata = JSON.parse(execFileSync('cargo', ['metadata', '--format-version', '1', '--locked'],
  { maxBuffer: 1 << 28, encoding: 'utf8' }));
for (const { name, version, license, source } of metadata.packages) {
  if (source === null) continue;
  crates++;
  if (!license || !allowed(license, shipped)) problems.push(`crate ${name} ${version}: licence ${license}, expected one of the list`);
  if (!source.startsWith('registry+')) problems.push(`crate ${name} ${version}: source ${source}, expected the default index`);
}

let npm = 0;
for (const folder of ['world', 'contracts', 'tools/vectors', 'tools/clients', 'tools/signers']) {
  const file = `${folder}/package-lock.json`;
  if (!existsSync(file)) { problems.push(`${file}: missing`); continue; }
  for (const [path, entry] of Object.entries(JSON.parse(readFileSync(file, 'utf8')).packages)) {
    if (path === '' || entry.link) continue;
    npm++;
    if (entry.resolved) problems.push(`${file}: ${path}: names where it was fetched from, expected no "resolved"`);
    // What a package brings in its own tarball has the hash of that tarball, and no other.
    if (!entry.inBundle && !/^sha512-[A-Za-z0-9+/]{86}==$/.test(entry.integrity ?? '')) problems.push(`${file}: ${path}: integrity ${entry.integrity}, expected one sha512`);
    const licence = entry.license ?? readByHand[path.split('node_modules/').pop()] ?? '';
    if (!allowed(licence, development)) problems.push(`${file}: ${path}: licence ${licence || 'none'}, expected one of the list`);
  }
}

for (const problem of problems) console.error(problem);
console.log(`licences: ${crates} crates, ${npm} npm packages, ${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);
