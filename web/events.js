// @ts-check
/** What happens at the hub, as it happens. */

/** The wait before it is tried again where the hub has said no, in milliseconds. */
const WAIT = 4000;

/** Hears what happens, for as long as it is open. */
export class Events {
  /** @type {EventSource | null} */
  #source = null;
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {(kind: string, what: any) => void} heard
   * @param {() => void} barred told when the hub does not let it in
   */
  constructor(heard, barred) {
    this.heard = heard;
    this.barred = barred;
  }

  open() {
    if (this.#source || this.#timer) return;
    const source = new EventSource("/api/v1/events");
    this.#source = source;
    // What happened meanwhile nobody has told.
    source.addEventListener("open", () => {
      this.heard("open", {});
      this.heard("lost", {});
    });
    for (const kind of ["order", "transfer", "hosts", "lost"]) {
      source.addEventListener(kind, ({ data }) => this.heard(kind, JSON.parse(data)));
    }
    source.addEventListener("error", () => {
      if (source === this.#source) this.heard("cut", {});
      // Where the connection broke the browser makes it anew by itself.
      if (source !== this.#source || source.readyState !== EventSource.CLOSED) return;
      this.#source = null;
      this.barred();
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.open();
      }, WAIT);
    });
  }

  close() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#source?.close();
    this.#source = null;
  }
}
