// The connection: how the widget makes it, keeps it, and makes it again.
"use strict";

/// Asserts that the widget makes its next connection after so many milliseconds, and not before.
async function reconnectsAfter(ms) {
  const before = sockets.length;
  await clock.pass(ms - 1);
  equal(sockets.length, before, `connections before ${ms} ms`);
  await clock.pass(1);
  equal(sockets.length, before + 1, `connections after ${ms} ms`);
}

const LOST = "The connection was lost. Trying again…";
const UNREACHABLE = "The chat cannot be reached. Trying again…";
const OFFLINE = "You are offline. The chat goes on when you are back.";
const ENDED = "This chat has ended. Reload the page to go on.";
const ELSEWHERE = "This chat goes on in other tabs. Come back to this one to go on here.";

check("a widget says hello when it is connected, and nothing before", async () => {
  open();
  await settle();
  equal(sockets.map(({ url }) => url), [SOCKET_URL]);
  equal(state(), "Connecting…");
  await sockets[0].accept();
  equal(sockets[0].heard(), [{ action: "hello", token: tokenFor("c1"), after: 0 }]);
  await sockets[0].say(HELLO);
  equal(state(), "");
});

check("each connection has a token of its own", async () => {
  let made = 0;
  open({ token: () => tokenFor("c1", { number: ++made }) });
  for (const number of [1, 2]) {
    await settle();
    await sockets.at(-1).accept();
    equal(sockets.at(-1).heard()[0].token, tokenFor("c1", { number }));
    await sockets.at(-1).end();
    await clock.pass(1_000);
  }
});

