// Behind the stall: orders as they come in, products and stock, what the market holds.

import { fill, h } from "../dom.js";
import { api, live, session } from "../feira.js";
import { money } from "../format.js";
import { shopStatus } from "../status.js";
import { toast, toastError } from "../toast.js";
import { orderList } from "./orders.js";
import { productsSection } from "./stock.js";

const SECTIONS = [["orders", "Orders"], ["products", "Products"]];

export async function sellingView({ params, signal, go }) {
  const shop = session.user.shops[0];
  if (!shop) {
    go("/account", { replace: true });
    return null;
  }
  const section = params.section ?? "orders";
  const [details, balance] = await Promise.all([api.get(`/v1/shops/${shop.id}/private`, { signal }), api.get(`/v1/shops/${shop.id}/balance`, { signal })]);
  const body = h("div", {});
  const purse = h("div", { class: "purse" });
  const state = h("div", {});

  const renderBalance = ({ balances }) => fill(purse, balances.length === 0
    ? figure("Nothing earned yet", "—")
    : balances.flatMap((one) => [figure("In open orders", money(one.held_minor, one.currency)), figure("Maturing", money(one.pending_minor, one.currency)), figure("Available", money(one.available_minor, one.currency))]));
  const renderState = ({ status, status_reason: reason }) => {
    const [text, tone] = shopStatus(status);
    fill(state, h("span", { class: `tag ${tone}` }, text), status !== "approved" && reason && h("span", { class: "small muted" }, reason));
  };
  const refresh = async () => {
    const [shopNow, balanceNow] = await Promise.all([api.get(`/v1/shops/${shop.id}/private`, { signal }), api.get(`/v1/shops/${shop.id}/balance`, { signal })]);
    renderState(shopNow);
    renderBalance(balanceNow);
  };
  const ignoreAbort = (error) => { if (error.name !== "AbortError") toastError(error); };

  renderBalance(balance);
  renderState(details);
  const part = section === "products"
    ? productsSection(details, { signal })
    : orderList(`/v1/shops/${shop.id}/orders`, { signal, seller: true, empty: ["No orders yet", "They appear here the moment somebody pays."] });
  fill(body, part.element);
  await part.load();

  const unwatch = live.socket.watch(`shop:${shop.id}`, {
    onEvent: ({ body: event }) => {
      part.heard(event);
      if (event.kind === "order.placed") toast(`New order ${event.number}: ${money(event.total_minor, event.currency)}`, { href: `/orders/${event.order}` });
      if (event.kind.startsWith("order.") || event.kind.startsWith("shop.")) refresh().catch(ignoreAbort);
    },
    onReset: () => part.load().catch(ignoreAbort),
  });
  const element = h("div", {},
    h("header", { class: "head" }, h("div", {}, h("h1", { tabindex: "-1" }, details.name), h("div", { class: "row gap-top" }, state)), purse),
    h("nav", { class: "tabs", "aria-label": "Behind the stall" }, SECTIONS.map(([path, label]) => h("a", { href: `/selling/${path}`, "aria-current": path === section ? "page" : null }, label))),
    h("div", { class: "section" }, body));
  return { title: "Selling", element, close: unwatch };
}

function figure(label, value) {
  return h("div", { class: "figure" }, h("span", { class: "small muted" }, label), h("span", { class: "number price" }, value));
}
