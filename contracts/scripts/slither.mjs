// Runs slither (from PyPI, found on the PATH) over the registries and the signers. It works on a copy in a temporary
// folder in which `Errors` has another name: slither finds base contracts by their name, takes OpenZeppelin's
// library `Errors` for ours and never ends. Judges nothing: what each finding means is in docs/contracts.md.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const work = mkdtempSync(join(tmpdir(), "slither-"));
const bin = join(root, "node_modules", ".bin");
const env = { ...process.env, FOUNDRY_PROFILE: "shipped", PATH: `${bin}:${process.env.PATH}` };

function rename(folder) {
  for (const path of readdirSync(folder).map((name) => join(folder, name))) {
    if (statSync(path).isDirectory()) rename(path);
    else writeFileSync(path, readFileSync(path, "utf8").replaceAll(/\bErrors\b(?!\.sol)/g, "RegistryErrors"));
  }
}

try {
  for (const part of ["src", "bin", "foundry.toml"]) cpSync(join(root, part), join(work, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(work, "node_modules"));
  rename(join(work, "src"));
  execFileSync("forge", ["build", "--build-info", "--force", "src"], { cwd: work, env, stdio: ["ignore", "ignore", "inherit"] });
  const flags = [".", "--ignore-compile", "--filter-paths", "node_modules", ...process.argv.slice(2)];
  const run = spawnSync("slither", flags, { cwd: work, env, stdio: "inherit" });
  if (run.error) throw run.error;
  process.exitCode = run.status;
} finally {
  rmSync(work, { recursive: true });
}
