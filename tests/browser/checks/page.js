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

check("addresses in a text are links, and nothing else is", async () => {
  const socket = await begin();
  const table = [
    ["see https://shop.example/a?b=c#d.", ["https://shop.example/a?b=c#d"]],
    ["(http://shop.example/a_(b)), really!", ["http://shop.example/a_(b)"]],
    ["HTTPS://SHOP.EXAMPLE/x, https://shop.example/y", ["https://shop.example/x", "https://shop.example/y"]],
    ["<https://shop.example/>", ["https://shop.example/"]],
    ['"https://shop.example/"', ["https://shop.example/"]],
    ["https://münchen.example/weg", ["https://xn--mnchen-3ya.example/weg"]],
    ["javascript:alert(1) data:text/html,x ftp://shop.example www.shop.example xhttps://shop.example", []],
    ["https:// http://. https://[ javascript:open('https://')", []],
  ];
  for (const [index, [content]] of table.entries()) await socket.say(arrival(index + 1, { content }));
  equal(texts(), table.map(([content]) => content));
  for (const [index, [content, hrefs]] of table.entries()) {
    const links = [...articles()[index].querySelectorAll("p a")];
    equal(links.map(({ href }) => href), hrefs, content);
    for (const { rel, target } of links) equal([rel, target], ["noopener noreferrer", "_blank"]);
  }
});

check("a text of a hundred thousand odd characters takes no more time than its length is worth", async () => {
  const socket = await begin();
  const take = async (length, first) => {
    const texts = ["https://", "(", ")", "http://a.", "\u202e", ".", "a.b-"].map((text) => text.repeat(length / text.length));
    const deep = length / 5;
    texts.push(`https://a/${")".repeat(deep)}`, `https://a/${"(".repeat(deep)}`, `https://a/${"()".repeat(deep / 2)}`);
    const began = performance.now();
    for (const [index, content] of texts.entries()) await socket.say(arrival(first + index, { content }));
    return performance.now() - began;
  };
  const short = await take(10_000, 1);
  const long = await take(100_000, 11);
  equal(articles().length, 20);
  // Ten times the length is ten times the work, or a hundred times if each character looks at all others; a slow machine
  // is as slow at both.
  if (long > 5_000 && long > 40 * short) throw new Error(`${long} ms, after ${short} ms for a tenth`);
});

check("each text runs in its own direction", async () => {
  const socket = await begin();
  await socket.say(arrival(1, { content: "مرحبا بك" }), arrival(2, { content: "hello" }));
  const directions = articles().map((article) => getComputedStyle(article.querySelector("p")).direction);
  equal(directions, ["rtl", "ltr"]);
  equal(articles().map((article) => article.querySelector("p").dir), ["auto", "auto"]);
});

check("between messages of different days stands the day, wherever they are put", async () => {
  const socket = await begin();
  const on = (seq, day) => arrival(seq, { created_at: `2026-03-0${day}T12:05:00Z` });
  const days = () =>
    [...log().children].filter((one) => one.matches(".day, article")).map((one) =>
      one.matches(".day") ? one.firstChild.dateTime.slice(0, 10) : one.querySelector("p").textContent,
    );
  await socket.say(pageAfter(4), on(5, 2), on(6, 2), on(7, 3));
  await socket.say(caughtUp(7));
  equal(days(), ["2026-03-02", "number 5", "number 6", "2026-03-03", "number 7"]);
  const [day] = shadow().querySelectorAll(".day");
  equal(day.textContent, new Date("2026-03-02T12:05:00Z").toLocaleDateString([], { dateStyle: "full" }));

  await socket.say(on(4, 2), on(3, 1), historyUpTo(5, 0));
  equal(days(), ["2026-03-01", "number 3", "2026-03-02", "number 4", "number 5", "number 6", "2026-03-03", "number 7"]);
});

