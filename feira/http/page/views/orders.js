// What I bought, newest first, moving by itself.

import { fill, h } from "../dom.js";
import { api, listen, live } from "../feira.js";
import { day, money } from "../format.js";
import { orderStatus } from "../status.js";
import { pattern, picture } from "../tiles.js";
import { toastError } from "../toast.js";

export async function ordersView({ signal }) {
  const list = orderList("/v1/orders", { signal, empty: ["No orders yet", "What you buy shows up here and moves as it happens."] });
  await list.load();
  listen(live, "inbox", ({ detail }) => list.heard(detail), signal);
  return { title: "Orders", element: h("div", {}, h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Your orders")), list.element) };
}

/** A list of order summaries kept right by `order.placed` and `order.moved` events. */
export function orderList(path, { signal, empty, seller = false }) {
  const list = h("ul", { class: "orders" });
  const more = h("div", { class: "more" });
  const element = h("div", { class: "stack" }, list, more);
  let items = [];
  let cursor = null;

  const render = () => {
    fill(list, items.map((order) => h("li", {}, orderRow(order, seller))));
    list.hidden = items.length === 0;
    fill(more, items.length === 0 ? h("div", { class: "empty" }, pattern(path, { square: true }), h("h2", {}, empty[0]), h("p", {}, empty[1]), !seller && h("a", { class: "button", href: "/" }, "Go to the market"))
      : cursor && h("button", { class: "button quiet", onclick: (event) => { event.target.disabled = true; load({ on: true }).catch(toastError); } }, "Show older"));
  };
  const load = async ({ on = false } = {}) => {
    const page = await api.get(`${path}?limit=20${on && cursor ? `&cursor=${cursor}` : ""}`, { signal });
    cursor = page.next_cursor;
    items = on ? [...items, ...page.items] : page.items;
    render();
  };
  const heard = (body) => {
    if (body.kind !== "order.placed" && body.kind !== "order.moved") return;
    const known = items.find((order) => order.id === body.order);
    if (!known) load().catch((error) => { if (error.name !== "AbortError") toastError(error); });
    else if (body.version > known.version) {
      Object.assign(known, { version: body.version, status: body.status, payment_status: body.payment_status, fulfilment_status: body.fulfilment_status, updated_at: body.updated_at });
      render();
    }
  };
  return { element, load, heard };
}

function orderRow(order, seller) {
  const [text, tone] = orderStatus(order.status);
  const rest = order.line_count - 1;
  return h("a", { class: "order-row", href: `/orders/${order.id}` },
    h("span", { class: "thumb" }, picture(order.id, null, { square: true })),
    h("span", { class: "what" },
      h("span", { class: "strong clip" }, order.title, rest > 0 && h("span", { class: "muted" }, ` and ${rest} more`)),
      h("span", { class: "small muted clip" }, `${seller ? order.buyer_name : order.shop_name} · No. ${order.number} · ${day(order.created_at)}`)),
    h("span", { class: "state" }, h("span", { class: `tag ${tone}` }, text), h("span", { class: "number strong" }, money(order.total_minor, order.currency))));
}
