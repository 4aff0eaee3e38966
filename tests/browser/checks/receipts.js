// Receipts: what the widget says of the messages that are there, and of those that were seen.
"use strict";

const reads = (socket) => socket.sent.filter(({ action }) => action === "read").length;

check("a message is reported once when it is there and once when it is seen", async () => {
  await look();
  const socket = await begin();
  socket.heard();
  await socket.say(arrival(1));
  await until("it is read", () => reads(socket) > 0);
  await look();
  await painted();
  equal(socket.heard(), [ack(1), read(1)]);
});

check("a hidden tab reads nothing, and all that is in view when it comes to the front", async () => {
  const socket = await begin();
  socket.heard();
  await socket.say(arrival(1), arrival(2));
  await painted();
  await setVisibility("hidden");
  equal(socket.heard(), [ack(1), ack(2)]);
  await look();
  equal(socket.heard(), [read(1), read(2)]);
  await setVisibility("hidden");
  await look();
  equal(socket.heard(), []);
});

check("a message outside the window is not read before it is scrolled to", async () => {
  await look();
  place.style.marginTop = "300vh";
  const socket = await begin();
  socket.heard();
  await socket.say(arrival(1));
  await painted();
  await look();
  equal(socket.heard(), [ack(1)]);
  place.scrollIntoView();
  await until("it is read", () => reads(socket) > 0);
  scrollTo(0, 0);
});

check("a message that left the window before the tab came to the front is not read", async () => {
  const socket = await begin();
  await socket.say(arrival(1));
  await painted();
  place.style.marginTop = "300vh";
  await painted();
  await look();
  await painted();
  equal(reads(socket), 0);
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
    await painted();
  };
  await show(0.3);
  equal(reads(socket), 0, "a third");
  await show(0.7);
  await until("it is read", () => reads(socket) === 1);
});

check("of a message that is longer than the chat, any part has to be seen", async () => {
  await look();
  const socket = await begin();
  Object.assign(place.style, { height: "12rem", position: "fixed", top: "100vh" });
  await socket.say(arrival(1, { content: "line\n".repeat(60) }));
  await painted();
  equal(reads(socket), 0);
  place.style.top = "0";
  await until("it is read", () => reads(socket) === 1);
});

check("what could not be said is said after the next hello, and not before", async () => {
  const old = await begin();
  await old.say(arrival(1), arrival(2));
  await painted();
  await old.end();
  await look();
  await clock.pass(250);
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
  Object.assign(place.style, { height: "300rem", zoom: 0.15, position: "fixed", top: 0 });
  const old = await begin();
  for (let seq = 1; seq <= 45; seq++) await old.say(arrival(seq));
  await painted();
  await old.end();
  await look();
  await clock.pass(250);
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