check("it says who writes, as far as the page or the token knows", async () => {
  const agents = { "agent-1": { name: "Zoë\u202e", picture: "https://files.invalid/zoe.jpg" }, "agent-2": { name: "<b>" } };
  const token = tokenFor("c1", { agents });
  open({ token, agents: { "agent-3": { name: "Ms. Three", picture: "javascript:alert(1)" } } });
  const socket = await greet();
  const by = (seq, sender_id) => arrival(seq, { sender_type: "agent", sender_id });
  await socket.say(by(1, "agent-1"), by(2, "agent-1"), by(3, "agent-2"), by(4, "agent-3"), by(5, null));
  const heads = articles().map((article) => {
    const head = article.querySelector("header");
    return head && getComputedStyle(head).display !== "none" ? [head.textContent, head.querySelector("img")?.src] : null;
  });
  const first = ["Zoë\u202e", "https://files.invalid/zoe.jpg"];
  equal(heads, [first, null, ["<b>", undefined], ["Ms. Three", undefined], null]);

  const whole = new Date("2026-03-01T09:05:00Z").toLocaleString([], { dateStyle: "full", timeStyle: "short" });
  const labels = articles().map((article) => article.getAttribute("aria-label"));
  equal(labels, ["Zoë\u202e", "Zoë\u202e", "<b>", "Ms. Three", "Support"].map((name) => `${name}, ${whole}`));
  equal(articles()[0].querySelector("time").title, whole);
});

check("a token may name who answers for all", async () => {
  open({ token: tokenFor("c1", { agents: { default: { name: "The shop" } } }) });
  await (await greet()).say(arrival(1, { sender_id: null }));
  equal(articles()[0].querySelector("header").textContent, "The shop");
});

check("an empty conversation says that it is empty, and one that is not there yet does not", async () => {
  open();
  await settle();
  const empty = shadow().querySelector(".empty");
  equal(empty.hidden, true);
  const socket = await greet();
  equal([empty.hidden, empty.textContent], [false, "No messages yet. What is written to you appears here."]);
  await socket.say(arrival(1));
  equal(empty.hidden, true);
});

check("files are links and pictures, and only those that HTTP brings", async () => {
  const socket = await begin();
  const url = "https://files.invalid/f";
  const attachments = [
    { url: `${url}1`, filename: "a.png", content_type: "image/png", size: 5 },
    { url: `${url}2`, filename: "<b>.txt", content_type: "text/plain", size: 1_234 },
    { url: `${url}3`, filename: "no type" },
    { url: "HTTP://files.invalid/f4", filename: "not.an/image", content_type: "application/image", size: 12_345_678 },
    { url: `${url}5`, filename: "IMG_1.HEIC", content_type: "image/heic", size: 2_000_000 },
    { url: `${url}6`, filename: "scan.tiff", content_type: "image/tiff", size: 0 },
    { url: "javascript:alert(1)", filename: "evil", content_type: "image/png" },
    { url: "javascript:open('https://files.invalid/')", filename: "evil", content_type: "text/plain" },
    { url: "data:text/html,x", filename: "evil", content_type: "text/plain" },
    { url: " https://files.invalid/", filename: "odd", content_type: "text/plain" },
    { filename: "none", content_type: "text/plain" },
  ];
  await socket.say(arrival(1, { attachments }), arrival(2, { attachments: undefined }));
  const [first, second] = articles();
  const links = [...first.querySelectorAll("li > a")];
  const size = (value, unit) => value.toLocaleString([], { style: "unit", unit, maximumFractionDigits: 1 });
  equal(
    links.map((a) => [a.href, a.rel, a.target, a.querySelector("bdi")?.textContent, a.querySelector("small")?.textContent]),
    [
      [`${url}1`],
      [`${url}2`, , , "<b>.txt", `TXT · ${size(1.2, "kilobyte")}`],
      [`${url}3`, , , "no type", ""],
      ["http://files.invalid/f4", , , "not.an/image", `IMAGE · ${size(12.3, "megabyte")}`],
      [`${url}5`, , , "IMG_1.HEIC", `HEIC · ${size(2, "megabyte")}`],
      [`${url}6`, , , "scan.tiff", `TIFF · ${size(0, "byte")}`],
    ].map(([href, , , name, about]) => [href, "noopener noreferrer", "_blank", name, about]),
  );
  const pictures = [...first.querySelectorAll("img")].map((img) => [img.src, img.alt, img.loading]);
  equal(pictures, [[`${url}1`, "a.png", "lazy"]]);
  equal([second.querySelectorAll("ul, a").length, texts()[1]], [0, "number 2"]);
});

const PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==";

