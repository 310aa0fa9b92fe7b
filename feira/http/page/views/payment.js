// A checkout on its way to being paid: here one lands from the payment page, and here one tries again.

import { fill, h } from "../dom.js";
import { api, live } from "../feira.js";
import { left, money } from "../format.js";
import { icon } from "../icons.js";
import { pattern } from "../tiles.js";

const LOOK_AGAIN_MS = 2_000;
const LOOK_AGAIN_TIMES = 30;

/** The provider's page returns to /payments/:payment; the checkout it belongs to has the whole story. */
export async function returnedView({ params, signal, go }) {
  const payment = await api.get(`/v1/payments/${params.payment}`, { signal });
  go(`/checkout/${payment.group_id}?returned=1`, { replace: true });
  return null;
}

export async function paymentView({ params, query, signal }) {
  const path = `/v1/order-groups/${params.group}`;
  let checkout = await api.get(path, { signal });
  let looks = 0;
  let timer = 0;
  const element = h("div", { class: "payment" });
  const render = () => fill(element, payment(checkout, query.has("returned") && looks < LOOK_AGAIN_TIMES));
  const look = async () => {
    checkout = await api.get(path, { signal });
    render();
  };
  const again = () => {
    clearTimeout(timer);
    if (isSettled(checkout) || signal.aborted || looks >= LOOK_AGAIN_TIMES) return;
    looks += 1;
    timer = setTimeout(() => look().catch((error) => { if (error.name !== "AbortError" && !error.code) throw error; }).finally(again), LOOK_AGAIN_MS);
  };
  render();
  // Live where the socket is up; the looks are for the moments in which it is not.
  const unwatch = checkout.orders.map((order) => live.socket.watch(`order:${order.id}`, { onEvent: () => look().catch(() => again()) }));
  again();
  const countdown = setInterval(() => { if (!isSettled(checkout)) render(); }, 1000);
  return { title: "Payment", element, close: () => { clearTimeout(timer); clearInterval(countdown); for (const stop of unwatch) stop(); } };
}

const isSettled = ({ orders }) => orders.every((order) => order.status !== "pending_payment");

function payment({ group, orders, payment: paid }, waiting) {
  const amount = money(group.total_minor, group.currency);
  const links = h("div", { class: "row centre" }, orders.map((order) => h("a", { class: "button quiet", href: `/orders/${order.id}` }, orders.length > 1 ? `Order ${order.number} · ${order.shop_name}` : `Order ${order.number}`)));
  if (orders.some((order) => !["pending_payment", "expired", "cancelled"].includes(order.status))) {
    return h("div", { class: "empty" }, h("span", { class: "stamp good" }, icon("check")), h("h1", { tabindex: "-1" }, "Thank you!"), h("p", {}, `${amount} paid. The stall has been told; you will see here the moment it moves.`), links, h("a", { class: "link", href: "/" }, "Back to the market"));
  }
  if (isSettled({ orders })) {
    return h("div", { class: "empty" }, pattern(group.id, { square: true }), h("h1", { tabindex: "-1" }, "This checkout is over"), h("p", {}, "It was not paid in time, so the stock went back to the stall. Nothing was charged, or it is on its way back to you."), h("a", { class: "button", href: "/" }, "Back to the market"));
  }
  const time = left(group.hold_ends_at);
  return h("div", { class: "empty" }, h("span", { class: "stamp warm" }, icon("clock")),
    h("h1", { tabindex: "-1" }, waiting && !paid.decline_code ? "Waiting for the payment …" : `${amount} to pay`),
    paid.decline_code && h("p", { class: "note bad" }, `The payment was declined (${paid.decline_code.replaceAll("_", " ")}). Nothing was charged; try another card.`),
    h("p", {}, time ? ["Your things are held for ", h("span", { class: "number strong" }, time), "."] : "The hold has just ended."),
    paid.payment_page_url ? h("a", { class: "button", href: paid.payment_page_url }, icon("lock"), paid.decline_code ? "Try again" : `Pay ${amount}`) : h("p", { class: "muted" }, "The payment page is being prepared …"),
    links);
}
