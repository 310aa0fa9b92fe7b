// The bars: at the top on wide screens, at the bottom on small ones. Their counts are live.

import { fill, h } from "./dom.js";
import { live, session } from "./feira.js";
import { icon } from "./icons.js";
import { avatar } from "./tiles.js";
import { basket } from "./basket.js";

const isHere = (path) => (path === "/" ? location.pathname === "/" || location.pathname.startsWith("/products") : location.pathname.startsWith(path));
const current = (path) => (isHere(path) ? "page" : null);
const badge = (count, label) => count > 0 && h("span", { class: "badge" }, count > 99 ? "99+" : count, h("span", { class: "sr" }, ` ${label}`));

function places() {
  const all = [{ path: "/", label: "Market", icon: "stall" }];
  if (!session.user) return all;
  all.push({ path: "/chat", label: "Chat", icon: "chat", count: live.unread, what: "unread" });
  all.push({ path: "/orders", label: "Orders", icon: "parcel" });
  if (session.user.shops.length > 0) all.push({ path: "/selling", label: "Selling", icon: "chart" });
  return all;
}

export function navigation() {
  const bar = h("div", { class: "wrap bar" });
  const topbar = h("header", { class: "topbar" }, h("div", { class: "awning", "aria-hidden": "true" }), bar);
  const tabbar = h("nav", { class: "tabbar", "aria-label": "Main, at the bottom" });

  topbar.update = () => fill(bar,
    h("a", { class: "brand", href: "/" }, "Feira"),
    h("nav", { "aria-label": "Main" }, places().map((place) =>
      h("a", { href: place.path, "aria-current": current(place.path) }, place.label, badge(place.count, place.what)))),
    tool("/cart", "basket", "Cart", basket.units, "in the cart"),
    session.user && tool("/notifications", "bell", "Notifications", live.unreadNotifications, "new"),
    session.user
      ? h("a", { class: "me", href: "/account", "aria-label": "Your account" }, avatar(session.user.id, session.user.display_name))
      : h("a", { class: "button low", href: "/sign-in" }, "Sign in"));

  tabbar.update = () => {
    const last = session.user ? { path: "/account", label: "You", icon: "person" } : { path: "/sign-in", label: "Sign in", icon: "person" };
    fill(tabbar, [...places(), last].map((place) =>
      h("a", { href: place.path, "aria-current": current(place.path) }, icon(place.icon), place.label, badge(place.count, place.what))));
  };

  const update = () => { topbar.update(); tabbar.update(); };
  live.addEventListener("unread", update);
  live.addEventListener("notifications", update);
  basket.addEventListener("change", update);
  return { topbar, tabbar };
}

function tool(path, name, label, count, what) {
  return h("a", { class: "tool", href: path, "aria-label": label, "aria-current": current(path) }, icon(name), badge(count, what));
}