check("a picture has its place before it is there, and one that is none is a file", async () => {
  await look();
  const socket = await begin();
  const attachments = [{ url: "https://files.invalid/a.png", filename: "a.png", content_type: "image/png", size: 2_000 }];
  await socket.say({ ...arrival(1, { attachments }), status: "read" }, arrival(2));
  const picture = articles()[0].querySelector("img");
  const height = log().scrollHeight;
  equal(picture.getBoundingClientRect().height > 100, true);
  await load(picture, PIXEL);
  equal([log().scrollHeight, Math.round(log().scrollHeight - log().clientHeight - log().scrollTop)], [height, 0]);

  await socket.say(arrival(3, { attachments }));
  articles()[2].querySelector("img").dispatchEvent(new Event("error"));
  equal([articles()[2].querySelector("img"), articles()[2].querySelector("a bdi").textContent], [null, "a.png"]);
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
  equal([log.getAttribute("aria-busy"), articles()[1].classList.contains("new")], ["false", true]);
});

check("a page may say it in its own words", async () => {
  open({ words: { title: "Plausch", unreachable: "Weg." } });
  await settle();
  equal([state(), shadow().querySelector("section").getAttribute("aria-label")], ["Connecting…", "Plausch"]);
  await sockets[0].end();
  equal(state(), "Weg.");
});

check("the chat follows its end, unless the customer has scrolled away", async () => {
  await look();
  const socket = await begin();
  for (let seq = 1; seq <= 12; seq++) {
    await socket.say(arrival(seq));
    await lookAround();
  }
  const toEnd = () => Math.round(log().scrollHeight - log().clientHeight - log().scrollTop);
  if (log().clientHeight > 320 || log().scrollHeight < 400) throw new Error("the chat is not within its place");
  equal(toEnd(), 0);
  const fresh = shadow().querySelector(".fresh");
  equal(fresh.hidden, true);

  log().scrollTop = 100;
  await painted();
  for (let seq = 13; seq <= 15; seq++) await socket.say(arrival(seq));
  await lookAround();
  equal([Math.round(log().scrollTop), fresh.hidden, fresh.textContent, fresh.type], [100, false, "3 new", "button"]);
  fresh.click();
  await lookAround();
  equal([toEnd(), fresh.hidden], [0, true]);

  log().scrollTop = log().scrollHeight - log().clientHeight - 20;
  await socket.say(arrival(16));
  equal(toEnd(), 0);
});

check("the end stays in view when the chat gets smaller", async () => {
  const socket = await begin();
  await socket.say(...Array.from({ length: 12 }, (_, index) => known(index + 1, "read")));
  await painted();
  place.style.height = "12rem";
  await painted();
  equal(Math.round(log().scrollHeight - log().clientHeight - log().scrollTop), 0);
  log().scrollTop = 100;
  await painted();
  place.style.height = "11rem";
  await painted();
  equal(Math.round(log().scrollTop), 100);
});

check("a long text that comes is shown from its top", async () => {
  await look();
  const socket = await begin();
  for (let seq = 1; seq <= 12; seq++) {
    await socket.say(arrival(seq));
    await lookAround();
  }
  await socket.say(arrival(13, { content: "line\n".repeat(100) }));
  const distance = articles()[12].getBoundingClientRect().top - log().getBoundingClientRect().top;
  equal(distance >= 0 && distance < 40, true, distance);
});

check("without a place the chat is at the page's end", async () => {
  open({ target: undefined });
  equal(document.querySelector(".pingback-chat").parentElement === document.body, true);
  await settle();
});

// ── A script with data attributes ───────────────────────────────────────────────────────────────────────────────────

let embedded = 0;

/// Embeds the script as a page does. (Classic, it is the script that is built, which main.rs embeds.)
function embed(data) {
  const script = document.createElement("script");
  script.type = "module";
  script.src = `${document.querySelector("script[src$='embed.js']").src}?${++embedded}`;
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
    equal([state(), sockets.length], [UNREACHABLE, 0], `fault ${index}`);
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
    equal([state(), requests.at(-1).options.signal.aborted], [UNREACHABLE, true]);
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

check("a script that cannot start says why, once", async () => {
  const table = [
    [{ socket: SOCKET_URL, api: API_URL }, "there is no token"],
    [{ api: API_URL, token: tokenFor("c1") }, "socket is no address: undefined"],
    [{ socket: "chat.example", api: API_URL, token: tokenFor("c1") }, "socket is no address: chat.example"],
    [{ socket: SOCKET_URL, token: tokenFor("c1") }, "api is no address: undefined"],
    [{ socket: SOCKET_URL, api: "wss://x", tokenUrl: "/t" }, "api is no address: wss://x"],
  ];
  for (const [data, why] of table) {
    warnings = [];
    await embed(data);
    equal([document.querySelector(".pingback-chat"), sockets.length, warnings.length], [null, 0, 1]);
    equal(warnings[0].includes(why), true, warnings[0]);
  }
});

check("a page is told of attributes that mean nothing, and of a place that is not there", async () => {
  await embed({ ...SITE, target: "#nowhere", tokenURL: "/chat-token" });
  equal(warnings.map((text) => text.replace("pingback-chat: ", "")), [
    "unknown data attributes: tokenURL",
    "data-target: #nowhere is not on the page, so the chat is at its end",
  ]);
  equal(document.querySelector(".pingback-chat").parentElement === document.body, true);
});

check("a place that is no selector is told as well", async () => {
  await embed({ ...SITE, target: "##" });
  equal([warnings.length, document.querySelector(".pingback-chat")?.parentElement === document.body], [1, true]);
});

check("a token address that fails is told once", async () => {
  await embed(SITE);
  for (let times = 0; times < 3; times++) {
    await requests.at(-1).answer(404, "not found");
    await clock.pass(1_000);
  }
  equal(warnings, ["pingback-chat: /chat-token answered 404"]);
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

// ── The launcher ────────────────────────────────────────────────────────────────────────────────────────────────────

const find = (selector) => shadow().querySelector(selector);
const press = (element, key) =>
  element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }));

