// The cart, with today's prices and stock.

import { fill, h } from "../dom.js";
import { session } from "../feira.js";
import { basket } from "../basket.js";
import { money, options } from "../format.js";
import { icon } from "../icons.js";
import { pattern, picture } from "../tiles.js";
import { toastError } from "../toast.js";
import { stepper } from "./product.js";

export async function cartView({ signal }) {
  await basket.load();
  const element = h("div", {});
  const render = () => fill(element, basket.view.lines.length === 0 ? emptyCart() : fullCart());
  render();
  basket.addEventListener("change", render, { signal });
  return { title: "Cart", element };
}

function emptyCart() {
  return h("div", { class: "empty" }, pattern("an empty basket", { square: true }), h("h2", {}, "Your cart is empty"), h("p", {}, "Put something in it and it waits here, on this device, even before you sign in."), h("a", { class: "button", href: "/" }, "Go to the market"));
}

function fullCart() {
  const shops = Map.groupBy ? Map.groupBy(basket.view.lines, (line) => line.shop_id) : groupByShop(basket.view.lines);
  const stuck = basket.view.lines.some((line) => !line.sellable || line.available < line.quantity);
  return [
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Cart")),
    h("div", { class: "columns" },
      h("div", { class: "stack" }, [...shops.values()].map((lines) => h("section", { class: "card stack", "aria-label": lines[0].shop_name },
        h("h2", { class: "shop-name" }, lines[0].shop_name), h("ul", { class: "lines" }, lines.map(cartLine))))),
      h("aside", { class: "card stack aside", "aria-label": "Summary" },
        h("h2", {}, "In all"),
        basket.view.totals.map((total) => h("div", { class: "row apart" },
          h("span", {}, basket.view.totals.length > 1 ? `In ${total.currency}` : "Total"),
          h("span", { class: "price number" }, money(total.amount_minor, total.currency)))),
        h("p", { class: "small muted" }, "One payment, one order for each stall. Discounts, delivery and taxes come at checkout."),
        stuck && h("p", { class: "note warm" }, "Some of it is no longer there. Lower the quantity or take it out to go on."),
        basket.view.totals.map((total) => h("a", { class: "button wide", href: checkoutPath(total.currency), "aria-disabled": stuck ? "true" : null, onclick: (event) => stuck && event.preventDefault() },
          basket.view.totals.length > 1 ? `Check out ${total.currency}` : "Check out")),
        !session.user && h("p", { class: "small muted" }, "You will sign in on the way; the cart comes along."))),
  ];
}

const checkoutPath = (currency) => (basket.view.totals.length > 1 ? `/checkout?currency=${currency}` : "/checkout");

function groupByShop(lines) {
  const groups = new Map();
  for (const line of lines) groups.set(line.shop_id, [...(groups.get(line.shop_id) ?? []), line]);
  return groups;
}

function cartLine(line) {
  const set = (quantity) => basket.set(line.variant_id, quantity).catch(toastError);
  const short = line.available < line.quantity;
  return h("li", { class: "cart-line" },
    h("a", { href: `/products/${line.product_id}`, class: "thumb", tabindex: "-1", "aria-hidden": "true" }, picture(line.product_id, null, { square: true })),
    h("div", { class: "what" },
      h("a", { href: `/products/${line.product_id}`, class: "strong plain" }, line.title),
      options(line.options) && h("div", { class: "small muted" }, options(line.options)),
      !line.sellable ? h("div", { class: "tag bad" }, "Not for sale any more")
        : short ? h("div", { class: "tag warm" }, line.available === 0 ? "Sold out" : `Only ${line.available} left`)
          : line.price_changed && h("div", { class: "tag warm" }, `Was ${money(line.seen_price_minor, line.currency)}`)),
    h("div", { class: "amount" },
      h("span", { class: "price number" }, money(line.total_minor, line.currency)),
      h("div", { class: "row" },
        stepper(line.quantity, line.sellable ? Math.min(999, Math.max(line.available, 1)) : line.quantity, set, { label: `Quantity of ${line.title}` }),
        h("button", { class: "tool", type: "button", "aria-label": `Take ${line.title} out`, onclick: () => set(0) }, icon("bin")))));
}
