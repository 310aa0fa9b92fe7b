// Offers in a thread: each a card with what may be done about it and for how long, and the dialogs behind its buttons.

import { ask } from "../dialog.js";
import { busy, field, h } from "../dom.js";
import { api, session } from "../feira.js";
import { left, minorDigits, money, options, parseMoney } from "../format.js";
import { icon } from "../icons.js";
import { offerStatus } from "../status.js";
import { picture } from "../tiles.js";
import { toast, toastError } from "../toast.js";
import { addressForm } from "./checkout.js";

const VALID = [["3600", "An hour"], ["86400", "A day"], ["259200", "Three days"], ["604800", "A week"]];
const QUANTITY_MAX = 999;

/** What an entry says in one line, for the list of conversations. */
export function offerLine({ kind, offer }) {
  const price = `${offer.quantity > 1 ? `${offer.quantity} × ` : ""}${money(offer.unit_price_minor, offer.currency)}`;
  return { "offer.made": `Offer: ${price}`, "offer.countered": `Counter-offer: ${price}` }[kind] ?? `${offerStatus(kind.split(".")[1])[0]}: ${price}`;
}

export class Offers {
  #conversation; #changed; #go;
  #known = new Map(); // offer id -> { seq, offer } as its newest entry has it

  /** `changed()` is called when a card looks different without an entry: its time ran out. */
  constructor(conversation, { changed, go }) {
    this.#conversation = conversation;
    this.#changed = changed;
    this.#go = go;
  }

  get #side() { return this.#conversation.buyer_id === session.user.id ? "buyer" : "seller"; }

