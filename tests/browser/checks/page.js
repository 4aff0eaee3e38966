// What the customer sees, and how a page embeds the widget.
"use strict";

check("a message is shown as text, with its time", async () => {
  const socket = await begin();
  const content = "<img src=x onerror=\"document.title='hacked'\">\n<b>two</b> & lines";
  await socket.say(arrival(1, { content }));
  const [article] = articles();
  equal([texts(), article.querySelectorAll("img, b").length], [[content], 0]);
  equal(getComputedStyle(article.querySelector("p")).whiteSpace, "pre-wrap");
  const time = article.querySelector("time");
  equal(time.dateTime, "2026-03-01T09:05:00Z");
  equal(time.textContent, new Date("2026-03-01T09:05:00Z").toLocaleTimeString([], { timeStyle: "short" }));
});

check("files are links and pictures, and only those that HTTP brings", async () => {
  const socket = await begin();
  const url = "https://files.invalid/f";
  const attachments = [
    { url: `${url}1`, filename: "a.png", content_type: "image/png" },
    { url: `${url}2`, filename: "<b>.txt", content_type: "text/plain" },
    { url: `${url}3`, filename: "no type" },
    { url: "HTTP://files.invalid/f4", filename: "not.an/image", content_type: "application/image/png" },
    { url: "javascript:alert(1)", filename: "evil", content_type: "image/png" },
    { url: "javascript:open('https://files.invalid/')", filename: "evil", content_type: "text/plain" },
    { url: "data:text/html,x", filename: "evil", content_type: "text/plain" },
    { url: " https://files.invalid/", filename: "odd", content_type: "text/plain" },
    { filename: "none", content_type: "text/plain" },
  ];
  await socket.say(arrival(1, { attachments }), arrival(2, { attachments: undefined }));
  const [first, second] = articles();
  const links = [...first.querySelectorAll("li > a")];
  equal(
    links.map((a) => [a.href, a.rel, a.target, a.textContent]),
    [
      [`${url}1`, "noopener noreferrer", "_blank", ""],
      [`${url}2`, "noopener noreferrer", "_blank", "<b>.txt"],
      [`${url}3`, "noopener noreferrer", "_blank", "no type"],
      ["http://files.invalid/f4", "noopener noreferrer", "_blank", "not.an/image"],
    ],
  );
  const pictures = [...first.querySelectorAll("img")].map((img) => [img.src, img.alt, img.loading]);
  equal(pictures, [[`${url}1`, "a.png", "lazy"]]);
  equal([second.querySelectorAll("ul, a").length, texts()[1]], [0, "number 2"]);
});

check("a screen reader is told what is new, and not the history", async () => {
  open();
  await settle();
  const log = shadow().querySelector(".log");
  const attributes = ["role", "aria-live", "aria-relevant", "aria-label", "aria-busy", "tabindex"];
  equal(attributes.map((name) => log.getAttribute(name)), ["log", "polite", "additions", "Chat", "true", "0"]);
  equal(shadow().querySelector(".state").getAttribute("role"), "status");
  equal(shadow().querySelector("section").getAttribute("aria-label"), "Chat");

  await sockets[0].accept();
  await sockets[0].say(HELLO, arrival(1));
  equal([log.getAttribute("aria-busy"), articles()[0].className], ["true", ""]);
  await sockets[0].say(caughtUp(1), arrival(2));
  equal([log.getAttribute("aria-busy"), articles()[1].className], ["false", "new"]);
});

check("a page may say it in its own words", async () => {
  open({ words: { title: "Plausch", lost: "Weg." } });
  await settle();
  equal([state(), shadow().querySelector("section").getAttribute("aria-label")], ["Connecting…", "Plausch"]);
  await sockets[0].end();
  equal(state(), "Weg.");
});

check("the chat follows its end, unless the customer has scrolled away", async () => {
  const socket = await begin();
  const log = shadow().querySelector(".log");
  for (let seq = 1; seq <= 12; seq++) await socket.say(arrival(seq));
  if (log.clientHeight > 320 || log.scrollHeight < 400) throw new Error("the chat is not within its place");
  equal(Math.round(log.scrollHeight - log.clientHeight - log.scrollTop), 0);
  log.scrollTop = 100;
  await socket.say(arrival(13));
  equal(Math.round(log.scrollTop), 100);
  log.scrollTop = log.scrollHeight - log.clientHeight - 20;
  await socket.say(arrival(14));
  equal(Math.round(log.scrollHeight - log.clientHeight - log.scrollTop), 0);
});

