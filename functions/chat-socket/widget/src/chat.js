// A chat: one conversation on one page. It wires the parts, and tells the page what happens.

import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Launcher } from "./launcher.js";
import { Reading } from "./reading.js";
import { View } from "./view.js";
import { DEFAULT_WORDS } from "./words.js";
import { Written } from "./written.js";

/// Dispatches `state`, `message`, `unread` and `error`, whose `detail` says more.
class Chat extends EventTarget {
  constructor({ socket, api, token, target, launcher, theme, agents, words }) {
    super();
    for (const [name, value, pattern] of [["socket", socket, /^wss?:\/\//i], ["api", api, /^https?:\/\//i]]) {
      if (!pattern.test(value)) throw new TypeError(`${name} is no address: ${value}`);
    }
    if (!token) throw new TypeError("there is no token, and no way to get one");
    this.words = { ...DEFAULT_WORDS, ...words };
    this.agents = agents;
    this.unread = 0;
    this.warned = new Set();
    this.view = new View({
      words: this.words,
      target,
      theme,
      senderOf: (message) => this.senderOf(message),
      onearlier: () => {
        this.conversation.askEarlier();
        this.written.askEarlier();
      },
    });
    this.composer = new Composer(this.view.composer, this.words, (text) => this.write(text));
    if (launcher) this.launcher = new Launcher(this.view, this.words, () => this.view.follow());
    this.reading = new Reading(this.view.log, (id) => this.read(id));
    this.connection = new Connection({ socket, api, token }, this);
    this.setState(navigator.onLine ? "connecting" : "offline");
    this.begin("");
    this.connection.connect();
  }

  /// Closes the chat and leaves the page as it was.
  close() {
    this.connection.close();
    this.conversation.close();
    this.written.close();
    this.reading.close();
    this.view.close();
  }

  setToken(token) {
    this.connection.setToken(token);
  }

  /// Opens the launcher's panel.
  open() {
    this.launcher?.open();
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  write(text) {
    this.written.write(text);
    this.view.log.scrollTop = this.view.log.scrollHeight;
  }

  // ── What the connection tells ─────────────────────────────────────────────────────────────────────────────────────

  /// Begins with the conversation of a token, and shows the messages that this tab has stored.
  begin(token) {
    const { conversation_id: id = "unknown", agents } = claimsOf(token);
    this.named = agents;
    if (token && id === this.conversation?.id) return;
    this.conversation?.close();
    this.written?.close();
    this.written = null;
    this.clear();
    this.conversation = new Conversation(token && id, this.connection, this);
    this.written = new Written(token && id, this.connection, this);
  }

  get last() {
    return this.conversation.last;
  }

  hear(event) {
    this.conversation.hear(event);
    this.written.hear(event);
  }

  pause() {
    this.conversation?.pause();
    this.written?.pause();
  }

  setState(state) {
    this.view.state.textContent = state === "open" ? "" : this.words[state];
    this.composer.setOpen(state === "open");
    if (state === this.state) return;
    this.state = state;
    this.tell("state", { state });
  }

  /// Tells the page's author, once for each kind of fault, and the page each time.
  fault(code, detail) {
    if (!this.warned.has(code)) warn(detail);
    this.warned.add(code);
    this.tell("error", { code, detail });
  }

  // ── What the conversation tells ───────────────────────────────────────────────────────────────────────────────────

  clear() {
    this.reading.clear();
    this.view.clear();
    this.written?.restore();
    this.count();
  }

  /// Shows messages, and waits until they are read.
  show(messages) {
    this.view.insert(messages);
    for (const one of messages) {
      if (!one.read) this.reading.watch(one.message.id, one.element);
      if (!this.view.isBusy) this.tell("message", { message: one.message });
    }
    this.count();
  }

  /// Takes a message from the page.
  withdraw(message) {
    this.view.remove(message);
  }

  /// Gives the customer a text back.
  edit(text) {
    this.composer.edit(text);
  }

  /// Says that what was missed is there.
  settle() {
    this.view.earlier.hidden = !this.conversation.from && !this.written?.from;
    if (!this.view.isBusy || !this.conversation.settled) return;
    this.view.setBusy(false);
    this.view.follow();
  }

  read(id) {
    const one = this.conversation.shown.get(id);
    if (one) this.view.setRead(one);
    this.conversation.setRead(id);
    this.count();
  }

  count() {
    const unread = this.view.unread.size;
    this.launcher?.setUnread(unread);
    if (unread === this.unread) return;
    this.unread = unread;
    this.tell("unread", { count: unread });
  }

  /// Returns the name and the picture of who wrote a message: the page knows its agents, or the token does.
  senderOf({ sender_id: id }) {
    return this.agents?.[id] ?? this.named?.[id] ?? this.agents?.default ?? this.named?.default;
  }
}

/// Returns what a token says: the name for what this tab remembers, and who answers. The server alone judges tokens.
const claimsOf = (token) => {
  try {
    const part = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (byte) => byte.codePointAt())));
  } catch {
    return {};
  }
};

const warn = (words) => console.warn(`pingback-chat: ${words}`);

export { Chat, warn };
