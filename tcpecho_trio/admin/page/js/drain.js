// Ending the server: only after a second question.

import * as api from "./api.js";
import { announce } from "./announce.js";
import { byId, setText } from "./dom.js";
import { t } from "./i18n.js";

let clients = 0;
let asking = null;

/** How many would be disconnected. */
export function connectedNow(count) {
  clients = count;
}

/** Ask whether the whole server shall end. */
export function confirmDrain() {
  const dialog = byId("drain");
  if (asking) return asking;
  setText(byId("drain-text"), clients ? t("drain.text", { count: clients }) : t("drain.text-none"));
  dialog.returnValue = "no";
  dialog.showModal();
  asking = new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        resolve(dialog.returnValue === "yes");
      },
      { once: true },
    );
  });
  return asking;
}

/** Make the button work; `failed(error, true)` is told of a request that was not done. */
export function beginDrain(failed) {
  byId("drain-open").addEventListener("click", async () => {
    if (!(await confirmDrain())) return;
    try {
      await api.drain();
      announce(t("drain.asked"));
    } catch (error) {
      failed(error, true);
    }
  });
}
