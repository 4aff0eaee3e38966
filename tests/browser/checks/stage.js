// The stage on which the widget is checked: a clock that a check winds on, and sockets and requests that a check
// answers. It knows nothing of the widget but what a page and a server see of it.
"use strict";

const SOCKET_URL = "wss://chat.example/";
const API_URL = "https://api.example";

// ── Turns and frames, by the browser's own clock ──────────────────────────────────────────────────────────────────────

const { port1: bell, port2: rope } = new MessageChannel();

/// Waits until all that is ready to run has run.
async function settle() {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => {
      bell.onmessage = resolve;
      rope.postMessage(null);
    });
  }
}

/// Waits until the browser has looked at what is visible.
async function painted() {
  for (let frame = 0; frame < 4; frame++) await new Promise((resolve) => requestAnimationFrame(resolve));
  await settle();
}

/// Waits as long as it takes to read what is in view.
async function lookAround() {
  await painted();
  await clock.pass(1_000);
}

/// Waits for something that the browser does in its own time.
async function until(what, condition) {
  for (let frame = 0; frame < 30; frame++) {
    if (condition()) return;
    await painted();
  }
  throw new Error(`does not come: ${what}`);
}

// ── The clock ───────────────────────────────────────────────────────────────────────────────────────────────────────

const clock = {
  now: 0,
  last: 0,
  timers: new Map(),

  set(callback, delay = 0, ...parameters) {
    clock.timers.set(++clock.last, { at: clock.now + delay, callback: () => callback(...parameters) });
    return clock.last;
  },

  /// Lets time pass, with all that comes due in it.
  async pass(ms) {
    await settle();
    const end = clock.now + ms;
    for (let id; (id = clock.next(end)); ) {
      const { at, callback } = clock.timers.get(id);
      clock.timers.delete(id);
      clock.now = at;
      callback();
      await settle();
    }
    clock.now = end;
  },

  next(end) {
    const due = [...clock.timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at);
    return due[0]?.[0];
  },
};

let chance = 0; // what Math.random returns

const realTimers = { setTimeout: window.setTimeout.bind(window), clearTimeout: window.clearTimeout.bind(window) };
window.setTimeout = clock.set;
window.clearTimeout = (id) => clock.timers.delete(id);
Math.random = () => chance;
AbortSignal.timeout = (ms) => {
  const control = new AbortController();
  clock.set(() => control.abort(new DOMException("took too long", "TimeoutError")), ms);
  return control.signal;
};

// ── The network ─────────────────────────────────────────────────────────────────────────────────────────────────────

let sockets = [];
let requests = [];
let refusesSockets = false;

window.WebSocket = class Socket {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  readyState = Socket.CONNECTING;
  sent = []; // what the widget said since the check last looked
  wrote = []; // what the customer wrote
  questions = []; // what the widget asked of the customer's own messages

  constructor(url, protocols) {
    if (refusesSockets) throw new DOMException("refused", "SyntaxError");
    Object.assign(this, { url, protocols });
    sockets.push(this);
  }

  send(text) {
    if (this.readyState === Socket.CONNECTING) throw new DOMException("not open yet", "InvalidStateError");
    if (this.readyState !== Socket.OPEN) return;
    const frame = JSON.parse(text);
    this.roomOf(frame.action).push(frame);
  }

  roomOf(action) {
    return { message: this.wrote, customer_messages: this.questions }[action] ?? this.sent;
  }

  close() {
    this.readyState = Math.max(this.readyState, Socket.CLOSING);
  }

  // The server's side.

  accept() {
    this.readyState = Socket.OPEN;
    this.onopen?.(new Event("open"));
    return settle();
  }

  say(...events) {
    return this.frame(...events.map((event) => JSON.stringify(event)));
  }

  frame(...frames) {
    for (const data of frames) this.onmessage?.(new MessageEvent("message", { data }));
    return settle();
  }

  end(code = 1006) {
    this.readyState = Socket.CLOSED;
    this.onclose?.(new CloseEvent("close", { code }));
    return settle();
  }

  /// Returns what the widget said since the last look.
  heard() {
    return this.sent.splice(0);
  }
};

/// Returns a response whose body is there: a browser takes its own time to read one of its own.
const whole = (status, body) => ({
  status,
  ok: status >= 200 && status < 300,
  text: async () => body,
  json: async () => JSON.parse(body),
});

// Pictures are loaded when a check says so.
const source = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
const sources = new WeakMap();
Object.defineProperty(HTMLImageElement.prototype, "src", {
  get() {
    return sources.get(this) ?? "";
  },
  set(url) {
    sources.set(this, String(new URL(url, location)));
  },
});
const load = (image, url) =>
  new Promise((resolve) => {
    image.addEventListener("load", resolve, { once: true });
    image.loading = "eager";
    source.set.call(image, url);
  });

