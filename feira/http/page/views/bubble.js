// A message as a bubble, and the ticks that say how far it got.

import { fill, h } from "../dom.js";
import { session } from "../feira.js";
import { time } from "../format.js";
import { icon } from "../icons.js";

/** `joined` to the one before it; `resend()` tries a failed one again. */
export function bubble(message, { joined, resend }) {
  const mine = message.sender === session.user.id;
  return h("li", { class: `message ${mine ? "mine" : "theirs"} ${joined ? "joined" : ""} ${message.failed ? "failed" : ""}` },
    h("div", { class: "bubble" }, h("span", { class: "said" }, message.text),
      h("span", { class: "foot" }, h("time", { datetime: message.at }, time(message.at)),
        mine && h("span", { class: "tick", "data-seq": message.seq ?? "" }))),
    message.failed && h("div", { class: "note bad small" }, message.failed, " ",
      h("button", { class: "link", onclick: resend }, "Send again")));
}

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
