// @ts-check
/** Files on their way to machines, and how far they have come. */
import * as api from "./api.js";
import { Turns } from "./turns.js";

/** How long one that is done stays on the page, in milliseconds. */
const SHOWN = 8000;

/** Those that are under way at a time: a browser has few connections to a hub without TLS, and orders need some. */
const AT_ONCE = 2;

/** A length in bytes, for people. @param {number} bytes */
function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${bytes.toFixed(unit && bytes < 100 ? 1 : 0)} ${units[unit]}`;
}

/** One transfer: files to machines. */
class Transfer {
  id = Array.from(crypto.getRandomValues(new Uint8Array(8)), (one) => one.toString(16).padStart(2, "0")).join("");
  /** @type {Map<string, {before: number, size: number, moved: number}>} How much each machine has. */
  #there = new Map();
  #here = 0;
  #stop = new AbortController();
  /** Whether others are before it. */
  waits = true;
  item = document.createElement("li");
  #words = document.createElement("span");
  #bar = document.createElement("progress");
  #button = document.createElement("button");

  /** @param {string[]} hosts @param {File[]} files */
  constructor(hosts, files) {
    this.hosts = hosts;
    this.files = files;
    this.total = files.reduce((sum, file) => sum + file.size, 0);
    const what = files.length === 1 ? files[0].name : `${files.length} files`;
    const whom = hosts.length === 1 ? hosts[0] : `${hosts.length} machines`;
    this.name = `${what} to ${whom}`;
    this.#bar.max = 1;
    this.#bar.setAttribute("aria-label", this.name);
    this.#button.type = "button";
    this.#button.textContent = "Stop";
    this.#button.setAttribute("aria-label", `Stop ${this.name}`);
    this.#button.addEventListener("click", () => this.stop());
    this.item.append(this.#words, this.#bar, this.#button);
    this.#show();
  }

  /** The hub tells how far one has come. @param {any} told */
  heard({ host, size: length, moved, waits }) {
    const one = this.#there.get(host) ?? { before: 0, size: 0, moved: 0 };
    // Another file has begun: all of the one before is there.
    if (moved < one.moved || length !== one.size) one.before += one.moved;
    [one.size, one.moved] = [length, moved];
    this.#there.set(host, one);
    this.#show(waits);
  }

  /** The machines that have all of it. */
  get whole() {
    const has = (/** @type {string} */ host) => {
      const one = this.#there.get(host);
      return one !== undefined && one.before + one.moved >= this.total && this.total > 0;
    };
    return this.hosts.filter(has);
  }

  stop() {
    this.#stop.abort();
  }

  /** Aborted when somebody has stopped it. */
  get signal() {
    return this.#stop.signal;
  }

  /** Half of the way is to the hub, the other half to the machines. @param {string} [waits] */
  #show(waits) {
    const moved = [...this.#there.values()].reduce((sum, one) => sum + one.before + one.moved, 0);
    const there = this.total ? Math.min(moved / (this.total * this.hosts.length), 1) : 1;
    this.#bar.value = this.#here / 2 + there / 2;
    const percent = (/** @type {number} */ part) => `${Math.floor(part * 100)} %`;
    const how = this.waits ? "waits for those before it" : waits ? `waits: ${waits}` : this.#here < 1 ? `${percent(this.#here)} at the hub` : `${percent(there)} there`;
    this.#words.textContent = `${this.name}, ${size(this.total)}: ${how}`;
  }

  /** Sends it, and says how it went, and whether all went well. @returns {Promise<[string, boolean]>} */
  async go() {
    this.waits = false;
    this.#show();
    const outcomes = await api.send(this.hosts, this.files, this.id, (part) => {
      this.#here = part;
      this.#show();
    }, this.#stop.signal);
    this.#here = 1;
    const failed = outcomes.filter(({ error }) => error);
    if (this.hosts.length === 1 && !failed.length) {
      // Where there was one of that name it is called otherwise.
      const names = outcomes[0].files ?? [];
      const other = names.filter((name) => this.files.every((file) => file.name !== name));
      return [`${this.name}: ${outcomes[0].done}${other.length ? `, as ${other.join(", ")}` : ""}`, true];
    }
    const lines = failed.map(({ name, error }) => `${name}: ${error}`);
    const done = `${outcomes.length - failed.length} of ${outcomes.length} machines have it`;
    return [[`${this.name}: ${done}`, ...lines].join("; "), !failed.length];
  }

  /** Why it did not go on, in words. @param {unknown} problem */
  failure(problem) {
    const why = problem instanceof Error ? problem.message : problem;
    const whole = this.whole;
    if (!whole.length) return `${this.name}: not sent: ${why}`;
    return `${this.name}: ${why}; ${whole.join(", ")} ${whole.length === 1 ? "has" : "have"} all of it`;
  }

  /** It is over. @param {string} words @param {boolean} well */
  end(words, well) {
    this.#words.textContent = words;
    this.#bar.remove();
    this.#button.textContent = "Close";
    this.#button.setAttribute("aria-label", `Close: ${words}`);
    this.item.classList.toggle("bad", !well);
    this.#button.addEventListener("click", () => this.#remove());
    if (well) setTimeout(() => this.#leave(), SHOWN);
  }

  /** Goes away by itself, but not from under whoever is on it. */
  #leave() {
    if (this.item.contains(document.activeElement)) this.#button.addEventListener("blur", () => this.item.remove(), { once: true });
    else this.item.remove();
  }

  /** Whoever has closed it is on the next one, or at the top of the page. */
  #remove() {
    const next = this.item.nextElementSibling ?? this.item.previousElementSibling;
    const at = next?.querySelector("button") ?? document.querySelector("h1");
    this.item.remove();
    if (at instanceof HTMLElement) at.focus();
  }
}

/** All that are on their way. */
export class Transfers {
  /** @type {Map<string, Transfer>} */
  #all = new Map();
  #turns = new Turns(AT_ONCE);

  /** @param {HTMLElement} list @param {(id: string, words: string) => void} tell how one has ended */
  constructor(list, tell) {
    this.list = list;
    this.tell = tell;
  }

  get any() {
    return this.#all.size > 0;
  }

  /** @param {any} told */
  heard(told) {
    this.#all.get(told.id)?.heard(told);
  }

  /** Forgets all: whoever comes next has nothing to do with them. */
  clear() {
    for (const transfer of this.#all.values()) transfer.stop();
    this.list.replaceChildren();
  }

  /** @param {string[]} hosts @param {File[]} files @param {string} [note] to be said with how it went */
  async send(hosts, files, note) {
    if (!hosts.length || !files.length) return;
    const transfer = new Transfer(hosts, files);
    this.#all.set(transfer.id, transfer);
    this.list.append(transfer.item);
    let words;
    let well = false;
    let begun = false;
    try {
      await this.#turns.take(transfer.signal);
      begun = true;
      [words, well] = await transfer.go();
    } catch (problem) {
      words = transfer.failure(problem);
    }
    if (begun) this.#turns.done();
    this.#all.delete(transfer.id);
    if (note) words = `${words}; ${note}`;
    transfer.end(words, well && !note);
    // Of one that was cleared away nobody wants to know.
    if (transfer.item.isConnected) this.tell(transfer.id, words);
  }
}
