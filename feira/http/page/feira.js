// The parts that every view shares, built once.

import { Api } from "./api.js";
import { Live } from "./live.js";
import { Session } from "./session.js";

export const session = new Session();
export const api = new Api(session);
export const live = new Live(session, api);

/** Listen for as long as a view is on the screen. */
export function listen(target, name, handler, signal) {
  target.addEventListener(name, handler, { signal });
}
