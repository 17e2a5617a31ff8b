// @ts-check
/** The hub's interface, as its own pages use it. */

const ROOT = "/api/v1";

/** What the hub wants to be sent with whatever changes something. */
let csrf = "";

/** What went wrong, in words for people. */
export class Problem extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/**
 * @param {string} method @param {string} path @param {unknown} [body]
 * @returns {Promise<any>}
 */
async function call(method, path, body) {
  /** @type {Record<string, string>} */
  const headers = { accept: "application/json" };
  if (csrf) headers["x-hightower-csrf"] = csrf;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(ROOT + path, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
  } catch {
    throw new Problem(0, "the hub can't be reached");
  }
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, said.detail ?? `the hub answered ${answer.status}`);
  return said;
}

/** @param {string} name */
const at = (name) => `/hosts/${encodeURIComponent(name)}`;

/** Who is signed in; null where nobody is. */
export async function session() {
  try {
    const who = await call("GET", "/session");
    csrf = who.csrf;
    return who;
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 401) return null;
    throw problem;
  }
}

/** Signs in. @param {{link: string} | {name: string, password: string}} claim */
export async function signIn(claim) {
  const who = await call("POST", "/session", claim);
  csrf = who.csrf;
  return who;
}

export const signOut = () => call("DELETE", "/session");

/** @returns {Promise<{name: string, groups: string[]}[]>} */
export const hosts = () => call("GET", "/hosts");

/** @param {string} name */
export const facts = (name) => call("GET", at(name));

/** @param {string} name @param {"start" | "stop" | "lock" | "unlock"} what */
export const order = (name, what) => call("POST", `${at(name)}/${what}`);

/** @param {string} name @param {string} text */
export const say = (name, text) => call("POST", `${at(name)}/messages`, { text });

/** Where a picture of it is. @param {string} name */
export const picture = (name) => `${ROOT}${at(name)}/screen.png`;
