// The order of the messages, and what a tab remembers of them.
"use strict";

check("messages are shown in their order, whatever order they come in", async () => {
  const socket = await begin();
  socket.heard();
  await socket.say(arrival(3), arrival(2));
  equal(texts(), []);
  equal(socket.heard(), [resume(0)], "the gap is asked about once");
  await socket.say(arrival(1), arrival(5), arrival(4));
  equal(texts(), [1, 2, 3, 4, 5].map((seq) => `number ${seq}`));
  equal(socket.heard().filter(({ action }) => action === "ack"), [1, 2, 3, 4, 5].map(ack));
});

check("what is missing while the answer to hello comes is not asked for again", async () => {
  open();
  await settle();
  const [socket] = sockets;
  await socket.accept();
  socket.heard();
  await socket.say(HELLO, arrival(2));
  equal(socket.heard(), []);
  await socket.say(arrival(1), caughtUp(2));
  equal(texts(), ["number 1", "number 2"]);
  await clock.pass(10_000);
  equal(socket.heard(), [ack(1), ack(2)]);
});

check("a message that comes twice is shown once, and its receipt is said again", async () => {
  const socket = await begin();
  await socket.say(arrival(1), arrival(2));
  socket.heard();
  await socket.say(arrival(1), arrival(1), arrival(2));
  equal(texts(), ["number 1", "number 2"]);
  equal(socket.heard(), [ack(1), ack(1), ack(2)]);
});

check("a message that was read is said to be read when it comes again", async () => {
  await look();
  const socket = await begin();
  await socket.say(arrival(1));
  await until("it is read", () => socket.sent.some(({ action }) => action === "read"));
  socket.heard();
  await socket.say(arrival(1));
  equal(socket.heard(), [read(1)]);
});

check("an id that is shown is not shown under another number", async () => {
  const socket = await begin();
  await socket.say(arrival(1), { type: "new_message", seq: 2, message: message(1) });
  equal(texts(), ["number 1"]);
});

check("a message waits once, however often it comes before its turn", async () => {
  const socket = await begin();
  await socket.say(arrival(2), arrival(2), arrival(1));
  equal(texts(), ["number 1", "number 2"]);
});

check("what never comes is not waited for", async () => {
  const socket = await begin();
  await socket.say(arrival(3), arrival(6), caughtUp(2));
  equal(texts(), ["number 3"]);
  await socket.say(caughtUp(5));
  equal(texts(), ["number 3", "number 6"]);
  await socket.say(caughtUp(1), arrival(7));
  equal(texts(), ["number 3", "number 6", "number 7"]);
});

check("what comes after it was passed is neither shown nor missed", async () => {
  const socket = await begin();
  await socket.say(caughtUp(3));
  socket.heard();
  await socket.say(arrival(2));
  equal([texts(), socket.heard()], [[], []]);
  await socket.say(arrival(4));
  equal(texts(), ["number 4"]);
});

check("an older answer takes nothing back", async () => {
  const socket = await begin();
  await socket.say(large(1), caughtUp(3), caughtUp(1));
  await requests[0].answer(200, message(1));
  await socket.say(arrival(4));
  equal(texts(), ["number 1", "number 4"]);
});

check("a gap that an answer leaves is asked about after a second", async () => {
  const socket = await begin();
  await socket.say(arrival(5), caughtUp(3));
  socket.heard();
  await clock.pass(999);
  equal(socket.heard(), []);
  await clock.pass(1);
  equal(socket.heard(), [resume(3)]);
  await socket.say(caughtUp(4));
  equal(texts(), ["number 5"]);
  await clock.pass(10_000);
  equal(socket.heard(), [ack(5)]);
});

check("a gap that closes within the second is not asked about", async () => {
  const socket = await begin();
  await socket.say(arrival(5), caughtUp(3), arrival(4));
  socket.heard();
  await clock.pass(10_000);
  equal(socket.heard(), []);
});

check("a message that was on its way to other tabs is asked for after a second", async () => {
  const socket = await begin({}, 2);
  socket.heard();
  await socket.say(caughtUp(2, 3));
  await clock.pass(999);
  equal(socket.heard(), []);
  await clock.pass(1);
  equal(socket.heard(), [resume(2)]);
});

check("a message that was on its way and has come is not asked for", async () => {
  const socket = await begin({}, 2);
  await socket.say(caughtUp(2, 3), arrival(3));
  socket.heard();
  await clock.pass(10_000);
  equal(socket.heard(), []);
  await socket.say(caughtUp(3, 3), caughtUp(3, 2), caughtUp(3));
  await clock.pass(10_000);
  equal(socket.heard(), []);
});

check("the latest answer says what is still on its way", async () => {
  const socket = await begin({}, 2);
  socket.heard();
  await socket.say(caughtUp(2, 3));
  await clock.pass(600);
  await socket.say(caughtUp(2, 3));
  await clock.pass(999);
  equal(socket.heard(), []);
  await clock.pass(1);
  equal(socket.heard(), [resume(2)]);
  await socket.say(caughtUp(2, 3), caughtUp(3));
  await clock.pass(5_000);
  equal(socket.heard(), []);
});

