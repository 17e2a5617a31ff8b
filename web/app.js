// @ts-check
/** The pages: a wall of all machines, and one of them large. */
import * as api from "./api.js";
import { Events } from "./events.js";
import { Notice } from "./notice.js";
import { Screen } from "./screen.js";
import { Talks, isLong } from "./talks.js";
import { Transfers } from "./transfers.js";
import { Turns } from "./turns.js";

/** How small the wall asks for pictures, and how many a second. */
const SMALL = { scale: 4, fps: 5 };
const LARGE = { scale: 1, fps: 0 };

/** Machines that are asked for something at a time: a browser has few connections to a hub without TLS. */
const AT_ONCE = 3;

/** After how many milliseconds it is said that something takes its time. */
const SLOW = 400;

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
const words = part("words", HTMLInputElement);
const group = part("group", HTMLSelectElement);
const facts = part("facts", HTMLElement);
const about = part("about", HTMLButtonElement);
const text = part("text", HTMLInputElement);
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
/** Whether they may say something, and look. */
let speaks = false;
let looks = false;
/** What is being typed to whom. @type {Map<string, string>} */
const drafts = new Map();
/** Counts those who were signed in here: what one of them began is not gone on with for another. */
let visit = 0;
const orders = new Turns(AT_ONCE);
/** The machines to which something is being said. */
const saying = new Set();
/** For whom the files are that are being picked. @type {string[]} */
let picked = [];

const notice = new Notice({
  said: part("said", HTMLElement), failed: part("failed", HTMLElement),
  others: part("others", HTMLElement), cut: part("cut", HTMLElement), close: part("close", HTMLElement),
});
const transfers = new Transfers(part("transfers", HTMLElement), (id, words) => notice.note(id, words));
const events = new Events((kind, what) => {
  notice.heard(kind !== "cut");
  if (kind === "transfer") transfers.heard(what);
  else if (kind === "hosts" || kind === "lost") renew();
  else if (kind === "open") check();
  else if (kind === "order" && what.by !== own) notice.other(what);
}, barred);
const talks = new Talks({
  panel: part("talk", HTMLElement), log: part("talk-log", HTMLElement), state: part("talk-state", HTMLElement),
  text: part("talk-text", HTMLInputElement), form: part("talk-form", HTMLFormElement),
  button: part("chat", HTMLButtonElement), leave: part("talk-leave", HTMLButtonElement),
}, (name, who) => {
  const tile = tiles.find(({ host }) => host.name === name);
  if (tile) mark(tile);
  if (who) notice.note(name, `${name}: ${who} has said something in the chat`);
  title();
}, tell, barred);

/** Says something to who uses the page. @param {string} words @param {boolean} [bad] */
function tell(words, bad) {
  notice.say(words, bad);
}

/** Says what went wrong. @param {unknown} problem @param {string} [where] */
function fail(problem, where) {
  const why = problem instanceof Error ? problem.message : String(problem);
  tell(where ? `${where}: ${why}` : why, true);
}

/** What the window is called. */
function title() {
  const unread = talks.unread();
  document.title = [unread ? `(${unread}) ` : "", shown ? `${shown.tile.host.name} – ` : "", "Hightower"].join("");
}

/** How things stand at a machine, in words. @param {Screen} screen */
function state({ standing: { link, cause, state: told, heard } }) {
  if (link !== "connected") return cause ? `${link}: ${cause}` : link;
  if (!told) return "connected, and not answered yet";
  if (told.asking) return "the person there is asked";
  const words = [told.monitoring ? "watched" : "stopped"];
  if (told.capture?.is === "failed") words[0] = `no picture: ${told.capture.cause}`;
  if (told.lock_ms) {
    const until = new Date(heard + told.lock_ms);
    words.push(`mouse locked until ${until.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" })}`);
  }
  return words.join(", ");
}

/** @param {Screen} screen @param {HTMLElement} line */
function show(screen, line) {
  const words = looks ? state(screen) : "you may not look";
  // What is the same is not said again.
  if (line.textContent !== words) line.textContent = words;
  const { current, state: told } = screen.standing;
  screen.canvas.classList.toggle("old", !current || told?.capture?.is === "failed");
}

/** Shows how much was said in its chat that nobody has seen. @param {Tile} tile */
function mark({ host, item }) {
  const unread = talks.unread(host.name);
  const badge = /** @type {HTMLElement} */ (item.querySelector(".unread"));
  badge.hidden = !unread;
  badge.textContent = `${unread} new in the chat`;
}

