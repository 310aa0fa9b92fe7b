// One conversation: history by scrolling up, sending at once and confirming later, ticks, typing, presence.

import { busy, fill, h } from "../dom.js";
import { api, live, session } from "../feira.js";
import { day } from "../format.js";
import { icon } from "../icons.js";
import { avatar } from "../tiles.js";
import { toastError } from "../toast.js";
import { bubble, showTicks } from "./bubble.js";
import { partner, partnerKey, subjectLink } from "./chat.js";
import { Offers } from "./offers.js";

const PAGE = 40;
const TEXT_MAX = 4000;
const TYPING_EVERY_MS = 2_500;
const TYPING_SHOWN_MS = 6_000;
const NEAR_END_PX = 120;
const GROUP_WITHIN_MS = 5 * 60_000;

/** Fill `room` with the thread. Returns { shown, close }. */
export async function openThread(room, conversation, { signal, go }) {
  const thread = new Thread(room, conversation, signal, go);
  await thread.load();
  return thread;
}

class Thread {
  #room; #conversation; #topic; #signal;
  #messages = new Map(); // seq -> { seq, at, sender, text, clientId }, or { seq, at, body } of an offer
  #outbox = new Map(); // client id -> { clientId, text, at, failed }
  #members = new Map(); // user -> { read_seq, delivered_seq }
  #online = new Set();
  #before = null; #loadingOlder = false; #typingTimer = 0; #toldTyping = 0; #unwatch = () => {};
  #offers; #ticking = 0;
  #log = h("ol", { class: "messages", role: "log", "aria-live": "polite", "aria-label": "Messages" });
  #older = h("div", { class: "older" });
  #scroll; #status = h("span", { class: "small muted clip" }); #face = h("span", {}); #typing = h("div", { class: "typing", hidden: true, role: "status" });
  #text; #visible = () => this.#markRead();

  constructor(room, conversation, signal, go) {
    this.#room = room;
    this.#conversation = conversation;
    this.#topic = `conversation:${conversation.id}`;
    this.#signal = signal;
    this.#offers = new Offers(conversation, { go, changed: () => this.#render() });
    this.#build();
  }

