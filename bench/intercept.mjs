// What `3pm npm-intercept` costs a command that installs nothing: paired runs, A B A B, of the client alone and
// through 3pm, in changing order. Prints medians as a table; fails past the limit of 20 ms.
//
//   node bench/intercept.mjs [--binary target/release/3pm] [--runs 60]
//
// `npm --version` is what people wait for; `true` under the name of npm shows the wrapper alone, without the
// noise of starting Node.js.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

const LIMIT_MS = 20;
const { values } = parseArgs({
  options: { binary: { type: "string", default: "target/release/3pm" }, runs: { type: "string", default: "60" } },
});
const binary = resolve(values.binary);
const work = mkdtempSync(join(tmpdir(), "bench-intercept-"));
const programs = join(work, "programs");
mkdirSync(programs);
writeFileSync(join(programs, "npm"), "#!/bin/sh\n");
chmodSync(join(programs, "npm"), 0o755);
const here = { ...process.env, HOME: work, THREEPM_HOME: join(work, "home"), npm_config_update_notifier: "false" };
const alone = { ...here, PATH: `${programs}:${process.env.PATH}` };

function time(program, args, env) {
  const started = process.hrtime.bigint();
  const { status, error } = spawnSync(program, args, { env, cwd: work, stdio: "ignore" });
  const took = Number(process.hrtime.bigint() - started) / 1e6;
  if (error || status !== 0) throw new Error(`${program} ${args.join(" ")}: ${error ?? status}`);
  return took;
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const rows = [];
try {
  for (const [name, env, runs] of [["`npm --version`", here, Number(values.runs)], ["an empty program", alone, Number(values.runs) * 2]]) {
    const pairs = [];
    const plain = () => time("npm", ["--version"], env);
    const through = () => time(binary, ["npm-intercept", "--version"], env);
    plain();
    through();
    for (let run = 0; run < runs; run++) {
      const [a, b] = run % 2 === 0 ? [plain(), through()] : [through(), plain()].reverse();
      pairs.push([a, b]);
    }
    const more = median(pairs.map(([a, b]) => b - a));
    rows.push({ name, runs, plain: median(pairs.map(([a]) => a)), through: median(pairs.map(([, b]) => b)), more });
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(`${cpus().length} x ${cpus()[0].model}\n`);
console.log("| command | pairs | alone | through 3pm | median of the differences |\n|---|---|---|---|---|");
for (const { name, runs, plain, through, more } of rows) {
  console.log(`| ${name} | ${runs} | ${plain.toFixed(1)} ms | ${through.toFixed(1)} ms | ${more.toFixed(1)} ms |`);
}
if (rows.some(({ more }) => more > LIMIT_MS)) {
  console.error(`more than ${LIMIT_MS} ms`);
  process.exitCode = 1;
}
