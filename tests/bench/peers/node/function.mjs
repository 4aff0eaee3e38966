// Makes the calls of send-message and nothing else. In place of Lambda's runtime client stands a loop, which costs less.

import { BatchGetItemCommand, DynamoDBClient, TransactWriteItemsCommand } from "@aws-sdk/client-dynamodb";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import http from "node:http";

import calls from "../../calls.json";

const dynamodb = new DynamoDBClient({});
const sqs = new SQSClient({ useQueueUrlAsEndpoint: false }); // AWS_ENDPOINT_URL is

async function answer() {
  await dynamodb.send(new BatchGetItemCommand(calls.BatchGetItem));
  await dynamodb.send(new TransactWriteItemsCommand(calls.TransactWriteItems));
  await sqs.send(new SendMessageCommand(calls.SendMessage));
  return { statusCode: 201 };
}

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, agent, method, path: `/2018-06-01/runtime/${path}` }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve([response.headers, Buffer.concat(parts).toString()]));
    });
    request.on("error", reject);
    if (body !== undefined) request.setHeader("Content-Length", Buffer.byteLength(body));
    request.end(body);
  });
}

for (;;) {
  const [headers, event] = await ask("GET", "invocation/next");
  const answered = await answer(JSON.parse(event));
  await ask("POST", `invocation/${headers["lambda-runtime-aws-request-id"]}/response`, JSON.stringify(answered));
}
