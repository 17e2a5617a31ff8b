// @ts-check
/** The talk with who sits at a machine. */
import { session } from "./api.js";

/** The waits before it is tried again, in milliseconds: the first, and the longest. */
const BACK_OFF = [250, 4000];

/** The wait where the hub has said why it lets nobody in. */
const REFUSED = 15_000;

/** Why a WebSocket ends, where trying again at once helps nobody. */
const POLICY = 1008;
const REPLACED = 4000;

/** Lines that may wait for an answer. */
const WAITING = 32;

/** How long a line waits for a connection, in milliseconds: as long as the hub keeps one. */
const KEPT = 300_000;

/** How long nothing may be heard of a line: a machine that is called answers within half of it, or not. */
const QUIET = 30_000;

/** Lines that are kept on the page. */
const LINES = 500;

/** @typedef {{id: number, name: string, here: boolean}} Member */

/** A line that was not answered, and the connection by which it was sent first. @typedef {{text: string, by: WebSocket | null}} Line */

/** A name by which nobody passes for the person at the machine. @param {Member} who */
const called = (who) => who.here ? `${who.name} (here)` : who.name;

/** A talk, for as long as it is open: also while nobody looks at it. */
export class Chat {
  /** What was said. */
  list = document.createElement("ol");
  /** How it stands. */
  words = "connecting";
  /** What is being typed. */
  draft = "";
  /** What others have said that nobody has seen. */
  unread = 0;
  /** Who else is there, by number. @type {Map<number, string>} */
  #present = new Map();
  /** @type {WebSocket | null} */
  #socket = null;
  #wait = BACK_OFF[0];
  /** @type {number | undefined} */
  #timer;
  /** Whether it is over, so that trying again helps nobody. */
  over = false;
  /** Whether nobody wants it any more. */
  #closed = false;
  /**
   * As whom this page comes, and comes back after a cut, and what it had then. The number is its own from
   * the first: answers may be lost before it has heard any.
   * @type {Record<string, string>}
   */
  #had = { member: String(crypto.getRandomValues(new BigUint64Array(1))[0]) };
  /** Lines that were not answered, and how many there were in all. @type {Map<number, Line>} */
  #lines = new Map();
  #count = 0;
  /** Since when it is not in the chat; 0 while it is. */
  #lost = Date.now();
  /** When that is too long for what waits. @type {number | undefined} */
  #late;
  /** When nothing was heard for too long. @type {number | undefined} */
  #quiet;

  /**
   * @param {string} name of the machine
   * @param {(chat: Chat, who?: string) => void} changed told when something has changed, and of who has spoken
   * @param {() => void} barred told when the hub does not let it in
   */
  constructor(name, changed, barred) {
    this.name = name;
    this.path = `/api/v1/hosts/${encodeURIComponent(name)}/chat`;
    this.changed = changed;
    this.barred = barred;
    this.#late = setTimeout(() => this.#expire(), KEPT);
    this.#connect();
  }

