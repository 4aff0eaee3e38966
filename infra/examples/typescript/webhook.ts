// Is told events: verifies each webhook, refuses copies that come late, and takes each event once.
//
// SECRET is that of an endpoint whose URL leads to this program, at PORT. Without it the program makes an endpoint, has an
// event sent to it, and removes it again: that works as it stands while `cargo local` runs. Needs Node.js 22.18, which runs
// TypeScript, and no packages.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

const {
  API = "http://127.0.0.1:3000",
  TOKEN = "pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
  SECRET,
  PORT = "0",
} = process.env;

const TOLERANCE = 300; // seconds that a timestamp may be away; what is older may have been recorded and sent again
const LARGEST = 1_000_000; // bytes of a body

interface Event { id: string; type: string }
interface Endpoint { id: string; secret: string }

/** A request that this service has not sent, or not now. */
class Unverified extends Error {}

/** Returns the event of a webhook, or throws Unverified. `body` is the bytes as they came. */
function verify(secret: string, headers: IncomingHttpHeaders, body: Buffer, now: number): Event {
  const header = (name: string) => String(headers[name] ?? "");
  const timestamp = header("webhook-timestamp");
  if (!/^\d+$/.test(timestamp) || Math.abs(now - Number(timestamp)) > TOLERANCE) {
    throw new Unverified("the timestamp is too far away");
  }

  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const hmac = createHmac("sha256", key).update(`${header("webhook-id")}.${timestamp}.`).update(body);
  const expected = Buffer.from(`v1,${hmac.digest("base64")}`);

  // There are two while a secret is being replaced.
  const signatures = header("webhook-signature").split(" ").map((signature) => Buffer.from(signature));
  const isGood = (signature: Buffer) => signature.length === expected.length && timingSafeEqual(signature, expected);
  if (!signatures.some(isGood)) throw new Unverified("no signature is good");
  return JSON.parse(body.toString());
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > LARGEST) throw new Unverified("the body is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const taken = new Set<string>(); // in your database, and written in one transaction with what the event changes
let secret = SECRET ?? "";
let tellTriedOut = () => {};
const triedOut = new Promise<void>((resolve) => (tellTriedOut = resolve));

const server = createServer(async (request, response) => {
  try {
    const event = verify(secret, request.headers, await read(request), Date.now() / 1000);
    // An event may come twice, and its id is the same then.
    if (!taken.has(event.id)) {
      console.log("told", event.type, event.id);
      taken.add(event.id);
    }
    response.writeHead(204).end();
    if (event.type === "endpoint.test") tellTriedOut();
  } catch (error) {
    if (!(error instanceof Unverified)) throw error;
    console.log("refused", error.message);
    response.writeHead(400).end();
  }
});

async function call<T>(method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(`${API}/api/v1/webhook_endpoints${path}`, {
    method,
    headers: { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return JSON.parse(text || "null");
}

/** Makes an endpoint, has an event sent to it, and removes it. */
async function tryOut(url: string): Promise<void> {
  const endpoint = await call<Endpoint>("POST", "", { url, events: ["endpoint.test"] });
  secret = endpoint.secret;
  const tooLate = setTimeout(() => { throw new Error("no event came"); }, 60_000);
  try {
    await call("POST", `/${endpoint.id}/test`);
    await triedOut;
  } finally {
    clearTimeout(tooLate);
    await call("DELETE", `/${endpoint.id}`);
  }
}

await new Promise<void>((resolve) => server.listen(Number(PORT), "127.0.0.1", resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
console.log("listening", url);
if (!SECRET) {
  await tryOut(url);
  server.close();
  server.closeAllConnections();
}
