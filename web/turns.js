// @ts-check
/** Turns: so many at a time, those that came first before the others. */
export class Turns {
  /** @type {{begin: () => void}[]} */
  #queue = [];
  #going = 0;

  /** @param {number} most */
  constructor(most) {
    this.most = most;
  }

  /** A turn, once there is one; to be given back by `done`. @param {AbortSignal} [signal] by which it is waited for no more @returns {Promise<void>} */
  take(signal) {
    return new Promise((resolve, reject) => {
      const one = { begin: () => resolve() };
      this.#queue.push(one);
      signal?.addEventListener("abort", () => {
        const at = this.#queue.indexOf(one);
        if (at < 0) return;
        this.#queue.splice(at, 1);
        reject(new Error("stopped"));
      }, { once: true });
      this.#next();
    });
  }

  done() {
    this.#going -= 1;
    this.#next();
  }

  #next() {
    while (this.#going < this.most) {
      const one = this.#queue.shift();
      if (!one) return;
      this.#going += 1;
      one.begin();
    }
  }
}
