// The page in Chromium, at the sizes of a desk and of a phone.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { DESKTOP, PHONE, index, open, picture, serve, skip, sounds, violations } from "./support.js";

if (skip) console.log(skip);

for (const [device, size] of [["desktop", DESKTOP], ["phone", PHONE]]) {
  describe(`the page on a ${device}`, { skip }, () => {
    let folder, server, session;

    before(async () => {
      folder = sounds();
      server = await serve(folder);
    });
    after(() => server?.stop());

    async function onPage(test, options = {}) {
      session = await open(server.address, { size, folder, ...options });
      try {
        await test(session.page);
        assert.deepEqual(session.foreign, [], "requests to elsewhere");
        assert.deepEqual(session.errors, [], "errors of the page");
      } finally {
        await session.browser.close();
      }
    }

    const drop = (page, ...names) => page.setInputFiles("#files", names.map((name) => join(folder, name)));
    const heard = (page, n, of) => page.waitForFunction((text) => document.getElementById("status").textContent.startsWith(text), `Heard ${n} of ${of}`);
    const tagNames = (page) => page.locator("#tags .name").allTextContents();

    it("shows tags, lanes and the picture of a recording", () =>
      onPage(async (page) => {
        await drop(page, "song.wav");
        await heard(page, 1, 1);
        assert.equal(await page.locator("#detail-title").textContent(), "song.wav");
        const lanes = page.locator("#lanes button");
        const labels = await lanes.evaluateAll((buttons) => buttons.map((b) => b.getAttribute("aria-label")));
        for (const stretch of ["Low, 0:00 to 0:02", "Middle, 0:02 to 0:04", "High, shrill, 0:04 to 0:06"]) {
          assert.ok(labels.some((label) => label.startsWith(stretch)), `${stretch} in ${labels}`);
        }
        // The low tone is drawn below the high one.
        const brightest = (part) =>
          page.locator("#picture").evaluate((canvas, part) => {
            const x = Math.floor(canvas.width * part);
            const { data } = canvas.getContext("2d").getImageData(x, 0, 1, canvas.height);
            let best = 0;
            for (let y = 0; y < canvas.height; y++) if (data[4 * y] > data[4 * best]) best = y;
            return best / canvas.height;
          }, part);
        assert.ok((await brightest(1 / 6)) > (await brightest(5 / 6)) + 0.3);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "scrolls sideways");
        assert.deepEqual(await violations(page), []);
        await picture(page, `recording-${device}`);
      }));

    it("plays the moment that is chosen, by pointer and by keys", () =>
      onPage(async (page) => {
        await drop(page, "song.wav");
        await heard(page, 1, 1);
        const now = () => page.locator("#audio").evaluate((audio) => audio.currentTime);
        await page.locator("#lanes button[aria-label^='High']").click();
        await page.waitForFunction(() => document.getElementById("audio").currentTime >= 4);
        await page.locator("#audio").evaluate((audio) => audio.pause());
        const box = await page.locator("#picture-box").boundingBox();
        await page.locator("#picture-box").click({ position: { x: box.width / 2, y: box.height / 2 } });
        await page.waitForFunction(() => Math.abs(document.getElementById("audio").currentTime - 3) < 0.9);
        await page.locator("#audio").evaluate((audio) => audio.pause());
        await page.locator("#picture-box").focus();
        await page.keyboard.press("Home");
        await page.keyboard.press("ArrowRight");
        assert.ok(Math.abs((await now()) - 1) < 0.1);
        assert.equal(await page.locator("#picture-box").getAttribute("aria-valuetext"), "0:01");
        await page.keyboard.press("Space");
        await page.waitForFunction(() => !document.getElementById("audio").paused);
      }));

    it("filters by the threshold without asking again", () =>
      onPage(async (page) => {
        await drop(page, "song.wav");
        await heard(page, 1, 1);
        const before = await page.locator("#lanes .lane").count();
        assert.ok(before >= 3);
        let asked = 0;
        page.on("request", () => asked++);
        await page.locator("#threshold").fill("0.98");
        await page.waitForFunction((n) => document.querySelectorAll("#lanes .lane").length < n, before);
        assert.equal(asked, 0);
      }));

    it("makes a table of a batch, sorted and filtered", () =>
      onPage(async (page) => {
        await drop(page, "song.wav", "farm/low.wav", "farm/high.wav", "farm/<b>bold<b>.wav", "broken.wav");
        await heard(page, 4, 5);
        const names = () => page.locator("#rows .name").allTextContents();
        assert.equal((await names()).length, 5);
        assert.ok((await names()).includes("<b>bold<b>.wav"));
        assert.equal(await page.locator("#rows b").count(), 0);
        assert.match(await page.locator("tr.failed .tag").textContent(), /broken\.wav: /);
        await page.locator("#columns").getByRole("button", { name: "Score" }).click();
        const scores = (await page.locator("#rows td:nth-child(4)").allTextContents()).filter(Boolean).map(Number);
        assert.deepEqual(scores, [...scores].sort((a, b) => b - a));
        await page.locator("#columns").getByRole("button", { name: "Best tag" }).click();
        assert.equal(await page.locator("th[aria-sort=ascending]").count(), 1);
        await page.locator("#filter").fill("high");
        await page.waitForFunction(() => document.querySelectorAll("#rows tr").length < 5);
        assert.ok((await names()).includes("high.wav"));
        await page.locator("#filter").fill("");
        await page.locator("#rows").getByRole("button", { name: "low.wav" }).click();
        await page.waitForFunction(() => document.getElementById("detail-title").textContent === "low.wav");
        await page.waitForFunction(() => document.querySelector("#tags .name")?.textContent === "Low");
        assert.deepEqual(await violations(page), []);
        await picture(page, `batch-${device}`);
      }));

    it("exports what other programs read", () =>
      onPage(async (page) => {
        await drop(page, "song.wav");
        await heard(page, 1, 1);
        const exported = async (name) => {
          const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name, exact: true }).click()]);
          return [download.suggestedFilename(), readFileSync(await download.path(), "utf8").trimEnd().split("\n")];
        };
        const [csvName, csv] = await exported("CSV");
        assert.equal(csvName, "song.wav.csv");
        assert.equal(csv[0], "path,channel,start_secs,end_secs,start_hms,end_hms,start_time,end_time,rank,class,class_id,score,model,runtime,schema");
        const high = csv.find((line) => line.includes('"High, shrill",/t/high'));
        assert.match(high, /^song\.wav,,4,6,00:00:04\.000,00:00:06\.000,,,1,"High, shrill",\/t\/high,0\.\d+,tones,.*,earmark-tags-1$/);
        const [, json] = await exported("JSON");
        assert.deepEqual(json.map((line) => JSON.parse(line).tags[0].class), ["Low", "Middle", "High, shrill"]);
        const [audacityName, audacity] = await exported("Audacity");
        assert.equal(audacityName, "song.wav.audacity.txt");
        assert.match(audacity[0], /^0\.000000\t2\.000000\tLow 0\.\d{3}$/);
        const [, raven] = await exported("Raven");
        assert.equal(raven[0].split("\t").length, 12);
        assert.match(raven[3], /^3\tSpectrogram 1\t1\t4\.000000\t6\.000000\t0\.0\t16000\.0\tsong\.wav\tHigh, shrill\t/);
      }));

    it("hears long recordings as they come and stops when told to", () =>
      onPage(async (page) => {
        await drop(page, "long.wav");
        await page.waitForFunction(() => document.querySelectorAll("#lanes button").length > 0);
        await heard(page, 1, 1);
        assert.match(await page.locator("#detail-facts").textContent(), /^3:00/);
        // Held back, so that there is something to cancel.
        await page.route("**/v1/jobs?**", async (route) => {
          await new Promise((done) => setTimeout(done, 1500));
          await route.continue().catch(() => {});
        });
        await drop(page, "song.wav");
        await page.locator("#cancel").click();
        await page.waitForFunction(() => [...document.querySelectorAll("#rows td")].some((td) => td.textContent === "cancelled"));
      }));

    it("records from the microphone", () =>
      onPage(async (page) => {
        await page.locator("#record").click();
        await page.waitForTimeout(2500);
        await page.locator("#record").click();
        await heard(page, 1, 1);
        assert.match(await page.locator("#detail-title").textContent(), /^recording-.*\.wav$/);
        const [first] = await tagNames(page);
        assert.ok(["Low", "High, shrill"].includes(first), first);
      }));

    it("listens live", () =>
      onPage(async (page) => {
        await page.locator("#live").click();
        await page.waitForFunction(() => document.querySelectorAll("#live-tags .score").length > 0, null, { timeout: 15_000 });
        await page.waitForFunction(() => ["Low", "High, shrill"].includes(document.querySelector("#live-tags .name").textContent));
        await page.waitForFunction(() => document.querySelectorAll("#live-log li").length > 0, null, { timeout: 20_000 });
        const colours = await page.locator("#live-picture").evaluate((canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(data.filter((_, i) => i % 4 === 0)).size;
        });
        assert.ok(colours > 10, `${colours} shades`);
        assert.deepEqual(await violations(page), []);
        await picture(page, `live-${device}`);
        await page.locator("#live").click();
        assert.equal(await page.locator("#live").getAttribute("aria-pressed"), "false");
      }));

    it("is without fault when nothing is there yet, in the dark too", async () => {
      await onPage(async (page) => {
        await page.waitForFunction(() => document.getElementById("model-note").textContent);
        assert.deepEqual(await violations(page), []);
        const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
        console.log(`${device}: first contentful paint after ${Math.round(paint)} ms`);
      }, { scheme: "dark" });
      await onPage(async (page) => {
        await drop(page, "song.wav");
        await heard(page, 1, 1);
        assert.deepEqual(await violations(page), []);
        await picture(page, `dark-${device}`);
      }, { scheme: "dark" });
    });
  });
}

