// The graphical client: a real conversation with this server, through a WebSocket.
//
// Its text frames are pieces of a stream, as on TCP: a message ends with a line feed, and so does
// a reply. Only a greeting has none.

import * as api from "./api.js";
import { confirmDrain } from "./drain.js";
import { shown, shownText } from "./display.js";
import { byId, el, setText } from "./dom.js";
import { bytes, known, onLanguage, short, t } from "./i18n.js";
import { LogView } from "./log_view.js";

/** Rows that are kept. */
const MOST = 300;

/** Characters of one message or reply that are kept and shown; the rest is counted. */
const LENGTH = 2000;

/** Characters sent in one frame: no frame is so large that somebody on the way refuses it. */
const FRAME = 65_536;

/** Bytes that may wait in the browser before another message is sent. */
const WAITING = 16 * 2 ** 20;

/** Characters of one message; what is pasted by mistake should not fill the memory. */
const LONGEST = 2 ** 21;

/** Messages that can be repeated with the arrow keys. */
const REMEMBERED = 100;

export class Conversation {
  /** @param {object} tell `own(number)`: which connection is the page's own; null for none */
  constructor(tell) {
    this.tell = tell;
    this.socket = null;
    this.state = "off"; // off, connecting, connected
    this.dialect = null;
    this.began = null; // the note that it has begun
    this.open = null; // the reply that has not ended yet
    this.said = false;
    this.outstanding = 0;
    this.since = null; // when the only message without an answer was sent
    this.failure = null;
    this.history = [];
    this.place = 0;
    this.view = new LogView(byId("conversation-rows"), MOST, row, (count) => ({
      role: "note",
      key: "conversation.omitted",
      values: { count },
    }));
    this.input = byId("message");
    byId("connect").addEventListener("click", () => this.connect());
    byId("compose").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.input.addEventListener("keydown", (event) => this.key(event));
    onLanguage(() => {
      this.view.redraw();
      this.words();
      this.show();
    });
  }

  /** The server speaks this dialect: its words become buttons. */
  speaks(dialect) {
    if (JSON.stringify(dialect) === JSON.stringify(this.dialect)) return;
    this.dialect = dialect;
    this.words();
  }

