// One conversation: history by scrolling up, sending at once and confirming later, what becomes of messages, ticks, presence.

import { busy, fill, h } from "../dom.js";
import { api, live, session } from "../feira.js";
import { day } from "../format.js";
import { icon } from "../icons.js";
import { ThreadLog } from "../thread_log.js";
import { toast, toastError } from "../toast.js";
import { bubble, happening, showTicks } from "./bubble.js";
import { partner } from "./chat.js";
import { Composer } from "./composer.js";
import { Offers } from "./offers.js";
import { callSupport, chooseAction, searchConversation } from "./thread_dialogs.js";
import { ThreadHead } from "./thread_head.js";

const PAGE = 40;
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
  #thread = new ThreadLog();
  #outbox = new Map(); // client id -> { at, body, reply, failed }
  #members = new Map(); // user -> { display_name, role, read_seq, delivered_seq }
  #before = null; #loadingOlder = false; #unwatch = () => {};
  #offers; #ticking = 0;
  #on = { resend: (message) => this.#deliver(message), act: (message) => this.#act(message), react: (message, emoji) => this.#react(message, emoji), jump: (seq) => this.#jump(seq) };
  #log = h("ol", { class: "messages", role: "log", "aria-live": "polite", "aria-label": "Messages" });
  #older = h("div", { class: "older" });
  #scroll; #head; #composer; #visible = () => this.#markRead();

  constructor(room, conversation, signal, go) {
    this.#room = room;
    this.#conversation = conversation;
    this.#topic = `conversation:${conversation.id}`;
    this.#signal = signal;
    this.#offers = new Offers(conversation, { go, changed: () => this.#render() });
    this.#build();
  }

  #build() {
    this.#head = new ThreadHead(this.#conversation, { search: () => this.#search(), support: () => callSupport(this.#conversation.id).catch(toastError) });
    this.#composer = new Composer(partner(this.#conversation), {
      onSend: (text, about) => this.#said(text, about),
      onTyping: () => live.socket.tell("typing", { topic: this.#topic }),
      before: this.#conversation.subject_kind === "product" && h("button", { class: "button quiet round", type: "button", "aria-label": "Make an offer", onclick: (event) => busy(event.currentTarget, () => this.#offers.make()).catch(toastError) }, icon("tag")),
    });
    this.#scroll = h("div", { class: "thread-scroll", tabindex: "0", "aria-label": "History", onscroll: () => this.#loadOlderNearTop() }, this.#older, this.#log, this.#head.typing);
    fill(this.#room, this.#head.element, this.#scroll, this.#composer.element);
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
      onState: (state, seq) => { this.#takeState(state); if (seq > this.#thread.seq) this.#reload(); },
      onReset: () => { this.#thread.clear(); this.#reload(); },
      onRefused: ({ message }) => toast(message, { bad: true }),
      onEphemeral: (name, body) => this.#ephemeral(name, body),
    });
    this.#render();
    this.#ticking = setInterval(() => this.#offers.tick(this.#log), 1000);
  }

  shown() {
    this.#toEnd();
    this.#markRead();
    if (matchMedia("(pointer: fine)").matches) this.#composer.focus();
  }

  close() {
    this.#unwatch();
    this.#head.close();
    clearInterval(this.#ticking);
    document.removeEventListener("visibilitychange", this.#visible);
    removeEventListener("focus", this.#visible);
  }

  // Incoming

  #arrived(event) {
    const { body } = event;
    const follow = this.#isNearEnd();
    const own = (body.sender ?? body.actor) === session.user.id;
    const isSaid = body.kind === "message" || body.offer !== undefined;
    this.#outbox.delete(body.client_id);
    this.#take(event);
    if (isSaid && !own) this.#showTyping(false);
    this.#render();
    if (isSaid && (follow || own)) this.#toEnd();
    this.#markRead();
  }

  #take(event) {
    const { seq, body } = event;
    this.#thread.apply(event);
    if (body.offer) this.#offers.take(event);
    if (body.kind === "member.added") this.#members.set(body.user, { display_name: body.display_name, role: body.role, read_seq: seq, delivered_seq: seq });
    if (body.kind === "member.removed") this.#members.delete(body.user);
  }

  #ephemeral(name, body) {
    if (name === "typing") this.#showTyping(body.user !== session.user.id);
    if (name === "presence") this.#head.presence(body);
    // A crowd is a number: its names come again when it has gone.
    if (name === "presence_count") this.#head.here([]);
    if (name === "cursor") {
      this.#members.set(body.user, { ...this.#members.get(body.user), read_seq: body.read_seq, delivered_seq: body.delivered_seq });
      this.#renderTicks();
    }
  }

  #takeState({ members = [], online = [] }) {
    this.#takeMembers(members);
    this.#head.here(online);
    this.#renderTicks();
  }

  #takeMembers(members) {
    this.#members = new Map(members.map((one) => [one.user_id, one]));
  }

  async #reload() {
    const page = await this.#fetchPage(null).catch((error) => { if (error.code || error.name === "AbortError") return null; throw error; });
    if (!page) return;
    // A hole between what is shown and the newest page: start over from the newest.
    if (page.next_before !== null && !page.items.some(({ seq }) => this.#thread.has(seq))) this.#thread.clear();
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

  #takePage(page) {
    this.#thread.load(page);
    for (const item of page.items) {
      this.#outbox.delete(item.body.client_id);
      if (item.body.offer) this.#offers.take(item);
    }
    if (page.items.length === 0 || page.items[0].seq <= this.#thread.oldest) this.#before = page.next_before;
  }

  #loadOlderNearTop() {
    if (this.#scroll.scrollTop <= 240 && !this.#loadingOlder) this.#loadOlder().catch((error) => { if (error.name !== "AbortError" && !error.code) throw error; });
  }

  async #loadOlder() {
    if (this.#before === null) return;
    this.#loadingOlder = true;
    try {
      const page = await this.#fetchPage(this.#before);
      const height = this.#scroll.scrollHeight;
      const top = this.#scroll.scrollTop;
      this.#takePage(page);
      this.#render();
      // What is being read stays where it is.
      this.#scroll.scrollTop = top + this.#scroll.scrollHeight - height;
    } finally {
      this.#loadingOlder = false;
    }
  }

  async #search() {
    const { seq } = await searchConversation(this.#conversation.id);
    if (seq) await this.#jump(seq);
  }

  async #jump(seq) {
    try {
      while (!this.#thread.has(seq) && this.#before !== null) await this.#loadOlder();
    } catch (error) {
      toastError(error);
    }
    const row = this.#log.querySelector(`.message[data-seq="${seq}"]`);
    row?.scrollIntoView({ block: "center" });
    row?.classList.add("sought");
  }

  // Outgoing

  #said(text, { replyTo, editing }) {
    if (editing) {
      if (text !== editing.body.text) this.#change("edit", editing, { client_id: crypto.randomUUID(), text });
      return;
    }
    const body = { kind: "message", sender: session.user.id, client_id: crypto.randomUUID(), text, ...(replyTo && { reply_to: replyTo.seq }) };
    const reply = replyTo && { seq: replyTo.seq, sender: replyTo.body.sender, text: replyTo.body.text, deleted: false };
    this.#deliver({ at: new Date().toISOString(), body, reply, failed: null });
  }

  #deliver(message) {
    const { client_id: clientId, text, reply_to: replyTo } = message.body;
    message.failed = null;
    this.#outbox.set(clientId, message);
    this.#render();
    this.#toEnd();
    live.socket.send(this.#topic, text, clientId, replyTo).then(
      ({ seq, at }) => {
        this.#outbox.delete(clientId);
        this.#thread.apply({ seq, at, body: message.body });
        this.#render();
      },
      (error) => { message.failed = error.message; this.#render(); },
    );
  }

  async #act(message) {
    const { react, reply, edit, remove } = await chooseAction(message);
    if (react) this.#react(message, react);
    if (reply) this.#composer.reply(message, this.#name(message.body.sender));
    if (edit) this.#composer.edit(message);
    if (remove) this.#change("delete", message, {});
  }

  #react(message, emoji) {
    const users = message.reactions.find((one) => one.emoji === emoji)?.users ?? [];
    this.#change("react", message, { client_id: crypto.randomUUID(), emoji, remove: users.includes(session.user.id) });
  }

  /** The event that comes of it shows it, here as everywhere. */
  #change(name, message, body) {
    live.socket.command(name, { topic: this.#topic, message: message.seq, ...body }, { durable: true }).catch(toastError);
  }

  #markRead() {
    const seq = this.#thread.newest;
    const own = this.#members.get(session.user.id);
    if (seq === 0 || (own?.read_seq ?? 0) >= seq) return;
    const seen = document.visibilityState === "visible" && document.hasFocus();
    const name = seen ? "read" : "delivered";
    if (!seen && (own?.delivered_seq ?? 0) >= seq) return;
    this.#members.set(session.user.id, { ...own, read_seq: seen ? seq : own?.read_seq ?? 0, delivered_seq: seq });
    live.socket.command(name, { topic: this.#topic, seq }, { durable: true }).catch(() => this.#members.set(session.user.id, own));
    if (seen) live.setUnread(this.#conversation.id, 0);
  }

  // Showing

  #render() {
    const rows = [];
    let before = null;
    const all = this.#thread.items;
    for (const message of [...all, ...this.#outbox.values()]) {
      if (!before || day(before.at) !== day(message.at)) rows.push(h("li", { class: "day" }, day(message.at)));
      const joined = before?.body.kind === "message" && before.body.sender === message.body.sender && new Date(message.at) - new Date(before.at) < GROUP_WITHIN_MS && day(before.at) === day(message.at);
      rows.push(this.#row(message, joined));
      before = message;
    }
    fill(this.#log, rows);
    fill(this.#older, this.#before === null
      ? h("span", { class: "small muted" }, all.length ? "This is where it began." : "Say hello: they will answer here.")
      : h("button", { class: "button quiet low", onclick: () => { this.#scroll.scrollTop = 0; this.#loadOlderNearTop(); } }, "Earlier messages"));
    this.#renderTicks();
  }

  #row(message, joined) {
    if (message.body.offer) return this.#offers.row(message);
    const name = (user) => this.#name(user);
    return message.body.kind === "message" ? bubble(message, { joined, on: this.#on, name }) : happening(message.body, name);
  }

  #name(user) {
    if (user === session.user.id) return "You";
    const member = this.#members.get(user);
    return member?.role === "support" ? member.display_name : partner(this.#conversation);
  }

  #renderTicks() {
    showTicks(this.#log, [...this.#members].filter(([user]) => user !== session.user.id).map(([, cursor]) => cursor));
  }

  #showTyping(on) {
    const follow = this.#isNearEnd();
    this.#head.showTyping(on);
    if (on && follow) this.#toEnd();
  }

  #isNearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }
}
