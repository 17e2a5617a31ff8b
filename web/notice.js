// @ts-check
/**
 * What the page says to who uses it: what came of the last thing that they did, and apart from that
 * what else happens. Neither takes the other's place.
 */

/** How long it is told what else happens, in milliseconds. */
const SHOWN = 30_000;

/** How often it is told anew at most, in milliseconds: whoever hears it hears all of it each time. */
const PAUSE = 1000;

/** Machines that are named where something is said of many. */
const NAMED = 12;

/** @param {string[]} names */
function several(names) {
  const more = names.length - NAMED;
  return more > 0 ? `${names.slice(0, NAMED).join(", ")} and ${more} more` : names.join(", ");
}

export class Notice {
  /** What else happens, by what it is about. @type {Map<string, () => string>} */
  #else = new Map();
  /** What others did, by who and what, and where. @type {Map<string, Map<string, string>>} */
  #orders = new Map();
  /** @type {number | undefined} */
  #forget;
  /** @type {number | undefined} */
  #soon;

  /** @param {{said: HTMLElement, failed: HTMLElement, others: HTMLElement, cut: HTMLElement, close: HTMLElement}} parts */
  constructor({ said, failed, others, cut, close }) {
    this.said = said;
    this.failed = failed;
    this.others = others;
    this.cut = cut;
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

  /** How something went at several machines. @param {string} what @param {number} all @param {Map<string, string[]>} failed why, and where */
  outcome(what, all, failed) {
    const away = [...failed.values()].flat().length;
    this.say(`${what}: ${all - away} of ${all} machines${away ? `; ${away} failed` : ""}`, away > 0);
    const list = /** @type {HTMLElement} */ (this.failed.querySelector("ul"));
    list.replaceChildren(...[...failed].map(([why, names]) => {
      const item = document.createElement("li");
      item.textContent = `${several(names.sort())}: ${why}`;
      return item;
    }));
    this.failed.hidden = !away;
  }

  /** Says whether the hub is heard, once for each time that this changes. @param {boolean} heard */
  heard(heard) {
    const text = heard ? "" : "no connection to the hub: it is tried again";
    if (this.cut.textContent !== text) this.cut.textContent = text;
  }

  /** Something has happened. @param {string} about what, of which the newest is told @param {string} words */
  note(about, words) {
    this.#tell(about, () => words);
  }

  /** What somebody else has done. @param {{by: string, host: string, order: string, done: string}} what */
  other({ by, host, order, done }) {
    const about = JSON.stringify([by, order]);
    const all = this.#orders.get(about) ?? new Map();
    all.set(host, done);
    this.#orders.set(about, all);
    this.#tell(about, () => all.size === 1 ? `${by}: ${host}: ${done}` : `${by}: ${order}: ${all.size} machines`);
  }

  /** @param {string} about @param {() => string} words */
  #tell(about, words) {
    this.#else.delete(about);
    this.#else.set(about, words);
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.others.textContent = [...this.#else.values()].map((words) => words()).join("; ");
    }, PAUSE);
    clearTimeout(this.#forget);
    this.#forget = setTimeout(() => this.forget(), SHOWN);
  }

  /** Forgets what else has happened. */
  forget() {
    clearTimeout(this.#forget);
    clearTimeout(this.#soon);
    this.#soon = undefined;
    this.#else.clear();
    this.#orders.clear();
    this.others.textContent = "";
  }
}
