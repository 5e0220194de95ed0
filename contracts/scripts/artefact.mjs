// Makes `artifacts/<Contract>.json` from what forge built: `{ abi, bytecode, deployedBytecode,
// immutableReferences, storageLayout }`. Rust reads these files, so they are committed; `check`
// rebuilds them and fails when a byte differs. Does not deploy anything.
//
// `NameRegistry` creates `PackageRegistry`, so its bytecode holds the other's: both come of one compilation, and it is
// an error when what it holds is not what `PackageRegistry.json` says.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const folder = join(root, "artifacts");
const all = ["NameRegistry", "PackageRegistry", "SafetyRegistry", "PasskeySigner", "SshSkSigner", "SignerFactory"];

/**
 * With their names instead of the AST numbers they are listed under, which move whenever a file changes. The artefact of
 * a contract has the AST of its own file; an immutable that is inherited from another would be missing here.
 */
function immutables(deployed, ast) {
  const names = new Map();
  for (const contract of ast.nodes.filter((node) => node.nodeType === "ContractDefinition")) {
    for (const node of contract.nodes.filter((node) => node.mutability === "immutable")) names.set(`${node.id}`, node.name);
  }
  const places = Object.entries(deployed.immutableReferences ?? {}).flatMap(([id, list]) => {
    if (!names.has(id)) throw new Error(`immutable ${id} has no name`);
    return list.map(({ start, length }) => ({ name: names.get(id), start, length }));
  });
  return places.sort((a, b) => a.start - b.start);
}

/** Slots only: the types' identifiers carry AST numbers too. */
function storage(layout) {
  return layout.storage.map(({ label, slot, offset, type }) => ({ label, slot, offset, type: layout.types[type].label }));
}

/**
 * Each contract is compiled alone and into a folder of its own: what the compiler emits depends on which other
 * files it sees. Only `PackageRegistry` is taken from where `NameRegistry` was compiled. Compiles what is not `built` yet.
 */
function outputOf(name, built) {
  const main = name === "PackageRegistry" ? "NameRegistry" : name;
  const out = join("out", "artefact", main);
  if (!built.has(main)) {
    const flags = ["--force", "--ast", "--out", out, "--cache-path", join("cache", "artefact", main)];
    const wanted = main === "NameRegistry" ? "NameRegistry,PackageRegistry" : main;
    const source = [join("src", `${main}.sol`), join("src", "signers", `${main}.sol`)].find((path) => existsSync(join(root, path)));
    execFileSync(join(root, "node_modules", ".bin", "forge"), ["build", source, ...flags], {
      cwd: root,
      env: { ...process.env, FOUNDRY_PROFILE: "shipped", SOLC_CONTRACTS: wanted },
      stdio: ["ignore", "ignore", "inherit"],
    });
    built.add(main);
  }
  return JSON.parse(readFileSync(join(root, out, `${name}.sol`, `${name}.json`), "utf8"));
}

function build(name, built) {
  const { abi, bytecode, deployedBytecode, storageLayout, ast } = outputOf(name, built);
  const artefact = {
    contractName: name,
    abi,
    bytecode: bytecode.object,
    deployedBytecode: deployedBytecode.object,
    immutableReferences: immutables(deployedBytecode, ast),
    storageLayout: storage(storageLayout),
  };
  return `${JSON.stringify(artefact, null, 1)}\n`;
}

const [mode, ...chosen] = process.argv.slice(2);
const contracts = mode === "write" && chosen.length > 0 ? chosen : all;
const built = new Set();
const fresh = new Map(contracts.map((name) => [`${name}.json`, build(name, built)]));
const [holder, held] = ["NameRegistry", "PackageRegistry"].map((name) => fresh.get(`${name}.json`));
if (holder !== undefined && held !== undefined && !JSON.parse(holder).bytecode.includes(JSON.parse(held).bytecode.slice(2))) {
  throw new Error("NameRegistry creates another PackageRegistry than the artefact");
}
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
