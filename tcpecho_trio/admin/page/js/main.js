// Puts the page together: what the server tells goes to the parts that show it.

import * as api from "./api.js";
import { announce } from "./announce.js";
import { Clients } from "./clients.js";
import { Conversation } from "./conversation.js";
import { shownText } from "./display.js";
import { beginDrain, connectedNow } from "./drain.js";
import { Faults } from "./faults.js";
import { Feed } from "./feed.js";
import { Header } from "./header.js";
import { begin, t } from "./i18n.js";
import { Plots } from "./plots.js";
import { askForToken } from "./session.js";
import { beginTheme } from "./theme.js";
import { Traffic } from "./traffic.js";
import { Workers } from "./workers.js";

/** Milliseconds between two readings of the status, if nothing happens. */
const PERIOD = 2000;

/** Events after which the status is another one. */
const TELLING = new Set([
  ...["listening", "shutdown_delayed", "draining", "stopped", "faults_changed"],
  ...["worker_ready", "worker_ended", "worker_died", "worker_replaced"],
]);

class Page {
  constructor() {
    this.started = null; // when this run of the server began
    this.timer = 0;
    this.contact = null;
    this.locked = false; // the token is asked for
    beginTheme();
    this.header = new Header();
    this.plots = new Plots();
    this.traffic = new Traffic();
    this.faults = new Faults();
    this.workers = new Workers();
    this.conversation = new Conversation({ own: (number) => this.own(number) });
    const failed = (error, told) => this.failed(error, told);
    this.clients = new Clients({ filtered: (text) => this.filtered(text), failed });
    beginDrain(failed);
    this.feed = new Feed({
      opened: () => this.opened(),
      event: (name, fields) => this.event(name, fields),
      lost: () => this.lost(),
    });
  }

  async start() {
    await this.read();
    if (!this.locked) this.feed.open();
  }

  opened() {
    const back = this.contact === false;
    this.contact = true;
    this.header.reach(true);
    this.clients.start();
    this.read(back);
  }

  lost() {
    if (this.contact !== false) this.traffic.add("lost", {});
    this.contact = false;
    this.header.reach(false);
    this.clients.stop();
    api.status().catch((error) => this.failed(error));
  }

  event(name, fields) {
    if (name === "sample") {
      this.plots.add(fields);
      this.count(fields.clients);
      if (this.header.differs(fields)) this.soon();
    }
    this.traffic.add(name, fields);
    if (name === "connected" || name === "closed") this.clients.moved();
    if (TELLING.has(name)) this.soon();
  }

  count(clients) {
    this.clients.count(clients, this.header.status?.max_connections ?? 0);
    connectedNow(clients);
  }

  own(number) {
    this.clients.own = number;
    this.clients.soon();
  }

  filtered(text) {
    if (text === this.feed.contains) return;
    this.traffic.show(text);
    this.feed.open(text);
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.read(), 50);
  }

  /** Read the status; `back` says that the contact was lost before. */
  async read(back = false) {
    clearTimeout(this.timer);
    try {
      const status = await api.status();
      const restarted = this.started !== null && this.started !== status.started;
      this.started = status.started;
      this.clients.several = status.listeners.length > 1;
      this.clients.ahead(Date.parse(status.started) / 1000 + status.uptime);
      this.header.show(status);
      this.conversation.speaks(status.dialect);
      this.faults.show(status.faults);
      this.workers.show(status.workers);
      this.count(status.clients);
      if (back || restarted) {
        this.traffic.add(restarted ? "restarted" : "back", {});
        announce(t(restarted ? "banner.restarted" : "banner.back"));
      }
      return true;
    } catch (error) {
      this.failed(error);
      return false;
    } finally {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.contact && this.read(), PERIOD);
    }
  }

  /** A request was not done; `told` says that a person asked for it. */
  failed(error, told = false) {
    if (error.status === 401) {
      this.ask();
    } else if (told) {
      const detail = shownText(error.message);
      announce(error.status ? t("error.failed", { detail }) : t("error.unreachable"));
    }
  }

  async ask() {
    if (this.locked) return;
    this.locked = true;
    this.feed.close();
    this.clients.stop();
    await askForToken();
    this.locked = false;
    this.feed.open();
  }
}

await begin();
new Page().start();
