// Conversations beside the open thread; on a small screen one of the two.

import { fill, h } from "../dom.js";
import { api, listen, live, session } from "../feira.js";
import { when } from "../format.js";
import { icon } from "../icons.js";
import { avatar, pattern } from "../tiles.js";
import { offerLine } from "./offers.js";
import { openThread } from "./thread.js";

let known = []; // the list as last seen, so that changing threads does not blank it

export const partner = (conversation) => (conversation.buyer_id === session.user.id ? conversation.shop_name : conversation.buyer_name);
export const partnerKey = (conversation) => (conversation.buyer_id === session.user.id ? conversation.shop_id : conversation.buyer_id);

export async function chatView({ params, signal, go }) {
  const chosen = params.conversation ?? null;
  const list = h("ul", { class: "conversations" });
  const side = h("section", { class: "chat-side", "aria-label": "Conversations" }, h("h1", { class: "chat-title" }, "Chat"), list);
  const room = h("section", { class: "chat-room", "aria-label": "Messages" });
  const element = h("div", { class: `chat ${chosen ? "reading" : ""}` }, side, room);

  const render = () => fill(list, known.length === 0
    ? h("li", { class: "muted chat-none" }, "Nobody yet. Ask a seller something from one of their products.")
    : known.map((conversation) => row(conversation, conversation.id === chosen)));

  const reload = async () => {
    known = (await api.get("/v1/conversations?limit=100", { signal })).items;
    for (const one of known) live.setUnread(one.id, one.unread);
    render();
  };
  const first = reload();
  if (known.length === 0) await first;
  else render();

  listen(live, "unread", () => { render(); }, signal);
  // A message somewhere: its conversation moves to the top with its text.
  listen(live, "unread", ({ detail }) => {
    const moved = detail?.seq !== undefined && detail.seq !== known.find((one) => one.id === detail.conversation)?.seq;
    if (moved) reload().catch(ignoreAbort);
  }, signal);
  listen(live, "inbox", ({ detail }) => { if (detail.kind === "conversation.opened" || detail.kind === "conversation.left") reload().catch(ignoreAbort); }, signal);

  let thread = null;
  if (chosen) {
    const conversation = known.find((one) => one.id === chosen) ?? await api.get(`/v1/conversations/${chosen}`, { signal });
    thread = await openThread(room, conversation, { signal, go });
  } else {
    fill(room, h("div", { class: "empty" }, pattern("chat", { square: true }), h("h2", {}, "Pick a conversation"), h("p", {}, "Questions before buying, and everything about an order, live here.")));
  }
  first.catch(ignoreAbort);
  return { title: chosen ? "Chat" : "Chat", name: chosen ? "thread" : "chat", element, shown: () => thread?.shown(), close: () => thread?.close() };
}

function ignoreAbort(error) {
  if (error.name !== "AbortError" && !error.retryable) throw error;
}

function row(conversation, isChosen) {
  const unread = live.unreadIn(conversation.id);
  const last = conversation.last_message;
  const mine = (last?.sender ?? last?.actor) === session.user.id;
  return h("li", {}, h("a", { href: `/chat/${conversation.id}`, class: unread > 0 ? "conversation unread" : "conversation", "aria-current": isChosen ? "true" : null },
    avatar(partnerKey(conversation), partner(conversation)),
    h("span", { class: "grow" },
      h("span", { class: "conversation-top" }, h("span", { class: "strong clip" }, partner(conversation)), h("time", { class: "muted small", datetime: conversation.active_at }, when(conversation.active_at))),
      h("span", { class: "conversation-last" },
        h("span", { class: "clip muted small" }, last ? [mine && "You: ", last.offer ? offerLine(last) : last.deleted_at ? "Message deleted" : last.text ?? ""] : conversation.subject_title ?? "New conversation"),
        unread > 0 && h("span", { class: "badge" }, unread, h("span", { class: "sr" }, " unread"))))));
}

export function subjectLink(conversation) {
  if (conversation.subject_kind === "product") return h("a", { class: "subject clip", href: `/products/${conversation.subject_id}` }, conversation.subject_title ?? "the product");
  if (conversation.subject_kind === "order") return h("a", { class: "subject clip", href: `/orders/${conversation.subject_id}` }, icon("parcel"), "About an order");
  return null;
}
