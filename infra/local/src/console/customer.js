// The customer's side: a shop's page with the real widget, a phone, or an inbox.

import { byId, clockTime, fill, make, say, shortId, size } from "./dom.js";
import { sandbox, session, state } from "./session.js";

const TITLES = {
  chat: "The customer's browser",
  whatsapp: "The customer's phone",
  email: "The customer's inbox",
};

export class Customer {
  /// `onchange` is called when the customer did something.
  constructor(onchange) {
    this.onchange = onchange;
    this.stage = byId("stage");
  }

  open(conversation) {
    this.view = undefined;
    this.stage.replaceChildren();
    say(byId("customer-title"), TITLES[conversation?.channel] ?? "Customer");
    say(byId("customer-sub"), conversation?.customer ?? "");
    if (!conversation) return;
    const views = { chat: Browser, whatsapp: Phone, email: Inbox };
    this.view = new views[conversation.channel](conversation, this.onchange);
    this.stage.append(this.view.element);
  }

  async show(seen) {
    await this.view?.show(seen);
  }
}

/// A shop's page in a frame: the widget runs there as it runs in any shop, on its own socket.
class Browser {
  constructor({ conversation_id: id }) {
    const url = `${session.sandbox}/widget?conversation_id=${id}#chat`;
    const frame = make("iframe", {
      src: url,
      title: "A shop's page with the chat widget",
      class: "shop",
    });
    this.tabs = make("span", {});
    this.element = make(
      "div",
      { class: "browser" },
      make(
        "div",
        { class: "address" },
        make(
          "button",
          {
            type: "button",
            class: "quiet",
            "aria-label": "Load the shop again",
            onclick: () => {
              frame.src = url;
            },
          },
          "↻",
        ),
        make(
          "a",
          { href: url, target: "_blank", rel: "noopener" },
          url.replace(id, shortId(id)).replace("#chat", ""),
        ),
        this.tabs,
      ),
      frame,
      make(
        "p",
        { class: "hint" },
        "Click into the shop: a message is read when its page is in front.",
      ),
    );
  }

  show({ conversation }) {
    if (conversation)
      say(this.tabs, `${conversation.tabs} ${conversation.tabs === 1 ? "tab" : "tabs"} connected`);
  }
}

/// A phone with the WhatsApp conversation. What it sends goes through the signed webhook.
class Phone {
  constructor(conversation, onchange) {
    Object.assign(this, { conversation, onchange });
    this.list = make("ol", { class: "bubbles", tabIndex: 0, "aria-label": "WhatsApp messages" });
    this.said = make("p", { class: "hint", role: "status" });
    const text = make("input", {
      type: "text",
      "aria-label": "Message of the customer",
      placeholder: "Answer as the customer",
      autocomplete: "off",
    });
    const form = make("form", { class: "row" }, text, make("button", {}, "Answer"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!text.value.trim()) return;
      try {
        await sandbox("POST", "/whatsapp/customers", {
          from: conversation.customer,
          text: text.value,
        });
        text.value = "";
        this.seen = undefined;
        say(this.said, "The signed webhook took it.");
      } catch (error) {
        say(this.said, error.message);
      }
      await onchange();
    });
    this.element = make(
      "div",
      { class: "phone" },
      make("p", { class: "contact" }, make("b", {}, "Sandbox Shop"), " business account"),
      this.list,
      form,
      this.said,
    );
  }

  async show(seen) {
    if (!isNew(this, seen)) return;
    const id = this.conversation.conversation_id;
    const [got, wrote] = await Promise.all([
      sandbox("GET", `/whatsapp/messages?conversation_id=${id}`),
      sandbox("GET", "/whatsapp/customers"),
    ]);
    const own = wrote.filter(({ from }) => digits(from) === digits(this.conversation.customer));
    const all = [
      ...got.map((message, index) => ({ ...message, key: `got ${index}` })),
      ...own.map(({ text, at }, index) => ({ content: text, at, mine: true, key: `own ${index}` })),
    ].sort((a, b) => (a.at < b.at ? -1 : 1));
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    const before = this.list.childElementCount;
    fill(
      this.list,
      all,
      ({ key }) => key,
      ({ content, template, attachments = [], at, mine }) =>
        make(
          "li",
          { class: mine ? "mine" : "theirs" },
          make("span", { class: "hidden" }, mine ? "The customer: " : "The shop: "),
          ...attachments.map((file) =>
            make(
              "p",
              { class: "file" },
              `${file.kind}: ${file.filename ?? file.content_type} · ${size(file.size)}`,
            ),
          ),
          make("p", { dir: "auto" }, template?.shown ?? content),
          make("time", { dateTime: at }, clockTime(at).slice(0, 8)),
        ),
    );
    if (atEnd && this.list.childElementCount !== before)
      this.list.scrollTop = this.list.scrollHeight;
  }
}

