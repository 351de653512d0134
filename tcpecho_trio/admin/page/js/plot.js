// A plot of the last five minutes: axes with units, one or two lines, the value under the pointer.

import { el, setText, svg } from "./dom.js";
import { clock, number, onLanguage, t } from "./i18n.js";
import { SPAN } from "./series.js";

const HEIGHT = 124;
const MARGIN = { right: 8, top: 10, bottom: 20 };

/** Pixels that a character of an axis takes, about; the axis has to fit its longest text. */
const CHARACTER = 6.3;

/** Pixels from which on there is room to name each minute. */
const WIDE = 400;

/** Lines across the plot, at most; more of them are noise at this size. */
const LINES = 3;

/**
 * The end of an axis and the step between its lines: 1, 2 or 5 times a power of ten.
 * @param {number} most the greatest value
 * @param {number} least the smallest end that makes sense for the unit
 */
export function scale(most, least) {
  const wanted = Number.isFinite(most) ? Math.max(most, least) : least;
  let power = 10 ** Math.floor(Math.log10(wanted / LINES));
  for (;;) {
    for (const factor of [1, 2, 5]) {
      const step = factor * power;
      const steps = Math.ceil(wanted / step - 1e-9);
      if (steps <= LINES) return { end: steps * step, step };
    }
    power *= 10;
  }
}

export class Plot {
  /**
   * @param {object} shape
   *   `title`: the key of its text; `lines`: `[{value, name, role}]`, where `value` is the name of
   *   a point's field, `name` the key of a text, and `role` the line's class; `write` writes a
   *   value with its unit, `tick` does so at the axis; `least` is the smallest end of the axis
   */
  constructor(shape) {
    this.shape = shape;
    this.points = [];
    this.width = 0;
    this.pointed = null;
    this.title = el("h2", { class: "plot-title" });
    this.figures = el("p", { class: "figures" });
    this.values = shape.lines.map((line) => {
      const name = el("span", { class: "figure-name" });
      const value = el("span", { class: "figure-value" });
      const key = shape.lines.length > 1 ? [el("span", { class: `key ${line.role}` })] : [];
      this.figures.append(el("span", { class: "figure" }, value, ...key, name));
      return { name, value };
    });
    this.drawing = svg("svg", { class: "plot-drawing", height: HEIGHT, role: "img" });
    this.element = el("article", { class: "plot" }, this.title, this.figures, this.drawing);
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.draw();
    }).observe(this.drawing);
    this.drawing.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.drawing.addEventListener("pointerleave", () => this.point(null));
    onLanguage(() => this.draw());
  }

  /** Show these points; the last one is now. */
  show(points) {
    this.points = points;
    this.draw();
  }

  point(place) {
    this.pointed = place;
    this.draw();
  }

  draw() {
    const { lines, write, least } = this.shape;
    setText(this.title, t(this.shape.title));
    const drawn = this.points.filter((point) => !point.gap);
    const last = drawn.at(-1);
    let most = 0;
    for (const { value } of lines) for (const point of drawn) most = Math.max(most, point[value]);
    const { end, step } = scale(most, least);
    const frame = this.frame(last?.time ?? 0, end, step);
    const marked = this.pointed === null ? last : nearest(drawn, frame.timeAt(this.pointed));
    lines.forEach((line, index) => {
      const shownValue = marked ? write(marked[line.value]) : "–";
      setText(this.values[index].value, shownValue);
      const when = marked && marked !== last ? clock(marked.time * 1000) : "";
      const name = line.name ? t(line.name) : "";
      setText(
        this.values[index].name,
        index === lines.length - 1 ? `${name} ${when}`.trim() : name,
      );
    });
    this.drawing.setAttribute("aria-label", this.description(drawn, last));
    if (this.width < 80) return;
    this.drawing.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.drawing.replaceChildren(
      ...this.axes(frame),
      ...lines.flatMap((line, index) => this.line(frame, line, index === 0)),
      ...(marked && marked !== last ? [this.marker(frame, marked)] : []),
    );
  }

  frame(now, end, step) {
    const ticks = [];
    for (let value = 0; value <= end * 1.001; value += step) {
      ticks.push([value, value ? this.shape.tick(value) : "0"]);
    }
    const left = 8 + Math.ceil(CHARACTER * Math.max(...ticks.map(([, text]) => text.length)));
    const right = this.width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    const perSecond = (right - left) / SPAN;
    return {
      ticks,
      left,
      right,
      bottom,
      x: (time) => right - (now - time) * perSecond,
      y: (value) => bottom - (value / end) * (bottom - MARGIN.top),
      timeAt: (place) => now - (right - place) / perSecond,
    };
  }

  axes({ ticks, left, right, bottom, y }) {
    const made = [];
    for (const [value, text] of ticks) {
      const height = Math.round(y(value)) + 0.5;
      const role = value === 0 ? "axis" : "grid";
      made.push(svg("line", { class: role, x1: left, x2: right, y1: height, y2: height }));
      const place = { x: left - 6, y: height + 3.5, "text-anchor": "end" };
      made.push(svg("text", { class: "tick", ...place }, text));
    }
    const minutes = SPAN / 60;
    for (let minute = 0; minute <= minutes; minute += 1) {
      const place = right - ((right - left) * minute) / minutes;
      made.push(svg("line", { class: "axis", x1: place, x2: place, y1: bottom, y2: bottom + 3 }));
      if (this.width < WIDE && minute % minutes) continue;
      const anchor = minute === 0 ? "end" : "middle";
      const text = minute === 0 ? t("plots.now") : t("plots.minutes", { count: number(minute) });
      const x = minute === minutes ? Math.max(place, 18) : place;
      made.push(svg("text", { class: "tick", x, y: HEIGHT - 4, "text-anchor": anchor }, text));
    }
    return made;
  }

  line({ x, y, left, bottom }, { value, role }, filled) {
    const runs = [];
    let run = [];
    for (const point of this.points) {
      if (point.gap) {
        runs.push(run);
        run = [];
      } else if (x(point.time) >= left) {
        run.push([x(point.time), y(point[value])]);
      }
    }
    runs.push(run);
    const drawn = runs.filter((each) => each.length > 0);
    if (!drawn.length) return [];
    const path = (each) => `M${each.map((place) => place.map(rounded).join(",")).join("L")}`;
    const made = [];
    if (filled) {
      const area = (each) =>
        `${path(each)}L${rounded(each.at(-1)[0])},${bottom}L${rounded(each[0][0])},${bottom}Z`;
      made.push(svg("path", { class: `area ${role}`, d: drawn.map(area).join("") }));
    }
    made.push(svg("path", { class: `line ${role}`, d: drawn.map(path).join("") }));
    return made;
  }

  marker({ x, bottom }, marked) {
    const place = rounded(x(marked.time));
    return svg("line", { class: "pointed", x1: place, x2: place, y1: MARGIN.top, y2: bottom });
  }

  description(drawn, last) {
    const { title, lines, write } = this.shape;
    const values = lines.map(({ name, value }) =>
      t("plots.aria-one", {
        name: t(name ?? title),
        now: last ? write(last[value]) : "–",
        max: last ? write(Math.max(...drawn.map((point) => point[value]))) : "–",
      }),
    );
    return t("plots.aria", { title: t(title), values: values.join(" ") });
  }
}

const rounded = (value) => Math.round(value * 10) / 10;

function nearest(points, time) {
  let best;
  for (const point of points) {
    if (!best || Math.abs(point.time - time) < Math.abs(best.time - time)) best = point;
  }
  return best;
}
