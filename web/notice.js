// @ts-check
/** What the page says to who uses it: what came of the last thing, and what others do. */

/** How long what others do is told, in milliseconds. */
const SHOWN = 30_000;

/** Machines that are named where something is said of many. */
const NAMED = 12;

/** @param {string[]} names */
function several(names) {
  const more = names.length - NAMED;
  return more > 0 ? `${names.slice(0, NAMED).join(", ")} and ${more} more` : names.join(", ");
}

export class Notice {
  /** What others did, by who and what. @type {Map<string, {by: string, order: string, done: Map<string, string>}>} */
  #others = new Map();
  /** @type {number | undefined} */
  #timer;

  /** @param {{said: HTMLElement, failed: HTMLElement, others: HTMLElement, close: HTMLElement}} parts */
  constructor({ said, failed, others, close }) {
    this.said = said;
    this.failed = failed;
    this.others = others;
    this.button = close;
    close.addEventListener("click", () => {
      this.say("");
      document.querySelector("h1")?.focus();
    });
  }

  /** Says something, in place of what was said before. @param {string} text @param {boolean} [bad] */
  say(text, bad = false) {
    this.said.textContent = text;
    this.said.classList.toggle("bad", bad);
    this.failed.hidden = true;
    this.button.hidden = !text;
  }

  /** Takes this back, if nothing else was said since. @param {string} text */
  unsay(text) {
    if (this.said.textContent === text) this.say("");
  }

  /** How something went at several machines. @param {string} what @param {number} all @param {Map<string, string[]>} failed why, and where */
  outcome(what, all, failed) {
    const away = [...failed.values()].flat().length;
    this.say(`${what}: ${all - away} of ${all} machines${away ? `; ${away} failed` : ""}`, away > 0);
    const list = /** @type {HTMLElement} */ (this.failed.querySelector("ul"));
    list.replaceChildren(...[...failed].map(([why, names]) => {
      const item = document.createElement("li");
      item.textContent = `${several(names)}: ${why}`;
      return item;
    }));
    this.failed.hidden = !away;
  }

  /** What somebody else has done. @param {{by: string, host: string, order: string, done: string}} what */
  other({ by, host, order, done }) {
    const key = JSON.stringify([by, order]);
    const one = this.#others.get(key) ?? { by, order, done: new Map() };
    one.done.set(host, done);
    this.#others.set(key, one);
    const lines = [...this.#others.values()].map(({ by, order, done }) => {
      const [[host, words]] = done;
      return done.size === 1 ? `${by}: ${host}: ${words}` : `${by}: ${order}: ${done.size} machines`;
    });
    this.others.textContent = lines.join("; ");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.forget(), SHOWN);
  }

  /** Forgets what others have done. */
  forget() {
    clearTimeout(this.#timer);
    this.#others.clear();
    this.others.textContent = "";
  }
}