  connect() {
    if (this.state !== "off") return;
    const address = new URL("ws", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address, "tcpecho.introduced");
    socket.binaryType = "arraybuffer";
    Object.assign(this, { socket, state: "connecting", open: null, said: false });
    Object.assign(this, { outstanding: 0, since: null, failure: null });
    socket.addEventListener("open", () => {
      this.state = "connected";
      this.began = { role: "note", key: "conversation.began" };
      this.view.add(this.began);
      this.show();
      this.input.focus({ preventScroll: true });
    });
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.hear(data);
      else this.introduce(data);
    });
    socket.addEventListener("close", (event) => this.ended(event));
    this.show();
  }

  /** The server says which of its connections this is. */
  introduce(data) {
    try {
      const { connection, client } = JSON.parse(new TextDecoder().decode(data));
      this.began.key = "conversation.began-as";
      this.began.values = { client: shownText(client, 80) };
      this.view.update(this.began);
      this.tell.own(connection);
    } catch {
      // A newer server says something else.
    }
  }

  /** A piece of what the server says. */
  hear(piece) {
    const lines = piece.split("\n");
    const last = lines.pop();
    for (const line of lines) {
      this.hearPart(line);
      this.finish();
    }
    if (last) this.hearPart(last);
  }

  hearPart(text) {
    if (!this.open) {
      this.open = { role: "server", text: "", total: 0 };
      this.view.add(this.open);
    } else {
      this.view.update(this.open);
    }
    extend(this.open, text);
  }

  /** The open reply has ended. */
  finish() {
    if (this.outstanding > 0) {
      this.outstanding -= 1;
      if (this.since !== null) this.open.took = (performance.now() - this.since) / 1000;
      this.since = null;
    }
    this.open = null;
  }

  /** Send what is in the input: each of its lines is a message. */
  submit() {
    const text = this.input.value;
    if (this.state !== "connected" || !text) return;
    if (text.length > LONGEST) {
      this.complain("conversation.too-long", { limit: bytes(LONGEST) });
      return;
    }
    for (const line of text.replace(/\n$/, "").split("\n")) {
      if (!this.send(line)) return;
    }
    if (text.length <= LENGTH && this.history.at(-1) !== text) this.history.push(text);
    this.history = this.history.slice(-REMEMBERED);
    this.place = this.history.length;
    this.input.value = "";
  }

  /** Send one message. */
  send(message) {
    if (this.socket.bufferedAmount > WAITING) {
      this.complain("conversation.waiting");
      return false;
    }
    if (!this.said) this.open = null; // a greeting has no end of its own
    this.said = true;
    for (const frame of frames(`${message}\n`)) this.socket.send(frame);
    this.since = this.outstanding === 0 ? performance.now() : null;
    this.outstanding += 1;
    const item = { role: "you", text: "", total: 0 };
    extend(item, message);
    this.view.add(item);
    return true;
  }

  complain(key, values) {
    this.view.add({ role: "note trouble", key, values });
  }

  async ended({ code, reason }) {
    const began = this.state === "connected";
    const inside = byId("conversation").contains(document.activeElement);
    this.socket = null;
    this.state = "off";
    this.tell.own(null);
    if (reason === "full" || reason === "address_limit") {
      this.complain("conversation.failed", { reason: [`reason.${reason}`] });
    } else if (began) {
      const codes = [
        `own.${reason}`,
        `reason.${reason}`,
        code === 1001 ? "own.drained" : "reason.lost",
      ];
      this.view.add({ role: "note", key: "conversation.ended", values: { reason: codes } });
    } else {
      this.show();
      this.complain("conversation.failed", { reason: [await whyNot()] });
    }
    this.show();
    if (inside) byId("connect").focus({ preventScroll: true });
  }

  key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.submit();
    } else if (
      event.key === "ArrowUp" &&
      !this.input.value.slice(0, this.input.selectionStart).includes("\n")
    ) {
      this.recall(event, -1);
    } else if (
      event.key === "ArrowDown" &&
      !this.input.value.slice(this.input.selectionEnd).includes("\n")
    ) {
      this.recall(event, 1);
    }
  }

  recall(event, step) {
    const place = this.place + step;
    if (place < 0 || place > this.history.length) return;
    event.preventDefault();
    this.place = place;
    this.input.value = this.history[place] ?? "";
  }

  words() {
    const made = (this.dialect?.words ?? []).map(({ word, command }) => {
      const name = shownText(word, 60);
      const shuts = command === "shutdown";
      const leaves = shuts || command === "disconnect";
      const about = shuts ? "shuts" : leaves ? "leaves" : "sends";
      const title = t(`conversation.word-${about}`, { word: name });
      const click = async () => {
        if ((!shuts || (await confirmDrain())) && this.state === "connected") this.send(word);
      };
      return el(
        "button",
        { type: "button", class: leaves ? "word danger" : "word", title, onclick: click },
        name,
      );
    });
    byId("words").replaceChildren(...made);
  }

  show() {
    const connected = this.state === "connected";
    byId("conversation-start").hidden = connected;
    byId("conversation-talk").hidden = !connected;
    byId("conversation-hint").hidden = !this.view.empty;
    byId("connect").disabled = this.state === "connecting";
    setText(byId("connect"), t(this.view.empty ? "conversation.connect" : "conversation.again"));
    setText(byId("conversation-state"), t(`conversation.${this.state}`));
    byId("conversation").dataset.state = this.state;
  }
}

/** Add to a text that may grow beyond what is kept. */
function extend(item, text) {
  const room = LENGTH - item.text.length;
  if (room > 0) item.text += text.slice(0, room);
  item.total += text.length;
}

/** A text in pieces of at most `FRAME` characters; none is cut inside a surrogate pair. */
function* frames(text) {
  let start = 0;
  while (start < text.length) {
    let end = start + FRAME;
    if (end < text.length && /[\ud800-\udbff]/.test(text[end - 1])) end -= 1;
    yield text.slice(start, end);
    start = end;
  }
}

/** A conversation could not begin, and a WebSocket does not say why: the server may. */
async function whyNot() {
  try {
    const { phase, reason } = await api.status();
    if (reason === "full") return "conversation.full";
    return phase === "running" || phase === "delaying"
      ? "conversation.refused"
      : "conversation.closing";
  } catch {
    return "conversation.unreachable";
  }
}

function row(item) {
  if (item.key) {
    const { reason, ...values } = item.values ?? {};
    if (reason) values.reason = t(reason.find(known) ?? reason.at(-1));
    return el("div", { class: item.role }, t(item.key, values));
  }
  const { text, cut } = shown(item.text, LENGTH);
  const who = el("span", { class: "unseen" }, `${t(`conversation.${item.role}`)}: `);
  const made = el("div", { class: item.role }, who, el("bdi", { class: "said" }, text || "\u00a0"));
  if (cut || item.total > item.text.length) {
    made.append(el("span", { class: "small" }, t("conversation.cut", { count: item.total })));
  }
  if (item.took !== undefined) made.append(el("span", { class: "small took" }, short(item.took)));
  return made;
}