/// True if something may have reached the customer since the last look.
function isNew(view, { conversation }) {
  if (!conversation?.messages) return true;
  const { seq, settled_seq: settled, messages } = conversation;
  const seen = JSON.stringify([seq, messages.map(({ status, attempts }) => [status, attempts])]);
  const isTheSame = seen === view.seen && settled === seq;
  view.seen = seen;
  return !isTheSame;
}

const digits = (text) => (text ?? "").replace(/\D/g, "");

/// A mail program: a list, and the mail that is picked, as HTML, text, headers, or raw.
class Inbox {
  constructor(conversation) {
    this.conversation = conversation;
    this.form = "HTML";
    this.list = make("ol", { class: "mails", tabIndex: 0, "aria-label": "Mails" });
    this.reading = make("div", { class: "mail" }, make("p", { class: "hint" }, "No mail yet."));
    this.element = make("div", { class: "inbox" }, this.list, this.reading);
  }

  async show(seen) {
    if (!isNew(this, seen)) return;
    const id = this.conversation.conversation_id;
    const mails = await sandbox("GET", `/email/messages?conversation_id=${id}`);
    mails.forEach((mail, index) => (mail.key = `${mail.message_id} ${index}`));
    const newest = mails.at(-1);
    fill(
      this.list,
      mails.toReversed(),
      ({ key }) => key,
      (mail) => {
        const from = mail.headers.find(({ name }) => name.toLowerCase() === "from")?.value ?? "";
        const button = make(
          "button",
          { type: "button", onclick: () => this.read(mail) },
          make("b", {}, from.replace(/<.*/, "").replaceAll('"', "").trim()),
          make("time", { dateTime: mail.at }, clockTime(mail.at).slice(0, 8)),
          make("span", {}, mail.subject ?? "(no subject)"),
          make("span", { class: "teaser" }, mail.content.slice(0, 90)),
        );
        return make("li", {}, button);
      },
    );
    if (newest && newest.key !== this.newest) {
      this.newest = newest.key;
      await this.read(newest);
    }
  }

  async read(mail, form = this.form) {
    this.form = form;
    const turn = (this.turn = Symbol(form)); // the last one that was asked for is shown
    for (const [key, item] of this.list.known) {
      item.firstChild.setAttribute("aria-current", String(key === mail.key));
    }
    const path = `/email/messages/${mail.message_id}`;
    const whole = await sandbox("GET", path).catch(() => undefined);
    const body = await this.body(form, whole ?? mail, path);
    if (turn !== this.turn) return;
    const hadFocus = this.reading.contains(document.activeElement);
    const tabs = ["HTML", "Text", "Headers", "Raw"].map((name) =>
      make(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-pressed": String(name === form),
          onclick: () => this.read(mail, name),
        },
        name,
      ),
    );
    const files = (whole?.attachments ?? mail.attachments).map((file) =>
      make(
        "li",
        {},
        `${file.filename ?? "file"} · ${file.content_type}${file.size ? ` · ${size(file.size)}` : ""}`,
      ),
    );
    this.reading.replaceChildren(
      make("h3", {}, mail.subject ?? "(no subject)"),
      make(
        "p",
        { class: "row" },
        ...tabs,
        make(
          "a",
          {
            class: "button",
            href: `${session.sandbox}/sandbox${path}/raw`,
            download: `${mail.message_id}.eml`,
          },
          "Download .eml",
        ),
      ),
      body,
      ...(files.length
        ? [make("ul", { class: "files", "aria-label": "Attachments" }, ...files)]
        : []),
    );
    if (hadFocus) this.reading.querySelector("[aria-pressed=true]").focus();
  }

  async body(form, mail, path) {
    const plain = (text) =>
      make("pre", { tabIndex: 0, role: "region", "aria-label": `The mail: ${form}` }, text);
    if (form === "Headers")
      return plain(mail.headers.map(({ name, value }) => `${name}: ${value}`).join("\n"));
    if (form === "Text") return plain(mail.text ?? mail.content);
    if (form === "Raw")
      return plain(await sandbox("GET", `${path}/raw`).catch(({ message }) => message));
    return make("iframe", {
      class: "html",
      title: "The mail as HTML",
      sandbox: "",
      src: `${session.sandbox}/sandbox${path}/html`,
    });
  }
}
