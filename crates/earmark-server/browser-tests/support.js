// A server, a browser with a fake microphone, and sounds made by code.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
export const root = resolve(here, "../../..");
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const BROWSERS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
export const browserPath = BROWSERS.find((path) => path && existsSync(path));

/** Why the tests cannot run here, or `false`. */
export const skip = !browserPath
  ? "SKIPPED: Chromium is not installed (apt-get install chromium)"
  : !process.env.EARMARK_MODEL && "SKIPPED: no model; run `cargo xtask browser`";

/** Why private mode cannot be tested here, or `false`. */
export const skipPrivate =
  !existsSync(join(root, "crates/earmark-server/web/private/earmark.wasm")) &&
  "SKIPPED: private mode is not built (cargo xtask web)";

const earmark = process.env.EARMARK ?? join(root, "target/debug/earmark");
/** The model that tells low, middle and high tones apart; `cargo xtask browser` makes it. */
export const model = process.env.EARMARK_MODEL;

/** A folder with the sounds of the tests: a low, a middle and a high tone of 2 s each, and others. */
export function sounds() {
  const folder = mkdtempSync(join(tmpdir(), "earmark-browser-"));
  const song = wav([[2, 200], [2, 2000], [2, 9000]]);
  mkdirSync(join(folder, "farm"));
  writeFileSync(join(folder, "song.wav"), song);
  writeFileSync(join(folder, "farm/low.wav"), wav([[3, 200]]));
  writeFileSync(join(folder, "farm/high.wav"), wav([[3, 9000]]));
  writeFileSync(join(folder, "farm/<b>bold<b>.wav"), wav([[3, 2000]]));
  writeFileSync(join(folder, "broken.wav"), song.subarray(0, 50_000));
  writeFileSync(join(folder, "long.wav"), wav(Array.from({ length: 90 }, (_, i) => [2, [200, 2000, 9000][i % 3]])));
  writeFileSync(join(folder, "microphone.wav"), wav([[4, 200], [4, 9000]], 48_000));
  return folder;
}

/** A mono 16-bit WAV file of tones: seconds and Hz. */
export function wav(stretches, rate = 32_000) {
  const n = stretches.reduce((sum, [secs]) => sum + secs * rate, 0);
  const bytes = Buffer.alloc(44 + 2 * n);
  bytes.write("RIFF");
  bytes.writeUInt32LE(36 + 2 * n, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(2 * rate, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write("data", 36);
  bytes.writeUInt32LE(2 * n, 40);
  let at = 44;
  for (const [secs, hz] of stretches) {
    for (let i = 0; i < secs * rate; i++, at += 2) {
      bytes.writeInt16LE(Math.round(8000 * Math.sin((2 * Math.PI * hz * i) / rate)), at);
    }
  }
  return bytes;
}

/** Runs `earmark index` on a folder below `folder`. */
export function index(folder, sounds, file) {
  const options = ["--model", model, "--runtime", "rust"];
  const { status, stderr } = spawnSync(earmark, ["index", "-q", sounds, "-o", file, ...options], { cwd: folder });
  if (status !== 0) throw new Error(`earmark index ended with ${status}: ${stderr}`);
}

/** Runs `earmark serve` or `earmark review`; resolves to its address and a way to stop it. */
export async function serve(folder, command = ["serve"], more = []) {
  const options = command.includes("--model") ? [] : ["--model", model, "--runtime", "rust"];
  const child = spawn(earmark, [...command, ...options, "--port", "0", ...more], { cwd: folder });
  let errors = "";
  child.stderr.on("data", (data) => (errors += data));
  const address = await new Promise((ready, failed) => {
    child.stdout.on("data", (data) => ready(String(data).trim().split("\n")[0]));
    child.on("exit", (code) => failed(new Error(`earmark ended with ${code}: ${errors}`)));
  });
  return { address, stop: () => child.kill() };
}

export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** A page of the server; every request to elsewhere and every error of the page is kept. */
export async function open(address, { size = DESKTOP, folder, scheme = "light", path = "/" } = {}) {
  const browser = await chromium.launch({
    executablePath: browserPath,
    args: [
      "--no-sandbox",
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-audio-capture=${join(folder, "microphone.wav")}`,
      "--autoplay-policy=no-user-gesture-required",
    ],
  });
  const context = await browser.newContext({
    viewport: size, colorScheme: scheme, permissions: ["microphone"], isMobile: size === PHONE, hasTouch: size === PHONE,
    acceptDownloads: true,
  });
  const page = await context.newPage();
  const foreign = [];
  const errors = [];
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(address) && !/^(blob|data):/.test(url)) foreign.push(url);
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) errors.push(message.text());
  });
  await page.goto(address + path);
  return { browser, page, foreign, errors };
}

/** The violations that axe-core finds. */
export async function violations(page) {
  // The page's own policy forbids inline scripts, so the checker is run as the debugger.
  await page.evaluate(axeSource);
  const results = await page.evaluate(() => window.axe.run(document));
  return results.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
}

/** Where pictures of the page are put, if anywhere. */
export async function picture(page, name) {
  if (!process.env.EARMARK_PICTURES) return;
  mkdirSync(process.env.EARMARK_PICTURES, { recursive: true });
  await page.screenshot({ path: join(process.env.EARMARK_PICTURES, `${name}.png`), fullPage: true });
}
