// A conversation as it reads now, made of history pages and the events after them. Whatever mixture it was made of, it is
// the same: a change says the whole of what is so, and one that a page has already changes nothing.

const QUOTE_CHARS = 120;

export class ThreadLog {
  #entries = new Map(); // seq -> { seq, at, body, reactions, reply }, as the history has them
  seq = 0; // up to where the log is in it

  get items() { return [...this.#entries.values()].sort((a, b) => a.seq - b.seq); }
  get oldest() { return Math.min(...this.#entries.keys()); }
  get newest() { return Math.max(0, ...this.#entries.keys()); }

  has(seq) { return this.#entries.has(seq); }
  get(seq) { return this.#entries.get(seq); }

  clear() {
    this.#entries.clear();
    this.seq = 0;
  }

  load({ items, seq }) {
    for (const item of items) this.#entries.set(item.seq, item);
    this.seq = Math.max(this.seq, seq);
  }

  apply({ seq, at, body }) {
    this.seq = Math.max(this.seq, seq);
    if (body.kind === "message.edited") this.#edit(body, at);
    else if (body.kind === "message.deleted") this.#delete(body.message, at);
    else if (body.kind === "reaction.added") this.#react(body, (users) => (users.includes(body.by) ? users : [...users, body.by]));
    else if (body.kind === "reaction.removed") this.#react(body, (users) => users.filter((user) => user !== body.by));
    else if (!this.#entries.has(seq)) this.#entries.set(seq, { seq, at, body, reactions: [], reply: this.#quote(body.reply_to) });
  }

  #edit({ message, text, warnings }, at) {
    // Without a text it is the log of a message that was deleted later.
    if (text === undefined) return;
    const entry = this.#changeable(message);
    if (entry) {
      const { warnings: _before, ...body } = entry.body;
      entry.body = { ...body, text, ...(warnings && { warnings }), edited_at: at };
    }
    this.#requote(message, { text: beginning(text), deleted: false });
  }

  #delete(message, at) {
    const entry = this.#entries.get(message);
    if (entry) {
      const { kind, sender, client_id } = entry.body;
      Object.assign(entry, { body: { kind, sender, client_id, deleted_at: at }, reactions: [], reply: null });
    }
    this.#requote(message, { text: null, deleted: true });
  }

  #react({ message, emoji }, change) {
    const entry = this.#changeable(message);
    if (!entry) return;
    const users = change(entry.reactions.find((one) => one.emoji === emoji)?.users ?? []);
    const others = entry.reactions.filter((one) => one.emoji !== emoji);
    entry.reactions = (users.length ? [...others, { emoji, users }] : others).sort((a, b) => (a.emoji < b.emoji ? -1 : 1));
  }

  #changeable(message) {
    const entry = this.#entries.get(message);
    return entry && !entry.body.deleted_at ? entry : undefined;
  }

  /** The beginning of a message that is here; of one that is not, the history tells when it is loaded. */
  #quote(message) {
    const entry = this.#entries.get(message);
    if (!entry) return null;
    const { sender, text, deleted_at: deletedAt } = entry.body;
    return { seq: entry.seq, sender, text: beginning(text), deleted: deletedAt !== undefined };
  }

  #requote(message, now) {
    for (const { reply } of this.#entries.values()) if (reply?.seq === message && !reply.deleted) Object.assign(reply, now);
  }
}

const beginning = (text) => (text === undefined ? null : [...text].slice(0, QUOTE_CHARS).join(""));