window.fetch = (url, options = {}) =>
  new Promise((resolve, reject) => {
    const { signal } = options;
    signal?.addEventListener("abort", () => reject(signal.reason));
    const stalled = (controller) => signal?.addEventListener("abort", () => controller.error(signal.reason));
    const respond = (response) => {
      resolve(response);
      return settle();
    };
    requests.push({
      url: String(url),
      options,
      answer: (status, body = "") => respond(whole(status, typeof body === "string" ? body : JSON.stringify(body))),
      stall: (status) => respond(new Response(new ReadableStream({ start: stalled }), { status })),
      fail: () => {
        reject(new TypeError("Failed to fetch"));
        return settle();
      },
    });
  });

// ── The page ────────────────────────────────────────────────────────────────────────────────────────────────────────

let visibility; // hidden, so that nothing is read, unless a check looks
Object.defineProperty(document, "visibilityState", { get: () => visibility });

function setVisibility(state) {
  visibility = state;
  document.dispatchEvent(new Event("visibilitychange"));
  return settle();
}

/// Brings the tab to the front.
function look() {
  focused = true;
  return setVisibility("visible");
}

let focused; // whether the customer's keys go to this page
document.hasFocus = () => focused;

let online; // whether the browser has a network, as far as it knows
Object.defineProperty(navigator, "onLine", { get: () => online });

let warnings = []; // what the page's author is told
console.warn = (text) => warnings.push(text);

const place = document.querySelector("#place");
const shadow = () => document.querySelector(".pingback-chat").shadowRoot;
const state = () => shadow().querySelector(".state").textContent;
const articles = () => [...shadow().querySelectorAll("article")];
const texts = () => articles().map((article) => article.querySelector("p").textContent);
const log = () => shadow().querySelector(".log");

// ── A conversation ──────────────────────────────────────────────────────────────────────────────────────────────────

/// A token for a conversation, in base64url as backends sign it.
function tokenFor(conversation, claims = {}) {
  const encode = (part) =>
    btoa(unescape(encodeURIComponent(JSON.stringify(part)))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return [{ alg: "HS256" }, { aud: "chat", conversation_id: conversation, ...claims }].map(encode).join(".") + ".c2ln";
}

const message = (seq, more = {}) => ({
  id: `id-${seq}`,
  content: `number ${seq}`,
  attachments: [],
  created_at: "2026-03-01T09:05:00Z",
  ...more,
});
const arrival = (seq, more) => ({ type: "new_message", seq, message: message(seq, more) });
const known = (seq, status) => ({ ...arrival(seq), status });
const large = (seq) => ({ type: "large_message", seq, id: `id-${seq}` });
const caughtUp = (seq, pending = null) => ({ type: "caught_up", seq, pending });
const HELLO = { type: "hello", conversation_id: "c1" };
const pageAfter = (after) => ({ type: "page", after });
const historyUpTo = (before, after) => ({ type: "history", before, after });
const history = (before) => ({ action: "history", before });
const resume = (after) => ({ action: "resume", after });
const ack = (seq) => ({ action: "ack", id: `id-${seq}` });
const read = (seq) => ({ action: "read", id: `id-${seq}` });

let chats = [];

/// Opens a chat that has not connected yet.
function open(options = {}) {
  const token = async () => tokenFor("c1");
  const chat = PingbackChat.open({ socket: SOCKET_URL, api: API_URL, token, target: place, ...options });
  chats.push(chat);
  return chat;
}

/// Opens a chat that is connected and has all there is, `seq` messages; returns the server's side of it.
async function begin(options = {}, seq = 0) {
  open(options);
  return greet(seq);
}

/// Greets the widget that is connecting and says that it has all there is.
async function greet(seq = 0) {
  await settle();
  const socket = sockets.at(-1);
  await socket.accept();
  await socket.say(HELLO, caughtUp(seq));
  return socket;
}

// ── The checks ──────────────────────────────────────────────────────────────────────────────────────────────────────

const checks = [];
const check = (name, run) => checks.push({ name, run });
let pageErrors = [];
addEventListener("error", ({ message }) => pageErrors.push(message));
addEventListener("unhandledrejection", ({ reason }) => pageErrors.push(String(reason)));

function equal(actual, expected, about = "") {
  const [is, wanted] = [actual, expected].map((value) => JSON.stringify(value) ?? "undefined");
  if (is !== wanted) throw new Error(`${about && `${about}: `}${is} instead of ${wanted}`);
}

function clear() {
  for (const chat of chats.splice(0)) chat.close();
  window.PingbackChat.chat?.close();
  delete window.PingbackChat.chat;
  place.removeAttribute("style");
  scrollTo(0, 0);
  sessionStorage.clear();
  clock.timers.clear();
  sockets = [];
  requests = [];
  pageErrors = [];
  refusesSockets = false;
  visibility = "hidden";
  focused = false;
  online = true;
  warnings = [];
  chance = 0;
}

/// Runs the checks one after the other, and returns how many there are and what failed.
async function runChecks(word = "") {
  const failures = [];
  for (const { name, run } of checks.filter(({ name }) => name.includes(word))) {
    clear();
    try {
      await run();
      await settle();
      equal(pageErrors, [], "errors of the page");
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
    }
    const line = document.createElement("li");
    line.textContent = failures.at(-1)?.startsWith(name) ? failures.at(-1) : `${name}: ok`;
    document.querySelector("#outcome").append(line);
  }
  clear();
  return { checks: checks.length, failures };
}
