// What an install through 3pm costs beside the package manager alone: paired runs, A B A B, from a mirror on
// loopback, cold and with a warm cache. Prints medians and ratios as a table: seconds; processor time of 3pm's own
// process, and of it and the package manager together, beside that of the package manager alone; and the most memory
// 3pm's own process had (Linux: read from /proc). The mirror speaks https, as registries do, with a certificate that
// `openssl` makes for the run; --plain does without.
//
//   node bench/install.mjs [--binary target/release/3pm] [--packages 300,1000] [--runs 5] [--delay 20] [--plain]
//                          [--managers "npm,npm with lockfile,pnpm,pnpm with lockfile"] [--pnpm PATH]
//                          [--caches cold,warm] [--real jest@29.7.0] [--alone target/release/examples/alone]
//
// With --real the tree is not made up: it is what that package needs, as npm's own registry has it. Everything is fetched
// from there once and kept in memory, then answered from loopback like the rest.
//
// With --alone PROGRAM (`cargo build --release -p proxy --example alone`) the same install runs a third time, through
// nothing but the proxy, which takes both hashes of every tarball and judges nothing; one more column has its processor
// time beside that of the package manager alone.
//
// Everything lies in the system's temporary folder (TMPDIR). On ext4 a new file takes longer for a while after many
// were deleted, as they are after each run; on a file system in memory it does not.
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import * as mirrors from "./mirror.mjs";
import * as replays from "./replay.mjs";

const { values } = parseArgs({
  options: {
    binary: { type: "string", default: "target/release/3pm" },
    packages: { type: "string", default: "300,1000" },
    runs: { type: "string", default: "5" },
    delay: { type: "string", default: "20" },
    plain: { type: "boolean", default: false },
    caches: { type: "string", default: "cold,warm" },
    real: { type: "string" },
    alone: { type: "string" },
    managers: { type: "string", default: "npm,npm with lockfile,pnpm,pnpm with lockfile" },
    pnpm: { type: "string", default: "tools/clients/node_modules/pnpm/bin/pnpm.cjs" },
  },
});
const binary = resolve(values.binary);
const runs = Number(values.runs);
const work = mkdtempSync(join(tmpdir(), "bench-install-"));

