// What a screen reader says: one line at a time, politely.

import { byId } from "./dom.js";

/** Say this line to whoever listens instead of looking. */
export function announce(text) {
  byId("announcer").textContent = text;
}
