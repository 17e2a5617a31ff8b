// @ts-check
/** The pages: a wall of all machines, and one of them large. */
import * as api from "./api.js";
import { Chat } from "./chat.js";
import { Events } from "./events.js";
import { Screen } from "./screen.js";
import { Transfers } from "./transfers.js";

/** How small the wall asks for pictures, and how many a second. */
const SMALL = { scale: 4, fps: 5 };
const LARGE = { scale: 1, fps: 0 };

/** @typedef {{name: string, groups: string[], dialled?: {here: boolean, since_ms: number}}} Host */
/** @typedef {{host: Host, item: HTMLElement, screen: Screen, seen: boolean}} Tile */

/** @template {Element} T @param {string} id @param {{new (): T}} kind @returns {T} */
function part(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

const wall = part("wall", HTMLElement);
const large = part("large", HTMLElement);
const said = part("said", HTMLElement);
const words = part("words", HTMLInputElement);
const group = part("group", HTMLSelectElement);
const facts = part("facts", HTMLElement);
const about = part("about", HTMLButtonElement);
const talk = part("talk", HTMLElement);
const files = part("files", HTMLInputElement);

/** @type {Tile[]} */
let tiles = [];
/** @type {{tile: Tile, screen: Screen} | null} */
let shown = null;
/** Whether somebody is signed in. */
let known = false;
/** When it was asked last whether they still are. */
let asked = 0;
/** What they are called. */
let own = "";
/** Whether they may send files. */
let sends = false;
/** Whether they may say something. */
let speaks = false;
/** @type {Chat | null} */
let chat = null;
/** For whom the files are that are being picked. @type {string[]} */
let picked = [];

const transfers = new Transfers(part("transfers", HTMLElement), tell);
const events = new Events((kind, what) => {
  if (kind === "transfer") transfers.heard(what);
  else if (kind === "hosts" || kind === "lost") renew();
  else if (kind === "order" && what.by !== own) tell(`${what.by}: ${what.host}: ${what.done}`);
}, barred);

/** Says something to who uses the page. @param {string} text */
function tell(text) {
  said.textContent = text;
}

/** How things stand at a machine, in words. @param {Screen} screen */
function state({ standing: { link, cause, state: told } }) {
  if (link !== "connected") return cause ? `${link}: ${cause}` : link;
  if (!told) return link;
  if (told.asking) return "the person there is asked";
  const words = [told.monitoring ? "watched" : "stopped"];
  if (told.capture?.is === "failed") words[0] = `no picture: ${told.capture.cause}`;
  if (told.lock_ms) words.push("locked");
  return words.join(", ");
}

/** @param {Screen} screen @param {HTMLElement} line */
function show(screen, line) {
  line.textContent = state(screen);
  screen.canvas.classList.toggle("old", !screen.standing.current);
}

/** Opens what is looked at, and nothing else. */
function look() {
  const visible = !document.hidden;
  for (const tile of tiles) {
    if (visible && !shown && tile.seen && !tile.item.hidden) tile.screen.open();
    else tile.screen.close();
  }
  if (shown && visible) shown.screen.open();
  else shown?.screen.close();
  if (known && (visible || transfers.any)) events.open();
  else events.close();
}

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const tile = tiles.find(({ item }) => item === entry.target);
    if (tile) tile.seen = entry.isIntersecting;
  }
  look();
}, { rootMargin: "100px" });

/** The hub has let nobody in: perhaps whoever this was is not signed in any more. */
async function barred() {
  if (Date.now() - asked < 5000) return;
  asked = Date.now();
  const who = await api.session().catch(() => undefined);
  if (who === null && known) leave("you are not signed in any more");
}

/** Shows the form to sign in. @param {string} why */
function leave(why) {
  known = false;
  events.close();
  hush();
  shown?.screen.close();
  shown = null;
  for (const { item, screen } of tiles) {
    screen.close();
    observer.unobserve(item);
  }
  tiles = [];
  wall.replaceChildren();
  group.length = 1;
  wall.hidden = true;
  large.hidden = true;
  arrange();
  tell(why);
  part("user", HTMLInputElement).focus();
}

/** Shows what there is for whoever this is, and for what is shown. */
function arrange() {
  const wide = known && !shown;
  for (const id of ["orders", "search"]) part(id, HTMLElement).hidden = !wide;
  part("sign-out", HTMLElement).hidden = !known;
  part("stranger", HTMLElement).hidden = known;
}

