// The workbench: one clip after the other, heard, seen and decided about with single keys.

import { key, onKeyNeeded, request, setKey } from "./api.js";
import { clock, element, score } from "./format.js";
import { unpack } from "./hear.js";
import { PictureView } from "./picture.js";

const $ = (id) => document.getElementById(id);
const view = new PictureView($("picture"), $("wave"));
const audio = $("audio");

let clips = [];
let current = null;
let labels = [];
let range = null;
let classes = [];
let audioUrl = null;

function status(text) {
  $("status").textContent = text;
}

function showError(problem) {
  $("error").textContent = problem ? problem.message : "";
  $("error").hidden = !problem;
}

onKeyNeeded(
  () =>
    new Promise((resolve) => {
      const dialog = $("key-dialog");
      dialog.addEventListener("close", () => {
        setKey($("key").value);
        resolve(dialog.returnValue === "ok" && key() !== "");
      }, { once: true });
      dialog.returnValue = "";
      dialog.showModal();
    }),
);

/* The list. */

async function load() {
  const parameters = new URLSearchParams({ sort: $("sort").value });
  if ($("sort").value === "similarity") {
    if (!current) return;
    parameters.set("like", current.id);
  }
  const answer = await (await request(`/review/api/clips?${parameters}`)).json();
  clips = answer.clips;
  classes = answer.classes;
  $("dataset").textContent = answer.title;
  $("classes").replaceChildren(...classes.map((name) => element("option", { value: name })));
  for (const [value, has] of [["doubt", answer.has_scores], ["uncertainty", answer.has_scores], ["similarity", answer.has_embeddings]]) {
    $("sort").querySelector(`[value=${value}]`).disabled = !has;
  }
  if (!answer.has_scores && ["doubt", "uncertainty"].includes($("sort").value)) $("sort").value = "name";
  drawList();
}

const shown = () => clips.filter((clip) => !$("open-only").checked || !clip.decision || clip.id === current?.id);

function summary(clip) {
  const labels = clip.labels === null ? "no label" : clip.labels.join(", ") || "none of the classes";
  return clip.decision ? `${labels} · ${clip.decision}` : labels;
}

const title = (clip) => (clip.stretch_secs ? `${clip.name} ${clock(clip.stretch_secs[0])}–${clock(clip.stretch_secs[1])}` : clip.name);

function drawList() {
  const nOpen = clips.filter((clip) => !clip.decision).length;
  $("count").textContent = `${clips.length - nOpen} of ${clips.length} decided`;
  const items = shown().slice(0, 300).map((clip) => {
    const button = element(
      "button",
      { type: "button" },
      element("span", { class: clip.decision ? "name decided" : "name" }, title(clip)),
      element("span", { class: "quiet" }, summary(clip)),
    );
    if (clip.id === current?.id) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => show(clip));
    return element("li", {}, button);
  });
  $("list").replaceChildren(...items);
  $("list").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

/* The clip. */

async function show(clip) {
  current = clip;
  labels = [...(clip.labels ?? [])];
  range = null;
  showError(null);
  view.clear();
  drawList();
  draw();
  audio.removeAttribute("src");
  try {
    const [sound, drawn] = await Promise.all([
      request(`/review/api/clips/${clip.id}/audio`).then((answer) => answer.blob()),
      request(`/review/api/clips/${clip.id}/picture`).then((answer) => answer.json()),
    ]);
    if (current !== clip) return;
    if (audioUrl) URL.revokeObjectURL(audioUrl);
    audioUrl = URL.createObjectURL(sound);
    audio.src = audioUrl;
    for (const picture of drawn.pictures) view.add(unpack(picture));
    draw();
    await audio.play().catch(() => {});
  } catch (problem) {
    if (current === clip) showError(problem);
  }
}

