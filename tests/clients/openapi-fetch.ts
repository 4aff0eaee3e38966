// openapi-fetch with the types of openapi-typescript, in all operations that a caller begins with.

import createClient from "openapi-fetch";
import type { components, paths } from "./generated/openapi-typescript";
import { api, chat, check, key, pause, put, spentChat, spentKey, step, text } from "./steps";

type Problem = components["schemas"]["Problem"];

const client = (token: string) => createClient<paths>({ baseUrl: api, headers: { Authorization: `Bearer ${token}` } });
const own = client(key);
const path = { conversation_id: chat };
let id = "";
let uploaded: components["schemas"]["Attachment"];

/** What a call answers, if it is no refusal. */
function answered<T>({ data, error }: { data?: T; error?: unknown }): T {
  check(data !== undefined, error);
  return data;
}

function problem(
  { error, response }: { error?: Problem | components["schemas"]["GatewayError"]; response: Response },
  status: number,
  code: string,
): Problem {
  check(error && "code" in error, error);
  check(response.status === status && error.status === status && error.code === code, error);
  return error;
}

async function main() {
  await step("send", async () => {
    const request = {
      params: { path, header: { "Idempotency-Key": "send-1" } },
      body: { content: "By a client." },
    };
    const send = async () => answered(await own.POST("/api/v1/conversations/{conversation_id}/messages", request));
    const sent = await send();
    check(sent.content === "By a client." && (await send()).id === sent.id);
    id = sent.id;
  });

  await step("upload", async () => {
    const form = new FormData();
    form.append("file", text(), "a.txt");
    uploaded = answered(
      await own.POST("/api/v1/conversations/{conversation_id}/upload", {
        params: { path },
        body: { file: "" }, // openapi-typescript has a text for what is binary
        bodySerializer: () => form,
      }),
    );
    check(uploaded.size === 8);
  });

  await step("announce", async () => {
    const body = { filename: "b.txt", content_type: "text/plain", size: 8 };
    const announced = answered(
      await own.POST("/api/v1/conversations/{conversation_id}/uploads", { params: { path }, body }),
    );
    await put(announced.upload.url, announced.upload.headers);
    const attachments = [{ url: uploaded.url }, { url: announced.url }];
    const sent = answered(
      await own.POST("/api/v1/conversations/{conversation_id}/messages", {
        params: { path },
        body: { content: "Two files.", attachments },
      }),
    );
    check(sent.attachments.length === 2 && sent.attachments[1]?.url === announced.url);
  });

  await step("read", async () => {
    const params = { path: { conversation_id: chat, message_id: id } };
    const read = async () => {
      const route = "/api/v1/conversations/{conversation_id}/messages/{message_id}";
      return answered(await own.GET(route, { params })).delivery;
    };
    let delivery = await read();
    for (let reads = 0; delivery.status !== "delivered" && reads < 100; reads++) {
      await pause();
      delivery = await read();
    }
    check(delivery.status === "delivered" && delivery.error === null && delivery.delivered_at, delivery);
  });

  await step("list", async () => {
    const page = async (after?: string) => {
      const params = { path, query: { limit: 1, after } };
      return answered(await own.GET("/api/v1/conversations/{conversation_id}/messages", { params }));
    };
    const first = await page();
    const then = await page(first.next);
    check(first.messages[0]?.id !== then.messages[0]?.id);
  });

  await step("403", async () => {
    const answer = await client(spentKey).POST("/api/v1/conversations/{conversation_id}/messages", {
      params: { path: { conversation_id: spentChat } },
      body: { content: "One too many." },
    });
    const refused = problem(answer, 403, "quota_exceeded");
    check(refused.limit === refused.used && refused.resets_at, refused);
  });

  await step("422", async () => {
    const answer = await own.POST("/api/v1/conversations/{conversation_id}/messages", {
      params: { path },
      body: { content: "\u200b" },
    });
    check(problem(answer, 422, "validation_error").errors?.[0]?.loc.join(".") === "body.content", answer.error);
  });
}

void main();
