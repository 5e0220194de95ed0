// Makes `artifacts/<Contract>.json` from what forge built: `{ abi, bytecode, deployedBytecode,
// immutableReferences, storageLayout }`. Rust reads these files, so they are committed; `check`
// rebuilds them and fails when a byte differs. Does not deploy anything.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const folder = join(root, "artifacts");
const contracts = ["NameRegistry", "PackageRegistry", "SafetyRegistry", "PasskeySigner", "SshSkSigner", "SignerFactory"];

/** Names instead of AST numbers, which move whenever any other file changes. */
function immutables(deployed) {
  const places = Object.values(deployed.immutableReferences ?? {}).flat();
  return places.map(({ start, length }) => ({ start, length })).sort((a, b) => a.start - b.start);
}

/** Slots only: the types' identifiers carry AST numbers too. */
function storage(layout) {
  return layout.storage.map(({ label, slot, offset, type }) => ({ label, slot, offset, type: layout.types[type].label }));
}

function built() {
  execFileSync(join(root, "node_modules", ".bin", "forge"), ["build", "src"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  const files = new Map();
  for (const name of contracts) {
    let text;
    try {
      text = readFileSync(join(root, "out", `${name}.sol`, `${name}.json`), "utf8");
    } catch (error) {
      if (error.code === "ENOENT") continue; // not written yet
      throw error;
    }
    const { abi, bytecode, deployedBytecode, storageLayout } = JSON.parse(text);
    files.set(`${name}.json`, `${JSON.stringify({
      contractName: name,
      abi,
      bytecode: bytecode.object,
      deployedBytecode: deployedBytecode.object,
      immutableReferences: immutables(deployedBytecode),
      storageLayout: storage(storageLayout),
    }, null, 1)}\n`);
  }
  return files;
}

const [mode] = process.argv.slice(2);
const fresh = built();
if (mode === "write") {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of fresh) writeFileSync(join(folder, name), text);
} else if (mode === "check") {
  const committed = readdirSync(folder);
  const wrong = new Set(committed.filter((name) => !fresh.has(name)));
  for (const [name, text] of fresh) {
    if (!committed.includes(name) || readFileSync(join(folder, name), "utf8") !== text) wrong.add(name);
  }
  for (const name of wrong) process.stderr.write(`artifacts/${name} is not what the sources give: npm run artefact\n`);
  if (wrong.size > 0) process.exitCode = 1;
} else {
  process.stderr.write("usage: artefact.mjs write|check\n");
  process.exitCode = 2;
}
