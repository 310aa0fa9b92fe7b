// Who is signed in. The refresh token lives in an HttpOnly cookie that no script sees; the access token lives in
// memory. Tabs refresh one at a time (Web Locks), since a refresh token is good once.

import { fetchJson } from "./api.js";

const SIGNED_IN = "feira.signed_in"; // only a hint that a refresh is worth trying
const REFRESH_EARLY_MS = 60_000;
const RACE_WAIT_MS = 400;
const RACE_TRIES = 4;

export class Session extends EventTarget {
  user = null;
  #token = null; #expiresAt = 0; #timer = 0; #refreshing = null; #api = null;

  /** Pick up where the last visit left off, if it did. */
  async resume(api) {
    this.#api = api;
    if (localStorage.getItem(SIGNED_IN)) {
      try {
        await this.#refresh();
        this.user = await api.get("/v1/me");
      } catch (error) {
        if (!error.code) throw error;
        // Signed out elsewhere, or the market cannot be reached: the latter is tried again by a reload.
        this.#forget({ keepHint: error.status !== 401 });
      }
    }
    this.dispatchEvent(new Event("change"));
  }

  async signIn(email, password) {
    this.#take(await postJson("/v1/auth/login", { email, password, refresh_in: "cookie" }));
    this.user = await this.#api.get("/v1/me");
    this.dispatchEvent(new Event("change"));
  }

  async signOut() {
    await postJson("/v1/auth/logout", {}, this.#token);
    this.#forget();
    this.dispatchEvent(new Event("change"));
  }

  async reloadUser() {
    this.user = await this.#api.get("/v1/me");
    this.dispatchEvent(new Event("user"));
  }

  /** An access token that is good for a while, or null when nobody is signed in. */
  async accessToken({ fresh = false } = {}) {
    if (!localStorage.getItem(SIGNED_IN)) return null;
    if (fresh || Date.now() > this.#expiresAt - REFRESH_EARLY_MS / 2) await this.#refresh();
    return this.#token;
  }

  /** The session was ended by the server: here, elsewhere, or by a new password. */
  end() {
    if (!this.user) return;
    this.#forget();
    this.dispatchEvent(new Event("change"));
    this.dispatchEvent(new Event("ended"));
  }

  #refresh() {
    this.#refreshing ??= withLock(() => this.#trade()).finally(() => { this.#refreshing = null; });
    return this.#refreshing;
  }

  async #trade() {
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.#take(await postJson("/v1/auth/refresh", {}));
        return;
      } catch (error) {
        // Another tab was faster: its new cookie is ours too.
        if (error.code === "auth.refresh_raced" && attempt < RACE_TRIES) {
          await new Promise((done) => setTimeout(done, RACE_WAIT_MS * attempt));
          continue;
        }
        if (error.status === 401) this.end();
        throw error;
      }
    }
  }

  #take({ access_token: token, access_expires_at: expiresAt }) {
    localStorage.setItem(SIGNED_IN, "1");
    this.#token = token;
    this.#expiresAt = new Date(expiresAt).getTime();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#refreshSoon(), Math.max(5_000, this.#expiresAt - Date.now() - REFRESH_EARLY_MS));
    this.dispatchEvent(new CustomEvent("token", { detail: token }));
  }

  #refreshSoon() {
    this.#refresh().catch((error) => {
      if (!error.code) throw error;
      if (error.status !== 401) this.#timer = setTimeout(() => this.#refreshSoon(), 10_000);
    });
  }

  #forget({ keepHint = false } = {}) {
    if (!keepHint) localStorage.removeItem(SIGNED_IN);
    clearTimeout(this.#timer);
    this.user = null;
    this.#token = null;
    this.#expiresAt = 0;
  }
}

function withLock(work) {
  return navigator.locks ? navigator.locks.request("feira.refresh", work) : work();
}

function postJson(path, body, token = null) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetchJson(path, { method: "POST", headers, body: JSON.stringify(body) });
}