describe("a server without private mode", { skip }, () => {
  it("says so", async () => {
    const folder = sounds();
    const server = await serve(folder);
    const { browser, page } = await open(server.address, { folder, path: "/healthz" });
    try {
      const body = JSON.stringify({ server: true, module: null, version: "0" });
      await page.route("**/assets/page.json", (route) => route.fulfill({ contentType: "application/json", body }));
      // It was on when the program had it.
      await page.evaluate(() => localStorage.setItem("earmark-private", "on"));
      await page.goto(server.address);
      await page.waitForFunction(() => document.getElementById("model-note").textContent);
      assert.equal(await page.locator("#private-note").textContent(), "Not built into this program.");
      assert.equal(await page.locator("#private").isChecked(), false);
      assert.ok(await page.locator("#private").isDisabled());
      assert.match(await page.locator("#error").textContent(), /Private mode does not start: it is not built into this program/);
      assert.deepEqual(await violations(page), []);
      await picture(page, "without-private");
    } finally {
      await browser.close();
      server.stop();
    }
  });
});

describe("a server with a key", { skip }, () => {
  it("is opened by the key", async () => {
    const folder = sounds();
    const server = await serve(folder, ["serve"], ["--api-key", "open sesame"]);
    const { browser, page } = await open(server.address, { folder });
    try {
      await page.locator("#key").fill("open sesame");
      await page.getByRole("button", { name: "Use it" }).click();
      await page.waitForFunction(() => document.getElementById("model-note").textContent);
    } finally {
      await browser.close();
      server.stop();
    }
  });
});

describe("a server with an index", { skip }, () => {
  it("finds what sounds alike and plays it", async () => {
    const folder = sounds();
    index(folder, "farm", "farm.index");
    const server = await serve(folder, ["serve"], ["--index", "farm.index"]);
    const { browser, page, foreign, errors } = await open(server.address, { folder });
    try {
      await page.setInputFiles("#files", join(folder, "farm/low.wav"));
      await page.locator("#find-alike").click();
      await page.waitForFunction(() => document.querySelectorAll("#alike-list li").length === 3);
      assert.equal(await page.locator("#alike-list .name").first().textContent(), "low.wav");
      assert.equal(await page.locator("#alike-list .score").first().textContent(), "1.000");
      assert.deepEqual(await violations(page), []);
      await picture(page, "alike");
      await page.locator("#alike-list button").first().click();
      await page.waitForFunction(() => document.getElementById("alike-audio").currentTime > 0.2);
      await page.locator("#alike-list button").first().click();
      assert.equal(await page.locator("#alike-audio").evaluate((audio) => audio.paused), true);
      assert.deepEqual([foreign, errors], [[], []]);
    } finally {
      await browser.close();
      server.stop();
    }
  });
});
