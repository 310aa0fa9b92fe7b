// The page: its frame, its views, and what happens when somebody signs in or out.

import { fill, h } from "./dom.js";
import { api, live, session } from "./feira.js";
import { navigation } from "./navigation.js";
import { Router } from "./router.js";
import { pattern } from "./tiles.js";
import { accountView } from "./views/account.js";
import { cartView } from "./views/cart.js";
import { chatView } from "./views/chat.js";
import { checkoutView } from "./views/checkout.js";
import { marketView } from "./views/market.js";
import { notificationsView } from "./views/notifications.js";
import { orderView } from "./views/order.js";
import { ordersView } from "./views/orders.js";
import { paymentView, returnedView } from "./views/payment.js";
import { productView } from "./views/product.js";
import { sellingView } from "./views/selling.js";
import { forgottenView, resetView, signInView, signUpView, verifyView } from "./views/door.js";

// Shown at once, so that a quick reconnect does not flash a banner.
const OFFLINE_AFTER_MS = 1_500;

const routes = {
  "/": homeView,
  "/products/:product": productView,
  "/cart": cartView,
  "/checkout": forMembers(checkoutView),
  "/checkout/:group": forMembers(paymentView),
  "/payments/:payment": forMembers(returnedView),
  "/orders": forMembers(ordersView),
  "/orders/:order": forMembers(orderView),
  "/chat": forMembers(chatView),
  "/chat/:conversation": forMembers(chatView),
  "/notifications": forMembers(notificationsView),
  "/selling": forMembers(sellingView),
  "/selling/:section": forMembers(sellingView),
  "/account": forMembers(accountView),
  "/sign-in": signInView,
  "/sign-up": signUpView,
  "/forgotten": forgottenView,
  "/verify-email": verifyView,
  "/reset-password": resetView,
};

const main = h("main", { class: "wrap", id: "main", tabindex: "-1" });
const banner = h("div", { class: "offline", role: "status", hidden: true }, "Connecting again … what you send now goes out as soon as we are back.");
const router = new Router(routes, show);
const { topbar, tabbar } = navigation();

document.getElementById("app").append(h("a", { class: "skip", href: "#main" }, "Skip to content"), topbar, banner, main, tabbar);

/** The links of our e-mails come to the front door. */
function homeView(context) {
  const verify = context.query.get("verify");
  const reset = context.query.get("reset");
  if (verify || reset) {
    go(verify ? `/verify-email?token=${encodeURIComponent(verify)}` : `/reset-password?token=${encodeURIComponent(reset)}`, { replace: true });
    return null;
  }
  return marketView(context);
}

/** A view for the signed-in; others are asked to sign in and then brought back. */
function forMembers(view) {
  return async (context) => {
    if (session.user) return view(context);
    go(`/sign-in?next=${encodeURIComponent(context.path + location.search)}`, { replace: true });
    return null;
  };
}

async function show(view, context, isCurrent) {
  const waiting = setTimeout(() => isCurrent() && main.setAttribute("aria-busy", "true"), 150);
  let shown;
  try {
    shown = view ? await view({ ...context, go }) : lostView();
  } catch (error) {
    if (error.name === "AbortError") return null;
    shown = failedView(error);
  } finally {
    clearTimeout(waiting);
  }
  if (!isCurrent() || !shown) return shown;
  main.removeAttribute("aria-busy");
  document.title = shown.title === "Feira" ? "Feira" : `${shown.title} · Feira`;
  fill(main, shown.element);
  document.body.dataset.view = shown.name ?? "";
  topbar.update();
  tabbar.update();
  shown.shown?.();
  return shown;
}

export function go(path, options) {
  router.go(path, options);
}

function lostView() {
  return { title: "Not found", element: message("This stall is not here", "The address may be old, or the stall has moved.") };
}

function failedView(error) {
  if (error.status === 404) return lostView();
  if (!error.code) console.error(error);
  const again = h("button", { class: "button", onclick: () => router.reload() }, "Try again");
  return { title: "Something went wrong", element: message("That did not work", error.code ? error.message : "Something unexpected happened on this page.", again) };
}

function message(title, text, action = h("a", { class: "button", href: "/" }, "Back to the market")) {
  return h("div", { class: "empty" }, pattern(title, { square: true }), h("h2", {}, title), h("p", {}, text), action);
}

let offlineTimer = 0;
live.addEventListener("status", ({ detail: status }) => {
  clearTimeout(offlineTimer);
  if (status === "open" || status === "idle") banner.hidden = true;
  else offlineTimer = setTimeout(() => { banner.hidden = false; }, OFFLINE_AFTER_MS);
});

session.addEventListener("change", () => {
  live.stop();
  if (session.user) live.start();
  topbar.update();
  tabbar.update();
});
session.addEventListener("ended", () => go("/sign-in"));

await session.resume(api);
router.start();
