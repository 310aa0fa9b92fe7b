// Client of the live protocol (subprotocol feira.v1.json). It promises its users what the server promises it:
// every event of a watched topic in order, each once, whatever the connection does in between; and a command
// that was accepted here is sent again after a reconnect, with the same ids, until it is answered.
//
//   idle --start--> connecting --connect answered--> open --lost--> waiting --timer--> connecting
//                        \--refused for good--> stopped        any --stop--> idle

import { TopicLog } from "./topic_log.js";

const SUBPROTOCOL = "feira.v1.json";
const BACKOFF_BASE_MS = 400;
const BACKOFF_MAX_MS = 20_000;
const CONNECT_TIMEOUT_MS = 8_000;
// Browsers hide the WebSocket's own pings, so a dead line is found with the protocol's.
const PING_EVERY_MS = 25_000;
const PONG_WITHIN_MS = 8_000;
const CODE_BAD_TOKEN = 3500;
const CODE_TOKEN_EXPIRED = 3005;

export class LiveError extends Error {
  constructor({ code, message, retryable = false, field = null, retry_after: retryAfterS = null }) {
    super(message);
    Object.assign(this, { code, retryable, field, retryAfterS });
  }
}

const connectionLost = () => new LiveError({ code: "socket.lost", message: "The connection was lost; please try again.", retryable: true });

/** 3000-3499 and 4000-4499 are worth another try, as is a connection that simply broke; the rest is final. */
const isWorthRetrying = (code) => code < 3000 || (code >= 3000 && code < 3500) || (code >= 4000 && code < 4500);

export class LiveSocket {
  #url; #token; #onStatus; #onPush;
  #ws = null; #status = "idle"; #timer = 0; #heartbeat = 0; #failures = 0; #hint = null;
  #nextId = 1;
  #pending = new Map(); // id -> { name, body, resolve, reject, durable, sent }
  #topics = new Map(); // topic -> TopicLog
  #wakeUp = () => this.#reconnectNow();
  #sleep = () => this.#ws?.close();

  /** `token(fresh)` gives an access token; `onPush(name, body)` gets what belongs to no single topic. */
  constructor({ url, token, onStatus = () => {}, onPush = () => {} }) {
    this.#url = url;
    this.#token = token;
    this.#onStatus = onStatus;
    this.#onPush = onPush;
  }