check("without a place the chat is at the page's end", async () => {
  open({ target: undefined });
  equal(document.querySelector(".pingback-chat").parentElement === document.body, true);
  await settle();
});

// ── A script with data attributes ───────────────────────────────────────────────────────────────────────────────────

/// Embeds the script as a page does.
function embed(data) {
  const script = document.createElement("script");
  script.src = document.querySelector("script[src$='widget.js']").src;
  Object.assign(script.dataset, data);
  return new Promise((resolve) => {
    script.onload = resolve;
    document.body.append(script);
  }).then(() => {
    script.remove();
    return settle();
  });
}

const SITE = { socket: SOCKET_URL, api: API_URL, tokenUrl: "/chat-token", target: "#place" };

check("a script with data attributes starts by itself, where it is told to", async () => {
  await embed(SITE);
  equal(document.querySelector(".pingback-chat").parentElement === place, true);
  equal(requests.map(({ url }) => url), ["/chat-token"]);
  equal(requests[0].options.cache, "no-store");
  await requests[0].answer(200, { token: tokenFor("c1") });
  const socket = await greet();
  equal([socket.url, socket.heard()[0].token], [SOCKET_URL, tokenFor("c1")]);
  await socket.say(large(1));
  await requests[1].answer(200, { token: tokenFor("c1") });
  equal(requests[2].url, `${API_URL}/api/v1/chat/messages/id-1`);
});

check("a site's token may be plain text", async () => {
  await embed(SITE);
  await requests[0].answer(200, `\n ${tokenFor("c1")} \r\n`);
  await sockets[0].accept();
  equal(sockets[0].heard()[0].token, tokenFor("c1"));
});

check("a site that has no token is asked again, later each time", async () => {
  await embed(SITE);
  const faults = [
    (request) => request.answer(404, "not found"),
    (request) => request.answer(500, JSON.stringify({ token: tokenFor("c1") })),
    (request) => request.answer(503),
    (request) => request.answer(401, tokenFor("c1")),
    (request) => request.fail(),
    (request) => request.answer(200, "{"),
  ];
  for (const [index, fault] of faults.entries()) {
    await fault(requests[index]);
    equal([state(), sockets.length], [LOST, 0], `fault ${index}`);
    const wait = Math.min(250 * 2 ** index, 15_000);
    await clock.pass(wait - 1);
    equal(requests.length, index + 1);
    await clock.pass(1);
    equal(requests.length, index + 2);
  }
  await requests.at(-1).answer(200, tokenFor("c1"));
  equal(sockets.length, 1);
});

check("a site that never answers is asked again after 10 s", async () => {
  await embed(SITE);
  for (const wait of [250, 500]) {
    const count = requests.length;
    if (count === 2) await requests[1].stall(200);
    await clock.pass(10_000);
    equal([state(), requests.at(-1).options.signal.aborted], [LOST, true]);
    await clock.pass(wait - 1);
    equal(requests.length, count);
    await clock.pass(1);
    equal(requests.length, count + 1);
  }
});

check("a script may bring its token along", async () => {
  await embed({ socket: SOCKET_URL, api: API_URL, token: tokenFor("c1") });
  await sockets[0].accept();
  equal(sockets[0].heard()[0].token, tokenFor("c1"));
  equal(requests, []);
});

check("a script without an address or a token starts nothing", async () => {
  for (const data of [{}, { socket: SOCKET_URL, api: API_URL }, { api: API_URL, token: tokenFor("c1") }]) {
    await embed(data);
    equal([document.querySelector(".pingback-chat"), sockets.length], [null, 0]);
  }
});

check("a script in a page that is still loaded waits for the page", async () => {
  Object.defineProperty(document, "readyState", { configurable: true, get: () => "loading" });
  try {
    await embed(SITE);
    equal([document.querySelector(".pingback-chat"), requests.length], [null, 0]);
  } finally {
    delete document.readyState;
  }
  document.dispatchEvent(new Event("DOMContentLoaded"));
  equal(document.querySelector(".pingback-chat").parentElement === place, true);
  await settle();
});
