// A registry on loopback that makes up its packages: N of them, each needing a few that come after it, so that
// the tree is wide and several levels deep. Every answer waits `delay` milliseconds, as a network would, and says
// how long it may be kept, as the public registry's do: documents five minutes, tarballs for good.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { gzipSync } from "node:zlib";

const FILES = 12;
const FILE_BYTES = 3000;

function header(path, size) {
  const block = Buffer.alloc(512);
  const put = (text, at) => block.write(text, at, "latin1");
  const octal = (value, digits) => `${value.toString(8).padStart(digits, "0")}\0`;
  put(path, 0);
  put(octal(0o644, 7), 100);
  put(octal(0, 7), 108);
  put(octal(0, 7), 116);
  put(octal(size, 11), 124);
  put(octal(499162500, 11), 136);
  put("        ", 148);
  put("0", 156);
  put("ustar\u000000", 257);
  put(`${block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function tarball(files) {
  const blocks = [];
  for (const [path, text] of Object.entries(files)) {
    const body = Buffer.from(text);
    blocks.push(header(`package/${path}`, body.length), body, Buffer.alloc((512 - (body.length % 512)) % 512));
  }
  blocks.push(Buffer.alloc(1024));
  return gzipSync(Buffer.concat(blocks));
}

/** Text that does not shrink to nothing, the same in every run. */
function noise(seed, length) {
  let text = "";
  for (let at = 0; text.length < length; at += 1) text += createHash("sha256").update(`${seed} ${at}`).digest("base64");
  return text.slice(0, length);
}

export const name = (number) => `bench-${String(number).padStart(4, "0")}`;

/** The packages that number `at` of `count` asks for. */
function needs(at, count) {
  const next = [at * 3 + 1, at * 3 + 2, at * 3 + 3].filter((number) => number < count);
  return Object.fromEntries(next.map((number) => [name(number), "^1.0.0"]));
}

/** Starts a mirror with `count` packages; every one is reached from the first. With `tls` (key, cert) over https. */
export async function start(count, delay, tls) {
  const origin = (host) => `${tls === undefined ? "http" : "https"}://${host}/`;
  const packages = new Map();
  for (let at = 0; at < count; at += 1) {
    const manifest = { name: name(at), version: "1.0.0", license: "MIT", main: "index.js", dependencies: needs(at, count) };
    const files = { "package.json": JSON.stringify(manifest) };
    for (let file = 0; file < FILES; file += 1) files[`lib/${file}.js`] = `// ${noise(`${at} ${file}`, FILE_BYTES)}\n`;
    files["index.js"] = "module.exports = 1;\n";
    const bytes = tarball(files);
    const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
    const shasum = createHash("sha1").update(bytes).digest("hex");
    packages.set(manifest.name, { manifest, bytes, integrity, shasum });
  }
  const answer = (request, response) => {
    const [, wanted, , file] = decodeURIComponent(request.url.split("?")[0]).split("/");
    const found = packages.get(wanted);
    setTimeout(() => {
      if (request.url.startsWith("/-/")) return response.setHeader("content-type", "application/json").end("{}");
      if (found === undefined) return response.writeHead(404, { "content-type": "application/json" }).end("{}");
      if (file !== undefined) {
        response.setHeader("cache-control", "public, immutable, max-age=31557600");
        return response.setHeader("content-type", "application/octet-stream").end(found.bytes);
      }
      const { manifest, integrity, shasum } = found;
      const url = `${origin(request.headers.host)}${wanted}/-/${wanted}-1.0.0.tgz`;
      const version = { ...manifest, dist: { tarball: url, integrity, shasum } };
      const time = { created: "2024-01-01T00:00:00.000Z", modified: "2024-01-01T00:00:00.000Z", "1.0.0": "2024-01-01T00:00:00.000Z" };
      const document = { _id: wanted, name: wanted, "dist-tags": { latest: "1.0.0" }, versions: { "1.0.0": version }, time };
      const text = JSON.stringify(document);
      const etag = `"${createHash("sha256").update(text).digest("hex")}"`;
      response.setHeader("cache-control", "public, max-age=300").setHeader("etag", etag).setHeader("vary", "accept");
      if (request.headers["if-none-match"] === etag) return response.writeHead(304).end();
      response.setHeader("content-type", "application/json").end(text);
    }, delay);
  };
  const server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer);
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { url: origin(`localhost:${server.address().port}`), close: () => server.close() };
}