/** A local chain, so that every name is really asked about. */
async function world() {
  const home = join(work, "home");
  const child = spawn(binary, ["dev", "--json"], {
    env: { ...process.env, THREEPM_HOME: home },
    // It ends when its input does.
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  const description = await new Promise((ready, failed) => {
    child.once("exit", (code) => failed(new Error(`3pm dev ended with ${code}`)));
    child.stdout.on("data", (chunk) => {
      text += chunk;
      try {
        ready(JSON.parse(text));
      } catch {
        // Not all of it yet.
      }
    });
  });
  return { home: description.people.user.home, end: () => child.kill("SIGINT") };
}

function programs() {
  const folder = join(work, "programs");
  mkdirSync(folder);
  // As npm would have put it there.
  symlinkSync(resolve(values.pnpm), join(folder, "pnpm"));
  return folder;
}

/** A key and a certificate for localhost, and the file of the latter. */
function identity() {
  const [keyFile, file] = ["key.pem", "certificate.pem"].map((leaf) => join(work, leaf));
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
  execFileSync("openssl", [...request, ...subject, "-keyout", keyFile, "-out", file], { stdio: "ignore" });
  return { file, tls: { key: readFileSync(keyFile), cert: readFileSync(file) } };
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

/** Processor seconds of a process so far, from two fields of its `stat`: user and system time, in hundredths. */
function spent(pid, first) {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
  return (Number(fields[first]) + Number(fields[first + 1])) / 100;
}

const spentIn = (pid) => spent(pid, 11);

/** Of all that it started and waited for. */
const spentBelow = (pid) => spent(pid, 13);

/** The most memory that a process had so far, in MB; one that has ended and is not yet waited for has none. */
function mostMemory(pid) {
  const memory = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return memory === null ? 0 : Number(memory[1]) / 1024;
}

/** Where package managers keep what they fetched. */
const places = (cache) => ({
  npm_config_cache: join(cache, "npm"),
  npm_config_store_dir: join(cache, "pnpm"),
  pnpm_config_store_dir: join(cache, "pnpm"),
  XDG_CACHE_HOME: join(cache, "xdg"),
  XDG_DATA_HOME: join(cache, "data"),
});

/** The trees to install, each behind a registry on loopback: what a project needs, how large that is, and the registry. */
async function* trees(delay, tls) {
  if (values.real === undefined) {
    for (const count of values.packages.split(",").map(Number)) {
      yield { dependencies: { [mirrors.name(0)]: "1.0.0" }, label: String(count), mirror: await mirrors.start(count, delay, tls) };
    }
    return;
  }
  const registry = execFileSync("npm", ["config", "get", "registry"], { encoding: "utf8" }).trim();
  for (const label of values.real.split(",")) {
    const at = label.lastIndexOf("@");
    yield { dependencies: { [label.slice(0, at)]: label.slice(at + 1) }, label, mirror: await replays.start(registry, delay, tls) };
  }
}

/** The proxy alone before `registry`: what the environment of a package manager needs, and its end. */
async function alone(registry) {
  const child = spawn(resolve(values.alone), [registry, ...(file === undefined ? [] : [file])], { stdio: ["pipe", "pipe", "inherit"] });
  const [url, ca] = await new Promise((ready, failed) => {
    child.once("exit", (code) => failed(new Error(`${values.alone} ended with ${code}`)));
    child.stdout.once("data", (line) => ready(String(line).trim().split(" ")));
  });
  const env = { HTTPS_PROXY: url, HTTP_PROXY: url, https_proxy: url, http_proxy: url, npm_config_noproxy: "", npm_config_cafile: ca };
  const end = async () => {
    const seconds = spentIn(child.pid);
    child.stdin.end();
    await new Promise((ready) => child.once("close", ready));
    return seconds;
  };
  return { env, end };
}

/** One run in a project of its own: seconds; processor seconds of everything, and of its own process; its most memory. */
async function once(command, project, cache, environment) {
  const folder = mkdtempSync(join(work, "run-"));
  cpSync(project, folder, { recursive: true });
  const env = { ...environment, ...places(cache) };
  const [begun, before] = [process.hrtime.bigint(), spentBelow("self")];
  const child = spawn(command[0], command.slice(1), { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let [below, memory] = [0, 0];
  const watch = setInterval(() => {
    try {
      below = spentBelow(child.pid);
      memory = Math.max(memory, mostMemory(child.pid));
    } catch {
      // It has ended.
    }
  }, 10);
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
  const code = await new Promise((ready) => child.once("close", ready));
  clearInterval(watch);
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  const together = spentBelow("self") - before;
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}\n${said}`);
  const [first] = Object.keys(JSON.parse(readFileSync(join(folder, "package.json"))).dependencies);
  if (!existsSync(join(folder, "node_modules", first))) throw new Error(`${command.join(" ")} installed nothing`);
  rmSync(folder, { recursive: true });
  return { seconds, together, own: together - below, memory };
}

const rows = [];
const { file, tls } = values.plain ? {} : identity();
const local = await world();
try {
  const path = `${programs()}:${process.env.PATH}`;
  for await (const { dependencies, label, mirror } of trees(Number(values.delay), tls)) {
    const environment = {
      ...process.env,
      PATH: path,
      THREEPM_HOME: local.home,
      NPM_CONFIG_REGISTRY: mirror.url,
      npm_config_registry: mirror.url,
      pnpm_config_registry: mirror.url,
      // Nobody's own settings: there is no such file.
      npm_config_userconfig: join(work, "npmrc"),
      npm_config_audit: "false",
      npm_config_fund: "false",
      npm_config_update_notifier: "false",
      CI: "true",
      ...(file === undefined ? {} : { npm_config_cafile: file, NODE_EXTRA_CA_CERTS: file }),
    };
    for (const manager of values.managers.split(",")) {
      const project = join(work, `project-${manager} ${label}`.replaceAll(/[^a-z0-9]/g, "-"));
      mkdirSync(project);
      writeFileSync(join(project, "package.json"), JSON.stringify({ name: "bench", version: "1.0.0", dependencies }));
      const [program, withLockfile] = manager.split(" with ");
      const plain = program === "npm" ? ["npm", "install"] : [program, "install", "--no-frozen-lockfile"];
      const ours = program === "npm" ? [binary, "install", "--quiet"] : [binary, "run-with", program, "--quiet", "--", ...plain.slice(1)];
      if (withLockfile) {
        const env = { ...environment, ...places(join(work, "cache-lockfile")) };
        const child = spawn(plain[0], plain.slice(1), { cwd: project, env, stdio: "ignore" });
        await new Promise((ready) => child.once("close", ready));
        rmSync(join(project, "node_modules"), { recursive: true });
      }
      for (const cache of values.caches.split(",")) {
        const commands = { plain, ours, ...(values.alone === undefined ? {} : { alone: plain }) };
        const caches = Object.fromEntries(Object.keys(commands).map((which) => [which, join(work, `cache-${which}`)]));
        const run = async (which) => {
          if (which !== "alone") return once(commands[which], project, caches[which], environment);
          const proxy = await alone(mirror.url);
          const measured = await once(plain, project, caches.alone, { ...environment, ...proxy.env });
          return { ...measured, own: await proxy.end() };
        };
        // What 3pm itself saw before is forgotten, too.
        const remembered = ["lists", "signed"].map((name) => join(local.home, name));
        const fresh = () => {
          for (const place of [...Object.values(caches), ...remembered]) rmSync(place, { recursive: true, force: true });
        };
        fresh();
        for (const which of Object.keys(commands)) await run(which);
        const runsOf = Object.fromEntries(Object.keys(commands).map((which) => [which, []]));
        for (let round = 0; round < runs; round += 1) {
          const order = Object.keys(commands);
          for (const which of round % 2 === 0 ? order : order.toReversed()) {
            if (cache === "cold") fresh();
            runsOf[which].push(await run(which));
          }
        }
        const of = (which, field) => median(runsOf[which].map((run) => run[field]));
        const ratio = (field, beside = field, which = "ours") => median(runsOf[which].map((run, at) => run[field] / runsOf.plain[at][beside]));
        const row = [manager, label, cache, of("plain", "seconds").toFixed(2), of("ours", "seconds").toFixed(2), `${ratio("seconds").toFixed(2)}x`];
        row.push(`${(100 * ratio("own", "together")).toFixed(1)} %`, `${ratio("together").toFixed(2)}x`, `${of("ours", "memory").toFixed(0)} MB`);
        if (values.alone !== undefined) row.push(`${(100 * ratio("own", "together", "alone")).toFixed(1)} %`);
        rows.push(row);
        process.stderr.write(`${row.join("  ")}\n`);
      }
    }
    mirror.close();
  }
} finally {
  local.end();
  rmSync(work, { recursive: true, force: true });
}
process.stdout.write(`${runs} paired runs each, ${values.delay} ms per answer over ${values.plain ? "http" : "https"}, ${cpus().length} x ${cpus()[0].model}\n\n`);
const columns = ["install by", "packages", "cache", "alone, s", "through 3pm, s", "ratio", "processor", "together", "memory"];
if (values.alone !== undefined) columns.push("proxy alone");
process.stdout.write(`| ${columns.join(" | ")} |\n|${"---|".repeat(columns.length)}\n`);
for (const row of rows) process.stdout.write(`| ${row.join(" | ")} |\n`);
