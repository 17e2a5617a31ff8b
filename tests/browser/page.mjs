// A browser, and what is done with its pages. Told what there is by TASK, a JSON text.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

/** How long anything may take, in milliseconds. */
const PATIENCE = 60_000;

export const task = JSON.parse(process.env.TASK);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const browser = await chromium.launch({
  executablePath: task.chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

/** A page of a browser of its own that fails the test by whatever goes wrong in it. */
export const open = async (options) => tab(await browser.newContext(options));

/** Another page of one browser. */
export async function tab(context) {
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.sockets = new Set();
  page.on("websocket", (socket) => {
    page.sockets.add(socket);
    socket.on("close", () => page.sockets.delete(socket));
  });
  page.on("pageerror", (error) => assert.fail(`in the page: ${error}`));
  page.on("dialog", (dialog) => assert.fail(`a dialog: ${dialog.message()}`));
  // What the hub refuses on purpose, or while it is started again, is an error of the network, too.
  page.on("console", (line) => {
    const network = /^Failed to load resource|^WebSocket connection to '[^']*' failed/;
    if (line.type() === "error" && !network.test(line.text())) assert.fail(line.text());
  });
  return page;
}

/** The pixels of a canvas as a number that changes with them. */
export const digest = (page, selector) => page.$eval(selector, (canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    sum = (Math.imul(sum, 31) + (data[i] << 16 | data[i + 1] << 8 | data[i + 2])) | 0;
  }
  return sum;
});

/** Waits until something is so. */
export async function until(what, so) {
  const end = Date.now() + PATIENCE;
  while (!await so()) {
    assert(Date.now() < end, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Holds the page against the rules of axe-core: nothing serious may be found. */
export async function accessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(serious.map(({ id, nodes }) => `${where}: ${id}: ${nodes[0]?.html}`), []);
}

/** Says something to whoever started this. */
export const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

/** Says something, and waits for a word. */
export async function step(what) {
  tell(what);
  await new Promise((resolve) => process.stdin.once("data", resolve));
}