check("the next connection goes on after the last message", async () => {
  const old = await begin();
  await old.say(arrival(1), arrival(2), arrival(4));
  await old.end();
  await clock.pass(250);
  await sockets[1].accept();
  equal(sockets[1].heard()[0].after, 2);
  await sockets[1].say(HELLO, arrival(3), caughtUp(4));
  equal(texts(), [1, 2, 3, 4].map((seq) => `number ${seq}`));
});

// ── What a tab remembers ────────────────────────────────────────────────────────────────────────────────────────────

/// Loads the page anew, as far as the widget can tell; returns the server's side of the new connection.
async function reload(options = {}) {
  for (const chat of chats.splice(0)) chat.close();
  sockets = [];
  open(options);
  await settle();
  await sockets[0].accept();
  return sockets[0];
}

check("a page that is loaded again shows what it had, and asks for the rest", async () => {
  const first = await begin();
  await first.say(arrival(1), arrival(2), caughtUp(3));
  const socket = await reload();
  equal(texts(), ["number 1", "number 2"]);
  equal(articles().map(({ className }) => className), ["", ""], "nothing of it is new");
  equal(socket.heard()[0].after, 3);
  await socket.say(HELLO, arrival(4), caughtUp(4));
  equal(texts(), ["number 1", "number 2", "number 4"]);
});

check("a page that is loaded again reports what it has not reported", async () => {
  place.style.display = "none";
  const first = await begin();
  await first.say(arrival(1));
  await painted();
  place.removeAttribute("style");
  const socket = await reload();
  await look();
  await socket.say(HELLO, caughtUp(1));
  await until("it is read", () => socket.sent.some(({ action }) => action === "read"));
  socket.heard();

  const again = await reload();
  await again.say(HELLO, caughtUp(1));
  await painted();
  equal(again.heard().slice(1), [], "what was read is not read again");
});

check("a tab remembers the last hundred messages", async () => {
  const first = await begin();
  for (let seq = 1; seq <= 130; seq++) await first.say(arrival(seq));
  const socket = await reload();
  equal([texts().length, texts()[0], texts().at(-1)], [100, "number 31", "number 130"]);
  equal(socket.heard()[0].after, 130);
});

check("another conversation begins at its beginning", async () => {
  let conversation = "c1";
  open({ token: () => tokenFor(conversation) });
  const first = await greet();
  await first.say(arrival(1), arrival(2), large(3));
  conversation = "c2";
  await first.end();
  await clock.pass(250);
  const socket = await greet();
  equal(texts(), []);
  equal(socket.heard(), [{ action: "hello", token: tokenFor("c2"), after: 0 }]);
  await requests[0].answer(200, message(3));
  await socket.say(arrival(1, { id: "other", content: "of the other" }));
  equal(texts(), ["of the other"]);

  conversation = "c1";
  await socket.end();
  await clock.pass(250);
  await sockets.at(-1).accept();
  equal(texts(), ["number 1", "number 2"]);
  equal(sockets.at(-1).heard()[0].after, 2);
});

check("a conversation is known by its token, whatever the token's base64url looks like", async () => {
  const claims = { name: "~~~~~~~~~ ?????????" };
  const tokens = [];
  for (const padding of ["", "x", "xx"]) {
    for (const conversation of ["c1", "c2"]) tokens.push(tokenFor(conversation, { ...claims, padding }));
  }
  const bodies = tokens.map((token) => token.split(".")[1]);
  equal([/-.*-/, /_.*_/].map((sign) => bodies.every((body) => sign.test(body))), [true, true]);
  equal([...new Set(bodies.map(({ length }) => length % 4))].sort(), [0, 2, 3]);

  for (let index = 0; index < tokens.length; index += 2) {
    const first = await reload({ token: tokens[index] });
    await first.say(HELLO, arrival(1), caughtUp(1));
    const other = await reload({ token: tokens[index + 1] });
    equal([texts(), other.heard()[0].after], [[], 0]);
    const again = await reload({ token: tokens[index] });
    equal([texts(), again.heard()[0].after], [["number 1"], 1]);
    sessionStorage.clear();
  }
});

check("what a tab cannot read, it begins anew", async () => {
  for (const broken of ["{", "", "null"]) {
    sockets = [];
    const first = await begin();
    await first.say(arrival(1));
    sessionStorage.setItem(sessionStorage.key(0), broken);
    const socket = await reload();
    equal([texts(), socket.heard()[0].after], [[], 0], broken);
    sessionStorage.clear();
    chats.pop().close();
  }
});

check("a tab that may store no more still shows, and begins anew", async () => {
  const { setItem } = Storage.prototype;
  const first = await begin();
  await first.say(arrival(1));
  try {
    Storage.prototype.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
    await first.say(arrival(2));
    equal(texts(), ["number 1", "number 2"]);
  } finally {
    Storage.prototype.setItem = setItem;
  }
  const socket = await reload();
  equal([texts(), socket.heard()[0].after], [[], 0]);
});

check("a tab that may store nothing still shows", async () => {
  const { getItem, setItem, removeItem } = Storage.prototype;
  const refuse = () => {
    throw new DOMException("not allowed", "SecurityError");
  };
  try {
    Object.assign(Storage.prototype, { getItem: refuse, setItem: refuse, removeItem: refuse });
    const socket = await begin();
    await socket.say(arrival(1));
    equal(texts(), ["number 1"]);
  } finally {
    Object.assign(Storage.prototype, { getItem, setItem, removeItem });
  }
});
