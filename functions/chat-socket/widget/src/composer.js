// The field in which the customer writes.

import { make } from "./dom.js";
import { count } from "./words.js";

const MAX_CHARACTERS = 8_000; // the server takes no more, as they have to fit into one frame
const MAX_ROWS = 6;

export class Composer {
  /// `onwrite` is called with each text.
  constructor(form, words, onwrite) {
    Object.assign(this, { form, words, onwrite });
    this.field = make("textarea", { rows: 1, dir: "auto", enterKeyHint: "send", placeholder: words.write });
    this.button = make("button", { type: "submit", className: "send", textContent: words.send });
    this.note = make("p", { className: "note", id: "note", role: "status" });
    this.field.setAttribute("aria-label", words.write);
    this.field.setAttribute("aria-describedby", "note");
    form.append(this.field, this.button, this.note);
    form.hidden = false;

    this.field.oninput = () => this.update();
    this.field.onkeydown = (event) => {
      // Enter also ends the choice of a character.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.submit();
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      this.submit();
      this.field.focus();
    };
    this.setOpen(false);
  }

  /// Lets the customer send, or not as long as there is no connection.
  setOpen(isOpen) {
    this.isOpen = isOpen;
    this.update();
  }

  /// Puts a text into the field, before what is in it.
  edit(text) {
    const { field } = this;
    field.value = field.value ? `${text}\n${field.value}` : text;
    this.update();
    field.focus();
  }

  update() {
    const { field, words } = this;
    const text = field.value;
    const over = [...text].length - MAX_CHARACTERS;
    const isBlank = !text.trim();
    field.rows = Math.min(MAX_ROWS, text.split("\n").length);
    this.note.textContent =
      isBlank ? "" : over > 0 ? count(words.tooLong, over) : this.isOpen ? "" : words.cannotSend;
    this.button.disabled = isBlank || over > 0 || !this.isOpen;
  }

  submit() {
    if (this.button.disabled) return;
    const text = this.field.value.trim();
    this.field.value = "";
    this.update();
    this.onwrite(text);
  }
}
