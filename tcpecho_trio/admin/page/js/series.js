// The last five minutes: totals a second, as the server samples them, and the rates between them.

/** Seconds that are kept. */
export const SPAN = 300;

/** Seconds between two samples after which the line is interrupted: nobody looked meanwhile. */
const GAP = 5;

const COUNTERS = ["messages_in", "messages_out", "bytes_in", "bytes_out", "accepted"];

export class Series {
  constructor() {
    /** Points in the order of time: `{time, clients, delay, messages_in, …}`, rates a second. */
    this.points = [];
    this.last = null;
  }

  /** Take one sample. One that is not newer than the last (they come again after a reconnect) is left out. */
  add(sample) {
    const time = Date.parse(sample.time) / 1000;
    if (!Number.isFinite(time)) return;
    const before = this.last;
    if (before && time <= before.time) return;
    this.last = { ...sample, time };
    const seconds = before ? time - before.time : 0;
    // A counter that went back is that of another run of the server.
    const restarted = before && COUNTERS.some((name) => sample[name] < before[name]);
    if (!before || restarted || seconds > GAP) {
      if (this.points.length) this.points.push({ time: time - 0.001, gap: true });
    } else {
      const point = { time, clients: sample.clients, delay: sample.loop_delay };
      for (const name of COUNTERS)
        point[name] = ((sample[name] ?? 0) - (before[name] ?? 0)) / seconds;
      this.points.push(point);
    }
    const oldest = time - SPAN - 2;
    let old = 0;
    while (old < this.points.length && this.points[old].time < oldest) old += 1;
    if (old) this.points.splice(0, old);
  }

  /** The newest point, if there is one that says something. */
  get now() {
    const point = this.points.at(-1);
    return point && !point.gap ? point : null;
  }
}