  close() {
    this.#closed = true;
    for (const timer of [this.#timer, this.#late, this.#quiet]) clearTimeout(timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** How many lines were not answered. */
  get waiting() {
    return this.#lines.size;
  }

  /** @param {string} words */
  #stands(words) {
    if (words === this.words) return;
    this.words = words;
    this.changed(this);
  }

  #standsPresent() {
    const others = [...this.#present.values()].sort();
    this.#stands(others.length ? `present: ${others.join(", ")}` : "nobody else is present");
  }

  /** Says something, now or when there is a connection again; false, and why, where it is not taken. @param {string} text */
  say(text) {
    let why = "";
    if (this.over) why = "the talk has ended";
    else if (this.#lines.size >= WAITING) why = `${WAITING} lines wait to be said already`;
    else if (!this.#open && this.#isLate) why = "there is no connection to the hub";
    if (why) {
      this.#line("", `not said: ${why}`);
      return false;
    }
    this.#count += 1;
    this.#lines.set(this.#count, { text, by: null });
    if (this.#open) this.#send(this.#count);
    else this.#line("", `is said when there is a connection again: ${text}`);
    return true;
  }

  get #open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Whether there was no connection for so long that nothing waits for one any more. */
  get #isLate() {
    return this.#lost > 0 && Date.now() - this.#lost >= KEPT;
  }

  /** @param {number} number */
  #send(number) {
    const [line, socket] = [this.#lines.get(number), this.#socket];
    if (!line || !socket) return;
    line.by ??= socket;
    socket.send(JSON.stringify({ say: line.text, line: number }));
    // A connection that carries nothing any more looks like any other.
    this.#quiet ??= setTimeout(() => {
      socket.close();
      if (socket === this.#socket) this.#gone(1006, "");
    }, QUIET);
  }

  /** Something was heard, or there is nobody to hear. */
  #heard() {
    clearTimeout(this.#quiet);
    this.#quiet = undefined;
  }

  /** Too long without a connection. What the hub has got, it answers for. */
  #expire() {
    if (!this.#open && this.#isLate) this.#giveUp("there was no connection to the hub for too long");
  }

  /** Nothing of what waits is said any more, but what was sent may have been heard. @param {string} why */
  #giveUp(why) {
    for (const { text, by } of this.#lines.values()) {
      if (by) this.#unanswered(text, why);
      else this.#unsaid(text, why);
    }
    this.#lines.clear();
  }

  /** @param {string} why */
  #end(why) {
    this.over = true;
    this.#giveUp(why);
    this.#stands(`ended: ${why}`);
  }

  /** Tries it again, if this is still the page of who began it: what waits is nobody else's to say. */
  async #again() {
    // Where the hub is not reached, that does not succeed either.
    const who = await session().catch(() => undefined);
    if (this.#closed) return;
    if (who === null) this.barred();
    this.#connect();
  }

  #connect() {
    const url = new URL(this.path, location.href);
    url.search = new URLSearchParams(this.#had).toString();
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    this.#socket = socket;
    let opened = false;
    let heard = false;
    // Nothing new is said where it is merely tried again.
    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      opened = true;
      for (const number of this.#lines.keys()) this.#send(number);
    });
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket) return;
      heard = true;
      this.#heard();
      this.#tell(JSON.parse(data));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      if (socket !== this.#socket) return;
      if (!opened || code === POLICY) this.barred();
      // Whoever is not let in is not listened to.
      if (code === POLICY && !heard) for (const line of this.#lines.values()) if (line.by === socket) line.by = null;
      this.#gone(code, reason);
    });
  }

  /** There is no connection any more. @param {number} code @param {string} reason */
  #gone(code, reason) {
    this.#socket = null;
    this.#heard();
    if (this.over) return;
    if (code === REPLACED) {
      this.#end(reason);
      return;
    }
    const refused = code === POLICY;
    this.#stands(refused && reason ? reason : "no connection to the hub");
    if (!this.#lost) {
      this.#lost = Date.now();
      this.#late = setTimeout(() => this.#expire(), KEPT);
    }
    this.#expire();
    const wait = refused ? REFUSED : this.#wait;
    this.#timer = setTimeout(() => this.#again(), wait * (0.9 + Math.random() / 5));
    this.#wait = Math.min(this.#wait * 2, BACK_OFF[1]);
  }

  /** @param {any} told */
  #tell(told) {
    switch (told.event) {
      case "present": {
        this.#wait = BACK_OFF[0];
        this.#lost = 0;
        clearTimeout(this.#late);
        this.#had = { member: told.member, room: told.room, event: told.after };
        const others = told.present.filter((/** @type {Member} */ one) => one.id !== told.you);
        this.#present = new Map(others.map((/** @type {Member} */ one) => [one.id, called(one)]));
        this.#standsPresent();
        if (told.missing) this.#line("", `${told.missing} things that happened are lost`);
        break;
      }
      case "sent":
        this.#lines.delete(told.line);
        break;
      case "said":
        this.#saw(told);
        this.#line(told.own ? "you" : called(told.who), told.text, told.time_us);
        if (told.own) break;
        this.unread += 1;
        this.changed(this, called(told.who));
        break;
      case "joined":
      case "left":
        this.#saw(told);
        // One's own coming and going is told otherwise.
        if (told.own) break;
        this.#line("", `${called(told.who)} has ${told.event}`, told.time_us);
        if (told.event === "joined") this.#present.set(told.who.id, called(told.who));
        else this.#present.delete(told.who.id);
        this.#standsPresent();
        break;
      case "ended":
        this.#end(told.cause);
        break;
      case "disconnected":
        this.#stands(`not connected: ${told.cause}`);
        break;
      case "waits":
        this.#line("", "is said when the machine is connected again");
        break;
      case "not_sent":
        this.#lines.delete(told.line);
        this.#unsaid(told.text, told.error);
        break;
      case "unanswered":
        this.#lines.delete(told.line);
        this.#unanswered(told.text, told.error);
        break;
    }
  }

  /** @param {string} text @param {string} why */
  #unsaid(text, why) {
    this.#line("", `not said: ${text} (${why})`);
  }

  /** @param {string} text @param {string} why */
  #unanswered(text, why) {
    this.#line("", `sent, and nobody knows whether it was heard: ${text} (${why})`);
  }

  /** An event was shown. @param {{number: number}} told */
  #saw({ number }) {
    this.#had.event = String(number);
  }

  /** What others say is text, and never markup. @param {string} name @param {string} words @param {number} [at] */
  #line(name, words, at) {
    const line = document.createElement("li");
    const time = document.createElement("time");
    const when = at ? new Date(at / 1000) : new Date();
    time.dateTime = when.toISOString();
    time.textContent = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    line.append(time);
    if (name) {
      const who = document.createElement("b");
      who.textContent = name;
      line.append(who);
    } else line.classList.add("remark");
    const text = document.createElement("span");
    text.textContent = words;
    line.append(text);
    const log = this.list.parentElement;
    // Whoever reads what was said before is left where they read.
    const atEnd = log && log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    this.list.append(line);
    while (this.list.childElementCount > LINES) this.list.firstElementChild?.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}
