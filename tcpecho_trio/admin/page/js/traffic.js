// What passes: messages, replies, and who comes and goes, as the server samples it.

import { shownText } from "./display.js";
import { byId, el, setText } from "./dom.js";
import { clock, duration, known, onLanguage, short, t } from "./i18n.js";
import { LogView } from "./log_view.js";
import { matches } from "./matching.js";

/** Rows that are kept: some minutes of a class, a moment of a load test. */
const MOST = 250;

/** Characters of one message that are shown. */
const LENGTH = 240;

/** Milliseconds for which the page says that it shows a sample only. */
const SAMPLED = 4000;

/** Events that say how many others were left out. */
const OMITTED = new Set(["more_messages", "more_connections", "dropped"]);

/** Events that need no row: the page shows them elsewhere. */
const ELSEWHERE = new Set(["sample"]);

export class Traffic {
  constructor() {
    this.filter = "";
    this.sampledUntil = 0;
    this.view = new LogView(
      byId("traffic-rows"),
      MOST,
      (item) => this.row(item),
      (count) => ({ name: "more_messages", fields: { count }, time: Date.now() }),
    );
    this.button = byId("pause");
    this.button.addEventListener("click", () => this.pause(!this.view.paused));
    this.timer = 0;
    onLanguage(() => {
      this.view.redraw();
      this.note();
    });
  }

  /** Take an event of the server, or one of the page's own. */
  add(name, fields) {
    if (ELSEWHERE.has(name) || !this.wanted(fields)) return;
    if (name === "more_messages" || name === "dropped") {
      this.sampledUntil = performance.now() + SAMPLED;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.note(), SAMPLED + 50);
    }
    this.view.add({ name, fields, time: Date.parse(fields.timestamp) || Date.now() });
    this.note();
  }

  /** Show only what concerns clients that match. */
  show(filter) {
    this.filter = filter;
    this.view.clear();
    this.note();
  }

  pause(paused) {
    this.view.pause(paused);
    this.button.setAttribute("aria-pressed", String(paused));
    this.note();
  }

  wanted(fields) {
    return !this.filter || fields.client === undefined || matches(fields, this.filter);
  }

  note() {
    const { paused, missed, empty } = this.view;
    const said = [];
    if (paused) said.push(t("traffic.paused", { count: missed }));
    else if (performance.now() < this.sampledUntil) said.push(t("traffic.sampled"));
    if (this.filter) said.push(t("traffic.filtered", { filter: shownText(this.filter, 40) }));
    setText(byId("traffic-note"), said.join(" · "));
    setText(this.button, t(paused ? "traffic.resume" : "traffic.pause"));
    byId("traffic-empty").hidden = !empty;
  }

  row({ name, fields, time }) {
    const when = el("time", { class: "when" }, clock(time));
    if (OMITTED.has(name)) {
      const text = t(`traffic.${name.replace("_", "-")}`, { count: fields.count });
      return el("div", { class: "row omitted" }, when, el("span", { class: "what" }, text));
    }
    const children = [when];
    if (fields.client !== undefined) {
      const client = shownText(fields.client, 80);
      children.push(el("bdi", { class: "who", title: client }, client));
    }
    if (name === "received" || name === "replied") {
      const said = el("span", { class: "unseen" }, `${t(`traffic.${name}`)}: `);
      const text = el("bdi", { class: "text" }, shownText(fields.text ?? "", LENGTH));
      const cut = fields.cut && !String(fields.text).endsWith("…") ? ["…"] : [];
      return el(
        "div",
        { class: `row ${name}` },
        ...children,
        el("span", { class: "what" }, said, text, ...cut),
      );
    }
    const what = el("span", { class: "what" }, this.told(name, fields));
    return el("div", { class: `row event ${serious(name)}` }, ...children, what);
  }

  told(name, fields) {
    const web = name === "connected" && fields.listener === "web";
    const key = web ? "traffic.connected-web" : `traffic.${name}`;
    if (!known(key)) return shownText(name);
    const values = {};
    for (const [field, value] of Object.entries(fields)) {
      values[field] = typeof value === "number" ? value : shownText(value);
    }
    if (name === "faults_changed") {
      values.faults = fields.faults ? shownText(fields.faults) : t("traffic.no-faults");
    }
    if (name === "worker_died") {
      values.cause = values.signal ?? t("workers.code", { code: values.code });
    }
    if (known(`reason.${fields.reason}`)) values.reason = t(`reason.${fields.reason}`);
    if (fields.seconds !== undefined) values.time = short(fields.seconds);
    const text = t(key, values);
    if (name !== "closed" || fields.messages_in === undefined) return text;
    const time = fields.seconds < 60 ? short(fields.seconds) : duration(fields.seconds);
    return `${text} · ${t("traffic.closed-sums", { count: fields.messages_in, time })}`;
  }
}

const SERIOUS = new Set([
  ...["crashed", "accept_failed", "refused", "proxy_refused", "tls_refused", "foreign", "lost"],
  ...["shutdown_refused", "draining", "cutting", "stopped", "shutdown_delayed"],
  ...["worker_died", "worker_hung", "worker_not_started", "worker_said", "replacement_stopped"],
]);

const serious = (name) => (SERIOUS.has(name) ? "serious" : "");
