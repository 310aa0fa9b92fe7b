// Signing in and up, confirming the address, a new password.

import { busy, clearProblems, field, h, showProblem } from "../dom.js";
import { fetchJson } from "../api.js";
import { api, session } from "../feira.js";
import { avatar, pattern } from "../tiles.js";
import { toast } from "../toast.js";

const email = () => field("E-mail", { name: "email", type: "email", autocomplete: "username", required: true, maxlength: 254 });

export async function signInView({ query, go }) {
  const next = safePath(query.get("next"));
  if (session.user) {
    go(next, { replace: true });
    return null;
  }
  const enter = async (address, password) => {
    await session.signIn(address, password);
    go(next, { replace: true });
  };
  const card = formCard({
    fields: [email(), field("Password", { name: "password", type: "password", autocomplete: "current-password", required: true, maxlength: 128 })],
    action: "Sign in",
    submit: ({ email: address, password }) => enter(address, password),
    below: h("div", { class: "row apart small" }, h("a", { class: "link", href: `/sign-up?next=${encodeURIComponent(next)}` }, "Create an account"), h("a", { class: "link", href: "/forgotten" }, "Forgot the password?")),
  });
  const demos = await demoLogins();
  if (demos.length > 0) card.append(h("div", { class: "or" }, "or look around as"), demoButtons(demos, enter, card));
  return door("Sign in", "Welcome back", "Talk to the person behind the stall, and watch your order move.", card);
}

export async function signUpView({ query, go }) {
  const next = safePath(query.get("next"));
  const card = formCard({
    fields: [field("Your name", { name: "display_name", autocomplete: "name", required: true, maxlength: 80 }), email(),
      field("Password", { name: "password", type: "password", autocomplete: "new-password", required: true, minlength: 10, maxlength: 128 }, { hint: "10 characters or more." })],
    action: "Create account",
    submit: async (values) => {
      await api.post("/v1/auth/sign-up", values);
      card.replaceChildren(h("h2", {}, "Look into your mailbox"), h("p", { class: "muted" }, "We sent a link to ", h("span", { class: "strong" }, values.email), ". Open it, then sign in."),
        h("a", { class: "button wide", href: `/sign-in?next=${encodeURIComponent(next)}` }, "Sign in"));
    },
    below: h("p", { class: "small" }, "Been here before? ", h("a", { class: "link", href: "/sign-in" }, "Sign in")),
  });
  return door("Create an account", "Come in", "One account to buy, to chat, and to open a stall of your own.", card);
}

export async function forgottenView() {
  const card = formCard({
    fields: [email()],
    action: "Send me a link",
    submit: async (values) => {
      await api.post("/v1/auth/password-reset", values);
      card.replaceChildren(h("h2", {}, "Look into your mailbox"), h("p", { class: "muted" }, "If there is an account for ", h("span", { class: "strong" }, values.email), ", a link to choose a new password is on its way."));
    },
    below: h("a", { class: "link small", href: "/sign-in" }, "Back to signing in"),
  });
  return door("Forgotten password", "It happens", "We send you a link to choose a new one.", card);
}

export async function resetView({ query, go }) {
  const card = formCard({
    fields: [field("New password", { name: "password", type: "password", autocomplete: "new-password", required: true, minlength: 10, maxlength: 128 }, { hint: "10 characters or more. Every device is signed out." })],
    action: "Set the password",
    submit: async ({ password }) => {
      await api.post("/v1/auth/password-reset/confirm", { token: query.get("token") ?? "", password });
      toast("Your password is set. Sign in with it.");
      go("/sign-in", { replace: true });
    },
  });
  return door("New password", "A fresh start", "Choose something long that only you would think of.", card);
}

export async function verifyView({ query }) {
  const card = h("div", { class: "card stack" });
  try {
    await api.post("/v1/auth/verify-email", { token: query.get("token") ?? "" });
    if (session.user) await session.reloadUser();
    card.append(h("h2", {}, "That is you"), h("p", { class: "muted" }, "Your address is confirmed. You can buy, write to sellers, and open a stall."),
      h("a", { class: "button wide", href: session.user ? "/" : "/sign-in" }, session.user ? "To the market" : "Sign in"));
  } catch (error) {
    if (!error.code) throw error;
    card.append(h("h2", {}, "That link did not work"), h("p", { class: "muted" }, error.message), h("a", { class: "button wide", href: "/account" }, "Send another"));
  }
  return door("Confirm your address", "Almost there", "", card);
}

/** Only paths of our own: a link must not send somebody elsewhere after signing in. */
function safePath(path) {
  return path && /^\/(?!\/)/.test(path) && !path.includes("\\") ? path : "/";
}

function door(title, heading, text, card) {
  const mosaic = h("div", { class: "mosaic", "aria-hidden": "true" }, ["a", "feira", "is", "bread", "figs", "linen", "clay", "cork"].map((seed) => pattern(seed, { square: true })));
  return { title, name: "door", element: h("div", { class: "door" }, h("div", { class: "welcome" }, mosaic, h("h1", { tabindex: "-1" }, heading), text && h("p", {}, text)), card) };
}

function formCard({ fields, action, submit, below }) {
  const note = h("p", { class: "note bad", role: "alert", hidden: true });
  const form = h("form", { class: "stack", novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    clearProblems(form, note);
    const wrong = [...form.elements].find((control) => control.willValidate && !control.checkValidity());
    if (wrong) {
      showProblem(form, note, { field: wrong.name, message: wrong.validationMessage });
      return;
    }
    const values = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, name === "password" ? value : value.trim()]));
    busy(button, () => submit(values)).catch((error) => { if (!error.code) throw error; showProblem(form, note, error); });
  } }, fields, note);
  const button = h("button", { class: "button wide" }, action);
  form.append(button);
  const card = h("div", { class: "card stack" }, form, below);
  card.note = note;
  return card;
}

async function demoLogins() {
  try {
    return await fetchJson("/demo.json");
  } catch (error) {
    if (error.status === 404 || error.code === "network.unreachable") return [];
    throw error;
  }
}

function demoButtons(logins, enter, card) {
  return h("div", { class: "demos" }, logins.map((login) => h("button", { type: "button", onclick: (event) => busy(event.currentTarget, () => enter(login.email, login.password)).catch((error) => {
    if (!error.code) throw error;
    showProblem(card.querySelector("form"), card.note, error);
  }) }, avatar(login.email, login.name ?? login.role), h("span", { class: "grow" }, h("span", { class: "strong block clip" }, login.name ?? login.email), h("span", { class: "small muted block" }, login.role)))));
}
