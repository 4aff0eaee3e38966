// Receipts: what the widget says of the messages that are there, and of those that were read.
"use strict";

const reads = (socket) => socket.sent.filter(({ action }) => action === "read").map(({ id }) => id);

check("a message is reported once when it is there and once when it was looked at for a second", async () => {
  await look();
  const socket = await begin();
  socket.heard();
  await socket.say(arrival(1));
  await painted();
  await clock.pass(999);
  equal(socket.heard(), [ack(1)]);
  await clock.pass(1);
  equal(socket.heard(), [read(1)]);
  await look();
  await lookAround();
  equal(socket.heard(), []);
});

check("a hidden tab reads nothing, and what is in view a second after it came to the front", async () => {
  const socket = await begin();
  socket.heard();
  await socket.say(arrival(1), arrival(2));
  await setVisibility("hidden");
  await lookAround();
  equal(socket.heard(), [ack(1), ack(2)]);
  await look();
  await clock.pass(1_000);
  equal(socket.heard(), [read(1), read(2)]);
  await setVisibility("hidden");
  await look();
  await lookAround();
  equal(socket.heard(), []);
});

check("a page that is visible and not in front reads nothing", async () => {
  const socket = await begin();
  await setVisibility("visible");
  socket.heard();
  await socket.say(arrival(1));
  await lookAround();
  equal(socket.heard(), [ack(1)]);
  focused = true;
  dispatchEvent(new Event("focus"));
  await clock.pass(999);
  focused = false;
  dispatchEvent(new Event("blur"));
  await clock.pass(10_000);
  equal(socket.heard(), [], "a glimpse");
  focused = true;
  dispatchEvent(new Event("focus"));
  await clock.pass(1_000);
  equal(socket.heard(), [read(1)]);
});

check("a message that leaves the window within the second is not read", async () => {
  await look();
  const socket = await begin();
  await socket.say(arrival(1));
  await painted();
  await clock.pass(900);
  place.style.marginTop = "300vh";
  await painted();
  await clock.pass(10_000);
  equal(reads(socket), []);
  place.style.marginTop = "";
  await painted();
  await clock.pass(999);
  equal(reads(socket), []);
  await clock.pass(1);
  equal(reads(socket), ["id-1"]);
});

check("a message outside the window is not read before it is scrolled to", async () => {
  await look();
  place.style.marginTop = "300vh";
  const socket = await begin();
  socket.heard();
  await socket.say(arrival(1));
  await lookAround();
  equal(socket.heard(), [ack(1)]);
  place.scrollIntoView();
  await lookAround();
  equal(socket.heard(), [read(1)]);
  scrollTo(0, 0);
});

check("of forty messages that were waiting, those in view are read, however long the page is left alone", async () => {
  await look();
  const socket = await begin();
  for (let seq = 1; seq <= 40; seq++) await socket.say(arrival(seq));
  for (let minute = 0; minute < 3; minute++) {
    await lookAround();
    await clock.pass(60_000);
  }
  const fits = articles().filter((article) => {
    const { top, height } = article.getBoundingClientRect();
    return top + height / 2 <= log().getBoundingClientRect().bottom;
  });
  if (fits.length < 3 || fits.length > 9) throw new Error(`${fits.length} fit`);
  equal(reads(socket), fits.map((_, index) => `id-${index + 1}`));
  equal(Math.round(log().scrollTop) < 40, true, "it opens at the first unread message");
});

check("a conversation opens at its first unread message", async () => {
  open();
  await settle();
  const [socket] = sockets;
  await socket.accept();
  const before = Array.from({ length: 20 }, (_, index) => known(index + 1, "read"));
  const after = Array.from({ length: 20 }, (_, index) => known(index + 21, "delivered"));
  await socket.say(HELLO, ...before, ...after, caughtUp(40));
  const distance = articles()[20].getBoundingClientRect().top - log().getBoundingClientRect().top;
  if (distance < 0 || distance > 40) throw new Error(`it is ${distance} px below the top`);
});

