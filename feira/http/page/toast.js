// Short messages in the corner. They leave by themselves; errors stay longer.

import { h } from "./dom.js";

const SHOWN_MS = 4_500;
const ERROR_SHOWN_MS = 8_000;
const box = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
document.body.append(box);

export function toast(text, { bad = false, href = null } = {}) {
  const element = h(href ? "a" : "div", { class: bad ? "toast bad" : "toast", href, role: bad ? "alert" : null }, text);
  element.addEventListener("click", () => element.remove());
  box.append(element);
  while (box.children.length > 3) box.firstChild.remove();
  setTimeout(() => element.remove(), bad ? ERROR_SHOWN_MS : SHOWN_MS);
}

export function toastError(error) {
  if (!error.code) throw error;
  toast(error.message, { bad: true });
}
