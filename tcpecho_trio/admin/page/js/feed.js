// The stream of events from the server, for as long as the page is open.
//
// An EventSource tries again by itself only after some failures and never after others (503, a
// wrong type), and it does not notice a network that is gone without a word. So each failure ends
// in a new one here, and a stream that is silent for too long counts as a failure: there is a
// sample every second.

const NAMES = [
  ...["listening", "connected", "received", "replied", "leaving", "closed", "probe", "refused"],
  ...["proxy_refused", "tls_refused", "faulty", "foreign", "shutdown_refused", "crashed"],
  ...["accept_failed", "shutdown_delayed", "draining", "cutting", "stopped", "more_messages"],
  ...["more_connections", "dropped", "sample", "faults_changed"],
  ...["worker_ready", "worker_ended", "worker_died", "worker_hung", "worker_not_started"],
  ...["worker_said", "worker_replaced", "workers_replaced", "replacement_stopped"],
];

/** Milliseconds before the next attempts: quick at first, for a restart takes a second. */
const PAUSES = [300, 700, 1000, 2000, 3000];

/** Milliseconds of silence after which nobody is there. */
const SILENCE = 15_000;

export class Feed {
  /**
   * @param {object} hear `opened()`, `event(name, fields)` and `lost()`; the last one is told once
   *   for each contact that ends, and once if the first attempt fails
   */
  constructor(hear) {
    this.hear = hear;
    this.contains = "";
    this.failures = 0;
    this.source = null;
    this.timer = 0;
    this.heard = 0;
  }

  /** Connect, or connect again now; with a text, only to events of the clients that match it. */
  open(contains = this.contains) {
    this.close();
    this.contains = contains;
    const query = contains ? `?${new URLSearchParams({ contains })}` : "";
    const source = new EventSource(`events${query}`);
    this.source = source;
    source.addEventListener("open", () => {
      if (source !== this.source) return;
      this.failures = 0;
      this.alive();
      this.hear.opened();
    });
    source.addEventListener("error", () => source === this.source && this.fail());
    for (const name of NAMES) {
      source.addEventListener(name, (message) => {
        if (source !== this.source) return;
        this.alive();
        let fields;
        try {
          fields = JSON.parse(message.data);
        } catch {
          return; // a proxy cut it
        }
        this.hear.event(name, fields);
      });
    }
    this.alive();
  }

  /** Stop listening. */
  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  alive() {
    this.heard = performance.now();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fail(), SILENCE);
  }

  fail() {
    this.close();
    const pause = PAUSES[Math.min(this.failures, PAUSES.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), pause);
    this.hear.lost();
  }
}
