// The head of a thread: with whom, whether they are here, what it is about; and the dots while somebody types.

import { fill, h } from "../dom.js";
import { session } from "../feira.js";
import { icon } from "../icons.js";
import { avatar } from "../tiles.js";
import { partner, partnerKey, subjectLink } from "./chat.js";

const TYPING_SHOWN_MS = 6_000;

export class ThreadHead {
  #conversation; #online = new Set(); #timer = 0;
  #status = h("span", { class: "small muted clip" }); #face = h("span", {});
  typing = h("div", { class: "typing", hidden: true, role: "status" });

  constructor(conversation, { search, support }) {
    const name = partner(conversation);
    this.#conversation = conversation;
    this.element = h("header", { class: "thread-head" },
      h("a", { class: "tool only-small", href: "/chat", "aria-label": "All conversations" }, icon("back")),
      this.#face,
      h("div", { class: "grow" }, h("h2", { class: "clip" }, name), this.#status),
      subjectLink(conversation),
      h("button", { class: "tool", "aria-label": "Find in this conversation", onclick: search }, icon("search")),
      h("button", { class: "tool", "aria-label": "Call support", onclick: support }, icon("warn")));
    fill(this.typing, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), h("span", { class: "small muted" }, `${name} is typing`));
    this.#render();
  }

  /** Everybody who is here. */
  here(users) {
    this.#online = new Set(users);
    this.#render();
  }

  presence({ user, online }) {
    if (online) this.#online.add(user);
    else this.#online.delete(user);
    this.#render();
  }

  showTyping(on) {
    clearTimeout(this.#timer);
    this.typing.hidden = !on;
    if (on) this.#timer = setTimeout(() => this.showTyping(false), TYPING_SHOWN_MS);
  }

  close() { clearTimeout(this.#timer); }

  #render() {
    const online = [...this.#online].some((user) => user !== session.user.id);
    fill(this.#face, avatar(partnerKey(this.#conversation), partner(this.#conversation), { online }));
    this.#status.textContent = online ? "Here now" : "Away";
  }
}
