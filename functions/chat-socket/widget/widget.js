// The chat widget: shows on any page what agents write, and tells them what the customer has got and seen. One file,
// nothing to build, nothing to install. It lies beside the function it talks to because it is the other half of that
// protocol: a change of one is a change of both. How to embed it is in functions/chat-socket/README.md.
//
//   <script src="widget.js" data-socket="wss://…" data-api="https://…" data-token-url="/chat-token"></script>
//   PingbackChat.open({ socket, api, token: async () => "…", target: document.querySelector("#chat") })
//
// Text is only ever shown as text. What is kept is kept for this tab alone (sessionStorage): another tab has seen other
// messages.
(() => {
  "use strict";

  // API Gateway ends a connection after 10 silent minutes, and any after 2 hours:
  // https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
  const MAX_SILENCE_MS = 4 * 60_000; // then it is asked whether anything was missed, which also breaks the silence
  const ANSWER_TIMEOUT_MS = 10_000; // an answer that takes longer does not come any more
  const DOWNLOAD_TIMEOUT_MS = 60_000; // a large message over a slow line
  const PENDING_WAIT_MS = 1_000; // a message that is on its way to other tabs is waited for so long
  const FIRST_RETRY_WAIT_MS = 500;
  const MAX_RETRY_WAIT_MS = 30_000;
  const MAX_REPEATED_RECEIPTS = 20; // sent again on a new connection: the last ones on the old may be lost
  const MAX_STORED_MESSAGES = 100; // messages that are there again when the page is reloaded

  const DEFAULT_WORDS = {
    title: "Chat",
    connecting: "Connecting…",
    lost: "The connection was lost. Trying again…",
    ended: "This chat has ended. Reload the page to go on.",
  };

  const STYLE = `
    :host { display: block; height: 100%;
      --ink: #1d2330; --paper: #fff; --bubble: #eef1f6; --quiet: #5b6475; --link: #1a56c4; }
    @media (prefers-color-scheme: dark) {
      :host { --ink: #e8ebf1; --paper: #171b24; --bubble: #262d3b; --quiet: #a2abbd; --link: #8fb5ff; }
    }
    section { display: flex; flex-direction: column; height: 100%; min-height: 12rem; max-height: inherit;
      box-sizing: border-box; border: 1px solid var(--bubble); border-radius: .75rem; overflow: hidden;
      font: 1rem/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); color-scheme: light dark; }
    .log { flex: 1; min-height: 0; overflow-y: auto; padding: .75rem; }
    .log:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: -2px; }
    article { max-width: 85%; margin: 0 0 .75rem; padding: .5rem .75rem; border-radius: .75rem; background: var(--bubble); }
    p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
    ul { margin: .5rem 0 0; padding: 0; list-style: none; }
    img { display: block; max-width: 100%; max-height: 16rem; border-radius: .5rem; }
    a { color: var(--link); overflow-wrap: anywhere; }
    time, .state { font-size: .8rem; color: var(--quiet); }
    .state { padding: .25rem .75rem; }
    .state:empty { display: none; }
    @media (prefers-reduced-motion: no-preference) {
      .new { animation: come .2s ease-out; }
      @keyframes come { from { opacity: 0; transform: translateY(.25rem); } }
    }`;

  const make = (tag, properties, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };

  class Chat {
    constructor({ socket, api, token, target, words }) {
      Object.assign(this, { url: socket, api: api?.replace(/\/$/, ""), token, words: { ...DEFAULT_WORDS, ...words } });
      this.receipts = new Map(); // id → what was said of it last
      this.wait = FIRST_RETRY_WAIT_MS;
      this.seen = new IntersectionObserver((entries) => this.watch(entries), { threshold: [0, 0.5] });
      this.build(target);
      this.begin(undefined);
      this.onvisible = () => this.readAll();
      this.ononline = () => this.socket || this.connect();
      document.addEventListener("visibilitychange", this.onvisible);
      addEventListener("online", this.ononline);
      this.connect();
    }

    /// Closes the chat and leaves the page as it was.
    close() {
      this.closed = true;
      this.lost();
      this.seen.disconnect();
      document.removeEventListener("visibilitychange", this.onvisible);
      removeEventListener("online", this.ononline);
      this.host.remove();
    }

    /// Sets another token, or another way to get one; an ended chat goes on.
    setToken(token) {
      this.token = token;
      this.ended = false;
      if (!this.socket) this.connect();
    }

    // ── The connection ──────────────────────────────────────────────────────────────────────────────────────────────

    async connect() {
      clearTimeout(this.again);
      if (this.closed || this.ended) return;
      const turn = (this.turn = {}); // results of an earlier attempt are ignored
      let token, socket;
      try {
        token = await this.fresh();
        if (this.turn !== turn) return;
        socket = this.socket = new WebSocket(this.url);
      } catch {
        if (this.turn === turn) this.lost();
        return;
      }
      const mine = (handle) => (event) => this.socket === socket && handle(event);
      this.begin(conversationOf(token));
      socket.onopen = mine(() => this.ask({ action: "hello", token, after: this.last }));
      socket.onmessage = mine(({ data }) => this.hear(parse(data)));
      socket.onclose = mine(() => this.lost());
      this.expect();
    }

    /// Resolves to a token; rejects if the page does not come up with one in time.
    fresh() {
      const token = typeof this.token === "function" ? this.token() : this.token;
      const late = new Promise((_, reject) => setTimeout(reject, ANSWER_TIMEOUT_MS, new Error("no token")));
      return Promise.race([token, late]);
    }

    lost() {
      const { socket } = this;
      this.socket = this.turn = null;
      this.greeted = this.asking = false;
      socket?.close();
      for (const timer of [this.again, this.soon, this.quiet, this.deadline]) clearTimeout(timer);
      if (this.closed) return;
      this.state.textContent = this.ended ? this.words.ended : this.words.lost;
      if (this.ended) return;
      this.again = setTimeout(() => this.connect(), this.wait * (0.5 + Math.random() / 2));
      this.wait = Math.min(this.wait * 2, MAX_RETRY_WAIT_MS);
    }

    say(what) {
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(what));
    }

    /// Sends an action that is answered with `caught_up`.
    ask(what = { action: "resume", after: this.last }) {
      if (this.socket?.readyState !== WebSocket.OPEN) return; // it will say hello
      this.asking = true;
      this.say(what);
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
          this.greeted = true;
          this.wait = FIRST_RETRY_WAIT_MS;
          this.state.textContent = "";
          for (const [id, action] of this.receipts) this.say({ action, id });
          return this.forget();
        case "new_message":
          return this.take(event.seq, event.message);
        case "large_message":
          return this.fetch(event.seq, event.id, FIRST_RETRY_WAIT_MS);
        case "caught_up":
          this.asking = false;
          clearTimeout(this.deadline);
          this.upTo = Math.max(this.upTo, event.seq);
          this.log.setAttribute("aria-busy", "false");
          this.advance();
          clearTimeout(this.soon);
          if (this.gap() || event.pending > this.last) {
            this.soon = setTimeout(() => (this.gap() || event.pending > this.last) && this.ask(), PENDING_WAIT_MS);
          }
          return;
        case "error":
          // A page with a fixed token cannot offer a better one.
          this.ended = typeof this.token !== "function" && ["unauthorized", "token_expired"].includes(event.code);
          return this.lost();
        case undefined: // API Gateway's own error, or no event at all: it is unknown which action failed
          return this.lost();
        default: // younger than this script, or a pong
      }
    }

    // ── The messages, in their order ────────────────────────────────────────────────────────────────────────────────

    /// Begins with a conversation, and shows the messages that this tab has stored.
    begin(conversation) {
      if (conversation === this.conversation && this.shown) return;
      Object.assign(this, { conversation, last: 0, upTo: 0, held: new Map(), fetching: new Map(), shown: new Map() });
      this.receipts.clear();
      this.log.replaceChildren();
      this.log.setAttribute("aria-busy", "true"); // screen readers do not read the history
      const kept = conversation && this.stored();
      for (const { seq, message, read } of kept?.messages ?? []) this.show(seq, message, read);
      this.last = this.upTo = kept?.last ?? 0;
    }

    take(seq, message) {
      this.fetching.delete(seq);
      if (seq <= this.last || (message && this.shown.has(message.id))) {
        // The server sends it again because it has no receipt.
        if (message && this.shown.has(message.id)) this.receipt(message.id, this.receipts.get(message.id) ?? "ack");
      } else {
        this.held.set(seq, message);
      }
      this.advance();
      if (this.gap() && !this.asking) this.ask();
    }

    /// Returns whether a message is missing that is not being fetched.
    gap() {
      return this.held.size > 0 && !this.fetching.has(this.last + 1);
    }

    /// Shows the next messages in their order.
    advance() {
      const before = this.last;
      for (let next = this.last + 1; ; next = this.last + 1) {
        if (this.held.has(next)) {
          const message = this.held.get(next);
          this.held.delete(next);
          if (message) {
            this.show(next, message, false);
            this.receipt(message.id, "ack");
          }
        } else if (next > this.upTo || this.fetching.has(next)) {
          break;
        }
        this.last = next;
      }
      if (this.last > before) this.store();
    }

    /// Fetches a message that does not fit into the WebSocket; later messages wait for it.
    async fetch(seq, id, wait) {
      const { conversation, fetching } = this;
      if (seq <= this.last) return this.take(seq, this.shown.get(id)?.message);
      if (wait === FIRST_RETRY_WAIT_MS && fetching.has(seq)) return;
      fetching.set(seq, id);
      let message;
      try {
        const headers = { authorization: `Bearer ${await this.fresh()}` };
        const signal = AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS);
        const answer = await fetch(`${this.api}/api/v1/chat/messages/${id}`, { headers, signal });
        if (!answer.ok && answer.status !== 404) throw new Error(answer.status);
        message = answer.ok ? await answer.json() : null; // it was given up meanwhile
      } catch {
        const later = Math.min(wait * 2, MAX_RETRY_WAIT_MS);
        setTimeout(() => !this.closed && this.fetching === fetching && this.fetch(seq, id, later), wait);
        return;
      }
      if (!this.closed && this.fetching === fetching && this.conversation === conversation) this.take(seq, message);
    }

    receipt(id, action) {
      this.receipts.delete(id);
      this.receipts.set(id, action);
      if (!this.greeted) return; // it is sent after the next hello, like all before it
      this.say({ action, id });
      this.forget();
    }

    /// Forgets the oldest of the receipts that were sent.
    forget() {
      for (const id of this.receipts.keys()) {
        if (this.receipts.size <= MAX_REPEATED_RECEIPTS) break;
        this.receipts.delete(id);
      }
    }

    // ── What this tab remembers ─────────────────────────────────────────────────────────────────────────────────────

    stored() {
      try {
        return JSON.parse(sessionStorage.getItem(`pingback-chat:${this.conversation}`));
      } catch {
        return null;
      }
    }

    store() {
      const all = [...this.shown.values()].map(({ seq, message, read }) => ({ seq, message, read }));
      const key = `pingback-chat:${this.conversation}`;
      try {
        sessionStorage.setItem(key, JSON.stringify({ last: this.last, messages: all.slice(-MAX_STORED_MESSAGES) }));
      } catch {
        try {
          sessionStorage.removeItem(key); // no room, or not allowed: a reload begins at the beginning
        } catch {}
      }
    }

    // ── What is seen ────────────────────────────────────────────────────────────────────────────────────────────────

    build(target) {
      const { title } = this.words;
      const spoken = { role: "log", "aria-live": "polite", "aria-relevant": "additions", "aria-label": title };
      this.log = make("div", { className: "log", tabIndex: 0, ...spoken });
      this.state = make("p", { className: "state", role: "status", textContent: this.words.connecting });
      this.host = make("div", { className: "pingback-chat" });
      const root = this.host.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet(); // which a page's Content-Security-Policy has nothing against
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
      root.append(make("section", { "aria-label": title }, this.log, this.state));
      (target ?? document.body).append(this.host);
    }

    show(seq, message, read) {
      const { log } = this;
      const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      const time = new Date(message.created_at).toLocaleTimeString([], { timeStyle: "short" });
      const article = make("article", {}, make("p", { textContent: message.content }));
      const files = (message.attachments ?? []).map(link).filter(Boolean);
      if (files.length) article.append(make("ul", {}, ...files.map((file) => make("li", {}, file))));
      article.append(make("time", { dateTime: message.created_at, textContent: time }));
      article.className = log.getAttribute("aria-busy") === "true" ? "" : "new";
      article.dataset.seq = seq;
      article.dataset.id = message.id;
      this.shown.set(message.id, { seq, message, read, article, inView: false });
      log.append(article);
      if (atEnd) log.scrollTop = log.scrollHeight;
      if (!read) this.seen.observe(article);
    }

    watch(entries) {
      for (const { target, isIntersecting, intersectionRatio: ratio, boundingClientRect: box } of entries) {
        const shown = this.shown.get(target.dataset.id);
        // Half of it is seen; of one that is longer than the log, anything.
        if (shown) shown.inView = isIntersecting && (ratio >= 0.5 || box.height > this.log.clientHeight);
      }
      this.readAll();
    }

    readAll() {
      if (document.visibilityState !== "visible") return;
      for (const [id, shown] of this.shown) {
        if (!shown.inView || shown.read) continue;
        shown.read = true;
        this.seen.unobserve(shown.article);
        this.receipt(id, "read");
        this.store();
      }
    }
  }

  function link({ url, filename, content_type: type }) {
    if (!/^https?:\/\//i.test(url)) return null;
    const shown = type?.startsWith("image/") ? make("img", { src: url, alt: filename, loading: "lazy" }) : filename;
    return make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, shown);
  }

  /// The event in a frame; of a frame that is none, an event without a type.
  function parse(frame) {
    try {
      return JSON.parse(frame) ?? {};
    } catch {
      return {};
    }
  }

  /// The conversation that a token opens: its name for what this tab remembers. The server alone judges tokens.
  function conversationOf(token) {
    try {
      return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).conversation_id;
    } catch {
      return "unknown";
    }
  }

  /// A token from one's own site, as text or as `{"token": "…"}`.
  const from = (url) => async () => {
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
    const text = (await answer.text()).trim();
    return text.startsWith("{") ? JSON.parse(text).token : text;
  };

  const open = (options) => new Chat(options);
  window.PingbackChat = { open };

  const { socket, api, token, tokenUrl, target } = document.currentScript?.dataset ?? {};
  if (socket && (token || tokenUrl)) {
    const start = () => {
      const place = target && document.querySelector(target);
      window.PingbackChat.chat = open({ socket, api, token: tokenUrl ? from(tokenUrl) : token, target: place });
    };
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
    else start();
  }
})();
