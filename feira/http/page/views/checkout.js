// Checkout: where it goes and what it costs; then to the payment page.

import { busy, clearProblems, field, fill, h, showProblem } from "../dom.js";
import { api } from "../feira.js";
import { basket } from "../basket.js";
import { countryName, money, options } from "../format.js";
import { icon } from "../icons.js";
import { quotePanel } from "./quote.js";

const COUNTRIES = ["PT", "ES", "FR", "DE", "IT", "NL", "BE", "IE", "AT", "PL", "SE", "DK", "FI", "CZ", "GB", "CH", "NO", "US", "CA", "BR", "MX", "AU", "NZ", "JP", "KR", "IN", "SG", "ZA"];

export async function checkoutView({ query, signal, go }) {
  const [cart, book] = await Promise.all([basket.load(), api.get("/v1/me/addresses?limit=50", { signal })]);
  const total = cart.totals.find((one) => one.currency === (query.get("currency") ?? one.currency));
  if (!total) {
    go("/cart", { replace: true });
    return null;
  }
  const lines = cart.lines.filter((line) => line.currency === total.currency && line.sellable);
  let addresses = book.items;
  let chosen = (addresses.find((one) => one.is_default) ?? addresses[0])?.id ?? null;
  // One key for this attempt: a second click or a broken connection makes no second order.
  let key = crypto.randomUUID();
  let quote = null;
  let agreed = { codes: [], shipping: [] };

  const note = h("p", { class: "note bad", role: "alert", hidden: true });
  const place = h("div", { class: "stack" });
  const pay = h("button", { class: "button wide", onclick: (event) => busy(event.currentTarget, checkOut) }, icon("lock"), `Order and pay ${money(total.amount_minor, total.currency)}`);
  const sum = h("span", { class: "price number" }, money(total.amount_minor, total.currency));
  const tell = (text) => {
    note.textContent = text;
    note.hidden = !text;
  };
  const panel = quotePanel({
    ask: (wishes) => api.post("/v1/cart/quote", { address_id: chosen, currency: total.currency, ...wishes }),
    changed: (priced, wishes) => {
      [quote, agreed, key] = [priced, { codes: [...wishes.codes], shipping: [...wishes.shipping] }, crypto.randomUUID()];
      sum.textContent = money(quote.total_minor, quote.currency);
      fill(pay, icon("lock"), `Order and pay ${sum.textContent}`);
      pay.disabled = chosen !== null && !quote.is_complete;
    },
    failed: (error) => { if (error.name !== "AbortError") tell(error.message); },
  });

  const renderPlace = () => fill(place, addresses.map((one) => h("label", { class: "choice" },
    h("input", { type: "radio", name: "address", value: one.id, checked: one.id === chosen, onchange: () => { chosen = one.id; panel.refresh(); } }),
    addressLines(one))),
  addresses.length > 0 ? h("details", { class: "more-form" }, h("summary", {}, "Another address"), addressForm(added)) : addressForm(added));
  const added = (address) => {
    addresses = [address, ...addresses];
    chosen = address.id;
    renderPlace();
    panel.refresh();
  };
  const checkOut = async () => {
    tell("");
    if (!chosen || !quote) {
      tell("Tell us where to send it first.");
      return;
    }
    try {
      const made = await api.post("/v1/checkout", { address_id: chosen, expected_total_minor: quote.total_minor, currency: total.currency, ...agreed }, { key });
      basket.load();
      // Back from the payment page, the checkout is where one lands, not on an empty cart.
      history.replaceState(null, "", `/checkout/${made.group.id}`);
      if (made.payment.payment_page_url) location.assign(made.payment.payment_page_url);
      else go(`/checkout/${made.group.id}`, { replace: true });
    } catch (error) {
      if (!error.code) throw error;
      key = crypto.randomUUID();
      tell(error.message);
      if (error.status === 409 || error.code.startsWith("stock.")) await Promise.all([basket.load(), panel.refresh()]);
    }
  };

  renderPlace();
  await panel.refresh();
  const element = h("div", {},
    h("a", { class: "back", href: "/cart" }, icon("back"), "Cart"),
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Check out")),
    h("div", { class: "columns" },
      h("section", { class: "card stack" }, h("h2", {}, "Where to"), place),
      h("aside", { class: "card stack aside" }, h("h2", {}, "What"),
        h("ul", { class: "stack-s" }, lines.map((line) => h("li", { class: "row apart nowrap" },
          h("span", { class: "grow" }, h("span", { class: "number" }, `${line.quantity} × `), line.title, options(line.options) && h("span", { class: "muted" }, ` · ${options(line.options)}`)),
          h("span", { class: "number" }, money(line.total_minor, line.currency))))),
        panel.element,
        h("div", { class: "row apart total" }, h("span", {}, "Total"), sum),
        note, pay, h("p", { class: "small muted" }, "You pay on the payment provider's page. Your stock is held for a few minutes meanwhile."))));
  return { title: "Check out", element };
}

export function addressLines(address) {
  return h("span", { class: "address" }, h("span", { class: "strong" }, address.name), h("br"),
    [address.line1, address.line2].filter(Boolean).join(", "), h("br"),
    [address.postal_code, address.city, address.region].filter(Boolean).join(" "), h("br"), countryName(address.country));
}

export function addressForm(added) {
  const note = h("p", { class: "note bad", role: "alert", hidden: true });
  const countries = COUNTRIES.map((code) => [code, countryName(code)]).sort((a, b) => a[1].localeCompare(b[1]));
  const guess = COUNTRIES.find((code) => navigator.language?.endsWith(`-${code}`)) ?? "PT";
  const form = h("form", { class: "stack", novalidate: true, onsubmit: (event) => { event.preventDefault(); busy(event.submitter, save); } },
    h("div", { class: "fields" },
      field("Name", { name: "name", autocomplete: "name", required: true, maxlength: 120 }),
      field("Street and number", { name: "line1", autocomplete: "address-line1", required: true, maxlength: 200 }),
      field("Postal code", { name: "postal_code", autocomplete: "postal-code", required: true, maxlength: 20 }, { className: "third" }),
      field("City", { name: "city", autocomplete: "address-level2", required: true, maxlength: 120 }, { className: "third" }),
      field("Country", { name: "country", autocomplete: "country", value: guess }, { kind: "select", choices: countries, className: "third" })),
    note, h("button", { class: "button quiet" }, "Use this address"));
  const save = async () => {
    clearProblems(form, note);
    const empty = [...form.elements].find((control) => control.required && !control.value.trim());
    if (empty) {
      showProblem(form, note, { field: empty.name, message: "Please fill this in." });
      return;
    }
    const values = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
    try {
      added(await api.post("/v1/me/addresses", values));
    } catch (error) {
      showProblem(form, note, error);
    }
  };
  return form;
}