/** @param {Host} host @returns {Tile} */
function tileOf(host) {
  const template = part("tile", HTMLTemplateElement);
  const item = /** @type {HTMLElement} */ (/** @type {DocumentFragment} */ (template.content.cloneNode(true)).firstElementChild);
  const find = (/** @type {string} */ name) => /** @type {HTMLElement} */ (item.querySelector(name));
  // Names are somebody else's words: text, and never markup.
  find(".name").textContent = host.name;
  const line = find(".state");
  const screen = new Screen(/** @type {HTMLCanvasElement} */ (find("canvas")), host.name, SMALL, (one) => show(one, line), barred);
  const tile = { host, item, screen, seen: false };
  find("button").addEventListener("click", () => goTo(host.name));
  return tile;
}

/** Shows those that are looked for. */
function sift() {
  const looked = words.value.trim().toLowerCase();
  for (const { host, item } of tiles) {
    const named = [host.name, ...host.groups].some((one) => one.toLowerCase().includes(looked));
    item.hidden = !named || (group.value !== "" && !host.groups.includes(group.value));
  }
  if (tiles.length && tiles.every(({ item }) => item.hidden)) tell("no machine, and no group, is called so");
  look();
}

/** Ends the talk, if there is one. */
function hush() {
  chat?.close();
  chat = null;
  talk.hidden = true;
  part("message", HTMLElement).hidden = !speaks;
  part("chat", HTMLElement).setAttribute("aria-expanded", "false");
}