/** Opens what is looked at, and nothing else. */
function look() {
  const visible = !document.hidden;
  for (const tile of tiles) {
    if (looks && visible && !shown && tile.seen && !tile.item.hidden) tile.screen.open();
    else {
      tile.screen.close();
      // How it was is not how it is.
      if (looks && !tile.seen) /** @type {HTMLElement} */ (tile.item.querySelector(".state")).textContent = "";
    }
  }
  if (looks && shown && visible) shown.screen.open();
  else shown?.screen.close();
  if (known && (visible || transfers.any)) events.open();
  else events.close();
  if (visible && shown) talks.show(shown.tile.host.name);
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
  await check();
}

/** Looks whether somebody is signed in still; a page of somebody else's goes. */
async function check() {
  const who = await api.session().catch(() => undefined);
  if (who === null && known) leave("you are not signed in any more");
}

/** Shows the form to sign in. @param {string} why */
function leave(why) {
  const unsaid = talks.waiting;
  known = false;
  visit += 1;
  events.close();
  talks.clear();
  transfers.clear();
  drafts.clear();
  text.value = words.value = "";
  picked = [];
  notice.forget();
  notice.heard(true);
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
  title();
  tell(unsaid ? `${why}; ${unsaid} lines in chats were not said` : why, unsaid > 0);
  part("user", HTMLInputElement).focus();
}

/** Shows what there is for whoever this is, and for what is shown. */
function arrange() {
  const wide = known && !shown;
  for (const id of ["orders", "search"]) part(id, HTMLElement).hidden = !wide;
  for (const id of ["sign-out", "who"]) part(id, HTMLElement).hidden = !known;
  document.body.classList.toggle("one", shown !== null);
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
  show(screen, line);
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
  const count = visible().length;
  const none = part("none", HTMLElement);
  none.hidden = shown !== null || !known || count > 0;
  const why = tiles.length ? "No machine here is called so, or is in such a group." : "There are no machines here yet.";
  if (none.textContent !== why) none.textContent = why;
  part("whom", HTMLElement).textContent = count === 1 ? "The one shown:" : `All ${count} shown:`;
  look();
}

