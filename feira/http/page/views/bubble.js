// A message as a bubble with what became of it, and the ticks that say how far it got.

import { fill, h } from "../dom.js";
import { session } from "../feira.js";
import { time } from "../format.js";
import { icon } from "../icons.js";

/** `joined` to the one before it. `on`: resend(message), act(message), react(message, emoji), jump(seq); `name(user)`. */
export function bubble(message, { joined, on, name }) {
  const { seq, at, body, reactions, reply, failed } = message;
  const mine = body.sender === session.user.id;
  const said = body.deleted_at ? h("em", { class: "said muted" }, "This message was deleted") : h("span", { class: "said" }, body.text);
  return h("li", { class: `message ${mine ? "mine" : "theirs"} ${joined ? "joined" : ""} ${failed ? "failed" : ""}`, "data-seq": seq ?? "" },
    h("div", { class: "bubble" },
      reply && h("button", { class: "quote", onclick: () => on.jump(reply.seq) }, h("span", { class: "strong" }, name(reply.sender)), h("span", { class: "clip" }, quoteText(reply))),
      said,
      h("span", { class: "foot" },
        body.edited_at && h("span", { title: `Edited at ${time(body.edited_at)}` }, "edited"),
        h("time", { datetime: at }, time(at)),
        mine && !body.deleted_at && h("span", { class: "tick", "data-seq": seq ?? "" }),
        seq && !body.deleted_at && h("button", { class: "more", "aria-label": "Reply, react and more", onclick: () => on.act(message) }, "⋯"))),
    reactions?.length > 0 && h("div", { class: "reactions" }, reactions.map(({ emoji, users }) => h("button", {
      class: "reaction", "aria-pressed": String(users.includes(session.user.id)), title: users.map(name).join(", "),
      "aria-label": `${emoji}, ${users.length}`, onclick: () => on.react(message, emoji) }, emoji, h("span", { class: "number" }, users.length)))),
    failed && h("div", { class: "note bad small" }, failed, " ",
      h("button", { class: "link", onclick: () => on.resend(message) }, "Send again")));
}

/** A line between the messages: who came, who went. */
export function happening({ kind, by, display_name: who, reason }, name) {
  const told = { "member.added": `${who} from support joined`, "member.removed": `${who} from support left`, "support.requested": `${name(by)} called support: ${reason}` };
  return h("li", { class: "day" }, told[kind]);
}

const quoteText = ({ text, deleted }) => (deleted ? "Deleted message" : text ?? "");

/** Bring the ticks of own messages up to the others' cursors; only what changed is touched. */
export function showTicks(log, others) {
  const read = Math.max(0, ...others.map((one) => one.read_seq));
  const delivered = Math.max(read, ...others.map((one) => one.delivered_seq));
  for (const tick of log.querySelectorAll(".tick")) {
    const seq = Number(tick.dataset.seq);
    const [state, name, label] = !seq ? ["waiting", "clock", "Sending"] : seq <= read ? ["read", "checks", "Read"] : seq <= delivered ? ["delivered", "checks", "Delivered"] : ["sent", "check", "Sent"];
    if (tick.dataset.state === state) continue;
    tick.dataset.state = state;
    fill(tick, icon(name), h("span", { class: "sr" }, label));
  }
}
