// Me: who I am here, where I am signed in, opening a stall.

import { busy, clearProblems, field, fill, h, showProblem } from "../dom.js";
import { api, session } from "../feira.js";
import { countryName, day } from "../format.js";
import { shopStatus } from "../status.js";
import { avatar } from "../tiles.js";
import { toast, toastError } from "../toast.js";

const CURRENCIES = ["EUR", "USD", "GBP", "CHF", "BRL", "JPY", "PLN", "SEK", "CAD", "AUD"];
const COUNTRIES = ["PT", "ES", "FR", "DE", "IT", "NL", "IE", "GB", "US", "BR", "JP", "CA", "AU"];

export async function accountView({ signal, go }) {
  const element = h("div", { class: "narrow stack wide-gap" });
  const sessions = h("ul", { class: "stack-s" });
  const shops = h("div", { class: "stack" });

  const renderSessions = async () => {
    const page = await api.get("/v1/me/sessions?limit=20", { signal });
    fill(sessions, page.items.map((one) => h("li", { class: "row apart nowrap" },
      h("span", { class: "grow" }, h("span", { class: "clip block" }, deviceName(one.user_agent)), h("span", { class: "small muted" }, one.current ? "This device" : `Last used ${day(one.last_used_at)}`)),
      !one.current && h("button", { class: "button quiet low", onclick: (event) => busy(event.currentTarget, async () => { await api.delete(`/v1/me/sessions/${one.id}`); await renderSessions(); }).catch(toastError) }, "Sign out"))));
  };
  const renderShops = () => fill(shops, session.user.shops.map((shop) => {
    const [text, tone] = shopStatus(shop.status);
    return h("a", { class: "row apart plain", href: "/selling" }, h("span", { class: "row" }, avatar(shop.id, shop.name), h("span", { class: "strong" }, shop.name)), h("span", { class: `tag ${tone}` }, text));
  }), session.user.shops.length === 0 && (session.user.email_verified ? shopForm(go) : h("p", { class: "muted" }, "Confirm your e-mail address to open a stall.")));

  const resend = async () => {
    try {
      await api.post("/v1/auth/resend-verification", { email: session.user.email });
      toast("A new link is on its way.");
    } catch (error) {
      toastError(error);
    }
  };
  await Promise.all([renderSessions(), session.reloadUser()]);
  renderShops();
  fill(element,
    h("header", { class: "row" }, avatar(session.user.id, session.user.display_name), h("div", { class: "grow" }, h("h1", { tabindex: "-1", class: "clip" }, session.user.display_name), h("p", { class: "muted clip" }, session.user.email)),
      h("button", { class: "button quiet", onclick: (event) => busy(event.currentTarget, async () => { await session.signOut(); go("/"); }).catch(toastError) }, "Sign out")),
    !session.user.email_verified && h("div", { class: "note warm row apart" }, h("span", {}, "Your address is not confirmed yet: open the link we sent you."), h("button", { class: "button quiet low", onclick: (event) => busy(event.currentTarget, resend) }, "Send it again")),
    h("section", { class: "card stack" }, h("h2", {}, session.user.shops.length > 0 ? "Your stall" : "Open a stall"), shops),
    h("section", { class: "card stack" }, h("h2", {}, "Where you are signed in"), sessions));
  return { title: "Account", element };
}

function shopForm(go) {
  const note = h("p", { class: "note bad", role: "alert", hidden: true });
  const form = h("form", { class: "stack", onsubmit: (event) => { event.preventDefault(); busy(event.submitter, apply); } },
    h("p", { class: "muted" }, "Tell us its name. The payment provider checks who you are, then we open it."),
    h("div", { class: "fields" }, field("Name of the stall", { name: "name", required: true, minlength: 2, maxlength: 80 }),
      field("Country", { name: "country", value: "PT" }, { kind: "select", choices: COUNTRIES.map((code) => [code, countryName(code)]), className: "half" }),
      field("Currency", { name: "currency", value: "EUR" }, { kind: "select", choices: CURRENCIES.map((code) => [code, code]), className: "half" })),
    note, h("button", { class: "button" }, "Apply"));
  const apply = async () => {
    clearProblems(form, note);
    try {
      await api.post("/v1/shops", Object.fromEntries(new FormData(form)));
      await session.reloadUser();
      go("/selling");
    } catch (error) {
      if (!error.code) throw error;
      showProblem(form, note, error);
    }
  };
  return form;
}

function deviceName(agent) {
  const browser = /Edg\//.test(agent) ? "Edge" : /Firefox\//.test(agent) ? "Firefox" : /Chrome\//.test(agent) ? "Chrome" : /Safari\//.test(agent) ? "Safari" : null;
  const system = /Android/.test(agent) ? "Android" : /iPhone|iPad/.test(agent) ? "iOS" : /Windows/.test(agent) ? "Windows" : /Mac OS/.test(agent) ? "macOS" : /Linux/.test(agent) ? "Linux" : null;
  return browser ? [browser, system].filter(Boolean).join(" on ") : agent.slice(0, 60) || "Unknown device";
}
