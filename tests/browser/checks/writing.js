// What the customer writes: the field, what waits for an answer, and what a new connection does with it.
"use strict";

const field = () => shadow().querySelector("textarea");
const sendButton = () => shadow().querySelector(".send");
const note = () => shadow().querySelector(".note").textContent;
const footers = () => articles().map((article) => article.querySelector("footer")?.firstChild.textContent ?? "");
const written = (socket) => socket.wrote.splice(0);

const own = (number, more) => ({
  type: "customer_message",
  number,
  message: {
    ...message(`c${number}`, { content: `line ${number}`, created_at: "2026-03-01T09:06:00Z" }),
    sender_type: "customer",
    sender_id: null,
  },
  ...more,
});
const ownPage = (after, ...numbers) => ({
  type: "customer_messages",
  after,
  messages: numbers.map((number) => own(number)).map(({ number, message }) => ({ number, message })),
});

/// Puts a text into the field as keys do.
function type(text) {
  field().value = text;
  field().dispatchEvent(new InputEvent("input"));
}

function pressKey(key, more = {}) {
  const event = new KeyboardEvent("keydown", { key, cancelable: true, ...more });
  field().dispatchEvent(event);
  return event.defaultPrevented;
}

function writeText(text) {
  type(text);
  pressKey("Enter");
}

check("Enter sends a text, Shift+Enter does not, nor does the choice of a character", async () => {
  const socket = await begin();
  type("Hi");
  equal(pressKey("Enter", { shiftKey: true }), false);
  equal(pressKey("Enter", { isComposing: true }), false);
  equal(written(socket), []);
  equal(pressKey("Enter"), true);
  const [frame, ...more] = written(socket);
  equal([frame.action, frame.content, more.length], ["message", "Hi", 0]);
  equal(/^[0-9a-f]{32}$/.test(frame.client_id), true, frame.client_id);
  equal([field().value, texts(), footers()], ["", ["Hi"], ["Sending…"]]);

  await socket.say(own(1, { client_id: frame.client_id }));
  equal([texts(), footers()], [["line 1"], [""]]);
  await socket.say(own(1));
  equal(texts(), ["line 1"], "it is shown once");
});

check("the button sends what is no blank and not too long, and only on a connection", async () => {
  open();
  await settle();
  type("Hi");
  equal([sendButton().disabled, note()], [true, "This can be sent when the chat is connected."]);
  pressKey("Enter");
  equal([field().value, articles().length], ["Hi", 0]);
  const socket = await greet();
  equal([sendButton().disabled, note()], [false, ""]);
  for (const [text, disabled, words] of [
    [" \n ", true, ""],
    ["😀".repeat(8_000), false, ""],
    ["😀".repeat(8_002), true, "2 characters too many"],
  ]) {
    type(text);
    equal([sendButton().disabled, note()], [disabled, words], `${text.length}`);
  }
  type("Hi");
  sendButton().click();
  await settle();
  equal(written(socket).map(({ content }) => content), ["Hi"]);
});

check("texts are sent one after the other, in the order of writing", async () => {
  const socket = await begin();
  writeText("one");
  writeText("two");
  const [first, ...more] = written(socket);
  equal([first.content, more], ["one", []]);
  await socket.say(own(1, { client_id: first.client_id }));
  equal(written(socket).map(({ content }) => content), ["two"]);
});

check("what waits stands behind what is stored, whatever the clocks say", async () => {
  const socket = await begin();
  writeText("one");
  writeText("two");
  const [first] = written(socket);
  const stored = own(1, { client_id: first.client_id });
  stored.message.created_at = "2100-01-01T00:00:00Z";
  await socket.say(stored);
  equal(texts(), ["line 1", "two"]);
  const [second] = written(socket);
  await socket.say(own(2, { client_id: second.client_id }));
  equal(texts(), ["line 1", "line 2"]);
});

