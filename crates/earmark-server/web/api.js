// Requests to the server: the key, problems, server-sent events over fetch, which can carry the key.

const KEY = "earmark-key";

/** What the server says went wrong. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? body.title ?? `the server answered ${status}`);
    this.status = status;
    this.code = body.code ?? "";
    this.hint = body.hint ?? "";
    this.retryAfter = retryAfter;
  }
}

export function key() {
  return sessionStorage.getItem(KEY) ?? "";
}

export function setKey(value) {
  sessionStorage.setItem(KEY, value);
}

let askForKey = async () => false;

/** Sets what is done when the server asks for a key: a promise of whether one was given. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // Something between here and the server answered in its own words.
  }
  return new Problem(response.status, body, Number(response.headers.get("retry-after")) || 0);
}

/** Fetches, with the key; asks for the key once when it is missing. Throws a Problem. */
export async function request(path, options = {}) {
  for (let attempt = 0; ; attempt++) {
    const headers = new Headers(options.headers);
    if (key()) headers.set("authorization", `Bearer ${key()}`);
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (problem.status === 401 && attempt === 0 && (await askForKey())) continue;
    throw problem;
  }
}

/** Like `request`, and comes back when a busy server says so. */
export async function patientRequest(path, options = {}) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await request(path, options);
    } catch (problem) {
      if (problem.status !== 503 || attempt === 20) throw problem;
      const wait = Math.min(problem.retryAfter || 1, 10) * (0.75 + Math.random() / 2);
      await pause(wait, options.signal);
    }
  }
}

function pause(secs, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, secs * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** The events of a response, as `[name, data]`. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      let name = "";
      let data = "";
      for (const line of block.split("\n")) {
        if (line.startsWith("event:")) name = line.slice(6).trim();
        else if (line.startsWith("data:")) data += line.slice(5).trim();
      }
      if (name) yield [name, JSON.parse(data)];
    }
  }
}

/** Opens the live WebSocket; browsers can set no header there, so the key travels as a protocol. */
export function liveSocket(query) {
  const url = new URL(`/v1/live?${query}`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const protocols = ["earmark-live"];
  if (key()) {
    const bytes = new TextEncoder().encode(key());
    const base64 = btoa(String.fromCharCode(...bytes));
    const url64 = base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    protocols.push(`earmark-key.${url64}`);
  }
  return new WebSocket(url, protocols);
}
