// Several people at a hub, in tabs of one browser and of several.
import assert from "node:assert/strict";
import { open, tab, task, until } from "./page.mjs";

/** Signs somebody in by the form. */
async function signIn(page, name) {
  await page.goto(new URL("/", task.link).href);
  await page.fill("#user", name);
  await page.fill("#password", task.password);
  await page.click("#sign-in button");
  await page.locator("#who", { hasText: name }).waitFor();
}

/** Opens a machine from the wall. */
async function large(page, host) {
  await page.locator("#wall li", { hasText: host }).locator("button").click();
  await page.locator("#large-name", { hasText: host }).waitFor();
}

const said = (page, words) => page.locator("#said", { hasText: words }).waitFor();

export async function people() {
  const [first, second] = task.hosts;
  const page = await open();
  await signIn(page, "anna");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "top", "the focus is lost");

  // An order for all says for how many it is, and how many have failed why.
  assert.equal(await page.locator("#whom").textContent(), `All ${task.hosts.length} shown:`);
  const away = (route) => route.fulfill({ status: 502, json: { detail: `${first} says to this hub: it is away` } });
  await page.route(`**/hosts/${encodeURIComponent(first)}/start`, away);
  await page.click("#orders [data-order=start]");
  await said(page, `Start: ${task.hosts.length - 1} of ${task.hosts.length} machines; 1 failed`);
  assert.equal(await page.locator("#failed li").textContent(), `${first}: it is away`);
  await page.unroute(`**/hosts/${encodeURIComponent(first)}/start`);
  await page.click("#orders [data-order=start]");
  await said(page, `Start: ${task.hosts.length} of ${task.hosts.length} machines`);
  assert(await page.locator("#failed").isHidden());
  await page.click("#close");
  assert.equal(await page.locator("#said").textContent(), "");

  // Whoever signs out has nothing more done: what waits for its turn is not for the next person.
  const slow = [];
  await page.route("**/hosts/*/stop", (route) => { slow.push(route); });
  await page.click("#orders [data-order=stop]");
  await until("as many are asked as are at a time", () => slow.length === 3);
  await page.click("#sign-out");
  await page.locator("#stranger").waitFor();
  await page.fill("#user", "anna");
  await page.fill("#password", task.password);
  await page.click("#sign-in button");
  await page.locator("#who", { hasText: "anna" }).waitFor();
  for (const route of slow) await route.fulfill({ status: 401, json: { detail: "sign in first" } });
  await page.click("#orders [data-order=start]");
  await said(page, `Start: ${task.hosts.length} of ${task.hosts.length} machines`);
  assert.equal(slow.length, 3, "another one's order is given");
  await page.unroute("**/hosts/*/stop");

  // What is typed for one machine is for that alone; and a page that goes back leaves no trail.
  await large(page, first);
  await page.fill("#text", "for one");
  await page.keyboard.press("Enter");
  await said(page, "said");
  await page.fill("#text", "half a sen");
  await page.click("#back");
  await page.locator("#wall").waitFor();
  await large(page, second);
  assert.equal(await page.inputValue("#text"), "");
  await page.goBack();
  await large(page, first);
  assert.equal(await page.inputValue("#text"), "half a sen");

  // A talk goes on while another machine is looked at.
  await page.click("#chat");
  await page.locator("#talk-state", { hasText: "nobody else is present" }).waitFor();
  const ben = await open();
  await signIn(ben, "ben");
  await large(ben, first);
  await ben.click("#chat");
  await page.locator("#talk-state", { hasText: "present: ben" }).waitFor();
  await page.fill("#talk-text", "good morning");
  await page.keyboard.press("Enter");
  await ben.locator("#talk-log li", { hasText: "good morning" }).waitFor();
  await page.fill("#talk-text", "not yet sa");
  await page.keyboard.press("Escape");
  assert(await page.locator("#talk").isHidden());
  await page.click("#back");
  await ben.fill("#talk-text", "a question");
  await ben.keyboard.press("Enter");
  await page.locator("#wall li", { hasText: first }).locator(".unread", { hasText: "1 new in the chat" }).waitFor();
  await page.locator("#others", { hasText: `${first}: ben` }).waitFor();
  assert.match(await page.title(), /^[(]1[)] /);
  await large(page, first);
  await page.locator("#chat", { hasText: "1 new" }).click();
  assert.match(await page.locator("#talk-log").textContent(), /good morning.*a question/s);
  assert.equal(await page.inputValue("#talk-text"), "not yet sa");
  assert.doesNotMatch(await page.title(), /^[(]/);
  await ben.click("#talk-leave");
  await page.locator("#talk-state", { hasText: "nobody else is present" }).waitFor();

  // Signed in anew in another tab, this one goes on; as somebody else, it is theirs.
  const other = await tab(page.context());
  await other.goto(new URL("/", task.link).href);
  const anew = (name) => other.evaluate(async (claim) => {
    const headers = { "content-type": "application/json" };
    return (await fetch("/api/v1/session", { method: "POST", headers, body: JSON.stringify(claim) })).status;
  }, { name, password: task.password });
  assert.equal(await anew("anna"), 200);
  await page.click("#large [data-order=start]");
  await said(page, `${first}: `);
  assert(await page.locator("#said.bad").isHidden(), await page.locator("#said").textContent());
  assert.equal(await anew("dora"), 200);
  await page.click("#large [data-order=start]");
  await page.locator("#who", { hasText: "dora" }).waitFor();
  // Those of a page that is left are not told of.
  other.sockets.clear();
  await other.reload();

  // Who may not look is told so, and nothing is tried again and again.
  await other.locator("#wall li .state", { hasText: "you may not look" }).first().waitFor();
  assert.equal(other.sockets.size, 0);
  assert(await other.locator("#orders [data-order=start]").isHidden());
  await until("nothing of another's is left", async () => await page.inputValue("#text") === "");
  for (const one of [page, ben]) await one.context().close();
}
