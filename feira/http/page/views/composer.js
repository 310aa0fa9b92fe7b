// Where one writes: a new message, a reply, or a better wording of an old one.

import { fill, h } from "../dom.js";
import { icon } from "../icons.js";

const TEXT_MAX = 4000;
const HEIGHT_MAX_PX = 160;
const TYPING_EVERY_MS = 2_500;

export class Composer {
  #text; #about = h("div", { class: "about", hidden: true }); #onSend; #onTyping;
  #replyTo = null; #editing = null; #toldTyping = 0;

  /** `onSend(text, { replyTo, editing })` gets the messages that it is about; `before` stands beside the field. */
  constructor(name, { onSend, onTyping, before }) {
    this.#onSend = onSend;
    this.#onTyping = onTyping;
    this.#text = h("textarea", { class: "input", name: "text", rows: 1, maxlength: TEXT_MAX, placeholder: `Write to ${name}`, "aria-label": `Message to ${name}`, enterkeyhint: "send",
      oninput: () => { this.#grow(); this.#typed(); },
      onkeydown: (event) => this.#pressed(event) });
    this.element = h("div", { class: "writing" }, this.#about,
      h("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); this.#send(); } }, before, this.#text, h("button", { class: "button round", "aria-label": "Send" }, icon("send"))));
  }

  focus() { this.#text.focus(); }

  reply(message, whose) {
    this.#turn({ replyTo: message });
    this.#say(`Reply to ${whose}`, message.body.text);
  }

  edit(message) {
    this.#turn({ editing: message, text: message.body.text });
    this.#say("Edit the message", message.body.text);
  }

  #typed() {
    if (!this.#text.value || Date.now() - this.#toldTyping < TYPING_EVERY_MS) return;
    this.#toldTyping = Date.now();
    this.#onTyping();
  }

  #pressed(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "Escape" && (this.#replyTo || this.#editing)) this.#cancel();
  }

  #send() {
    const text = this.#text.value.trim();
    if (!text) return;
    const about = { replyTo: this.#replyTo, editing: this.#editing };
    this.#turn({ text: "" });
    this.#toldTyping = 0;
    this.#onSend(text, about);
  }

  #cancel() { this.#turn({ text: this.#editing ? "" : this.#text.value }); }

  #turn({ replyTo = null, editing = null, text = this.#editing ? "" : this.#text.value }) {
    Object.assign(this.#text, { value: text });
    this.#replyTo = replyTo;
    this.#editing = editing;
    this.#about.hidden = true;
    this.#grow();
  }

  #say(title, text) {
    this.#about.hidden = false;
    fill(this.#about, h("div", { class: "grow quote" }, h("span", { class: "strong" }, title), h("span", { class: "clip" }, text)),
      h("button", { class: "tool", type: "button", "aria-label": "Never mind", onclick: () => this.#cancel() }, icon("close")));
    this.#text.focus();
  }

  #grow() {
    this.#text.style.setProperty("height", "auto");
    this.#text.style.setProperty("height", `${Math.min(HEIGHT_MAX_PX, this.#text.scrollHeight + 2)}px`);
  }
}
