// Text from outside, made safe to look at. What tcpecho_trio/display.py does for a terminal.
//
// The page never reads it as HTML (it has only text nodes), so what is left is what text can do to
// the eye: bidirectional controls reorder the words around them, stacks of combining marks bury
// their neighbours, invisible characters hide, and a megabyte takes the browser's time.

/** Combining marks shown in a row: Vietnamese and polytonic Greek need three. */
const MAX_MARKS = 4;

const MARK = /^\p{M}$/u;
/** Controls, formats, surrogates, private use, unassigned, separators of lines and paragraphs. */
const NOT_PRINTABLE = /^[\p{C}\p{Zl}\p{Zp}]$/u;
/** It joins emoji to one picture, and does no harm. */
const JOINER = "\u200d";

/**
 * The text in at most `limit` visible characters, a mark of the cut included.
 * What is not printable becomes its escape (`\x1b`, `\u202e`).
 * @returns {{text: string, cut: boolean}}
 */
export function shown(text, limit) {
  let made = "";
  let room = limit;
  let marks = 0;
  let place = 0;
  for (const character of text) {
    place += character.length;
    marks = MARK.test(character) ? marks + 1 : 0;
    const hidden = (NOT_PRINTABLE.test(character) && character !== JOINER) || marks > MAX_MARKS;
    const piece = hidden ? escaped(character) : character;
    room -= hidden ? piece.length : 1;
    if (room < 0 || (room === 0 && place < text.length)) return { text: made, cut: true };
    made += piece;
  }
  return { text: made, cut: false };
}

/** The same as plain text, with `…` where it was cut. */
export function shownText(text, limit = 200) {
  const { text: made, cut } = shown(String(text), limit);
  return cut ? `${made}…` : made;
}

function escaped(character) {
  const code = character.codePointAt(0);
  const digits = code.toString(16);
  if (character === "\t") return "\\t";
  if (character === "\r") return "\\r";
  if (code <= 0xff) return `\\x${digits.padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
}
