// A server with a token asks for it once. What stays in the browser is a cookie that no script
// can read; the token itself is kept nowhere, and is never in an address.

import * as api from "./api.js";
import { byId, setText } from "./dom.js";
import { t } from "./i18n.js";

let asking = null;

/** Ask the reader for the token, until it is the right one. */
export function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = byId("token");
    const form = byId("token-form");
    const input = byId("token-input");
    const stay = (event) => event.preventDefault(); // without it there is nothing to see
    const submit = async (event) => {
      event.preventDefault();
      setText(byId("token-error"), "");
      try {
        await api.login(input.value.trim());
      } catch (error) {
        const key =
          error.status === 401
            ? "token.wrong"
            : error.status
              ? "error.failed"
              : "error.unreachable";
        setText(byId("token-error"), t(key, { detail: error.message }));
        input.select();
        return;
      }
      input.value = "";
      form.removeEventListener("submit", submit);
      dialog.removeEventListener("cancel", stay);
      dialog.close();
      asking = null;
      resolve();
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("cancel", stay);
    dialog.showModal();
  });
  return asking;
}
