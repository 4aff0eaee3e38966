// The connection: how the widget makes it, keeps it, and makes it again.

import { isInFront } from "./dom.js";

// API Gateway ends a connection after 10 silent minutes, and any after 2 hours:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const MAX_SILENCE_MS = 4 * 60_000; // then it is asked whether anything was missed, which also breaks the silence
const ANSWER_TIMEOUT_MS = 10_000; // an answer that takes longer does not come any more
const DOWNLOAD_TIMEOUT_MS = 60_000; // a large message over a slow line
const FIRST_RETRY_WAIT_MS = 500;
const MAX_RETRY_WAIT_MS = 30_000;
const SUBPROTOCOL = "pingback-chat"; // beside it stands the token: a page can send no other header with a WebSocket
const NO_MESSAGE = "00000000-0000-0000-0000-000000000000"; // is asked for to learn whether a token is refused

/// Returns the next of several waits, each twice the one before.
const longer = (wait) => Math.min(wait * 2, MAX_RETRY_WAIT_MS);

class Connection {
  /// `chat` is told what happens: `begin(token)`, `hear(event)`, `setState(name)` and `fault(code, detail)`; its `last` is
  /// the last message that it has.
  constructor({ socket, api, token }, chat) {
    Object.assign(this, { url: socket, api: api?.replace(/\/$/, ""), token, chat });
    this.wait = FIRST_RETRY_WAIT_MS;
    this.onvisible = () => document.visibilityState === "visible" && this.comeBack();
    this.onfocus = () => this.comeBack();
    this.ononline = () => this.socket || this.connect();
    this.onoffline = () => this.lost();
    document.addEventListener("visibilitychange", this.onvisible);
    addEventListener("online", this.ononline);
    addEventListener("offline", this.onoffline);
    addEventListener("focus", this.onfocus);
  }

  close() {
    this.closed = true;
    this.lost();
    document.removeEventListener("visibilitychange", this.onvisible);
    removeEventListener("online", this.ononline);
    removeEventListener("offline", this.onoffline);
    removeEventListener("focus", this.onfocus);
  }

  /// Sets another token, or another way to get one; an ended chat goes on.
  setToken(token) {
    this.token = token;
    this.ended = this.elsewhere = false;
    if (!this.socket) this.connect();
  }

  /// Connects again after other tabs took this one's place, now that the customer looks at it.
  comeBack() {
    if (!this.elsewhere) return;
    this.elsewhere = false;
    this.connect();
  }

  async connect() {
    clearTimeout(this.again);
    if (this.closed || this.ended || this.elsewhere) return;
    const turn = (this.turn = {}); // results of an earlier attempt are ignored
    let token, socket;
    try {
      token = await this.fresh();
      if (this.turn !== turn) return;
      socket = this.socket = new WebSocket(this.url, [SUBPROTOCOL, `token.${token}`]);
    } catch (error) {
      if (this.turn === turn) this.fail(token ? "socket" : "token", error);
      return;
    }
    const mine = (handle) => (event) => this.socket === socket && handle(event);
    this.chat.begin(token);
    socket.onopen = mine(() => this.ask({ action: "hello", token, after: this.chat.last }));
    socket.onmessage = mine(({ data }) => this.hear(parse(data)));
    socket.onclose = mine(() => this.end(token));
    this.expect();
  }

  fail(code, error) {
    this.chat.fault(code, error.message);
    this.lost();
  }

  /// Gives up a connection that was closed.
  end(token) {
    if (!this.greeted) {
      this.chat.fault("socket", `${this.url} opens no connection: is it the stack's ChatUrl, and the token valid?`);
      if (typeof this.token !== "function") this.judge(token);
    }
    this.lost();
  }

  /// Ends the chat if its only token is refused: a page is not told why a handshake failed, but it may ask over HTTP.
  async judge(token) {
    try {
      const answer = await this.get(NO_MESSAGE, token, ANSWER_TIMEOUT_MS);
      if (answer.status !== 401 || this.token !== token || this.greeted) return;
      this.ended = true;
      this.lost();
    } catch {} // the network is down, too
  }

