// What one may do with a message, looking for one, and calling support: the small dialogs of a thread.

import { ask } from "../dialog.js";
import { busy, field, fill, h } from "../dom.js";
import { api, session } from "../feira.js";
import { dayAndTime } from "../format.js";
import { toast, toastError } from "../toast.js";

const QUICK = ["👍", "❤️", "😂", "😮", "🙏", "✅"];
const EDIT_WITHIN_MS = 15 * 60_000;

/** Resolves to { react } with an emoji, { reply }, { edit }, { remove }, or {} when nothing was chosen. */
export function chooseAction({ at, body }) {
  const mine = body.sender === session.user.id;
  return choose("What now?", (done) => [
    h("div", { class: "row quick" }, QUICK.map((emoji) => h("button", { class: "emoji", onclick: () => done({ react: emoji }) }, emoji))),
    h("button", { class: "button quiet", onclick: () => done({ reply: true }) }, "Reply"),
    mine && Date.now() - new Date(at) < EDIT_WITHIN_MS && h("button", { class: "button quiet", onclick: () => done({ edit: true }) }, "Edit"),
    mine && h("button", { class: "button danger", onclick: () => done({ remove: true }) }, "Delete for everybody")]);
}

/** Look for words in a conversation; resolves to { seq } of the message that was picked, or {}. */
export function searchConversation(id) {
  return choose("Find in this conversation", (done) => {
    const found = h("ul", { class: "found", "aria-live": "polite" });
    const more = h("div", {});
    const show = async (words, before) => {
      const query = new URLSearchParams({ q: words, ...(before && { before }) });
      const page = await api.get(`/v1/conversations/${id}/search?${query}`);
      if (!before) found.replaceChildren();
      found.append(...page.items.map((item) => h("li", {}, h("button", { class: "hit", onclick: () => done({ seq: item.seq }) }, h("span", { class: "small muted" }, dayAndTime(item.at)), h("span", { class: "clip" }, item.body.text)))));
      if (!found.children.length && !page.next_before) found.append(h("li", { class: "muted" }, "Nothing like that was said."));
      fill(more, page.next_before && h("button", { class: "button quiet low", onclick: (event) => busy(event.currentTarget, () => show(words, page.next_before)).catch(toastError) }, "Look further back"));
    };
    const words = field("Words", { name: "q", type: "search", maxlength: 200, required: true });
    return [h("form", { class: "stack", onsubmit: (event) => { event.preventDefault(); show(words.input.value).catch(toastError); } }, words, h("button", { class: "button" }, "Find")), found, more];
  });
}

export async function callSupport(id) {
  const given = await ask("What should support help with?", "Call support", [field("In a sentence or two; both sides can read it", { name: "reason", maxlength: 500, required: true })]);
  if (!given) return;
  await api.post(`/v1/conversations/${id}/support-request`, given);
  toast("Support has been asked to join.");
}

function choose(title, build) {
  return new Promise((resolve) => {
    let chosen = {};
    const done = (choice) => { chosen = choice; dialog.close(); };
    const dialog = h("dialog", { "aria-label": title, onclose: () => { dialog.remove(); resolve(chosen); } },
      h("div", { class: "stack" }, h("h2", {}, title), build(done), h("button", { class: "button quiet", onclick: () => dialog.close() }, "Never mind")));
    document.body.append(dialog);
    dialog.showModal();
  });
}