function why(clip) {
  if (!clip.doubt) return "";
  const { value, class: name, is_labelled: isLabelled } = clip.doubt;
  const doubt = `doubt ${value.toFixed(2)}`;
  if (value < 0.5) return `The models agree with the labels (${doubt}).`;
  return isLabelled ? `Perhaps this is not ${name} (${doubt}).` : `Perhaps ${name} is missing (${doubt}).`;
}

function draw() {
  if (!current) return;
  $("clip-title").textContent = title(current);
  $("clip-facts").textContent = [current.decision, current.uncertainty === null ? "" : `uncertainty ${current.uncertainty.toFixed(2)}`].filter(Boolean).join(" · ");
  $("why").textContent = why(current);
  const chips = labels.map((name) => {
    const chip = element("button", { type: "button", "aria-label": `Remove ${name}` }, `${name} ×`);
    chip.addEventListener("click", () => toggleLabel(name));
    return element("li", {}, chip);
  });
  $("labels").replaceChildren(...(chips.length ? chips : [element("li", { class: "quiet" }, current.labels === null ? "no label" : "none of the classes")]));
  const scores = current.scores.map(([name, value], index) => {
    const bar = element("i");
    bar.style.width = `${Math.round(value * 100)}%`;
    return element(
      "li",
      { class: labels.includes(name) ? "" : "below" },
      element("span", { class: "name" }, element("span", { class: "scores-key" }, `${index + 1} `), name),
      element("span", { class: "bar", "aria-hidden": "true" }, bar),
      element("span", { class: "score" }, score(value)),
    );
  });
  $("scores").replaceChildren(...(scores.length ? scores : [element("li", {}, element("span", { class: "quiet" }, "no scores"))]));
  view.draw(view.secs);
  drawRange();
  drawPlayhead();
}

function drawRange() {
  const box = $("range");
  box.hidden = !range;
  if (!range) return;
  box.style.left = `${(100 * range[0]) / view.secs}%`;
  box.style.width = `${(100 * (range[1] - range[0])) / view.secs}%`;
}

function drawPlayhead() {
  const total = view.secs || 1;
  $("playhead").style.left = `${Math.min(100, (100 * audio.currentTime) / total)}%`;
  $("picture-box").setAttribute("aria-valuemax", total.toFixed(1));
  $("picture-box").setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
  $("picture-box").setAttribute("aria-valuetext", clock(audio.currentTime));
}

function toggleLabel(name) {
  labels = labels.includes(name) ? labels.filter((label) => label !== name) : [...labels, name];
  draw();
}

function togglePlay() {
  if (audio.paused) audio.play().catch(() => {});
  else audio.pause();
}

/* Decisions. */

/** Puts a changed clip in its place; a new one behind the clip shown. */
function put(changed) {
  const at = clips.findIndex((clip) => clip.id === changed.id);
  if (at >= 0) clips[at] = changed;
  else clips.splice(clips.indexOf(current) + 1, 0, changed);
  if (current?.id === changed.id) current = changed;
}

async function send(path, body) {
  showError(null);
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body ?? {}) };
  return (await request(path, options)).json();
}

async function decide(action, more = {}) {
  if (!current) return;
  const clip = current;
  try {
    const changed = await send("/review/api/decisions", { clip: clip.id, version: clip.version, action, ...more });
    put(changed);
    status(`${title(changed)}: ${changed.decision}${changed.labels?.length ? `, ${changed.labels.join(", ")}` : ""}`);
    if (action === "add") {
      range = null;
      drawList();
      draw();
    } else {
      step(1);
    }
  } catch (problem) {
    if (problem.status === 409) {
      await load();
      const now = clips.find((other) => other.id === clip.id);
      if (now) await show(now);
    }
    showError(problem);
  }
}

function fix() {
  const same = current?.labels && labels.length === current.labels.length && labels.every((label) => current.labels.includes(label));
  if (same) status("The labels are as they were: add or remove some first, or accept them");
  else decide("fix", { labels });
}

