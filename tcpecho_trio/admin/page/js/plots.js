// The five plots of the last five minutes.

import { byId } from "./dom.js";
import { bytes, rate, short } from "./i18n.js";
import { Plot } from "./plot.js";
import { Series } from "./series.js";

const SHAPES = [
  {
    title: "plots.messages",
    lines: [
      { value: "messages_in", name: "plots.in", role: "first" },
      { value: "messages_out", name: "plots.out", role: "second" },
    ],
    write: rate,
    tick: rate,
    least: 2,
  },
  {
    title: "plots.bytes",
    lines: [
      { value: "bytes_in", name: "plots.in", role: "first" },
      { value: "bytes_out", name: "plots.out", role: "second" },
    ],
    write: bytes,
    tick: bytes,
    least: 100,
  },
  {
    title: "plots.clients",
    lines: [{ value: "clients", role: "first" }],
    write: rate,
    tick: rate,
    least: 2,
  },
  {
    title: "plots.connections",
    lines: [{ value: "accepted", role: "first" }],
    write: rate,
    tick: rate,
    least: 2,
  },
  {
    title: "plots.delay",
    lines: [{ value: "delay", role: "first" }],
    write: short,
    tick: short,
    least: 0.002,
  },
];

/** Milliseconds until samples are drawn: those of five minutes come in one go. */
const SOON = 40;

export class Plots {
  constructor() {
    this.series = new Series();
    this.plots = SHAPES.map((shape) => new Plot(shape));
    byId("plots").append(...this.plots.map((plot) => plot.element));
    this.timer = 0;
    document.addEventListener("visibilitychange", () => this.later());
  }

  add(sample) {
    this.series.add(sample);
    this.later();
  }

  later() {
    if (this.timer || document.hidden) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      for (const plot of this.plots) plot.show(this.series.points);
    }, SOON);
  }
}
