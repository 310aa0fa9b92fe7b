// What is live in every view: the socket, unread counts, notifications. Views listen for "unread", "inbox", "status".

import { LiveSocket } from "./socket.js";

export class Live extends EventTarget {
  #session; #api;
  #unread = new Map(); // conversation -> count
  #unreadNotifications = 0;

  constructor(session, api) {
    super();
    this.#session = session;
    this.#api = api;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new LiveSocket({
      url: `${scheme}://${location.host}/v1/socket`,
      token: (fresh) => session.accessToken({ fresh }),
      onStatus: (status) => this.#emit("status", status),
      onPush: (name, body) => this.#pushed(name, body),
    });
    session.addEventListener("token", ({ detail }) => this.socket.refresh(detail));
  }

  get status() { return this.socket.status; }
  get unread() { return [...this.#unread.values()].reduce((sum, count) => sum + count, 0); }
  get unreadNotifications() { return this.#unreadNotifications; }

  unreadIn(conversation) { return this.#unread.get(conversation) ?? 0; }

  start() {
    this.socket.start();
    this.socket.watch(`inbox:${this.#session.user.id}`, {
      onEvent: ({ body }) => this.#heard(body),
      onReset: () => this.reload(),
    });
    this.reload();
  }

  stop() {
    this.socket.stop();
    this.#unread.clear();
    this.#unreadNotifications = 0;
  }

  /** Counts as the server has them; pushes keep them right from then on. */
  async reload() {
    const [conversations, notifications] = await Promise.allSettled([
      this.#api.get("/v1/conversations?limit=100"),
      this.#api.get("/v1/notifications?limit=1"),
    ]);
    if (conversations.status === "fulfilled") {
      this.#unread = new Map(conversations.value.items.map((one) => [one.id, one.unread]));
      this.#emit("unread");
    }
    if (notifications.status === "fulfilled") {
      this.#unreadNotifications = notifications.value.unread ?? 0;
      this.#emit("notifications");
    }
  }

  setUnread(conversation, count) {
    if (this.unreadIn(conversation) === count) return;
    this.#unread.set(conversation, count);
    this.#emit("unread", { conversation });
  }

  setUnreadNotifications(count) {
    this.#unreadNotifications = Math.max(0, count);
    this.#emit("notifications");
  }

  #pushed(name, body) {
    if (name !== "unread") return;
    this.#unread.set(body.conversation, body.unread);
    this.#emit("unread", body);
  }

  #heard(body) {
    if (body.kind.startsWith("notification.")) this.setUnreadNotifications(body.unread ?? this.#unreadNotifications + 1);
    this.#emit("inbox", body);
  }

  #emit(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
