// What happened while one looked elsewhere.

import { fill, h } from "../dom.js";
import { api, listen, live } from "../feira.js";
import { money, when } from "../format.js";
import { icon } from "../icons.js";
import { pattern } from "../tiles.js";
import { toastError } from "../toast.js";

const KINDS = {
  "order.paid": { icon: "check", href: (data) => `/orders/${data.order}`, text: (data) => ["Your payment for order ", strong(data.number), " at ", strong(data.shop_name), ` arrived: ${money(data.total_minor, data.currency)}.`] },
  "order.received": { icon: "basket", href: (data) => `/orders/${data.order}`, text: (data) => [strong(data.buyer_name), " bought from ", strong(data.shop_name), ` for ${money(data.total_minor, data.currency)}.`] },
  "order.shipped": { icon: "truck", href: (data) => `/orders/${data.order}`, text: (data) => ["Order ", strong(data.number), " from ", strong(data.shop_name), ` is on its way with ${data.carrier}.`] },
  "order.moved": { icon: "basket", href: (data) => `/orders/${data.order}`, text: (data) => [data.text, data.reason && ` “${data.reason}”`] },
  "offer.moved": { icon: "tag", href: (data) => (data.step === "accepted" && data.group ? `/checkout/${data.group}` : `/chat/${data.conversation}`), text: offerNews },
  "report.decided": { icon: "check", href: (data) => `/chat/${data.conversation}`, text: (data) => [REPORT_NEWS[data.state] ?? "The moderators looked at your report."] },
  "posting.limited": { icon: "chat", href: () => "/account", text: (data) => ["The moderators keep you from posting until ", strong(when(data.until)), "."] },
  "messages.unread": { icon: "chat", href: (data) => `/chat/${data.conversation}`, text: (data) => [strong(data.sender_name), data.count === 1 ? " wrote to you." : ` wrote to you ${data.count} times.`] },
};
const REPORT_NEWS = {
  dismissed: "The moderators looked at your report and found nothing against the rules.",
  message_removed: "Thank you: the message that you reported was removed.",
  sender_limited: "Thank you: whoever you reported cannot post for a while.",
};
const strong = (text) => h("span", { class: "strong" }, text);

function offerNews({ step, other_name: name, title, quantity, unit_price_minor: price, currency, group }) {
  const what = `${quantity > 1 ? `${quantity} × ` : ""}${title} at ${money(price, currency)}`;
  if (step === "expired") return [`Your offer of ${what} to `, strong(name), " ran out."];
  const did = { made: "offers you", countered: "answers with", accepted: "accepted your offer of", declined: "declined your offer of", withdrawn: "took back the offer of" }[step] ?? "moved the offer of";
  return [strong(name), ` ${did} ${what}.`, step === "accepted" && group && " It is yours to pay now."];
}

export async function notificationsView({ signal }) {
  const list = h("ul", { class: "notices" });
  const more = h("div", { class: "more" });
  let items = [];
  let cursor = null;

  const render = () => {
    fill(list, items.map(notice));
    list.hidden = items.length === 0;
    fill(more, items.length === 0 ? h("div", { class: "empty" }, pattern("quiet", { square: true }), h("h2", {}, "All quiet"), h("p", {}, "News about your orders and messages lands here."))
      : cursor && h("button", { class: "button quiet", onclick: (event) => { event.target.disabled = true; load({ on: true }).catch(toastError); } }, "Show older"));
  };
  const load = async ({ on = false } = {}) => {
    const page = await api.get(`/v1/notifications?limit=30${on && cursor ? `&cursor=${cursor}` : ""}`, { signal });
    cursor = page.next_cursor;
    items = on ? [...items, ...page.items] : page.items;
    live.setUnreadNotifications(page.unread);
    render();
  };
  // Seen is read: the dot stays for this look, the badge goes.
  const markRead = async () => {
    const newest = items[0];
    if (!newest || newest.read_at) return;
    const { unread } = await api.post("/v1/notifications/read", { up_to: newest.id });
    live.setUnreadNotifications(unread);
  };
  await load();
  markRead().catch(toastError);
  listen(live, "inbox", ({ detail }) => {
    if (detail.kind === "notification.created") load().then(markRead).catch((error) => { if (error.name !== "AbortError") toastError(error); });
  }, signal);
  return { title: "Notifications", element: h("div", { class: "narrow" }, h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Notifications")), list, more) };
}

function notice({ kind, data, created_at: at, read_at: readAt }) {
  const known = KINDS[kind] ?? { icon: "bell", href: () => null, text: () => [kind.replaceAll(".", " ")] };
  return h("li", {}, h("a", { class: readAt ? "notice" : "notice new", href: known.href(data) }, h("span", { class: "notice-icon" }, icon(known.icon)),
    h("span", { class: "grow" }, known.text(data)), h("time", { class: "small muted", datetime: at }, when(at)), !readAt && h("span", { class: "sr" }, "New")));
}
