// The agent's side: the conversation with each message's way, the composer, and the calls it makes.

import { CallList } from "./calls.js";
import { byId, clockTime, fill, lapse, make, say, shortId, size } from "./dom.js";
import { sandbox, session, state } from "./session.js";

const NAMES = { chat: "live chat", whatsapp: "WhatsApp", email: "e-mail" };
/// Most bytes of a file that goes in a form; a larger one is announced.
const FORM_LIMIT = 4 << 20;
const STEPS = ["accepted", "rung", "claimed", "sent", "delivered", "read"];

export class Agent {
  /// `onchange` is called when something was sent.
  constructor(onchange) {
    Object.assign(this, { onchange, calls: [], files: [] });
    this.messages = new Map(); // seq → {message, steps, signature, element}
    this.written = new Map(); // the customer's, by their own numbers
    this.log = byId("log");
    this.text = byId("text");
    this.history = new CallList(byId("calls"));
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.send();
    });
    byId("attach").addEventListener("change", ({ target }) => {
      this.files.push(...[...target.files].map((file) => ({ file })));
      target.value = "";
      this.showFiles();
    });
    this.more = make(
      "button",
      { type: "button", class: "more", onclick: () => this.loadOlder() },
      "Earlier messages",
    );
    this.empty = make("p", { class: "hint" }, "No message yet. Write one below.");
  }

  open(conversation) {
    this.messages.clear();
    this.written.clear();
    this.calls = [];
    this.hasMore = this.hasMoreWritten = undefined;
    this.log.replaceChildren();
    this.log.known = new Map();
    byId("ledger").replaceChildren();
    for (const entry of this.files) entry.url = undefined; // a file belongs to its conversation
    if (!conversation) {
      say(byId("agent-sub"), "");
      return;
    }
    const { channel, conversation_id: id } = conversation;
    byId("agent-sub").replaceChildren(
      `writes into ${NAMES[channel]} `,
      make("code", { title: id }, shortId(id)),
    );
  }

  /// Shows what the machine knows of the conversation.
  show({ conversation, calls, offset_ms: offset }) {
    this.calls = [...this.calls, ...calls.filter(({ here, step }) => here && step)].slice(-400);
    if (!conversation?.messages) return;
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    const size = () => this.messages.size + this.written.size;
    const before = size();
    this.keep(conversation, offset);
    this.render();
    if (atEnd && size() !== before) this.log.scrollTop = this.log.scrollHeight;
    showLedger(
      [...this.messages.values()].map(({ message }) => message),
      conversation.seq,
    );
  }

  /// Keeps a page: agents' messages by `seq`, the customer's by their own numbers.
  keep(page, offset = 0) {
    this.hasMore ??= page.has_more;
    this.hasMoreWritten ??= page.customer_has_more;
    for (const message of page.customer_messages) this.written.set(message.number, message);
    for (const message of page.messages) {
      const steps = this.stepsOf(message, offset);
      const signature = JSON.stringify([message, steps]);
      const known = this.messages.get(message.seq);
      if (known?.signature === signature) continue;
      if (known?.element) known.element.replaceChildren(...parts(message, steps));
      this.messages.set(message.seq, { message, steps, signature, element: known?.element });
    }
  }

  render() {
    const entries = this.timeline();
    const hasMore = this.hasMore || this.hasMoreWritten;
    const head = hasMore ? [["more"]] : entries.length === 0 ? [["empty"]] : [];
    fill(
      this.log,
      [...head, ...entries],
      ([key]) => key,
      ([key, entry]) => {
        if (key === "more") return this.more;
        if (key === "empty") return this.empty;
        if (!entry.steps) return writtenBy(entry);
        entry.element = make("article", { class: "message" }, ...parts(entry.message, entry.steps));
        return entry.element;
      },
    );
  }

  /// Returns all messages by time, each with a key; an agent's stay in the order of their `seq`.
  /// Messages of one side begin where the other's oldest page does, so that none seems missing.
  timeline() {
    const sent = ordered(this.messages).map(([seq, entry]) => [`agent ${seq}`, entry, entry.message]);
    const written = ordered(this.written).map(([number, one]) => [`customer ${number}`, one, one]);
    const begin = (hasMore, [first]) => (hasMore && first ? first[2].created_at : "");
    const from = [begin(this.hasMore, sent), begin(this.hasMoreWritten, written)].sort()[1];
    const entries = [];
    for (const entry of sent) {
      while (written[0]?.[2].created_at < entry[2].created_at) entries.push(written.shift());
      entries.push(entry);
    }
    return [...entries, ...written].filter(([, , { created_at }]) => created_at >= from);
  }

  async loadOlder() {
    const { conversation_id: id } = state.conversation;
    const query = new URLSearchParams();
    // A side that is whole is asked for nothing: no message is before the first.
    query.set("before", this.hasMore ? Math.min(...this.messages.keys()) : 1);
    query.set("customer_before", this.hasMoreWritten ? Math.min(...this.written.keys()) : 1);
    const page = await sandbox("GET", `/conversations/${id}?${query}`);
    const height = this.log.scrollHeight;
    this.hasMore &&= page.has_more;
    this.hasMoreWritten &&= page.customer_has_more;
    this.keep(page);
    this.render();
    this.log.scrollTop += this.log.scrollHeight - height;
  }

  /// Returns each step's time. Doorbell and claim are in no record: they are read off the calls.
  stepsOf(message, offset) {
    const own = `M#${String(message.seq).padStart(12, "0")}`;
    const isNoted = this.calls.findIndex(
      ({ step, about }) => step === "accept" && about.includes(own),
    );
    const later = isNoted < 0 ? [] : this.calls.slice(isNoted + 1);
    const time = (step) => {
      const call = later.find((call) => call.step === step && call.status === 200);
      return call && new Date(new Date(call.at).getTime() + offset + call.ms).toISOString();
    };
    return {
      accepted: message.created_at,
      rung: time("ring"),
      claimed: time("claim"),
      sent: message.sent_at,
      delivered: message.delivered_at,
      read: message.read_at,
    };
  }

  showFiles() {
    byId("files").replaceChildren(
      ...this.files.map(({ file }, index) =>
        make(
          "li",
          {},
          make("span", {}, file.name),
          ` ${size(file.size)} `,
          make(
            "button",
            {
              type: "button",
              class: "quiet",
              "aria-label": `Remove ${file.name}`,
              onclick: () => {
                this.files.splice(index, 1);
                this.showFiles();
              },
            },
            "×",
          ),
        ),
      ),
    );
  }

  async send() {
    if (!state.conversation || this.sending) return;
    this.sending = true;
    byId("send").disabled = true;
    try {
      await this.sendNow();
    } finally {
      this.sending = false;
      byId("send").disabled = false;
      await this.onchange();
    }
  }

  async sendNow() {
    const base = `${session.api}/api/v1/conversations/${state.conversation.conversation_id}`;
    const attachments = [];
    for (const entry of this.files) {
      entry.url ??= await this.upload(base, entry.file);
      if (!entry.url) return; // the call shows why
      attachments.push({ url: entry.url });
    }

    const headers = { "Content-Type": "application/json" };
    if (byId("keyed").checked) headers["Idempotency-Key"] = `console-${crypto.randomUUID()}`;
    const body = JSON.stringify({ content: this.text.value, attachments });
    const answer = await this.history.call("POST", `${base}/messages`, headers, body);
    if (answer?.ok) {
      this.text.value = "";
      this.files = [];
      this.showFiles();
    }
  }

  /// Makes the sandbox's receiver an endpoint of the business, as a caller does.
  async register() {
    const body = { url: `${session.sandbox}/receivers/${state.business.business_id}` };
    const headers = { "Content-Type": "application/json" };
    const url = `${session.api}/api/v1/webhook_endpoints`;
    await this.history.call("POST", url, headers, JSON.stringify(body));
    await this.onchange();
  }

  /// Uploads a file as a caller does, and returns its URL.
  async upload(base, file) {
    if (file.size <= FORM_LIMIT) {
      const form = new FormData();
      form.append("file", file);
      const answer = await this.history.call("POST", `${base}/upload`, {}, form, file);
      return answer?.ok ? answer.json.url : undefined;
    }
    const announcement = {
      filename: file.name,
      content_type: file.type || "application/octet-stream",
      size: file.size,
    };
    const headers = { "Content-Type": "application/json" };
    const announced = await this.history.call(
      "POST",
      `${base}/uploads`,
      headers,
      JSON.stringify(announcement),
    );
    if (!announced?.ok) return undefined;
    const { method, url, headers: signed } = announced.json.upload;
    const put = await this.history.call(method, url, signed, file, file);
    return put?.ok ? announced.json.url : undefined;
  }
}

