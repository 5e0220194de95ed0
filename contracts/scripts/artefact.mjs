// Makes `artifacts/<Contract>.json` from what forge built: `{ abi, bytecode, deployedBytecode,
// immutableReferences, storageLayout }`. Rust reads these files, so they are committed; `check`
// rebuilds them and fails when a byte differs. Does not deploy anything.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const folder = join(root, "artifacts");
const all = ["NameRegistry", "PackageRegistry", "SafetyRegistry", "PasskeySigner", "SshSkSigner", "SignerFactory"];

/** Without the AST numbers they are listed under, which move whenever a file changes. */
function immutables(deployed) {
  const places = Object.values(deployed.immutableReferences ?? {}).flat();
  return places.map(({ start, length }) => ({ start, length })).sort((a, b) => a.start - b.start);
}

/** Slots only: the types' identifiers carry AST numbers too. */
function storage(layout) {
  return layout.storage.map(({ label, slot, offset, type }) => ({ label, slot, offset, type: layout.types[type].label }));
}

/**
 * Each contract is compiled alone and into a folder of its own: what the compiler emits depends on which other
 * files it sees.
 */
function build(name) {
  const out = join("out", "artefact", name);
  const flags = ["--force", "--out", out, "--cache-path", join("cache", "artefact", name)];
  const source = [join("src", `${name}.sol`), join("src", "signers", `${name}.sol`)].find((path) => existsSync(join(root, path)));
  execFileSync(join(root, "node_modules", ".bin", "forge"), ["build", source, ...flags], {
    cwd: root,
    env: { ...process.env, FOUNDRY_PROFILE: "shipped" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const { abi, bytecode, deployedBytecode, storageLayout } = JSON.parse(
    readFileSync(join(root, out, `${name}.sol`, `${name}.json`), "utf8"),
  );
  const artefact = {
    contractName: name,
    abi,
    bytecode: bytecode.object,
    deployedBytecode: deployedBytecode.object,
    immutableReferences: immutables(deployedBytecode),
    storageLayout: storage(storageLayout),
  };
  return `${JSON.stringify(artefact, null, 1)}\n`;
}

const [mode, ...chosen] = process.argv.slice(2);
const contracts = mode === "write" && chosen.length > 0 ? chosen : all;
const fresh = new Map(contracts.map((name) => [`${name}.json`, build(name)]));
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
  process.stderr.write("usage: artefact.mjs write [contract ...] | check\n");
  process.exitCode = 2;
}
