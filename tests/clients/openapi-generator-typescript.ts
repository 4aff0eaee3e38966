// The client that openapi-generator makes for TypeScript with fetch, in all operations that a caller begins with.

import { Configuration, FilesApi, MessagesApi, ProblemFromJSON, ResponseError } from "./generated/openapi-generator";
import type { Attachment, Problem } from "./generated/openapi-generator";
import { api, chat, check, key, pause, put, spentChat, spentKey, step, text } from "./steps";

const configured = (accessToken: string) => new Configuration({ basePath: api, accessToken });
const messages = new MessagesApi(configured(key));
const files = new FilesApi(configured(key));
let id = "";
let uploaded: Attachment;

async function problem(call: Promise<unknown>, status: number, code: string): Promise<Problem> {
  const error = await call.then(() => undefined, (error: unknown) => error);
  if (!(error instanceof ResponseError)) throw error;
  const refused = ProblemFromJSON(await error.response.json());
  check(error.response.status === status && refused.status === status && refused.code === code, refused);
  return refused;
}

async function main() {
  await step("send", async () => {
    const request = { conversationId: chat, newMessage: { content: "By a client." }, idempotencyKey: "send-1" };
    const sent = await messages.sendMessage(request);
    check(sent.content === "By a client." && (await messages.sendMessage(request)).id === sent.id);
    id = sent.id;
  });

  await step("upload", async () => {
    uploaded = await files.uploadFile({ conversationId: chat, file: new File([text()], "a.txt", { type: "text/plain" }) });
    check(uploaded.size === 8);
  });

  await step("announce", async () => {
    const newFile = { filename: "b.txt", contentType: "text/plain", size: 8 };
    const announced = await files.announceFile({ conversationId: chat, newFile });
    await put(announced.upload.url, announced.upload.headers);
    const attachments = [{ url: uploaded.url }, { url: announced.url }];
    const sent = await messages.sendMessage({ conversationId: chat, newMessage: { content: "Two files.", attachments } });
    check(sent.attachments.length === 2 && sent.attachments[1].url === announced.url);
  });

  await step("read", async () => {
    const read = async () => (await messages.readMessage({ conversationId: chat, messageId: id })).delivery;
    let delivery = await read();
    for (let reads = 0; delivery.status !== "delivered" && reads < 100; reads++) {
      await pause();
      delivery = await read();
    }
    check(delivery.status === "delivered" && delivery.error === null && delivery.deliveredAt instanceof Date, delivery);
  });

  await step("list", async () => {
    const first = await messages.listMessages({ conversationId: chat, limit: 1 });
    const then = await messages.listMessages({ conversationId: chat, limit: 1, after: first.next });
    check(first.messages[0].id !== then.messages[0].id);
  });

  await step("403", async () => {
    const spent = new MessagesApi(configured(spentKey));
    const call = spent.sendMessage({ conversationId: spentChat, newMessage: { content: "One too many." } });
    const refused = await problem(call, 403, "quota_exceeded");
    check(refused.limit === refused.used && refused.resetsAt instanceof Date, refused);
  });

  await step("422", async () => {
    const call = messages.sendMessage({ conversationId: chat, newMessage: { content: "\u200b" } });
    const refused = await problem(call, 422, "validation_error");
    check(refused.errors?.[0].loc.join(".") === "body.content", refused);
  });
}

void main();
