// The messages of one conversation: their order, what was reported of them, and what this tab remembers.

import { recall, remember } from "./dom.js";
import { FIRST_RETRY_WAIT_MS, longer } from "./connection.js";

const FIRST_PENDING_WAIT_MS = 1_000; // a message that is on its way to other tabs is waited for so long, then longer
const MAX_PENDING_WAIT_MS = 16_000;
const MAX_REPEATED_RECEIPTS = 20; // sent again on a new connection: the last ones on the old may be lost
const MAX_STORED_MESSAGES = 100; // messages that are there again when the page is reloaded
const MAX_UNREAD_PAGES = 4; // older pages that are asked for unasked, up to the first unread message
const MAX_PAGES_A_MINUTE = 20; // the server bars a connection that asks for more than 30

export class Conversation {
  /// `chat` is told what is to be shown, `show(messages)`, `clear()` and `settle()`, and of faults: `fault(code, detail)`.
  constructor(id, connection, chat) {
    Object.assign(this, { id, connection, chat, from: 0, last: 0, upTo: 0 });
    this.held = new Map(); // seq → a message that came before its turn, null if it was given up
    this.older = new Map(); // seq → a message of the page that is coming
    this.fetching = new Map(); // seq → the id of a message that is fetched
    this.shown = new Map(); // id → {seq, message, read}
    this.receipts = new Map(); // id → what was said of it last
    this.pages = []; // when older pages were asked for
    this.pendingWait = FIRST_PENDING_WAIT_MS;
    this.key = `pingback-chat:${id}`;
    this.restore();
  }

  // ── Events ────────────────────────────────────────────────────────────────────────────────────────────────────────

  hear(event) {
    switch (event.type) {
      case "hello":
        for (const [id, action] of this.receipts) this.connection.say({ action, id });
        return this.forget();
      case "page":
        return this.jump(event.after);
      case "new_message":
        return this.take(event);
      case "new_messages":
        return event.messages.forEach((one) => this.take(one));
      case "large_message":
        return this.fetch(event.seq, event.id, event.status);
      case "caught_up":
        this.upTo = Math.max(this.upTo, event.seq);
        this.advance();
        clearTimeout(this.soon);
        this.askSoon(event.pending);
        return this.settle();
      case "history":
        return this.prepend(event.after);
    }
  }

  /// Stops what waits for a connection.
  pause() {
    clearTimeout(this.soon);
    this.older.clear();
  }

  close() {
    this.pause();
    this.closed = true;
  }

  /// Goes on after a message far behind the last one: what lies between comes when it is asked for.
  jump(after) {
    if (after <= this.last) return;
    this.shown.clear();
    this.settled = false;
    this.chat.clear();
    this.from = this.last = after;
    this.upTo = Math.max(this.upTo, after);
    for (const map of [this.held, this.fetching]) for (const seq of map.keys()) if (seq <= after) map.delete(seq);
  }

  /// Asks again in a moment if a message is missing, or `pending` is on its way; less and less often.
  askSoon(pending) {
    const isMissing = () => this.gap() || pending > this.last;
    if (!isMissing()) {
      this.pendingWait = FIRST_PENDING_WAIT_MS;
      return;
    }
    this.soon = setTimeout(() => {
      if (!isMissing()) return;
      this.pendingWait = Math.min(this.pendingWait * 2, MAX_PENDING_WAIT_MS);
      this.connection.ask();
    }, this.pendingWait);
  }

  // ── Their order ───────────────────────────────────────────────────────────────────────────────────────────────────

  /// Takes a message, or none if it was given up. `status` is how far receipts have brought it.
  take({ seq, message, status }) {
    const isLate = this.fetching.has(seq) && seq > this.from && seq <= this.last;
    this.fetching.delete(seq);
    if (message && this.shown.has(message.id)) {
      // The server sends it again, because it is not known to be here.
      this.receipt(message.id, this.receipts.get(message.id) ?? "ack", status);
    } else if (isLate) {
      if (message) this.show([{ seq, message, status }]);
    } else if (seq <= this.from) {
      if (message) this.older.set(seq, { seq, message, status });
    } else if (seq > this.last) {
      this.held.set(seq, message && { seq, message, status });
    }
    this.advance();
    if (this.gap() && !this.connection.asking) this.connection.ask();
  }

  /// Returns whether a message is missing that is not being fetched.
  gap() {
    return this.held.size > 0 && !this.fetching.has(this.last + 1);
  }

