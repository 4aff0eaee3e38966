// Which messages the customer has read. A message is read once half of it was in view for a second, on a page in front;
// of one that is longer than the chat, its end was.

import { isInFront } from "./dom.js";

const READING_MS = 1_000;

export class Reading {
  /// `onread` gets the id of each message that was read.
  constructor(log, onread) {
    Object.assign(this, { log, onread, watched: new Map() }); // element → entry
    this.observer = new IntersectionObserver((seen) => this.look(seen), { threshold: [0, 0.5, 1] });
    this.check = () => {
      for (const entry of new Set(this.watched.values())) this.time(entry);
    };
    document.addEventListener("visibilitychange", this.check);
    addEventListener("focus", this.check);
    addEventListener("blur", this.check);
  }

  /// Waits until a message is read.
  watch(id, article) {
    const entry = { id, article, end: article.lastElementChild, inView: new Set(), timer: 0 };
    for (const part of [article, entry.end]) {
      this.watched.set(part, entry);
      this.observer.observe(part);
    }
  }

  look(seen) {
    for (const { target, intersectionRatio } of seen) {
      const entry = this.watched.get(target);
      if (!entry) continue;
      if (intersectionRatio >= 0.5) entry.inView.add(target);
      else entry.inView.delete(target);
      this.time(entry);
    }
  }

  /// Begins the second, or ends it early.
  time(entry) {
    const { article, end, inView } = entry;
    const isLong = article.offsetHeight > this.log.clientHeight;
    if (!inView.has(isLong ? end : article) || !isInFront()) {
      clearTimeout(entry.timer);
      entry.timer = 0;
    } else {
      entry.timer ||= setTimeout(() => this.finish(entry), READING_MS);
    }
  }

  finish(entry) {
    this.forget(entry);
    this.onread(entry.id);
  }

  forget({ article, end, timer }) {
    clearTimeout(timer);
    for (const part of [article, end]) {
      this.watched.delete(part);
      this.observer.unobserve(part);
    }
  }

  clear() {
    for (const entry of new Set(this.watched.values())) this.forget(entry);
  }

  close() {
    this.clear();
    document.removeEventListener("visibilitychange", this.check);
    removeEventListener("focus", this.check);
    removeEventListener("blur", this.check);
  }
}
