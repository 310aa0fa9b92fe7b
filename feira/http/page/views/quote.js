// What a checkout costs: discounts, how each stall sends its part, taxes, and a field for codes.

import { busy, fill, h } from "../dom.js";
import { money } from "../format.js";

const PROBLEMS = {
  no_method_reaches: "This stall does not send there. Choose another address, or take its things out of the cart.",
  unknown_method: "This way of sending is gone; choose another.",
};

/** Rows of a sum: what is nothing is left out. */
export function sumRows(rows, currency) {
  return rows.filter(([, amount], at) => at === 0 || amount !== 0)
    .map(([label, amount]) => [h("dt", {}, label), h("dd", { class: "number" }, money(amount, currency))]);
}

export const discountRows = (discounts) => discounts.map((one) => [one.code ? `${one.name} (${one.code})` : one.name, -one.amount_minor]);

/**
 * A quote that asks again when its wishes change. `ask(wishes)` gives the API's quote; `changed(quote, wishes)` hears of each.
 * `refresh()` asks with the same wishes, for when it goes somewhere else.
 */
export function quotePanel({ ask, changed, failed }) {
  const sums = h("dl", { class: "sums" });
  const ways = h("div", { class: "stack-s" });
  const codes = h("ul", { class: "stack-s" });
  const input = h("input", { class: "input grow", name: "code", maxlength: 40, placeholder: "SPRING-25", "aria-label": "Code", autocapitalize: "characters" });
  const form = h("form", { class: "row nowrap", onsubmit: (event) => { event.preventDefault(); busy(event.submitter, add); } }, input, h("button", { class: "button quiet" }, "Use code"));
  const element = h("div", { class: "stack" }, ways, form, codes, sums);
  const wishes = { codes: [], shipping: [] };
  let asked = 0;

  const refresh = async () => {
    const turn = ++asked;
    try {
      const quote = await ask(wishes);
      // A slower answer to an older question says nothing any more.
      if (turn !== asked) return;
      render(quote);
      changed(quote, wishes);
    } catch (error) {
      if (turn === asked) failed(error);
    }
  };
  const add = async () => {
    const code = input.value.trim().toUpperCase();
    if (!/^[A-Z0-9][A-Z0-9_-]{2,39}$/.test(code) || wishes.codes.includes(code)) return;
    wishes.codes = [...wishes.codes, code].slice(-5);
    input.value = "";
    await refresh();
  };
  const choose = (shop, method) => {
    wishes.shipping = [...wishes.shipping.filter((one) => one.shop_id !== shop), { shop_id: shop, method_id: method }];
    return refresh();
  };
  const without = (code) => {
    wishes.codes = wishes.codes.filter((one) => one !== code);
    return refresh();
  };
  const render = (quote) => {
    fill(ways, quote.shops.map((shop) => wayOf(shop, quote.currency, choose)));
    fill(codes, quote.codes.map((code) => h("li", { class: "row apart nowrap" },
      h("span", {}, h("span", { class: "strong" }, code.code), " ", h("span", { class: code.reason ? "small muted" : "small" }, code.reason ? code.message : `saves ${money(code.saved_minor, quote.currency)}`)),
      h("button", { class: "link", type: "button", onclick: () => without(code.code) }, "Remove"))));
    const discounts = new Map();
    for (const [name, amount] of quote.shops.flatMap((shop) => discountRows(shop.discounts))) discounts.set(name, (discounts.get(name) ?? 0) + amount);
    fill(sums, sumRows([["Items", quote.items_minor], ...discounts, ["Delivery", quote.shipping_minor], ["Tax", quote.tax_minor]], quote.currency),
      quote.tax_included_minor > 0 && [h("dt", { class: "muted" }, "Tax inside"), h("dd", { class: "number muted" }, money(quote.tax_included_minor, quote.currency))]);
  };
  return { element, refresh };
}

function wayOf(shop, currency, choose) {
  if (shop.shipping_problem) return h("p", { class: "note warm" }, h("span", { class: "strong" }, `${shop.shop_name}: `), PROBLEMS[shop.shipping_problem]);
  if (!shop.methods?.length) return null;
  const label = (method) => `${method.name} · ${method.days_min}–${method.days_max} days · ${method.price_minor ? money(method.price_minor, currency) : "free"}`;
  return h("label", { class: "field" }, h("span", {}, `${shop.shop_name} sends by`),
    h("select", { class: "input", onchange: (event) => choose(shop.shop_id, event.target.value) },
      shop.methods.map((method) => h("option", { value: method.method_id, selected: method.method_id === shop.method_id }, label(method)))));
}