  get(id, token, timeout) {
    const headers = { authorization: `Bearer ${token}` };
    return fetch(`${this.api}/api/v1/chat/messages/${id}`, { headers, signal: AbortSignal.timeout(timeout) });
  }

  /// Fetches a message that does not fit into the WebSocket; null if it was given up meanwhile.
  async download(id) {
    const answer = await this.get(id, await this.fresh(), DOWNLOAD_TIMEOUT_MS);
    if (!answer.ok && answer.status !== 404) throw new Error(`message ${id}: ${answer.status}`);
    return answer.ok ? answer.json() : null;
  }

  /// Resolves to a token; rejects if the page does not come up with one in time.
  async fresh() {
    const given = typeof this.token === "function" ? this.token() : this.token;
    const late = new Promise((_, reject) => setTimeout(reject, ANSWER_TIMEOUT_MS, new Error("no token in 10 seconds")));
    const token = await Promise.race([given, late]);
    if (!token || typeof token !== "string") throw new Error("the page gave no token");
    return token;
  }

  /// Gives the connection up, and makes another one after a wait of at least so many seconds.
  lost(retryAfter = 0) {
    const { socket } = this;
    this.socket = this.turn = null;
    this.greeted = this.asking = false;
    socket?.close();
    for (const timer of [this.again, this.quiet, this.deadline]) clearTimeout(timer);
    this.chat.pause();
    if (this.closed) return;
    this.chat.setState(this.excuse());
    if (this.ended || this.elsewhere) return;
    const wait = retryAfter * 1000 + this.wait * (0.5 + Math.random() / 2);
    this.again = setTimeout(() => this.connect(), wait);
    this.wait = longer(this.wait);
  }

  /// Returns why there is no connection.
  excuse() {
    if (this.ended) return "ended";
    if (this.elsewhere) return "elsewhere";
    if (!navigator.onLine) return "offline";
    return this.known ? "lost" : "unreachable";
  }

  /// Sends a frame; false if there is no connection.
  say(frame) {
    const isOpen = this.socket?.readyState === WebSocket.OPEN;
    if (isOpen) this.socket.send(JSON.stringify(frame));
    return isOpen;
  }

  /// Sends an action whose answer has an end: `caught_up` or `history`.
  ask(what = { action: "resume", after: this.chat.last }) {
    if (!this.say(what)) return; // it will say hello
    this.asking = true;
    this.expect();
  }

  expect() {
    clearTimeout(this.deadline);
    this.deadline = setTimeout(() => this.lost(), ANSWER_TIMEOUT_MS);
  }

  hear(event) {
    if (this.asking) this.expect(); // until it is caught up
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => this.ask(), MAX_SILENCE_MS);
    switch (event.type) {
      case "hello":
        this.greeted = this.known = true;
        this.wait = FIRST_RETRY_WAIT_MS;
        this.chat.setState("open");
        break;
      case "caught_up":
      case "history":
        this.asking = false;
        clearTimeout(this.deadline);
        break;
      case "error":
        if (event.client_id) break; // it is about a message of the customer's, and ends nothing
        this.chat.fault(event.code, event.detail);
        // A page with a fixed token cannot offer a better one.
        this.ended = typeof this.token !== "function" && ["unauthorized", "token_expired"].includes(event.code);
        // The newer tabs may be dead ones; the customer is here.
        this.elsewhere = event.code === "too_many_tabs" && !isInFront();
        return this.lost(event.retry_after);
      case undefined: // API Gateway's own error, or no event at all: it is unknown which action failed
        this.chat.fault("gateway", event.message ?? "a frame is no event");
        return this.lost();
    }
    this.chat.hear(event);
  }
}

/// Returns the event in a frame; of a frame that is none, an event without a type.
const parse = (frame) => {
  try {
    return JSON.parse(frame) ?? {};
  } catch {
    return {};
  }
};

export { ANSWER_TIMEOUT_MS, Connection, FIRST_RETRY_WAIT_MS, longer };
