// One watched topic: drops what was seen, notices what is missing, and asks for it.

export class TopicLog {
  #watchers = new Set();
  #resubscribe;
  #seq; #epoch;
  #asking = false; // between a subscribe and its answer, what arrives is kept
  #kept = [];
  #answered = false; // a subscription succeeded at least once
  #state;

  constructor(topic, { resubscribe, from = null }) {
    this.topic = topic;
    this.#resubscribe = resubscribe;
    this.#seq = from?.seq ?? null;
    this.#epoch = from?.epoch ?? null;
  }

  /** Where to go on from, or null before anything is known. */
  get position() {
    if (this.#seq === null || this.#epoch === null) return null;
    return { seq: this.#seq, epoch: this.#epoch };
  }

  add(watcher) {
    this.#watchers.add(watcher);
    // A later watcher of the same topic knows nothing yet, and no subscribe answer is coming for it.
    if (this.#answered) queueMicrotask(() => this.#watchers.has(watcher) && watcher.onState?.(this.#state, this.#seq));
  }

  /** Returns whether nobody watches any more. */
  remove(watcher) {
    this.#watchers.delete(watcher);
    return this.#watchers.size === 0;
  }

  subscribing() {
    this.#asking = true;
  }

  /**
   * The answer to a subscribe, or the topic's part of the answer to a connect. Watchers hear first of what they
   * missed (or that it was too much), then of the state that no event carries, such as cursors and presence.
   */
  resume({ recovered, seq, epoch, events = [], state = {} }) {
    const first = this.#seq === null;
    const kept = this.#kept;
    this.#asking = false;
    this.#kept = [];
    this.#epoch = epoch;
    this.#state = state;
    this.#answered = true;
    if (recovered && !first) {
      for (const event of events) this.#advance(event);
    } else {
      this.#seq = seq;
      if (!first) this.#tell("onReset", seq);
    }
    this.#tell("onState", state, seq);
    for (const event of kept) this.take(event);
  }

  take(event) {
    if (this.#asking || this.#seq === null) {
      this.#kept.push(event);
      return;
    }
    if (event.epoch !== undefined && event.epoch !== this.#epoch) this.#askAgain(event);
    else if (event.seq > this.#seq + 1) this.#askAgain(event);
    else this.#advance(event);
  }

  ephemeral(name, body) {
    this.#tell("onEphemeral", name, body);
  }

  refused(error) {
    this.#asking = false;
    this.#tell("onRefused", error);
  }

  /** The server watches no longer: it lost its place and wants to be asked again, or the right is gone. */
  unsubscribed({ reason, code = "topic.unsubscribed", message = "You may no longer watch this." }) {
    if (reason === "resync") this.#askAgain();
    else this.#tell("onRefused", { code, message });
  }

  #askAgain(event) {
    if (event) this.#kept.push(event);
    this.#asking = true;
    this.#resubscribe();
  }

  #advance(event) {
    if (event.seq <= this.#seq) return;
    this.#seq = event.seq;
    this.#tell("onEvent", event);
  }

  #tell(name, ...values) {
    for (const watcher of [...this.#watchers]) watcher[name]?.(...values);
  }
}