function labelStretch() {
  if (!range) {
    status("Drag over the picture to mark a stretch first");
    return;
  }
  const offset = current.stretch_secs?.[0] ?? 0;
  const round = (secs) => Math.round((secs + offset) * 1000) / 1000;
  decide("add", { labels, stretch_secs: [round(range[0]), round(range[1])] });
}

async function undo() {
  try {
    const changed = await send("/review/api/undo");
    put(changed);
    status(`Taken back: ${title(changed)}`);
    await show(clips.find((clip) => clip.id === changed.id));
  } catch (problem) {
    showError(problem);
  }
}

async function write() {
  try {
    const written = await send("/review/api/write");
    status(`Wrote ${written.n_clips} clips to ${written.path}`);
  } catch (problem) {
    showError(problem);
  }
}

/** Goes to the next clip that is shown, or the one before. */
function step(by) {
  const at = clips.findIndex((clip) => clip.id === current?.id);
  const wanted = (clip) => !$("open-only").checked || !clip.decision;
  const rest = by > 0 ? clips.slice(at + 1) : clips.slice(0, Math.max(at, 0)).reverse();
  const next = rest.find(wanted) ?? (by > 0 ? clips.slice(0, Math.max(at, 0)).find(wanted) : undefined);
  if (next) {
    show(next);
  } else {
    drawList();
    draw();
    if (by > 0) status("Every clip is decided");
  }
}

const KEYS = {
  a: () => decide("accept"), f: fix, r: () => decide("reject"), s: labelStretch, u: undo, w: write,
  j: () => step(1), k: () => step(-1), " ": togglePlay,
};

function acceptKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=checkbox]), select, dialog *")) return;
    if (event.key === " " && event.target.matches("button, input")) return;
    const name = current?.scores[Number(event.key) - 1]?.[0];
    if (name && classes.includes(name)) toggleLabel(name);
    else if (event.key.toLowerCase() in KEYS) KEYS[event.key.toLowerCase()]();
    else return;
    event.preventDefault();
  });
  $("label").addEventListener("change", () => {
    const name = $("label").value.trim();
    if (!name) return;
    if (classes.includes(name)) {
      if (!labels.includes(name)) toggleLabel(name);
      $("label").value = "";
    } else {
      showError(new Error(`There is no class “${name}” in this data set`));
    }
  });
}

function acceptPointer() {
  const box = $("picture-box");
  const secsAt = (event) => {
    const place = box.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - place.left) / place.width)) * view.secs;
  };
  let from = null;
  box.addEventListener("pointerdown", (event) => {
    from = secsAt(event);
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = secsAt(event);
    const isDrag = Math.abs(to - from) > view.secs / 100;
    range = isDrag ? [Math.min(from, to), Math.max(from, to)] : null;
    drawRange();
  });
  box.addEventListener("pointerup", (event) => {
    if (from !== null) audio.currentTime = range ? range[0] : secsAt(event);
    from = null;
    audio.play().catch(() => {});
  });
  box.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -0.5, ArrowRight: 0.5, ArrowDown: -2, ArrowUp: 2 };
    if (!(event.key in steps)) return;
    audio.currentTime = Math.max(0, Math.min(view.secs, audio.currentTime + steps[event.key]));
    drawPlayhead();
    event.preventDefault();
  });
}

async function start() {
  const buttons = {
    play: togglePlay, accept: () => decide("accept"), fix, reject: () => decide("reject"), segment: labelStretch,
    undo, write, next: () => step(1), previous: () => step(-1),
  };
  for (const [id, act] of Object.entries(buttons)) $(id).addEventListener("click", act);
  acceptKeys();
  acceptPointer();
  const follow = () => {
    drawPlayhead();
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", follow);
  audio.addEventListener("pause", drawPlayhead);
  $("sort").addEventListener("change", () => load().catch(showError));
  $("open-only").addEventListener("change", drawList);
  new ResizeObserver(draw).observe($("picture-box"));
  try {
    await load();
    if ($("sort").value === "name") await load();
    const first = shown()[0];
    if (first) await show(first);
  } catch (problem) {
    showError(problem);
  }
}

start();
