// Faults on purpose: which ones the clients suffer that come from now on.

import * as api from "./api.js";
import { announce } from "./announce.js";
import { shownText } from "./display.js";
import { byId, el, setText } from "./dom.js";
import { known, onLanguage, t } from "./i18n.js";

/** The kinds, and for those that have an amount: its unit in a fault's name, least and usual. */
const KINDS = {
  delay: { unit: "ms", least: 0, usual: 500 },
  drip: { unit: "", least: 1, usual: 20 },
  stall: null,
  close: { unit: "", least: 0, usual: 10 },
  reset: { unit: "", least: 0, usual: 10 },
};

export class Faults {
  constructor() {
    this.faults = [];
    this.dialog = byId("faults");
    this.kind = byId("fault-kind");
    this.amount = byId("fault-amount");
    for (const kind of Object.keys(KINDS)) this.kind.append(el("option", { value: kind }));
    byId("faults-open").addEventListener("click", () => {
      this.error("");
      this.dialog.showModal();
    });
    byId("faults-close").addEventListener("click", () => this.dialog.close());
    byId("faults-clear").addEventListener("click", () => this.change(() => []));
    this.kind.addEventListener("change", () => this.chosen());
    byId("faults-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const fault = this.written();
      this.change((faults) => [...faults, fault]);
    });
    onLanguage(() => {
      for (const option of this.kind.options) option.textContent = t(`faults.${option.value}`);
      this.chosen(false);
      this.draw();
    });
    this.chosen();
  }

  /** These are the faults now. */
  show(faults) {
    if (faults.join() === this.faults.join()) return;
    this.faults = faults;
    this.draw();
  }

  chosen(fresh = true) {
    const amount = KINDS[this.kind.value];
    byId("fault-amount-label").hidden = !amount;
    this.amount.disabled = !amount;
    if (!amount) return;
    setText(byId("fault-amount-text"), t(`faults.amount-${this.kind.value}`));
    this.amount.min = amount.least;
    if (fresh) this.amount.value = amount.usual;
  }

  /** The fault of the form, as `--fault` takes it. */
  written() {
    const kind = this.kind.value;
    const amount = KINDS[kind] ? `:${this.amount.value}${KINDS[kind].unit}` : "";
    const share = byId("fault-share").value;
    return `${kind}${amount}${share === "100" ? "" : `@${share / 100}`}`;
  }

  /** Change the list that holds at this moment: another page may have changed it, too. */
  async change(changed) {
    this.error("");
    try {
      const { faults } = await api.status();
      const answer = await api.setFaults(changed(faults));
      this.show(answer.faults);
      const count = answer.faults.length;
      announce(count ? t("faults.changed", { count }) : t("faults.cleared"));
    } catch (error) {
      this.error(
        error.status
          ? t("error.failed", { detail: shownText(error.message) })
          : t("error.unreachable"),
      );
    }
  }

  error(text) {
    setText(byId("faults-error"), text);
  }

  draw() {
    const count = this.faults.length;
    setText(byId("faults-open"), count ? t("faults.open-count", { count }) : t("faults.open"));
    byId("faults-open").classList.toggle("active", count > 0);
    byId("faults-clear").disabled = count === 0;
    const inside = byId("faults-list").contains(document.activeElement);
    byId("faults-list").replaceChildren(
      ...this.faults.map((fault, place) => this.item(fault, place)),
    );
    if (!count) byId("faults-list").append(el("li", { class: "note" }, t("faults.none")));
    if (inside) (byId("faults-list").querySelector("button") ?? this.kind).focus();
  }

  item(fault, place) {
    const name = shownText(fault, 80);
    const key = `faults.${fault.match(/^[a-z]+/)?.[0]}`;
    const remove = () => this.change((faults) => without(faults, fault, place));
    return el(
      "li",
      {},
      el("code", {}, name),
      el("span", { class: "grow" }, known(key) ? t(key) : ""),
      el(
        "button",
        {
          type: "button",
          class: "small",
          "aria-label": t("faults.remove-one", { fault: name }),
          onclick: remove,
        },
        t("faults.remove"),
      ),
    );
  }
}

/** A list without one item: that at its place, or the first that equals it. */
function without(faults, fault, place) {
  const found = faults[place] === fault ? place : faults.indexOf(fault);
  return faults.filter((_, index) => index !== found);
}
