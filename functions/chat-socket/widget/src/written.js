// What the customer writes: the messages that are stored, by their own numbers, and those that wait to be.

import { ANSWER_TIMEOUT_MS } from "./connection.js";
import { make, recall, remember } from "./dom.js";

export class Written {
  /// `chat` is told what is to be shown: `show(messages)`, `withdraw(message)` and `edit(text)`.
  constructor(id, connection, chat) {
    Object.assign(this, { id, connection, chat, from: null, last: 0, asked: [] });
    this.shown = new Map(); // id → {number, message, read}
    this.waiting = new Map(); // client_id → {client_id, message, read, isRefused}, in the order of writing
    this.key = `pingback-chat:${id}:unsent`;
    for (const [client_id, message] of (id && recall(this.key)) || []) this.add(client_id, message);
  }

  hear(event) {
    switch (event.type) {
      case "hello":
        this.ask(this.last);
        return this.sendNext();
      case "customer_message":
        if (event.client_id) this.end(event.client_id);
        if (event.number > this.last + 1) this.ask(this.last, event.number);
        return this.take([event]);
      case "customer_messages":
        return this.takePage(event);
      case "error":
        return this.refuse(event);
    }
  }

  /// Stops what waits for a connection; the next one sends what has no answer.
  pause() {
    clearTimeout(this.deadline);
    clearTimeout(this.soon);
    this.asked = [];
    this.sending = null;
  }

  close() {
    this.pause();
  }

  /// Shows again what is known, on a page that was emptied.
  restore() {
    this.chat.show([...this.shown.values(), ...this.waiting.values()]);
    for (const one of this.waiting.values()) this.mark(one);
  }

  // ── What is stored ────────────────────────────────────────────────────────────────────────────────────────────────

  /// Asks for the newest messages between two numbers.
  ask(after, before) {
    if (this.connection.say({ action: "customer_messages", after, before })) this.asked.push(after);
  }

  /// Asks for the messages before the oldest one.
  askEarlier() {
    if (this.from && !this.asked.length) this.ask(0, this.from + 1);
  }

  takePage({ messages, after }) {
    const asked = this.asked.shift();
    this.take(messages);
    if (!asked) this.from = Math.min(this.from ?? after, after);
    else if (after > asked) this.ask(asked, after + 1); // there was more between than fits
    this.chat.settle();
  }

  take(messages) {
    const added = messages.filter(({ message }) => !this.shown.has(message.id));
    const entries = added.map(({ number, message }) => ({ number, message, read: true }));
    for (const one of entries) {
      this.shown.set(one.message.id, one);
      this.last = Math.max(this.last, one.number);
    }
    if (entries.length) this.chat.show(entries);
  }

  // ── What waits ────────────────────────────────────────────────────────────────────────────────────────────────────

  /// Takes a text that the customer has written.
  write(content) {
    // `randomUUID` is for pages with TLS alone.
    const random = crypto.getRandomValues(new Uint8Array(16));
    const id = [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const created_at = new Date().toISOString();
    this.add(id, { id, sender_type: "customer", sender_id: null, content, attachments: [], created_at });
    this.sendNext();
  }

  add(client_id, message) {
    const one = { client_id, message, read: true };
    this.waiting.set(client_id, one);
    this.chat.show([one]);
    this.mark(one);
    this.store();
  }

  /// Sends the first message that waits, one at a time: so they are stored in the order of writing.
  sendNext() {
    clearTimeout(this.soon);
    if (this.sending || !this.connection.greeted) return;
    const one = [...this.waiting.values()].find(({ isRefused }) => !isRefused);
    if (!one) return;
    const { client_id, message } = one;
    if (!this.connection.say({ action: "message", client_id, content: message.content })) return;
    this.sending = client_id;
    this.mark(one);
    // Without an answer it is unknown whether it is stored: the same name makes no second message.
    this.deadline = setTimeout(() => this.connection.lost(), ANSWER_TIMEOUT_MS);
  }

  /// Forgets a message that is stored, or that the customer takes back.
  end(client_id) {
    const one = this.waiting.get(client_id);
    if (this.sending === client_id) this.answered();
    if (!one) return;
    this.waiting.delete(client_id);
    this.chat.withdraw(one);
    this.store();
    this.sendNext();
  }

  answered() {
    clearTimeout(this.deadline);
    this.sending = null;
  }

  refuse({ client_id, code, detail, retry_after }) {
    const one = this.waiting.get(client_id);
    this.answered();
    if (!one) return;
    if (retry_after) {
      this.soon = setTimeout(() => this.sendNext(), retry_after * 1000);
      return;
    }
    one.isRefused = true;
    this.chat.fault(code, detail);
    this.mark(one);
    this.sendNext();
  }

  /// Says under a message what is the matter with it.
  mark(one) {
    const { words } = this.chat;
    const { element, isRefused } = one;
    element.querySelector("footer")?.remove();
    element.classList.toggle("refused", Boolean(isRefused));
    const foot = make("footer", { textContent: isRefused ? words.refused : words.sending });
    if (isRefused) {
      const again = make("button", { type: "button", textContent: words.again });
      again.onclick = () => this.retry(one);
      const edit = make("button", { type: "button", textContent: words.edit });
      edit.onclick = () => {
        this.end(one.client_id);
        this.chat.edit(one.message.content);
      };
      foot.append(" ", again, " ", edit);
    }
    element.append(foot);
  }

  retry(one) {
    one.isRefused = false;
    this.mark(one);
    this.sendNext();
  }

  store() {
    if (this.id) remember(this.key, [...this.waiting.values()].map(({ client_id, message }) => [client_id, message]));
  }
}