/// The entries of a map by its keys, which are numbers.
const ordered = (map) => [...map].sort(([a], [b]) => a - b);

/// The element of a message that the customer wrote.
function writtenBy({ id, number, content, media, created_at: at }) {
  const text = content || (media ? `[${media.kind}]` : "[erased]");
  return make(
    "article",
    { class: "message written" },
    make("p", { class: "text", dir: "auto" }, text),
    make(
      "footer",
      {},
      make("span", {}, "from the customer"),
      make("span", { title: id }, `#c${number}`),
      make("time", { dateTime: at }, clockTime(at)),
    ),
  );
}

/// The children of a message's element.
function parts(message, steps) {
  const { content, attachments, status, attempts, error, id, seq } = message;
  const files = attachments.map((file) => make("li", {}, `${file.filename} · ${size(file.size)}`));
  return [
    make("p", { class: "text", dir: "auto" }, content),
    ...(files.length ? [make("ul", { class: "files" }, ...files)] : []),
    make(
      "footer",
      {},
      make("span", { class: `state ${status}` }, status.replace("_", " ")),
      make("span", { title: id }, `#${seq}`),
      ...(attempts > 1 ? [make("span", { class: "warn" }, `${attempts} attempts`)] : []),
      way(steps, status),
    ),
    ...(error
      ? [
          make(
            "p",
            { class: "reason" },
            `${error.code}: ${error.detail}${error.provider_code ? ` (${error.provider_code})` : ""}`,
          ),
        ]
      : []),
  ];
}