check("a launcher opens and shuts the chat, and remembers", async () => {
  open({ launcher: true, target: undefined });
  await greet();
  const [knob, panel] = [find(".knob"), find("section")];
  const shown = () => [panel.hidden, knob.getAttribute("aria-expanded"), knob.getAttribute("aria-label")];
  equal([knob.tagName, knob.type, knob.getAttribute("aria-controls") === panel.id], ["BUTTON", "button", true]);
  equal([panel.getAttribute("role"), panel.getAttribute("aria-label")], ["dialog", "Chat"]);
  equal(shown(), [true, "false", "Open the chat"]);
  knob.click();
  equal([...shown(), shadow().activeElement === log()], [false, "true", "Close the chat", true]);
  press(log(), "a");
  equal(panel.hidden, false);
  press(log(), "Escape");
  equal([...shown(), shadow().activeElement === knob], [true, "false", "Open the chat", true]);

  knob.click();
  chats.pop().close();
  open({ launcher: true, target: undefined });
  equal(find("section").hidden, false);
  find(".bar button").click();
  chats.pop().close();
  open({ launcher: true, target: undefined });
  equal(find("section").hidden, true);
  chats.at(-1).open();
  equal(find("section").hidden, false);
  await settle();
});

check("a launcher counts what is unread, and a shut chat reads nothing", async () => {
  await look();
  open({ launcher: true, target: undefined });
  const socket = await greet();
  const badge = find(".badge");
  equal(badge.hidden, true);
  await socket.say(arrival(1), arrival(2));
  await lookAround();
  equal([badge.hidden, badge.dataset.count, find(".knob").getAttribute("aria-label")], [false, "2", "Open the chat (2 unread)"]);
  equal(reads(socket), []);
  find(".knob").click();
  await lookAround();
  equal([badge.hidden, reads(socket)], [true, ["id-1", "id-2"]]);
  find(".knob").click();
  for (let seq = 3; seq <= 130; seq++) await socket.say(arrival(seq));
  equal(badge.dataset.count, "99+");
});

check("a page chooses colours and scheme", async () => {
  document.body.style.setProperty("--pingback-accent", "rgb(1, 2, 3)");
  document.body.style.setProperty("--pingback-paper", "rgb(4, 5, 6)");
  open({ launcher: true, target: undefined, theme: "dark" });
  await settle();
  equal(getComputedStyle(find(".knob")).backgroundColor, "rgb(1, 2, 3)");
  equal(getComputedStyle(find("section")).backgroundColor, "rgb(4, 5, 6)");
  document.body.removeAttribute("style");
  const { color, colorScheme } = getComputedStyle(find("section"));
  equal([color, colorScheme], ["rgb(233, 236, 243)", "dark"]);
});

check("what a page does to its own elements is not done to the chat's", async () => {
  const style = document.createElement("style");
  style.textContent = "body { text-transform: uppercase; color: red; font: 40px serif; text-align: end } div, p { display: none }";
  document.head.append(style);
  place.style.display = "block";
  const socket = await begin();
  await socket.say(arrival(1));
  const { color, fontSize, textTransform, display } = getComputedStyle(articles()[0].querySelector("p"));
  style.remove();
  equal([fontSize, textTransform, display], ["15px", "none", "block"]);
  equal(color === "rgb(255, 0, 0)", false);
});
