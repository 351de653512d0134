// What stands at the top: how the server is, where it listens, and what a person has to know now.

import { announce } from "./announce.js";
import { shownText } from "./display.js";
import { byId, el, setText } from "./dom.js";
import { duration, number, onLanguage, t } from "./i18n.js";

export class Header {
  constructor() {
    this.status = null;
    this.taken = 0; // when the status was read, on the page's own clock
    this.contact = null; // null: not yet; then true or false
    this.ending = false; // whether the server was ending when it was last heard of
    this.said = "";
    setInterval(() => this.tick(), 1000);
    onLanguage(() => this.draw());
  }

  /** The server said this of itself. */
  show(status) {
    this.status = status;
    this.taken = performance.now();
    this.ending = status.phase === "draining" || status.phase === "stopped";
    this.draw();
  }

  /** Whether a sample says something else than the status that is shown. */
  differs({ phase, clients }) {
    if (!this.status) return false;
    const full = clients >= this.status.max_connections;
    return phase !== this.status.phase || full !== (this.status.reason === "full");
  }

  /** Whether the server is heard. */
  reach(contact) {
    this.contact = contact;
    this.draw();
  }

  get phase() {
    if (this.contact === false) return "lost";
    // Only who is heard from is known to run: a status that came before the events may be old.
    return this.contact ? (this.status?.phase ?? "waiting") : "waiting";
  }

  draw() {
    const { phase, status } = this;
    byId("phase").dataset.phase = phase;
    setText(byId("phase-text"), t(`phase.${phase}`));
    const banner = this.banner(phase);
    setText(byId("banner"), banner);
    byId("banner").hidden = !banner;
    byId("banner").dataset.phase = phase;
    const active = phase === "running" || phase === "delaying";
    byId("drain-open").disabled = !active;
    byId("faults-open").disabled = !active;
    if (this.said && this.said !== phase && !banner) announce(t(`phase.${phase}`));
    this.said = phase;
    if (!status) return;
    const name = shownText(status.server, 60);
    setText(byId("server-name"), name);
    document.title = `${phase === "running" ? "" : `${t(`phase.${phase}`)} · `}${name} · tcpecho`;
    this.facts();
  }

  banner(phase) {
    if (phase === "lost") return t(this.ending ? "banner.ended" : "banner.lost");
    if (phase === "draining") return t("banner.draining", { count: this.status.clients });
    if (phase === "delaying") return t("banner.delaying");
    if (this.status?.reason === "full") return t("banner.full");
    if (this.status?.reason === "no_workers") return t("banner.no-workers");
    return "";
  }

  facts() {
    const { listeners, dialect, totals, version } = this.status;
    const refused = Object.values(totals.refused).reduce((sum, count) => sum + count, 0);
    const list = listeners.slice(0, 8).map((listener) => shownText(listener, 80));
    const told = [
      ["listeners", list.join(" · ") || "–"],
      ["dialect", shownText(dialect.name, 40)],
      ["uptime", duration(this.uptime())],
      ["accepted", number(totals.accepted)],
      ["messages", number(totals.messages_in ?? 0)],
      ...(refused ? [["refused", number(refused)]] : []),
      ["version", shownText(version, 40)],
    ];
    const facts = byId("facts");
    if (facts.children.length !== told.length) {
      facts.replaceChildren(
        ...told.map(([name]) => el("div", { class: `fact fact-${name}` }, el("dt"), el("dd"))),
      );
    }
    told.forEach(([name, text], place) => {
      setText(facts.children[place].firstChild, t(`facts.${name}`));
      setText(facts.children[place].lastChild, text);
    });
  }

  uptime() {
    const since = this.contact === false ? 0 : (performance.now() - this.taken) / 1000;
    return this.status.uptime + since;
  }

  tick() {
    if (this.status && this.contact && !document.hidden) this.facts();
  }
}