  #build() {
    const name = partner(this.#conversation);
    this.#text = h("textarea", { class: "input", name: "text", rows: 1, maxlength: TEXT_MAX, placeholder: `Write to ${name}`, "aria-label": `Message to ${name}`, enterkeyhint: "send",
      oninput: () => { this.#grow(); this.#tellTyping(); },
      onkeydown: (event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.#send(); } } });
    const form = h("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); this.#send(); } },
      this.#conversation.subject_kind === "product" && h("button", { class: "button quiet round", type: "button", "aria-label": "Make an offer", onclick: (event) => busy(event.currentTarget, () => this.#offers.make()).catch(toastError) }, icon("tag")),
      this.#text, h("button", { class: "button round", "aria-label": "Send" }, icon("send")));
    this.#scroll = h("div", { class: "thread-scroll", tabindex: "0", "aria-label": "History", onscroll: () => this.#loadOlderNearTop() }, this.#older, this.#log, this.#typing);
    fill(this.#typing, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), h("span", { class: "small muted" }, `${name} is typing`));
    fill(this.#room,
      h("header", { class: "thread-head" },
        h("a", { class: "tool only-small", href: "/chat", "aria-label": "All conversations" }, icon("back")),
        this.#face,
        h("div", { class: "grow" }, h("h2", { class: "clip" }, name), this.#status),
        subjectLink(this.#conversation)),
      this.#scroll, form);
    document.addEventListener("visibilitychange", this.#visible);
    addEventListener("focus", this.#visible);
  }

  async load() {
    const [history, members] = await Promise.all([this.#fetchPage(null), api.get(`/v1/conversations/${this.#conversation.id}/members`, { signal: this.#signal })]);
    this.#takePage(history);
    this.#takeMembers(members.items);
    this.#unwatch = live.socket.watch(this.#topic, {
      onEvent: (event) => this.#arrived(event),
      // Between the history above and the subscription there may be something: look again when it is ahead.
      onState: (state, seq) => { this.#takeState(state); if (seq > this.#newest()) this.#reload(); },
      onReset: () => this.#reload(),
      onEphemeral: (name, body) => this.#ephemeral(name, body),
    });
    this.#render();
    this.#ticking = setInterval(() => this.#offers.tick(this.#log), 1000);
  }

  shown() {
    this.#toEnd();
    this.#markRead();
    if (matchMedia("(pointer: fine)").matches) this.#text.focus();
  }

  close() {
    this.#unwatch();
    clearTimeout(this.#typingTimer);
    clearInterval(this.#ticking);
    document.removeEventListener("visibilitychange", this.#visible);
    removeEventListener("focus", this.#visible);
  }

  // Incoming

  #arrived({ seq, at, body }) {
    if (body.kind !== "message" && !body.offer) return;
    const follow = this.#isNearEnd();
    this.#outbox.delete(body.client_id);
    this.#put({ seq, at, body });
    if ((body.sender ?? body.actor) !== session.user.id) this.#showTyping(false);
    this.#render();
    if (follow || (body.sender ?? body.actor) === session.user.id) this.#toEnd();
    this.#markRead();
  }

  #ephemeral(name, body) {
    if (name === "typing") this.#showTyping(body.user !== session.user.id);
    if (name === "presence") {
      if (body.online) this.#online.add(body.user);
      else this.#online.delete(body.user);
      this.#renderHead();
    }
    // A crowd is a number: its names come again when it has gone.
    if (name === "presence_count") {
      this.#online.clear();
      this.#renderHead();
    }
    if (name === "cursor") {
      this.#members.set(body.user, { read_seq: body.read_seq, delivered_seq: body.delivered_seq });
      this.#renderTicks();
    }
  }

  #takeState({ members = [], online = [] }) {
    this.#takeMembers(members);
    this.#online = new Set(online);
    this.#renderHead();
    this.#renderTicks();
  }

  #takeMembers(members) {
    for (const one of members) this.#members.set(one.user_id, one);
  }

  async #reload() {
    const page = await this.#fetchPage(null).catch((error) => { if (error.code || error.name === "AbortError") return null; throw error; });
    if (!page) return;
    const oldest = page.items[0]?.seq ?? 1;
    // A hole between what is shown and the newest page: start over from the newest.
    if (oldest > this.#newest() + 1) this.#messages.clear();
    this.#takePage(page);
    this.#render();
    this.#toEnd();
    this.#markRead();
  }

  // History

  #fetchPage(before) {
    const query = before === null ? "" : `&before=${before}`;
    return api.get(`/v1/conversations/${this.#conversation.id}/messages?limit=${PAGE}${query}`, { signal: this.#signal });
  }

  #takePage({ items, next_before: before }) {
    for (const item of items) {
      this.#outbox.delete(item.body.client_id);
      this.#put(item);
    }
    const oldest = Math.min(...this.#messages.keys());
    if (items.length === 0 || items[0].seq <= oldest) this.#before = before;
  }

  async #loadOlderNearTop() {
    if (this.#scroll.scrollTop > 240 || this.#before === null || this.#loadingOlder) return;
    this.#loadingOlder = true;
    try {
      const page = await this.#fetchPage(this.#before);
      const height = this.#scroll.scrollHeight;
      const top = this.#scroll.scrollTop;
      this.#takePage(page);
      this.#render();
      // What is being read stays where it is.
      this.#scroll.scrollTop = top + this.#scroll.scrollHeight - height;
    } catch (error) {
      if (error.name !== "AbortError" && !error.code) throw error;
    } finally {
      this.#loadingOlder = false;
    }
  }

  #put({ seq, at, body }) {
    if (body.kind === "message") this.#messages.set(seq, { seq, at, sender: body.sender, text: body.text, clientId: body.client_id });
    if (body.offer) {
      this.#messages.set(seq, { seq, at, body });
      this.#offers.take({ seq, body });
    }
  }

  #newest() {
    return Math.max(0, ...this.#messages.keys());
  }

  // Outgoing

  #send() {
    const text = this.#text.value.trim();
    if (!text) return;
    this.#text.value = "";
    this.#grow();
    this.#toldTyping = 0;
    this.#deliver({ clientId: crypto.randomUUID(), text, at: new Date().toISOString(), failed: null });
  }

  #deliver(message) {
    message.failed = null;
    this.#outbox.set(message.clientId, message);
    this.#render();
    this.#toEnd();
    live.socket.send(this.#topic, message.text, message.clientId).then(
      ({ seq, at }) => {
        this.#outbox.delete(message.clientId);
        this.#put({ seq, at, body: { kind: "message", sender: session.user.id, text: message.text, client_id: message.clientId } });
        this.#render();
      },
      (error) => { message.failed = error.message; this.#render(); },
    );
  }

  #tellTyping() {
    if (!this.#text.value || Date.now() - this.#toldTyping < TYPING_EVERY_MS) return;
    this.#toldTyping = Date.now();
    live.socket.tell("typing", { topic: this.#topic });
  }

  #markRead() {
    const seq = this.#newest();
    const own = this.#members.get(session.user.id);
    if (seq === 0 || (own?.read_seq ?? 0) >= seq) return;
    const seen = document.visibilityState === "visible" && document.hasFocus();
    const name = seen ? "read" : "delivered";
    if (!seen && (own?.delivered_seq ?? 0) >= seq) return;
    this.#members.set(session.user.id, { read_seq: seen ? seq : own?.read_seq ?? 0, delivered_seq: seq });
    live.socket.command(name, { topic: this.#topic, seq }, { durable: true }).catch(() => this.#members.set(session.user.id, own));
    if (seen) live.setUnread(this.#conversation.id, 0);
  }

  // Showing

  #render() {
    const rows = [];
    let before = null;
    const all = [...this.#messages.values()].sort((a, b) => a.seq - b.seq);
    const waiting = [...this.#outbox.values()].map((one) => ({ ...one, sender: session.user.id, waiting: true }));
    for (const message of [...all, ...waiting]) {
      if (!before || day(before.at) !== day(message.at)) rows.push(h("li", { class: "day" }, day(message.at)));
      const joined = before && !before.body && before.sender === message.sender && new Date(message.at) - new Date(before.at) < GROUP_WITHIN_MS && day(before.at) === day(message.at);
      rows.push(message.body ? this.#offers.row(message) : bubble(message, { joined, resend: () => this.#deliver(this.#outbox.get(message.clientId)) }));
      before = message;
    }
    fill(this.#log, rows);
    fill(this.#older, this.#before === null
      ? h("span", { class: "small muted" }, all.length ? "This is where it began." : "Say hello: they will answer here.")
      : h("button", { class: "button quiet low", onclick: () => { this.#scroll.scrollTop = 0; this.#loadOlderNearTop(); } }, "Earlier messages"));
    this.#renderHead();
    this.#renderTicks();
  }

  #renderTicks() {
    showTicks(this.#log, [...this.#members].filter(([user]) => user !== session.user.id).map(([, cursor]) => cursor));
  }

  #renderHead() {
    const online = [...this.#online].some((user) => user !== session.user.id);
    fill(this.#face, avatar(partnerKey(this.#conversation), partner(this.#conversation), { online }));
    this.#status.textContent = online ? "Here now" : "Away";
  }

  #showTyping(on) {
    clearTimeout(this.#typingTimer);
    const follow = this.#isNearEnd();
    this.#typing.hidden = !on;
    if (on) this.#typingTimer = setTimeout(() => this.#showTyping(false), TYPING_SHOWN_MS);
    if (on && follow) this.#toEnd();
  }

  #isNearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  #grow() {
    this.#text.style.setProperty("height", "auto");
    this.#text.style.setProperty("height", `${Math.min(160, this.#text.scrollHeight + 2)}px`);
  }
}