/// The steps of a message, with the time that each came after the first.
function way(steps, status) {
  const begun = new Date(steps.accepted).getTime();
  const reached = STEPS.map((step) => Boolean(steps[step]));
  const furthest = reached.lastIndexOf(true);
  return make(
    "ol",
    { class: "way", "aria-label": "Its way" },
    ...STEPS.map((step, index) => {
      const at = steps[step];
      const isDone = index <= furthest && !(status === "failed" && index > 2 && !at);
      const when = !at
        ? ""
        : index === 0
          ? clockTime(at)
          : `+${lapse(new Date(at).getTime() - begun)}`;
      return make(
        "li",
        { class: isDone ? "done" : "open", title: at ? `${step} ${at}` : step },
        make("b", {}, step),
        make("span", {}, when),
      );
    }),
  );
}

/// Counts where the messages are.
function showLedger(messages, accepted) {
  const count = (...states) => messages.filter(({ status }) => states.includes(status)).length;
  const parts = [
    ["accepted", accepted, ""],
    ["with the customer", count("delivered", "read"), "good"],
    ["sent", count("sent"), ""],
    ["on the way", count("queued", "sending", "in_doubt"), "busy"],
    ["failed", count("failed"), "bad"],
  ];
  const ledger = byId("ledger");
  if (!ledger.firstChild) {
    ledger.replaceChildren(
      ...parts.map(([name]) => make("div", {}, make("dt", {}, name), make("dd", {}))),
    );
  }
  parts.forEach(([, number, kind], index) => {
    const [, value] = ledger.children[index].children;
    say(value, String(number));
    value.className = number > 0 ? kind : "";
  });
}