  /// Shows the next messages in their order.
  advance() {
    const before = this.last;
    const next = [];
    for (let seq = this.last + 1; ; seq = this.last + 1) {
      if (this.held.has(seq)) {
        const held = this.held.get(seq);
        this.held.delete(seq);
        if (held) next.push(held);
      } else if (seq > this.upTo || this.fetching.has(seq)) {
        break;
      }
      this.last = seq;
    }
    if (next.length) this.show(next);
    if (this.last > before) this.store();
  }

  show(messages) {
    for (const one of messages) {
      one.read = one.status === "read";
      this.shown.set(one.message.id, one);
    }
    this.chat.show(messages);
    for (const { message, status } of messages) this.receipt(message.id, "ack", status);
  }

  /// Fetches a message that does not fit into the WebSocket; later messages wait for it.
  async fetch(seq, id, status, wait = FIRST_RETRY_WAIT_MS) {
    const { fetching } = this;
    const isPassed = seq > this.from && seq <= this.last && !fetching.has(seq);
    if (isPassed) return this.take({ seq, message: this.shown.get(id)?.message, status });
    if (wait === FIRST_RETRY_WAIT_MS && fetching.has(seq)) return;
    fetching.set(seq, id);
    let message;
    try {
      message = await this.connection.download(id);
    } catch (error) {
      if (!this.closed) this.chat.fault("message", error.message);
      setTimeout(() => !this.closed && fetching.has(seq) && this.fetch(seq, id, status, longer(wait)), wait);
      return;
    }
    if (!this.closed && fetching.has(seq)) this.take({ seq, message, status });
  }

  // ── Backwards ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /// Asks for the page before the oldest message, unless the server is answering or was asked too often.
  askEarlier() {
    const { connection } = this;
    if (!this.from || connection.asking || !connection.greeted) return;
    this.pages = this.pages.filter((at) => at > Date.now() - 60_000);
    if (this.pages.length >= MAX_PAGES_A_MINUTE) return;
    this.pages.push(Date.now());
    connection.ask({ action: "history", before: this.from + 1 });
  }

  /// Shows the page that has come: all after `after`.
  prepend(after) {
    const page = [...this.older.values()].filter(({ seq }) => seq > after).sort((one, other) => one.seq - other.seq);
    this.older.clear();
    if (after < this.from) this.from = after;
    const later = [...this.shown];
    this.shown.clear();
    if (page.length) this.show(page);
    for (const [id, one] of later) this.shown.set(id, one);
    this.advance();
    if (this.gap()) this.connection.ask();
    this.settle();
  }

  /// Shows where the customer stopped reading, for which older pages may be needed.
  settle() {
    const oldest = this.shown.values().next().value;
    const isNeeded = !this.settled && this.pages.length < MAX_UNREAD_PAGES && !(oldest?.read ?? false);
    if (isNeeded) this.askEarlier();
    if (isNeeded && this.connection.asking) return;
    this.settled = true;
    this.chat.settle();
  }

  // ── Receipts ──────────────────────────────────────────────────────────────────────────────────────────────────────

  setRead(id) {
    const one = this.shown.get(id);
    if (!one || one.read) return;
    one.read = true;
    this.receipt(id, "read");
    this.store();
  }

  /// Reports a message, unless that is known: `status` is what the server said of it.
  receipt(id, action, status) {
    if (status === "read" || (status === "delivered" && action === "ack")) return;
    this.receipts.delete(id);
    this.receipts.set(id, action);
    if (!this.connection.greeted) return; // it is sent after the next hello, like all before it
    this.connection.say({ action, id });
    this.forget();
  }

  /// Forgets the oldest of the receipts that were sent.
  forget() {
    for (const id of this.receipts.keys()) {
      if (this.receipts.size <= MAX_REPEATED_RECEIPTS) break;
      this.receipts.delete(id);
    }
  }

  // ── What this tab remembers ───────────────────────────────────────────────────────────────────────────────────────

  restore() {
    const { last = 0, messages = [] } = recall(this.key) ?? {};
    this.last = this.upTo = last;
    this.from = Math.max(0, (messages[0]?.seq ?? last + 1) - 1);
    for (const one of messages) this.shown.set(one.message.id, one);
    if (messages.length) this.chat.show(messages);
  }

  store() {
    const all = [...this.shown.values()].map(({ seq, message, read }) => ({ seq, message, read }));
    remember(this.key, { last: this.last, messages: all.slice(-MAX_STORED_MESSAGES) });
  }
}
