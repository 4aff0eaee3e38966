// The client that orval makes for fetch, in all operations that a caller begins with.

import { announceFile, listMessages, readMessage, sendMessage, uploadFile } from "./generated/orval";
import type { Attachment, GatewayError, Problem } from "./generated/orval";
import { chat, check, key, pause, put, spentChat, spentKey, step, text } from "./steps";

const as = (token: string): RequestInit => ({ headers: { Authorization: `Bearer ${token}` } });
let id = "";
let uploaded: Attachment;

function problem(answer: { status: number; data: unknown }, status: number, code: string): Problem {
  const refused = answer.data as Problem | GatewayError;
  check("code" in refused, refused);
  check(answer.status === status && refused.status === status && refused.code === code, refused);
  return refused;
}

async function main() {
  await step("send", async () => {
    const send = async () => {
      const sent = await sendMessage(chat, { content: "By a client." }, { "Idempotency-Key": "send-1" }, as(key));
      check(sent.status === 201, sent);
      return sent.data;
    };
    const sent = await send();
    check(sent.content === "By a client." && (await send()).id === sent.id);
    id = sent.id;
  });

  await step("upload", async () => {
    const answer = await uploadFile(chat, { file: new File([text()], "a.txt", { type: "text/plain" }) }, as(key));
    check(answer.status === 201 && answer.data.size === 8, answer);
    uploaded = answer.data;
  });

  await step("announce", async () => {
    const announced = await announceFile(chat, { filename: "b.txt", content_type: "text/plain", size: 8 }, as(key));
    check(announced.status === 201, announced);
    await put(announced.data.upload.url, announced.data.upload.headers);
    const attachments = [{ url: uploaded.url }, { url: announced.data.url }];
    const sent = await sendMessage(chat, { content: "Two files.", attachments }, undefined, as(key));
    check(sent.status === 201 && sent.data.attachments[1]?.url === announced.data.url, sent);
  });

  await step("read", async () => {
    const read = async () => {
      const answer = await readMessage(chat, id, as(key));
      check(answer.status === 200, answer);
      return answer.data.delivery;
    };
    let delivery = await read();
    for (let reads = 0; delivery.status !== "delivered" && reads < 100; reads++) {
      await pause();
      delivery = await read();
    }
    check(delivery.status === "delivered" && delivery.error === null && delivery.delivered_at, delivery);
  });

  await step("list", async () => {
    const first = await listMessages(chat, { limit: 1 }, as(key));
    check(first.status === 200 && first.data.next, first);
    const then = await listMessages(chat, { limit: 1, after: first.data.next }, as(key));
    check(then.status === 200 && first.data.messages[0]?.id !== then.data.messages[0]?.id, then);
  });

  await step("403", async () => {
    const answer = await sendMessage(spentChat, { content: "One too many." }, undefined, as(spentKey));
    const refused = problem(answer, 403, "quota_exceeded");
    check(refused.limit === refused.used && refused.resets_at, refused);
  });

  await step("422", async () => {
    const answer = await sendMessage(chat, { content: "\u200b" }, undefined, as(key));
    check(problem(answer, 422, "validation_error").errors?.[0]?.loc.join(".") === "body.content", answer);
  });
}

void main();
