// Addresses to views. A view is `async (context) => ({ title, element, close? })`; context has params, query, signal.

const LINK_KEYS = ["metaKey", "ctrlKey", "shiftKey", "altKey"];

export class Router {
  #routes; #show; #current = null; #turn = 0;

  /** `routes` maps "/products/:product" to a view; `show(view, context)` puts a view on the screen. */
  constructor(routes, show) {
    this.#routes = Object.entries(routes).map(([path, view]) => ({ parts: path.split("/"), view }));
    this.#show = show;
    addEventListener("popstate", () => this.#open());
    // Back from the payment page, the browser may bring the page as it was left; what it shows is old by then.
    addEventListener("pageshow", (event) => { if (event.persisted) this.#open(); });
    document.addEventListener("click", (event) => this.#followLink(event));
  }

  go(path, { replace = false } = {}) {
    history[replace ? "replaceState" : "pushState"](null, "", path);
    this.#open({ top: true });
  }

  /** Build the current view anew, as after signing in. */
  reload() {
    this.#open();
  }

  start() {
    this.#open();
  }

  async #open({ top = false } = {}) {
    const turn = (this.#turn += 1);
    const { view, params } = this.#match(location.pathname);
    this.#current?.abort.abort();
    this.#current?.view?.close?.();
    const abort = new AbortController();
    const current = { abort, view: null };
    this.#current = current;
    const context = { params, query: new URLSearchParams(location.search), signal: abort.signal, path: location.pathname };
    const shown = await this.#show(view, context, () => turn === this.#turn);
    if (turn !== this.#turn) {
      shown?.close?.();
      return;
    }
    current.view = shown;
    if (top) scrollTo(0, 0);
  }

  #match(path) {
    const parts = (path.length > 1 ? path.replace(/\/$/, "") : path).split("/");
    for (const route of this.#routes) {
      const params = matchParts(route.parts, parts);
      if (params) return { view: route.view, params };
    }
    return { view: null, params: {} };
  }

  #followLink(event) {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button !== 0 || LINK_KEYS.some((key) => event[key])) return;
    if (link.target || link.origin !== location.origin || link.hasAttribute("download")) return;
    if (!this.#match(link.pathname).view) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

function matchParts(pattern, parts) {
  if (pattern.length !== parts.length) return null;
  const params = {};
  for (const [at, part] of pattern.entries()) {
    if (part.startsWith(":")) params[part.slice(1)] = decodeURIComponent(parts[at]);
    else if (part !== parts[at]) return null;
  }
  return params;
}
