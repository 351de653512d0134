// A list that grows at its end: bounded in its rows, and drawn a few times a second at most.

/** Milliseconds between two drawings: ten a second look alive, and leave time for the reader. */
const PERIOD = 100;

/** Pixels from the end within which the reader is taken to follow what comes. */
const NEAR = 48;

export class LogView {
  /**
   * @param {Element} list where the rows go
   * @param {number} most rows that are kept
   * @param {(item: object) => Element} render makes an item's row
   * @param {(count: number) => object} omitted makes the item that stands for so many left out
   */
  constructor(list, most, render, omitted) {
    this.list = list;
    this.most = most;
    this.render = render;
    this.omitted = omitted;
    this.rows = []; // {item, row}, as they are in the list
    this.waiting = []; // items that have no row yet
    this.lost = 0; // items that came and went between two drawings
    this.changed = new Set();
    this.timer = 0;
    this.paused = false;
    /** Items that came while it is paused. */
    this.missed = 0;
  }

  /** Add an item at the end. */
  add(item) {
    if (this.paused) this.missed += 1;
    this.waiting.push(item);
    if (this.waiting.length >= 2 * this.most) {
      this.lost += this.waiting.length - this.most;
      this.waiting = this.waiting.slice(-this.most);
    }
    this.later();
  }

  /** An item that was added has changed. */
  update(item) {
    this.changed.add(item);
    this.later();
  }

  /** Draw everything again: the language has changed. */
  redraw() {
    for (const { item } of this.rows) this.changed.add(item);
    this.draw();
  }

  clear() {
    this.rows = [];
    this.waiting = [];
    this.lost = 0;
    this.list.replaceChildren();
  }

  /** Stand still, or go on with what came meanwhile. */
  pause(paused) {
    this.paused = paused;
    this.missed = 0;
    if (!paused) this.draw();
  }

  get empty() {
    return this.rows.length + this.waiting.length === 0;
  }

  later() {
    if (this.timer) return;
    this.timer = setTimeout(() => this.draw(), PERIOD);
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = 0;
    const { list } = this;
    const follows = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
    for (const entry of this.rows) {
      if (!this.changed.has(entry.item)) continue;
      const row = this.render(entry.item);
      entry.row.replaceWith(row);
      entry.row = row;
    }
    this.changed.clear();
    if (!this.paused) this.append();
    if (follows) list.scrollTop = list.scrollHeight;
  }

  append() {
    const items = this.waiting.slice(-this.most);
    const lost = this.lost + this.waiting.length - items.length;
    if (lost) items[0] = this.omitted(lost + 1);
    this.waiting = [];
    this.lost = 0;
    const made = items.map((item) => ({ item, row: this.render(item) }));
    const spare = this.rows.length + made.length - this.most;
    for (const { row } of this.rows.splice(0, Math.max(0, spare))) row.remove();
    this.rows.push(...made);
    this.list.append(...made.map(({ row }) => row));
  }
}
