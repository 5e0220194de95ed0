// A registry on loopback that answers what another one answered: the first time something is asked for it is fetched
// and kept in memory, so that every later run has the same answers at the same speed. Addresses of tarballs become its
// own; documents are packed where the asker takes that, as the public registry's are. Every answer waits `delay`
// milliseconds.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { gzipSync } from "node:zlib";

/** Starts one for `registry`, an address that ends in a slash. With `tls` (key, cert) over https. */
export async function start(registry, delay, tls) {
  const kept = new Map();
  let own;

  const fetched = async (path, accept) => {
    const answer = await fetch(new URL(path.slice(1), registry), { headers: { accept }, redirect: "follow" });
    const type = answer.headers.get("content-type") ?? "application/octet-stream";
    let body = Buffer.from(await answer.arrayBuffer());
    if (!type.includes("json")) return { status: answer.status, type, body, keep: "public, immutable, max-age=31557600" };
    body = Buffer.from(body.toString().replaceAll(registry, own));
    const etag = `"${createHash("sha256").update(body).digest("hex")}"`;
    return { status: answer.status, type, body, packed: gzipSync(body), etag, keep: "public, max-age=300" };
  };

  const answer = async (request, response) => {
    if (request.method !== "GET" || request.url.startsWith("/-/")) {
      return response.setHeader("content-type", "application/json").end("{}");
    }
    const accept = request.headers.accept ?? "*/*";
    const key = `${accept} ${request.url}`;
    if (!kept.has(key)) kept.set(key, fetched(request.url, accept));
    const [{ status, type, body, packed, etag, keep }] = await Promise.all([kept.get(key), new Promise((ready) => setTimeout(ready, delay))]);
    response.setHeader("cache-control", keep);
    if (etag !== undefined) {
      response.setHeader("etag", etag).setHeader("vary", "accept-encoding, accept");
      if (request.headers["if-none-match"] === etag) return response.writeHead(304).end();
    }
    const packs = packed !== undefined && /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
    if (packs) response.setHeader("content-encoding", "gzip");
    const sent = packs ? packed : body;
    response.writeHead(status, { "content-type": type, "content-length": sent.length }).end(sent);
  };
  const handle = (request, response) => answer(request, response).catch((error) => response.writeHead(502).end(String(error)));
  const server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle);
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  own = `${tls === undefined ? "http" : "https"}://localhost:${server.address().port}/`;
  return { url: own, close: () => server.close() };
}
