// @ts-check
/**
 * What a frame says of itself: the chunk `htFr` of its PNG (proto/SPEC.md, section 8).
 */

/** Most moves and tiles of a frame, and the largest canvas. */
const MOVES = 64;
const TILES = 1024;
const SIDE = 32768;
const PIXELS = 64 * 2 ** 20;

/**
 * @typedef {{x: number, y: number, width: number, height: number}} Rect
 * @typedef {{from: Rect, x: number, y: number}} Move
 * @typedef {object} Header
 * @property {boolean} last whether it is the last frame of its update
 * @property {bigint} version what it brings its viewer to
 * @property {bigint} base what it builds on; 0 for a key frame
 * @property {bigint} captured microseconds since 1970, by the agent's clock
 * @property {number} width of the canvas, in pixels
 * @property {number} height
 * @property {Move[]} moves
 * @property {Rect[]} tiles
 */

/** Reads numbers, and throws where there are none. */
class Reader {
  #at = 0;
  /** @param {Uint8Array<ArrayBuffer>} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  byte() {
    return this.view.getUint8(this.#at++);
  }

  u32() {
    this.#at += 4;
    return this.view.getUint32(this.#at - 4);
  }

  u64() {
    this.#at += 8;
    return this.view.getBigUint64(this.#at - 8);
  }

  /** LEB128 of at most so many bits. @param {number} bits */
  leb(bits) {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0n) throw new Error("a number is not in its shortest form");
        break;
      }
      if (shift > 63n) throw new Error("a number is too long");
    }
    if (value >> BigInt(bits)) throw new Error("a number is too large");
    return value;
  }

  /** A number of 32 bits. */
  small() {
    return Number(this.leb(32));
  }

  /** One with sign. */
  signed() {
    const value = this.leb(64);
    return Number(value & 1n ? -((value + 1n) >> 1n) : value >> 1n);
  }

  /** @returns {Rect} */
  rect() {
    return { x: this.small(), y: this.small(), width: this.small(), height: this.small() };
  }

  end() {
    if (this.#at !== this.bytes.length) throw new Error("something follows");
  }
}

/**
 * The chunk's data, and the image's size.
 * @param {Uint8Array<ArrayBuffer>} png
 */
function chunk(png) {
  const view = new DataView(png.buffer, png.byteOffset, png.length);
  if (view.getUint32(0) !== 0x89504e47 || view.getUint32(12) !== 0x49484452) {
    throw new Error("no PNG");
  }
  const size = { width: view.getUint32(16), height: view.getUint32(20) };
  for (let at = 33; at + 12 <= png.length; ) {
    const length = view.getUint32(at);
    const type = view.getUint32(at + 4);
    if (length > png.length - at - 12 || type === 0x49444154) break;
    // One of a layout that is not known is passed over, like any unknown chunk.
    if (type === 0x68744672 && (png[at + 8] === 1 || png[at + 8] === 2)) {
      return { size, data: png.subarray(at + 8, at + 8 + length) };
    }
    at += 12 + length;
  }
  throw new Error("a frame without a version");
}

/** @param {Rect} rect @param {{width: number, height: number}} canvas */
function within({ x, y, width, height }, canvas) {
  const fits = x + width <= canvas.width && y + height <= canvas.height;
  if (width < 1 || height < 1 || !fits) throw new Error("it reaches beyond the canvas");
}

/**
 * What a frame says. Throws where that is nothing that can be.
 * @param {Uint8Array<ArrayBuffer>} png
 * @returns {Header}
 */
export function header(png) {
  const { size, data } = chunk(png);
  const reader = new Reader(data);
  const layout = reader.byte();
  const last = (reader.byte() & 1) === 1;
  /** @type {Header} */
  let frame;
  if (layout === 1) {
    const [version, base, captured] = [reader.u64(), reader.u64(), reader.u64()];
    const [width, height, x, y] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()];
    const tiles = [{ x, y, width: size.width, height: size.height }];
    frame = { last: last || base === 0n, version, base, captured, width, height, moves: [], tiles };
  } else {
    const version = reader.leb(64);
    const base = version - reader.leb(64);
    const captured = reader.leb(64);
    const [width, height] = [reader.small(), reader.small()];
    /** @type {Move[]} */
    const moves = [];
    /** @type {Rect[]} */
    const tiles = [];
    frame = { last, version, base, captured, width, height, moves, tiles };
    const moved = reader.small();
    if (moved > MOVES) throw new Error("too many moves");
    for (let i = 0; i < moved; i += 1) {
      const from = reader.rect();
      moves.push({ from, x: from.x + reader.signed(), y: from.y + reader.signed() });
    }
    const tiled = reader.small();
    if (tiled > TILES) throw new Error("too many tiles");
    for (let i = 0; i < tiled; i += 1) tiles.push(reader.rect());
    if (base < 1n) throw new Error("it builds on nothing");
  }
  if (frame.version <= frame.base) throw new Error("it builds on itself, or on what comes later");
  reader.end();
  check(frame, size);
  return frame;
}

/** @param {Header} frame @param {{width: number, height: number}} size the image's */
function check(frame, size) {
  const { width, height, moves, tiles } = frame;
  if (!(width >= 1 && height >= 1 && width <= SIDE && height <= SIDE && width * height <= PIXELS)) {
    throw new Error(`a canvas of ${width} × ${height}`);
  }
  for (const { from, x, y } of moves) {
    within(from, frame);
    if (x < 0 || y < 0) throw new Error("it reaches beyond the canvas");
    within({ ...from, x, y }, frame);
  }
  tiles.forEach((tile) => within(tile, frame));
  const area = (/** @type {number} */ sum, /** @type {Rect} */ rect) => sum + rect.width * rect.height;
  if (moves.map((move) => move.from).reduce(area, 0) > 4 * width * height) throw new Error("too much is moved");
  if (tiles.reduce(area, 0) > 2 * width * height) throw new Error("too much is new");
  const wide = tiles.reduce((most, tile) => Math.max(most, tile.width), 1);
  const high = tiles.reduce((sum, tile) => sum + tile.height, 0) || 1;
  if (size.width !== wide || size.height !== high) throw new Error("the image has another size");
}
