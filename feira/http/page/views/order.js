// One order: what is in it, where it is, what happened, and what may be done now.

import { ask } from "../dialog.js";
import { busy, field, fill, h } from "../dom.js";
import { api, live, session } from "../feira.js";
import { dayAndTime, left, money, options } from "../format.js";
import { icon } from "../icons.js";
import { eventTitle, orderStatus } from "../status.js";
import { picture } from "../tiles.js";
import { toast, toastError } from "../toast.js";
import { addressLines } from "./checkout.js";
import { discountRows, sumRows } from "./quote.js";

const STEPS = [["pending_payment", "Placed"], ["paid", "Paid"], ["accepted", "Accepted"], ["shipped", "Shipped"], ["delivered", "Delivered"], ["completed", "Completed"]];
const DEADLINES = {
  hold: "Held for you", ship_by: "Ships within", late_cancel: "Late; cancelled by itself in", cancel_answer: "The stall answers within",
  arrival: "Counts as delivered in", auto_accept: "Completes by itself in", dispute_decision: "Support decides within",
};
const ACTIONS = {
  accept: { label: "Accept the order", done: "Accepted." },
  ship: { label: "Mark as shipped", done: "On its way.", extra: () => askShipment() },
  deliver: { label: "It arrived", done: "Glad it arrived." },
  complete: { label: "All good, complete", done: "Completed. Thank you." },
  cancel: { label: "Cancel the order", done: "Cancelled.", quiet: true, extra: () => askReason("Why cancel?", "Cancel the order") },
  request_cancel: { label: "Ask to cancel", done: "Asked.", quiet: true, extra: () => askReason("Why cancel?", "Ask to cancel") },
  approve_cancel: { label: "Agree to cancel", done: "Cancelled.", quiet: true },
  decline_cancel: { label: "Do not cancel", done: "The order goes on.", extra: () => askReason("Why not?", "Do not cancel") },
  open_dispute: { label: "Something is wrong", done: "Support looks at it.", quiet: true, extra: () => askProblem("What is wrong?", "Open a dispute", { problem: "other" }) },
  add_evidence: { label: "Add evidence", done: "Added.", extra: () => askProblem("What speaks for you?", "Add it", {}) },
  withdraw_dispute: { label: "Withdraw the dispute", done: "Withdrawn.", extra: () => askReason("Why withdraw it?", "Withdraw") },
};

export async function orderView({ params, signal, go }) {
  const path = `/v1/orders/${params.order}`;
  let order = await api.get(path, { signal });
  let entries = (await api.get(`${path}/timeline?limit=200`, { signal })).items;
  const seller = session.user.shops.some((shop) => shop.id === order.shop_id);

  const status = h("div", {});
  const actions = h("div", { class: "row", "aria-live": "polite" });
  const timeline = h("ol", { class: "timeline", "aria-label": "What happened" });
  const countdowns = h("div", { class: "stack-s" });
  const lines = h("ul", { class: "lines" });
  const parcels = h("div", { class: "stack-s" });

  const render = () => {
    fill(status, progress(order));
    fill(actions, order.status === "pending_payment" && order.buyer_id === session.user.id && h("a", { class: "button", href: `/checkout/${order.group_id}` }, icon("lock"), "Pay now"),
      order.actions.filter((action) => action in ACTIONS).map((action) => actionButton(action, () => act(action))), chatButton(order, seller, go));
    fill(timeline, [...entries].reverse().map((entry, at) => timelineEntry(entry, at === 0)));
    fill(lines, order.lines.map((line) => orderLine(line, order.currency)));
    fill(parcels, order.shipments.map(parcel));
    renderCountdowns();
  };
  const renderCountdowns = () => fill(countdowns, order.deadlines.map((deadline) => {
    const time = deadline.paused_at ? "stands still" : left(deadline.due_at);
    return time && h("p", { class: "note warm row apart" }, h("span", {}, DEADLINES[deadline.kind] ?? deadline.kind), h("span", { class: "number strong" }, time));
  }));
  const reload = async () => {
    [order, entries] = [await api.get(path, { signal }), (await api.get(`${path}/timeline?limit=200`, { signal })).items];
    render();
  };
  const reloadSoon = () => reload().catch((error) => { if (error.name !== "AbortError") toastError(error); });

  const act = async (action) => {
    const extra = (await ACTIONS[action].extra?.()) ?? (ACTIONS[action].extra ? null : {});
    if (extra === null) return;
    try {
      order = await api.post(`${path}/commands`, { action, expected_version: order.version, ...extra });
      toast(ACTIONS[action].done);
      render();
    } catch (error) {
      toastError(error);
      // The order moved on under our hands: show where it is.
      if (error.status === 409) await reload();
    }
  };

  render();
  const unwatch = live.socket.watch(`order:${order.id}`, {
    onEvent: (event) => {
      if (!entries.some((entry) => entry.seq === event.seq)) entries = [...entries, event];
      if (event.body.version > order.version) reloadSoon();
      else render();
    },
    onState: (_state, seq) => { if (seq > (entries.at(-1)?.seq ?? 0)) reloadSoon(); },
    onReset: reloadSoon,
  });
  const ticking = setInterval(renderCountdowns, 1000);

  const element = h("div", {},
    h("a", { class: "back", href: seller ? "/selling" : "/orders" }, icon("back"), seller ? "Selling" : "Orders"),
    h("header", { class: "head" }, h("div", {}, h("h1", { tabindex: "-1" }, `Order ${order.number}`),
      h("p", {}, seller ? `For ${order.buyer_name}` : `From ${order.shop_name}`, ` · ${dayAndTime(order.created_at)}`))),
    h("div", { class: "columns" },
      h("div", { class: "stack wide-gap" },
        h("section", { class: "card stack" }, status, countdowns, actions),
        h("section", { class: "card stack" }, h("h2", {}, "What happened"), timeline)),
      h("aside", { class: "stack wide-gap" },
        h("section", { class: "card stack" }, h("h2", {}, "What is in it"), lines, sums(order)),
        h("section", { class: "card stack" }, h("h2", {}, "Where it goes"), addressLines(order.shipping_address), parcels))));
  return { title: `Order ${order.number}`, element, close: () => { clearInterval(ticking); unwatch(); } };
}