check("what has no answer is sent again under its name on the next connection", async () => {
  let socket = await begin();
  writeText("Hello?");
  const [first] = written(socket);
  await socket.end();
  equal([texts(), footers()], [["Hello?"], ["Sending…"]]);
  await clock.pass(1_000);
  socket = await greet();
  equal(written(socket), [first]);

  // A connection that does not answer is given up.
  await clock.pass(10_000);
  equal(socket.readyState >= WebSocket.CLOSING, true);
  await clock.pass(2_000);
  socket = await greet();
  equal(written(socket), [first]);
  await socket.say(own(1, { client_id: first.client_id }));
  equal(texts(), ["line 1"]);
});

check("a reload forgets nothing that waits", async () => {
  const socket = await begin();
  writeText("Hello?");
  const [first] = written(socket);
  chats.pop().close();
  const again = await begin();
  equal([texts(), written(again)], [["Hello?"], [first]]);
  await again.say(own(1, { client_id: first.client_id }));
  chats.pop().close();
  const last = await begin();
  equal([texts(), written(last)], [[], []]);
});

check("a text that is refused says so, and can be sent again or edited", async () => {
  const socket = await begin();
  writeText("Hello?");
  const [{ client_id }] = written(socket);
  const refused = { type: "error", client_id, code: "content_not_allowed", detail: "why", field: "content" };
  await socket.say(refused);
  equal([footers(), warnings.splice(0).length, socket.readyState], [["Not sent."], 1, WebSocket.OPEN]);

  const [again, edit] = articles()[0].querySelectorAll("footer button");
  again.click();
  equal([written(socket).map((frame) => frame.client_id), footers()], [[client_id], ["Sending…"]]);
  await socket.say(refused);
  articles()[0].querySelectorAll("footer button")[1].click();
  equal([articles().length, field().value, Boolean(edit)], [0, "Hello?", true]);
});

check("one that comes too fast is sent again in time", async () => {
  const socket = await begin();
  writeText("Hello?");
  const [first] = written(socket);
  const { client_id } = first;
  await socket.say({ type: "error", client_id, code: "too_many_messages", detail: "why", limit: 30, retry_after: 7 });
  equal([footers(), written(socket)], [["Sending…"], []]);
  await clock.pass(7_000);
  equal(written(socket), [first]);
});

check("the customer's messages stand between the agent's by their time", async () => {
  const socket = await begin();
  const at = (minute) => ({ created_at: `2026-03-01T09:0${minute}:00Z` });
  await socket.say(arrival(1, at(5)), arrival(2, at(7)), ownPage(0, 1));
  equal(texts(), ["number 1", "line 1", "number 2"]);
  equal(articles().map((article) => article.classList.contains("mine")), [false, true, false]);
});

check("a tab asks for what other tabs have written meanwhile", async () => {
  let socket = await begin();
  equal(socket.questions.splice(0), [{ action: "customer_messages", after: 0 }]);
  await socket.say(ownPage(0, 1, 2));
  await socket.say(own(5));
  equal(socket.questions.splice(0), [{ action: "customer_messages", after: 2, before: 5 }]);
  await socket.say(ownPage(3, 4));
  equal(socket.questions.splice(0), [{ action: "customer_messages", after: 2, before: 4 }]);
  await socket.say(ownPage(2, 3));
  equal(texts(), ["line 1", "line 2", "line 3", "line 4", "line 5"]);
  await socket.end();
  await clock.pass(1_000);
  socket = await greet();
  equal(socket.questions.splice(0), [{ action: "customer_messages", after: 5 }]);
});

check("older messages of the customer come when they are asked for", async () => {
  const socket = await begin();
  socket.questions.splice(0);
  await socket.say(ownPage(7, 8, 9));
  const earlier = shadow().querySelector(".earlier");
  equal([texts(), earlier.hidden], [["line 8", "line 9"], false]);
  earlier.click();
  equal(socket.questions.splice(0), [{ action: "customer_messages", after: 0, before: 8 }]);
  await socket.say(ownPage(0, 6, 7));
  equal([texts().length, earlier.hidden], [4, true]);
});