/** Gives a picture to the browser to be kept, or says why there is none. @param {string} name */
async function keep(name) {
  const mine = visit;
  const slow = setTimeout(() => tell(`${name}: a picture is taken`), SLOW);
  try {
    const link = document.createElement("a");
    const picture = await api.shot(name);
    if (visit !== mine) return;
    link.href = URL.createObjectURL(picture);
    link.download = `${name}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
    tell(`${name}: its picture is ${link.download}`);
  } catch (problem) {
    if (visit === mine) fail(problem, name);
  } finally {
    clearTimeout(slow);
  }
}

/** Those that are shown. */
const visible = () => tiles.filter(({ item }) => !item.hidden).map(({ host }) => host);

/** Whether the browser is on its way back. */
let goesBack = false;

/** Shows a machine, or all. @param {string} name */
function goTo(name) {
  if (name) history.pushState({ from: "wall" }, "", `#machine=${encodeURIComponent(name)}`);
  // Whoever goes back goes where the browser's own button leads.
  else if (history.state?.from === "wall") {
    // Once: twice would lead out of the page.
    if (!goesBack) history.back();
    goesBack = true;
    return;
  } else history.replaceState(null, "", location.pathname);
  follow();
}

/** Shows what the page's address says. */
function follow() {
  if (!known) return;
  const name = new URLSearchParams(location.hash.slice(1)).get("machine");
  // Capitals tell no machines apart.
  const tile = tiles.find(({ host }) => host.name.toLowerCase() === name?.toLowerCase()) ?? null;
  const before = shown?.tile ?? null;
  // Told twice of one and the same.
  if (before === tile && wall.hidden === (tile !== null)) return;
  shown?.screen.close();
  shown = null;
  if (before) drafts.set(before.host.name, text.value);
  text.value = drafts.get(tile?.host.name ?? "") ?? "";
  if (before !== tile) tell("");
  if (name && !tile) {
    tell(`no machine is called '${name}' here`, true);
    history.replaceState(null, "", location.pathname);
  }
  if (tile) {
    const old = part("screen", HTMLCanvasElement);
    // A new one, or for a moment it would show the machine of before.
    const canvas = /** @type {HTMLCanvasElement} */ (old.cloneNode());
    canvas.setAttribute("aria-label", `The screen of ${tile.host.name}`);
    old.replaceWith(canvas);
    const line = part("large-state", HTMLElement);
    part("large-name", HTMLElement).textContent = tile.host.name;
    shown = { tile, screen: new Screen(canvas, tile.host.name, LARGE, (one) => show(one, line), barred) };
    show(shown.screen, line);
    unfold(false);
  }
  talks.show(tile?.host.name ?? "");
  wall.hidden = shown !== null;
  large.hidden = shown === null;
  title();
  arrange();
  sift();
  if (shown) part("back", HTMLButtonElement).focus();
  else before?.item.querySelector("button")?.focus();
}

/** How soon a machine answers, as far as is known: those that are there are asked first. @param {Host} host */
function rank({ name, dialled }) {
  const link = tiles.find(({ host }) => host.name === name)?.screen.standing.link;
  if (link === "connected") return 0;
  return dialled?.here === false || link === "disconnected" ? 2 : 1;
}

/** Does something at machines, and says how it went. @param {string} what @param {Host[]} hosts @param {(name: string) => Promise<any>} work */
async function each(what, hosts, work) {
  if (!hosts.length) {
    tell("no machine is shown");
    return;
  }
  const mine = visit;
  const slow = setTimeout(() => tell(hosts.length === 1 ? `${hosts[0].name}: ${what}: it is asked` : `${what}: ${hosts.length} machines are asked`), SLOW);
  /** @type {Map<string, string[]>} */
  const failed = new Map();
  let done = "";
  let out = false;
  const queue = hosts.map((host) => ({ name: host.name, rank: rank(host) })).sort((a, b) => a.rank - b.rank);
  await Promise.all(queue.map(async ({ name }) => {
    await orders.take();
    try {
      if (visit === mine && !out) done = (await work(name)).done;
    } catch (problem) {
      out ||= problem instanceof api.Problem && problem.status === 401;
      const why = (problem instanceof Error ? problem.message : String(problem)).replace(`${name} says to this hub: `, "");
      failed.set(why, [...failed.get(why) ?? [], name]);
    } finally {
      orders.done();
    }
  }));
  clearTimeout(slow);
  if (visit !== mine) return;
  const [[why] = [""]] = failed;
  if (out) leave("you are not signed in any more");
  else if (hosts.length > 1) notice.outcome(what, hosts.length, failed);
  else tell(why ? `${hosts[0].name}: ${what} failed: ${why}` : `${hosts[0].name}: ${done}`, Boolean(why));
}

for (const button of document.querySelectorAll("[data-order]")) {
  const what = /** @type {"start" | "stop" | "lock" | "unlock"} */ (button.getAttribute("data-order"));
  button.addEventListener("click", () => {
    each(button.textContent ?? what, button.closest("#large") && shown ? [shown.tile.host] : visible(), (name) => api.order(name, what));
  });
}

part("shot", HTMLButtonElement).addEventListener("click", () => {
  if (shown) keep(shown.tile.host.name);
});

// What is under way to the hub ends with the page, and so does what waits to be said.
addEventListener("beforeunload", (event) => {
  if (transfers.any || talks.waiting) event.preventDefault();
});

part("message", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  if (!shown || !text.value || isLong(text, tell)) return;
  const said = text.value;
  const to = shown.tile.host.name;
  // Pressed twice, it is said once.
  if (saying.has(to)) return;
  saying.add(to);
  each("Say", [shown.tile.host], (name) => api.say(name, said).finally(() => saying.delete(to)).then((done) => {
    if (text.value === said && shown?.tile.host.name === name) text.value = "";
    if (drafts.get(name) === said) drafts.delete(name);
    return done;
  }));
});

/** Shows what a machine is, or hides it. @param {boolean} open */
function unfold(open) {
  facts.hidden = !open;
  facts.replaceChildren();
  about.setAttribute("aria-expanded", String(open));
}

/** Which of the answers is waited for. */
let asking = {};
about.addEventListener("click", async () => {
  unfold(facts.hidden);
  const of = shown;
  if (facts.hidden || !of) return;
  const mine = (asking = {});
  try {
    const { host, software, source, facts: told } = await api.facts(of.tile.host.name);
    if (shown !== of || asking !== mine || facts.hidden) return;
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
    if (asking !== mine) return;
    unfold(false);
    fail(problem, of.tile.host.name);
  }
});