function progress(order) {
  const [text, tone] = orderStatus(order.status);
  if (!STEPS.some(([status]) => status === order.status)) {
    return h("div", { class: "row apart" }, h("span", { class: `tag ${tone} large` }, text), order.refunded_minor > 0 && h("span", { class: "muted" }, `${money(order.refunded_minor, order.currency)} returned`));
  }
  const now = STEPS.findIndex(([status]) => status === order.status);
  return h("ol", { class: "steps", "aria-label": "Progress" }, STEPS.map(([, label], at) =>
    h("li", { class: at < now || order.status === "completed" ? "done" : at === now ? "now" : "", "aria-current": at === now ? "step" : null }, h("span", { class: "dot", "aria-hidden": "true" }, (at < now || order.status === "completed") && icon("check")), h("span", {}, label))));
}

function actionButton(action, run) {
  const { label = action, quiet = false } = ACTIONS[action] ?? {};
  return h("button", { class: quiet ? "button danger" : "button", onclick: (event) => busy(event.currentTarget, run) }, label);
}

function chatButton(order, seller, go) {
  const open = async () => {
    try {
      const conversation = await api.post("/v1/conversations", { shop: order.shop_id, order: order.id });
      go(`/chat/${conversation.id}`);
    } catch (error) {
      toastError(error);
    }
  };
  return h("button", { class: "button quiet", onclick: (event) => busy(event.currentTarget, open) }, icon("chat"), seller ? `Write to ${order.buyer_name}` : "Write to the stall");
}

function timelineEntry({ at, body }, newest) {
  const more = [body.shipment && `${body.shipment.carrier} · ${body.shipment.tracking_number}`, body.decline_code && body.decline_code.replaceAll("_", " "), body.reason,
    body.refund_minor > 0 && `${money(body.refund_minor, body.currency)} goes back to the buyer`].filter(Boolean).join(" · ");
  return h("li", { class: newest ? "newest" : "" }, h("span", { class: "strong" }, eventTitle(body.kind)), more && h("span", { class: "muted" }, more), h("time", { class: "small muted", datetime: at }, dayAndTime(at)));
}

function orderLine(line, currency) {
  return h("li", { class: "order-line" },
    h("a", { class: "thumb", href: `/products/${line.product_id}`, tabindex: "-1", "aria-hidden": "true" }, picture(line.product_id, null, { square: true })),
    h("div", { class: "what" }, h("a", { class: "plain strong", href: `/products/${line.product_id}` }, line.title),
      h("div", { class: "small muted" }, [`${line.quantity} × ${money(line.unit_price_minor, currency)}`, options(line.options)].filter(Boolean).join(" · ")),
      line.shipped > 0 && line.shipped < line.quantity && h("div", { class: "small muted" }, `${line.shipped} of ${line.quantity} shipped`)),
    h("span", { class: "number strong" }, money(line.total_minor, currency)));
}

function sums(order) {
  const way = order.shipping_method ? `Delivery: ${order.shipping_method.name}` : "Delivery";
  return h("dl", { class: "sums" }, sumRows([["Items", order.items_minor], ...discountRows(order.discounts), [way, order.shipping_minor], ["Tax", order.tax_minor]], order.currency),
    h("dt", { class: "strong" }, "Total"), h("dd", { class: "number strong" }, money(order.total_minor, order.currency)),
    order.tax_included_minor > 0 && [h("dt", { class: "muted" }, "Tax inside"), h("dd", { class: "number muted" }, money(order.tax_included_minor, order.currency))],
    order.refunded_minor > 0 && [h("dt", {}, "Returned"), h("dd", { class: "number" }, money(order.refunded_minor, order.currency))],
    order.commission_minor !== null && [h("dt", { class: "muted" }, "Market's share"), h("dd", { class: "number muted" }, money(order.commission_minor, order.currency))]);
}

function parcel(shipment) {
  return h("p", { class: "note row" }, icon("truck"), h("span", {}, h("span", { class: "strong" }, shipment.carrier), h("br"), h("span", { class: "small" }, shipment.tracking_number)));
}

function askShipment() {
  return ask("What carries it?", "Mark as shipped", [
    field("Carrier", { name: "carrier", required: true, maxlength: 80, placeholder: "CTT, DHL, …" }),
    field("Tracking number", { name: "tracking_number", required: true, maxlength: 80 }),
  ]);
}

function askReason(title, button) {
  return ask(title, button, [field("Reason", { name: "reason", required: true, maxlength: 300, placeholder: "The other side sees this" })]);
}

async function askProblem(title, button, more) {
  const said = await ask(title, button, [field("What happened", { name: "text", required: true, maxlength: 4000, placeholder: "The other side and support see this" })]);
  return said && { ...said, ...more };
}
