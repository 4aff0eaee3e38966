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

check("messages that come together are shown like those that come alone", async () => {
  const socket = await begin();
  socket.heard();
  const together = (...all) => ({ type: "new_messages", messages: all.map(({ type, ...one }) => one) });
  await socket.say(together(arrival(2), arrival(3), arrival(1)), caughtUp(3));
  equal(texts(), ["number 1", "number 2", "number 3"]);
  await socket.say(together({ ...arrival(4), status: "read" }, arrival(5)));
  equal(socket.heard().filter(({ action }) => action === "ack"), [1, 2, 3, 5].map(ack));
  await socket.say(together());
  equal(texts().length, 5);
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
  await lookAround();
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

check("a message that stays on its way is asked for less and less often", async () => {
  const socket = await begin({}, 2);
  socket.heard();
  await socket.say(caughtUp(2, 3));
  for (const wait of [1_000, 2_000, 4_000, 8_000, 16_000, 16_000]) {
    await clock.pass(wait - 1);
    equal(socket.heard(), []);
    await clock.pass(1);
    equal(socket.heard(), [resume(2)]);
    await socket.say(caughtUp(2, 3));
  }
  await socket.say(caughtUp(3));
  await socket.say(caughtUp(3, 4));
  await clock.pass(1_000);
  equal(socket.heard(), [resume(3)], "the next one is another matter");
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

// ── Backwards ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// Messages that were read, from one to another, newest first, as a page comes.
const readPage = (first, last) =>
  Array.from({ length: last - first + 1 }, (_, index) => known(last - index, "read"));

/// Begins a conversation of so many read messages, of which the newest page came.
async function beginLong(count = 500) {
  open();
  await settle();
  await sockets[0].accept();
  await sockets[0].say(HELLO, pageAfter(count - 50), ...readPage(count - 49, count).reverse(), caughtUp(count));
  sockets[0].heard();
  return sockets[0];
}

check("the newest page is shown, and the one before it when the customer scrolls there", async () => {
  const socket = await beginLong();
  equal([texts().length, texts()[0], texts().at(-1)], [50, "number 451", "number 500"]);
  await painted();
  equal(socket.heard(), [], "nothing is asked for unasked");

  log().scrollTop = 100;
  await painted();
  equal(socket.heard(), [history(451)]);
  log().scrollTop = 50;
  await painted();
  equal(socket.heard(), [], "it was asked for");
  const top = articles()[0].getBoundingClientRect().top;
  await socket.say(...readPage(401, 450), historyUpTo(451, 400));
  equal([texts().length, texts()[0], texts().at(-1)], [100, "number 401", "number 500"]);
  equal(Math.abs(articles()[50].getBoundingClientRect().top - top) < 30, true, "what was looked at stays where it is");
});

check("the beginning is where the server says that it is", async () => {
  const socket = await beginLong(60);
  const button = shadow().querySelector(".earlier");
  equal([button.hidden, button.type, button.textContent], [false, "button", "Earlier messages"]);
  button.click();
  equal(socket.heard(), [history(11)]);
  await socket.say(...readPage(1, 10), historyUpTo(11, 0));
  equal([texts().length, texts()[0], button.hidden], [60, "number 1", true]);
  log().scrollTop = 0;
  await painted();
  equal(socket.heard(), []);
});

check("a page of older messages may have gaps, and large messages, which are shown in their place", async () => {
  const socket = await beginLong();
  log().scrollTop = 0;
  await painted();
  await socket.say(known(450, "read"), large(448), known(447, "read"), historyUpTo(451, 400));
  equal(texts().slice(0, 3), ["number 447", "number 450", "number 451"]);
  await requests[0].answer(200, message(448));
  equal(texts().slice(0, 3), ["number 447", "number 448", "number 450"]);
  shadow().querySelector(".earlier").click();
  equal(socket.heard().filter(({ action }) => action === "history").at(-1), history(401));
});

check("a large message that comes before its page's end is shown with it", async () => {
  const socket = await beginLong();
  log().scrollTop = 0;
  await painted();
  await socket.say(large(450));
  await requests[0].answer(200, message(450));
  equal(texts()[0], "number 451");
  await socket.say(known(449, "read"), historyUpTo(451, 448));
  equal(texts().slice(0, 3), ["number 449", "number 450", "number 451"]);
});

check("what was never reported is reported when its page comes", async () => {
  const socket = await beginLong();
  log().scrollTop = 0;
  await painted();
  socket.heard();
  await socket.say(arrival(450), known(449, "delivered"), historyUpTo(451, 448));
  equal(socket.heard().filter(({ action }) => action === "ack"), [ack(450)]);
});

check("a page that breaks off is asked for again on the next connection", async () => {
  const socket = await beginLong();
  log().scrollTop = 0;
  await painted();
  await socket.say(...readPage(440, 450));
  await socket.end();
  await clock.pass(250);
  const next = await greet(500);
  equal([texts()[0], next.heard()[0].after], ["number 451", 500]);
  shadow().querySelector(".earlier").click();
  equal(next.heard(), [history(451)]);
});

check("a page that does not come ends the connection after 10 s", async () => {
  const socket = await beginLong();
  log().scrollTop = 0;
  await painted();
  await clock.pass(9_999);
  equal(socket.readyState, WebSocket.OPEN);
  await clock.pass(1);
  equal(socket.readyState, WebSocket.CLOSING);
});

check("up to the first unread message pages are asked for unasked, and not for ever", async () => {
  open();
  await settle();
  const [socket] = sockets;
  await socket.accept();
  const unread = (first, last) => readPage(first, last).map((event) => ({ ...event, status: "delivered" }));
  await socket.say(HELLO, pageAfter(950), ...unread(951, 1_000).reverse(), caughtUp(1_000));
  for (const before of [951, 901]) {
    equal(socket.heard().at(-1), history(before));
    await socket.say(...unread(before - 50, before - 1), historyUpTo(before, before - 51));
  }
  equal(log().getAttribute("aria-busy"), "true");
  await socket.say(...unread(826, 850), ...readPage(801, 825), historyUpTo(851, 800));
  equal([log().getAttribute("aria-busy"), socket.heard().slice(1)], ["false", []]);
  const distance = articles()[25].getBoundingClientRect().top - log().getBoundingClientRect().top;
  equal(distance >= 0 && distance < 40, true, "it opens there");
});

check("a customer who reads nothing for years gets a few pages more, and the rest on scrolling", async () => {
  open();
  await settle();
  const [socket] = sockets;
  await socket.accept();
  const unread = (first, last) => readPage(first, last).map((event) => ({ ...event, status: "delivered" }));
  await socket.say(HELLO, pageAfter(950), ...unread(951, 1_000).reverse(), caughtUp(1_000));
  let asked = 0;
  for (let before = 951; socket.heard().some(({ action }) => action === "history"); before -= 50) {
    asked++;
    await socket.say(...unread(before - 50, before - 1), historyUpTo(before, before - 51));
  }
  equal(log().getAttribute("aria-busy"), "false");
  equal(asked >= 4 && asked <= 5, true, "one more if the first unread message is near the top");
});

check("a customer who scrolls fast is not barred", async () => {
  const socket = await beginLong(2_000);
  let asked = 0;
  for (let before = 1_951; before > 101; before -= 50) {
    shadow().querySelector(".earlier").click();
    if (!socket.heard().some(({ action }) => action === "history")) break;
    asked++;
    await socket.say(...readPage(before - 50, before - 1), historyUpTo(before, before - 51));
  }
  equal(asked, 20);
});

check("a tab that missed more than a page goes on with the newest one", async () => {
  const old = await begin();
  await old.say(arrival(1), arrival(2), arrival(4));
  await old.end();
  await clock.pass(250);
  await sockets[1].accept();
  equal(sockets[1].heard()[0].after, 2);
  await sockets[1].say(HELLO, pageAfter(450), ...readPage(451, 500).reverse(), caughtUp(500));
  equal([texts().length, texts()[0]], [50, "number 451"]);
  sockets[1].heard();
  await sockets[1].say(arrival(501));
  equal([texts().at(-1), sockets[1].heard()], ["number 501", [ack(501)]]);
  shadow().querySelector(".earlier").click();
  equal(sockets[1].heard(), [history(451)]);
});

check("a page that begins before what is there changes nothing", async () => {
  const socket = await begin();
  await socket.say(arrival(1), arrival(2));
  await socket.say(pageAfter(1), arrival(3));
  equal(texts(), ["number 1", "number 2", "number 3"]);
});

check("a gap is asked about after an older page has come, and not while it comes", async () => {
  const socket = await beginLong();
  log().scrollTop = 0;
  await painted();
  socket.heard();
  await socket.say(arrival(502));
  equal(socket.heard(), []);
  await socket.say(...readPage(401, 450), historyUpTo(451, 400));
  equal(socket.heard(), [resume(500)]);
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
  equal(articles().some(({ classList }) => classList.contains("new")), false, "nothing of it is new");
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
  socket.heard();
  await lookAround();
  equal(socket.heard(), [read(1)]);

  const again = await reload();
  await again.say(HELLO, caughtUp(1));
  await lookAround();
  equal(again.heard().slice(1), [], "what was read is not read again");
});

check("a tab remembers the last hundred messages", async () => {
  const first = await begin();
  for (let seq = 1; seq <= 130; seq++) await first.say(arrival(seq));
  const socket = await reload();
  equal([texts().length, texts()[0], texts().at(-1)], [100, "number 31", "number 130"]);
  equal(socket.heard()[0].after, 130);
  await socket.say(HELLO, caughtUp(130));
  shadow().querySelector(".earlier").click();
  equal(socket.heard().at(-1), history(31), "older ones come from the server");
});

check("a tab that scrolled back remembers the last messages, not those that came last", async () => {
  const first = await beginLong();
  log().scrollTop = 0;
  await painted();
  await first.say(...readPage(401, 450), historyUpTo(451, 400));
  await first.say(arrival(501));
  await reload();
  equal([texts().length, texts()[0], texts().at(-1)], [100, "number 402", "number 501"]);
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
  equal([texts(), sessionStorage.length], [["of the other"], 2]);

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
