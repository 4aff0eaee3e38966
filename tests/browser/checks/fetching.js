// Messages that do not fit into the WebSocket, which the widget fetches over HTTP.
"use strict";

const WAITS = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];

check("a large message is fetched with the token and shown in its place", async () => {
  const socket = await begin({ api: `${API_URL}/` });
  socket.heard();
  await socket.say(large(1), arrival(2), caughtUp(2));
  equal(requests.map(({ url }) => url), [`${API_URL}/api/v1/chat/messages/id-1`]);
  equal(requests[0].options.headers, { authorization: `Bearer ${tokenFor("c1")}` });
  await clock.pass(5_000);
  equal([texts(), socket.heard()], [[], []], "later messages wait, and nothing is asked for");
  await requests[0].answer(200, message(1));
  equal(texts(), ["number 1", "number 2"]);
  equal(socket.heard(), [ack(1), ack(2)]);
});

check("a large message that is announced twice is fetched once", async () => {
  const socket = await begin();
  await socket.say(large(1), large(1));
  equal(requests.length, 1);
  await requests[0].answer(200, message(1));
  socket.heard();
  await socket.say(large(1));
  equal([requests.length, texts(), socket.heard()], [1, ["number 1"], [ack(1)]]);
});

check("several large messages are shown in their order", async () => {
  const socket = await begin();
  await socket.say(large(1), large(2), arrival(3));
  await requests[1].answer(200, message(2));
  equal(texts(), []);
  await requests[0].answer(200, message(1));
  equal(texts(), ["number 1", "number 2", "number 3"]);
});

check("a message that is not found was given up, and the next one is shown", async () => {
  const socket = await begin();
  await socket.say(large(1), arrival(2));
  socket.heard();
  await requests[0].answer(404, { code: "message_not_found" });
  equal(texts(), ["number 2"]);
  equal(socket.heard(), [ack(2)]);
  await clock.pass(60_000);
  equal(requests.length, 1);
});

check("a message that cannot be had is fetched again, later each time, with a new token", async () => {
  let made = 0;
  const socket = await begin({ token: () => tokenFor("c1", { number: ++made }) });
  await socket.say(large(1), arrival(2));
  const faults = [500, 502, 503, 504, 429, 401, 403, 410];
  for (const [index, wait] of WAITS.entries()) {
    equal(requests.length, index + 1);
    equal(requests[index].options.headers, { authorization: `Bearer ${tokenFor("c1", { number: index + 2 })}` });
    await requests[index].answer(faults[index], "<html>");
    await socket.say({ type: "pong" }, large(1));
    await clock.pass(wait - 1);
    equal([requests.length, texts()], [index + 1, []], `before ${wait} ms after a ${faults[index]}`);
    await clock.pass(1);
  }
  await requests.at(-1).answer(200, message(1));
  equal(texts(), ["number 1", "number 2"]);
});

check("a message that comes broken is fetched again", async () => {
  const socket = await begin();
  await socket.say(large(1));
  await requests[0].fail();
  await clock.pass(500);
  await requests[1].answer(200, '{"id": "id-1", "cont');
  await clock.pass(1_000);
  await requests[2].answer(200, "");
  await clock.pass(2_000);
  await requests[3].answer(200, message(1));
  equal(texts(), ["number 1"]);
});

check("a server that never answers, or stops in the middle, is asked again after a minute", async () => {
  const socket = await begin();
  await socket.say(large(1), arrival(2));
  for (const wait of [500, 1_000]) {
    const count = requests.length;
    if (count === 2) await requests[1].stall(200);
    await clock.pass(59_999);
    equal(requests.at(-1).options.signal.aborted, false);
    await clock.pass(1);
    equal(requests.at(-1).options.signal.aborted, true);
    await clock.pass(wait - 1);
    equal(requests.length, count);
    await clock.pass(1);
    equal(requests.length, count + 1);
  }
  await requests[2].answer(200, message(1));
  equal(texts(), ["number 1", "number 2"]);
});

check("a token that never comes does not hold a message for ever", async () => {
  let asked = 0;
  const socket = await begin({ token: () => (++asked === 2 ? new Promise(() => {}) : tokenFor("c1")) });
  await socket.say(large(1));
  equal(requests.length, 0);
  await clock.pass(10_500);
  equal(requests.length, 1);
});

check("a message that came by another way while it was fetched is shown once", async () => {
  const socket = await begin();
  await socket.say(large(1));
  await requests[0].answer(500);
  await socket.say(arrival(1), arrival(2));
  equal(texts(), ["number 1", "number 2"]);
  await clock.pass(60_000);
  equal([requests.length, texts()], [1, ["number 1", "number 2"]]);
});

check("a message that is still fetched survives the connection", async () => {
  const old = await begin();
  await old.say(large(1));
  await old.end();
  await clock.pass(250);
  const socket = await greet(0);
  await socket.say(large(1), arrival(2));
  equal(requests.length, 1);
  await requests[0].answer(200, message(1));
  equal(texts(), ["number 1", "number 2"]);
});

check("what is fetched stays in its conversation", async () => {
  let conversation = "c1";
  open({ token: () => tokenFor(conversation) });
  const first = await greet();
  await first.say(large(1), large(2));
  await requests[1].answer(500);
  conversation = "c2";
  await first.end();
  await clock.pass(250);
  await greet();
  await requests[0].answer(200, message(1));
  await clock.pass(60_000);
  equal([texts(), requests.length], [[], 2]);
});

check("what is fetched for a chat that was closed is not shown", async () => {
  const chat = open();
  const socket = await greet();
  await socket.say(large(1));
  chat.close();
  await requests[0].answer(200, message(1));
  equal([sessionStorage.length, socket.heard().slice(1)], [0, []]);
});
