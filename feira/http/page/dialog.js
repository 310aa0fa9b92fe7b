// A question in a small dialog.

import { h } from "./dom.js";

/** Ask for `fields`; resolves to the form's values by name, or null when it is closed. */
export function ask(title, action, fields) {
  return new Promise((resolve) => {
    const form = h("form", { method: "dialog", class: "stack" }, h("h2", {}, title), fields,
      h("div", { class: "row" }, h("button", { class: "button", value: "go" }, action), h("button", { class: "button quiet", type: "button", onclick: () => dialog.close() }, "Not now")));
    const dialog = h("dialog", { "aria-label": title, onclose: () => {
      dialog.remove();
      resolve(dialog.returnValue === "go" ? Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()])) : null);
    } }, form);
    document.body.append(dialog);
    dialog.showModal();
  });
}
