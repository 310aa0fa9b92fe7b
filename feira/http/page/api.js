// REST: JSON in and out, problems as errors, one refresh of the access token when it ran out.

const CART_TOKEN = "feira.cart";
const TRIES = 3;

export class Problem extends Error {
  constructor(body) {
    super(body.detail ?? "Something went wrong.");
    Object.assign(this, { code: body.code ?? "unknown", status: body.status ?? 0, field: body.field ?? null, details: body.details ?? {}, retryable: body.retryable ?? false, retryAfterS: body.retry_after_s ?? null });
  }
}

const unreachable = () => new Problem({ code: "network.unreachable", detail: "The market cannot be reached. Check your connection and try again.", retryable: true });

export class Api {
  #session;

  /** `session.accessToken({ fresh })` gives a token or null; it is asked again once when the first is refused. */
  constructor(session) {
    this.#session = session;
  }

  get(path, { signal } = {}) {
    return this.#ask("GET", path, { signal });
  }

  /** Every change carries a key, so that trying again after a broken connection changes nothing twice. */
  change(method, path, body, { key = crypto.randomUUID() } = {}) {
    return this.#ask(method, path, { body, key });
  }

  post(path, body, options) { return this.change("POST", path, body, options); }
  put(path, body, options) { return this.change("PUT", path, body, options); }
  patch(path, body, options) { return this.change("PATCH", path, body, options); }
  delete(path, options) { return this.change("DELETE", path, undefined, options); }

  async #ask(method, path, options) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#askOnce(method, path, options, attempt > 1);
      } catch (error) {
        const again = error instanceof Problem && ((error.retryable && error.status !== 429 && attempt < TRIES) || (isOldToken(error) && attempt === 1));
        if (!again || options.signal?.aborted) throw error;
        if (!isOldToken(error)) await new Promise((done) => setTimeout(done, Math.random() * 400 * 2 ** attempt));
      }
    }
  }

  async #askOnce(method, path, { body, key, signal }, again) {
    const headers = {};
    const token = await this.#session.accessToken({ fresh: again });
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (key) headers["Idempotency-Key"] = key;
    const cart = localStorage.getItem(CART_TOKEN);
    if (cart && (path.startsWith("/v1/cart") || path.startsWith("/v1/checkout"))) headers["X-Cart-Token"] = cart;
    const answer = await fetchJson(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
    this.#keepCart(path, answer, token);
    return answer;
  }

  /** A guest's cart opens with a token that comes once; signed in, it has been poured into the user's. */
  #keepCart(path, answer, token) {
    if (!path.startsWith("/v1/cart")) return;
    if (answer?.token) localStorage.setItem(CART_TOKEN, answer.token);
    else if (token) localStorage.removeItem(CART_TOKEN);
  }
}

const isOldToken = (error) => error.status === 401 && error.code === "auth.token_expired";

export async function fetchJson(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (response.status === 204) return null;
  const isJson = /json/.test(response.headers.get("Content-Type") ?? "");
  const content = isJson ? await response.json() : null;
  if (!response.ok) throw new Problem(content ?? { status: response.status });
  return content;
}
