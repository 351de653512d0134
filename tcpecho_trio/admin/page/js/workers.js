// The processes of a server that has several: who of them has how many clients, and who is silent.

import { byId, el } from "./dom.js";
import { duration, onLanguage, short, t } from "./i18n.js";

/** Processes that are shown; a machine with more cores has other means. */
const MOST = 64;

export class Workers {
  constructor() {
    this.workers = [];
    this.told = "";
    onLanguage(() => {
      this.told = "";
      this.draw();
    });
  }

  /** These are the workers now. */
  show(workers) {
    this.workers = Array.isArray(workers) ? workers.slice(0, MOST) : [];
    this.draw();
  }

  draw() {
    const strip = byId("workers");
    strip.hidden = this.workers.length === 0;
    const told = JSON.stringify(this.workers);
    if (told === this.told) return;
    this.told = told;
    byId("workers-list").replaceChildren(...this.workers.map(item));
  }
}

function item(worker) {
  const state = worker.stale ? "stale" : worker.retiring ? "retiring" : "well";
  const since = (Date.now() - Date.parse(worker.since)) / 1000;
  const about = t("workers.about", { pid: String(worker.pid), time: duration(since) });
  const said = worker.stale ? [] : [t("workers.delay", { time: short(worker.loop_delay ?? 0) })];
  if (state !== "well") said.push(t(`workers.${state}`));
  return el(
    "li",
    { class: `worker ${state}`, title: about },
    el("span", { class: "dot", "aria-hidden": "true" }),
    el("strong", {}, t("workers.one", { worker: String(worker.worker) })),
    el("span", {}, t("workers.clients", { count: Number(worker.clients) || 0 })),
    ...said.map((text) => el("span", { class: "said" }, text)),
  );
}
