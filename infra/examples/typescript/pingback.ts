// Sends a message with a file, follows it, and reads the conversation page by page.
//
// Works as it stands while `cargo local` runs; API, CONVERSATION and TOKEN name another system. Needs Node.js 22.18, which
// runs TypeScript, and no packages.

const {
  API = "http://127.0.0.1:3000",
  CONVERSATION = "6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4",
  TOKEN = "pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
} = process.env;

const ATTEMPTS = 6;

interface Problem { code: string; title: string; detail: string }
interface File { id: string; url: string; filename: string; content_type: string; size: number }
interface Delivery { status: "queued" | "sending" | "sent" | "delivered" | "read" | "failed" | "in_doubt" }
interface Message { id: string; content: string; created_at: string }
interface Page { messages: (Message & { delivery: Delivery })[]; next: string; has_more: boolean }

/** The service refused a request; decide by `problem.code`. */
class Refused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.code}: ${problem.detail}`);
    this.problem = problem;
  }
}

const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Makes a request, and repeats it while there is no answer that settles it. */
async function call<T>(path: string, request: RequestInit = {}): Promise<T> {
  const url = `${API}/api/v1/conversations/${CONVERSATION}${path}`;
  const headers = { Authorization: `Bearer ${TOKEN}`, ...request.headers };

  for (let attempt = 1; ; attempt++) {
    let wait = Math.random() * 2 ** attempt;
    try {
      const response = await fetch(url, { ...request, headers, signal: AbortSignal.timeout(30_000) });
      if ((response.status !== 429 && response.status < 500) || attempt === ATTEMPTS) {
        if (response.headers.get("Content-Type") === "application/problem+json") throw new Refused(await response.json());
        if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
        return await response.json();
      }
      wait = Math.max(wait, Number(response.headers.get("Retry-After")));
    } catch (error) {
      const unanswered = error instanceof TypeError || (error instanceof DOMException && error.name === "TimeoutError");
      if (!unanswered || attempt === ATTEMPTS) throw error;
    }
    await sleep(wait);
  }
}

/** Uploads a file into the conversation; larger ones than 4 MiB are announced instead. */
function upload(name: string, content: Blob): Promise<File> {
  const form = new FormData();
  form.append("file", content, name);
  return call("/upload", { method: "POST", body: form });
}

/** Sends a message, once however often it is repeated: all attempts have one key. */
function send(content: string, attachments: File[] = [], key: string = crypto.randomUUID()): Promise<Message> {
  return call("/messages", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify({ content, attachments: attachments.map(({ url }) => ({ url })) }),
  });
}

/** Reads a message until it has arrived or failed. */
async function follow(id: string, seconds = 60): Promise<Delivery> {
  const until = Date.now() + seconds * 1000;
  for (;;) {
    const { delivery } = await call<Message & { delivery: Delivery }>(`/messages/${id}`);
    if (["delivered", "read", "failed"].includes(delivery.status) || Date.now() > until) return delivery;
    await sleep(1);
  }
}

/** Reads all messages of the conversation, oldest first. */
async function* messages(): AsyncGenerator<Message> {
  const query = new URLSearchParams({ limit: "100" });
  for (;;) {
    const page = await call<Page>(`/messages?${query}`);
    yield* page.messages;
    query.set("after", page.next); // kept, it brings later exactly what has come since
    if (!page.has_more) return;
  }
}

const file = await upload("order.txt", new Blob(["Two pairs of shoes, brown.\n"], { type: "text/plain" }));
console.log("uploaded", file.url);
const sent = await send("This is what we packed.", [file]);
console.log("sent", sent.id);
console.log("status", (await follow(sent.id)).status);
for await (const message of messages()) console.log(message.created_at, message.content);

export {};