check("half of a message has to be seen", async () => {
  await look();
  const socket = await begin();
  Object.assign(place.style, { position: "fixed", top: "100vh" });
  await socket.say(arrival(1, { content: "line\n".repeat(6) }));
  await painted();
  const box = articles()[0].getBoundingClientRect();
  const show = async (part) => {
    place.style.top = `${innerHeight - (box.top - innerHeight) - box.height * part}px`;
    await painted();
    await lookAround();
  };
  await show(0.3);
  equal(reads(socket), [], "a third");
  await show(0.7);
  equal(reads(socket), ["id-1"]);
});

check("of a message that is longer than the chat, the end has to be reached", async () => {
  await look();
  const socket = await begin();
  place.style.height = "12rem";
  await socket.say(arrival(1, { content: "line\n".repeat(60) }));
  await lookAround();
  equal([reads(socket), Math.round(log().scrollTop) < 40], [[], true], "it is shown from its top");
  log().scrollTop = 400;
  await lookAround();
  equal(reads(socket), []);
  log().scrollTop = log().scrollHeight;
  await lookAround();
  equal(reads(socket), ["id-1"]);
});

check("what the server knows is not reported", async () => {
  await look();
  const socket = await begin();
  socket.heard();
  await socket.say(known(1, "read"), known(2, "delivered"));
  await lookAround();
  equal(socket.heard(), [read(2)]);
  await socket.say(known(1, "read"), known(2, "delivered"), arrival(1));
  equal(socket.heard(), [read(2), ack(1)], "sent again");
});

check("a message that is fetched is not reported either if that is known", async () => {
  const socket = await begin();
  socket.heard();
  await socket.say({ ...large(1), status: "delivered" }, { ...large(2), status: "read" });
  for (const request of requests) await request.answer(200, message(requests.indexOf(request) + 1));
  equal([texts(), socket.heard()], [["number 1", "number 2"], []]);
});

check("a page that was read is shown without a word", async () => {
  await look();
  open();
  await settle();
  const [socket] = sockets;
  await socket.accept();
  socket.heard();
  const all = Array.from({ length: 300 }, (_, index) => known(index + 1, "read"));
  await socket.say(HELLO, ...all, caughtUp(300));
  await lookAround();
  equal([texts().length, socket.heard()], [300, []]);
});

check("what could not be said is said after the next hello, and not before", async () => {
  const old = await begin();
  await old.say(arrival(1), arrival(2));
  await painted();
  await old.end();
  await look();
  await clock.pass(1_000);
  const [, socket] = sockets;
  await socket.accept();
  equal(socket.heard().length, 1, "hello");
  await socket.say(HELLO);
  equal(socket.heard(), [read(1), read(2)]);
});

check("receipts are said again on the next connection, the last twenty of them", async () => {
  const old = await begin();
  for (let seq = 1; seq <= 33; seq++) await old.say(arrival(seq));
  equal(old.heard().filter(({ action }) => action === "ack").length, 33);
  await old.say(arrival(20));
  await old.end();
  await clock.pass(250);
  await sockets[1].accept();
  sockets[1].heard();
  await sockets[1].say(HELLO);
  const last = [14, 15, 16, 17, 18, 19, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 20];
  equal(sockets[1].heard(), last.map(ack));
});

check("more than twenty receipts that could not be said are all said", async () => {
  place.style.height = "95vh";
  const old = await begin();
  for (let seq = 1; seq <= 45; seq++) await old.say(arrival(seq));
  await old.end();
  await look();
  await clock.pass(250);
  for (const seq of [0, 7, 14, 21, 28, 35, 42]) {
    articles()[seq].scrollIntoView();
    await lookAround();
  }
  await sockets[1].accept();
  sockets[1].heard();
  await sockets[1].say(HELLO);
  const all = Array.from({ length: 45 }, (_, index) => read(index + 1));
  equal(sockets[1].heard(), all);

  await sockets[1].end();
  await clock.pass(250);
  await sockets[2].accept();
  sockets[2].heard();
  await sockets[2].say(HELLO);
  equal(sockets[2].heard(), all.slice(-20), "the last of those that were said");
});
