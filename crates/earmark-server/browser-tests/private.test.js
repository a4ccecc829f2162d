// Private mode in Chromium: the same tags as the server's, and nothing asked of any server on the way.

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { after, before, describe, it } from "node:test";
import { DESKTOP, PHONE, model, open, picture, root, serve, skip, skipPrivate, sounds, violations, wav } from "./support.js";

/** How far a score may be from the server's: both run the same code, in other instruction sets. */
const TOLERANCE = 1e-4;

const formats = join(root, "crates/earmark/tests/data/audio");
const FORMATS = ["mono.flac", "vbr.mp3", "aac.m4a", "stereo.opus", "vorbis.ogg", "opus.webm", "alac.caf", "ima-stereo.wav"];

/** An MP3 stream in a WAV container, which the program refuses and the browser plays. */
function mp3InWav() {
  const mp3 = readFileSync(join(formats, "no-header.mp3"));
  const header = Buffer.alloc(12 + 8 + 30 + 12 + 8);
  header.write("RIFF");
  header.writeUInt32LE(header.length - 8 + mp3.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(30, 16);
  header.writeUInt16LE(0x55, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(44_100, 24);
  header.writeUInt32LE(8_000, 28);
  header.writeUInt16LE(1, 32);
  header.writeUInt16LE(0, 34);
  header.writeUInt16LE(12, 36);
  header.writeUInt16LE(1, 38);
  header.writeUInt32LE(2, 40);
  header.writeUInt16LE(144, 44);
  header.writeUInt16LE(1, 46);
  header.writeUInt16LE(0, 48);
  header.write("fact", 50);
  header.writeUInt32LE(4, 54);
  header.writeUInt32LE(44_100, 58);
  header.write("data", 62);
  header.writeUInt32LE(mp3.length, 66);
  return Buffer.concat([header, mp3]);
}

const heard = (page, n, of) =>
  page.waitForFunction((text) => document.getElementById("status").textContent.startsWith(text), `Heard ${n} of ${of}`, { timeout: 120_000 });

/** The rows that the page exports as JSON. */
async function exported(page, per) {
  await page.locator(`input[name=per][value=${per}]`).check();
  await page.locator("#threshold").fill("0.02");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "JSON", exact: true }).click()]);
  return readFileSync(await download.path(), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Rows that have the same tags, to within the tolerance. */
function assertSame(rows, expected) {
  assert.equal(rows.length, expected.length);
  rows.forEach((row, index) => {
    const other = expected[index];
    const facts = ({ tags, ...rest }) => rest;
    assert.deepEqual(facts(row), facts(other));
    const scores = (tags) => Object.fromEntries(tags.map((tag) => [tag.class, tag.score]));
    const [ours, theirs] = [scores(row.tags), scores(other.tags)];
    for (const name of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
      const difference = Math.abs((ours[name] ?? 0.02) - (theirs[name] ?? 0.02));
      assert.ok(difference <= TOLERANCE, `${row.path}, ${name}: ${ours[name]} and ${theirs[name]}`);
    }
  });
}

/** Every request of the page and its workers from now on. */
function requestsOf(page) {
  const requests = [];
  page.context().on("request", (request) => {
    // The player reads the file that the user chose under a name of the page's own.
    if (!request.url().startsWith("blob:")) requests.push(request.url());
  });
  return requests;
}

for (const [device, size] of [["desktop", DESKTOP], ["phone", PHONE]]) {
  describe(`private mode on a ${device}`, { skip: skip || skipPrivate }, () => {
    let folder, server;

    before(async () => {
      folder = sounds();
      for (const name of FORMATS) copyFileSync(join(formats, name), join(folder, name));
      for (const name of ["guitar", "kick"]) copyFileSync(join(root, "examples", `${name}.wav`), join(folder, `${name}.wav`));
      writeFileSync(join(folder, "other.wav"), mp3InWav());
      writeFileSync(join(folder, "eleven-minutes.wav"), wav([[660, 200]], 8_000));
      writeFileSync(join(folder, "nine-minutes.wav"), wav([[540, 200]], 32_000));
      server = await serve(folder);
    });
    after(() => server?.stop());

    /** Runs a test in private mode, with the network cut. */
    async function inPrivate(test) {
      const session = await open(server.address, { size, folder });
      const { page } = session;
      try {
        await page.locator("#private").check();
        await page.waitForFunction(() => document.body.classList.contains("private"));
        const requests = requestsOf(page);
        await page.context().setOffline(true);
        await test(page);
        assert.deepEqual(requests, [], "requests after loading");
        assert.deepEqual([session.foreign, session.errors], [[], []]);
      } finally {
        await session.browser.close();
      }
    }

    const drop = (page, ...names) => page.setInputFiles("#files", names.map((name) => join(folder, name)));

    /** What the server says of a file. */
    async function served(name, timeline) {
      const query = new URLSearchParams({ name, timeline, top: 12, threshold: 0.02 });
      const response = await fetch(`${server.address}/v1/tag?${query}`, {
        method: "POST", body: readFileSync(join(folder, name)), headers: { accept: "application/x-ndjson" },
      });
      const text = await response.text();
      return text.trimEnd().split("\n").map((line) => JSON.parse(line));
    }

    it("tags, times and draws as the server does, without a request", () =>
      inPrivate(async (page) => {
        await drop(page, "song.wav");
        await heard(page, 1, 1);
        const labels = await page.locator("#lanes button").evaluateAll((all) => all.map((b) => b.getAttribute("aria-label")));
        assert.ok(labels.some((label) => label.startsWith("Middle, 0:02 to 0:04")), labels.join());
        assertSame(await exported(page, "segment"), await served("song.wav", true));
        assertSame(await exported(page, "clip"), await served("song.wav", false));
        const colours = await page.locator("#picture").evaluate((canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(data.filter((_, i) => i % 4 === 0)).size;
        });
        assert.ok(colours > 10, `${colours} shades`);
        assert.deepEqual(await violations(page), []);
        await picture(page, `private-${device}`);
      }));

    it("decodes what the server decodes, several at a time, into the same rows", () =>
      inPrivate(async (page) => {
        const names = [...FORMATS, "guitar.wav", "kick.wav", "farm/high.wav"];
        await drop(page, ...names);
        await heard(page, names.length, names.length);
        const rows = await exported(page, "clip");
        for (const row of rows) {
          const path = row.path === "high.wav" ? "farm/high.wav" : row.path;
          const [expected] = await served(path, false);
          assertSame([row], [{ ...expected, path: row.path }]);
        }
        // One that was heard without a picture is drawn when it is looked at.
        await page.locator("#rows").getByRole("button", { name: "kick.wav" }).click();
        await page.waitForFunction(() => document.getElementById("detail-title").textContent === "kick.wav");
        await page.waitForFunction(() => document.getElementById("picture-box").getAttribute("aria-valuemax") !== "0.0");
      }));

    it("gives what it does not know to the browser's decoder", () =>
      inPrivate(async (page) => {
        await drop(page, "other.wav");
        await heard(page, 1, 1);
        assert.match(await page.locator("#detail-facts").textContent(), /decoded by the browser/);
        const [row] = await exported(page, "clip");
        assert.ok(row.duration_secs > 0.5 && row.tags.length > 0, JSON.stringify(row));
      }));

    it("refuses what it cannot hear and goes on", () =>
      inPrivate(async (page) => {
        await drop(page, "eleven-minutes.wav");
        await page.waitForFunction(() => !document.getElementById("error").hidden);
        assert.match(await page.locator("#error").textContent(), /the limit is 600 s.*10 minutes/s);
        await drop(page, "broken.wav");
        await page.waitForFunction(() => document.getElementById("error").textContent.startsWith("broken.wav: "));
        await drop(page, "guitar.wav");
        await heard(page, 1, 3);
      }));

    it("shows progress and stops when told to", () =>
      inPrivate(async (page) => {
        await drop(page, "nine-minutes.wav");
        await page.waitForFunction(() => document.querySelectorAll("#lanes button").length > 0);
        await page.locator("#cancel").click();
        await page.waitForFunction(() => document.querySelector("#rows td:last-child").textContent === "cancelled");
        await drop(page, "guitar.wav");
        await heard(page, 2, 2);
      }));

    it("takes a model from a file", () =>
      inPrivate(async (page) => {
        await page.setInputFiles("#files", join(root, "crates/earmark-cli/assets/built-in.onnx"));
        await page.waitForFunction(() => document.getElementById("status").textContent.startsWith("Loaded the model"));
        await drop(page, "guitar.wav");
        await heard(page, 1, 1);
        assert.equal(await page.locator("#tags .name").first().textContent(), "Acoustic_guitar");
        await page.setInputFiles("#files", { name: "bad.onnx", mimeType: "", buffer: Buffer.from("no model") });
        await page.waitForFunction(() => document.getElementById("error").textContent.startsWith("bad.onnx: "));
      }));

    it("sends nothing that was heard in private when it is switched off", async () => {
      const { browser, page } = await open(server.address, { size, folder });
      try {
        await page.locator("#private").check();
        await page.waitForFunction(() => document.body.classList.contains("private"));
        await drop(page, "song.wav");
        await heard(page, 1, 1);
        const sent = [];
        page.on("request", (request) => request.method() !== "GET" && sent.push(request.url()));
        await page.locator("#private").uncheck();
        await page.waitForFunction(() => !document.body.classList.contains("private") && !document.getElementById("private").disabled);
        await page.locator("#window").selectOption({ index: 1 });
        await page.waitForTimeout(500);
        assert.deepEqual(sent, []);
        await drop(page, "guitar.wav");
        await heard(page, 2, 2);
        assert.ok(sent.length > 0, "the next recording goes to the server");
      } finally {
        await browser.close();
      }
    });

    it("sends nothing that was meant to be private when it does not start", async () => {
      const { browser, page } = await open(server.address, { size, folder });
      try {
        await page.waitForFunction(() => document.getElementById("model-note").textContent);
        const sent = [];
        page.on("request", (request) => request.method() !== "GET" && sent.push(request.url()));
        let fail = () => {};
        await page.route("**/assets/earmark.wasm", (route) => (fail = () => route.abort()));
        await page.locator("#private").click();
        await drop(page, "guitar.wav");
        await page.waitForTimeout(300);
        fail();
        await page.waitForFunction(() => document.getElementById("error").textContent.startsWith("Private mode does not start: "));
        await page.waitForFunction(() => document.querySelector("#rows td:last-child").textContent === "cancelled");
        assert.equal(await page.locator("#private").isChecked(), false);
        assert.deepEqual(sent, []);
      } finally {
        await browser.close();
      }
    });

    it("is chosen again on the next visit", async () => {
      const { browser, page } = await open(server.address, { size, folder });
      try {
        await page.locator("#private").check();
        await page.waitForFunction(() => document.body.classList.contains("private"));
        await page.reload();
        await page.waitForFunction(() => document.body.classList.contains("private"));
        assert.ok(await page.locator("#private").isChecked());
        assert.ok(await page.locator("#live").isHidden());
      } finally {
        await browser.close();
      }
    });
  });
}

describe("the worker of private mode", { skip: skip || skipPrivate }, () => {
  it("may not ask for anything", async () => {
    const folder = sounds();
    const server = await serve(folder);
    try {
      const policy = async (path) => (await fetch(server.address + path)).headers.get("content-security-policy");
      assert.equal(await policy("/assets/private-worker.js"), "default-src 'none'; script-src 'wasm-unsafe-eval'; worker-src blob:; base-uri 'none'");
      assert.ok(!(await policy("/")).includes("wasm"));
    } finally {
      server.stop();
    }
  });
});

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json", ".wasm": "application/wasm" };

/** The page of `cargo xtask web` in a folder of a host that knows nothing but files. */
function host() {
  const files = join(root, "target/page");
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://host").pathname)).replace(/^\/sub/, "");
    try {
      const name = path.endsWith("/") ? `${path}index.html` : path;
      const bytes = readFileSync(join(files, name));
      response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" }).end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((ready) => server.listen(0, "127.0.0.1", () => ready(server)));
}

describe("the page on a web host", { skip: skip || skipPrivate }, () => {
  it("needs no server of its own", async () => {
    const folder = sounds();
    copyFileSync(join(root, "examples/guitar.wav"), join(folder, "guitar.wav"));
    const files = await host();
    const address = `http://127.0.0.1:${files.address().port}`;
    const { browser, page, foreign, errors } = await open(address, { folder, path: "/sub/" });
    try {
      await page.waitForFunction(() => document.getElementById("model-note").textContent);
      assert.ok(await page.locator("#private").isChecked());
      assert.ok(await page.locator("#private").isDisabled());
      assert.ok(await page.locator("#api").isHidden());
      const requests = requestsOf(page);
      await page.context().setOffline(true);
      await page.setInputFiles("#files", join(folder, "guitar.wav"));
      await heard(page, 1, 1);
      assert.equal(await page.locator("#tags .name").first().textContent(), "Acoustic_guitar");
      await page.setInputFiles("#files", model);
      await page.waitForFunction(() => document.querySelector("#tags .name")?.textContent === "Middle" || document.getElementById("status").textContent.startsWith("Loaded"));
      assert.deepEqual(requests, []);
      assert.deepEqual(await violations(page), []);
      assert.deepEqual([foreign, errors], [[], []]);
      await picture(page, "private-host");
    } finally {
      await browser.close();
      files.close();
    }
  });
});