  /** Learn from an entry of the log, in whatever order entries come. */
  take({ seq, body: { offer } }) {
    if (seq > (this.#known.get(offer.id)?.seq ?? 0)) this.#known.set(offer.id, { seq, offer });
    const answered = offer.answers && this.#known.get(offer.answers);
    if (offer.answers && !(answered?.seq > seq)) this.#known.set(offer.answers, { seq, offer: { ...answered?.offer, status: "countered" } });
  }

  /** The row of an entry: a card where an offer came up, a line where one ended. */
  row({ body: { kind, offer, actor } }) {
    const made = kind === "offer.made" || kind === "offer.countered";
    if (!made) return h("li", { class: "day" }, this.#ending(kind, offer, actor));
    const now = { ...offer, status: this.#known.get(offer.id)?.offer.status ?? offer.status, group: this.#known.get(offer.id)?.offer.group, order: this.#known.get(offer.id)?.offer.order };
    return h("li", { class: `message ${offer.side === this.#side ? "mine" : "theirs"}` }, this.#card(now, offer.answers !== null));
  }

  /** Once a second: what is left of the time, where it is shown. */
  tick(element) {
    for (const time of element.querySelectorAll("[data-expires]")) {
      const text = left(time.dataset.expires);
      if (!text) return this.#changed();
      time.textContent = text;
    }
    return undefined;
  }

  /** The dialog that makes an offer for the product of the conversation. */
  async make() {
    const product = await api.get(`/v1/products/${this.#conversation.subject_id}`);
    const address = await this.#addressField(null);
    if (address === undefined) return;
    const [first] = product.variants;
    const given = await ask(this.#side === "buyer" ? "What would you pay?" : "What would you take?", "Make the offer", [
      product.variants.length > 1 && field("Which", { name: "variant" }, { kind: "select", choices: product.variants.map((one) => [one.id, `${options(one.options) || one.sku} · ${money(one.price_minor, product.currency)}`]) }),
      ...this.#terms({ quantity: 1, unit_price_minor: first.price_minor, currency: product.currency }), address]);
    const terms = given && this.#read(given, product.currency);
    if (!terms) return;
    await api.post(`/v1/conversations/${this.#conversation.id}/offers`, { variant: given.variant ?? first.id, currency: product.currency, ...terms });
  }

  async #counter(offer) {
    const address = await this.#addressField(offer);
    if (address === undefined) return;
    const given = await ask("Not so, but so", "Make the counter-offer", [...this.#terms(offer), address]);
    const terms = given && this.#read(given, offer.currency);
    if (terms) await this.#command(offer, { action: "counter", ...terms });
  }

  async #accept(offer) {
    const address = await this.#addressField(offer);
    if (address === undefined) return;
    const given = address ? await ask("Where shall it go?", "Accept and pay", [address]) : {};
    const accepted = given && await this.#command(offer, { action: "accept", ...given });
    if (accepted && this.#side === "buyer") this.#go(`/checkout/${accepted.offer.group}`);
  }

  #command(offer, command) {
    return api.post(`/v1/offers/${offer.id}/commands`, command);
  }

  /** Null where nothing is to be asked, undefined where the buyer does not say. */
  async #addressField(offer) {
    if (this.#side === "seller" || offer?.has_address) return null;
    const { items } = await api.get("/v1/me/addresses?limit=50");
    if (items.length === 0) items.push(...await askFirstAddress());
    if (items.length === 0) return undefined;
    const preferred = items.find((one) => one.is_default) ?? items[0];
    return field("Where to", { name: "address", value: preferred.id }, { kind: "select", choices: items.map((one) => [one.id, `${one.name}, ${one.line1}, ${one.city}`]) });
  }

  #terms({ quantity, unit_price_minor: price, currency }) {
    const digits = minorDigits(currency);
    return [h("div", { class: "fields" },
      field("How many", { name: "quantity", type: "number", min: 1, max: QUANTITY_MAX, value: quantity, required: true }, { className: "half" }),
      field(`Price each (${currency})`, { name: "price", inputmode: "decimal", value: (price / 10 ** digits).toFixed(digits), required: true }, { className: "half" })),
    field("The offer stands for", { name: "valid_s", value: "86400" }, { kind: "select", choices: VALID })];
  }

  #read({ quantity, price, valid_s: validS, address }, currency) {
    const unitPriceMinor = parseMoney(price, currency);
    if (Number.isNaN(unitPriceMinor)) {
      toast(`${price} is no price.`, { bad: true });
      return null;
    }
    return { quantity: Number(quantity), unit_price_minor: unitPriceMinor, valid_s: Number(validS), ...(address && { address }) };
  }

  #card(offer, isCounter) {
    const over = offer.status !== "open" || !left(offer.expires_at);
    const [word, tone] = offerStatus(over && offer.status === "open" ? "expired" : offer.status);
    return h("div", { class: "offer" },
      h("div", { class: "row nowrap" }, h("a", { class: "thumb", href: `/products/${offer.product}`, tabindex: "-1", "aria-hidden": "true" }, picture(offer.product, null, { square: true })),
        h("div", { class: "grow" }, h("div", { class: "small muted" }, isCounter ? "Counter-offer" : "Offer"), h("div", { class: "strong clip" }, offer.title), options(offer.options) && h("div", { class: "small muted clip" }, options(offer.options)))),
      h("div", { class: "row apart" }, h("span", { class: "price number" }, money(offer.total_minor, offer.currency)),
        offer.quantity > 1 && h("span", { class: "small muted number" }, `${offer.quantity} × ${money(offer.unit_price_minor, offer.currency)}`)),
      h("div", { class: "row apart" }, h("span", { class: `tag ${tone}` }, word),
        !over && h("span", { class: "small muted row tight" }, icon("clock"), h("span", { class: "number", "data-expires": offer.expires_at }, left(offer.expires_at)))),
      h("div", { class: "row" }, over ? this.#after(offer) : this.#buttons(offer)));
  }

  #buttons(offer) {
    const button = (label, className, work) => h("button", { class: `button low ${className}`, onclick: (event) => busy(event.currentTarget, work).catch(toastError) }, label);
    if (offer.side === this.#side) return [button("Take it back", "quiet", () => this.#command(offer, { action: "withdraw" }))];
    return [button("Accept", "", () => this.#accept(offer)), button("Counter", "quiet", () => this.#counter(offer)), button("Decline", "danger", () => this.#command(offer, { action: "decline" }))];
  }

  #after(offer) {
    if (offer.status !== "accepted" || !offer.order) return null;
    return this.#side === "buyer" ? h("a", { class: "button low", href: `/checkout/${offer.group}` }, icon("lock"), "Pay") : h("a", { class: "button quiet low", href: `/orders/${offer.order}` }, icon("parcel"), "The order");
  }

  #ending(kind, offer, actor) {
    const price = money(offer.total_minor, offer.currency);
    if (kind === "offer.expired") return `The offer of ${price} ran out`;
    const who = actor === session.user.id ? "You" : this.#side === "buyer" ? this.#conversation.shop_name : this.#conversation.buyer_name;
    return `${who} ${{ "offer.accepted": "accepted", "offer.declined": "declined", "offer.withdrawn": "took back" }[kind] ?? "ended"} the offer of ${price}`;
  }
}

/** Somebody's first address, as a list of one; empty when the dialog is closed. */
function askFirstAddress() {
  return new Promise((resolve) => {
    const added = (address) => { resolve([address]); dialog.close(); };
    const dialog = h("dialog", { "aria-label": "Where shall it go?", onclose: () => { dialog.remove(); resolve([]); } },
      h("div", { class: "stack" }, h("h2", {}, "Where shall it go?"), addressForm(added)));
    document.body.append(dialog);
    dialog.showModal();
  });
}