  get status() { return this.#status; }

  start() {
    if (this.#status !== "idle" && this.#status !== "stopped") return;
    addEventListener("online", this.#wakeUp);
    addEventListener("offline", this.#sleep);
    // A page that is put aside for the back button keeps its socket open, and its user would seem to be here.
    addEventListener("pagehide", this.#sleep);
    addEventListener("pageshow", this.#wakeUp);
    this.#connect();
  }

  stop() {
    removeEventListener("online", this.#wakeUp);
    removeEventListener("offline", this.#sleep);
    removeEventListener("pagehide", this.#sleep);
    removeEventListener("pageshow", this.#wakeUp);
    clearTimeout(this.#timer);
    clearTimeout(this.#heartbeat);
    this.#setStatus("idle");
    this.#detach()?.close(1000);
    for (const command of this.#pending.values()) command.reject(connectionLost());
    this.#pending.clear();
    this.#topics.clear();
  }

  /**
   * Watch a topic: `onEvent({ seq, at, body })` for each event, `onState(state, seq)` for the state a first
   * subscription brings, `onReset()` when too much was missed to replay (load afresh), `onEphemeral(name, body)`.
   * `from` is { seq, epoch } of what was loaded already. Returns the function that stops watching.
   */
  watch(topic, watcher, from = null) {
    let log = this.#topics.get(topic);
    if (log === undefined) {
      log = new TopicLog(topic, { resubscribe: () => this.#subscribe(log), from });
      this.#topics.set(topic, log);
      log.add(watcher);
      if (this.#status === "open") this.#subscribe(log);
    } else {
      log.add(watcher);
    }
    return () => {
      if (!log.remove(watcher) || this.#topics.get(topic) !== log) return;
      this.#topics.delete(topic);
      if (this.#status === "open") this.#transmit({ id: this.#nextId++, unsubscribe: { topic } });
    };
  }

  /** Run a command. A durable one outlives the connection: give it a client_id or an idempotency_key. */
  command(name, body, { durable = false } = {}) {
    return new Promise((resolve, reject) => {
      const command = { name, body, resolve, reject, durable, sent: false };
      if (!durable && this.#status !== "open") {
        reject(connectionLost());
        return;
      }
      this.#pending.set(this.#nextId++, command);
      this.#sendPending();
    });
  }

  send(topic, text, clientId, replyTo) {
    return this.command("send", { topic, client_id: clientId, text, ...(replyTo && { reply_to: replyTo }) }, { durable: true });
  }

  /** Tell something that needs no answer and is worth nothing later, such as typing. */
  tell(name, body) {
    if (this.#status === "open") this.#transmit({ [name]: body });
  }

  refresh(token) {
    if (this.#status === "open") this.command("refresh", { token }).catch(() => this.#ws?.close());
  }

  async #connect(fresh = false) {
    clearTimeout(this.#timer);
    this.#setStatus("connecting");
    let token;
    try {
      token = await this.#token(fresh);
    } catch (error) {
      // No network, or nobody is signed in any more: the session decides the latter and stops us.
      if (this.#status === "connecting") this.#retryLater();
      return;
    }
    if (this.#status !== "connecting") return;
    const ws = new WebSocket(this.#url, SUBPROTOCOL);
    this.#ws = ws;
    this.#timer = setTimeout(() => ws.close(), CONNECT_TIMEOUT_MS);
    ws.onopen = () => {
      const resume = {};
      for (const log of this.#topics.values()) if (log.position) resume[log.topic] = log.position;
      this.#transmit({ id: 0, connect: { token, resume } });
    };
    ws.onmessage = ({ data }) => {
      this.#beat();
      for (const line of data.split("\n")) if (line) this.#receive(JSON.parse(line));
    };
    ws.onclose = ({ code }) => this.#lost(ws, code);
  }

  /** Any message is a sign of life; silence is answered with a ping, and silence after that with a new connection. */
  #beat() {
    clearTimeout(this.#heartbeat);
    this.#heartbeat = setTimeout(() => {
      this.#heartbeat = setTimeout(() => this.#ws?.close(), PONG_WITHIN_MS);
      this.command("ping", {}).catch(() => {});
    }, PING_EVERY_MS);
  }

  #receive(message) {
    const { id, ...rest } = message;
    const [[name, body]] = Object.entries(rest);
    if (name === "connect") this.#opened(body);
    else if (id !== undefined && id !== null) this.#answered(id, name, body);
    else if (name === "disconnect") this.#hint = body;
    else if (name === "event") this.#topics.get(body.topic)?.take(body);
    else if (name === "unsubscribed") this.#topics.get(body.topic)?.unsubscribed(body);
    else if (body.topic !== undefined && this.#topics.has(body.topic)) this.#topics.get(body.topic).ephemeral(name, body);
    else this.#onPush(name, body);
  }

  #opened({ topics = {} }) {
    clearTimeout(this.#timer);
    this.#failures = 0;
    this.#hint = null;
    this.#setStatus("open");
    for (const [topic, answer] of Object.entries(topics)) {
      if (answer.error) this.#topics.get(topic)?.refused(answer.error);
      else this.#topics.get(topic)?.resume(answer);
    }
    for (const log of this.#topics.values()) if (!(log.topic in topics)) this.#subscribe(log);
    for (const command of this.#pending.values()) command.sent = false;
    this.#sendPending();
  }

  #answered(id, name, body) {
    const command = this.#pending.get(id);
    if (command === undefined) {
      // The refusal of `connect` itself; the close that follows says what to do.
      if (id === 0 && name === "error") this.#hint ??= { code: body.code?.startsWith("auth.") ? CODE_BAD_TOKEN : 0 };
      return;
    }
    if (name === "error" && body.retryable && command.durable) {
      // Accepted here means sent until answered: try again, not at once.
      command.sent = false;
      setTimeout(() => this.#sendPending(), (body.retry_after ?? 1) * 1000 * (0.5 + Math.random()));
      return;
    }
    this.#pending.delete(id);
    if (name === "error") command.reject(new LiveError(body));
    else command.resolve(body);
  }

  #subscribe(log) {
    const body = { topic: log.topic, ...(log.position ?? {}) };
    log.subscribing();
    this.command("subscribe", body).then(
      (answer) => log.resume(answer),
      // A lost connection subscribes again by itself; a refusal is the watchers' business.
      (error) => { if (error.code !== "socket.lost") log.refused(error); },
    );
  }

  #sendPending() {
    if (this.#status !== "open") return;
    for (const [id, command] of this.#pending) {
      if (command.sent) continue;
      command.sent = true;
      this.#transmit({ id, [command.name]: command.body });
    }
  }

  #transmit(message) {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(message));
  }

  #lost(ws, code) {
    if (ws !== this.#ws) return;
    this.#ws = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#heartbeat);
    for (const [id, command] of this.#pending) {
      if (command.durable) continue;
      this.#pending.delete(id);
      command.reject(connectionLost());
    }
    const reason = code >= 3000 ? code : this.#hint?.code ?? code;
    if (reason === CODE_BAD_TOKEN || reason === CODE_TOKEN_EXPIRED) this.#retryLater({ fresh: true });
    else if (isWorthRetrying(reason)) this.#retryLater();
    else this.#setStatus("stopped");
  }

  /** Full jitter, so that a restarted server is not met by everybody at once; its own hint goes first. */
  #retryLater({ fresh = false } = {}) {
    const [low, high] = this.#hint?.retry_ms ?? [0, Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** this.#failures)];
    this.#hint = null;
    this.#failures += 1;
    this.#setStatus("waiting");
    this.#timer = setTimeout(() => this.#connect(fresh), low + Math.random() * (high - low));
  }

  #reconnectNow() {
    if (this.#status === "waiting") this.#connect();
  }

  #detach() {
    const ws = this.#ws;
    this.#ws = null;
    return ws;
  }

  #setStatus(status) {
    if (status === this.#status) return;
    this.#status = status;
    this.#onStatus(status);
  }
}
