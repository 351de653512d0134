// Who is connected: the first rows of what matches the filter, read every two seconds.

import * as api from "./api.js";
import { announce } from "./announce.js";
import { shownText } from "./display.js";
import { byId, el, setText } from "./dom.js";
import { bytes, duration, number, onLanguage, t } from "./i18n.js";

/** Rows that are shown; more would be scrolled through by nobody. */
const MOST = 200;

/** Milliseconds between two readings. */
const PERIOD = 2000;

/** Milliseconds between two readings while clients come and go. */
const BUSY = 1000;

/** Milliseconds after the last key before the filter counts. */
const TYPING = 250;

/** Whether it is a client of another server of the cluster: only its address is known. */
const elsewhere = (client) => client.number === null;

/** What tells two clients apart. */
const keyOf = (client) =>
  elsewhere(client) ? `${client.server} ${client.client}` : client.number;

export class Clients {
  /**
   * @param {object} tell `filtered(text)` when the filter changes, `failed(error)`
   */
  constructor(tell) {
    this.tell = tell;
    this.several = false; // whether the server listens in more than one place
    this.own = null; // the number of the page's own conversation
    this.answer = { clients: [], total: 0 };
    this.rows = new Map(); // number → the parts of its row
    this.timer = 0;
    this.due = 0; // when it is read again, and
    this.when = -Infinity; // when it was read last, on the page's own clock
    this.skew = 0; // seconds by which the server's clock is ahead of ours
    this.running = false;
    this.filter = byId("filter");
    let typing = 0;
    this.filter.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.filtered(), TYPING);
    });
    onLanguage(() => {
      this.rows.clear();
      byId("clients-rows").replaceChildren();
      this.draw();
    });
    document.addEventListener("visibilitychange", () => !document.hidden && this.soon());
  }

  /** Read now and every two seconds from now on. */
  start() {
    this.running = true;
    this.soon();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
    this.timer = 0;
  }

  /** The server's clock says this, in seconds. */
  ahead(now) {
    this.skew = now - Date.now() / 1000;
  }

  /** Show only one client's row and messages; the same once more shows all again. */
  only(client) {
    this.filter.value = this.filter.value === client ? "" : client;
    this.filtered();
  }

  filtered() {
    this.tell.filtered(this.filter.value.trim());
    this.soon();
  }

  /** Somebody came or went. */
  moved() {
    this.plan(Math.max(0, BUSY - (performance.now() - this.when)));
  }

  /** Read again at once: a person waits for it. */
  soon() {
    this.plan(0);
  }

  plan(pause) {
    const due = performance.now() + pause;
    if (!this.running || (this.timer && this.due <= due)) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(() => this.read(), pause);
  }

  async read() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.when = performance.now();
    const asked = this.filter.value.trim();
    if (!document.hidden) {
      try {
        const answer = await api.clients(asked, MOST);
        if (asked === this.filter.value.trim()) {
          this.answer = answer;
          this.draw();
        }
      } catch (error) {
        this.tell.failed(error);
      }
    }
    this.plan(PERIOD);
  }

  /** How many are connected, of how many. */
  count(clients, max) {
    setText(byId("clients-count"), t("clients.of", { count: clients, max }));
  }

  draw() {
    const body = byId("clients-rows");
    const { clients, total } = this.answer;
    const there = new Set(clients.map(keyOf));
    for (const [key, row] of this.rows) {
      if (there.has(key)) continue;
      if (row.element.contains(document.activeElement)) this.keepFocus(row.element);
      row.element.remove();
      this.rows.delete(key);
    }
    clients.forEach((client, place) => {
      let row = this.rows.get(keyOf(client));
      if (!row) {
        row = this.make(client);
        this.rows.set(keyOf(client), row);
      }
      this.fill(row, client);
      if (body.children[place] !== row.element)
        body.insertBefore(row.element, body.children[place] ?? null);
    });
    const more = total - clients.length;
    const none = this.filter.value ? t("clients.no-match") : t("clients.none");
    const note = clients.length === 0 ? none : more > 0 ? t("clients.more", { count: more }) : "";
    setText(byId("clients-note"), note);
    byId("clients-note").classList.toggle("alone", clients.length === 0);
  }

  /** A row with the focus goes away: the next one gets it, or the filter. */
  keepFocus(element) {
    const next = element.nextElementSibling ?? element.previousElementSibling;
    (next?.querySelector("button") ?? this.filter).focus();
  }

  make(client) {
    const name = shownText(client.client, 80);
    const who = el(
      "button",
      {
        type: "button",
        class: "who link",
        title: t("clients.only", { client: name }),
        onclick: () => this.only(client.client),
      },
      el("bdi", {}, name),
    );
    const marks = el("span", { class: "marks" });
    const since = el("td", { class: "number" });
    const messages = el("td", { class: "number" });
    const size = el("td", { class: "number" });
    const go = el(
      "button",
      {
        type: "button",
        class: "quiet small",
        title: t("clients.disconnect-one", { client: name }),
        "aria-label": t("clients.disconnect-one", { client: name }),
        onclick: () => this.disconnect(client.number, name, go),
      },
      "✕",
    );
    const element = el(
      "tr",
      {},
      el("th", { scope: "row" }, who, marks),
      since,
      messages,
      size,
      el("td", { class: "act" }, ...(elsewhere(client) ? [] : [go])),
    );
    return { element, marks, since, messages, size, told: "" };
  }

  fill(row, client) {
    const age = Date.now() / 1000 + this.skew - Date.parse(client.since) / 1000;
    setText(row.since, elsewhere(client) ? "–" : duration(age));
    setText(
      row.messages,
      client.messages_in === undefined || client.messages_in === null
        ? "–"
        : number(client.messages_in),
    );
    setText(row.size, elsewhere(client) ? "–" : bytes(client.bytes_in + client.bytes_out));
    const marks = this.marks(client);
    const told = marks.map(([role, text]) => role + text).join();
    if (told === row.told) return;
    row.told = told;
    row.marks.replaceChildren(
      ...marks.map(([role, text]) => el("span", { class: `mark-${role}` }, text)),
    );
  }

  marks(client) {
    const marks = [];
    if (this.own !== null && client.number === this.own) marks.push(["you", t("clients.you")]);
    if (this.several && client.listener) marks.push(["via", t("clients.via", { listener: shownText(client.listener, 60) })]);
    if (client.server) {
      marks.push(["via", t("clients.server", { server: shownText(client.server, 60) })]);
    }
    if (client.worker) {
      marks.push(["via", t("clients.worker", { worker: shownText(client.worker, 20) })]);
    }
    if (client.tls) marks.push(["tag", shownText(client.tls.version ?? "TLS", 20)]);
    if (client.proxy) marks.push(["tag", "PROXY"]);
    for (const fault of (client.faults ?? []).slice(0, 5))
      marks.push(["fault", shownText(fault, 40)]);
    return marks;
  }

  async disconnect(number, name, button) {
    // Not `disabled`: that would take the focus away.
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      await api.disconnect(number);
      announce(t("clients.disconnected", { client: name }));
    } catch (error) {
      if (error.status === 404) announce(t("clients.gone", { client: name }));
      else {
        button.setAttribute("aria-disabled", "false");
        this.tell.failed(error, true);
      }
    }
    this.soon();
  }
}
