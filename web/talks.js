// @ts-check
/**
 * The talks with those who sit at machines. One that was begun goes on while another machine is
 * looked at, or all: whoever answers is heard. It ends when somebody leaves it, or the page.
 */
import { Chat } from "./chat.js";

/**
 * @typedef {object} Parts
 * @property {HTMLElement} panel
 * @property {HTMLElement} log
 * @property {HTMLElement} state
 * @property {HTMLInputElement} text
 * @property {HTMLFormElement} form
 * @property {HTMLButtonElement} button shows it, and hides it
 * @property {HTMLButtonElement} leave
 */

export class Talks {
  /** By machine. @type {Map<string, Chat>} */
  #all = new Map();
  /** Those whose panel is open when their machine is shown. @type {Set<string>} */
  #open = new Set();
  /** The machine that is shown. */
  #name = "";

  /**
   * @param {Parts} parts
   * @param {(name: string, who?: string) => void} changed told when something is new, and who has spoken unseen
   * @param {(words: string, bad?: boolean) => void} tell
   * @param {() => void} barred told when the hub does not let somebody in
   */
  constructor(parts, changed, tell, barred) {
    this.parts = parts;
    this.changed = changed;
    this.tell = tell;
    this.barred = barred;
    parts.button.addEventListener("click", () => (this.isOpen ? this.hide() : this.open()));
    parts.leave.addEventListener("click", () => this.#leave());
    parts.text.addEventListener("input", () => {
      const chat = this.#chat;
      if (chat) chat.draft = parts.text.value;
    });
    parts.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const chat = this.#chat;
      if (!chat || !parts.text.value || isLong(parts.text, tell) || !chat.say(parts.text.value)) return;
      parts.text.value = chat.draft = "";
    });
  }

  get #chat() {
    return this.#all.get(this.#name);
  }

  /** Whether the panel is open. */
  get isOpen() {
    return !this.parts.panel.hidden;
  }

  /** How many lines wait to be said, in all talks. */
  get waiting() {
    return [...this.#all.values()].reduce((sum, chat) => sum + chat.waiting, 0);
  }

  /** How much others have said that nobody has seen: at a machine, or at all. @param {string} [name] */
  unread(name) {
    if (name !== undefined) return this.#all.get(name)?.unread ?? 0;
    return [...this.#all.values()].reduce((sum, chat) => sum + chat.unread, 0);
  }

  /** Another machine is shown, or none. @param {string} name */
  show(name) {
    this.#name = name;
    if (this.#open.has(name)) this.#panel();
    else this.#close();
  }

  /** Talks with who sits at the machine that is shown. */
  open() {
    const name = this.#name;
    if (!name) return;
    // One that is over is begun anew.
    if (this.#all.get(name)?.over) this.end(name);
    if (!this.#all.has(name)) this.#all.set(name, new Chat(name, (chat, who) => this.#news(chat, who), this.barred));
    this.#open.add(name);
    this.#panel();
    this.parts.text.focus();
  }

  /** Shows no talk; what is said is heard all the same. */
  hide() {
    this.#open.delete(this.#name);
    this.#close();
    this.parts.button.focus();
  }

  #leave() {
    this.end(this.#name);
    this.hide();
  }

  /** Ends one. @param {string} name */
  end(name) {
    const chat = this.#all.get(name);
    if (!chat) return;
    if (chat.waiting) this.tell(`${name}: the talk has ended; of ${chat.waiting} lines nobody knows whether they were heard`, true);
    chat.close();
    this.#all.delete(name);
    this.#open.delete(name);
    this.changed(name);
  }

  /** Ends all, and forgets what was being typed. */
  clear() {
    for (const name of [...this.#all.keys()]) this.end(name);
    this.#name = "";
    this.#close();
    this.parts.text.value = "";
  }

  #panel() {
    const { parts } = this;
    const chat = this.#chat;
    if (!chat) return;
    parts.panel.hidden = false;
    parts.button.setAttribute("aria-expanded", "true");
    if (chat.list.parentElement !== parts.log) {
      // What was said before is not read out again.
      parts.log.setAttribute("aria-live", "off");
      parts.log.replaceChildren(chat.list);
      setTimeout(() => parts.log.removeAttribute("aria-live"), 100);
      parts.text.value = chat.draft;
      parts.log.scrollTop = parts.log.scrollHeight;
    }
    this.#news(chat);
  }

  #close() {
    const { parts } = this;
    parts.panel.hidden = true;
    parts.button.setAttribute("aria-expanded", "false");
    parts.log.replaceChildren();
    parts.state.textContent = "";
    this.#mark();
  }

  /** @param {Chat} chat @param {string} [who] has spoken */
  #news(chat, who) {
    const seen = chat === this.#chat && this.isOpen && !document.hidden;
    if (seen) {
      if (this.parts.state.textContent !== chat.words) this.parts.state.textContent = chat.words;
      chat.unread = 0;
    }
    this.#mark();
    this.changed(chat.name, seen ? undefined : who);
  }

  #mark() {
    const unread = this.unread(this.#name);
    this.parts.button.textContent = unread ? `Chat (${unread} new)` : "Chat";
  }
}

/** The longest that may be said, in bytes. */
const LONGEST = 4096;

/** Whether it is too long to be said, which is told. @param {HTMLInputElement} field @param {(words: string, bad?: boolean) => void} tell */
export function isLong(field, tell) {
  const bytes = new TextEncoder().encode(field.value).length;
  if (bytes > LONGEST) tell(`not said: ${bytes} bytes are more than ${LONGEST}`, true);
  return bytes > LONGEST;
}