/** Gives a picture to the browser to be kept, or says why there is none. @param {string} name */
async function keep(name) {
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await api.shot(name));
    link.download = `${name}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (problem) {
    tell(`${name}: ${problem instanceof Error ? problem.message : problem}`);
  }
}

/** Those that are shown. */
const visible = () => tiles.filter(({ item }) => !item.hidden).map(({ host }) => host);

/** @param {string} name */
function goTo(name) {
  location.hash = name ? `machine=${encodeURIComponent(name)}` : "";
}

/** Shows what the page's address says. */
function follow() {
  const name = new URLSearchParams(location.hash.slice(1)).get("machine");
  const tile = tiles.find(({ host }) => host.name === name) ?? null;
  const before = shown?.tile;
  shown?.screen.close();
  shown = null;
  if (before !== tile) hush();
  if (tile) {
    const old = part("screen", HTMLCanvasElement);
    // A new one, or for a moment it would show the machine of before.
    const canvas = /** @type {HTMLCanvasElement} */ (old.cloneNode());
    canvas.setAttribute("aria-label", `The screen of ${tile.host.name}`);
    old.replaceWith(canvas);
    const line = part("large-state", HTMLElement);
    part("large-name", HTMLElement).textContent = tile.host.name;
    part("shot", HTMLAnchorElement).href = api.picture(tile.host.name);
    part("shot", HTMLAnchorElement).download = `${tile.host.name}.png`;
    shown = { tile, screen: new Screen(canvas, tile.host.name, LARGE, (one) => show(one, line), barred) };
    facts.hidden = true;
    about.setAttribute("aria-expanded", "false");
  }
  wall.hidden = shown !== null;
  large.hidden = shown === null;
  document.title = shown ? `${shown.tile.host.name} – Hightower` : "Hightower";
  arrange();
  look();
  if (shown) part("back", HTMLButtonElement).focus();
  else before?.item.querySelector("button")?.focus();
}

/** Does something at machines, and says how it went. @param {Host[]} hosts @param {(name: string) => Promise<any>} work */
async function each(hosts, work) {
  if (!hosts.length) {
    tell("no machine is shown");
    return;
  }
  const outcomes = await Promise.allSettled(hosts.map(({ name }) => work(name)));
  const lines = outcomes.map((outcome, i) => outcome.status === "fulfilled"
    ? `${hosts[i].name}: ${outcome.value.done}` : `${hosts[i].name}: failed: ${outcome.reason.message}`);
  const failed = outcomes.filter((outcome) => outcome.status === "rejected");
  const several = `${hosts.length} machines: ${hosts.length - failed.length} done, ${failed.length} failed`;
  tell(hosts.length === 1 ? lines[0] : [several, ...lines.filter((_, i) => outcomes[i].status === "rejected")].join("; "));
  if (outcomes.some((one) => one.status === "rejected" && one.reason.status === 401)) leave("you are not signed in any more");
}

for (const button of document.querySelectorAll("[data-order]")) {
  const what = /** @type {"start" | "stop" | "lock" | "unlock"} */ (button.getAttribute("data-order"));
  button.addEventListener("click", () => {
    each(button.closest("#large") && shown ? [shown.tile.host] : visible(), (name) => api.order(name, what));
  });
}

part("shot", HTMLAnchorElement).addEventListener("click", (event) => {
  event.preventDefault();
  if (shown) keep(shown.tile.host.name);
});

// What is under way to the hub ends with the page.
addEventListener("beforeunload", (event) => {
  if (transfers.any) event.preventDefault();
});

part("message", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  const text = part("text", HTMLInputElement);
  if (!shown || !text.value) return;
  const said = text.value;
  each([shown.tile.host], (name) => api.say(name, said).then((done) => {
    if (text.value === said) text.value = "";
    return done;
  }));
});

about.addEventListener("click", async () => {
  facts.hidden = !facts.hidden;
  about.setAttribute("aria-expanded", String(!facts.hidden));
  const of = shown;
  if (facts.hidden || !of) return;
  facts.replaceChildren();
  try {
    const { host, software, source, facts: told } = await api.facts(of.tile.host.name);
    if (shown !== of) return;
    const monitors = (told?.monitors ?? []).map((/** @type {any} */ one) => `${one.name} ${one.width}×${one.height}`);
    const networks = (told?.interfaces ?? []).map((/** @type {any} */ one) =>
      [one.name, ...(one.addresses ?? []).map((/** @type {any} */ at) => at.ip), one.mac].filter(Boolean).join(" "));
    for (const [what, is] of [["Name", host], ["System", told?.os], ["User", told?.user], ["Agent", software],
      ["Captures", source], ["Monitors", monitors.join("; ")], ["Networks", networks.join("; ")]]) {
      if (!is) continue;
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = what;
      text.textContent = is;
      facts.append(term, text);
    }
  } catch (problem) {
    tell(`${of.tile.host.name}: ${problem instanceof Error ? problem.message : problem}`);
  }
});

part("chat", HTMLButtonElement).addEventListener("click", () => {
  if (chat || !shown) {
    hush();
    return;
  }
  talk.hidden = false;
  // In the chat all is said that there is to say.
  part("message", HTMLElement).hidden = true;
  part("chat", HTMLElement).setAttribute("aria-expanded", "true");
  const parts = { log: part("talk-log", HTMLElement), state: part("talk-state", HTMLElement) };
  chat = new Chat(shown.tile.host.name, parts, barred);
  part("talk-text", HTMLElement).focus();
});

part("talk-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  const text = part("talk-text", HTMLInputElement);
  if (text.value && chat?.say(text.value)) text.value = "";
});

for (const button of document.querySelectorAll("[data-files]")) {
  button.addEventListener("click", () => {
    picked = button.closest("#large") && shown ? [shown.tile.host.name] : visible().map(({ name }) => name);
    files.click();
  });
}
files.addEventListener("change", () => {
  transfers.send(picked, [...files.files ?? []]);
  files.value = "";
});

/** For whom it is what is held over this. @param {EventTarget | null} over */
function under(over) {
  if (shown) return shown.tile;
  const item = over instanceof Element ? over.closest("#wall li") : null;
  return tiles.find((tile) => tile.item === item) ?? null;
}

/** Shows where what is held would go. @param {Tile | null} tile */
function mark(tile) {
  const at = shown && tile ? large : tile?.item;
  for (const marked of document.querySelectorAll(".drop")) marked.classList.toggle("drop", marked === at);
  at?.classList.add("drop");
}

// A file that is dropped beside a machine must not take the page's place.
document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  const tile = known && sends ? under(event.target) : null;
  event.dataTransfer.dropEffect = tile ? "copy" : "none";
  mark(tile);
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) mark(null);
});
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  const tile = known && sends ? under(event.target) : null;
  mark(null);
  if (!tile) return;
  // A folder is no file, and comes as one that can't be read.
  const items = [...event.dataTransfer.items];
  const dropped = items.filter((one) => one.kind === "file" && !one.webkitGetAsEntry()?.isDirectory);
  const all = dropped.map((one) => one.getAsFile()).filter((file) => file !== null);
  if (all.length < items.length) tell("folders are not sent from here: `hightower send` does");
  transfers.send([tile.host.name], all);
});

part("sign-in", HTMLFormElement).addEventListener("submit", async (event) => {
  event.preventDefault();
  const password = part("password", HTMLInputElement);
  try {
    await api.signIn({ name: part("user", HTMLInputElement).value, password: password.value });
    tell("");
    await begin();
  } catch (problem) {
    tell(problem instanceof Error ? problem.message : String(problem));
  }
  password.value = "";
});
part("back", HTMLButtonElement).addEventListener("click", () => goTo(""));
part("search", HTMLFormElement).addEventListener("submit", (event) => event.preventDefault());
part("sign-out", HTMLButtonElement).addEventListener("click", async () => {
  try {
    await api.signOut();
    leave("signed out");
  } catch (problem) {
    tell(`not signed out: ${problem instanceof Error ? problem.message : problem}`);
  }
});
words.addEventListener("input", sift);
group.addEventListener("change", sift);
window.addEventListener("hashchange", () => (claim() ? begin() : follow()));
document.addEventListener("visibilitychange", look);
document.addEventListener("keydown", (event) => {
  // In a field it means that field.
  if (event.key === "Escape" && shown && !(event.target instanceof HTMLInputElement)) goTo("");
});

/** The secret of a link that signs in, if the page was opened by one. */
const claim = () => new URLSearchParams(location.hash.slice(1)).get("link");

async function begin() {
  try {
    await enter();
  } catch (problem) {
    tell(problem instanceof Error ? problem.message : String(problem));
    arrange();
  }
}

async function enter() {
  const link = claim();
  if (link) {
    history.replaceState(null, "", location.pathname);
    // One that was used already bars nobody who is signed in.
    await api.signIn({ link }).catch((problem) => tell(problem.message));
  }
  const who = await api.session();
  known = Boolean(who);
  arrange();
  if (!who) return;
  // What somebody may not do is refused anyway; it need not be offered.
  const roles = who.roles.split(",");
  const may = (/** @type {string} */ role) => roles.includes(role) || (roles.includes("all") && role !== "power");
  for (const button of document.querySelectorAll("[data-order]")) {
    const controls = /lock$/.test(button.getAttribute("data-order") ?? "");
    /** @type {HTMLElement} */ (button).hidden = !may(controls ? "control" : "view");
  }
  own = who.name;
  sends = may("files");
  speaks = may("message");
  for (const id of ["message", "chat"]) part(id, HTMLElement).hidden = !speaks;
  for (const button of document.querySelectorAll("[data-files]")) /** @type {HTMLElement} */ (button).hidden = !sends;
  await renew();
  follow();
}

/** Whether the list is being asked for, and has to be once more. */
let renewing = false;
let again = false;

/** Shows the machines that there are now, one answer after another. */
async function renew() {
  again = renewing;
  if (renewing) return;
  renewing = true;
  do {
    again = false;
    const hosts = await api.hosts().catch((problem) => tell(problem.message));
    if (hosts && known) list(hosts);
  } while (again && known);
  renewing = false;
}

/** Shows these machines; those that were there stay as they are. @param {Host[]} hosts */
function list(hosts) {
  const before = new Map(tiles.map((tile) => [tile.host.name, tile]));
  tiles = hosts.map((host) => {
    const tile = before.get(host.name) ?? tileOf(host);
    before.delete(host.name);
    tile.host = host;
    tile.item.classList.toggle("away", host.dialled?.here === false);
    return tile;
  });
  for (const { item, screen } of before.values()) {
    screen.close();
    observer.unobserve(item);
    item.remove();
  }
  const chosen = group.value;
  group.length = 1;
  for (const name of [...new Set(tiles.flatMap(({ host }) => host.groups))].sort()) group.add(new Option(`@${name}`, name));
  group.value = chosen;
  if (group.selectedIndex < 0) group.value = "";
  tiles.forEach(({ item }, i) => {
    // One that is in its place is not moved: whoever is on it by the keyboard stays there.
    if (wall.children[i] !== item) wall.insertBefore(item, wall.children[i] ?? null);
    observer.observe(item);
  });
  sift();
}

begin();
