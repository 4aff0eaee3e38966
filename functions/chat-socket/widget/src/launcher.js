// A button in the page's corner that opens the chat, and says how much is unread.

import { make, recall, remember } from "./dom.js";
import { count } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const BUBBLE = "M4 5h16v11H10l-5 4v-4H4zM8 9h8M8 12.500h5";
const KEY = "pingback-chat-open";

export class Launcher {
  /// `onopen` is called whenever the chat is opened.
  constructor({ host, root, section }, words, onopen) {
    Object.assign(this, { section, words, onopen });
    host.classList.add("launcher");
    const close = make("button", { type: "button", textContent: "×", "aria-label": words.close });
    const bar = make("div", { className: "bar" }, make("span", { textContent: words.title }), close);
    section.prepend(bar);
    section.id = "panel";
    section.setAttribute("role", "dialog");

    this.badge = make("span", { className: "badge", hidden: true });
    this.knob = make("button", { className: "knob", type: "button", "aria-controls": "panel" });
    this.knob.append(bubble(), this.badge);
    const frame = make("div", { className: "launcher" }, section, this.knob);
    root.append(frame);

    close.onclick = () => this.close();
    frame.onkeydown = ({ key, isComposing }) => key === "Escape" && !isComposing && !section.hidden && this.close();
    this.knob.onclick = () => (section.hidden ? this.open() : this.close());
    this.set(Boolean(recall(KEY)));
  }

  open() {
    this.set(true);
    this.onopen();
    this.section.querySelector(".log").focus();
  }

  close() {
    this.set(false);
    this.knob.focus();
  }

  set(isOpen) {
    this.section.hidden = !isOpen;
    this.knob.setAttribute("aria-expanded", String(isOpen));
    remember(KEY, isOpen);
    this.setUnread(this.unread ?? 0);
  }

  setUnread(unread) {
    this.unread = unread;
    const { words } = this;
    const label = this.section.hidden ? words.open : words.close;
    this.badge.hidden = !unread;
    this.badge.dataset.count = unread > 99 ? "99+" : unread;
    this.knob.setAttribute("aria-label", unread ? `${label} (${count(words.unread, unread)})` : label);
  }
}

const bubble = () => {
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS(SVG, tag));
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", BUBBLE);
  svg.append(path);
  return svg;
};
