// @ts-check
/**
 * A machine's screen on a canvas, kept as it is there.
 */
import { header } from "./frame.js";
import { Command, Decoder, packet, parse } from "./stream.js";

/** The waits before it is tried again, in milliseconds: the first, and the longest. */
const BACK_OFF = [250, 4000];

/** @typedef {import("./frame.js").Header} Header */

/**
 * What is known of a machine.
 * @typedef {object} Standing
 * @property {string} link how the hub's connection to it stands, or why there is none to the hub
 * @property {boolean} current whether the picture is of now
 * @property {string | null} cause
 * @property {any} state the agent's STATE
 * @property {number} heard when it said that, in milliseconds since 1970
 * @property {any} welcome
 */

/** Shows a machine for as long as it is open. */
export class Screen {
  /** @type {WebSocket | null} */
  #socket = null;
  #wait = BACK_OFF[0];
  /** @type {number | undefined} */
  #timer;
  #open = false;
  /** The version on the canvas; 0 for none. */
  #version = 0n;
  /** @type {{header: Header, png: Uint8Array<ArrayBuffer>}[]} Frames of an update that is not whole. */
  #update = [];
  /** The next thing to be done begins when this is done. */
  #work = Promise.resolve();
  /** Whether a key frame was asked for and has not come. */
  #asked = false;
  /** Whether the socket was ever open. */
  #opened = false;
  /** @type {Standing} */
  standing = { link: "connecting", current: false, cause: null, state: null, heard: 0, welcome: null };
  /** How many updates were shown. */
  updates = 0;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {string} name of the machine
   * @param {{scale: number, fps: number}} rendition
   * @param {(screen: Screen) => void} changed told when something other than the picture has changed
   * @param {() => void} barred told when the hub does not let it in
   */
  constructor(canvas, name, { scale, fps }, changed, barred) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    this.name = name;
    this.fps = fps;
    this.path = `/api/v1/hosts/${encodeURIComponent(name)}/stream?scale=${scale}`;
    this.changed = changed;
    this.barred = barred;
  }

  /** The version that is shown. */
  get version() {
    return this.#version;
  }

  open() {
    if (this.#open) return;
    this.#open = true;
    this.#wait = BACK_OFF[0];
    this.#connect();
  }

  close() {
    this.#open = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = null;
  }

  #connect() {
    const url = new URL(this.path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    const decoder = new Decoder();
    // Versions of one connection mean nothing on another.
    this.#version = 0n;
    this.#update = [];
    this.#asked = false;
    this.#opened = false;
    // Nothing new is said where it is merely tried again.
    if (this.#wait === BACK_OFF[0]) this.#tell({ link: "connecting", current: false, cause: null });
    socket.addEventListener("open", () => {
      this.#opened = true;
      const hello = { protocol: 1, software: "hightower web", delta: true, max_fps: this.fps };
      socket.send(packet(Command.HELLO, JSON.stringify(hello)));
    });
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket || !(data instanceof ArrayBuffer)) return;
      try {
        decoder.push(data);
        for (let item = decoder.next(); item; item = decoder.next()) {
          if ("frame" in item) this.#frame(item.frame, socket);
          else this.#packet(item.command, item.payload);
        }
      } catch (error) {
        console.warn(`${this.name}: what came is no stream: ${error}`);
        socket.close();
      }
    });
    socket.addEventListener("close", () => {
      if (socket !== this.#socket) return;
      this.#tell({ link: "no connection to the hub", current: false, cause: null });
      if (!this.#open) return;
      if (!this.#opened) this.barred();
      this.#timer = setTimeout(() => this.#connect(), this.#wait * (0.9 + Math.random() / 5));
      this.#wait = Math.min(this.#wait * 2, BACK_OFF[1]);
    });
  }

  /** @param {Partial<Standing>} news */
  #tell(news) {
    Object.assign(this.standing, news);
    this.changed(this);
  }

  /** @param {number} command @param {Uint8Array<ArrayBuffer>} payload */
  #packet(command, payload) {
    if (command === Command.STRUCT) {
      const { link, current, cause } = parse(payload);
      if (typeof link === "string") this.#tell({ link, current: current === true, cause });
    } else if (command === Command.STATE) this.#tell({ state: parse(payload), heard: Date.now() });
    else if (command === Command.WELCOME) {
      const welcome = parse(payload);
      this.#tell(welcome.state ? { welcome, state: welcome.state, heard: Date.now() } : { welcome });
    }
  }

  /** @param {Uint8Array<ArrayBuffer>} png @param {WebSocket} socket */
  #frame(png, socket) {
    const frame = header(png);
    if (frame.base === 0n) {
      this.#asked = false;
      this.#update = [];
    }
    this.#update.push({ header: frame, png });
    if (!frame.last) return;
    const update = this.#update;
    this.#update = [];
    this.#work = this.#work.then(() => this.#show(update, socket)).catch((error) => {
      console.warn(`${this.name}: a frame could not be shown: ${error}`);
      this.#refresh(socket);
    });
  }

  /**
   * Shows an update, all of it at once.
   * @param {{header: Header, png: Uint8Array<ArrayBuffer>}[]} update
   * @param {WebSocket} socket
   */
  async #show(update, socket) {
    if (socket !== this.#socket) return;
    const { version, base, captured, width, height } = update[0].header;
    const whole = update.every(({ header: one }) => one.version === version && one.base === base
      && one.captured === captured && one.width === width && one.height === height);
    const fits = base === 0n || (base === this.#version && this.canvas.width === width && this.canvas.height === height);
    if (!whole || !fits) {
      this.#refresh(socket);
      return;
    }
    // Pixels as they stand there: no colours are fitted to this screen.
    const options = /** @type {ImageBitmapOptions} */ ({ colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const decoded = await Promise.allSettled(update.map(({ png }) =>
      createImageBitmap(new Blob([png], { type: "image/png" }), options)));
    const images = decoded.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    try {
      const failed = decoded.find((one) => one.status === "rejected");
      if (failed?.status === "rejected") throw failed.reason;
      if (socket !== this.#socket || socket.readyState !== WebSocket.OPEN) return;
      if (this.canvas.width !== width || this.canvas.height !== height) {
        this.canvas.width = width;
        this.canvas.height = height;
      }
      update.forEach(({ header: one }, i) => this.#draw(one, images[i]));
      this.#version = version;
      this.updates += 1;
      // It works again, so what is lost next is tried again soon.
      this.#wait = BACK_OFF[0];
      socket.send(packet(Command.ACKNOWLEDGE, `{"version":${version}}`));
    } finally {
      images.forEach((image) => image.close());
    }
  }

  /** @param {Header} frame @param {ImageBitmap} image */
  #draw({ moves, tiles }, image) {
    for (const { from: { x, y, width, height }, ...to } of moves) {
      this.context.drawImage(this.canvas, x, y, width, height, to.x, to.y, width, height);
    }
    let top = 0;
    for (const { x, y, width, height } of tiles) {
      this.context.drawImage(image, 0, top, width, height, x, y, width, height);
      top += height;
    }
  }

  /** @param {WebSocket} socket */
  #refresh(socket) {
    if (this.#asked || socket !== this.#socket || socket.readyState !== WebSocket.OPEN) return;
    this.#asked = true;
    socket.send(packet(Command.REFRESH));
  }
}
