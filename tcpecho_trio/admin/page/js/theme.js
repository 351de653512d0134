// Light, dark, or as the system has it: a projector wants what a desk does not.

import { byId } from "./dom.js";
import { onLanguage, t } from "./i18n.js";
import { remember, remembered } from "./preferences.js";

const THEMES = ["auto", "light", "dark"];
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };

/** Make the button work, and use the theme that was chosen before. */
export function beginTheme() {
  let theme = THEMES.includes(remembered("theme")) ? remembered("theme") : "auto";
  const button = byId("theme");
  const show = () => {
    document.documentElement.dataset.theme = theme;
    button.textContent = SIGNS[theme];
    button.title = t(`theme.${theme}`);
    button.setAttribute("aria-label", t(`theme.${theme}`));
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    remember("theme", theme);
    show();
  });
  onLanguage(show);
  show();
}
