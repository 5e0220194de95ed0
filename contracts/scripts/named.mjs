// Holds three lists against the tests: every test that docs/contracts.md names is there, every error of the sources is
// expected by a test, and the sizes in the docs are those of the artefacts. Does not run anything.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const docs = readFileSync(join(root, "..", "docs", "contracts.md"), "utf8");

function read(folder) {
  const files = readdirSync(join(root, folder), { recursive: true }).filter((name) => name.endsWith(".sol"));
  return files.map((name) => readFileSync(join(root, folder, name), "utf8")).join("\n");
}

const tests = read("test");
const found = [];
for (const [, name] of docs.matchAll(/`((?:test|testFuzz|invariant)_\w+)`/g)) {
  if (!new RegExp(`function ${name}\\(`).test(tests)) found.push(`docs/contracts.md names ${name}, and there is no such test`);
}
for (const [, name] of read("src").matchAll(/^\s*error (\w+)\(/gm)) {
  if (!new RegExp(`\\b${name}\\.selector`).test(tests)) found.push(`no test expects the error ${name}`);
}
for (const name of readdirSync(join(root, "artifacts"))) {
  const { contractName, deployedBytecode } = JSON.parse(readFileSync(join(root, "artifacts", name), "utf8"));
  const size = (deployedBytecode.length / 2 - 1).toLocaleString("en");
  const row = docs.split("\n").find((line) => line.startsWith("| `") && line.includes(`\`${contractName}\``));
  if (!row?.includes(size)) found.push(`docs/contracts.md does not say that ${contractName} has ${size} bytes`);
}
for (const line of found) process.stderr.write(`${line}\n`);
if (found.length > 0) process.exitCode = 1;
