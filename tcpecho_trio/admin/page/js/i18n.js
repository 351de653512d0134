// The page's texts in Spanish and English, and how numbers and times are written in them.

import { remember, remembered } from "./preferences.js";

const LANGUAGES = ["es", "en"];
const ATTRIBUTES = [
  ["data-t-label", "aria-label"],
  ["data-t-placeholder", "placeholder"],
  ["data-t-title", "title"],
];
const listeners = [];
const loaded = {};
let language = "es";
let texts = {};
let plural;
let formats = {};

/** The language that is spoken now. */
export const current = () => language;

/** Call this now and whenever the language changes. */
export function onLanguage(listener) {
  listeners.push(listener);
  listener();
}

/** Load the reader's language: the one chosen here before, else the browser's, else Spanish. */
export async function begin() {
  const wanted = [remembered("language"), ...navigator.languages.map((tag) => tag.slice(0, 2))];
  await use(wanted.find((tag) => LANGUAGES.includes(tag)) ?? "es");
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      remember("language", button.dataset.language);
      use(button.dataset.language);
    });
  }
}

async function use(tag) {
  loaded[tag] ??= await (await fetch(`i18n/${tag}.json`)).json();
  language = tag;
  texts = loaded[tag];
  plural = new Intl.PluralRules(tag);
  formats = {};
  document.documentElement.lang = tag;
  translate(document);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === tag));
  }
  for (const listener of listeners) listener();
}

/** Fill in the fixed texts of the page. */
function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const [name, attribute] of ATTRIBUTES) {
    for (const node of root.querySelectorAll(`[${name}]`)) {
      node.setAttribute(attribute, t(node.getAttribute(name)));
    }
  }
}

/**
 * A text, with `{names}` filled in. Where it has a plural, `count` decides.
 * An unknown key comes back as it is: a server may be newer than a page that a cache has kept.
 */
export function t(key, values = {}) {
  let text = texts[key] ?? key;
  if (typeof text === "object") text = text[plural.select(values.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : value;
  });
}

/** Whether there is a text for this key. */
export const known = (key) => key in texts;

function format(name, make) {
  formats[name] ??= make();
  return formats[name];
}

/** A number, with at most so many decimals. */
export function number(value, decimals = 0) {
  return format(
    `number${decimals}`,
    () => new Intl.NumberFormat(language, { maximumFractionDigits: decimals, useGrouping: true }),
  ).format(value);
}

/** A rate: small ones with a decimal, because 0.4 a second is not 0. */
export const rate = (value) => number(value, value < 10 ? 1 : 0);

const SIZES = ["B", "kB", "MB", "GB", "TB"];

/** Bytes in a unit that leaves at most four digits: `1.2 MB`. */
export function bytes(value) {
  let power = 0;
  let scaled = value;
  while (scaled >= 1000 && power < SIZES.length - 1) {
    scaled /= 1000;
    power += 1;
  }
  return `${number(scaled, power && scaled < 100 ? 1 : 0)}\u00a0${SIZES[power]}`;
}

/** Seconds as µs, ms or s. */
export function short(seconds) {
  if (seconds < 0.000_999_5) return `${number(seconds * 1e6)}\u00a0µs`;
  if (seconds < 0.999_5) return `${number(seconds * 1e3, seconds < 0.01 ? 1 : 0)}\u00a0ms`;
  return `${number(seconds, seconds < 10 ? 1 : 0)}\u00a0s`;
}

/** Seconds as a person says them: `42 s`, `3 min 10 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return "0\u00a0s";
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}\u00a0${unit}`)
    .join(" ");
}

/** A time of day, to the second. */
export function clock(time) {
  return format(
    "clock",
    () =>
      new Intl.DateTimeFormat(language, {
        hour: "2-digit",
        minute: "2-digit",
        second: "2-digit",
        hourCycle: "h23",
      }),
  ).format(time);
}
