// @ts-check
/** The talk with who sits at a machine. */

/** The waits before it is tried again, in milliseconds: the first, and the longest. */
const BACK_OFF = [250, 4000];

/** Lines that may wait for an answer: as many as the hub takes. */
const WAITING = 32;

/** Lines that are kept on the page. */
const LINES = 500;

/** @typedef {{id: number, name: string, here: boolean}} Member */

/** A name by which nobody passes for the person at the machine. @param {Member} who */
const called = (who) => who.here ? `${who.name} (here)` : who.name;

/** Shows a talk for as long as it is open. */
export class Chat {
  /** @type {WebSocket | null} */
  #socket = null;
  #wait = BACK_OFF[0];
  /** @type {number | undefined} */
  #timer;
  /** Whether it is over, so that trying again helps nobody. */
  #over = false;
  /** As whom this page comes back after a cut, and what it had then. @type {Record<string, string>} */
  #had = {};
  /** Lines that were not answered, and how many there were in all. @type {Map<number, string>} */
  #lines = new Map();
  #count = 0;

  /**
   * @param {string} name of the machine
   * @param {{log: HTMLElement, state: HTMLElement}} parts
   * @param {() => void} barred told when the hub does not let it in
   */
  constructor(name, { log, state }, barred) {
    this.path = `/api/v1/hosts/${encodeURIComponent(name)}/chat`;
    this.log = log;
    this.list = /** @type {HTMLElement} */ (log.firstElementChild);
    this.state = state;
    this.barred = barred;
    this.list.replaceChildren();
    this.#connect();
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** Says something, now or when there is a connection again; false where it is over. @param {string} text */
  say(text) {
    if (this.#over || this.#lines.size >= WAITING) return false;
    this.#count += 1;
    this.#lines.set(this.#count, text);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send(this.#count, text);
    else this.#line("", `is said when there is a connection again: ${text}`);
    return true;
  }

  /** @param {number} line @param {string} text */
  #send(line, text) {
    this.#socket?.send(JSON.stringify({ say: text, line }));
  }

  #connect() {
    const url = new URL(this.path, location.href);
    url.search = new URLSearchParams(this.#had).toString();
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    this.#socket = socket;
    let opened = false;
    this.state.textContent = "connecting";
    socket.addEventListener("open", () => {
      opened = true;
      for (const [line, text] of this.#lines) this.#send(line, text);
    });
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.#socket) this.#tell(JSON.parse(data));
    });
    socket.addEventListener("close", () => {
      if (socket !== this.#socket || this.#over) return;
      this.state.textContent = "no connection to the hub";
      if (!opened) this.barred();
      this.#timer = setTimeout(() => this.#connect(), this.#wait * (0.9 + Math.random() / 5));
      this.#wait = Math.min(this.#wait * 2, BACK_OFF[1]);
    });
  }

  /** @param {any} told */
  #tell(told) {
    switch (told.event) {
      case "present": {
        this.#wait = BACK_OFF[0];
        this.#had = { member: told.member, room: told.room, event: told.after };
        const others = told.present.filter((/** @type {Member} */ one) => one.id !== told.you).map(called).sort();
        this.state.textContent = others.length ? `present: ${others.join(", ")}` : "nobody else is present";
        if (told.missing) this.#line("", `${told.missing} things that happened are lost`);
        break;
      }
      case "sent":
        this.#lines.delete(told.line);
        break;
      case "said":
        this.#saw(told);
        this.#line(told.own ? "you" : called(told.who), told.text, told.time_us);
        break;
      case "joined":
      case "left":
        this.#saw(told);
        // One's own coming and going is told otherwise.
        if (!told.own) this.#line("", `${called(told.who)} has ${told.event}`, told.time_us);
        break;
      case "ended":
        this.#over = true;
        this.state.textContent = `ended: ${told.cause}`;
        break;
      case "disconnected":
        this.state.textContent = `not connected: ${told.cause}`;
        break;
      case "waits":
        this.#line("", "is said when the machine is connected again");
        break;
      case "not_sent":
        this.#lines.delete(told.line);
        this.#line("", `not said: ${told.text} (${told.error})`);
        break;
      case "unanswered":
        this.#lines.delete(told.line);
        this.#line("", `sent, and nobody knows whether it was heard: ${told.text} (${told.error})`);
        break;
    }
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
    // Whoever reads what was said before is left where they read.
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const atEnd = scrollHeight - scrollTop - clientHeight < 40;
    this.list.append(line);
    while (this.list.childElementCount > LINES) this.list.firstElementChild?.remove();
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}