for (const button of document.querySelectorAll("[data-files]")) {
  button.addEventListener("click", () => {
    picked = button.closest("#large") && shown ? [shown.tile.host.name] : visible().map(({ name }) => name);
    files.click();
  });
}
files.addEventListener("change", () => {
  const all = [...files.files ?? []];
  files.value = "";
  const what = all.length === 1 ? all[0].name : `${all.length} files`;
  if (picked.length > 1 && !confirm(`Send ${what} to ${picked.length} machines?`)) return;
  transfers.send(picked, all);
});

/** For whom it is what is held over this. @param {EventTarget | null} over */
function under(over) {
  if (shown) return shown.tile;
  const item = over instanceof Element ? over.closest("#wall li") : null;
  return tiles.find((tile) => tile.item === item) ?? null;
}

/** Shows where what is held would go. @param {Tile | null} tile */
function aim(tile) {
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
  aim(tile);
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) aim(null);
});
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  const tile = known && sends ? under(event.target) : null;
  aim(null);
  if (!tile) return;
  // A folder is no file, and comes as one that can't be read.
  const items = [...event.dataTransfer.items];
  const dropped = items.filter((one) => one.kind === "file" && !one.webkitGetAsEntry()?.isDirectory);
  const all = dropped.map((one) => one.getAsFile()).filter((file) => file !== null);
  const note = all.length < items.length ? "folders are not sent from here: `hightower send` does" : undefined;
  if (note && !all.length) tell(note, true);
  transfers.send([tile.host.name], all, note);
});

part("sign-in", HTMLFormElement).addEventListener("submit", async (event) => {
  event.preventDefault();
  const password = part("password", HTMLInputElement);
  const why = part("not-in", HTMLElement);
  why.textContent = "";
  try {
    await api.signIn({ name: part("user", HTMLInputElement).value, password: password.value });
    tell("");
    await begin();
    // What was begun before did not know of it yet.
    if (!known) await begin();
    part("top", HTMLElement).focus();
  } catch (problem) {
    why.textContent = problem instanceof Error ? problem.message : String(problem);
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
    fail(problem, "not signed out");
  }
});
words.addEventListener("input", sift);
group.addEventListener("change", sift);
window.addEventListener("hashchange", () => (claim() ? begin() : follow()));
window.addEventListener("popstate", () => {
  goesBack = false;
  if (!claim()) follow();
});
document.addEventListener("visibilitychange", () => {
  look();
  // Perhaps they have signed in in another tab.
  if (document.hidden) return;
  if (known) check();
  else begin();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !shown || event.isComposing || event.repeat) return;
  const { target } = event;
  if (target instanceof Node && part("talk", HTMLElement).contains(target)) talks.hide();
  // In a field it means that field.
  else if (target instanceof HTMLInputElement) return;
  else if (!facts.hidden) unfold(false);
  else goTo("");
});

/** The secret of a link that signs in, if the page was opened by one. */
const claim = () => new URLSearchParams(location.hash.slice(1)).get("link");

/** What is begun already. @type {Promise<void> | null} */
let beginning = null;

/** Shows the page to whoever this is. Where that is under way, it is not done twice. */
function begin() {
  beginning ??= enter().catch((problem) => {
    fail(problem);
    arrange();
  }).finally(() => {
    beginning = null;
    if (claim()) begin();
  });
  return beginning;
}

async function enter() {
  const link = claim();
  if (link) {
    history.replaceState(null, "", location.pathname);
    // One that was used already bars nobody who is signed in.
    await api.signIn({ link }).catch(fail);
    part("top", HTMLElement).focus();
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
  part("who", HTMLElement).textContent = own;
  looks = may("view");
  sends = may("files");
  speaks = may("message");
  for (const id of ["message", "chat"]) part(id, HTMLElement).hidden = !speaks;
  for (const id of ["shot", "about"]) part(id, HTMLElement).hidden = !looks;
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
    const hosts = await api.hosts().catch(fail);
    if (hosts && known) list(hosts);
  } while (again && known);
  renewing = false;
}

/** Shows these machines; those that were there stay as they are. @param {Host[]} hosts */
function list(hosts) {
  const before = new Map(tiles.map((tile) => [tile.host.name, tile]));
  // One that is looked at stays: a hub that was started again may find it in a moment.
  const seen = shown?.tile.host;
  if (seen && hosts.every(({ name }) => name !== seen.name)) hosts = [...hosts, seen];
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