check("a connection that ends is made again, later each time, and never later than 30 s", async () => {
  open();
  await settle();
  for (const wait of [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
    await sockets.at(-1).end();
    equal(state(), UNREACHABLE);
    await reconnectsAfter(wait);
  }
  chance = 1;
  await sockets.at(-1).end();
  await reconnectsAfter(30_000);
  // The server is well again.
  const socket = await greet();
  await socket.end();
  await reconnectsAfter(500);
});

check("a connection is made again whatever code ended it", async () => {
  for (const code of [1000, 1001, 1005, 1006, 1008, 1009, 1011, 4000]) {
    const socket = sockets.length ? await greet() : await begin();
    await socket.end(code);
    await reconnectsAfter(250);
  }
});

check("a server that does not open the connection is tried again after 10 s", async () => {
  open();
  await settle();
  await clock.pass(9_999);
  equal(state(), "Connecting…");
  await clock.pass(1);
  equal(state(), UNREACHABLE);
  equal(sockets[0].readyState, WebSocket.CLOSING);
  await reconnectsAfter(250);
});

check("a server that does not answer hello is tried again after 10 s", async () => {
  open();
  await settle();
  await clock.pass(5_000);
  await sockets[0].accept();
  await clock.pass(9_999);
  equal(state(), "Connecting…");
  await clock.pass(1);
  equal(state(), UNREACHABLE);
});

check("a server that never says what it sent is tried again 10 s after its last word", async () => {
  open();
  await settle();
  await sockets[0].accept();
  await sockets[0].say(HELLO);
  await clock.pass(9_000);
  await sockets[0].say(arrival(1));
  await clock.pass(9_999);
  equal(state(), "");
  await clock.pass(1);
  equal(state(), LOST);
});

check("a server that has answered may be silent", async () => {
  const socket = await begin();
  await clock.pass(60_000);
  equal([state(), sockets.length], ["", 1]);
  equal(socket.readyState, WebSocket.OPEN);
});

check("after four silent minutes the widget asks what it missed, and goes on asking", async () => {
  const socket = await begin({}, 3);
  socket.heard();
  for (let round = 0; round < 3; round++) {
    await clock.pass(239_999);
    equal(socket.heard(), []);
    await clock.pass(1);
    equal(socket.heard(), [resume(3)]);
    await socket.say(caughtUp(3));
  }
  await clock.pass(200_000);
  await socket.say({ type: "pong" });
  await clock.pass(239_999);
  equal(socket.heard(), [], "a word broke the silence");
});

check("a server that does not answer a question is left after 10 s", async () => {
  const socket = await begin();
  await clock.pass(240_000);
  await clock.pass(9_999);
  equal(sockets.length, 1);
  await clock.pass(1);
  equal([state(), socket.readyState], [LOST, WebSocket.CLOSING]);
  await reconnectsAfter(250);
});

check("a browser that refuses the connection is asked again", async () => {
  refusesSockets = true;
  open();
  await settle();
  equal(state(), UNREACHABLE);
  refusesSockets = false;
  await reconnectsAfter(250);
});

check("a token that cannot be had is asked for again", async () => {
  let asked = 0;
  open({ token: () => (++asked < 3 ? Promise.reject(new Error("no")) : tokenFor("c1")) });
  await settle();
  equal(state(), UNREACHABLE);
  await clock.pass(250);
  equal([asked, sockets.length], [2, 0]);
  await reconnectsAfter(500);
});

check("a token that never comes is asked for again after 10 s", async () => {
  let asked = 0;
  open({ token: () => (++asked < 2 ? new Promise(() => {}) : tokenFor("c1")) });
  await clock.pass(9_999);
  equal(state(), "Connecting…");
  await clock.pass(1);
  equal([state(), asked], [UNREACHABLE, 1]);
  await reconnectsAfter(250);
});

check("of two attempts at once only the later one connects", async () => {
  for (const order of [[0, 1], [1, 0]]) {
    const tokens = [];
    const chat = open({ token: () => new Promise((resolve, reject) => tokens.push({ resolve, reject })) });
    dispatchEvent(new Event("online"));
    await settle();
    for (const index of order) tokens[index].resolve(tokenFor("c1", { index }));
    await settle();
    equal(sockets.length, 1);
    await sockets[0].accept();
    equal(sockets[0].heard()[0].token, tokenFor("c1", { index: 1 }));
    chat.close();
    sockets = [];
  }
});

check("an attempt that fails late does not disturb its successor", async () => {
  const tokens = [];
  open({ token: () => new Promise((resolve, reject) => tokens.push({ resolve, reject })) });
  dispatchEvent(new Event("online"));
  tokens[1].resolve(tokenFor("c1"));
  const socket = await greet();
  tokens[0].reject(new Error("no"));
  await settle();
  equal([state(), socket.readyState], ["", WebSocket.OPEN]);
});

check("what an old connection still says is not listened to", async () => {
  const old = await begin();
  await old.end();
  await clock.pass(250);
  const socket = await greet();
  await old.say(arrival(1));
  await old.accept();
  await old.end();
  equal([texts(), state(), sockets.length], [[], "", 2]);
  equal(socket.heard().length, 1, "hello");
});

check("a browser that comes back online connects at once, and only once", async () => {
  open();
  await settle();
  for (let round = 0; round < 6; round++) {
    await sockets.at(-1).end();
    await clock.pass(15_000);
  }
  await sockets.at(-1).end();
  const before = sockets.length;
  dispatchEvent(new Event("online"));
  await settle();
  equal(sockets.length, before + 1);
  await greet();
  dispatchEvent(new Event("online"));
  await clock.pass(100_000);
  equal(sockets.length, before + 1);
});

check("a page with one token says that the chat has ended when the token is refused", async () => {
  for (const code of ["unauthorized", "token_expired"]) {
    const chat = open({ token: tokenFor("c1") });
    await settle();
    await sockets.at(-1).accept();
    await sockets.at(-1).say({ type: "error", code, detail: "" });
    const before = sockets.length;
    equal(state(), ENDED, code);
    dispatchEvent(new Event("online"));
    await clock.pass(600_000);
    equal(sockets.length, before, code);

    chat.setToken(tokenFor("c1", { second: true }));
    await settle();
    equal(sockets.length, before + 1, code);
    await sockets.at(-1).accept();
    equal(sockets.at(-1).heard()[0].token, tokenFor("c1", { second: true }));
    await sockets.at(-1).say(HELLO);
    equal(state(), "");
    chat.close();
  }
});

check("the handshake carries the token beside the subprotocol", async () => {
  open();
  await settle();
  equal(sockets[0].protocols, ["pingback-chat", `token.${tokenFor("c1")}`]);
});

check("a page with one token asks why a handshake failed, and ends the chat if the token is refused", async () => {
  const chat = open({ token: tokenFor("c1") });
  for (const status of [404, 500]) {
    await settle();
    await sockets.at(-1).end();
    equal(requests.at(-1).url, `${API_URL}/api/v1/chat/messages/00000000-0000-0000-0000-000000000000`);
    equal(requests.at(-1).options.headers, { authorization: `Bearer ${tokenFor("c1")}` });
    await requests.at(-1).answer(status);
    equal(state(), UNREACHABLE, status);
    await clock.pass(500);
  }

  await sockets.at(-1).end();
  await requests.at(-1).answer(401);
  equal(state(), ENDED);
  const before = sockets.length;
  await clock.pass(600_000);
  equal(sockets.length, before);

  chat.setToken(tokenFor("c1", { second: true }));
  await settle();
  equal(sockets.length, before + 1);
});

check("a page that can get another token does not ask why a handshake failed", async () => {
  open();
  await settle();
  await sockets[0].end();
  await reconnectsAfter(250);
  equal(requests.length, 0);
});

check("a tab whose place was taken waits until the customer comes back to it", async () => {
  for (const comeBack of [look, () => dispatchEvent(new Event("focus"))]) {
    focused = false;
    const socket = sockets.length ? await greet() : await begin();
    await socket.say({ type: "error", code: "too_many_tabs", detail: "" });
    equal([state(), socket.readyState], [ELSEWHERE, WebSocket.CLOSING]);
    const before = sockets.length;
    dispatchEvent(new Event("online"));
    await setVisibility("hidden");
    await clock.pass(600_000);
    equal(sockets.length, before);

    await comeBack();
    await settle();
    equal(sockets.length, before + 1);
    await sockets.at(-1).accept();
    await sockets.at(-1).say(HELLO);
    equal(state(), "");
    await sockets.at(-1).end();
    await clock.pass(250);
  }
});

check("a tab that the customer looks at does not wait when its place was taken", async () => {
  await look();
  const socket = await begin();
  await socket.say({ type: "error", code: "too_many_tabs", detail: "" });
  equal([state(), socket.readyState], [LOST, WebSocket.CLOSING]);
  await reconnectsAfter(250);
});

check("a tab in front without the keys waits when its place was taken", async () => {
  await setVisibility("visible");
  const socket = await begin();
  await socket.say({ type: "error", code: "too_many_tabs", detail: "" });
  equal(state(), ELSEWHERE);
});

check("a server that says when to come back is not asked before", async () => {
  for (const code of ["too_many_replays", "too_many_frames", "barred"]) {
    const socket = sockets.length ? await greet() : await begin();
    await socket.say({ type: "error", code, detail: "", retry_after: 42 });
    equal([state(), socket.readyState], [LOST, WebSocket.CLOSING]);
    await reconnectsAfter(42_250);
  }
});

check("every other error makes the widget connect again", async () => {
  const table = [
    [tokenFor("c1"), { type: "error", code: "hello_first" }],
    [tokenFor("c1"), { type: "error", code: "not_understood" }],
    [tokenFor("c1"), { type: "error", code: "unknown_connection" }],
    [tokenFor("c1"), { message: "Internal server error", connectionId: "x", requestId: "y" }],
    [() => tokenFor("c1"), { type: "error", code: "unauthorized" }],
    [() => tokenFor("c1"), { type: "error", code: "token_expired" }],
    [() => tokenFor("c1"), { message: "Internal server error", connectionId: "x", requestId: "y" }],
  ];
  for (const [token, event] of table) {
    const chat = open({ token });
    const socket = await greet();
    await socket.say(event);
    equal([state(), socket.readyState], [LOST, WebSocket.CLOSING], JSON.stringify(event));
    await reconnectsAfter(250);
    chat.close();
  }
});

check("a frame that is no event makes the widget connect again", async () => {
  for (const frame of ["{", "", "null", "[]", "7", '"text"', "{}", "<html>", new Blob(["{}"])]) {
    const socket = sockets.length ? await greet() : await begin();
    await socket.frame(frame);
    equal([state(), socket.readyState], [LOST, WebSocket.CLOSING], frame);
    await reconnectsAfter(250);
  }
});

check("an event of a younger protocol is skipped", async () => {
  const socket = await begin();
  await socket.say({ type: "typing", who: "agent" }, { type: "pong" }, arrival(1));
  equal([texts(), state(), sockets.length], [["number 1"], "", 1]);
});

check("another token is not used before the next connection", async () => {
  const chat = open({ token: tokenFor("c1") });
  const socket = await greet();
  chat.setToken(tokenFor("c1", { second: true }));
  await settle();
  equal([sockets.length, socket.readyState], [1, WebSocket.OPEN]);
});

check("a chat that is closed is gone, and stays so", async () => {
  const chat = open();
  const socket = await greet();
  await socket.say(arrival(1), large(2));
  await requests[0].answer(500);
  socket.heard();
  chat.close();
  equal([document.querySelector(".pingback-chat"), socket.readyState], [null, WebSocket.CLOSING]);
  await socket.end();
  dispatchEvent(new Event("online"));
  await look();
  chat.setToken(tokenFor("c1", { second: true }));
  await clock.pass(3_600_000);
  equal([sockets.length, requests.length, socket.heard()], [1, 1, []]);
});

check("a chat that is closed while its token comes does not connect", async () => {
  let give;
  const chat = open({ token: () => new Promise((resolve) => (give = resolve)) });
  chat.close();
  give(tokenFor("c1"));
  await clock.pass(60_000);
  equal(sockets.length, 0);
});

check("a chat that was never connected says so in other words than one that was", async () => {
  open();
  await settle();
  await sockets[0].end();
  equal(state(), UNREACHABLE);
  await clock.pass(250);
  const socket = await greet();
  await socket.end();
  equal(state(), LOST);
});

check("a browser without a network says so, and connects when it has one", async () => {
  const socket = await begin();
  online = false;
  dispatchEvent(new Event("offline"));
  await settle();
  equal([state(), socket.readyState], [OFFLINE, WebSocket.CLOSING]);
  online = true;
  dispatchEvent(new Event("online"));
  await greet();
  equal(state(), "");
});

check("a page that is opened without a network says so at once", async () => {
  online = false;
  open();
  equal(state(), OFFLINE);
  await settle();
});

// ── What the page is told ───────────────────────────────────────────────────────────────────────────────────────────

/// Collects the events of a chat.
function listen(chat) {
  const told = [];
  for (const type of ["state", "message", "unread", "error"]) {
    chat.addEventListener(type, ({ detail }) => told.push([type, detail]));
  }
  return told;
}

check("a page is told the state, and a fault of each kind, which its author reads once", async () => {
  const faults = [
    ["token", () => ({ token: () => Promise.reject(new Error("no luck")) }), () => {}],
    ["token", () => ({ token: () => undefined }), () => {}],
    ["socket", () => ({}), () => sockets.at(-1).end()],
    ["barred", () => ({}), async () => (await greet()).say({ type: "error", code: "barred", detail: "too much" })],
    ["gateway", () => ({}), async () => (await greet()).say({ message: "Internal server error" })],
    ["message", () => ({}), async () => (await greet()).say(large(1)).then(() => requests.at(-1).answer(500))],
  ];
  for (const [code, options, fail] of faults) {
    warnings = [];
    const chat = open(options());
    const told = listen(chat);
    for (let times = 0; times < 2; times++) {
      await settle();
      await fail();
      await clock.pass(1_000);
    }
    const errors = told.filter(([type]) => type === "error");
    equal([errors.length >= 2, errors[0][1].code, warnings.length], [true, code, 1], code);
    equal(warnings[0], `pingback-chat: ${errors[0][1].detail}`);
    chat.close();
    sockets = [];
    requests = [];
  }
});

check("a page is told of each state that it is in", async () => {
  const chat = open();
  const told = listen(chat);
  equal(chat.state, "connecting");
  await greet();
  await sockets[0].end();
  await clock.pass(250);
  await greet();
  await sockets[1].say({ type: "error", code: "too_many_tabs" });
  const states = told.filter(([type]) => type === "state").map(([, { state }]) => state);
  equal(states, ["open", "lost", "open", "elsewhere"]);
});

check("a page is told of new messages, not of the history, and of how many are unread", async () => {
  const chat = open();
  const told = listen(chat);
  await settle();
  await sockets[0].accept();
  await sockets[0].say(HELLO, known(1, "read"), arrival(2), caughtUp(2));
  await sockets[0].say(arrival(3));
  equal(told.filter(([type]) => type === "message").map(([, { message: { id } }]) => id), ["id-3"]);
  equal([told.filter(([type]) => type === "unread").map(([, { count }]) => count), chat.unread], [[1, 2], 2]);
  await look();
  await painted();
  await clock.pass(1_000);
  equal([told.at(-1), chat.unread], [["unread", { count: 0 }], 0]);
});

check("a chat that cannot begin says why", async () => {
  const site = { socket: SOCKET_URL, api: API_URL, token: "t", target: place };
  for (const wrong of [{ socket: undefined }, { socket: "https://chat.example/" }, { api: "api.example" }, { token: "" }]) {
    let refused;
    try {
      PingbackChat.open({ ...site, ...wrong });
    } catch (error) {
      refused = error;
    }
    equal([refused instanceof TypeError, document.querySelector(".pingback-chat")], [true, null], JSON.stringify(wrong));
  }
});
