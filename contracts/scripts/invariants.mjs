// A million calls of the adversary's under a new seed (or `npm run invariants:long -- SEED`), and how often each act
// was tried and accepted over all of them: an act that never comes through proves nothing and fails here. The
// adversary forgets with every run, so the test writes each run's counts to a file in `cache/`.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const acts = join("cache", "acts.txt");
const seed = process.argv[2] ?? String(Date.now());
/** What no signature in the world makes right. */
const never = ["configure what cannot be", "speak through another contract", "move or approve a token"];

mkdirSync(join(root, "cache"), { recursive: true });
rmSync(join(root, acts), { force: true });
const began = Date.now();
const run = spawnSync(
  join(root, "node_modules", ".bin", "forge"),
  ["test", "--match-contract", "InvariantsTest", "--match-test", "invariant_", "--fuzz-seed", seed],
  { cwd: root, stdio: "inherit", env: { ...process.env, FOUNDRY_PROFILE: "long", ACTS: acts } },
);
if (run.error) throw run.error;
if (run.status !== 0) process.exit(1);

const counts = new Map();
for (const line of readFileSync(join(root, acts), "utf8").trim().split("\n")) {
  const [act, tried, accepted] = line.split("|");
  const [before, through] = counts.get(act) ?? [0, 0];
  counts.set(act, [before + Number(tried), through + Number(accepted)]);
}
let idle = 0;
process.stdout.write(`\nseed ${seed}, ${Math.round((Date.now() - began) / 1000)} seconds\n| act | tried | accepted |\n|---|---|---|\n`);
for (const [act, [tried, accepted]] of counts) {
  const moves = never.includes(act) ? accepted === 0 : accepted > 0 && accepted < tried;
  if (!moves) idle += 1;
  const count = (number) => number.toLocaleString("en");
  process.stdout.write(`| ${act} | ${count(tried)} | ${count(accepted)} |${moves ? "" : " <- never, or always"}\n`);
}
process.exitCode = idle > 0 ? 1 : 0;
