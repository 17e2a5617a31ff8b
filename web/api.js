// @ts-check
/** The hub's interface, as its own pages use it. */

const ROOT = "/api/v1";

/** What the hub wants to be sent with whatever changes something, and who has it from the hub. */
let csrf = "";
let name = "";

/** What went wrong, in words for people. */
export class Problem extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** What an answer says; `{}` where it makes no sense. @param {Response} answer @returns {Promise<any>} */
const said = (answer) => answer.json().catch(() => ({}));

/** @param {string} method @param {string} path @param {unknown} [body] @param {string} [kind] of what is wanted @returns {Promise<Response>} */
async function ask(method, path, body, kind = "application/json") {
  /** @type {Record<string, string>} */
  const headers = { accept: kind };
  if (csrf) headers["x-hightower-csrf"] = csrf;
  if (body !== undefined) headers["content-type"] = "application/json";
  const sent = csrf;
  let answer;
  try {
    answer = await fetch(ROOT + path, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
  } catch {
    throw new Problem(0, "the hub can't be reached");
  }
  // Signed in anew in another tab: what this one has is of before.
  if (answer.status === 403 && sent && method !== "GET" && await session() && csrf !== sent) return ask(method, path, body, kind);
  if (!answer.ok) throw new Problem(answer.status, (await said(answer)).detail ?? `the hub answered ${answer.status}`);
  return answer;
}

/** @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<any>} */
async function call(method, path, body) {
  const answer = await ask(method, path, body);
  return answer.status === 204 ? null : said(answer);
}

/** @param {string} name */
const at = (name) => `/hosts/${encodeURIComponent(name)}`;

/** Who somebody is now. Nothing that was somebody else's stays on the page. @param {any} who */
function became(who) {
  if (name && who.name !== name) {
    location.reload();
    return new Promise(() => {});
  }
  ({ csrf, name } = who);
  return who;
}

/** Who is signed in; null where nobody is. @returns {Promise<any>} */
export async function session() {
  try {
    return became(await call("GET", "/session"));
  } catch (problem) {
    if (!(problem instanceof Problem && problem.status === 401)) throw problem;
    csrf = name = "";
    return null;
  }
}

/** Signs in. @param {{link: string} | {name: string, password: string}} claim */
export async function signIn(claim) {
  return became(await call("POST", "/session", claim));
}

export async function signOut() {
  await call("DELETE", "/session").catch((problem) => {
    // Whoever is not in is out.
    if (!(problem instanceof Problem && problem.status === 401)) throw problem;
  });
  csrf = name = "";
}

/** @returns {Promise<import("./app.js").Host[]>} */
export const hosts = () => call("GET", "/hosts");

/** @param {string} name */
export const facts = (name) => call("GET", at(name));

/** @param {string} name @param {"start" | "stop" | "lock" | "unlock"} what */
export const order = (name, what) => call("POST", `${at(name)}/${what}`);

/** @param {string} name @param {string} text */
export const say = (name, text) => call("POST", `${at(name)}/messages`, { text });

/**
 * Sends files to machines; tells meanwhile which part is at the hub, from 0 to 1.
 * @param {string[]} hosts @param {File[]} files @param {string} id what events call it
 * @param {(part: number) => void} told @param {AbortSignal} signal
 * @returns {Promise<{name: string, done?: string, files?: string[], error?: string}[]>}
 */
export async function send(hosts, files, id, told, signal) {
  if (!await session()) throw new Problem(401, "sign in first");
  if (signal.aborted) throw new Problem(0, "stopped");
  const path = hosts.length === 1 ? `${at(hosts[0])}/files?` : `/files?hosts=${hosts.map(encodeURIComponent).join(",")}&`;
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    // What is sent is told of by this alone.
    const request = new XMLHttpRequest();
    request.open("POST", `${ROOT}${path}id=${encodeURIComponent(id)}`);
    request.setRequestHeader("accept", "application/json");
    request.setRequestHeader("x-hightower-csrf", csrf);
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded, total }) => told(total ? loaded / total : 1));
    request.upload.addEventListener("load", () => told(1));
    request.addEventListener("load", () => {
      const said = request.response ?? {};
      if (request.status >= 300) reject(new Problem(request.status, said.detail ?? `the hub answered ${request.status}`));
      else resolve(said.hosts ?? [said]);
    });
    // It has no reasons; where the hub answers, it has closed what was too long for it.
    request.addEventListener("error", () => session().then(
      () => reject(new Problem(0, "the hub has closed the connection: it is too long for it, or the network broke")),
      () => reject(new Problem(0, "the hub can't be reached"))));
    request.addEventListener("abort", () => reject(new Problem(0, "stopped")));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/** What it shows now, as a PNG. @param {string} name */
export const shot = async (name) => (await ask("GET", `${at(name)}/screen.png`, undefined, "image/png")).blob();
