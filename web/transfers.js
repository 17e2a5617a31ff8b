// @ts-check
/** Files on their way to machines, and how far they have come. */
import * as api from "./api.js";

/** How long one that is done stays on the page, in milliseconds. */
const SHOWN = 8000;

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
    this.#button.addEventListener("click", () => this.#stop.abort());
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

  /** Half of the way is to the hub, the other half to the machines. @param {string} [waits] */
  #show(waits) {
    const moved = [...this.#there.values()].reduce((sum, one) => sum + one.before + one.moved, 0);
    const there = this.total ? Math.min(moved / (this.total * this.hosts.length), 1) : 1;
    this.#bar.value = this.#here / 2 + there / 2;
    const percent = (/** @type {number} */ part) => `${Math.floor(part * 100)} %`;
    const how = waits ? `waits: ${waits}` : this.#here < 1 ? `${percent(this.#here)} at the hub` : `${percent(there)} there`;
    this.#words.textContent = `${this.name}, ${size(this.total)}: ${how}`;
  }

  /** Sends it, and says how it went. @returns {Promise<string>} */
  async go() {
    const outcomes = await api.send(this.hosts, this.files, this.id, (part) => {
      this.#here = part;
      this.#show();
    }, this.#stop.signal);
    this.#here = 1;
    const failed = outcomes.filter(({ error }) => error);
    if (this.hosts.length === 1 && !failed.length) return `${this.name}: ${outcomes[0].done}`;
    const lines = failed.map(({ name, error }) => `${name}: ${error}`);
    const done = `${outcomes.length - failed.length} of ${outcomes.length} machines have it`;
    return [`${this.name}: ${done}`, ...lines].join("; ");
  }

  /** It is over. @param {string} words @param {boolean} well */
  end(words, well) {
    this.#words.textContent = words;
    this.#bar.remove();
    this.#button.textContent = "Close";
    this.#button.setAttribute("aria-label", `Close: ${words}`);
    this.#button.addEventListener("click", () => this.item.remove());
    if (well) setTimeout(() => this.item.remove(), SHOWN);
  }
}

/** All that are on their way. */
export class Transfers {
  /** @type {Map<string, Transfer>} */
  #all = new Map();

  /** @param {HTMLElement} list @param {(words: string) => void} tell */
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

  /** @param {string[]} hosts @param {File[]} files */
  async send(hosts, files) {
    if (!hosts.length || !files.length) return;
    const transfer = new Transfer(hosts, files);
    this.#all.set(transfer.id, transfer);
    this.list.append(transfer.item);
    let words;
    let well = true;
    try {
      words = await transfer.go();
    } catch (problem) {
      well = false;
      words = `${transfer.name}: not sent: ${problem instanceof Error ? problem.message : problem}`;
    }
    this.#all.delete(transfer.id);
    transfer.end(words, well);
    this.tell(words);
  }
}
