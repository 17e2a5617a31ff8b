// What a person does in the hub's pages. Told what there is by TASK, a JSON text; says what it saw as
// a line of JSON, and fails where something is not as it should be.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { accessible, browser, digest, open, step, task, tell, until } from "./page.mjs";
import { people } from "./people.mjs";

/** What nobody may make of a name, a message or a file. */
const MARKUP = "<img src=x onerror=alert(1)>";

const nth = (i) => `#wall li:nth-child(${i + 1})`;
const said = {};
try {
  const stranger = await open();
  await stranger.goto(new URL("/", task.link).href);
  await stranger.locator("#stranger").waitFor();
  assert.equal(await stranger.locator("#wall li").count(), 0);
  await accessible(stranger, "sign in");

  const page = await open({ viewport: { width: 1280, height: 800 } });
  await page.goto(task.link);
  await page.locator("#wall li").first().waitFor();
  assert.equal(new URL(page.url()).hash, "", "the link's secret stays in the address");
  assert.deepEqual(await page.locator(".name").allTextContents(), task.hosts);
  for (const i of task.hosts.keys()) {
    await until(`${task.hosts[i]} is shown`, () =>
      page.$eval(`${nth(i)} canvas`, (canvas) => canvas.width > 16));
    const first = await digest(page, `${nth(i)} canvas`);
    await until(`${task.hosts[i]} moves`, async () => await digest(page, `${nth(i)} canvas`) !== first);
  }
  await accessible(page, "wall");
  if (task.shots) await page.screenshot({ path: `${task.shots}/hub-wall.png` });

  // Only what is looked for is shown, and only that is asked of the hub.
  await page.fill("#words", task.hosts[1]);
  await until("one is left", async () => await page.locator("#wall li:visible").count() === 1);
  await until("one is asked for", () => page.sockets.size === 1);
  await page.fill("#words", "");

  // Large, by the keyboard.
  await page.locator(`${nth(task.still)} button`).focus();
  await page.keyboard.press("Enter");
  await page.locator("#large").waitFor();
  assert.equal(await page.locator("#large-name").textContent(), task.hosts[task.still]);
  await until("it is shown large", () => page.$eval("#screen", (canvas, size) =>
    canvas.width === size[0] && canvas.height === size[1], task.size));
  await accessible(page, "large");
  if (task.shots) await page.screenshot({ path: `${task.shots}/hub-large.png` });
  // Whoever started this has the screen rest now, and says what is on it.
  await step({ at: "large" });
  const expected = readFileSync(task.pixels);
  await until("it equals the screen", async () => {
    const rgb = await page.$eval("#screen", (canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const rgb = new Uint8Array(data.length / 4 * 3);
      for (let i = 0, o = 0; i < data.length; i += 4, o += 3) rgb.set(data.subarray(i, i + 3), o);
      let text = "";
      for (let i = 0; i < rgb.length; i += 32768) text += String.fromCharCode(...rgb.subarray(i, i + 32768));
      return btoa(text);
    });
    return Buffer.from(rgb, "base64").equals(expected);
  });

  // All of it is seen without scrolling, and a picture of it is kept.
  const box = await page.locator("#screen").boundingBox();
  assert.ok(box.y + box.height <= page.viewportSize().height, JSON.stringify(box));
  const [kept] = await Promise.all([page.waitForEvent("download"), page.click("#shot")]);
  assert.equal(readFileSync(await kept.path()).subarray(1, 4).toString(), "PNG");

  await page.click("#large [data-order=lock]");
  await page.locator("#said", { hasText: "locked" }).waitFor();
  await page.locator("#large-state", { hasText: "locked" }).waitFor();
  await page.click("#large [data-order=unlock]");
  await page.locator("#said", { hasText: "free" }).waitFor();
  await page.fill("#text", "hello from the browser");
  await page.click("#message button");
  await page.locator("#said", { hasText: "said" }).waitFor();
  await page.click("#about");
  await page.locator("#facts dd").first().waitFor();
  // The machine is called by markup, and that is text.
  assert.equal(await page.locator("#facts dd").first().textContent(), MARKUP);
  await page.click("#about");
  tell({ at: "talk" });

  // Two talk with who sits there.
  await page.click("#chat");
  await page.locator("#talk-state", { hasText: "nobody else is present" }).waitFor();
  const other = await page.context().newPage();
  other.on("dialog", (dialog) => assert.fail(`a dialog: ${dialog.message()}`));
  await other.goto(page.url());
  await other.click("#chat");
  await page.locator("#talk-log li", { hasText: "has joined" }).waitFor();
  await other.fill("#talk-text", `${MARKUP} hello`);
  await other.keyboard.press("Enter");
  await page.locator("#talk-log li", { hasText: "hello" }).waitFor();
  assert.equal(await page.locator("#talk-log li", { hasText: "hello" }).locator("span").textContent(), `${MARKUP} hello`);
  await other.locator("#talk-log li", { hasText: "you" }).waitFor();
  await page.fill("#talk-text", "good morning");
  await page.click("#talk-form button");
  await other.locator("#talk-log li", { hasText: "good morning" }).waitFor();

  // Whoever talks in too many pages is told so, and comes in when there is a place.
  const third = await page.context().newPage();
  await third.clock.install();
  await third.goto(page.url());
  await third.click("#chat");
  await third.locator("#talk-state", { hasText: "you talk there in 2 pages already" }).waitFor();
  await third.fill("#talk-text", "at last");
  await third.keyboard.press("Enter");
  await third.locator("#talk-log li", { hasText: "is said when there is a connection again: at last" }).waitFor();
  await other.close();
  await page.locator("#talk-log li", { hasText: "has left" }).waitFor();
  await third.clock.fastForward(20_000);
  await page.locator("#talk-log li", { hasText: "at last" }).waitFor();
  await third.close();

  // What could not be said for five minutes is named, and so is that no more can wait.
  const cut = await page.context().newPage();
  const asked = [];
  await cut.clock.install();
  await cut.routeWebSocket(/[/]chat[?]/, (socket) => {
    asked.push(new URL(socket.url()).searchParams.get("member"));
    return asked.length > 1 ? new Promise(() => {}) : socket.close({ code: 1001 });
  });
  await cut.goto(page.url());
  await cut.click("#chat");
  await until("it has tried again", () => asked.length > 1);
  assert.match(asked[0], /^[0-9]+$/);
  assert.equal(asked[1], asked[0], "it comes back as another one");
  for (let i = 0; i < 33; i += 1) {
    await cut.fill("#talk-text", `line ${i}`);
    await cut.keyboard.press("Enter");
  }
  await cut.locator("#talk-log li", { hasText: "not said: 32 lines wait to be said already" }).waitFor();
  assert.equal(await cut.inputValue("#talk-text"), "line 32");
  assert.equal(await cut.locator("#talk-log li", { hasText: "not said: line" }).count(), 0);
  await cut.clock.fastForward(300_000);
  await cut.locator("#talk-log li", { hasText: "not said: line 31 (" }).waitFor();
  assert.equal(await cut.locator("#talk-log li", { hasText: "not said: line" }).count(), 32);
  await cut.close();

  tell({ at: "file" });
  // A large file is dropped on the machine, and it is told how far it has come.
  await page.evaluate(() => {
    globalThis.seen = [];
    const value = Object.getOwnPropertyDescriptor(HTMLProgressElement.prototype, "value");
    const set = function set(part) {
      if (part !== globalThis.seen.at(-1)) globalThis.seen.push(part);
      value.set.call(this, part);
    };
    Object.defineProperty(HTMLProgressElement.prototype, "value", { ...value, set });
  });
  const dropped = await page.evaluateHandle(([name, length]) => {
    const words = new Uint32Array(length / 4);
    for (let i = 0; i < words.length; i += 1) words[i] = Math.imul(i, 2654435761);
    const data = new DataTransfer();
    data.items.add(new File([words], name));
    return data;
  }, [`${MARKUP}.bin`, task.length]);
  await page.dispatchEvent("#screen", "dragover", { dataTransfer: dropped });
  await page.locator("#large.drop").waitFor();
  await page.dispatchEvent("#screen", "drop", { dataTransfer: dropped });
  await page.locator("#transfers li", { hasText: "verified" }).waitFor();
  const seen = await page.evaluate(() => globalThis.seen);
  assert(seen.length >= 3 && seen.every((part, i) => !i || part >= seen[i - 1]), `progress was ${seen}`);
  assert((await page.locator("#transfers li").textContent()).includes(`${MARKUP}.bin`));
  await page.click("#transfers button");
  // One that is on its way for as long as it is looked at.
  let held;
  await page.route("**/files?*", (route) => { held = route; });
  const little = await page.evaluateHandle(() => {
    const data = new DataTransfer();
    data.items.add(new File(["held"], "held.txt"));
    return data;
  });
  await page.dispatchEvent("#screen", "drop", { dataTransfer: little });
  await page.locator("#transfers progress").waitFor();
  await until("it is on its way", () => held);
  await accessible(page, "large, with a talk and a file");
  if (task.shots) await page.screenshot({ path: `${task.shots}/hub-talk.png` });
  await held.abort();
  await page.locator("#transfers li", { hasText: "not sent" }).waitFor();
  await page.unroute("**/files?*");
  await page.click("#transfers button");
  await page.click("#talk-leave");
  await page.keyboard.press("Escape");
  await page.locator("#wall").waitFor();

  // On a phone, and where it is dark.
  const phone = await browser.newContext({ viewport: { width: 360, height: 700 }, colorScheme: "dark" });
  await phone.addCookies(await page.context().cookies());
  const small = await phone.newPage();
  await small.goto(new URL("/", task.link).href);
  await small.locator("#wall li").first().waitFor();
  const wide = await small.evaluate(() => document.documentElement.scrollWidth);
  assert(wide <= 360, `the page is ${wide} wide on a phone of 360`);
  await accessible(small, "dark phone");
  if (task.shots) await small.screenshot({ path: `${task.shots}/hub-phone.png` });

  // A page that is hidden costs nothing: it is connected to nothing.
  await until("all are asked for", () => page.sockets.size === task.hosts.length);
  const hide = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await hide(true);
  await until("nothing is asked for", () => page.sockets.size === 0);
  await hide(false);
  await until("all are asked for again", () => page.sockets.size === task.hosts.length);

  await people();

  // The hub is killed and comes back: so does what is shown, and nobody signs in again.
  await step({ at: "restart" });
  const back = Date.now();
  for (const i of task.hosts.keys()) {
    if (i === task.still) continue;
    await until(`${task.hosts[i]} is shown again`, () =>
      page.$eval(`${nth(i)} canvas`, (canvas) => !canvas.classList.contains("old")));
  }
  said.back_ms = Date.now() - back;
  const gone = await digest(page, `${nth(task.still ? 0 : 1)} canvas`);
  await until("it moves", async () => await digest(page, `${nth(task.still ? 0 : 1)} canvas`) !== gone);
  await page.click("#sign-out");
  await page.locator("#stranger").waitFor();
  await until("nothing is asked for any more", () => page.sockets.size === 0);
  said.done = true;
} finally {
  await browser.close();
  process.stdin.destroy();
}
tell(said);
