// What is on the page: the messages with the days between them, what is new below, what the widget says of itself.

import { make } from "./dom.js";
import { article } from "./message.js";
import { STYLE } from "./style.js";
import { count } from "./words.js";

const NEAR_END_PX = 40; // who is as near to the end follows it
const NEAR_BEGINNING_PX = 200; // from there older messages are asked for

export class View {
  /// `senderOf` returns who wrote a message; `onearlier` is called when the customer wants older messages.
  constructor({ words, target, theme, senderOf, onearlier }) {
    Object.assign(this, { words, senderOf, entries: [], unread: new Set() });
    const { title } = words;
    const spoken = { role: "log", "aria-live": "polite", "aria-relevant": "additions", "aria-label": title };
    this.earlier = make("button", { className: "earlier", type: "button", hidden: true, textContent: words.earlier });
    this.empty = make("p", { className: "empty", hidden: true, textContent: words.empty });
    this.log = make("div", { className: "log", tabIndex: 0, ...spoken }, this.earlier, this.empty);
    this.fresh = make("button", { className: "fresh", type: "button", hidden: true });
    this.state = make("p", { className: "state", role: "status" });
    this.composer = make("form", { className: "composer", hidden: true });
    this.foot = make("div", { className: "foot" }, this.fresh, this.state, this.composer);
    this.section = make("section", { "aria-label": title }, this.log, this.foot);
    this.host = make("div", { className: "pingback-chat" });
    if (theme) this.host.style.colorScheme = theme;

    this.root = this.host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet(); // which a page's Content-Security-Policy has nothing against
    sheet.replaceSync(STYLE);
    this.root.adoptedStyleSheets = [sheet];
    this.root.append(this.section);
    (target ?? document.body).append(this.host);

    this.earlier.onclick = onearlier;
    this.fresh.onclick = () => this.scrollTo(this.below()[0]);
    this.log.onscroll = () => {
      this.isAtEnd = this.distance() < NEAR_END_PX;
      this.showFresh();
      if (this.log.scrollTop < NEAR_BEGINNING_PX && !this.earlier.hidden) onearlier();
    };
    this.resized = new ResizeObserver(() => {
      if (this.isAtEnd) this.follow();
      this.showFresh();
    });
    this.resized.observe(this.log);
  }

  close() {
    this.resized.disconnect();
    this.host.remove();
  }

  clear() {
    for (const { element } of this.entries) this.drop(element);
    this.entries = [];
    this.unread.clear();
    this.setBusy(true); // screen readers do not read the history
    this.showFresh();
  }

  drop(element) {
    dayOf(element)?.remove();
    element.remove();
  }

  setBusy(busy) {
    this.isBusy = busy;
    this.log.setAttribute("aria-busy", String(busy));
    this.empty.hidden = busy || this.entries.length > 0;
  }

  // ── Messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /// Shows messages, `{seq?, message, read}` each, in their places; what the customer looks at stays where it is. A
  /// message without `seq` has its place by its time, and one that waits to be stored behind all others: its time is
  /// that of the customer's clock.
  insert(added) {
    const { log } = this;
    const before = this.distance();
    const last = this.entries.at(-1);
    for (const one of added) this.place(one);
    this.empty.hidden = true;
    if (last && this.entries.at(-1) === last) log.scrollTop += this.distance() - before;
    else if (before < NEAR_END_PX) this.follow();
    this.showFresh();
  }

  place(entry) {
    const { entries, log } = this;
    entry.at = Date.parse(entry.message.created_at);
    const isLater = (other) => {
      if (entry.client_id || other.client_id) return !entry.client_id;
      const by = ["seq", "number"].find((name) => entry[name] && other[name]) ?? "at";
      return other[by] > entry[by];
    };
    let index = entries.length;
    while (index > 0 && isLater(entries[index - 1])) index--;

    entry.element = article(entry.message, this.senderOf(entry.message), this.words);
    if (!this.isBusy) entry.element.classList.add("new");
    const next = entries[index];
    log.insertBefore(entry.element, next ? (dayOf(next.element) ?? next.element) : null);
    entries.splice(index, 0, entry);
    if (!entry.read) this.unread.add(entry);
    this.separate(entry, entries[index - 1]);
    if (next) this.separate(next, entry);
  }

  remove(entry) {
    const { entries } = this;
    const index = entries.indexOf(entry);
    if (index < 0) return;
    entries.splice(index, 1);
    this.drop(entry.element);
    if (entries[index]) this.separate(entries[index], entries[index - 1]);
  }

  /// Puts the day between two messages of different days, and the sender before the first of several messages.
  separate(entry, before) {
    const { element, message, at } = entry;
    const day = (time) => new Date(time).toDateString();
    const isSameDay = before && day(before.at) === day(at);
    const written = dayOf(element);
    if (isSameDay) written?.remove();
    else if (!written) {
      const words = new Date(at).toLocaleDateString([], { dateStyle: "full" });
      element.before(make("p", { className: "day" }, make("time", { dateTime: message.created_at, textContent: words })));
    }
    const writer = ({ message: { sender_type, sender_id } }) => `${sender_type} ${sender_id}`;
    element.classList.toggle("same", Boolean(isSameDay) && writer(before) === writer(entry));
  }

  setRead(entry) {
    this.unread.delete(entry);
    this.showFresh();
  }

  // ── Where the customer is ─────────────────────────────────────────────────────────────────────────────────────────

  /// Returns how far the end is below the fold.
  distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    return scrollHeight - scrollTop - clientHeight;
  }

  /// Goes to the end, but past no message that is unread.
  follow() {
    const first = this.entries.find((entry) => this.unread.has(entry));
    if (first) this.scrollTo(first);
    else this.log.scrollTop = this.log.scrollHeight;
  }

  /// Shows a message from its top, with its day.
  scrollTo(entry) {
    if (!entry) return;
    const { element } = entry;
    const top = dayOf(element) ?? element;
    this.log.scrollTop = top.offsetTop - this.log.offsetTop - 8;
  }

  /// Returns the unread messages of which less than half is above the fold.
  below() {
    const end = this.log.scrollTop + this.log.clientHeight + this.log.offsetTop;
    const half = ({ element }) => element.offsetTop + Math.min(element.offsetHeight, this.log.clientHeight) / 2;
    return this.entries.filter((entry) => this.unread.has(entry) && half(entry) > end);
  }

  showFresh() {
    const { length } = this.unread.size ? this.below() : [];
    this.fresh.hidden = !length;
    this.fresh.textContent = count(this.words.fresh, length);
  }
}

/// Returns the day that stands before a message; none if another message does.
const dayOf = ({ previousSibling: before }) => (before?.className === "day" ? before : null);
