// @ts-check
/**
 * The stream of an agent, as proto/SPEC.md has it: frames and packets one after another, cut into
 * messages anyhow.
 */

/** The longest payload of a frame, and of a packet, in bytes. */
const LONGEST_FRAME = 64 * 2 ** 20;
const LONGEST_PACKET = 64 * 2 ** 10;

/** Commands of packets. */
export const Command = Object.freeze({
  STRUCT: 20, HELLO: 32, WELCOME: 33, ACKNOWLEDGE: 34, STATE: 35, GOODBYE: 36, PING: 37, PONG: 38,
  REFRESH: 40,
});

/**
 * @typedef {{frame: Uint8Array<ArrayBuffer>} | {command: number, payload: Uint8Array<ArrayBuffer>}} Item
 */

/** Puts messages together, and takes them apart into items. */
export class Decoder {
  /** @type {Uint8Array<ArrayBuffer>[]} What has come and is not taken yet. */
  #pieces = [];
  #held = 0;

  /** Takes in a message. @param {ArrayBuffer} bytes */
  push(bytes) {
    this.#pieces.push(new Uint8Array(bytes));
    this.#held += bytes.byteLength;
  }

  /**
   * The next item, or null where it is not whole yet. Throws where there can be none.
   * @returns {Item | null}
   */
  next() {
    const head = this.#peek(16);
    if (head.length < 10) return null;
    const view = new DataView(head.buffer, head.byteOffset, head.length);
    if (head[0] === 0x48 && head[1] === 0x54) {
      const length = Number(view.getBigUint64(2, true));
      if (length < 1 || length > LONGEST_FRAME) throw new Error(`a frame of ${length} bytes`);
      const item = this.#take(10, length);
      return item && { frame: item };
    }
    if (head[0] !== 0) throw new Error("neither a frame nor a packet");
    if (head.length < 16) return null;
    const length = Number(view.getBigInt64(0)) - 16;
    if (length < 0 || length > LONGEST_PACKET) throw new Error(`a packet of ${length} bytes`);
    const command = Number(view.getBigInt64(8));
    const item = this.#take(16, length);
    return item && { command, payload: item };
  }

  /** As many of the first bytes as there are, up to so many. @param {number} count */
  #peek(count) {
    const first = this.#pieces[0] ?? new Uint8Array();
    if (first.length >= count || this.#pieces.length < 2) return first.subarray(0, count);
    return this.#join(Math.min(count, this.#held));
  }

  /** A payload behind a header, if all of it is here. @param {number} head @param {number} length */
  #take(head, length) {
    if (this.#held < head + length) return null;
    const item = this.#join(head + length).subarray(head);
    this.#held -= head + length;
    let left = head + length;
    while (left > 0) {
      const first = /** @type {Uint8Array<ArrayBuffer>} */ (this.#pieces[0]);
      if (first.length > left) {
        this.#pieces[0] = first.subarray(left);
        break;
      }
      left -= first.length;
      this.#pieces.shift();
    }
    return item;
  }

  /** The first bytes in one piece. @param {number} count */
  #join(count) {
    const first = this.#pieces[0] ?? new Uint8Array();
    if (first.length >= count) return first.subarray(0, count);
    const joined = new Uint8Array(count);
    let at = 0;
    for (const piece of this.#pieces) {
      const part = piece.subarray(0, count - at);
      joined.set(part, at);
      at += part.length;
      if (at === count) break;
    }
    return joined;
  }
}

/**
 * A packet.
 * @param {number} command
 * @param {string} [json] its payload; numbers of 64 bits are not JavaScript's, so it is text
 */
export function packet(command, json = "") {
  const payload = new TextEncoder().encode(json);
  const bytes = new Uint8Array(16 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, BigInt(bytes.length));
  view.setBigInt64(8, BigInt(command));
  bytes.set(payload, 16);
  return bytes;
}

/** A packet's payload as an object. @param {Uint8Array<ArrayBuffer>} payload */
export function parse(payload) {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
}
